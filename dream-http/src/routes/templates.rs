//! Templates.

use std::time::Duration;

use dream_core::kernel::TemplateId;
use dream_core::templates::{self, PromptFilter};
use dream_core::{Admin, Code, Guest, Result};

use crate::input::{Body, Path, QueryAs};
use crate::problem::Lang;
use crate::reply::Created;
use crate::table::{Row, delete, get, post, put};
use crate::throttle::LimitClass;
use crate::wire::message::Message;
use crate::wire::templates::{
    BATCH_BODY, MadeParamTemplates, MadePromptTemplates, NewParamTemplate, NewParamTemplates,
    NewPromptTemplate, NewPromptTemplates, ParamTemplateAnswer, ParamTemplates, PromptTemplateAnswer,
    PromptTemplateFilter, PromptTemplates, Removed, TemplateIds, UpdateParamTemplate, UpdatePromptTemplate,
};

/// How old a kept list may be. Uses are counted all the time, and need not show at once.
const KEPT: Duration = Duration::from_secs(15);
const TOPIC: &str = "templates";

pub(crate) fn rows() -> Vec<Row> {
    let (absent, exists) = (&[Code::TemplateNotFound], &[Code::TemplateExists]);
    vec![
        get("/v1/templates/prompts", prompts).doc("Prompt templates, most used first").public(KEPT, TOPIC),
        post("/v1/templates/prompts", create_prompt).doc("Makes a prompt template").fails(exists),
        delete("/v1/templates/prompts", delete_prompts).doc("Removes prompt templates"),
        post("/v1/templates/prompts/batch", create_prompts)
            .doc("Makes prompt templates, all or none")
            .fails(exists),
        get("/v1/templates/prompts/{templateId}", prompt)
            .doc("A prompt template")
            .fails(absent)
            .limited_as(LimitClass::Public),
        put("/v1/templates/prompts/{templateId}", update_prompt)
            .doc("Changes what a prompt template says")
            .fails(absent),
        delete("/v1/templates/prompts/{templateId}", delete_prompt)
            .doc("Removes a prompt template")
            .fails(absent),
        post("/v1/templates/prompts/{templateId}/usage", count_use)
            .doc("Counts one use of a prompt template")
            .fails(absent),
        get("/v1/templates/params", params).doc("Parameter templates").public(KEPT, TOPIC),
        post("/v1/templates/params", create_param).doc("Makes a parameter template").fails(exists),
        delete("/v1/templates/params", delete_params).doc("Removes parameter templates"),
        post("/v1/templates/params/batch", create_params)
            .doc("Makes parameter templates, all or none")
            .fails(exists),
        get("/v1/templates/params/{templateId}", param)
            .doc("A parameter template")
            .fails(absent)
            .limited_as(LimitClass::Public),
        put("/v1/templates/params/{templateId}", update_param)
            .doc("Changes what a parameter template says")
            .fails(absent),
        delete("/v1/templates/params/{templateId}", delete_param)
            .doc("Removes a parameter template")
            .fails(absent),
    ]
}

async fn prompts(
    guest: Guest,
    filter: QueryAs<PromptTemplateFilter, PromptFilter>,
) -> Result<PromptTemplates> {
    Ok(guest.prompt_templates(&filter.value).await?.into())
}

async fn prompt(guest: Guest, Path(id): Path<TemplateId>) -> Result<PromptTemplateAnswer> {
    Ok(guest.prompt_template(&id).await?.into())
}

async fn count_use(guest: Guest, (Path(id), lang): (Path<TemplateId>, Lang)) -> Result<Message> {
    guest.count_template_use(&id).await?;
    Ok(Message::new(lang, "已记录使用次数", "The use is counted"))
}

async fn create_prompt(
    admin: Admin,
    Body(new): Body<NewPromptTemplate>,
) -> Result<Created<PromptTemplateAnswer>> {
    Ok(Created(admin.create_prompt_template(new.into()).await?.into()))
}

async fn create_prompts(
    admin: Admin,
    Body(new): Body<NewPromptTemplates, BATCH_BODY>,
) -> Result<Created<MadePromptTemplates>> {
    let new: Vec<templates::NewPromptTemplate> = new.into();
    Ok(Created(admin.create_prompt_templates(&new).await?.into()))
}

async fn update_prompt(
    admin: Admin,
    (Path(id), Body(update)): (Path<TemplateId>, Body<UpdatePromptTemplate>),
) -> Result<PromptTemplateAnswer> {
    Ok(admin.update_prompt_template(&id, &update.into()).await?.into())
}

async fn delete_prompt(admin: Admin, (Path(id), lang): (Path<TemplateId>, Lang)) -> Result<Message> {
    admin.delete_prompt_template(&id).await?;
    Ok(removed_one(lang))
}

async fn delete_prompts(admin: Admin, (lang, Body(ids)): (Lang, Body<TemplateIds>)) -> Result<Removed> {
    let ids: Vec<TemplateId> = ids.into();
    Ok(Removed::new(admin.delete_prompt_templates(&ids).await?, removed(lang)))
}

async fn params(guest: Guest, (): ()) -> Result<ParamTemplates> {
    Ok(guest.param_templates().await?.into())
}

async fn param(guest: Guest, Path(id): Path<TemplateId>) -> Result<ParamTemplateAnswer> {
    Ok(guest.param_template(&id).await?.into())
}

async fn create_param(
    admin: Admin,
    Body(new): Body<NewParamTemplate>,
) -> Result<Created<ParamTemplateAnswer>> {
    Ok(Created(admin.create_param_template(new.into()).await?.into()))
}

async fn create_params(
    admin: Admin,
    Body(new): Body<NewParamTemplates, BATCH_BODY>,
) -> Result<Created<MadeParamTemplates>> {
    let new: Vec<templates::NewParamTemplate> = new.into();
    Ok(Created(admin.create_param_templates(&new).await?.into()))
}

async fn update_param(
    admin: Admin,
    (Path(id), Body(update)): (Path<TemplateId>, Body<UpdateParamTemplate>),
) -> Result<ParamTemplateAnswer> {
    Ok(admin.update_param_template(&id, &update.into()).await?.into())
}

async fn delete_param(admin: Admin, (Path(id), lang): (Path<TemplateId>, Lang)) -> Result<Message> {
    admin.delete_param_template(&id).await?;
    Ok(removed_one(lang))
}

async fn delete_params(admin: Admin, (lang, Body(ids)): (Lang, Body<TemplateIds>)) -> Result<Removed> {
    let ids: Vec<TemplateId> = ids.into();
    Ok(Removed::new(admin.delete_param_templates(&ids).await?, removed(lang)))
}

fn removed_one(lang: Lang) -> Message {
    Message::new(lang, "模板已删除", "The template is removed")
}

fn removed(lang: Lang) -> Message {
    Message::new(lang, "模板已批量删除", "The templates are removed")
}
