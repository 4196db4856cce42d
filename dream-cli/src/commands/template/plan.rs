//! Importing: what would be done is shown, confirmed, and then done in one commit.

use std::fmt::Write as _;

use dream_core::templates::{Content, Edit, FieldChange, KindPlan, TemplatePlan, TemplateSet, Unnamed};
use serde::Serialize;
use serde_json::Value;

use super::Desk;
use crate::args::Write;
use crate::exit::{Exit, Trouble};
use crate::output::Output;

/// How much of a text that changes is shown, in characters.
const SHOWN: usize = 60;

pub(super) async fn import(
    wanted: TemplateSet,
    unnamed: Unnamed,
    write: &Write,
    desk: &Desk,
    output: Output,
) -> Result<(), Trouble> {
    let admin = desk.admin();
    let plan = admin.plan_templates(wanted, unnamed).await?;
    let told = Told::of(&plan);
    if plan.is_empty() {
        return output.changed(write, &told, || "The templates are as the file has them.".to_owned());
    }
    if !output.json {
        output.data(difference(&plan).trim_end())?;
    }
    output.confirm(write, &format!("Do this: {}?", told.in_words()))?;
    admin.apply_template_plan(&plan).await.map_err(outdated)?;
    output.changed(write, &told, || format!("\n{}.", told.in_words()))
}

fn outdated(error: dream_core::Error) -> Trouble {
    let trouble = Trouble::from(error);
    if trouble.exit == Exit::Refused {
        trouble.hint("somebody changed a template meanwhile: run it again to see how they differ now")
    } else {
        trouble
    }
}

/// The difference, for people: a line for each template, and one for each field that changes.
fn difference(plan: &TemplatePlan) -> String {
    let mut text = String::new();
    of_kind(&mut text, "prompt", &plan.prompts);
    of_kind(&mut text, "param", &plan.params);
    text
}

fn of_kind<C: Content>(text: &mut String, kind: &str, plan: &KindPlan<C>) {
    for new in &plan.additions {
        let _ = writeln!(text, "+ {kind} {}  {}", new.template_id, title(&new.content));
    }
    for edit in &plan.changes {
        let _ = writeln!(text, "~ {kind} {}", edit.template_id);
        for FieldChange { field, before, after } in edit.fields() {
            let _ = writeln!(text, "    {field}: {} → {}", short(&before), short(&after));
        }
    }
    for gone in &plan.removals {
        let _ = writeln!(text, "- {kind} {}  {}", gone.template_id, title(&gone.content));
    }
}

fn title(content: &impl Content) -> String {
    let fields = content.fields();
    let title = fields.into_iter().find(|(name, _)| *name == "title");
    title.map(|(_, title)| short(&title)).unwrap_or_default()
}

/// As JSON in one line, and without what could command the terminal.
fn short(value: &Value) -> String {
    let text: String = value.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match text.char_indices().nth(SHOWN) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}

/// The difference, for programs.
#[derive(Serialize)]
struct Told {
    prompts: ToldKind,
    params: ToldKind,
}

#[derive(Serialize)]
struct ToldKind {
    added: Vec<String>,
    changed: Vec<ToldEdit>,
    removed: Vec<String>,
    unchanged: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToldEdit {
    template_id: String,
    fields: Vec<ToldField>,
}

#[derive(Serialize)]
struct ToldField {
    field: &'static str,
    before: Value,
    after: Value,
}

impl Told {
    fn of(plan: &TemplatePlan) -> Self {
        Self { prompts: ToldKind::of(&plan.prompts), params: ToldKind::of(&plan.params) }
    }

    fn in_words(&self) -> String {
        let sum = |count: fn(&ToldKind) -> usize| count(&self.prompts) + count(&self.params);
        format!(
            "{} added, {} changed, {} removed, {} as they are",
            sum(|kind| kind.added.len()),
            sum(|kind| kind.changed.len()),
            sum(|kind| kind.removed.len()),
            sum(|kind| kind.unchanged),
        )
    }
}

impl ToldKind {
    fn of<C: Content>(plan: &KindPlan<C>) -> Self {
        let edit = |edit: &Edit<C>| ToldEdit {
            template_id: edit.template_id.to_string(),
            fields: edit.fields().into_iter().map(ToldField::from).collect(),
        };
        Self {
            added: plan.additions.iter().map(|it| it.template_id.to_string()).collect(),
            changed: plan.changes.iter().map(edit).collect(),
            removed: plan.removals.iter().map(|it| it.template_id.to_string()).collect(),
            unchanged: plan.unchanged,
        }
    }
}

impl From<FieldChange> for ToldField {
    fn from(change: FieldChange) -> Self {
        Self { field: change.field, before: change.before, after: change.after }
    }
}
