//! The tables `prompt_templates` and `param_templates`.

use std::future::Future;
use std::str::FromStr;

use super::content::{
    Content, NewTemplate, ParamContent, ParamPatch, PreviewImages, PromptContent, PromptPatch,
};
use super::{ParamTemplate, PromptFilter, PromptTemplate};
use crate::blobs::Names;
use crate::error::Result;
use crate::jobs::{AspectRatio, Mode, PictureUrl, Resolution, SampleCount, Text};
use crate::kernel::{TemplateId, Timestamp};
use crate::seeds::{SeedParams, SeedPrompt};
use crate::store::{Db, Row, Sql, StoreError, Tx, for_update, json_text};

/// One of the two tables, as units of work see it.
pub(super) trait Table: Send + Sync + 'static {
    /// A row.
    type Template: Send + Sync;
    /// What of it admins write.
    type Content: Content;
    /// What of it is to change.
    type Patch: Send + Sync;

    /// What the audit log calls a row.
    const NOUN: &'static str;
    /// What the audit log calls it to make one.
    const CREATED: &'static str;
    /// What it calls it to change one.
    const UPDATED: &'static str;
    /// What it calls it to remove one.
    const DELETED: &'static str;

    fn content(template: &Self::Template) -> &Self::Content;

    fn patched(patch: &Self::Patch, before: Self::Content) -> Self::Content;

    fn find(tx: &mut Tx, id: &TemplateId) -> impl Future<Output = Result<Option<Self::Template>>> + Send;

    /// As `find`, and nobody else changes it before this transaction ends.
    fn lock(tx: &mut Tx, id: &TemplateId) -> impl Future<Output = Result<Option<Self::Template>>> + Send;

    /// Adds it unless its id is taken.
    fn insert(
        tx: &mut Tx,
        new: &NewTemplate<Self::Content>,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<Self::Template>>> + Send;

    fn update(
        tx: &mut Tx,
        id: &TemplateId,
        content: &Self::Content,
        now: Timestamp,
    ) -> impl Future<Output = Result<()>> + Send;

    fn delete(tx: &mut Tx, id: &TemplateId) -> impl Future<Output = Result<()>> + Send;
}

/// A text of the row that keeps the rules of its type; one that does not is a named inconsistency.
fn parsed<T: FromStr>(row: &Row, name: &'static str) -> Result<T> {
    let text: String = row.get(name)?;
    text.parse().map_err(|_| broken(name))
}

fn optional<T: FromStr>(row: &Row, name: &'static str) -> Result<Option<T>> {
    match row.get::<Option<String>>(name)? {
        Some(text) => text.parse().map(Some).map_err(|_| broken(name)),
        None => Ok(None),
    }
}

fn broken(name: &'static str) -> crate::Error {
    StoreError::Inconsistent(format!("templates.{name} breaks its own rules")).into()
}

fn previews(row: &Row) -> Result<PreviewImages> {
    let texts: Vec<String> = row.json("preview_images")?;
    let urls: Result<Vec<PictureUrl>, _> = texts.iter().map(|text| text.parse()).collect();
    urls.and_then(PreviewImages::new).map_err(|_| broken("preview_images"))
}

/// The prompt templates.
pub(super) struct Prompts;

macro_rules! prompts {
    ($rest:literal) => {
        concat!(
            "SELECT id, template_id, title, description, prompt, category, thumbnail_url, preview_images, \
             usage_count, is_hot FROM prompt_templates ",
            $rest
        )
    };
}

fn read_prompt(row: &Row) -> Result<PromptTemplate> {
    Ok(PromptTemplate {
        id: row.get("id")?,
        template_id: row.get("template_id")?,
        content: PromptContent {
            title: parsed(row, "title")?,
            description: optional(row, "description")?,
            prompt: parsed(row, "prompt")?,
            category: parsed(row, "category")?,
            thumbnail_url: optional(row, "thumbnail_url")?,
            preview_images: previews(row)?,
            is_hot: row.get("is_hot")?,
        },
        usage_count: row.get("usage_count")?,
    })
}

pub(super) async fn prompt_templates(db: &mut impl Db, filter: &PromptFilter) -> Result<Vec<PromptTemplate>> {
    let sql = Sql::new(prompts!(
        "WHERE (CAST($1 AS TEXT) IS NULL OR category = $1) AND (is_hot OR NOT $2) ORDER BY usage_count DESC, id"
    ));
    let sql = sql.bind(filter.category.as_deref()).bind(filter.trending);
    db.all(sql).await?.iter().map(read_prompt).collect()
}

/// All prompt templates in the order in which they were made.
pub(super) async fn all_prompts(db: &mut impl Db) -> Result<Vec<PromptTemplate>> {
    db.all(Sql::new(prompts!("ORDER BY id"))).await?.iter().map(read_prompt).collect()
}

pub(super) async fn prompt_template(db: &mut impl Db, id: &TemplateId) -> Result<Option<PromptTemplate>> {
    let sql = Sql::new(prompts!("WHERE template_id = $1")).bind(id.as_str());
    db.optional(sql).await?.as_ref().map(read_prompt).transpose()
}

/// The prompt templates of these ids, in no order.
pub(crate) async fn prompt_templates_of(db: &mut impl Db, ids: &[TemplateId]) -> Result<Vec<PromptTemplate>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let text = prompts!("WHERE template_id IN ({list})");
    let sql = Sql::with_list(text, Vec::new(), ids.iter().map(TemplateId::as_str));
    db.all(sql).await?.iter().map(read_prompt).collect()
}

pub(super) async fn count_use(tx: &mut Tx, id: &TemplateId) -> Result<bool> {
    let sql = Sql::new("UPDATE prompt_templates SET usage_count = usage_count + 1 WHERE template_id = $1");
    Ok(tx.execute(sql.bind(id.as_str())).await? == 1)
}

impl Table for Prompts {
    type Template = PromptTemplate;
    type Content = PromptContent;
    type Patch = PromptPatch;

    const NOUN: &'static str = "prompt_template";
    const CREATED: &'static str = "prompt_template.create";
    const UPDATED: &'static str = "prompt_template.update";
    const DELETED: &'static str = "prompt_template.delete";

    fn content(template: &PromptTemplate) -> &PromptContent {
        &template.content
    }

    fn patched(patch: &PromptPatch, before: PromptContent) -> PromptContent {
        patch.clone().apply(before)
    }

    async fn find(tx: &mut Tx, id: &TemplateId) -> Result<Option<PromptTemplate>> {
        prompt_template(tx, id).await
    }

    async fn lock(tx: &mut Tx, id: &TemplateId) -> Result<Option<PromptTemplate>> {
        let sql = for_update!("SELECT id FROM prompt_templates WHERE template_id = $1");
        match tx.optional(sql.bind(id.as_str())).await? {
            Some(_) => prompt_template(tx, id).await,
            None => Ok(None),
        }
    }

    async fn insert(
        tx: &mut Tx,
        new: &NewTemplate<PromptContent>,
        now: Timestamp,
    ) -> Result<Option<PromptTemplate>> {
        let content = &new.content;
        let sql = Sql::new(
            "INSERT INTO prompt_templates (template_id, title, description, prompt, category, thumbnail_url, \
             preview_images, usage_count, is_hot, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9, $9) ON CONFLICT (template_id) DO NOTHING",
        )
        .bind(new.template_id.as_str())
        .bind(content.title.as_str())
        .bind(content.description.as_ref().map(Text::as_str))
        .bind(content.prompt.as_str())
        .bind(content.category.as_str())
        .bind(content.thumbnail_url.as_ref().map(PictureUrl::as_str))
        .bind(json_text(&content.preview_images.as_strs()))
        .bind(content.is_hot)
        .bind(now);
        if tx.execute(sql).await? == 0 {
            return Ok(None);
        }
        prompt_template(tx, &new.template_id).await
    }

    async fn update(tx: &mut Tx, id: &TemplateId, content: &PromptContent, now: Timestamp) -> Result<()> {
        let sql = Sql::new(
            "UPDATE prompt_templates SET title = $2, description = $3, prompt = $4, category = $5, \
             thumbnail_url = $6, preview_images = $7, is_hot = $8, updated_at = $9 WHERE template_id = $1",
        )
        .bind(id.as_str())
        .bind(content.title.as_str())
        .bind(content.description.as_ref().map(Text::as_str))
        .bind(content.prompt.as_str())
        .bind(content.category.as_str())
        .bind(content.thumbnail_url.as_ref().map(PictureUrl::as_str))
        .bind(json_text(&content.preview_images.as_strs()))
        .bind(content.is_hot)
        .bind(now);
        tx.execute(sql).await?;
        Ok(())
    }

    async fn delete(tx: &mut Tx, id: &TemplateId) -> Result<()> {
        let sql = Sql::new("DELETE FROM prompt_templates WHERE template_id = $1");
        tx.execute(sql.bind(id.as_str())).await?;
        Ok(())
    }
}

/// The parameter templates.
pub(super) struct Params;

macro_rules! params {
    ($rest:literal) => {
        concat!(
            "SELECT id, template_id, title, description, thumbnail_url, preview_images, mode, resolution, \
             aspect_ratio, sample_count FROM param_templates ",
            $rest
        )
    };
}

fn read_params(row: &Row) -> Result<ParamTemplate> {
    let samples: Option<i64> = row.get("sample_count")?;
    Ok(ParamTemplate {
        id: row.get("id")?,
        template_id: row.get("template_id")?,
        content: ParamContent {
            title: parsed(row, "title")?,
            description: optional(row, "description")?,
            thumbnail_url: optional(row, "thumbnail_url")?,
            preview_images: previews(row)?,
            mode: optional(row, "mode")?,
            resolution: optional(row, "resolution")?,
            aspect_ratio: optional(row, "aspect_ratio")?,
            sample_count: samples.map(SampleCount::new).transpose().map_err(|_| broken("sample_count"))?,
        },
    })
}

pub(super) async fn param_templates(db: &mut impl Db) -> Result<Vec<ParamTemplate>> {
    db.all(Sql::new(params!("ORDER BY id"))).await?.iter().map(read_params).collect()
}

pub(super) async fn param_template(db: &mut impl Db, id: &TemplateId) -> Result<Option<ParamTemplate>> {
    let sql = Sql::new(params!("WHERE template_id = $1")).bind(id.as_str());
    db.optional(sql).await?.as_ref().map(read_params).transpose()
}

impl Table for Params {
    type Template = ParamTemplate;
    type Content = ParamContent;
    type Patch = ParamPatch;

    const NOUN: &'static str = "param_template";
    const CREATED: &'static str = "param_template.create";
    const UPDATED: &'static str = "param_template.update";
    const DELETED: &'static str = "param_template.delete";

    fn content(template: &ParamTemplate) -> &ParamContent {
        &template.content
    }

    fn patched(patch: &ParamPatch, before: ParamContent) -> ParamContent {
        patch.clone().apply(before)
    }

    async fn find(tx: &mut Tx, id: &TemplateId) -> Result<Option<ParamTemplate>> {
        param_template(tx, id).await
    }

    async fn lock(tx: &mut Tx, id: &TemplateId) -> Result<Option<ParamTemplate>> {
        let sql = for_update!("SELECT id FROM param_templates WHERE template_id = $1");
        match tx.optional(sql.bind(id.as_str())).await? {
            Some(_) => param_template(tx, id).await,
            None => Ok(None),
        }
    }

    async fn insert(
        tx: &mut Tx,
        new: &NewTemplate<ParamContent>,
        now: Timestamp,
    ) -> Result<Option<ParamTemplate>> {
        let content = &new.content;
        let sql = Sql::new(
            "INSERT INTO param_templates (template_id, title, description, thumbnail_url, preview_images, mode, \
             resolution, aspect_ratio, sample_count, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10) ON CONFLICT (template_id) DO NOTHING",
        )
        .bind(new.template_id.as_str())
        .bind(content.title.as_str())
        .bind(content.description.as_ref().map(Text::as_str))
        .bind(content.thumbnail_url.as_ref().map(PictureUrl::as_str))
        .bind(json_text(&content.preview_images.as_strs()))
        .bind(content.mode.map(Mode::as_str))
        .bind(content.resolution.map(Resolution::as_str))
        .bind(content.aspect_ratio.map(AspectRatio::as_str))
        .bind(content.sample_count.map(SampleCount::get))
        .bind(now);
        if tx.execute(sql).await? == 0 {
            return Ok(None);
        }
        param_template(tx, &new.template_id).await
    }

    async fn update(tx: &mut Tx, id: &TemplateId, content: &ParamContent, now: Timestamp) -> Result<()> {
        let sql = Sql::new(
            "UPDATE param_templates SET title = $2, description = $3, thumbnail_url = $4, preview_images = $5, \
             mode = $6, resolution = $7, aspect_ratio = $8, sample_count = $9, updated_at = $10 \
             WHERE template_id = $1",
        )
        .bind(id.as_str())
        .bind(content.title.as_str())
        .bind(content.description.as_ref().map(Text::as_str))
        .bind(content.thumbnail_url.as_ref().map(PictureUrl::as_str))
        .bind(json_text(&content.preview_images.as_strs()))
        .bind(content.mode.map(Mode::as_str))
        .bind(content.resolution.map(Resolution::as_str))
        .bind(content.aspect_ratio.map(AspectRatio::as_str))
        .bind(content.sample_count.map(SampleCount::get))
        .bind(now);
        tx.execute(sql).await?;
        Ok(())
    }

    async fn delete(tx: &mut Tx, id: &TemplateId) -> Result<()> {
        let sql = Sql::new("DELETE FROM param_templates WHERE template_id = $1");
        tx.execute(sql.bind(id.as_str())).await?;
        Ok(())
    }
}

/// Adds a prompt template unless its id is taken.
pub(crate) async fn insert_prompt_template(tx: &mut Tx, seed: &SeedPrompt, now: Timestamp) -> Result<()> {
    tx.execute(
        Sql::new(
            "INSERT INTO prompt_templates (template_id, title, description, prompt, category, preview_images, \
             usage_count, is_hot, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, '[]', 0, $6, $7, $7) \
             ON CONFLICT (template_id) DO NOTHING",
        )
        .bind(seed.template_id)
        .bind(seed.title)
        .bind(seed.description)
        .bind(seed.prompt)
        .bind(seed.category)
        .bind(seed.is_hot)
        .bind(now),
    )
    .await?;
    Ok(())
}

/// Adds a parameter template unless its id is taken.
pub(crate) async fn insert_param_template(tx: &mut Tx, seed: &SeedParams, now: Timestamp) -> Result<()> {
    tx.execute(
        Sql::new(
            "INSERT INTO param_templates (template_id, title, description, preview_images, mode, resolution, \
             aspect_ratio, sample_count, created_at, updated_at) VALUES ($1, $2, $3, '[]', $4, $5, $6, $7, $8, $8) \
             ON CONFLICT (template_id) DO NOTHING",
        )
        .bind(seed.template_id)
        .bind(seed.title)
        .bind(seed.description)
        .bind(seed.mode.as_str())
        .bind(seed.resolution.as_str())
        .bind(seed.aspect_ratio.as_str())
        .bind(seed.sample_count)
        .bind(now),
    )
    .await?;
    Ok(())
}

/// Notes what some of the prompt templates behind this one name; the last of them, unless there are no more.
pub(crate) async fn prompt_names(db: &mut impl Db, after: i64, names: &mut Names<'_>) -> Result<Option<i64>> {
    let sql = "SELECT id, template_id, thumbnail_url, preview_images FROM prompt_templates WHERE id > $1 \
               ORDER BY id LIMIT 1000";
    note_names(db, sql, after, names).await
}

/// Notes what some of the parameter templates behind this one name; the last of them, unless there are no more.
pub(crate) async fn param_names(db: &mut impl Db, after: i64, names: &mut Names<'_>) -> Result<Option<i64>> {
    let sql = "SELECT id, template_id, thumbnail_url, preview_images FROM param_templates WHERE id > $1 \
               ORDER BY id LIMIT 1000";
    note_names(db, sql, after, names).await
}

async fn note_names(
    db: &mut impl Db,
    sql: &'static str,
    after: i64,
    names: &mut Names<'_>,
) -> Result<Option<i64>> {
    let mut last = None;
    for row in db.all(Sql::new(sql).bind(after)).await? {
        let by = format!("template:{}", row.get::<TemplateId>("template_id")?);
        names.url(by.as_str(), row.get::<Option<String>>("thumbnail_url")?.as_deref());
        for url in row.json::<Vec<String>>("preview_images")? {
            names.url(by.as_str(), Some(&url));
        }
        last = Some(row.get("id")?);
    }
    Ok(last)
}

/// Adds a prompt template of the original service unless its id is taken; its number, and whether it was added.
pub(crate) async fn take_over_prompt(
    tx: &mut Tx,
    new: &NewTemplate<PromptContent>,
    usage_count: i64,
    now: Timestamp,
) -> Result<Option<(i64, bool)>> {
    let Some(made) = Prompts::insert(tx, new, now).await? else {
        return Ok(prompt_template(tx, &new.template_id).await?.map(|known| (known.id, false)));
    };
    let sql = Sql::new("UPDATE prompt_templates SET usage_count = $2 WHERE id = $1");
    tx.execute(sql.bind(made.id).bind(usage_count)).await?;
    Ok(Some((made.id, true)))
}

/// Adds a parameter template of the original service unless its id is taken; its number, and whether it was added.
pub(crate) async fn take_over_params(
    tx: &mut Tx,
    new: &NewTemplate<ParamContent>,
    now: Timestamp,
) -> Result<Option<(i64, bool)>> {
    if let Some(made) = Params::insert(tx, new, now).await? {
        return Ok(Some((made.id, true)));
    }
    Ok(param_template(tx, &new.template_id).await?.map(|known| (known.id, false)))
}

/// The id that clients know the prompt template of this number by.
pub(crate) async fn prompt_id(db: &mut impl Db, id: i64) -> Result<Option<TemplateId>> {
    let sql = Sql::new("SELECT template_id FROM prompt_templates WHERE id = $1").bind(id);
    db.optional(sql).await?.map(|row| row.get("template_id")).transpose()
}

/// Whether there is a prompt template that clients know by this id.
pub(crate) async fn prompt_exists(db: &mut impl Db, id: &TemplateId) -> Result<bool> {
    let sql = Sql::new("SELECT id FROM prompt_templates WHERE template_id = $1").bind(id.as_str());
    Ok(db.optional(sql).await?.is_some())
}
