//! VIP: plans, and the level that is in force.
//!
//! A membership is a list of [`Span`]s, each with its level and the order or grant it came from. The highest level that
//! has time left is in force; lower spans wait, and their days are not lost. A refund removes exactly its own span.

mod changes;
mod rules;
mod spans;
mod store;

use crate::access::{Admin, Guest, Session};
use crate::error::{Code, Error, Fault, Format, Result};
use crate::jobs::quota::{Quota, usage};
use crate::kernel::{Fen, PlanId, Timestamp, UserId};
use crate::users::User;

pub(crate) use changes::{close, extend, give_back, open, raise, take_back};
pub use rules::{Level, Membership};
pub use spans::{Span, SpanSource};
pub(crate) use store::{
    OriginalPlan, PlanTerms, count_active, count_at, find as membership_of, find_plan, insert_plan, spans_of,
    take_over_plan, terms,
};

/// Something that can be bought.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// let plans = world.nobody().plans().await?;
/// let month = plans.iter().find(|plan| plan.plan_id.as_str() == "vip_month").ok_or("no such plan")?;
/// let saved = month.original_price.checked_sub(month.current_price);
/// assert_eq!((month.current_price.get(), month.duration_days), (1999, 30), "19.99 yuan");
/// assert!(saved.is_some_and(|fen| fen.get() >= 0));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Row id.
    pub id: i64,
    /// The id that clients buy it by, such as `vip_month`.
    pub plan_id: PlanId,
    /// Its name, for people.
    pub name: String,
    /// The level it gives.
    pub level: Level,
    /// For how many days.
    pub duration_days: i64,
    /// What it used to cost.
    pub original_price: Fen,
    /// What it costs.
    pub current_price: Fen,
    /// What one gets, for people.
    pub benefits: Vec<String>,
    /// Whether it is to be pointed out.
    pub popular: bool,
}

/// How somebody stands: level, time left, quota.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::vip::{Level, VipTerm};
///
/// # let alice = world.alice().await;
/// # world.admin().await.set_vip(alice.id(), Level::Vip, VipTerm::Days(30), None).await?;
/// let info = alice.session().await.vip().await?;
/// assert_eq!((info.membership.level(), info.remaining_days), (Level::Vip, 30));
/// assert_eq!(info.quota.remaining(), 100, "samples today");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VipInfo {
    /// The level in force.
    pub membership: Membership,
    /// Days left, the begun one counted whole; 0 without VIP.
    pub remaining_days: i64,
    /// What can be bought.
    pub plans: Vec<Plan>,
    /// What the plan gives that is running, for people. A level that was not bought is shown as the shortest plan of it.
    pub benefits: Vec<String>,
    /// What may be generated.
    pub quota: Quota,
}

/// How an admin sets a level.
///
/// Days are a span of their own, behind what is left of the level. A lower level than the one in force waits until that
/// has ended.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::vip::{Level, VipTerm};
///
/// # let alice = world.alice().await;
/// let admin = world.admin().await;
/// admin.set_vip(alice.id(), Level::Vip, VipTerm::Days(30), Some("a prize")).await?;
/// let changed = admin.set_vip(alice.id(), Level::Vip, VipTerm::Days(7), Some("another")).await?;
/// assert_eq!(changed.user.membership.remaining_days(world.now()), 37, "days come on top");
///
/// let end = world.now().plus_days(3);
/// let changed = admin.set_vip(alice.id(), Level::Vip, VipTerm::Until(end), Some("a mistake")).await?;
/// assert_eq!(changed.user.membership.expires_at(), Some(end), "the level ends then");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VipTerm {
    /// This many days on top of what is left of the level.
    Days(i64),
    /// The level ends at this instant: a further span reaches it, or the last spans of the level are cut.
    Until(Timestamp),
}

/// What an admin changed. Of a dry run: what would have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VipChange {
    /// The user afterwards.
    pub user: User,
    /// The spans with time left before the change, in the order in which they run.
    pub before: Vec<Span>,
    /// The same after it.
    pub after: Vec<Span>,
}

impl Guest {
    /// What can be bought, shortest first.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// let plans = world.nobody().plans().await?;
    /// assert!(plans.is_sorted_by_key(|plan| plan.duration_days), "shortest first");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `UNAVAILABLE` if the database cannot be asked.
    pub async fn plans(&self) -> Result<Vec<Plan>> {
        store::active_plans(&mut self.core.store.public()).await
    }
}

impl Session {
    /// How one stands: the true figures, at the level in force.
    ///
    /// ```
    /// # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
    /// # world.dream().plant_seeds().await?;
    /// use dream_core::orders::WECHAT;
    ///
    /// # let alice = world.alice().await;
    /// let me = alice.session().await;
    /// assert_eq!(me.vip().await?.remaining_days, 0);
    /// let placed = me.purchase(&"vip_month".parse().unwrap(), WECHAT, None).await?;
    /// # world.wechat_pay().pay(placed.order.order_id.as_str(), &placed.pay).unwrap();
    /// # world.settle().await;
    /// let info = me.vip().await?;
    /// assert_eq!((info.remaining_days, info.membership.level().as_str()), (30, "VIP"));
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `TOKEN_REVOKED` if the account was deleted just now.
    pub async fn vip(&self) -> Result<VipInfo> {
        let core = &self.core;
        let now = core.now();
        let membership =
            store::find(&mut core.store.db(), self.user, now).await?.ok_or(Code::TokenRevoked)?;
        let used = usage(&mut core.store.db(), self.user, &core.settings.zone, now).await?;
        let plans = store::active_plans(&mut core.store.public()).await?;
        let quota = Quota::new(core.settings.quota.of(membership.level()), used);
        let benefits = match membership.level() {
            Level::Normal => Vec::new(),
            level => {
                let bought = store::running_plan(&mut core.store.db(), self.user, now).await?;
                rules::shown_plan(&plans, level, bought.as_ref())
                    .map(|plan| plan.benefits.clone())
                    .unwrap_or_default()
            }
        };
        Ok(VipInfo { membership, remaining_days: membership.remaining_days(now), plans, benefits, quota })
    }
}

impl Admin {
    /// Gives a user time at a level, or sets when that level ends. A higher level that is in force stays in force.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::vip::{Level, VipTerm};
    /// use dream_core::{Code, Facts, Fault};
    ///
    /// # let alice = world.alice().await;
    /// let admin = world.admin().await;
    /// let changed = admin.set_vip(alice.id(), Level::Svip, VipTerm::Days(7), Some("a prize")).await?;
    /// assert_eq!(changed.user.membership.level(), Level::Svip);
    ///
    /// let refused = admin.set_vip(alice.id(), Level::Normal, VipTerm::Days(7), None).await.unwrap_err();
    /// assert_eq!(refused.code(), Code::ValidationFailed, "that is what `cancel_vip` is for");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `USER_NOT_FOUND`; `VALIDATION_FAILED` for no days, too many, or an instant that has passed; `VIP_HIGHER_ACTIVE`
    /// if a higher level lasts until that instant or longer.
    pub async fn set_vip(
        &self,
        user: UserId,
        level: Level,
        term: VipTerm,
        reason: Option<&str>,
    ) -> Result<VipChange> {
        let now = self.core.now();
        match term {
            VipTerm::Days(days) if !(1..=rules::MAX_DAYS).contains(&days) => {
                return Err(Error::invalid_field("days", Fault::Range { min: 1, max: rules::MAX_DAYS }));
            }
            VipTerm::Until(until) if until <= now => {
                return Err(Error::invalid_field("vipExpireAt", Fault::Format(Format::FutureTime)));
            }
            VipTerm::Days(_) | VipTerm::Until(_) => {}
        }
        if level == Level::Normal {
            return Err(Error::invalid_field("vipLevel", Fault::OneOf(&["VIP", "SVIP"])));
        }
        self.run_vip(user, Some((level, term)), reason).await
    }

    /// Removes all membership time that a user has left, at every level.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::vip::{Level, VipTerm};
    ///
    /// # let alice = world.alice().await;
    /// let admin = world.admin().await;
    /// admin.set_vip(alice.id(), Level::Vip, VipTerm::Days(30), None).await?;
    /// let changed = admin.cancel_vip(alice.id(), Some("by mistake")).await?;
    /// assert_eq!((changed.user.membership.level(), changed.after), (Level::Normal, vec![]));
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `USER_NOT_FOUND`.
    pub async fn cancel_vip(&self, user: UserId, reason: Option<&str>) -> Result<VipChange> {
        self.run_vip(user, None, reason).await
    }

    async fn run_vip(
        &self,
        user: UserId,
        to: Option<(Level, VipTerm)>,
        reason: Option<&str>,
    ) -> Result<VipChange> {
        let change = changes::SetByAdmin { admin: self, user, to, reason, now: self.core.now() };
        Ok(self.core.store.run(&change).await?.ok_or(Code::UserNotFound)?)
    }
}
