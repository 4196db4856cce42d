//! `dream gallery …`.

use clap::Subcommand;
use dream_core::gallery::{ImageStatus, ModeratedImage};
use dream_core::kernel::ImageId;
use dream_core::ports::Verdict;
use dream_http::wire::gallery as wire;
use serde::Serialize;

use super::{Desk, collect};
use crate::args::{Amount, Write, parsed, word};
use crate::exit::{Exit, Trouble};
use crate::output::{Column, Output, or_dash, pairs, table};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List pictures in one state, newest first
    List {
        /// Those in this state: PENDING, PUBLIC, REJECTED or REMOVED
        #[arg(long, default_value = "PENDING", value_parser = status)]
        status: ImageStatus,
        #[command(flatten)]
        amount: Amount,
    },
    /// Show one picture in whatever state, with what its checks found
    Show {
        /// The picture's id
        #[arg(value_parser = parsed::<ImageId>)]
        image: ImageId,
    },
    /// Let a picture go public, whatever the checks found
    Approve {
        /// The picture's id
        #[arg(value_parser = parsed::<ImageId>)]
        image: ImageId,
        /// Why, for the audit log
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        write: Write,
    },
    /// Keep a picture from the public, or take it back; its author still has it
    Reject {
        /// The picture's id
        #[arg(value_parser = parsed::<ImageId>)]
        image: ImageId,
        /// Why, for the audit log
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        write: Write,
    },
    /// Take a picture out for good; its result is not published again
    Remove {
        /// The picture's id
        #[arg(value_parser = parsed::<ImageId>)]
        image: ImageId,
        /// Why, for the audit log
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        write: Write,
    },
}

fn status(text: &str) -> Result<ImageStatus, String> {
    word(text, ImageStatus::NAMES, ImageStatus::parse)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List {
    images: Vec<wire::ModeratedImage>,
    has_more: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Removed {
    removed: i64,
}

pub(super) async fn run(verb: Verb, output: Output) -> Result<Exit, Trouble> {
    let desk = match &verb {
        Verb::List { .. } | Verb::Show { .. } => Desk::to_look().open().await?,
        Verb::Approve { write, .. } | Verb::Reject { write, .. } => Desk::of(write).open().await?,
        // Only their store knows which pictures are ours.
        Verb::Remove { write, .. } => Desk::of(write).with_pictures().open().await?,
    };
    let outcome = answer(verb, &desk, output).await;
    desk.close().await;
    outcome.map(|()| Exit::Done)
}

async fn answer(verb: Verb, desk: &Desk, output: Output) -> Result<(), Trouble> {
    let admin = desk.admin();
    match verb {
        Verb::List { status, amount } => list(desk, status, amount, output).await,
        Verb::Show { image } => {
            let image = admin.gallery_image(image).await?;
            let human = described(&image);
            output.show(&wire::ModeratedImage::from(image), || human)
        }
        Verb::Approve { image, reason, write } => {
            output.confirm(&write, &format!("Let everybody see picture {image}?"))?;
            show_changed(admin.approve_image(image, reason.as_deref()).await?, &write, output)
        }
        Verb::Reject { image, reason, write } => {
            output.confirm(&write, &format!("Keep picture {image} from the public?"))?;
            show_changed(admin.reject_image(image, &reason).await?, &write, output)
        }
        Verb::Remove { image, reason, write } => {
            output.confirm(&write, &format!("Take picture {image} out for good?"))?;
            admin.remove_image(image, Some(&reason)).await?;
            let removed = Removed { removed: image.get() };
            output.changed(&write, &removed, || format!("Picture {image} is taken out."))
        }
    }
}

async fn list(desk: &Desk, status: ImageStatus, amount: Amount, output: Output) -> Result<(), Trouble> {
    let admin = desk.admin();
    let (images, has_more) =
        collect(amount.wanted(), async |page| admin.gallery_images(status, &page).await).await?;
    let columns = [
        Column::Number("ID"),
        Column::Number("AUTHOR"),
        Column::Text("CATEGORY"),
        Column::Number("LIKES"),
        Column::Text("TEXT"),
        Column::Text("PICTURE"),
        Column::Text("CREATED"),
        Column::Text("URL"),
    ];
    let rows = images.iter().map(|one| {
        vec![
            one.image.id.to_string(),
            or_dash(one.image.author.as_ref().map(|author| author.id)),
            one.image.category.clone(),
            one.image.likes.to_string(),
            or_dash(one.text_verdict.map(verdict)),
            or_dash(one.picture_verdict.map(verdict)),
            one.image.created_at.to_string(),
            one.image.image_url.clone(),
        ]
    });
    let human = table(&columns, rows);
    let list = List { images: images.into_iter().map(Into::into).collect(), has_more };
    output.show(&list, || human)?;
    output.note_more(has_more);
    Ok(())
}

const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Review => "review",
        Verdict::Risky => "risky",
    }
}

fn described(moderated: &ModeratedImage) -> String {
    let image = &moderated.image;
    pairs(&[
        ("id", image.id.to_string()),
        ("status", moderated.status.as_str().to_owned()),
        ("author", or_dash(image.author.as_ref().map(|author| author.id))),
        ("category", image.category.clone()),
        ("tags", image.tags.join(", ")),
        ("prompt", image.prompt.clone()),
        ("likes", image.likes.to_string()),
        ("text check", or_dash(moderated.text_verdict.map(verdict))),
        ("picture check", or_dash(moderated.picture_verdict.map(verdict))),
        ("reject reason", or_dash(moderated.reject_reason.as_ref())),
        ("picture", image.image_url.clone()),
        ("job", or_dash(moderated.job.as_ref())),
        ("result", or_dash(moderated.result_index)),
        ("created", image.created_at.to_string()),
        ("updated", moderated.updated_at.to_string()),
    ])
}

fn show_changed(image: ModeratedImage, write: &Write, output: Output) -> Result<(), Trouble> {
    let human = described(&image);
    output.changed(write, &wire::ModeratedImage::from(image), || human)
}
