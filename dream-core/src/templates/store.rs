//! The tables `prompt_templates` and `param_templates`.

use super::{ParamTemplate, PromptFilter, PromptTemplate};
use crate::error::Result;
use crate::jobs::{AspectRatio, Mode, Resolution};
use crate::kernel::{TemplateId, Timestamp};
use crate::seeds::{SeedParams, SeedPrompt};
use crate::store::{Db, Row, Sql, StoreError, Tx};

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
        title: row.get("title")?,
        description: row.get("description")?,
        prompt: row.get("prompt")?,
        category: row.get("category")?,
        thumbnail_url: row.get("thumbnail_url")?,
        preview_images: row.json("preview_images")?,
        usage_count: row.get("usage_count")?,
        is_hot: row.get("is_hot")?,
    })
}

pub(super) async fn prompt_templates(db: &mut impl Db, filter: &PromptFilter) -> Result<Vec<PromptTemplate>> {
    let sql = Sql::new(prompts!(
        "WHERE (CAST($1 AS TEXT) IS NULL OR category = $1) AND (is_hot OR NOT $2) ORDER BY usage_count DESC, id"
    ));
    let sql = sql.bind(filter.category.as_deref()).bind(filter.trending);
    db.all(sql).await?.iter().map(read_prompt).collect()
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

pub(super) async fn count_use(db: &mut impl Db, id: &TemplateId) -> Result<bool> {
    let sql = Sql::new("UPDATE prompt_templates SET usage_count = usage_count + 1 WHERE template_id = $1");
    Ok(db.execute(sql.bind(id.as_str())).await? == 1)
}

macro_rules! params {
    ($rest:literal) => {
        concat!(
            "SELECT id, template_id, title, description, thumbnail_url, preview_images, mode, resolution, \
             aspect_ratio, sample_count FROM param_templates ",
            $rest
        )
    };
}

fn optional_word<T>(row: &Row, name: &'static str, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>> {
    let Some(text) = row.get::<Option<String>>(name)? else { return Ok(None) };
    let word =
        parse(&text).ok_or_else(|| StoreError::Inconsistent(format!("param_templates.{name}: {text}")))?;
    Ok(Some(word))
}

fn read_params(row: &Row) -> Result<ParamTemplate> {
    Ok(ParamTemplate {
        id: row.get("id")?,
        template_id: row.get("template_id")?,
        title: row.get("title")?,
        description: row.get("description")?,
        thumbnail_url: row.get("thumbnail_url")?,
        preview_images: row.json("preview_images")?,
        mode: optional_word(row, "mode", Mode::parse)?,
        resolution: optional_word(row, "resolution", Resolution::parse)?,
        aspect_ratio: optional_word(row, "aspect_ratio", AspectRatio::parse)?,
        sample_count: row.get("sample_count")?,
    })
}

pub(super) async fn param_templates(db: &mut impl Db) -> Result<Vec<ParamTemplate>> {
    db.all(Sql::new(params!("ORDER BY id"))).await?.iter().map(read_params).collect()
}

pub(super) async fn param_template(db: &mut impl Db, id: &TemplateId) -> Result<Option<ParamTemplate>> {
    let sql = Sql::new(params!("WHERE template_id = $1")).bind(id.as_str());
    db.optional(sql).await?.as_ref().map(read_params).transpose()
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
