//! `dream vip …`.

use clap::{Args, Subcommand};
use dream_core::kernel::{Timestamp, UserId};
use dream_core::vip::{Level, Span, SpanSource, VipChange, VipTerm};
use dream_http::wire::{users, vip::VipSpan};
use serde::Serialize;

use super::Desk;
use super::user::described;
use crate::args::{Write, level, timestamp, user_id};
use crate::exit::{Exit, Trouble};
use crate::output::{Column, Output, table};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Give a user time at a level; a lower level than the present one waits
    Set {
        /// The user's id
        #[arg(value_parser = user_id)]
        user: UserId,
        /// VIP or SVIP
        #[arg(value_parser = level)]
        level: Level,
        #[command(flatten)]
        term: Term,
        /// Why, for the audit log
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        write: Write,
    },
    /// Remove all membership time of a user, at every level
    Cancel {
        /// The user's id
        #[arg(value_parser = user_id)]
        user: UserId,
        /// Why, for the audit log
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        write: Write,
    },
}

/// For how long a level is given.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Term {
    /// This many days on top of what is left of the level
    #[arg(long)]
    days: Option<i64>,
    /// The level ends at this time, such as 2027-01-31T00:00:00Z
    #[arg(long, value_name = "TIME", value_parser = timestamp)]
    until: Option<Timestamp>,
}

pub(super) async fn run(verb: Verb, output: Output) -> Result<Exit, Trouble> {
    let write = match &verb {
        Verb::Set { write, .. } | Verb::Cancel { write, .. } => write.clone(),
    };
    let desk = Desk::of(&write).open().await?;
    let outcome = answer(verb, &desk, output).await;
    desk.close().await;
    outcome.map(|()| Exit::Done)
}

async fn answer(verb: Verb, desk: &Desk, output: Output) -> Result<(), Trouble> {
    match verb {
        Verb::Set { user, level, term, reason, write } => {
            let term = term_of(&term)?;
            let question = match term {
                VipTerm::Days(days) => format!("Give user {user} {days} more days of {}?", level.as_str()),
                VipTerm::Until(until) => format!("Let {} of user {user} end at {until}?", level.as_str()),
            };
            output.confirm(&write, &question)?;
            let changed = desk.admin().set_vip(user, level, term, reason.as_deref()).await?;
            show_change(changed, &write, output)
        }
        Verb::Cancel { user, reason, write } => {
            output.confirm(&write, &format!("Remove all membership time of user {user} now?"))?;
            let changed = desk.admin().cancel_vip(user, reason.as_deref()).await?;
            show_change(changed, &write, output)
        }
    }
}

/// The user as it is now, with its spans before and after the change.
#[derive(Serialize)]
struct Changed {
    before: Vec<VipSpan>,
    after: Vec<VipSpan>,
    #[serde(flatten)]
    user: users::User,
}

fn show_change(change: VipChange, write: &Write, output: Output) -> Result<(), Trouble> {
    let json = |spans: &[Span]| spans.iter().map(VipSpan::from).collect();
    let human = format!(
        "before\n{}\nafter\n{}\n{}",
        listed(&change.before),
        listed(&change.after),
        described(&change.user)
    );
    let changed = Changed {
        before: json(&change.before),
        after: json(&change.after),
        user: users::User::from(change.user),
    };
    output.changed(write, &changed, || human)
}

fn listed(spans: &[Span]) -> String {
    let columns =
        [Column::Text("SPAN"), Column::Text("FROM"), Column::Text("UNTIL"), Column::Text("ORDER OR GRANT")];
    let rows = spans.iter().map(|span| {
        let source = match &span.source {
            SpanSource::Order(order) => format!("order {order}"),
            SpanSource::Grant(by) => format!("granted by {by}"),
        };
        vec![span.level.as_str().to_owned(), span.starts_at.to_string(), span.ends_at.to_string(), source]
    });
    table(&columns, rows)
}

fn term_of(term: &Term) -> Result<VipTerm, Trouble> {
    match (term.days, term.until) {
        (Some(days), _) => Ok(VipTerm::Days(days)),
        (None, Some(until)) => Ok(VipTerm::Until(until)),
        (None, None) => Err(Trouble::new(Exit::Usage, "USAGE", "--days or --until is needed")),
    }
}
