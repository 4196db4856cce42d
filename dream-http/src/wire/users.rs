//! Users and their figures.
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
//! # let get = async |path: &str| -> Result<serde_json::Value, reqwest::Error> {
//! #     http.get(format!("{base}{path}")).bearer_auth(&token).send().await?.json().await
//! # };
//! let me = get("/v1/users/me").await?;
//! assert_eq!((&me["user"]["vipLevel"], &me["user"]["pointsBalance"]), (&"NORMAL".into(), &0.into()));
//! # serving.abort();
//! # Ok(())
//! # });
//! ```

use dream_core::{AvatarUrl, NickName, ProfileUpdate, UserStats, UserView};
use serde::Serialize;
use utoipa::ToSchema;

use super::time::At;
use crate::input::Parsed;

/// A user with everything that only the user and admins may see.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::kernel::Points;
/// use dream_http::wire::users::User;
///
/// # let alice = world.alice().await;
/// let user = world.admin().await.grant_points(alice.id(), Points::new(50), "a gift").await?;
/// let json = serde_json::to_value(User::from(user))?;
/// assert_eq!((&json["vipLevel"], &json["pointsBalance"]), (&"NORMAL".into(), &50.into()));
/// assert!(json["phone"].is_null(), "what is not there is null, and never left out");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct User {
    id: i64,
    openid: Option<String>,
    unionid: Option<String>,
    phone: Option<String>,
    nick_name: Option<String>,
    avatar_url: Option<String>,
    /// `NORMAL`, `VIP` or `SVIP`: the level in force.
    #[schema(value_type = String, example = "NORMAL")]
    vip_level: &'static str,
    #[schema(inline)]
    vip_expire_at: Option<At>,
    points_balance: i64,
    #[schema(inline)]
    created_at: At,
    #[schema(inline)]
    updated_at: At,
}

impl From<dream_core::User> for User {
    fn from(user: dream_core::User) -> Self {
        Self {
            id: user.id.get(),
            openid: user.openid,
            unionid: user.unionid,
            phone: user.phone,
            nick_name: user.nick_name,
            avatar_url: user.avatar_url,
            vip_level: user.membership.level().as_str(),
            vip_expire_at: user.membership.expires_at().map(At),
            points_balance: user.balance.get(),
            created_at: user.created_at.into(),
            updated_at: user.updated_at.into(),
        }
    }
}

/// What others may see of a user.
///
/// ```
/// use dream_core::vip::Level;
/// use dream_http::wire::users::PublicUser;
///
/// let user = dream_core::PublicUser {
///     id: "7".parse().unwrap(),
///     nick_name: Some("小红".to_owned()),
///     avatar_url: None,
///     level: Level::Vip,
/// };
/// let json = serde_json::to_value(PublicUser::from(user)).unwrap();
/// assert_eq!(
///     json,
///     serde_json::json!({ "id": 7, "nickName": "小红", "avatarUrl": null, "vipLevel": "VIP" })
/// );
/// ```
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PublicUser {
    id: i64,
    nick_name: Option<String>,
    avatar_url: Option<String>,
    /// `NORMAL`, `VIP` or `SVIP`: the level in force.
    #[schema(value_type = String, example = "NORMAL")]
    vip_level: &'static str,
}

impl From<dream_core::PublicUser> for PublicUser {
    fn from(user: dream_core::PublicUser) -> Self {
        Self {
            id: user.id.get(),
            nick_name: user.nick_name,
            avatar_url: user.avatar_url,
            vip_level: user.level.as_str(),
        }
    }
}

/// One's own user.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_http::wire::users::UserAnswer;
///
/// let me = world.alice().await.session().await;
/// let json = serde_json::to_value(UserAnswer::from(me.me().await?))?;
/// assert_eq!(json["user"]["openid"], "o-alice");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Serialize, ToSchema)]
pub struct UserAnswer {
    user: User,
}

impl From<dream_core::User> for UserAnswer {
    fn from(user: dream_core::User) -> Self {
        Self { user: user.into() }
    }
}

/// A user as the asking user may see it.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_http::wire::users::ViewAnswer;
///
/// # let (alice, bob) = (world.alice().await, world.user("bob").await);
/// # let me = alice.session().await;
/// let own = serde_json::to_value(ViewAnswer::from(me.user(alice.id()).await?))?;
/// let other = serde_json::to_value(ViewAnswer::from(me.user(bob.id()).await?))?;
/// assert_eq!(own["user"]["openid"], "o-alice");
/// assert!(other["user"].get("openid").is_none(), "it is nobody else's business");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Serialize, ToSchema)]
pub struct ViewAnswer {
    user: View,
}

/// Oneself in full, others as everybody may see them.
///
/// ```
/// use dream_core::vip::Level;
/// use dream_http::wire::users::{PublicUser, View};
///
/// # let id = "7".parse().unwrap();
/// let bob = dream_core::PublicUser { id, nick_name: None, avatar_url: None, level: Level::Normal };
/// let json = serde_json::to_value(View::Other(PublicUser::from(bob))).unwrap();
/// assert_eq!(json["id"], 7, "the user itself, without a word that says which view it is");
/// ```
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum View {
    /// Oneself.
    Own(Box<User>),
    /// Somebody else.
    Other(PublicUser),
}

impl From<UserView> for ViewAnswer {
    fn from(view: UserView) -> Self {
        let user = match view {
            UserView::Own(user) => View::Own(Box::new((*user).into())),
            UserView::Other(user) => View::Other(user.into()),
        };
        Self { user }
    }
}

/// A user's figures.
///
/// ```
/// use dream_core::jobs::{Quota, Used};
/// use dream_core::{QuotaLimit, UserStats};
/// use dream_http::wire::users::Stats;
///
/// let quota = Quota::new(QuotaLimit { daily: 5, monthly: 100 }, Used { daily: 2, monthly: 40 });
/// let stats = UserStats { total_orders: 1, total_favorites: 8, total_generations: 240, quota };
/// let json = serde_json::to_value(Stats::from(stats)).unwrap();
/// assert_eq!((&json["todayGenerations"], &json["todayRemaining"]), (&2.into(), &3.into()));
/// ```
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    total_orders: i64,
    total_favorites: i64,
    total_generations: i64,
    today_generations: i64,
    today_remaining: i64,
    daily_limit: i64,
}

impl From<UserStats> for Stats {
    fn from(stats: UserStats) -> Self {
        Self {
            total_orders: stats.total_orders,
            total_favorites: stats.total_favorites,
            total_generations: stats.total_generations,
            today_generations: stats.quota.used.daily,
            today_remaining: stats.quota.remaining(),
            daily_limit: stats.quota.limit.daily,
        }
    }
}

/// One's own user and figures.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_http::wire::users::UserWithStats;
///
/// # let alice = world.alice().await;
/// # alice.generates("a cat").await;
/// let json = serde_json::to_value(UserWithStats::from(alice.session().await.stats().await?))?;
/// assert_eq!(json["user"]["openid"], "o-alice");
/// assert_eq!(json["stats"]["totalGenerations"], 1);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Serialize, ToSchema)]
pub struct UserWithStats {
    user: User,
    stats: Stats,
}

impl From<(dream_core::User, UserStats)> for UserWithStats {
    fn from((user, stats): (dream_core::User, UserStats)) -> Self {
        Self { user: user.into(), stats: stats.into() }
    }
}

crate::input! {
    /// What a user changes about itself.
    ///
    /// ```
    /// use dream_core::{Facts, Fault, NickName};
    /// use dream_http::input::read_value;
    /// use dream_http::wire::users::UpdateProfile;
    ///
    /// let update: UpdateProfile = read_value(serde_json::json!({ "nickName": " 小红 " }))?;
    /// assert_eq!(update.nick_name.map(|name| name.0.as_str().to_owned()).as_deref(), Some("小红"));
    /// let refused = read_value::<UpdateProfile>(serde_json::json!({ "nickName": "  " })).unwrap_err();
    /// let fault = Fault::Length { min: 1, max: NickName::MAX_LEN }.at("nickName");
    /// assert_eq!(refused.facts(), &Facts::Fields(vec![fault]));
    /// # Ok::<(), dream_core::Error>(())
    /// ```
    pub struct UpdateProfile {
        /// A new name.
        pub nick_name: Option<Parsed<NickName>>,
        /// A new picture, that was uploaded here or at WeChat.
        pub avatar_url: Option<Parsed<AvatarUrl>>,
    }
}

impl From<UpdateProfile> for ProfileUpdate {
    fn from(update: UpdateProfile) -> Self {
        Self {
            nick_name: update.nick_name.map(|Parsed(name)| name),
            avatar_url: update.avatar_url.map(|Parsed(url)| url),
        }
    }
}
