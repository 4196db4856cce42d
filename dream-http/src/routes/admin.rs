//! Administration.

use dream_core::kernel::UserId;
use dream_core::{Admin, Code, Result};

use crate::input::{Body, Numbered, OneOf, Paged, Path, Query, Text};
use crate::problem::Lang;
use crate::table::{Row, delete, get, put};
use crate::wire::admin::{AuditEntry, AuditQuery, ChangedUser, EditUser, SetVip, UserList, UserQuery};
use crate::wire::message::Message;
use crate::wire::page::Page;
use crate::wire::users::UserAnswer;

pub(crate) fn rows() -> Vec<Row> {
    vec![
        get("/v1/admin/users", users).doc("Users, newest first").fails(&[Code::InvalidCursor]),
        get("/v1/admin/users/{id}", user).doc("A user in full").fails(&[Code::UserNotFound]),
        put("/v1/admin/users/{id}", update_user)
            .doc("Changes a user's name, picture and balance; a changed balance is an entry of the ledger")
            .fails(&[
                Code::UserNotFound,
                Code::InvalidState,
                Code::ContentRejected,
                Code::UpstreamError,
                Code::UpstreamTimeout,
            ]),
        delete("/v1/admin/users/{id}", delete_user).doc("Deletes an account").fails(&[Code::UserNotFound]),
        put("/v1/admin/users/{id}/vip", set_vip)
            .doc("Gives a user a level; days come on top of what is left")
            .fails(&[Code::UserNotFound]),
        delete("/v1/admin/users/{id}/vip", cancel_vip)
            .doc("Ends a user's level at once")
            .fails(&[Code::UserNotFound]),
        get("/v1/admin/audit-log", audit_log)
            .doc("What admins did, newest first")
            .fails(&[Code::InvalidCursor]),
    ]
}

async fn users(
    admin: Admin,
    (Numbered(page), Query(query)): (Numbered, Query<UserQuery>),
) -> Result<UserList> {
    Ok(UserList::of(admin.users(&query.into(), &page).await?, &page))
}

async fn user(admin: Admin, Path(id): Path<UserId>) -> Result<UserAnswer> {
    Ok(admin.user(id).await?.into())
}

async fn update_user(
    admin: Admin,
    (Path(id), Body(edit)): (Path<UserId>, Body<EditUser>),
) -> Result<UserAnswer> {
    let (edit, reason) = edit.into_parts();
    Ok(admin.update_user(id, &edit, reason.as_deref()).await?.into())
}

async fn delete_user(admin: Admin, (Path(id), lang): (Path<UserId>, Lang)) -> Result<Message> {
    admin.delete_user(id).await?;
    Ok(Message::new(lang, "用户已删除", "The user is deleted"))
}

async fn set_vip(
    admin: Admin,
    (Path(id), lang, Body(vip)): (Path<UserId>, Lang, Body<SetVip>),
) -> Result<ChangedUser> {
    let OneOf(level) = vip.vip_level;
    let reason = vip.reason.as_ref().map(|Text(reason)| reason.as_str());
    let user = admin.set_vip(id, level, vip.term(), reason).await?.user;
    Ok(ChangedUser::new(user, Message::new(lang, "会员等级已更新", "The VIP level is set")))
}

async fn cancel_vip(admin: Admin, (Path(id), lang): (Path<UserId>, Lang)) -> Result<ChangedUser> {
    let user = admin.cancel_vip(id, None).await?.user;
    Ok(ChangedUser::new(user, Message::new(lang, "会员已取消", "The VIP level is ended")))
}

async fn audit_log(
    admin: Admin,
    (Paged(page), Query(query)): (Paged, Query<AuditQuery>),
) -> Result<Page<AuditEntry>> {
    Ok(Page::of(admin.audit_log(&query.into(), &page).await?, AuditEntry::from))
}
