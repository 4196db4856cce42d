//! `dream template …`.

mod fields;
mod file;
mod plan;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use dream_core::jobs::{AspectRatio, Mode, PictureUrl, Resolution, SampleCount, Text};
use dream_core::kernel::TemplateId;
use dream_core::templates::{ParamTemplate, PromptFilter, PromptTemplate, Unnamed};
use dream_http::input::read_value;
use dream_http::wire::templates as wire;
use serde::Serialize;

use super::Desk;
use crate::args::{Write, parsed};
use crate::exit::{Exit, Trouble};
use crate::output::{Column, Output, or_dash, pairs, table};
use fields::Fields;
use file::Format;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List templates: prompts by use, parameters in the order in which they were made
    List {
        #[command(flatten)]
        of: Of,
        /// Only prompts of this category
        #[arg(long)]
        category: Option<String>,
        /// Only prompts that are pointed out
        #[arg(long)]
        hot: bool,
    },
    /// Show one template
    Show {
        /// Its id
        #[arg(value_parser = parsed::<TemplateId>)]
        template: TemplateId,
        #[command(flatten)]
        of: Of,
    },
    /// Make a template, from a file or from what is given here
    Create {
        /// Its id
        #[arg(value_parser = parsed::<TemplateId>)]
        template: TemplateId,
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        fields: Box<Fields>,
        #[command(flatten)]
        write: Write,
    },
    /// Change a template, from a file or by what is given here; what is left out stays, what is given empty goes
    Update {
        /// Its id
        #[arg(value_parser = parsed::<TemplateId>)]
        template: TemplateId,
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        fields: Box<Fields>,
        #[command(flatten)]
        write: Write,
    },
    /// Remove templates
    Delete {
        /// Their ids
        #[arg(required = true, value_parser = parsed::<TemplateId>)]
        templates: Vec<TemplateId>,
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        write: Write,
    },
    /// Show how the templates differ from those in a file, then make them alike, all of them or none
    Import {
        /// The file, as `export` writes it; `-` for standard input
        file: PathBuf,
        /// JSON or YAML; told by the file's name unless given
        #[arg(long, value_enum)]
        format: Option<Format>,
        /// Remove the templates that the file does not name
        #[arg(long)]
        prune: bool,
        #[command(flatten)]
        write: Write,
    },
    /// Write all templates of both kinds
    Export {
        /// JSON or YAML; told by the file's name unless given
        #[arg(long, value_enum)]
        format: Option<Format>,
        /// Into this file, which is there once it is whole; standard output unless given
        #[arg(long, short = 'o', value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// Which templates are meant.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Of {
    /// Prompts to start from, or sets of parameters
    #[arg(long, value_enum, default_value_t = Kind::Prompt)]
    kind: Kind,
}

/// What a template is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A prompt
    Prompt,
    /// Parameters
    Param,
}

impl Kind {
    fn noun(self) -> &'static str {
        match self {
            Kind::Prompt => "prompt template",
            Kind::Param => "parameter template",
        }
    }
}

pub(super) async fn run(verb: Verb, output: Output) -> Result<Exit, Trouble> {
    let opening = match &verb {
        Verb::List { .. } | Verb::Show { .. } | Verb::Export { .. } => Desk::to_look(),
        Verb::Create { write, .. }
        | Verb::Update { write, .. }
        | Verb::Delete { write, .. }
        | Verb::Import { write, .. } => Desk::of(write),
    };
    let desk = opening.open().await?;
    let outcome = answer(verb, &desk, output).await;
    desk.close().await;
    outcome.map(|()| Exit::Done)
}

async fn answer(verb: Verb, desk: &Desk, output: Output) -> Result<(), Trouble> {
    match verb {
        Verb::List { of, category, hot } => list(of.kind, category, hot, desk, output).await,
        Verb::Show { template, of } => show(of.kind, &template, desk, output).await,
        Verb::Create { template, of, fields, write } => {
            create(of.kind, &template, &fields, &write, desk, output).await
        }
        Verb::Update { template, of, fields, write } => {
            update(of.kind, &template, &fields, &write, desk, output).await
        }
        Verb::Delete { templates, of, write } => delete(of.kind, &templates, &write, desk, output).await,
        Verb::Import { file, format, prune, write } => {
            let wanted: wire::TemplateFile = read_value(file::read(&file, format)?)?;
            let unnamed = if prune { Unnamed::Remove } else { Unnamed::Keep };
            plan::import(wanted.into(), unnamed, &write, desk, output).await
        }
        Verb::Export { format, output: target } => {
            let set = desk.admin().export_templates().await?;
            file::write(&wire::StoredTemplates::from(&set), target.as_deref(), format, output)
        }
    }
}

#[derive(Serialize)]
struct List<T> {
    templates: Vec<T>,
}

async fn list(
    kind: Kind,
    category: Option<String>,
    hot: bool,
    desk: &Desk,
    output: Output,
) -> Result<(), Trouble> {
    let guest = desk.dream.guest();
    match kind {
        Kind::Prompt => {
            let found = guest.prompt_templates(&PromptFilter { category, trending: hot }).await?;
            let human = prompts(&found);
            let templates: Vec<wire::PromptTemplate> = found.into_iter().map(Into::into).collect();
            output.show(&List { templates }, || human)
        }
        Kind::Param => {
            if category.is_some() || hot {
                return Err(Trouble::new(
                    Exit::Usage,
                    "USAGE",
                    "parameters have no category and are not hot",
                ));
            }
            let found = guest.param_templates().await?;
            let human = params(&found);
            let templates: Vec<wire::ParamTemplate> = found.into_iter().map(Into::into).collect();
            output.show(&List { templates }, || human)
        }
    }
}

fn prompts(templates: &[PromptTemplate]) -> String {
    let columns = [
        Column::Text("ID"),
        Column::Text("CATEGORY"),
        Column::Text("HOT"),
        Column::Number("USES"),
        Column::Text("TITLE"),
    ];
    let rows = templates.iter().map(|template| {
        vec![
            template.template_id.to_string(),
            template.content.category.as_str().to_owned(),
            if template.content.is_hot { "yes" } else { "no" }.to_owned(),
            template.usage_count.to_string(),
            template.content.title.as_str().to_owned(),
        ]
    });
    table(&columns, rows)
}

fn params(templates: &[ParamTemplate]) -> String {
    let columns = [
        Column::Text("ID"),
        Column::Text("MODE"),
        Column::Text("SIZE"),
        Column::Text("SHAPE"),
        Column::Text("COUNT"),
        Column::Text("TITLE"),
    ];
    let rows = templates.iter().map(|template| {
        let content = &template.content;
        vec![
            template.template_id.to_string(),
            or_dash(content.mode.map(Mode::as_str)),
            or_dash(content.resolution.map(Resolution::as_str)),
            or_dash(content.aspect_ratio.map(AspectRatio::as_str)),
            or_dash(content.sample_count.map(SampleCount::get)),
            content.title.as_str().to_owned(),
        ]
    });
    table(&columns, rows)
}

async fn show(kind: Kind, id: &TemplateId, desk: &Desk, output: Output) -> Result<(), Trouble> {
    let guest = desk.dream.guest();
    match kind {
        Kind::Prompt => {
            let template = guest.prompt_template(id).await.map_err(not_found)?;
            let human = prompt(&template);
            output.show(&wire::PromptTemplate::from(template), || human)
        }
        Kind::Param => {
            let template = guest.param_template(id).await.map_err(not_found)?;
            let human = param(&template);
            output.show(&wire::ParamTemplate::from(template), || human)
        }
    }
}

fn not_found(error: dream_core::Error) -> Trouble {
    let trouble = Trouble::from(error);
    if trouble.exit == Exit::NotFound {
        trouble.hint("`dream template list` shows the prompts, and with --kind param the parameters")
    } else {
        trouble
    }
}

fn prompt(template: &PromptTemplate) -> String {
    let content = &template.content;
    pairs(&[
        ("id", template.template_id.to_string()),
        ("title", content.title.as_str().to_owned()),
        ("description", or_dash(content.description.as_ref().map(Text::as_str))),
        ("category", content.category.as_str().to_owned()),
        ("hot", if content.is_hot { "yes" } else { "no" }.to_owned()),
        ("uses", template.usage_count.to_string()),
        ("prompt", content.prompt.as_str().to_owned()),
        ("thumbnail", or_dash(content.thumbnail_url.as_ref().map(PictureUrl::as_str))),
        ("previews", content.preview_images.as_strs().join(" ")),
    ])
}

fn param(template: &ParamTemplate) -> String {
    let content = &template.content;
    pairs(&[
        ("id", template.template_id.to_string()),
        ("title", content.title.as_str().to_owned()),
        ("description", or_dash(content.description.as_ref().map(Text::as_str))),
        ("mode", or_dash(content.mode.map(Mode::as_str))),
        ("resolution", or_dash(content.resolution.map(Resolution::as_str))),
        ("aspect ratio", or_dash(content.aspect_ratio.map(AspectRatio::as_str))),
        ("sample count", or_dash(content.sample_count.map(SampleCount::get))),
        ("thumbnail", or_dash(content.thumbnail_url.as_ref().map(PictureUrl::as_str))),
        ("previews", content.preview_images.as_strs().join(" ")),
    ])
}

async fn create(
    kind: Kind,
    id: &TemplateId,
    fields: &Fields,
    write: &Write,
    desk: &Desk,
    output: Output,
) -> Result<(), Trouble> {
    let mut object = fields.object()?;
    object.insert("templateId".to_owned(), id.as_str().into());
    let admin = desk.admin();
    let question = format!("Make the {} {id}?", kind.noun());
    match kind {
        Kind::Prompt => {
            let new: wire::NewPromptTemplate = read_value(object.into())?;
            output.confirm(write, &question)?;
            let made = admin.create_prompt_template(new.into()).await?;
            let human = prompt(&made);
            output.changed(write, &wire::PromptTemplate::from(made), || human)
        }
        Kind::Param => {
            let new: wire::NewParamTemplate = read_value(object.into())?;
            output.confirm(write, &question)?;
            let made = admin.create_param_template(new.into()).await?;
            let human = param(&made);
            output.changed(write, &wire::ParamTemplate::from(made), || human)
        }
    }
}

async fn update(
    kind: Kind,
    id: &TemplateId,
    fields: &Fields,
    write: &Write,
    desk: &Desk,
    output: Output,
) -> Result<(), Trouble> {
    let mut object = fields.object()?;
    // A file that tells the whole template names it too.
    if object.get("templateId").is_some_and(|named| named.as_str() == Some(id.as_str())) {
        object.remove("templateId");
    }
    if object.is_empty() {
        return Err(Trouble::new(Exit::Usage, "USAGE", "nothing is given that could change"));
    }
    let admin = desk.admin();
    let question = format!("Change the {} {id}?", kind.noun());
    match kind {
        Kind::Prompt => {
            let update: wire::UpdatePromptTemplate = read_value(object.into())?;
            output.confirm(write, &question)?;
            let changed = admin.update_prompt_template(id, &update.into()).await.map_err(not_found)?;
            let human = prompt(&changed);
            output.changed(write, &wire::PromptTemplate::from(changed), || human)
        }
        Kind::Param => {
            let update: wire::UpdateParamTemplate = read_value(object.into())?;
            output.confirm(write, &question)?;
            let changed = admin.update_param_template(id, &update.into()).await.map_err(not_found)?;
            let human = param(&changed);
            output.changed(write, &wire::ParamTemplate::from(changed), || human)
        }
    }
}

#[derive(Serialize)]
struct Deleted {
    deleted: usize,
}

async fn delete(
    kind: Kind,
    ids: &[TemplateId],
    write: &Write,
    desk: &Desk,
    output: Output,
) -> Result<(), Trouble> {
    let admin = desk.admin();
    let named = match ids {
        [one] => format!("the {} {one}", kind.noun()),
        many => format!("{} {}s", many.len(), kind.noun()),
    };
    output.confirm(write, &format!("Remove {named}?"))?;
    let deleted = match (kind, ids) {
        // One that is not there is told; of many, those that are there go.
        (Kind::Prompt, [one]) => admin.delete_prompt_template(one).await.map(|()| 1),
        (Kind::Param, [one]) => admin.delete_param_template(one).await.map(|()| 1),
        (Kind::Prompt, many) => admin.delete_prompt_templates(many).await,
        (Kind::Param, many) => admin.delete_param_templates(many).await,
    };
    let deleted = deleted.map_err(not_found)?;
    output.changed(write, &Deleted { deleted }, || format!("{deleted} removed."))
}
