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
#[derive(Debug, Serialize, ToSchema)]
pub struct ViewAnswer {
    user: View,
}

/// Oneself in full, others as everybody may see them.
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
