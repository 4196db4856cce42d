//! `dream character …`.

use clap::Subcommand;
use dream_core::characters::Character;
use dream_core::jobs::CharacterRef;
use dream_core::kernel::UserId;
use dream_http::wire::characters;
use serde::Serialize;

use super::{Desk, collect};
use crate::args::{Amount, Write, parsed, user_id};
use crate::exit::{Exit, Trouble};
use crate::output::{Column, Output, or_dash, pairs, table};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List characters, newest first
    List {
        /// Those of this user
        #[arg(long, value_name = "ID", value_parser = user_id)]
        user: Option<UserId>,
        #[command(flatten)]
        amount: Amount,
    },
    /// Show one character and its photos
    Show {
        /// The character's number or UUID
        #[arg(value_parser = parsed::<CharacterRef>)]
        character: CharacterRef,
    },
    /// Delete a character and its photos; their objects are removed from storage by the server's worker
    Delete {
        /// The character's number or UUID
        #[arg(value_parser = parsed::<CharacterRef>)]
        character: CharacterRef,
        #[command(flatten)]
        write: Write,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List {
    characters: Vec<characters::Character>,
    has_more: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Deleted {
    deleted: i64,
    photos: usize,
}

pub(super) async fn run(verb: Verb, output: Output) -> Result<Exit, Trouble> {
    let desk = match &verb {
        Verb::List { .. } | Verb::Show { .. } => Desk::to_look(),
        Verb::Delete { write, .. } => Desk::of(write),
    };
    let desk = desk.open().await?;
    let outcome = answer(verb, &desk, output).await;
    desk.close().await;
    outcome.map(|()| Exit::Done)
}

async fn answer(verb: Verb, desk: &Desk, output: Output) -> Result<(), Trouble> {
    let admin = desk.admin();
    match verb {
        Verb::List { user, amount } => {
            let read = async |page| admin.characters(user, &page).await;
            let (found, has_more) = collect(amount.wanted(), read).await?;
            let human = listed(&found);
            let list = List { characters: found.into_iter().map(Into::into).collect(), has_more };
            output.show(&list, || human)?;
            output.note_more(has_more);
            Ok(())
        }
        Verb::Show { character } => {
            let character = admin.character(&character).await?;
            let human = described(&character);
            output.show(&characters::Character::from(character), || human)
        }
        Verb::Delete { character, write } => {
            let found = admin.character(&character).await?;
            let (id, photos) = (found.id, found.photos.len());
            let question =
                format!("Delete character {id} ({}) and its {photos} photos for good?", found.name);
            output.confirm(&write, &question)?;
            admin.delete_character(&character).await?;
            let done = Deleted { deleted: id.get(), photos };
            output.changed(&write, &done, || format!("Character {id} is deleted, and {photos} photos of it."))
        }
    }
}

fn listed(characters: &[Character]) -> String {
    let columns = [
        Column::Number("ID"),
        Column::Number("USER"),
        Column::Text("NAME"),
        Column::Number("PHOTOS"),
        Column::Text("CREATED"),
        Column::Text("UUID"),
    ];
    let rows = characters.iter().map(|character| {
        vec![
            character.id.to_string(),
            character.user.to_string(),
            character.name.clone(),
            character.photos.len().to_string(),
            character.created_at.to_string(),
            character.uuid.to_string(),
        ]
    });
    table(&columns, rows)
}

fn described(character: &Character) -> String {
    let facts = pairs(&[
        ("id", character.id.to_string()),
        ("uuid", character.uuid.to_string()),
        ("user", character.user.to_string()),
        ("name", character.name.clone()),
        ("description", or_dash(character.description.as_deref())),
        ("created", character.created_at.to_string()),
        ("updated", character.updated_at.to_string()),
    ]);
    let columns =
        [Column::Number("PHOTO"), Column::Text("TYPE"), Column::Number("BYTES"), Column::Text("ADDRESS")];
    let rows = character.photos.iter().map(|photo| {
        vec![
            photo.id.to_string(),
            photo.mime_type.clone(),
            photo.original_size.to_string(),
            photo.original_url.clone(),
        ]
    });
    format!("{facts}\n\n{}", table(&columns, rows))
}
