//! The gallery.

use std::time::Duration;

use dream_core::kernel::ImageId;
use dream_core::{Code, Guest, Result, Visitor};

use crate::input::{Numbered, Path, Query};
use crate::table::{Row, get};
use crate::wire::gallery::{Categories, Image, ImageAnswer, ImageFilter};
use crate::wire::page::NumberedPage;

/// How old a kept page may be. Likes are counted all the time, and need not show at once.
const KEPT: Duration = Duration::from_secs(5);
const TOPIC: &str = "gallery";

pub(crate) fn rows() -> Vec<Row> {
    vec![
        get("/v1/gallery/images", images)
            .doc("Public pictures, newest or most liked first")
            .fails(&[Code::InvalidCursor])
            .public(KEPT, TOPIC),
        get("/v1/gallery/images/{id}", image).doc("A public picture").fails(&[Code::ImageNotFound]),
        get("/v1/gallery/categories", categories).doc("Every category").public(KEPT, TOPIC),
    ]
}

async fn images(
    visitor: Visitor,
    (Numbered(page), Query(filter)): (Numbered, Query<ImageFilter>),
) -> Result<NumberedPage<Image>> {
    Ok(NumberedPage::of(visitor.gallery(&filter.into(), &page).await?, &page, Image::from))
}

async fn image(visitor: Visitor, Path(id): Path<ImageId>) -> Result<ImageAnswer> {
    Ok(visitor.gallery_image(id).await?.into())
}

async fn categories(_: Guest, (): ()) -> Result<Categories> {
    Ok(Categories::all())
}
