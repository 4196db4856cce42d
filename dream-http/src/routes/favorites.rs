//! Favorites.

use dream_core::kernel::FavoriteId;
use dream_core::{Code, Result, Session};

use crate::input::{Body, Numbered, OneOf, Parsed, Path, Query};
use crate::problem::Lang;
use crate::reply::Ensured;
use crate::table::{Row, delete, get, post};
use crate::wire::favorites::{
    EmbeddedFavorite, Favorite, FavoriteCheck, FavoriteCheckQuery, FavoriteFilter, NewFavorite,
};
use crate::wire::message::Message;
use crate::wire::page::NumberedPage;

pub(crate) fn rows() -> Vec<Row> {
    vec![
        post("/v1/favorites", add)
            .doc("Keeps a picture or a prompt; once, however often it is sent")
            .fails(&[Code::ImageNotFound, Code::TemplateNotFound, Code::FavoriteLimitReached]),
        delete("/v1/favorites/{id}", remove)
            .doc("Keeps something no longer")
            .fails(&[Code::FavoriteNotFound]),
        get("/v1/favorites", list)
            .doc("One's favorites, newest first, each with what it stands for")
            .fails(&[Code::InvalidCursor]),
        get("/v1/favorites/check", check).doc("Whether one keeps something"),
    ]
}

async fn add(me: Session, Body(body): Body<NewFavorite>) -> Result<Ensured<Favorite>> {
    let (OneOf(kind), Parsed(resource)) = (body.kind, body.resource_id);
    let added = me.add_favorite(kind, &resource).await?;
    let is_new = added.is_new;
    let favorite = Favorite::from(added.favorite);
    Ok(if is_new { Ensured::Created(favorite) } else { Ensured::Existing(favorite) })
}

async fn remove(me: Session, (Path(id), lang): (Path<FavoriteId>, Lang)) -> Result<Message> {
    me.remove_favorite(id).await?;
    Ok(Message::new(lang, "已取消收藏", "The favorite is removed"))
}

async fn list(
    me: Session,
    (Numbered(page), Query(filter)): (Numbered, Query<FavoriteFilter>),
) -> Result<NumberedPage<EmbeddedFavorite>> {
    let kind = filter.kind.map(|OneOf(kind)| kind);
    Ok(NumberedPage::of(me.favorites(kind, &page).await?, &page, EmbeddedFavorite::from))
}

async fn check(me: Session, Query(query): Query<FavoriteCheckQuery>) -> Result<FavoriteCheck> {
    let (OneOf(kind), Parsed(resource)) = (query.kind, query.resource_id);
    Ok(me.favorite_of(kind, &resource).await?.into())
}
