//! Credential to handle. The first argument of a handler is its gate: who may call it stands in its signature.

use std::future::Future;
use std::sync::Arc;

use dream_core::orders::{VerifiedPayment, VerifiedRefund, WECHAT};
use dream_core::ports::SignedNotify;
use dream_core::protocol::message_push::PushQuery;
use dream_core::{
    Admin, AdminKey, BearerToken, Code, Error, Guest, Result, Session, VerifiedPush, VerifiedWebhook, Visitor,
};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::app::App;
use crate::call::{Call, Caller};

/// The header of an admin key.
pub const ADMIN_KEY: HeaderName = HeaderName::from_static("x-admin-key");

const SIGNATURE: HeaderName = HeaderName::from_static("x-signature");
/// The largest body whose signature is checked.
const SIGNED_BODY: u64 = 64 * 1024;

/// What a gate asks for, for the document and for the test that tries every wrong credential.
///
/// ```
/// use dream_core::{Result, Session};
/// use dream_http::gate::Guard;
/// use dream_http::table::get;
///
/// async fn mine(_: Session, (): ()) -> Result<()> {
///     Ok(())
/// }
/// // It stands in the types: nobody has to say that this route wants a user.
/// assert_eq!(get("/v1/mine", mine).guard(), Guard::User);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// Nothing.
    Open,
    /// A user's token, or nothing. A bad token is refused all the same.
    OptionalUser,
    /// A user's token.
    User,
    /// An admin key.
    Admin,
    /// Either of the two.
    UserOrAdmin,
    /// A signature over the body, made by a service that calls us.
    Signed,
}

/// A credential, checked: `async fn show(me: Session, ..)`.
///
/// It reads headers only, before a byte of the body is read. Signed callbacks alone read a small body here: the
/// signed body is their credential.
///
/// ```
/// use dream_core::{Code, Result};
/// use dream_http::Call;
/// use dream_http::gate::{Gate, Guard};
///
/// /// A partner, by a key in a header of its own.
/// struct Partner;
///
/// impl Gate for Partner {
///     const GUARD: Guard = Guard::Signed;
///
///     async fn enter(call: &mut Call) -> Result<Self> {
///         let given = call.headers().get("x-partner-key").ok_or(Code::Unauthenticated)?;
///         let right = dream_core::protocol::signature::same(given.as_bytes(), b"the key of the partner");
///         if right { Ok(Self) } else { Err(Code::Unauthenticated.into()) }
///     }
/// }
///
/// async fn count(_: Partner, (): ()) -> Result<i64> {
///     Ok(42)
/// }
/// # let _ = dream_http::table::get("/v1/partner/count", count);
/// ```
pub trait Gate: Sized + Send + 'static {
    /// What it asks for.
    const GUARD: Guard;

    /// Lets the caller in, or not.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::{Code, Result};
    /// use dream_http::Call;
    /// use dream_http::gate::{Gate, Guard};
    /// # use dream_http::table::get;
    ///
    /// struct Neighbour;
    /// impl Gate for Neighbour {
    ///     const GUARD: Guard = Guard::Open;
    ///     async fn enter(call: &mut Call) -> Result<Self> {
    ///         if call.client().is_loopback() { Ok(Self) } else { Err(Code::Forbidden.into()) }
    ///     }
    /// }
    /// # async fn hello(_: Neighbour, (): ()) -> Result<String> { Ok("hello".to_owned()) }
    /// # let rows = vec![get("/v1/hello", hello)];
    /// # let settings = dream_http::Settings { listen: ([127, 0, 0, 1], 0).into(), ..Default::default() };
    /// # let app = dream_http::App::builder(world.dream().clone(), settings).rows(rows).build()?;
    /// # let server = dream_http::Server::bind(app)?;
    /// # let base = format!("http://{}", server.local_addr()?);
    /// # let serving = tokio::spawn(server.serve(std::future::pending()));
    /// assert_eq!(reqwest::get(format!("{base}/v1/hello")).await?.json::<String>().await?, "hello");
    /// # serving.abort();
    /// # Ok(())
    /// # });
    /// ```
    fn enter(call: &mut Call) -> impl Future<Output = Result<Self>> + Send;

    /// Who it turned out to be.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_http::Caller;
    /// use dream_http::gate::Gate as _;
    ///
    /// // Its requests are logged under this name, and counted against its own allowance.
    /// let alice = world.alice().await;
    /// assert_eq!(alice.session().await.caller(), Caller::User(alice.id()));
    /// assert_eq!(world.nobody().caller(), Caller::Unknown);
    /// # Ok(())
    /// # });
    /// ```
    fn caller(&self) -> Caller {
        Caller::Unknown
    }
}

/// No credential at all, and the application itself: for health, documentation and the like.
///
/// ```
/// use dream_core::Result;
/// use dream_http::gate::Anyone;
/// use dream_http::table::get;
///
/// async fn uptime(Anyone(app): Anyone, (): ()) -> Result<u64> {
///     Ok(app.uptime().as_secs())
/// }
/// // Also answered while the server is too busy for anything else.
/// let row = get("/v1/uptime", uptime).doc("Seconds since the start").vital();
/// # assert!(!row.is_write());
/// ```
#[derive(Debug)]
pub struct Anyone(pub Arc<App>);

impl Gate for Anyone {
    const GUARD: Guard = Guard::Open;

    async fn enter(call: &mut Call) -> Result<Self> {
        Ok(Self(Arc::clone(call.app())))
    }
}

/// A program on this machine, without a proxy between: [`Call::is_from_this_machine`].
///
/// For what must never be reached from outside, whatever the server listens on and whatever stands before it.
#[derive(Debug)]
pub struct ThisMachine(pub Arc<App>);

impl Gate for ThisMachine {
    const GUARD: Guard = Guard::Open;

    async fn enter(call: &mut Call) -> Result<Self> {
        if call.is_from_this_machine() {
            Ok(Self(Arc::clone(call.app())))
        } else {
            Err(Error::new(Code::Forbidden))
        }
    }
}

/// Anybody, with what anybody may do.
impl Gate for Guest {
    const GUARD: Guard = Guard::Open;

    async fn enter(call: &mut Call) -> Result<Self> {
        Ok(call.app().dream().guest())
    }
}

impl Gate for Session {
    const GUARD: Guard = Guard::User;

    async fn enter(call: &mut Call) -> Result<Self> {
        let token = bearer(call.headers())?.ok_or(Code::Unauthenticated)?;
        call.app().dream().session(&BearerToken::new(token)).await
    }

    fn caller(&self) -> Caller {
        Caller::User(self.user_id())
    }
}

impl Gate for Visitor {
    const GUARD: Guard = Guard::OptionalUser;

    async fn enter(call: &mut Call) -> Result<Self> {
        let token = bearer(call.headers())?.map(BearerToken::new);
        call.app().dream().visitor(token.as_ref()).await
    }

    fn caller(&self) -> Caller {
        self.user_id().map_or(Caller::Unknown, Caller::User)
    }
}

impl Gate for Admin {
    const GUARD: Guard = Guard::Admin;

    async fn enter(call: &mut Call) -> Result<Self> {
        // Counted before the key is looked at: nobody tries keys, or makes the database look for them, without limit.
        call.app().admit(call, call.options().class, &Caller::Unknown).await?;
        let Some(key) = admin_key(call.headers())? else { return Err(Error::new(Code::AdminKeyInvalid)) };
        call.app().admit_admin_key(call.client(), key)?;
        let opened = call.app().dream().admin(&AdminKey::new(key), Some(call.id().clone())).await;
        match &opened {
            Ok(_) => call.app().know_admin_key(key),
            Err(error) if error.code() == Code::AdminKeyInvalid => {
                metrics::counter!("dream_admin_keys_refused_total").increment(1);
                tracing::warn!(
                    client.address = %call.client(),
                    request.id = call.id().as_str(),
                    "an admin key was refused"
                );
            }
            Err(_) => {}
        }
        opened
    }

    fn caller(&self) -> Caller {
        Caller::Admin(self.key_name().clone())
    }
}

/// A user or an admin: where the owner of a thing and the administration may do the same.
///
/// ```
/// use dream_core::kernel::JobId;
/// use dream_core::{Code, Result};
/// use dream_http::gate::UserOrAdmin;
/// use dream_http::input::Path;
///
/// async fn prompt(who: UserOrAdmin, Path(job): Path<JobId>) -> Result<String> {
///     match who {
///         UserOrAdmin::User(me) => Ok(me.job(&job).await?.prompt),
///         UserOrAdmin::Admin(_) => Err(Code::Forbidden.into()),
///     }
/// }
/// # let _ = dream_http::table::get("/v1/prompts/{jobId}", prompt);
/// ```
#[derive(Debug)]
pub enum UserOrAdmin {
    /// A user signed in.
    User(Session),
    /// An admin key was sent. It counts where both were.
    Admin(Admin),
}

impl Gate for UserOrAdmin {
    const GUARD: Guard = Guard::UserOrAdmin;

    async fn enter(call: &mut Call) -> Result<Self> {
        if admin_key(call.headers())?.is_some() {
            Admin::enter(call).await.map(Self::Admin)
        } else {
            Session::enter(call).await.map(Self::User)
        }
    }

    fn caller(&self) -> Caller {
        match self {
            UserOrAdmin::User(session) => session.caller(),
            UserOrAdmin::Admin(admin) => admin.caller(),
        }
    }
}

/// The image API's signature over a completion notice: `X-Signature`.
impl Gate for VerifiedWebhook {
    const GUARD: Guard = Guard::Signed;

    async fn enter(call: &mut Call) -> Result<Self> {
        let body = call.body_bytes(SIGNED_BODY).await?;
        let signature = call.headers().get(SIGNATURE).map(HeaderValue::as_bytes);
        call.app().dream().image_webhook(signature, &body)
    }
}

async fn signed_notify(call: &mut Call) -> Result<SignedNotify> {
    let body = call.body_bytes(SignedNotify::MAX_BODY as u64).await?;
    // A value that is no text cannot be one that a signature is made of.
    let headers =
        call.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    Ok(SignedNotify::new(headers, body))
}

/// WeChat Pay's signature over the notice of a payment.
impl Gate for VerifiedPayment {
    const GUARD: Guard = Guard::Signed;

    async fn enter(call: &mut Call) -> Result<Self> {
        let notify = signed_notify(call).await?;
        call.app().dream().payment_notify(WECHAT, &notify).await
    }
}

/// WeChat Pay's signature over the notice of a refund.
impl Gate for VerifiedRefund {
    const GUARD: Guard = Guard::Signed;

    async fn enter(call: &mut Call) -> Result<Self> {
        let notify = signed_notify(call).await?;
        call.app().dream().refund_notify(WECHAT, &notify).await
    }
}

/// The query of a push, as WeChat signs it.
#[derive(Debug, Default)]
struct SignedQuery {
    signature: String,
    timestamp: String,
    nonce: String,
    echostr: Option<String>,
    msg_signature: Option<String>,
    encrypt_type: Option<String>,
}

impl SignedQuery {
    fn of(call: &mut Call) -> Self {
        let query = call.query();
        Self {
            signature: query.take("signature").unwrap_or_default(),
            timestamp: query.take("timestamp").unwrap_or_default(),
            nonce: query.take("nonce").unwrap_or_default(),
            echostr: query.take("echostr"),
            msg_signature: query.take("msg_signature"),
            encrypt_type: query.take("encrypt_type"),
        }
    }

    fn as_query(&self) -> PushQuery<'_> {
        PushQuery {
            signature: &self.signature,
            timestamp: &self.timestamp,
            nonce: &self.nonce,
            echostr: self.echostr.as_deref(),
            msg_signature: self.msg_signature.as_deref(),
            encrypt_type: self.encrypt_type.as_deref(),
        }
    }
}

/// WeChat's signature over a message that it pushes.
impl Gate for VerifiedPush {
    const GUARD: Guard = Guard::Signed;

    async fn enter(call: &mut Call) -> Result<Self> {
        let query = SignedQuery::of(call);
        let body = call.body_bytes(SIGNED_BODY).await?;
        call.app().dream().wechat_push(&query.as_query(), &body)
    }
}

/// WeChat's signature where it checks the URL that it is to push to; what it wants to read.
///
/// ```
/// use dream_core::Result;
/// use dream_http::gate::{Guard, PushEcho};
/// use dream_http::table::get;
///
/// // WeChat wants to read its own text again, as a page at the path that the console names.
/// async fn check(PushEcho(text): PushEcho, (): ()) -> Result<String> {
///     Ok(text)
/// }
/// assert_eq!(get("/v1/wechat/push", check).any_query().guard(), Guard::Signed);
/// ```
#[derive(Debug)]
pub struct PushEcho(pub String);

impl Gate for PushEcho {
    const GUARD: Guard = Guard::Signed;

    async fn enter(call: &mut Call) -> Result<Self> {
        let query = SignedQuery::of(call);
        call.app().dream().wechat_push_echo(&query.as_query()).map(|echo| Self(echo.to_owned()))
    }
}

/// The bearer token, or `None` if the header is absent.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_http::gate::bearer;
/// use http::HeaderMap;
///
/// let mut headers = HeaderMap::new();
/// assert_eq!(bearer(&headers)?, None, "nobody has signed in");
/// headers.insert("authorization", "Bearer abc".parse()?);
/// assert_eq!(bearer(&headers)?, Some("abc"));
/// headers.insert("authorization", "Basic abc".parse()?);
/// assert!(bearer(&headers).is_err(), "a credential that we do not know is no guest's");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Code::Unauthenticated`] for a header that is no bearer token, or that stands twice.
pub fn bearer(headers: &HeaderMap) -> Result<Option<&str>> {
    let Some(value) = single(headers, &AUTHORIZATION, Code::Unauthenticated)? else { return Ok(None) };
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && is_token(token.trim()) => {
            Ok(Some(token.trim()))
        }
        _ => Err(Error::new(Code::Unauthenticated)),
    }
}

/// The admin key, or `None` if the header is absent.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_http::gate::{ADMIN_KEY, admin_key};
/// use http::HeaderMap;
///
/// let mut headers = HeaderMap::new();
/// assert_eq!(admin_key(&headers)?, None);
/// headers.insert(ADMIN_KEY, "dreamadm_abc".parse()?);
/// assert_eq!(admin_key(&headers)?, Some("dreamadm_abc"));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Code::AdminKeyInvalid`] for a header that is no text, or that stands twice.
pub fn admin_key(headers: &HeaderMap) -> Result<Option<&str>> {
    single(headers, &ADMIN_KEY, Code::AdminKeyInvalid)
}

fn single<'h>(headers: &'h HeaderMap, name: &HeaderName, refusal: Code) -> Result<Option<&'h str>> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| Error::new(refusal)),
        (Some(_), Some(_)) => Err(Error::new(refusal)),
    }
}

/// The characters of RFC 6750's `b64token`.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn only_one_well_formed_bearer_token_is_a_token() {
        assert_eq!(bearer(&headers(&["Bearer a.b-c_d"])).unwrap(), Some("a.b-c_d"));
        assert_eq!(bearer(&headers(&["bearer  abc"])).unwrap(), Some("abc"));
        assert_eq!(bearer(&headers(&[])).unwrap(), None);
        for bad in ["Bearer", "Bearer ", "Basic abc", "Bearer a b", "abc", ""] {
            assert_eq!(bearer(&headers(&[bad])).unwrap_err().code(), Code::Unauthenticated, "{bad}");
        }
        assert_eq!(bearer(&headers(&["Bearer a", "Bearer b"])).unwrap_err().code(), Code::Unauthenticated);
    }
}
