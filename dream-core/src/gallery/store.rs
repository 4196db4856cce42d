//! The tables `gallery_images`, `gallery_tags`, `gallery_counts`, `gallery_likes` and `content_checks`.

use std::collections::{BTreeMap, BTreeSet};

use super::rules::Found;
use super::{Author, GalleryFilter, GalleryImage, GallerySort, ImageStatus, ModeratedImage};
use crate::access::Scope;
use crate::blobs::Names;
use crate::error::Result;
use crate::kernel::{ImageId, JobId, PageRequest, SortKey, Timestamp, UserId};
use crate::ports::Verdict;
use crate::seeds::SeedImage;
use crate::store::{Arg, Db, Row, Sql, Tx, insert_under_id, json_text, under_id};

// `$1` is the asking user, 0 for a guest.
macro_rules! images {
    ($rest:literal) => {
        concat!(
            "SELECT g.id, g.image_url, g.thumbnail_url, g.prompt, g.category, g.tags, g.likes, g.created_at, \
             g.status, g.reject_reason, u.id AS author_id, u.nick_name, u.avatar_url, l.user_id AS liked_by FROM gallery_images g \
             LEFT JOIN users u ON u.id = g.author_id AND u.deleted_at IS NULL \
             LEFT JOIN gallery_likes l ON l.image_id = g.id AND l.user_id = $1 ",
            $rest
        )
    };
}

fn read(row: &Row, asking: Option<UserId>) -> Result<GalleryImage> {
    let author = row.get::<Option<UserId>>("author_id")?;
    let status = match asking {
        Some(user) if author == Some(user) => Some(row.word("status", ImageStatus::parse)?),
        _ => None,
    };
    Ok(GalleryImage {
        id: row.get("id")?,
        image_url: row.get("image_url")?,
        thumbnail_url: row.get("thumbnail_url")?,
        prompt: row.get("prompt")?,
        category: row.get("category")?,
        tags: row.json("tags")?,
        likes: row.get("likes")?,
        is_liked: match asking {
            Some(_) => Some(row.get::<Option<i64>>("liked_by")?.is_some()),
            None => None,
        },
        author: match author {
            Some(id) => {
                Some(Author { id, nick_name: row.get("nick_name")?, avatar_url: row.get("avatar_url")? })
            }
            None => None,
        },
        created_at: row.get("created_at")?,
        status,
        reject_reason: match status {
            Some(ImageStatus::Rejected) => row.get("reject_reason")?,
            _ => None,
        },
    })
}

fn asking_id(user: Option<UserId>) -> i64 {
    user.map_or(0, UserId::get)
}

/// A picture that the asking user may see: a public one, or one of its own.
pub(super) async fn find(
    db: &mut impl Db,
    id: ImageId,
    asking: Option<UserId>,
) -> Result<Option<GalleryImage>> {
    let sql = Sql::new(images!(
        "WHERE g.id = $2 AND (g.status = 'PUBLIC' OR (g.author_id = $1 AND g.status <> 'REMOVED'))"
    ));
    let sql = sql.bind(asking_id(asking)).bind(id.get());
    db.optional(sql).await?.map(|row| read(&row, asking)).transpose()
}

/// What a user published, newest first.
pub(super) async fn published_by(
    db: &mut impl Db,
    author: UserId,
    start: SortKey,
    page: &PageRequest,
) -> Result<Vec<GalleryImage>> {
    let sql = Sql::new(images!(
        "WHERE g.author_id = $5 AND g.status <> 'REMOVED' AND (g.created_at, g.id) < ($2, $3) \
         ORDER BY g.created_at DESC, g.id DESC LIMIT $4"
    ));
    let sql =
        sql.bind(author.get()).bind(start.by).bind(start.id).bind(page.limit.get() + 1).bind(author.get());
    db.all(sql).await?.iter().map(|row| read(row, Some(author))).collect()
}

/// Those of these pictures that are public, in no order.
pub(crate) async fn public_images(
    db: &mut impl Db,
    ids: &[ImageId],
    asking: UserId,
) -> Result<Vec<GalleryImage>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let text = images!("WHERE g.status = 'PUBLIC' AND g.id IN ({list})");
    let sql = Sql::with_list(text, vec![asking.get().into()], ids.iter().map(|id| id.get()));
    db.all(sql).await?.iter().map(|row| read(row, Some(asking))).collect()
}

// Each combination is a statement of its own, so that each walks the index that was made for it.
pub(super) async fn list(
    db: &mut impl Db,
    filter: &GalleryFilter,
    start: SortKey,
    page: &PageRequest,
    asking: Option<UserId>,
) -> Result<Vec<GalleryImage>> {
    let text = match (filter.sort, filter.category.is_some(), filter.tag.is_some()) {
        (GallerySort::Latest, false, false) => images!(
            "WHERE g.status = 'PUBLIC' AND (g.created_at, g.id) < ($2, $3) \
             ORDER BY g.created_at DESC, g.id DESC LIMIT $4 OFFSET $5"
        ),
        (GallerySort::Latest, true, false) => images!(
            "WHERE g.status = 'PUBLIC' AND g.category = $6 AND (g.created_at, g.id) < ($2, $3) \
             ORDER BY g.created_at DESC, g.id DESC LIMIT $4 OFFSET $5"
        ),
        (GallerySort::Latest, false, true) => images!(
            "JOIN gallery_tags t ON t.image_id = g.id WHERE g.status = 'PUBLIC' AND t.tag = $6 \
             AND (t.created_at, t.image_id) < ($2, $3) ORDER BY t.created_at DESC, t.image_id DESC LIMIT $4 OFFSET $5"
        ),
        (GallerySort::Latest, true, true) => images!(
            "JOIN gallery_tags t ON t.image_id = g.id WHERE g.status = 'PUBLIC' AND g.category = $6 AND t.tag = $7 \
             AND (t.created_at, t.image_id) < ($2, $3) ORDER BY t.created_at DESC, t.image_id DESC LIMIT $4 OFFSET $5"
        ),
        (GallerySort::Popular, false, false) => images!(
            "WHERE g.status = 'PUBLIC' AND (g.likes, g.id) < ($2, $3) \
             ORDER BY g.likes DESC, g.id DESC LIMIT $4 OFFSET $5"
        ),
        (GallerySort::Popular, true, false) => images!(
            "WHERE g.status = 'PUBLIC' AND g.category = $6 AND (g.likes, g.id) < ($2, $3) \
             ORDER BY g.likes DESC, g.id DESC LIMIT $4 OFFSET $5"
        ),
        (GallerySort::Popular, false, true) => images!(
            "JOIN gallery_tags t ON t.image_id = g.id WHERE g.status = 'PUBLIC' AND t.tag = $6 \
             AND (g.likes, g.id) < ($2, $3) ORDER BY g.likes DESC, g.id DESC LIMIT $4 OFFSET $5"
        ),
        (GallerySort::Popular, true, true) => images!(
            "JOIN gallery_tags t ON t.image_id = g.id WHERE g.status = 'PUBLIC' AND g.category = $6 AND t.tag = $7 \
             AND (g.likes, g.id) < ($2, $3) ORDER BY g.likes DESC, g.id DESC LIMIT $4 OFFSET $5"
        ),
    };
    let mut sql = Sql::new(text)
        .bind(asking_id(asking))
        .bind(start.by)
        .bind(start.id)
        .bind(page.limit.get() + 1)
        .bind(page.offset());
    if let Some(category) = filter.category {
        sql = sql.bind(category);
    }
    if let Some(tag) = &filter.tag {
        sql = sql.bind(tag.as_str());
    }
    db.all(sql).await?.iter().map(|row| read(row, asking)).collect()
}

/// How many pictures the filter finds, from the kept counts.
pub(super) async fn count(db: &mut impl Db, filter: &GalleryFilter) -> Result<i64> {
    let sql = Sql::new("SELECT images FROM gallery_counts WHERE category = $1 AND tag = $2")
        .bind(filter.category.unwrap_or_default())
        .bind(filter.tag.as_deref().unwrap_or_default());
    db.optional(sql).await?.map_or(Ok(0), |row| row.get("images"))
}

/// Adds to the counts that a public picture is part of.
pub(super) async fn add_to_counts(tx: &mut Tx, category: &str, tags: &[String], images: i64) -> Result<()> {
    // One order for all, so that two publications never wait for each other.
    let mut tags: Vec<&str> = tags.iter().map(String::as_str).chain([""]).collect();
    tags.sort_unstable();
    tags.dedup();
    for category in ["", category] {
        for tag in &tags {
            // The row to be inserted has to be right by itself, and less than nothing is not.
            let text = if images > 0 {
                "INSERT INTO gallery_counts (category, tag, images) VALUES ($1, $2, $3) \
                 ON CONFLICT (category, tag) DO UPDATE SET images = gallery_counts.images + $3"
            } else {
                "UPDATE gallery_counts SET images = images + $3 WHERE category = $1 AND tag = $2"
            };
            let sql = Sql::new(text);
            tx.execute(sql.bind(category).bind(*tag).bind(images)).await?;
        }
    }
    Ok(())
}

/// Adds a picture that comes with the program.
pub(crate) async fn insert_seed(
    tx: &mut Tx,
    seed: &SeedImage,
    image_url: &str,
    thumbnail_url: &str,
    now: Timestamp,
) -> Result<()> {
    let tags: Vec<String> = seed.tags.iter().map(|&tag| tag.to_owned()).collect();
    let row = tx
        .optional(
            Sql::new(
                "INSERT INTO gallery_images (image_url, thumbnail_url, prompt, category, tags, likes, status, seed, \
                 created_at, updated_at) VALUES ($1, $2, $3, $4, $5, 0, 'PUBLIC', $6, $7, $7) \
                 ON CONFLICT (seed) DO NOTHING RETURNING id",
            )
            .bind(image_url)
            .bind(thumbnail_url)
            .bind(seed.prompt)
            .bind(seed.category)
            .bind(json_text(&tags))
            .bind(seed.name)
            .bind(now),
        )
        .await?;
    let Some(row) = row else { return Ok(()) };
    insert_tags(tx, row.get("id")?, &tags, now).await?;
    add_to_counts(tx, seed.category, &tags, 1).await
}

pub(super) async fn insert_tags(tx: &mut Tx, id: ImageId, tags: &[String], now: Timestamp) -> Result<()> {
    for tag in tags {
        let sql = Sql::new("INSERT INTO gallery_tags (tag, image_id, created_at) VALUES ($1, $2, $3)");
        tx.execute(sql.bind(tag.as_str()).bind(id.get()).bind(now)).await?;
    }
    Ok(())
}

/// A picture that the original service showed to everybody.
pub(crate) struct Original<'a> {
    pub(crate) id: Option<i64>,
    pub(crate) author: Option<UserId>,
    pub(crate) image_url: &'a str,
    pub(crate) thumbnail_url: &'a str,
    pub(crate) prompt: &'a str,
    pub(crate) category: &'a str,
    pub(crate) tags: &'a [String],
    pub(crate) created_at: Timestamp,
}

/// Adds a picture of the original service, which everybody goes on seeing; its number.
pub(crate) async fn take_over(tx: &mut Tx, image: &Original<'_>) -> Result<Option<i64>> {
    let insertion = |id: Option<i64>| {
        insert_under_id!(
            "gallery_images",
            "author_id, image_url, thumbnail_url, prompt, category, tags, likes, status, created_at, updated_at",
            "$2, $3, $4, $5, $6, $7, 0, 'PUBLIC', $8, $8"
        )
        .bind(id)
        .bind(image.author.map(UserId::get))
        .bind(image.image_url)
        .bind(image.thumbnail_url)
        .bind(image.prompt)
        .bind(image.category)
        .bind(json_text(&image.tags))
        .bind(image.created_at)
    };
    let Some(made) = under_id(tx, image.id, insertion).await? else { return Ok(None) };
    if let Some(id) = ImageId::new(made) {
        insert_tags(tx, id, image.tags, image.created_at).await?;
    }
    add_to_counts(tx, image.category, image.tags, 1).await?;
    Ok(Some(made))
}

/// A result that is to wait for its check.
pub(super) struct NewImage<'a> {
    pub(super) author: UserId,
    pub(super) job: &'a JobId,
    pub(super) index: i64,
    pub(super) image_url: &'a str,
    pub(super) thumbnail_url: &'a str,
    pub(super) prompt: &'a str,
    pub(super) category: &'a str,
    pub(super) tags: &'a [String],
}

/// Adds it, unless this result is there already or may not come back. A rejected one waits again under its old id. What
/// an admin wrote about an earlier publication of the result stays with it.
pub(super) async fn insert(tx: &mut Tx, new: &NewImage<'_>, now: Timestamp) -> Result<Option<ImageId>> {
    let sql = Sql::new(
        "INSERT INTO gallery_images (author_id, job_id, result_index, image_url, thumbnail_url, prompt, category, \
         tags, likes, status, created_at, updated_at, reject_reason) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, 'PENDING', $9, $9, \
         (SELECT r.reject_reason FROM gallery_images r WHERE r.job_id = $2 AND r.result_index = $3 \
          AND r.reject_reason IS NOT NULL ORDER BY r.id DESC LIMIT 1)) \
         ON CONFLICT (job_id, result_index) WHERE status <> 'REMOVED' OR barred DO UPDATE SET \
         image_url = excluded.image_url, thumbnail_url = excluded.thumbnail_url, prompt = excluded.prompt, \
         category = excluded.category, tags = excluded.tags, status = 'PENDING', \
         created_at = excluded.created_at, updated_at = excluded.updated_at \
         WHERE gallery_images.status = 'REJECTED' RETURNING id",
    )
    .bind(new.author.get())
    .bind(new.job.as_str())
    .bind(new.index)
    .bind(new.image_url)
    .bind(new.thumbnail_url)
    .bind(new.prompt)
    .bind(new.category)
    .bind(json_text(&new.tags))
    .bind(now);
    tx.optional(sql).await?.map(|row| row.get("id")).transpose()
}

/// Whether a result is in the gallery or may not come back. A rejected one may.
pub(super) async fn is_taken(db: &mut impl Db, job: &JobId, index: i64) -> Result<bool> {
    let sql = Sql::new(
        "SELECT id FROM gallery_images WHERE job_id = $1 AND result_index = $2 \
         AND (status <> 'REMOVED' OR barred) AND status <> 'REJECTED' LIMIT 1",
    );
    Ok(db.optional(sql.bind(job.as_str()).bind(index)).await?.is_some())
}

/// A picture that is about to change its state, and that nobody else changes until the transaction ends.
pub(super) struct Held {
    pub(super) id: ImageId,
    pub(super) status: ImageStatus,
    pub(super) barred: bool,
    pub(super) reject_reason: Option<String>,
    pub(super) job: Option<JobId>,
    pub(super) category: String,
    pub(super) tags: Vec<String>,
    pub(super) image_url: String,
    pub(super) thumbnail_url: String,
    pub(super) created_at: Timestamp,
}

// Likes hold the picture's key while they are written, so a lock on all of the row would wait for each of them, and
// they for it.
macro_rules! hold {
    ($condition:literal) => {{
        const TEXT: &str = concat!(
            "SELECT id, status, barred, reject_reason, job_id, category, tags, image_url, thumbnail_url, created_at \
             FROM gallery_images ",
            $condition
        );
        Sql::differing(
            TEXT,
            concat!(
                "SELECT id, status, barred, reject_reason, job_id, category, tags, image_url, thumbnail_url, created_at \
             FROM gallery_images ",
                $condition,
                " FOR NO KEY UPDATE"
            ),
        )
    }};
}

pub(super) async fn hold(tx: &mut Tx, scope: Scope, id: ImageId) -> Result<Option<Held>> {
    let sql = match scope {
        Scope::Own(user) => hold!("WHERE id = $1 AND author_id = $2").bind(id.get()).bind(user.get()),
        Scope::All => hold!("WHERE id = $1").bind(id.get()),
    };
    let Some(row) = tx.optional(sql).await? else { return Ok(None) };
    Ok(Some(Held {
        id: row.get("id")?,
        status: row.word("status", ImageStatus::parse)?,
        barred: row.get("barred")?,
        reject_reason: row.get("reject_reason")?,
        job: row.get("job_id")?,
        category: row.get("category")?,
        tags: row.json("tags")?,
        image_url: row.get("image_url")?,
        thumbnail_url: row.get("thumbnail_url")?,
        created_at: row.get("created_at")?,
    }))
}

pub(super) async fn set_status(
    tx: &mut Tx,
    id: ImageId,
    status: ImageStatus,
    barred: bool,
    now: Timestamp,
) -> Result<()> {
    let sql = Sql::new("UPDATE gallery_images SET status = $2, barred = $3, updated_at = $4 WHERE id = $1");
    tx.execute(sql.bind(id.get()).bind(status.as_str()).bind(barred).bind(now)).await?;
    Ok(())
}

/// Keeps why an admin rejected a picture, or forgets it.
pub(super) async fn set_reject_reason(tx: &mut Tx, id: ImageId, reason: Option<&str>) -> Result<()> {
    let sql = Sql::new("UPDATE gallery_images SET reject_reason = $2 WHERE id = $1");
    tx.execute(sql.bind(id.get()).bind(reason)).await?;
    Ok(())
}

pub(super) async fn delete_tags(tx: &mut Tx, id: ImageId) -> Result<()> {
    tx.execute(Sql::new("DELETE FROM gallery_tags WHERE image_id = $1").bind(id.get())).await?;
    Ok(())
}

/// Whether which user likes which picture, since when.
pub(super) type Wanted = BTreeMap<(ImageId, UserId), (bool, Timestamp)>;

/// Notes that these users like these public pictures; for each that is new, the picture.
pub(super) async fn insert_likes(tx: &mut Tx, wanted: &Wanted) -> Result<Vec<ImageId>> {
    let rows: Vec<_> = wanted
        .iter()
        .filter(|(_, (likes, _))| *likes)
        .map(|((image, user), (_, at))| [image.get(), user.get(), at.as_micros()].map(Arg::from))
        .collect();
    let text = "INSERT INTO gallery_likes (image_id, user_id, created_at) \
                SELECT v.column1, v.column2, v.column3 FROM (VALUES {rows}) AS v \
                JOIN gallery_images g ON g.id = v.column1 WHERE g.status = 'PUBLIC' \
                ON CONFLICT (image_id, user_id) DO NOTHING RETURNING image_id";
    images(tx, text, rows).await
}

/// Notes that these users do not; for each that is new, the picture.
pub(super) async fn delete_these_likes(tx: &mut Tx, wanted: &Wanted) -> Result<Vec<ImageId>> {
    let rows: Vec<_> = wanted
        .iter()
        .filter(|(_, (likes, _))| !likes)
        .map(|((image, user), _)| [image.get(), user.get()].map(Arg::from))
        .collect();
    let text = "DELETE FROM gallery_likes WHERE (image_id, user_id) IN (VALUES {rows}) RETURNING image_id";
    images(tx, text, rows).await
}

async fn images<const N: usize>(
    tx: &mut Tx,
    text: &'static str,
    rows: Vec<[Arg<'_>; N]>,
) -> Result<Vec<ImageId>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    tx.all(Sql::with_rows(text, rows)).await?.iter().map(|row| row.get("image_id")).collect()
}

/// Counts likes of a public picture; how many it has then.
pub(super) async fn count_likes(tx: &mut Tx, image: ImageId, likes: i64) -> Result<Option<i64>> {
    let sql = Sql::new(
        "UPDATE gallery_images SET likes = likes + $2 WHERE id = $1 AND status = 'PUBLIC' RETURNING likes",
    );
    tx.optional(sql.bind(image.get()).bind(likes)).await?.map(|row| row.get("likes")).transpose()
}

/// How many like those of these pictures that are public.
pub(super) async fn likes(db: &mut impl Db, images: &BTreeSet<ImageId>) -> Result<BTreeMap<ImageId, i64>> {
    let sql = Sql::new("SELECT id, likes FROM gallery_images WHERE id IN ({list}) AND status = 'PUBLIC'");
    let rows = db.all(sql.of(images.iter().map(|image| image.get()))).await?;
    rows.iter().map(|row| Ok((row.get("id")?, row.get("likes")?))).collect()
}

/// Takes all likes off a picture.
pub(super) async fn delete_likes(tx: &mut Tx, image: ImageId) -> Result<()> {
    tx.execute(Sql::new("DELETE FROM gallery_likes WHERE image_id = $1").bind(image.get())).await?;
    tx.execute(Sql::new("UPDATE gallery_images SET likes = 0 WHERE id = $1").bind(image.get())).await?;
    Ok(())
}

/// Takes a user's likes out; of which pictures they were.
pub(super) async fn delete_likes_of(tx: &mut Tx, user: UserId) -> Result<Vec<ImageId>> {
    let sql = Sql::new("DELETE FROM gallery_likes WHERE user_id = $1 RETURNING image_id");
    tx.all(sql.bind(user.get())).await?.iter().map(|row| row.get("image_id")).collect()
}

/// Counts one like less, whatever the picture's state.
pub(super) async fn uncount_like(tx: &mut Tx, image: ImageId) -> Result<()> {
    let sql = Sql::new("UPDATE gallery_images SET likes = likes - 1 WHERE id = $1");
    tx.execute(sql.bind(image.get())).await?;
    Ok(())
}

/// The pictures of a job, by the number of its result.
pub(super) async fn of_job(tx: &mut Tx, job: &JobId) -> Result<Vec<(ImageId, i64)>> {
    let sql = Sql::new(
        "SELECT id, result_index FROM gallery_images WHERE job_id = $1 AND status <> 'REMOVED' ORDER BY id",
    );
    tx.all(sql.bind(job.as_str()))
        .await?
        .iter()
        .map(|row| Ok((row.get("id")?, row.get("result_index")?)))
        .collect()
}

pub(super) async fn set_urls(
    tx: &mut Tx,
    id: ImageId,
    image_url: &str,
    thumbnail_url: &str,
    now: Timestamp,
) -> Result<()> {
    let sql = Sql::new(
        "UPDATE gallery_images SET image_url = $2, thumbnail_url = $3, updated_at = $4 WHERE id = $1",
    );
    tx.execute(sql.bind(id.get()).bind(image_url).bind(thumbnail_url).bind(now)).await?;
    Ok(())
}

/// Whether a picture of the job that is still there shows what lies under this URL.
pub(super) async fn job_shows(tx: &mut Tx, job: &JobId, url: &str) -> Result<bool> {
    let sql = Sql::new(
        "SELECT id FROM gallery_images WHERE job_id = $1 AND status <> 'REMOVED' \
         AND (image_url = $2 OR thumbnail_url = $2) LIMIT 1",
    );
    Ok(tx.optional(sql.bind(job.as_str()).bind(url)).await?.is_some())
}

/// Pictures of an author, in the order in which they are locked.
pub(super) async fn of_author(db: &mut impl Db, user: UserId) -> Result<Vec<ImageId>> {
    let sql = Sql::new("SELECT id FROM gallery_images WHERE author_id = $1 ORDER BY id");
    db.all(sql.bind(user.get())).await?.iter().map(|row| row.get("id")).collect()
}

/// Erases a deleted user's name and words from all of its pictures, removed ones included.
pub(super) async fn erase_author(tx: &mut Tx, user: UserId, now: Timestamp) -> Result<()> {
    let sql = Sql::new(
        "UPDATE gallery_images SET author_id = NULL, prompt = '', tags = '[]', reject_reason = NULL, updated_at = $2 WHERE author_id = $1",
    );
    tx.execute(sql.bind(user.get()).bind(now)).await?;
    Ok(())
}

/// Notes what some of the pictures behind this one name; the last of them, unless there are no more.
pub(crate) async fn names(db: &mut impl Db, after: i64, names: &mut Names<'_>) -> Result<Option<i64>> {
    let sql = Sql::new(
        "SELECT id, image_url, thumbnail_url FROM gallery_images WHERE id > $1 AND status <> 'REMOVED' \
         ORDER BY id LIMIT 1000",
    );
    let mut last = None;
    for row in db.all(sql.bind(after)).await? {
        let id: i64 = row.get("id")?;
        for column in ["image_url", "thumbnail_url"] {
            names.url(format!("image:{id}"), Some(&row.get::<String>(column)?));
        }
        last = Some(id);
    }
    Ok(last)
}

/// What of a picture is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Its prompt and tags.
    Text,
    /// The picture itself.
    Picture,
}

impl Part {
    const fn as_str(self) -> &'static str {
        match self {
            Part::Text => "TEXT",
            Part::Picture => "PICTURE",
        }
    }
}

const FAILED: &str = "FAILED";

const fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "PASS",
        Verdict::Review => "REVIEW",
        Verdict::Risky => "RISKY",
    }
}

/// The verdict of this name; `None` for a check that failed or is not decided.
fn verdict_named(name: Option<&str>) -> Option<Verdict> {
    match name {
        Some("PASS") => Some(Verdict::Pass),
        Some("REVIEW") => Some(Verdict::Review),
        Some("RISKY") => Some(Verdict::Risky),
        _ => None,
    }
}

/// A picture that was handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) at: Timestamp,
    /// WeChat said that it could not check it.
    pub(super) failed: bool,
}

/// A picture that waits, with what its check needs.
pub(super) struct Case {
    pub(super) openid: String,
    pub(super) prompt: String,
    pub(super) tags: Vec<String>,
    pub(super) image_url: String,
    pub(super) thumbnail_url: String,
    pub(super) text_is_checked: bool,
    /// Each time that it was handed in, in order.
    pub(super) asked: Vec<Asked>,
}

/// The picture, if it waits to be checked.
pub(super) async fn case(db: &mut impl Db, id: ImageId) -> Result<Option<Case>> {
    let picture = Sql::new(
        "SELECT u.openid, g.prompt, g.tags, g.image_url, g.thumbnail_url FROM gallery_images g \
         JOIN users u ON u.id = g.author_id WHERE g.id = $1 AND g.status = 'PENDING' AND u.openid IS NOT NULL",
    );
    let Some(row) = db.optional(picture.bind(id.get())).await? else { return Ok(None) };
    let checks = Sql::new(
        "SELECT part, verdict, created_at FROM content_checks WHERE image_id = $1 ORDER BY created_at, trace_id",
    );
    let mut text_is_checked = false;
    let mut asked = Vec::new();
    for check in db.all(checks.bind(id.get())).await? {
        if check.get::<String>("part")? == Part::Text.as_str() {
            text_is_checked = true;
        } else {
            let failed = check.get::<Option<String>>("verdict")?.as_deref() == Some(FAILED);
            asked.push(Asked { at: check.get("created_at")?, failed });
        }
    }
    Ok(Some(Case {
        openid: row.get("openid")?,
        prompt: row.get("prompt")?,
        tags: row.json("tags")?,
        image_url: row.get("image_url")?,
        thumbnail_url: row.get("thumbnail_url")?,
        text_is_checked,
        asked,
    }))
}

/// Notes what a check is about. Its verdict may be here before this, and stays; whether the check has failed already.
pub(super) async fn note_check(
    tx: &mut Tx,
    trace_id: &str,
    image: ImageId,
    part: Part,
    verdict: Option<Verdict>,
    now: Timestamp,
) -> Result<bool> {
    let sql = Sql::new(
        "INSERT INTO content_checks (trace_id, image_id, part, verdict, created_at, decided_at) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (trace_id) DO UPDATE SET image_id = excluded.image_id \
         RETURNING verdict",
    )
    .bind(trace_id)
    .bind(image.get())
    .bind(part.as_str())
    .bind(verdict.map(verdict_name))
    .bind(now)
    .bind(verdict.map(|_| now));
    Ok(tx.one(sql).await?.get::<Option<String>>("verdict")?.as_deref() == Some(FAILED))
}

/// Removes what the checks of a picture found.
pub(super) async fn forget_checks(tx: &mut Tx, image: ImageId) -> Result<()> {
    tx.execute(Sql::new("DELETE FROM content_checks WHERE image_id = $1").bind(image.get())).await?;
    Ok(())
}

/// Keeps a verdict on a picture, unless there is one; what it is about, if that is known yet.
pub(super) async fn keep_verdict(
    tx: &mut Tx,
    trace_id: &str,
    verdict: Option<Verdict>,
    now: Timestamp,
) -> Result<Option<ImageId>> {
    let sql = Sql::new(
        "INSERT INTO content_checks (trace_id, part, verdict, created_at, decided_at) \
         VALUES ($1, 'PICTURE', $2, $3, $3) ON CONFLICT (trace_id) DO UPDATE SET \
         verdict = coalesce(content_checks.verdict, excluded.verdict), \
         decided_at = coalesce(content_checks.decided_at, excluded.decided_at) RETURNING image_id",
    );
    let sql = sql.bind(trace_id).bind(verdict.map_or(FAILED, verdict_name)).bind(now);
    tx.one(sql).await?.get("image_id")
}

/// What the checks of a picture found. Where it was handed in more than once, the worst counts.
pub(super) async fn found(tx: &mut Tx, image: ImageId) -> Result<Found> {
    let sql =
        Sql::new("SELECT part, verdict FROM content_checks WHERE image_id = $1 AND verdict IS NOT NULL");
    let mut found = Found::default();
    for row in tx.all(sql.bind(image.get())).await? {
        let verdict = verdict_named(row.get::<Option<String>>("verdict")?.as_deref());
        let part = if row.get::<String>("part")? == Part::Text.as_str() {
            &mut found.text
        } else {
            &mut found.picture
        };
        *part = worse(*part, verdict);
    }
    Ok(found)
}

fn worse(one: Option<Verdict>, other: Option<Verdict>) -> Option<Verdict> {
    let rank = |verdict: &Verdict| match verdict {
        Verdict::Pass => 0,
        Verdict::Review => 1,
        Verdict::Risky => 2,
    };
    one.into_iter().chain(other).max_by_key(rank)
}

// Verdicts are read along, since a page of pictures is judged at once.
macro_rules! moderated {
    ($rest:literal) => {
        concat!(
            "SELECT g.id, g.image_url, g.thumbnail_url, g.prompt, g.category, g.tags, g.likes, g.created_at, \
             g.status, g.barred, g.reject_reason, g.job_id, g.result_index, g.updated_at, \
             u.id AS author_id, u.nick_name, u.avatar_url, \
             (SELECT min(c.verdict) FROM content_checks c WHERE c.image_id = g.id AND c.part = 'TEXT') AS text_verdict, \
             (SELECT max(c.verdict) FROM content_checks c WHERE c.image_id = g.id AND c.part = 'PICTURE' \
              AND c.verdict <> 'FAILED') AS picture_verdict FROM gallery_images g \
             LEFT JOIN users u ON u.id = g.author_id AND u.deleted_at IS NULL ",
            $rest
        )
    };
}

fn read_moderated(row: &Row) -> Result<ModeratedImage> {
    let verdict = |name| Ok::<_, crate::Error>(verdict_named(row.get::<Option<String>>(name)?.as_deref()));
    Ok(ModeratedImage {
        image: read(row, None)?,
        status: row.word("status", ImageStatus::parse)?,
        job: row.get("job_id")?,
        result_index: row.get("result_index")?,
        barred: row.get("barred")?,
        reject_reason: row.get("reject_reason")?,
        text_verdict: verdict("text_verdict")?,
        picture_verdict: verdict("picture_verdict")?,
        updated_at: row.get("updated_at")?,
    })
}

pub(super) async fn moderated(db: &mut impl Db, id: ImageId) -> Result<Option<ModeratedImage>> {
    let sql = Sql::new(moderated!("WHERE g.id = $1")).bind(id.get());
    db.optional(sql).await?.as_ref().map(read_moderated).transpose()
}

pub(super) async fn list_moderated(
    db: &mut impl Db,
    status: ImageStatus,
    start: SortKey,
    page: &PageRequest,
) -> Result<Vec<ModeratedImage>> {
    // Each form walks an index of its own.
    let text = match status {
        ImageStatus::Public => moderated!(
            "WHERE g.status = $1 AND g.status = 'PUBLIC' AND (g.created_at, g.id) < ($2, $3) \
             ORDER BY g.created_at DESC, g.id DESC LIMIT $4"
        ),
        ImageStatus::Pending | ImageStatus::Rejected | ImageStatus::Removed => moderated!(
            "WHERE g.status = $1 AND g.status <> 'PUBLIC' AND (g.created_at, g.id) < ($2, $3) \
             ORDER BY g.created_at DESC, g.id DESC LIMIT $4"
        ),
    };
    let sql = Sql::new(text).bind(status.as_str()).bind(start.by).bind(start.id).bind(page.limit.get() + 1);
    db.all(sql).await?.iter().map(read_moderated).collect()
}

/// How many pictures wait to be checked or for a person, counted up to 10 000, and since when the oldest does.
pub(crate) async fn waiting(db: &mut impl Db) -> Result<(i64, Option<Timestamp>)> {
    let sql = Sql::new(
        "SELECT count(*) AS images, min(created_at) AS oldest FROM (SELECT created_at FROM gallery_images \
         WHERE status = 'PENDING' AND status <> 'PUBLIC' ORDER BY created_at, id LIMIT 10000) AS waiting",
    );
    let row = db.one(sql).await?;
    Ok((row.get("images")?, row.get("oldest")?))
}

/// All pictures that a user published and that were not removed, oldest first.
pub(crate) async fn all_of(db: &mut impl Db, author: UserId) -> Result<Vec<GalleryImage>> {
    let sql =
        Sql::new(images!("WHERE g.author_id = $2 AND g.status <> 'REMOVED' ORDER BY g.created_at, g.id"));
    let rows = db.all(sql.bind(author.get()).bind(author.get())).await?;
    rows.iter().map(|row| read(row, Some(author))).collect()
}
