//! Uploads, and the pictures of our storage.
//!
//! A stored picture is streamed: a response holds one piece of it in memory, whatever its size. A `HEAD` and a conditional
//! request that matches read the metadata of the object only. Both routes have a rate limit of their own, since a page
//! shows many pictures.

use dream_core::media::MAX_BYTES;
use dream_core::ports::{BlobInfo, BlobKey};
use dream_core::uploads::Part;
use dream_core::{Code, Guest, Result, Session};
use http::HeaderValue;

use crate::file::{File, Portion, Wanted};
use crate::input::{Path, Upload};
use crate::reply::{Created, Payload};
use crate::table::{Row, get, post};
use crate::throttle::LimitClass;
use crate::wire::uploads::UploadedImage;

const LIMIT: u64 = MAX_BYTES as u64;
const READ_FAILS: &[Code] = &[Code::ImageNotFound, Code::UpstreamError, Code::UpstreamTimeout];

pub(crate) fn rows() -> Vec<Row> {
    vec![
        post("/v1/upload/image", upload)
            .doc("Keeps a JPEG, PNG, GIF or WebP picture, written anew without metadata")
            .fails(&[
                Code::ImageInvalid,
                Code::StorageLimitReached,
                Code::UpstreamError,
                Code::UpstreamTimeout,
            ]),
        get("/uploads/{filename}", uploaded)
            .doc("An uploaded picture")
            .fails(READ_FAILS)
            .limited_as(LimitClass::Files),
        // Where pictures are kept on the local disk, those of characters and results are read here as well.
        get("/uploads/{folder}/{filename}", kept)
            .doc("A picture of a character, or a result that was copied")
            .fails(READ_FAILS)
            .limited_as(LimitClass::Files),
    ]
}

async fn upload(me: Session, file: Upload<LIMIT>) -> Result<Created<UploadedImage>> {
    let name = file.original_name.unwrap_or_default();
    Ok(Created(me.upload_picture(file.bytes, &name).await?.into()))
}

async fn uploaded(guest: Guest, (Path(key), wanted): (Path<BlobKey>, Wanted)) -> Result<File> {
    read(&guest, &key, &wanted).await
}

async fn kept(
    guest: Guest,
    (Path((folder, name)), wanted): (Path<(BlobKey, BlobKey)>, Wanted),
) -> Result<File> {
    let key = format!("{folder}/{name}").parse().map_err(|_| Code::ImageNotFound)?;
    read(&guest, &key, &wanted).await
}

async fn read(guest: &Guest, key: &BlobKey, wanted: &Wanted) -> Result<File> {
    let mut portion = Portion::Whole;
    let picture = guest
        .stored_picture(key, |info| {
            portion = wanted.portion(info.size, &etag(info));
            match portion {
                Portion::Whole if wanted.is_head() => Part::Nothing,
                Portion::Whole => Part::Whole,
                Portion::Part(range) => Part::Range(range),
                Portion::Known | Portion::Outside => Part::Nothing,
            }
        })
        .await?;
    Ok(File {
        content_type: HeaderValue::from_static(picture.kind.mime()),
        etag: etag(&picture.info),
        size: picture.info.size,
        portion,
        body: match picture.content {
            Some(content) => Payload::pieces(content.pieces, content.length),
            None if portion == Portion::Whole => Payload::unsent(picture.info.size),
            None => Payload::default(),
        },
    })
}

/// A name is never used again for other content, so it names the content.
fn etag(info: &BlobInfo) -> HeaderValue {
    HeaderValue::try_from(format!("\"{}-{:x}\"", info.key, info.size))
        .unwrap_or(HeaderValue::from_static("\"\""))
}
