//! WeChat's ways to say no.

use dream_core::kernel::Timestamp;
use serde_json::{Value, json};

use crate::faults::Fault;

/// The text that goes with an error code. It is for people, and clients may not branch on it.
pub(super) fn errmsg(errcode: i64) -> &'static str {
    match errcode {
        -1 => "system error",
        0 => "ok",
        40001 => "invalid credential, access_token is invalid or not latest",
        40002 => "invalid grant_type",
        40003 => "invalid openid",
        40013 => "invalid appid",
        40014 => "invalid access_token",
        40029 => "invalid code",
        40037 => "invalid template_id",
        40125 => "invalid appsecret",
        40129 => "invalid scene",
        40163 => "code been used",
        40164 => "invalid ip 203.0.113.9 ipv6 ::ffff:203.0.113.9, not in whitelist",
        40226 => "code blocked",
        41001 => "access_token missing",
        41002 => "appid missing",
        41004 => "appsecret missing",
        41008 => "missing code",
        41030 => "invalid page",
        42001 => "access_token expired",
        43002 => "require POST method",
        43101 => "user refuse to accept the msg",
        43104 => "appid not match",
        44002 => "empty post data",
        45002 => "content size out of limit",
        45009 => "reach max api daily quota limit",
        45011 => "api minute-quota reach limit  mustslower  retry next minute",
        47001 => "data format error",
        47003 => "argument invalid!",
        48001 => "api unauthorized",
        61010 => "code is expired",
        87008 => "invalid sig_method",
        87009 => "invalid signature",
        _ => "error",
    }
}

/// The body of a refusal, with the id that WeChat's support asks for.
pub(super) fn refusal(errcode: i64, detail: &str, at: Timestamp, random: u64) -> Value {
    let text = errmsg(errcode);
    let gap = if detail.is_empty() { "" } else { " " };
    let rid = format!("{:08x}-{:08x}-{:08x}", at.as_secs(), random >> 32, random & 0xffff_ffff);
    json!({"errcode": errcode, "errmsg": format!("{text}{gap}{detail} rid: {rid}")})
}

/// A fault that answers this error code in place of doing anything.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::ports::LoginCode;
/// use dream_core::{Code, Login};
/// use dream_testkit::fakes::wechat::{business_error, operation};
///
/// // 40226: WeChat calls the user high-risk.
/// world.wechat().faults().next(operation::LOGIN, business_error(40226));
/// let code = LoginCode::new(world.wechat().login_code("o-mallory")).unwrap();
/// let login = Login { code, phone: None, nick_name: None, avatar_url: None };
/// assert_eq!(world.nobody().login(login).await.unwrap_err().code(), Code::Forbidden);
/// # Ok(())
/// # });
/// ```
pub fn business_error(errcode: i64) -> Fault {
    Fault::status(200, json!({"errcode": errcode, "errmsg": errmsg(errcode)}).to_string())
}
