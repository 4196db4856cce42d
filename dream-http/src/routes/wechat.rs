//! What WeChat tells by its message push.

use dream_core::protocol::message_push::TAKEN;
use dream_core::{Code, Result, VerifiedPush};
use http::{HeaderValue, StatusCode};

use crate::gate::PushEcho;
use crate::reply::Reply;
use crate::table::{Row, get, post};

const PLAIN_TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

pub(crate) fn rows() -> Vec<Row> {
    vec![
        get("/v1/wechat/push", echo)
            .doc("WeChat checks the URL that it is to push to")
            .any_query()
            .unmetered(),
        post("/v1/wechat/push", push)
            .doc("WeChat pushes a message, such as the verdict on a picture")
            .fails(&[Code::Unavailable])
            .any_query()
            .unmetered(),
    ]
}

async fn echo(PushEcho(echo): PushEcho, (): ()) -> Result<Reply> {
    Ok(Reply::bytes(StatusCode::OK, PLAIN_TEXT, echo))
}

async fn push(message: VerifiedPush, (): ()) -> Result<Reply> {
    message.apply().await?;
    Ok(Reply::bytes(StatusCode::OK, PLAIN_TEXT, TAKEN))
}
