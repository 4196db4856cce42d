//! The gallery, photos of characters, and generations.

use uuid::Uuid;

use super::batch::{Became, Owner, RowToPut, Taking, Work};
use super::rules::{self, Cells, shown};
use super::source::{self, Spec};
use super::{Context, user_here};
use crate::characters::{self, MAX_PHOTOS, PhotoUrl};
use crate::error::{Code, Result};
use crate::gallery::{self, Tag};
use crate::jobs::quota::Periods;
use crate::jobs::{self, AspectRatio, Mode, ModelParams, PictureUrl, Prompt, Resolution, SampleCount};
use crate::kernel::{JobId, Timestamp, UserId};
use crate::media::PictureKind;
use crate::ports::{JobError, JobState};
use crate::stats::{self, Delta, UserDelta};
use crate::store::Tx;

/// Longest prompt that is kept with a picture, in characters: as long as one may be.
const PROMPT: usize = 4000;
/// Where pictures go whose category is none of ours.
const OTHER_CATEGORY: &str = "abstract";

pub(super) struct Images;

pub(super) struct Image {
    author: Option<String>,
    url: PictureUrl,
    thumbnail_url: Option<PictureUrl>,
    prompt: String,
    category: &'static str,
    tags: Vec<String>,
    created_at: Timestamp,
}

fn tags(cells: &mut Cells<'_>) -> Vec<String> {
    let all = cells.list("tags");
    let mut tags: Vec<Tag> = all.iter().filter_map(|text| Tag::clean(text).ok().flatten()).collect();
    tags.truncate(Tag::MOST);
    if tags.len() < all.len() {
        cells
            .changed(format!("{} of its tags may not be ones here, or are too many", all.len() - tags.len()));
    }
    gallery::distinct(&tags)
}

impl Taking for Images {
    const SPEC: &'static Spec = &source::IMAGES;
    type Item = Image;

    fn read(cells: &mut Cells<'_>, context: &Context<'_>) -> Option<Image> {
        let text = cells.text("image_url").unwrap_or_default();
        let Ok(url) = text.parse::<PictureUrl>() else {
            return cells.left_out(format!("its image_url is none: {}", shown(text)));
        };
        let word = cells.text("category_id").unwrap_or_default();
        let category = gallery::category(word).map_or_else(
            || {
                cells.changed(format!(
                    "its category is unknown, and becomes {OTHER_CATEGORY}: {}",
                    shown(word)
                ));
                OTHER_CATEGORY
            },
            |category| category.id,
        );
        let likes = cells.count("likes");
        if likes > 0 {
            cells.changed(format!("it is not known who its {likes} likes are from, and it begins with none"));
        }
        Some(Image {
            author: cells.text("author_id").map(str::to_owned),
            url,
            thumbnail_url: cells.parsed("thumbnail_url"),
            prompt: cells.prose("prompt", PROMPT).unwrap_or_default(),
            category,
            tags: tags(cells),
            created_at: cells.made_at(&[], context.now),
        })
    }

    fn owner(item: &Image) -> Option<Owner<'_>> {
        item.author.as_deref().map(|id| Owner { table: "users", id, needed: false })
    }

    async fn put(
        tx: &mut Tx,
        row: &RowToPut<'_, Image>,
        work: &mut Work<'_>,
    ) -> Result<Option<(i64, Became)>> {
        let image = row.item;
        if let (Some(author), None) = (&image.author, row.owner) {
            work.changed(format!("its author {} is not here, and it has none", shown(author)));
        }
        let original = gallery::Original {
            id: row.number(),
            author: user_here(row.owner),
            image_url: image.url.as_str(),
            thumbnail_url: image.thumbnail_url.as_ref().unwrap_or(&image.url).as_str(),
            prompt: &image.prompt,
            category: image.category,
            tags: &image.tags,
            created_at: image.created_at,
        };
        let here = gallery::take_over(tx, &original).await?.ok_or(Code::Internal)?;
        work.numbered(row.number(), here);
        Ok(Some((here, Became::New)))
    }
}

pub(super) struct Photos;

pub(super) struct Photo {
    uuid: Option<Uuid>,
    character: String,
    thumbnail_url: PhotoUrl,
    original_url: PhotoUrl,
    mime: &'static str,
    thumbnail_size: i64,
    original_size: i64,
    created_at: Timestamp,
}

impl Taking for Photos {
    const SPEC: &'static Spec = &source::PHOTOS;
    type Item = Photo;

    fn read(cells: &mut Cells<'_>, context: &Context<'_>) -> Option<Photo> {
        let Some(character) = cells.text("character_id").map(str::to_owned) else {
            return cells.left_out("it belongs to no character");
        };
        let url = |field: &str| cells.text(field).and_then(|text| text.parse::<PhotoUrl>().ok());
        let (thumbnail, original) = (url("thumbnail_url"), url("original_url"));
        // Where one of the two is missing, the other is both.
        let Some(original_url) = original.clone().or_else(|| thumbnail.clone()) else {
            return cells.left_out("it has no URL");
        };
        if original.is_none() {
            cells.changed("its original_url is none, and becomes its thumbnail_url");
        }
        let thumbnail_url = thumbnail.unwrap_or_else(|| original_url.clone());
        let word = cells.text("mime_type").unwrap_or_default();
        let kind = PictureKind::parse(word).unwrap_or_else(|| {
            cells.changed(format!("its mime_type is unknown, and becomes image/jpeg: {}", shown(word)));
            PictureKind::Jpeg
        });
        Some(Photo {
            uuid: cells.text("uuid").and_then(|text| Uuid::try_parse(text).ok()),
            character,
            thumbnail_url,
            original_url,
            mime: kind.mime(),
            thumbnail_size: cells.count("thumbnail_size"),
            original_size: cells.count("original_size"),
            created_at: cells.made_at(&[], context.now),
        })
    }

    fn owner(item: &Photo) -> Option<Owner<'_>> {
        Some(Owner { table: "characters", id: &item.character, needed: true })
    }

    async fn put(
        tx: &mut Tx,
        row: &RowToPut<'_, Photo>,
        work: &mut Work<'_>,
    ) -> Result<Option<(i64, Became)>> {
        let photo = row.item;
        let character = row.owner.ok_or(Code::Internal)?;
        match characters::count_photos(tx, character).await? {
            None => return Ok(work.left_out(format!("character {character} was deleted here"))),
            Some(photos) if photos >= MAX_PHOTOS => {
                return Ok(work.left_out(format!(
                    "character {character} has {MAX_PHOTOS} photos, which is all it may have"
                )));
            }
            Some(_) => {}
        }
        let derived = rules::derived(Self::SPEC.name, row.id);
        for uuid in photo.uuid.into_iter().chain([derived]) {
            let original = characters::OriginalPhoto {
                id: row.number(),
                uuid,
                character,
                thumbnail_url: photo.thumbnail_url.as_str(),
                original_url: photo.original_url.as_str(),
                mime: photo.mime,
                thumbnail_size: photo.thumbnail_size,
                original_size: photo.original_size,
                created_at: photo.created_at,
            };
            if let Some(here) = characters::take_over_photo(tx, &original).await? {
                work.numbered(row.number(), here);
                if photo.uuid != Some(uuid) {
                    work.changed(format!("its uuid is none or another's, and becomes {uuid}"));
                }
                return Ok(Some((here, Became::New)));
            }
        }
        Ok(work.left_out("its uuid is taken"))
    }
}

pub(super) struct Generations;

pub(super) struct Generation {
    user: String,
    job_id: JobId,
    prompt: String,
    state: JobState,
    error: Option<JobError>,
    result_urls: Vec<String>,
    thumbnail_url: Option<PictureUrl>,
    mode: Mode,
    resolution: Option<Resolution>,
    aspect_ratio: Option<AspectRatio>,
    sample_count: i64,
    params: serde_json::Map<String, serde_json::Value>,
    created_at: Timestamp,
    completed_at: Timestamp,
}

type Json = serde_json::Map<String, serde_json::Value>;

fn params(cells: &mut Cells<'_>) -> Json {
    let Some(text) = cells.text("params") else { return Json::new() };
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(serde_json::Value::Object(map)) => map,
        Ok(serde_json::Value::Null) => Json::new(),
        _ => {
            cells.changed("its params are too long or no JSON object, and are left out");
            Json::new()
        }
    }
}

/// Takes a word out of the parameters.
fn word<T: std::str::FromStr>(params: &mut Json, names: [&str; 2]) -> Option<T> {
    let name = names.into_iter().find(|name| params.contains_key(*name))?;
    params.get(name)?.as_str()?.parse().ok()
}

impl Taking for Generations {
    const SPEC: &'static Spec = &source::GENERATIONS;
    type Item = Generation;

    fn read(cells: &mut Cells<'_>, context: &Context<'_>) -> Option<Generation> {
        let Some(user) = cells.text("user_id").map(str::to_owned) else {
            return cells.left_out("it belongs to no user");
        };
        let Some(prompt) = cells.prose("prompt", PROMPT) else { return cells.left_out("it has no prompt") };
        if prompt.parse::<Prompt>().is_err() {
            return cells.left_out("its prompt may not be one here");
        }
        let id = cells.text("id").unwrap_or_default().to_owned();
        let text = cells.text("job_id").unwrap_or_default().to_owned();
        let (job_id, same) = rules::id_like::<JobId>(&text, Self::SPEC.name, &id)?;
        if !same && !text.is_empty() {
            cells.changed(format!("its job_id may not be one here, and becomes {job_id}"));
        }
        let picture = cells.parsed::<PictureUrl>("image_url");
        let word_of_state = cells.text("status").unwrap_or_default().to_ascii_uppercase();
        let message = cells.prose("error_message", 500).unwrap_or_default();
        let failed =
            |message: String| (JobState::Failed, Some(JobError { code: "IMPORTED".to_owned(), message }));
        let (state, error) = match word_of_state.as_str() {
            "COMPLETED" | "SUCCEEDED" => {
                if picture.is_none() {
                    cells.changed("it was completed, but its picture is not known");
                }
                (JobState::Succeeded, None)
            }
            "FAILED" | "CANCELED" | "CANCELLED" => failed(message),
            "PENDING" | "PROCESSING" | "QUEUED" | "RUNNING" | "RETRYING" => {
                cells.changed(format!(
                    "it was {word_of_state}, which nobody follows any more, and becomes FAILED"
                ));
                failed("没有完成".to_owned())
            }
            other => {
                return cells.left_out(format!("its status is unknown: {}", shown(other)));
            }
        };
        let mut params = params(cells);
        let mode = word(&mut params, ["mode", "mode"]).unwrap_or(Mode::Final);
        let resolution = word(&mut params, ["resolution", "resolution"]);
        let aspect_ratio = word(&mut params, ["aspectRatio", "aspect_ratio"]);
        let count = ["sampleCount", "sample_count"].iter().find_map(|name| params.get(*name)?.as_i64());
        if ModelParams::new(params.clone()).is_err() {
            cells.changed("its params are too long, and are left out");
            params.clear();
        }
        let created_at = cells.made_at(&["completed_at"], context.now);
        let completed_at = cells.time("completed_at").unwrap_or(created_at);
        Some(Generation {
            user,
            job_id,
            prompt,
            state,
            error,
            result_urls: picture
                .iter()
                .filter(|_| state == JobState::Succeeded)
                .map(|url| url.as_str().to_owned())
                .collect(),
            thumbnail_url: cells.parsed("thumbnail_url"),
            mode,
            resolution,
            aspect_ratio,
            sample_count: count.and_then(|count| SampleCount::new(count).ok()).map_or(1, SampleCount::get),
            params,
            created_at,
            completed_at,
        })
    }

    fn owner(item: &Generation) -> Option<Owner<'_>> {
        Some(Owner { table: "users", id: &item.user, needed: true })
    }

    async fn put(
        tx: &mut Tx,
        row: &RowToPut<'_, Generation>,
        work: &mut Work<'_>,
    ) -> Result<Option<(i64, Became)>> {
        let generation = row.item;
        let user = row.user().ok_or(Code::Internal)?;
        let zone = &work.context.settings.zone;
        let periods = Periods::at(zone, generation.created_at);
        let derived = rules::derived(Self::SPEC.name, row.id).to_string();
        let derived: JobId = derived.parse().map_err(|_| Code::Internal)?;
        for job_id in [&generation.job_id, &derived] {
            let original = jobs::Original {
                id: row.number(),
                job_id,
                user,
                state: generation.state,
                prompt: &generation.prompt,
                mode: generation.mode,
                resolution: generation.resolution,
                aspect_ratio: generation.aspect_ratio,
                sample_count: generation.sample_count,
                params: &generation.params,
                periods: &periods,
                result_urls: &generation.result_urls,
                thumbnail_url: generation.thumbnail_url.as_ref().map(PictureUrl::as_str),
                error: generation.error.as_ref(),
                created_at: generation.created_at,
                completed_at: generation.completed_at,
            };
            if let Some(here) = jobs::take_over(tx, &original).await? {
                work.numbered(row.number(), here);
                if job_id != &generation.job_id {
                    work.changed(format!("its job_id is another's, and becomes {job_id}"));
                }
                count(tx, user, generation, work).await?;
                return Ok(Some((here, Became::New)));
            }
        }
        Ok(work.left_out("its job_id is taken"))
    }
}

async fn count(tx: &mut Tx, user: UserId, generation: &Generation, work: &mut Work<'_>) -> Result<()> {
    let succeeded = i64::from(generation.state == JobState::Succeeded);
    let failed = 1 - succeeded;
    let images = i64::try_from(generation.result_urls.len()).unwrap_or(0);
    work.count_for(user, UserDelta { generations: 1, succeeded, failed, images, ..UserDelta::default() });
    work.count(generation.created_at, Delta { generations: 1, ..Delta::default() });
    work.count(generation.completed_at, Delta { succeeded, failed, images, ..Delta::default() });
    if images > 0 {
        let zone = &work.context.settings.zone;
        stats::add_images(tx, user, zone, generation.completed_at, None, images).await?;
    }
    Ok(())
}
