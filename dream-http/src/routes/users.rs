//! Users.

use dream_core::kernel::UserId;
use dream_core::{Code, Result, Session};

use crate::input::{Body, Path};
use crate::problem::Lang;
use crate::table::{Row, delete, get, put};
use crate::wire::message::Message;
use crate::wire::users::{UpdateProfile, UserAnswer, UserWithStats, ViewAnswer};

pub(crate) fn rows() -> Vec<Row> {
    vec![
        get("/v1/users/me", me).doc("One's own user"),
        put("/v1/users/me", update).doc("Changes one's name or picture").fails(&[
            Code::ContentRejected,
            Code::UpstreamError,
            Code::UpstreamTimeout,
        ]),
        delete("/v1/users/me", leave)
            .doc("Deletes the account; the ledger and orders stay without the person"),
        get("/v1/users/me/stats", stats).doc("One's own user and figures"),
        get("/v1/users/{id}", show)
            .doc("A user: oneself in full, others as everybody may see them")
            .fails(&[Code::UserNotFound]),
    ]
}

async fn me(me: Session, (): ()) -> Result<UserAnswer> {
    Ok(me.me().await?.into())
}

async fn update(me: Session, Body(update): Body<UpdateProfile>) -> Result<UserAnswer> {
    Ok(me.update_profile(update.into()).await?.into())
}

async fn leave(me: Session, lang: Lang) -> Result<Message> {
    me.delete_account().await?;
    Ok(Message::new(lang, "账号已删除", "The account is deleted"))
}

async fn stats(me: Session, (): ()) -> Result<UserWithStats> {
    Ok(me.stats().await?.into())
}

async fn show(me: Session, Path(id): Path<UserId>) -> Result<ViewAnswer> {
    Ok(me.user(id).await?.into())
}
