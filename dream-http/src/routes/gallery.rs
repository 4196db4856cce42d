//! The gallery.

use std::time::Duration;

use dream_core::gallery::GalleryFilter;
use dream_core::kernel::ImageId;
use dream_core::{Admin, Code, Guest, Result, Session, Visitor};

use crate::gate::UserOrAdmin;
use crate::input::{Body, Numbered, Paged, Path, Query, QueryAs, Text};
use crate::problem::Lang;
use crate::reply::Created;
use crate::table::{Row, delete, get, post};
use crate::throttle::LimitClass;
use crate::wire::gallery::{
    Approval, Categories, Image, ImageAnswer, ImageFilter, Liked, ModeratedImage, ModerationFilter,
    Publication, Refusal,
};
use crate::wire::message::Message;
use crate::wire::page::{NumberedPage, Page};

/// How old a kept page may be. Likes are counted all the time, and need not show at once.
const KEPT: Duration = Duration::from_secs(5);
const TOPIC: &str = "gallery";

pub(crate) fn rows() -> Vec<Row> {
    vec![
        get("/v1/gallery/images", images)
            .doc("Public pictures, newest or most liked first")
            .fails(&[Code::InvalidCursor])
            .public(KEPT, TOPIC),
        get("/v1/gallery/images/{id}", image)
            .doc("A public picture, or one's own")
            .fails(&[Code::ImageNotFound])
            .limited_as(LimitClass::Public),
        delete("/v1/gallery/images/{id}", remove)
            .doc("Takes a picture out, by its author or an admin")
            .fails(&[Code::ImageNotFound]),
        get("/v1/gallery/mine", mine)
            .doc("The pictures that one published, newest first, each with its state")
            .fails(&[Code::InvalidCursor]),
        get("/v1/gallery/categories", categories).doc("Every category").public(KEPT, TOPIC),
        post("/v1/gallery/images/{id}/like", like)
            .doc("Likes a picture; once, however often it is sent")
            .fails(&[Code::ImageNotFound]),
        delete("/v1/gallery/images/{id}/like", unlike)
            .doc("Likes a picture no longer")
            .fails(&[Code::ImageNotFound]),
        post("/v1/gallery/publish", publish)
            .doc("Offers a result of one's own to the public, which sees it once its picture was checked")
            .fails(&[Code::JobNotFound, Code::InvalidState, Code::AlreadyPublished, Code::ContentRejected]),
        get("/v1/admin/gallery", moderated)
            .doc("Pictures in one state, newest first; those that wait unless said otherwise")
            .fails(&[Code::InvalidCursor]),
        get("/v1/admin/gallery/{id}", show)
            .doc("A picture in whatever state, with what its checks found")
            .fails(&[Code::ImageNotFound]),
        post("/v1/admin/gallery/{id}/approve", approve)
            .doc("Lets a picture go public")
            .fails(&[Code::ImageNotFound, Code::InvalidState]),
        post("/v1/admin/gallery/{id}/reject", reject)
            .doc("Keeps a picture from the public, or takes it back")
            .fails(&[Code::ImageNotFound, Code::InvalidState]),
        post("/v1/admin/gallery/{id}/remove", remove_for_a_reason)
            .doc("Takes a picture out for good")
            .fails(&[Code::ImageNotFound]),
    ]
}

async fn images(
    visitor: Visitor,
    (Numbered(page), filter): (Numbered, QueryAs<ImageFilter, GalleryFilter>),
) -> Result<NumberedPage<Image>> {
    Ok(NumberedPage::of(visitor.gallery(&filter.value, &page).await?, &page, Image::from))
}

async fn image(visitor: Visitor, (Path(id), lang): (Path<ImageId>, Lang)) -> Result<ImageAnswer> {
    Ok(ImageAnswer::new(visitor.gallery_image(id).await?, lang))
}

async fn categories(_: Guest, (): ()) -> Result<Categories> {
    Ok(Categories::all())
}

async fn like(me: Session, Path(id): Path<ImageId>) -> Result<Liked> {
    Ok(Liked { liked: true, total_likes: me.like(id).await? })
}

async fn unlike(me: Session, Path(id): Path<ImageId>) -> Result<Liked> {
    Ok(Liked { liked: false, total_likes: me.unlike(id).await? })
}

async fn mine(me: Session, (Paged(page), lang): (Paged, Lang)) -> Result<Page<Image>> {
    Ok(Page::of(me.published(&page).await?, |image| Image::own(image, lang)))
}

async fn publish(me: Session, (Body(body), lang): (Body<Publication>, Lang)) -> Result<Created<Image>> {
    Ok(Created(Image::own(me.publish(&body.into()).await?, lang)))
}

async fn remove(who: UserOrAdmin, (Path(id), lang): (Path<ImageId>, Lang)) -> Result<Message> {
    match who {
        UserOrAdmin::User(me) => me.remove_image(id).await?,
        UserOrAdmin::Admin(admin) => admin.remove_image(id, None).await?,
    }
    Ok(removed(lang))
}

fn removed(lang: Lang) -> Message {
    Message::new(lang, "作品已移除", "The picture is removed")
}

async fn moderated(
    admin: Admin,
    (Paged(page), Query(filter)): (Paged, Query<ModerationFilter>),
) -> Result<Page<ModeratedImage>> {
    Ok(Page::of(admin.gallery_images(filter.status(), &page).await?, ModeratedImage::from))
}

async fn show(admin: Admin, Path(id): Path<ImageId>) -> Result<ModeratedImage> {
    Ok(admin.gallery_image(id).await?.into())
}

async fn approve(
    admin: Admin,
    (Path(id), Body(body)): (Path<ImageId>, Body<Approval>),
) -> Result<ModeratedImage> {
    let reason = body.reason.as_ref().map(|Text(reason)| reason.as_str());
    Ok(admin.approve_image(id, reason).await?.into())
}

async fn reject(
    admin: Admin,
    (Path(id), Body(body)): (Path<ImageId>, Body<Refusal>),
) -> Result<ModeratedImage> {
    let Text(reason) = &body.reason;
    Ok(admin.reject_image(id, reason).await?.into())
}

async fn remove_for_a_reason(
    admin: Admin,
    (Path(id), lang, Body(body)): (Path<ImageId>, Lang, Body<Refusal>),
) -> Result<Message> {
    let Text(reason) = &body.reason;
    admin.remove_image(id, Some(reason)).await?;
    Ok(removed(lang))
}
