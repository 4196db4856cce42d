//! The tables `gallery_images`, `gallery_tags`, `gallery_counts` and `gallery_likes`.

use super::{Author, GalleryFilter, GalleryImage, GallerySort};
use crate::blobs::Names;
use crate::error::Result;
use crate::kernel::{ImageId, PageRequest, SortKey, Timestamp, UserId};
use crate::seeds::SeedImage;
use crate::store::{Db, Row, Sql, Tx, json_text};

// `$1` is the asking user, 0 for a guest.
macro_rules! images {
    ($rest:literal) => {
        concat!(
            "SELECT g.id, g.image_url, g.thumbnail_url, g.prompt, g.category, g.tags, g.likes, g.created_at, \
             u.id AS author_id, u.nick_name, u.avatar_url, l.user_id AS liked_by FROM gallery_images g \
             LEFT JOIN users u ON u.id = g.author_id AND u.deleted_at IS NULL \
             LEFT JOIN gallery_likes l ON l.image_id = g.id AND l.user_id = $1 ",
            $rest
        )
    };
}

fn read(row: &Row, asking: Option<UserId>) -> Result<GalleryImage> {
    let author = row.get::<Option<UserId>>("author_id")?;
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
    })
}

fn asking_id(user: Option<UserId>) -> i64 {
    user.map_or(0, UserId::get)
}

pub(super) async fn find(
    db: &mut impl Db,
    id: ImageId,
    asking: Option<UserId>,
) -> Result<Option<GalleryImage>> {
    let sql =
        Sql::new(images!("WHERE g.id = $2 AND g.status = 'PUBLIC'")).bind(asking_id(asking)).bind(id.get());
    db.optional(sql).await?.map(|row| read(&row, asking)).transpose()
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
            let sql = Sql::new(
                "INSERT INTO gallery_counts (category, tag, images) VALUES ($1, $2, $3) \
                 ON CONFLICT (category, tag) DO UPDATE SET images = gallery_counts.images + $3",
            );
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

/// Takes a deleted user's name off its pictures. What others like stays.
pub(crate) async fn forget(tx: &mut Tx, user: UserId, now: Timestamp) -> Result<()> {
    let sql = Sql::new("UPDATE gallery_images SET author_id = NULL, updated_at = $2 WHERE author_id = $1");
    tx.execute(sql.bind(user.get()).bind(now)).await?;
    Ok(())
}

/// Whether a picture that the user published shows what lies under this URL.
pub(crate) async fn shows(tx: &mut Tx, author: UserId, url: &str) -> Result<bool> {
    let sql = Sql::new(
        "SELECT id FROM gallery_images WHERE author_id = $1 AND status <> 'REMOVED' \
         AND (image_url = $2 OR thumbnail_url = $2) LIMIT 1",
    );
    Ok(tx.optional(sql.bind(author.get()).bind(url)).await?.is_some())
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
