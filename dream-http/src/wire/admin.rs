//! Administration.
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
//! # let admin = async |path: &str| -> Result<serde_json::Value, reqwest::Error> {
//! #     let key = dream_testkit::world::ADMIN_KEY;
//! #     http.get(format!("{base}{path}")).header("x-admin-key", key).send().await?.json().await
//! # };
//! let page = admin("/v1/admin/users?limit=10").await?;
//! assert_eq!((&page["total"], &page["users"][0]["openid"]), (&1.into(), &"o-alice".into()));
//! # serving.abort();
//! # Ok(())
//! # });
//! ```

use dream_core::kernel::{self, PageRequest, Points, Timestamp};
use dream_core::points::Adjustment;
use dream_core::vip::{Level, VipTerm};
use dream_core::{AuditFilter, AuditRecord, AvatarUrl, Fault, NickName, UserEdit, UserFilter};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::page;
use super::time::At;
use super::users::User;
use crate::input::{Faults, OneOf, Parsed, Text, Whole};

/// Users.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::UserFilter;
/// use dream_core::kernel::PageRequest;
/// use dream_http::wire::admin::UserList;
///
/// # world.alice().await;
/// let asked = PageRequest::default();
/// let list = world.admin().await.users(&UserFilter::default(), &asked).await?;
/// let json = serde_json::to_value(UserList::of(list, &asked))?;
/// assert_eq!((&json["users"][0]["openid"], &json["total"]), (&"o-alice".into(), &1.into()));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserList {
    users: Vec<User>,
    total: i64,
    /// Absent when walked by cursor.
    page: Option<i64>,
    limit: i64,
    has_more: bool,
    next_cursor: Option<String>,
}

impl UserList {
    /// The page that was asked for.
    ///
    /// ```
    /// use dream_core::kernel::{Cursor, Limit, Page, PageRequest};
    /// use dream_http::wire::admin::UserList;
    ///
    /// let asked = PageRequest::after(Limit::default(), Cursor::from_client("AQAAAAA"));
    /// let last = Page { items: vec![], next: None, total: Some(21) };
    /// let json = serde_json::to_value(UserList::of(last, &asked)).unwrap();
    /// assert!(json["page"].is_null(), "it was walked by cursor");
    /// assert_eq!(json["hasMore"], false);
    /// ```
    pub fn of(list: kernel::Page<dream_core::User>, asked: &PageRequest) -> Self {
        let next_cursor = list.next.as_ref().map(ToString::to_string);
        Self {
            users: list.items.into_iter().map(User::from).collect(),
            total: list.total.unwrap_or_default(),
            page: page::number(asked),
            limit: asked.limit.get(),
            has_more: next_cursor.is_some(),
            next_cursor,
        }
    }
}

crate::input! {
    /// Which users are wanted.
    ///
    /// ```
    /// use dream_core::UserFilter;
    /// use dream_core::vip::Level;
    /// use dream_http::input::read_value;
    /// use dream_http::wire::admin::UserQuery;
    ///
    /// // `?search=小红&vipLevel=VIP`
    /// let query: UserQuery = read_value(serde_json::json!({ "search": "小红", "vipLevel": "VIP" }))?;
    /// let wanted = UserFilter { search: Some("小红".to_owned()), level: Some(Level::Vip) };
    /// assert_eq!(UserFilter::from(query), wanted);
    /// # Ok::<(), dream_core::Error>(())
    /// ```
    pub struct UserQuery {
        /// Those whose name contains, or whose id, openid or phone is, this text.
        pub search: Option<Text<1, 64>>,
        /// Those at this level now.
        pub vip_level: Option<OneOf<Level>>,
    }
}

impl From<UserQuery> for UserFilter {
    fn from(query: UserQuery) -> Self {
        Self {
            search: query.search.map(|Text(search)| search),
            level: query.vip_level.map(|OneOf(level)| level),
        }
    }
}

crate::input! {
    /// What is changed of a user, all of it or none. What is left out stays.
    ///
    /// ```
    /// use dream_core::{Facts, Fault};
    /// use dream_http::input::read_value;
    /// use dream_http::wire::admin::EditUser;
    ///
    /// assert!(read_value::<EditUser>(serde_json::json!({ "nickName": "小红" })).is_ok());
    /// let refused = read_value::<EditUser>(serde_json::json!({ "pointsBalance": -1 })).unwrap_err();
    /// let fault = Fault::Range { min: 0, max: 1_000_000_000 }.at("pointsBalance");
    /// assert_eq!(refused.facts(), &Facts::Fields(vec![fault]));
    /// ```
    #[check(one_change_of_points)]
    pub struct EditUser {
        /// A new name.
        pub nick_name: Option<Parsed<NickName>>,
        /// A new picture, that was uploaded here or at WeChat.
        pub avatar_url: Option<Parsed<AvatarUrl>>,
        /// By how many points the balance changes; a negative number takes them. It needs a reason, and becomes an entry
        /// of the ledger.
        pub points_delta: Option<Whole<-1_000_000_000, 1_000_000_000>>,
        /// What the balance shall be, instead of `pointsDelta`: whatever is earned or spent meanwhile is lost.
        pub points_balance: Option<Whole<0, 1_000_000_000>>,
        /// Why, for the ledger and the audit log.
        pub reason: Option<Text<1, 500>>,
    }
}

fn one_change_of_points(edit: &EditUser) -> Result<(), Faults> {
    match (&edit.points_delta, &edit.points_balance, &edit.reason) {
        (Some(_), Some(_), _) => Err(Faults::field("pointsDelta", Fault::Conflict("pointsBalance"))),
        (Some(Whole(0)), None, _) => {
            Err(Faults::field("pointsDelta", Fault::Range { min: -1_000_000_000, max: 1_000_000_000 }))
        }
        (Some(_), None, None) => Err(Faults::field("reason", Fault::Required)),
        (Some(_), None, Some(_)) | (None, _, _) => Ok(()),
    }
}

impl EditUser {
    /// What is changed, and why.
    ///
    /// ```
    /// use dream_core::kernel::Points;
    /// use dream_core::points::Adjustment;
    /// use dream_http::input::read_value;
    /// use dream_http::wire::admin::EditUser;
    ///
    /// let edit: EditUser = read_value(serde_json::json!({ "pointsDelta": 50, "reason": "a complaint" }))?;
    /// let (edit, reason) = edit.into_parts();
    /// assert_eq!((edit.balance, reason.as_deref()), (Some(Adjustment::By(Points::new(50))), Some("a complaint")));
    /// assert!(edit.nick_name.is_none(), "what is left out stays");
    /// # Ok::<(), dream_core::Error>(())
    /// ```
    pub fn into_parts(self) -> (UserEdit, Option<String>) {
        let edit = UserEdit {
            nick_name: self.nick_name.map(|Parsed(name)| name),
            avatar_url: self.avatar_url.map(|Parsed(url)| url),
            balance: match (self.points_delta, self.points_balance) {
                (Some(Whole(points)), _) => Some(Adjustment::By(Points::new(points))),
                (None, balance) => balance.map(|Whole(points)| Adjustment::To(Points::new(points))),
            },
        };
        (edit, self.reason.map(|Text(reason)| reason))
    }
}

crate::input! {
    /// Which level a user is given, and for how long.
    ///
    /// ```
    /// use dream_core::{Facts, Fault};
    /// use dream_http::input::read_value;
    /// use dream_http::wire::admin::SetVip;
    ///
    /// // Either of the two must be there, and not both.
    /// let refused = read_value::<SetVip>(serde_json::json!({ "vipLevel": "SVIP" })).unwrap_err();
    /// assert_eq!(refused.facts(), &Facts::Fields(vec![Fault::Required.at("days")]));
    /// let both =
    ///     serde_json::json!({ "vipLevel": "SVIP", "days": 30, "vipExpireAt": "2026-03-01T00:00:00Z" });
    /// let refused = read_value::<SetVip>(both).unwrap_err();
    /// assert_eq!(refused.facts(), &Facts::Fields(vec![Fault::Conflict("days").at("vipExpireAt")]));
    /// ```
    #[check(one_term)]
    pub struct SetVip {
        /// `VIP` or `SVIP`.
        pub vip_level: OneOf<Level>,
        /// This many days on top of what is left.
        pub days: Option<Whole<1, 36_500>>,
        /// Until this instant.
        pub vip_expire_at: Option<Parsed<Timestamp>>,
        /// Why, for the audit log.
        pub reason: Option<Text<1, 500>>,
    }
}

fn one_term(vip: &SetVip) -> Result<(), Faults> {
    match (&vip.days, &vip.vip_expire_at) {
        (Some(_), Some(_)) => Err(Faults::field("vipExpireAt", Fault::Conflict("days"))),
        (None, None) => Err(Faults::field("days", Fault::Required)),
        (Some(_), None) | (None, Some(_)) => Ok(()),
    }
}

impl SetVip {
    /// For how long.
    ///
    /// ```
    /// use dream_core::vip::VipTerm;
    /// use dream_http::input::read_value;
    /// use dream_http::wire::admin::SetVip;
    ///
    /// let days: SetVip = read_value(serde_json::json!({ "vipLevel": "VIP", "days": 30 }))?;
    /// assert_eq!(days.term(), VipTerm::Days(30));
    /// let until = serde_json::json!({ "vipLevel": "VIP", "vipExpireAt": "2026-03-01T08:00:00+08:00" });
    /// let term = read_value::<SetVip>(until)?.term();
    /// assert_eq!(term, VipTerm::Until("2026-03-01T00:00:00Z".parse().unwrap()));
    /// # Ok::<(), dream_core::Error>(())
    /// ```
    pub fn term(&self) -> VipTerm {
        match (&self.days, &self.vip_expire_at) {
            (Some(Whole(days)), _) => VipTerm::Days(*days),
            (None, Some(Parsed(until))) => VipTerm::Until(*until),
            // Refused by the check above; no days are refused by the core as well.
            (None, None) => VipTerm::Days(0),
        }
    }
}

/// A user, and what was done.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::kernel::Points;
/// use dream_http::problem::Lang;
/// use dream_http::wire::admin::ChangedUser;
/// use dream_http::wire::message::Message;
///
/// # let alice = world.alice().await;
/// let user = world.admin().await.grant_points(alice.id(), Points::new(50), "a gift").await?;
/// let json = serde_json::to_value(ChangedUser::new(user, Message::new(Lang::En, "已更新", "Updated")))?;
/// assert_eq!((&json["user"]["pointsBalance"], &json["message"]), (&50.into(), &"Updated".into()));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangedUser {
    user: User,
    /// What was done, for people.
    #[schema(value_type = String)]
    message: &'static str,
}

impl ChangedUser {
    /// The user as it is now.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_http::problem::Lang;
    /// use dream_http::wire::admin::ChangedUser;
    /// use dream_http::wire::message::Message;
    ///
    /// # let user = world.alice().await.session().await.me().await?;
    /// let said = Message::new(Lang::Zh, "已更新", "Updated");
    /// assert_eq!(serde_json::to_value(ChangedUser::new(user, said))?["message"], "已更新");
    /// # Ok(())
    /// # });
    /// ```
    pub fn new(user: dream_core::User, message: super::message::Message) -> Self {
        Self { user: user.into(), message: message.message }
    }
}

crate::input! {
    /// Which entries of the audit log are wanted.
    ///
    /// ```
    /// use dream_core::AuditFilter;
    /// use dream_http::input::read_value;
    /// use dream_http::wire::admin::AuditQuery;
    ///
    /// // `?action=vip.set&target=user:7`
    /// let query: AuditQuery = read_value(serde_json::json!({ "action": "vip.set", "target": "user:7" }))?;
    /// let filter = AuditFilter::from(query);
    /// assert_eq!((filter.actor, filter.action.as_deref()), (None, Some("vip.set")));
    /// # Ok::<(), dream_core::Error>(())
    /// ```
    pub struct AuditQuery {
        /// Those of this key.
        pub actor: Option<Text<1, 64>>,
        /// Those of this action.
        pub action: Option<Text<1, 64>>,
        /// Those about this target.
        pub target: Option<Text<1, 128>>,
    }
}

impl From<AuditQuery> for AuditFilter {
    fn from(query: AuditQuery) -> Self {
        Self {
            actor: query.actor.map(|Text(actor)| actor),
            action: query.action.map(|Text(action)| action),
            target: query.target.map(|Text(target)| target),
        }
    }
}

/// What an admin did.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::AuditFilter;
/// use dream_core::kernel::{PageRequest, Points};
/// use dream_http::wire::admin::AuditEntry;
///
/// # let (admin, alice) = (world.admin().await, world.alice().await);
/// admin.grant_points(alice.id(), Points::new(50), "a gift").await?;
/// let mut log = admin.audit_log(&AuditFilter::default(), &PageRequest::default()).await?.items;
/// let json = serde_json::to_value(AuditEntry::from(log.remove(0)))?;
/// assert_eq!((&json["actor"], &json["action"]), (&"ops".into(), &"points.adjust".into()));
/// assert_eq!(json["reason"], "a gift");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    id: i64,
    #[schema(inline)]
    at: At,
    /// The name of the key it was done with.
    actor: String,
    #[schema(example = "vip.set")]
    action: String,
    #[schema(example = "user:7")]
    target: String,
    before: Option<Value>,
    after: Option<Value>,
    reason: Option<String>,
    request_id: Option<String>,
}

impl From<AuditRecord> for AuditEntry {
    fn from(record: AuditRecord) -> Self {
        Self {
            id: record.id,
            at: record.at.into(),
            actor: record.actor,
            action: record.action,
            target: record.target,
            before: record.before,
            after: record.after,
            reason: record.reason,
            request_id: record.request_id,
        }
    }
}
