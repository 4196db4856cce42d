//! `dream admin-key …`.

use std::time::Duration;

use clap::Subcommand;
use dream_core::kernel::{KeyName, Timestamp};
use dream_core::{FreshKey, KeyRecord};
use secrecy::ExposeSecret as _;
use serde::Serialize;

use super::Desk;
use crate::args::{Write, key_name};
use crate::exit::{Exit, Trouble};
use crate::output::{Column, Output, or_dash, table};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make a key and print it, this once; only its SHA-256 is kept
    Create {
        /// How the audit log names whoever holds it
        #[arg(value_parser = key_name)]
        name: KeyName,
        #[command(flatten)]
        write: Write,
    },
    /// List every key that was made, newest first; those of `ADMIN_API_KEY` are not among them
    List,
    /// Make another key of a name and print it, this once; the one before ends
    Rotate {
        /// The name
        #[arg(value_parser = key_name)]
        name: KeyName,
        /// For how many seconds the one before goes on, so that its holder can change over
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        grace: u64,
        #[command(flatten)]
        write: Write,
    },
    /// End the keys of a name, on every node within a second
    Revoke {
        /// The name
        #[arg(value_parser = key_name)]
        name: KeyName,
        /// Why, for the audit log
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        write: Write,
    },
}

pub(super) async fn run(verb: Verb, output: Output) -> Result<Exit, Trouble> {
    let desk = match &verb {
        Verb::List => Desk::to_look(),
        Verb::Create { write, .. } | Verb::Rotate { write, .. } | Verb::Revoke { write, .. } => {
            Desk::of(write)
        }
    };
    let desk = desk.open().await?;
    let outcome = answer(verb, &desk, output).await;
    desk.close().await;
    outcome.map(|()| Exit::Done)
}

async fn answer(verb: Verb, desk: &Desk, output: Output) -> Result<(), Trouble> {
    let admin = desk.admin();
    match verb {
        Verb::List => list(&admin.keys().await?, desk.dream.now(), output),
        Verb::Create { name, write } => {
            output.confirm(&write, &format!("Make the admin key {name}?"))?;
            let hint = format!("`dream admin-key rotate {name}` makes another one of this name");
            let fresh = admin.create_key(&name).await.map_err(|error| refused(error, &hint))?;
            hand_over(&fresh, &write, output)
        }
        Verb::Rotate { name, grace, write } => {
            output.confirm(&write, &format!("Make another admin key {name}, and end the one before?"))?;
            let rotated = admin.rotate_key(&name, Duration::from_secs(grace)).await;
            hand_over(&rotated.map_err(|error| refused(error, NO_SUCH_KEY))?, &write, output)
        }
        Verb::Revoke { name, reason, write } => {
            output.confirm(&write, &format!("End the admin key {name}?"))?;
            let revoked = admin.revoke_key(&name, reason.as_deref()).await;
            revoked.map_err(|error| refused(error, NO_SUCH_KEY))?;
            let human = format!("The admin key {name} opens nothing any more.");
            output.changed(&write, &Revoked { revoked: name.to_string() }, || human)
        }
    }
}

const NO_SUCH_KEY: &str = "`dream admin-key list` shows which keys there are";

fn refused(error: dream_core::Error, hint: &str) -> Trouble {
    let trouble = Trouble::from(error);
    if trouble.exit == Exit::Refused { trouble.hint(hint) } else { trouble }
}

#[derive(Serialize)]
struct Revoked {
    revoked: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fresh<'a> {
    name: &'a str,
    /// Absent where it was made for show.
    key: Option<&'a str>,
    created_at: String,
}

/// The key is the result, so it goes to standard output and nowhere else.
fn hand_over(fresh: &FreshKey, write: &Write, output: Output) -> Result<(), Trouble> {
    let key = (!write.dry_run).then(|| fresh.key.expose_secret());
    let shown = Fresh { name: fresh.name.as_str(), key, created_at: fresh.created_at.to_string() };
    let human = key.map_or_else(|| format!("A key of the name {} would be made.", fresh.name), str::to_owned);
    output.changed(write, &shown, || human)?;
    if !write.dry_run {
        output.note("keep it now: it is shown this once");
    }
    Ok(())
}

#[derive(Serialize)]
struct List {
    keys: Vec<Key>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Key {
    name: String,
    fingerprint: String,
    open: bool,
    created_at: String,
    ends_at: Option<String>,
}

fn list(keys: &[KeyRecord], now: Timestamp, output: Output) -> Result<(), Trouble> {
    let columns = [
        Column::Text("NAME"),
        Column::Text("OPEN"),
        Column::Text("CREATED"),
        Column::Text("ENDS"),
        Column::Text("SHA-256"),
    ];
    let rows = keys.iter().map(|key| {
        vec![
            key.name.to_string(),
            if key.is_open(now) { "yes" } else { "no" }.to_owned(),
            key.created_at.to_string(),
            or_dash(key.ends_at),
            format!("{}…", key.fingerprint),
        ]
    });
    let human = table(&columns, rows);
    let keys = keys.iter().map(|key| Key {
        name: key.name.to_string(),
        fingerprint: key.fingerprint.clone(),
        open: key.is_open(now),
        created_at: key.created_at.to_string(),
        ends_at: key.ends_at.map(|at| at.to_string()),
    });
    output.show(&List { keys: keys.collect() }, || human)
}
