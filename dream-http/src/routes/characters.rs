//! Characters and their photos.

use dream_core::characters::{PhotoLink, PhotoRef, PhotoUpload};
use dream_core::jobs::CharacterRef;
use dream_core::{Code, Result, Session};

use crate::input::{Body, Path};
use crate::problem::Lang;
use crate::reply::Created;
use crate::table::{Row, delete, get, post, put};
use crate::wire::characters::{
    CharacterAnswer, CharacterChanges, CharacterDone, Characters, Done, LinkedPhoto, NewCharacter,
    PHOTO_BODY, PhotoAnswer, PhotoDone, SentPhoto,
};

const NAME_FAILS: &[Code] = &[Code::ContentRejected, Code::UpstreamError, Code::UpstreamTimeout];

pub(crate) fn rows() -> Vec<Row> {
    let absent = &[Code::CharacterNotFound];
    let photo_absent = &[Code::CharacterNotFound, Code::PhotoNotFound];
    vec![
        get("/v1/characters", list).doc("One's characters, newest first"),
        post("/v1/characters", create)
            .doc("Makes a character")
            .fails(&[Code::InvalidState])
            .fails(NAME_FAILS),
        get("/v1/characters/{id}", show).doc("One of one's characters").fails(absent),
        put("/v1/characters/{id}", update)
            .doc("Changes a character's name or description")
            .fails(absent)
            .fails(NAME_FAILS),
        delete("/v1/characters/{id}", remove)
            .doc("Deletes a character and its photos; their objects are removed too")
            .fails(absent),
        post("/v1/characters/{id}/photos/upload", upload)
            .doc("Adds a photo in base64; it is written anew, with a small copy")
            .fails(absent)
            .fails(&[Code::PhotoLimitReached, Code::StorageLimitReached, Code::ImageInvalid])
            .fails(&[Code::UpstreamError, Code::UpstreamTimeout]),
        post("/v1/characters/{id}/photos", link)
            .doc("Adds a photo that lies at an allowed host; it is never fetched")
            .fails(absent)
            .fails(&[Code::PhotoLimitReached]),
        get("/v1/characters/{id}/photos/{photoId}", photo)
            .doc("One photo of one's character")
            .fails(photo_absent),
        delete("/v1/characters/{id}/photos/{photoId}", remove_photo)
            .doc("Removes a photo; its objects are removed too")
            .fails(photo_absent),
    ]
}

async fn list(me: Session, (): ()) -> Result<Characters> {
    Ok(me.characters().await?.into())
}

async fn create(me: Session, Body(body): Body<NewCharacter>) -> Result<Created<CharacterDone>> {
    Ok(Created(me.create_character(&body.into()).await?.into()))
}

async fn show(me: Session, Path(id): Path<CharacterRef>) -> Result<CharacterAnswer> {
    Ok(me.character(&id).await?.into())
}

async fn update(
    me: Session,
    (Path(id), Body(body)): (Path<CharacterRef>, Body<CharacterChanges>),
) -> Result<CharacterDone> {
    Ok(me.update_character(&id, &body.into()).await?.into())
}

async fn remove(me: Session, (Path(id), lang): (Path<CharacterRef>, Lang)) -> Result<Done> {
    me.delete_character(&id).await?;
    Ok(Done::new(lang, "角色已删除", "The character is deleted"))
}

async fn upload(
    me: Session,
    (Path(id), Body(body)): (Path<CharacterRef>, Body<SentPhoto, PHOTO_BODY>),
) -> Result<Created<PhotoDone>> {
    let photo: PhotoUpload = body.try_into()?;
    Ok(Created(me.upload_photo(&id, &photo).await?.into()))
}

async fn link(
    me: Session,
    (Path(id), Body(body)): (Path<CharacterRef>, Body<LinkedPhoto>),
) -> Result<Created<PhotoDone>> {
    let link: PhotoLink = body.into();
    Ok(Created(me.link_photo(&id, &link).await?.into()))
}

async fn photo(me: Session, Path((id, photo)): Path<(CharacterRef, PhotoRef)>) -> Result<PhotoAnswer> {
    Ok(me.photo(&id, &photo).await?.into())
}

async fn remove_photo(
    me: Session,
    (Path((id, photo)), lang): (Path<(CharacterRef, PhotoRef)>, Lang),
) -> Result<Done> {
    me.delete_photo(&id, &photo).await?;
    Ok(Done::new(lang, "照片已删除", "The photo is deleted"))
}
