//! Templates.

use std::time::Duration;

use dream_core::kernel::TemplateId;
use dream_core::{Code, Guest, Result};

use crate::input::{Path, Query};
use crate::problem::Lang;
use crate::table::{Row, get, post};
use crate::wire::message::Message;
use crate::wire::templates::{
    ParamTemplateAnswer, ParamTemplates, PromptTemplateAnswer, PromptTemplateFilter, PromptTemplates,
};

/// How old a kept list may be. Uses are counted all the time, and need not show at once.
const KEPT: Duration = Duration::from_secs(15);
const TOPIC: &str = "templates";

pub(crate) fn rows() -> Vec<Row> {
    vec![
        get("/v1/templates/prompts", prompts).doc("Prompt templates, most used first").public(KEPT, TOPIC),
        get("/v1/templates/prompts/{templateId}", prompt)
            .doc("A prompt template")
            .fails(&[Code::TemplateNotFound]),
        post("/v1/templates/prompts/{templateId}/usage", count_use)
            .doc("Counts one use of a prompt template")
            .fails(&[Code::TemplateNotFound]),
        get("/v1/templates/params", params).doc("Parameter templates").public(KEPT, TOPIC),
        get("/v1/templates/params/{templateId}", param)
            .doc("A parameter template")
            .fails(&[Code::TemplateNotFound]),
    ]
}

async fn prompts(guest: Guest, Query(filter): Query<PromptTemplateFilter>) -> Result<PromptTemplates> {
    Ok(guest.prompt_templates(&filter.into()).await?.into())
}

async fn prompt(guest: Guest, Path(id): Path<TemplateId>) -> Result<PromptTemplateAnswer> {
    Ok(guest.prompt_template(&id).await?.into())
}

async fn count_use(guest: Guest, (Path(id), lang): (Path<TemplateId>, Lang)) -> Result<Message> {
    guest.count_template_use(&id).await?;
    Ok(Message::new(lang, "已记录使用次数", "The use is counted"))
}

async fn params(guest: Guest, (): ()) -> Result<ParamTemplates> {
    Ok(guest.param_templates().await?.into())
}

async fn param(guest: Guest, Path(id): Path<TemplateId>) -> Result<ParamTemplateAnswer> {
    Ok(guest.param_template(&id).await?.into())
}
