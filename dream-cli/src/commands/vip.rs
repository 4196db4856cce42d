//! `dream vip …`.

use clap::{Args, Subcommand};
use dream_core::kernel::{Timestamp, UserId};
use dream_core::vip::{Level, VipTerm};

use super::Desk;
use super::user::show_changed;
use crate::args::{Write, level, timestamp, user_id};
use crate::exit::{Exit, Trouble};
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Give a user a level
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
    /// End a user's level at once
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
    /// This many days on top of what is left
    #[arg(long)]
    days: Option<i64>,
    /// Until this time, such as 2027-01-31T00:00:00Z
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
                VipTerm::Until(until) => format!("Make user {user} {} until {until}?", level.as_str()),
            };
            output.confirm(&write, &question)?;
            let changed = desk.admin().set_vip(user, level, term, reason.as_deref()).await?;
            show_changed(changed, &write, output)
        }
        Verb::Cancel { user, reason, write } => {
            output.confirm(&write, &format!("End the level of user {user} now?"))?;
            let changed = desk.admin().cancel_vip(user, reason.as_deref()).await?;
            show_changed(changed, &write, output)
        }
    }
}

fn term_of(term: &Term) -> Result<VipTerm, Trouble> {
    match (term.days, term.until) {
        (Some(days), _) => Ok(VipTerm::Days(days)),
        (None, Some(until)) => Ok(VipTerm::Until(until)),
        (None, None) => Err(Trouble::new(Exit::Usage, "USAGE", "--days or --until is needed")),
    }
}
