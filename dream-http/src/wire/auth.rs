//! Signing in and out.
//!
//! ```
//! # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
//! # world.dream().plant_seeds().await?;
//! # let settings = dream_http::Settings { listen: ([127, 0, 0, 1], 0).into(), ..Default::default() };
//! # let server = dream_http::Server::bind(dream_http::App::builder(world.dream().clone(), settings).build()?)?;
//! # let base = format!("http://{}", server.local_addr()?);
//! # let serving = tokio::spawn(server.serve(std::future::pending()));
//! # let alice = world.alice().await;
//! # let (http, token) = (reqwest::Client::new(), alice.tokens().access);
//! # let post = async |path: &str, body: serde_json::Value| -> Result<serde_json::Value, reqwest::Error> {
//! #     http.post(format!("{base}{path}")).bearer_auth(&token).json(&body).send().await?.json().await
//! # };
//! use serde_json::json;
//!
//! let code = world.wechat().login_code("o-bob");
//! let answer = post("/v1/auth/wechat-login", json!({ "code": code })).await?;
//! assert_eq!((&answer["user"]["openid"], &answer["expiresIn"]), (&"o-bob".into(), &"7d".into()));
//! # serving.abort();
//! # Ok(())
//! # });
//! ```

use std::str::FromStr;

use deserr::{Deserr, IntoValue, Value, ValuePointerRef};
use dream_core::ports::{LoginCode, PhoneCode};
use dream_core::{AvatarUrl, Fault, LoggedIn, NickName, PhoneProof, RefreshToken};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use super::users::User;
use crate::input::{Blank, Faults, Shape, Text, Word};
use crate::openapi::Schemas;

crate::input! {
    /// What somebody logs in with.
    ///
    /// ```
    /// use dream_core::{Facts, Fault};
    /// use dream_http::input::read_value;
    /// use dream_http::wire::auth::Login;
    ///
    /// assert!(read_value::<Login>(serde_json::json!({ "code": "081a2b" })).is_ok(), "the code will do");
    /// // What older clients get for the phone number comes in two parts.
    /// let half = serde_json::json!({ "code": "081a2b", "encryptedData": "Q2lwaGVy" });
    /// let refused = read_value::<Login>(half).unwrap_err();
    /// assert_eq!(refused.facts(), &Facts::Fields(vec![Fault::Required.at("iv")]));
    /// ```
    #[check(encrypted_phone_is_whole)]
    pub struct Login {
        /// The code of `wx.login`.
        pub code: Secret<LoginCode>,
        /// The code of the phone number button.
        pub phone_code: Option<Secret<PhoneCode>>,
        /// What older clients get for the phone number, in base64.
        pub encrypted_data: Option<Text<1, 4096>>,
        /// The initialisation vector that belongs to it, in base64.
        pub iv: Option<Text<1, 64>>,
        /// A name and a picture to take over.
        pub user_info: Option<UserInfo>,
    }
}

crate::input! {
    /// A name and a picture to take over.
    ///
    /// ```
    /// use dream_http::input::read_value;
    /// use dream_http::wire::auth::UserInfo;
    ///
    /// let info: UserInfo = read_value(serde_json::json!({ "nickName": " 小红 ", "avatarUrl": "" }))?;
    /// assert_eq!(info.nick_name.0.map(|name| name.as_str().to_owned()).as_deref(), Some("小红"));
    /// assert!(info.avatar_url.0.is_none(), "an empty text says that there is none");
    /// # Ok::<(), dream_core::Error>(())
    /// ```
    pub struct UserInfo {
        /// What the user is called.
        pub nick_name: Blank<NickName>,
        /// The user's picture.
        pub avatar_url: Blank<AvatarUrl>,
    }
}

crate::input! {
    /// A refresh token, unless a valid access token was sent.
    ///
    /// ```
    /// use dream_http::input::read_value;
    /// use dream_http::wire::auth::Refresh;
    ///
    /// // Whoever sends a valid access token need not send this one too.
    /// assert!(read_value::<Refresh>(serde_json::json!({})).is_ok());
    /// assert!(read_value::<Refresh>(serde_json::json!({ "refreshToken": "" })).is_err());
    /// ```
    pub struct Refresh {
        /// The token that the last login or refresh gave.
        pub refresh_token: Option<Text<1, 256>>,
    }
}

/// A code that works once: its value is never shown, not even by `Debug`.
///
/// ```
/// use dream_core::ports::LoginCode;
/// use dream_http::wire::auth::Secret;
///
/// let code: Secret<LoginCode> = "081a2b".parse().unwrap();
/// assert!(!format!("{code:?}").contains("081a2b"), "it does not get into a log by mistake");
/// ```
#[derive(Debug)]
pub struct Secret<T>(pub T);

macro_rules! secret {
    ($($name:ident),*) => { $(
        impl FromStr for Secret<$name> {
            type Err = Fault;
            fn from_str(text: &str) -> Result<Self, Fault> {
                $name::new(text.to_owned()).map(Self)
            }
        }

        impl Word for Secret<$name> {
            fn schema() -> Schema {
                <Text<1, { LoginCode::MAX_LEN }> as Word>::schema()
            }
        }
    )* };
}

secret!(LoginCode, PhoneCode);

impl<T> Deserr<Faults> for Secret<T>
where
    Self: Word,
{
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        place: ValuePointerRef<'_>,
    ) -> Result<Self, Faults> {
        crate::input::Parsed::deserialize_from_value(value, place).map(|crate::input::Parsed(code)| code)
    }
}

impl<T> Shape for Secret<T>
where
    Self: Word,
{
    fn shape(_: &mut Schemas) -> RefOr<Schema> {
        <Self as Word>::schema().into()
    }
}

fn encrypted_phone_is_whole(login: &Login) -> Result<(), Faults> {
    match (&login.encrypted_data, &login.iv) {
        (Some(_), None) => Err(Faults::field("iv", Fault::Required)),
        (None, Some(_)) => Err(Faults::field("encryptedData", Fault::Required)),
        (Some(_), Some(_)) | (None, None) => Ok(()),
    }
}

impl From<Login> for dream_core::Login {
    fn from(login: Login) -> Self {
        let phone = match (login.phone_code, login.encrypted_data, login.iv) {
            (Some(Secret(code)), ..) => Some(PhoneProof::Code(code)),
            (None, Some(Text(data)), Some(Text(iv))) => Some(PhoneProof::Encrypted { data, iv }),
            (None, ..) => None,
        };
        let (nick_name, avatar_url) = match login.user_info {
            Some(info) => (info.nick_name.0, info.avatar_url.0),
            None => (None, None),
        };
        Self { code: login.code.0, phone, nick_name, avatar_url }
    }
}

impl Refresh {
    /// The token, if one was sent.
    ///
    /// ```
    /// use dream_http::input::read_value;
    /// use dream_http::wire::auth::Refresh;
    ///
    /// let sent: Refresh = read_value(serde_json::json!({ "refreshToken": "r4nd0m" }))?;
    /// assert!(sent.token().is_some());
    /// assert!(read_value::<Refresh>(serde_json::json!({}))?.token().is_none());
    /// # Ok::<(), dream_core::Error>(())
    /// ```
    pub fn token(self) -> Option<RefreshToken> {
        self.refresh_token.map(|Text(token)| RefreshToken::new(token))
    }
}

/// What a client gets to prove who it is.
///
/// ```
/// use dream_http::wire::auth::Tokens;
///
/// let tokens = dream_core::Tokens {
///     access: "eyJhbGciOiJIUzI1NiJ9.e30.c2ln".to_owned(),
///     expires_in: "7d".to_owned(),
///     refresh: "r4nd0m".to_owned(),
/// };
/// let json = serde_json::to_value(Tokens::from(tokens)).unwrap();
/// assert_eq!((&json["expiresIn"], &json["refreshToken"]), (&"7d".into(), &"r4nd0m".into()));
/// ```
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tokens {
    /// Sent as `Authorization: Bearer …` from now on.
    token: String,
    /// How long it lives.
    #[schema(example = "7d")]
    expires_in: String,
    /// Gives the next pair, once.
    refresh_token: String,
}

impl From<dream_core::Tokens> for Tokens {
    fn from(tokens: dream_core::Tokens) -> Self {
        Self { token: tokens.access, expires_in: tokens.expires_in, refresh_token: tokens.refresh }
    }
}

/// The outcome of a login.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::Login;
/// use dream_core::ports::LoginCode;
/// use dream_http::wire::auth::LoginAnswer;
///
/// let code = LoginCode::new(world.wechat().login_code("o-bob")).unwrap();
/// let login = Login { code, phone: None, nick_name: None, avatar_url: None };
/// let json = serde_json::to_value(LoginAnswer::from(world.nobody().login(login).await?))?;
/// assert_eq!((&json["user"]["openid"], &json["expiresIn"]), (&"o-bob".into(), &"7d".into()));
/// assert!(json["token"].is_string() && json["refreshToken"].is_string());
/// # Ok(())
/// # });
/// ```
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoginAnswer {
    /// Sent as `Authorization: Bearer …` from now on.
    token: String,
    /// How long it lives.
    #[schema(example = "7d")]
    expires_in: String,
    /// Gives the next pair, once.
    refresh_token: String,
    /// Who it is.
    user: User,
}

impl From<LoggedIn> for LoginAnswer {
    fn from(login: LoggedIn) -> Self {
        let Tokens { token, expires_in, refresh_token } = login.tokens.into();
        Self { token, expires_in, refresh_token, user: login.user.into() }
    }
}

/// That the token is valid, and whose it is.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_http::wire::auth::Checked;
///
/// let me = world.alice().await.session().await;
/// let json = serde_json::to_value(Checked::from(me.me().await?))?;
/// assert_eq!((&json["valid"], &json["user"]["openid"]), (&true.into(), &"o-alice".into()));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Serialize, ToSchema)]
pub struct Checked {
    /// Always true: else it is an error.
    valid: bool,
    user: User,
}

impl From<dream_core::User> for Checked {
    fn from(user: dream_core::User) -> Self {
        Self { valid: true, user: user.into() }
    }
}
