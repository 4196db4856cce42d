//! The books, checked against each other: what must hold of the stored state whatever happened.
//!
//! Constraints of the schema keep each row right by itself. What holds *between* rows is kept by the units of work,
//! and proven here: by an operator on a live database, and by the tests after everything they do.

mod store;
mod watch;

pub use watch::{Vitals, Watch};

use crate::dream::Dream;
use crate::error::Result;
use crate::kernel::Timestamp;

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Something that must hold of the stored state.
        ///
        /// ```
        /// use dream_core::AuditRule;
        ///
        /// // Its names are the values of a label, so they are few and never change their meaning.
        /// assert!(AuditRule::ALL.iter().any(|rule| rule.as_str() == "account_equals_ledger"));
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum AuditRule { $($(#[$doc])* $name,)* }

        impl AuditRule {
            /// Every rule, in the order in which they are checked.
            pub const ALL: &'static [AuditRule] = &[$(AuditRule::$name,)*];

            /// The rule's name in reports and metrics.
            pub const fn as_str(self) -> &'static str {
                match self { $(AuditRule::$name => $text,)* }
            }
        }
    };
}

rules! {
    /// An account's balance, sums and counts are those of its ledger entries.
    AccountEqualsLedger = "account_equals_ledger",
    /// Each ledger entry's balance is that of the entry before it with its own amount added or taken.
    EntriesFollowEachOther = "entries_follow_each_other",
    /// The points that a generation took are one entry of the ledger, and no generation took others.
    ChargeBookedOnce = "charge_booked_once",
    /// A generation that ended without pictures gave its points back once; no other gave any back.
    ReturnBookedOnce = "return_booked_once",
    /// A generation that has not ended is waiting to be submitted or looked at.
    OpenJobHasTask = "open_job_has_task",
    /// Nothing waits to be done for a generation that has ended or that there is none of.
    TaskHasOpenJob = "task_has_open_job",
    /// The samples counted in a day or month are those of its generations that were not given back.
    QuotaEqualsCharges = "quota_equals_charges",
    /// An order that was paid was fulfilled.
    PaidOrderFulfilled = "paid_order_fulfilled",
    /// An order that was not paid was not fulfilled.
    UnpaidOrderNotFulfilled = "unpaid_order_not_fulfilled",
    /// The points given for an order are one entry of the ledger, and no other order gave any.
    FulfilmentBookedOnce = "fulfilment_booked_once",
    /// A paid order has a payment of its very amount.
    OrderEqualsPayment = "order_equals_payment",
    /// What was refunded, or is about to be, of a payment is not more than was paid.
    RefundsWithinPayment = "refunds_within_payment",
    /// What an order says was refunded is the sum of its refunds that did not fail, and a refunded order all of it.
    OrderEqualsRefunds = "order_equals_refunds",
    /// A payment too many went back or is about to. One whose refund the channel gave up needs a person.
    SurplusGoesBack = "surplus_goes_back",
    /// An order that waits for a payment is waiting to be looked at.
    OpenOrderHasTask = "open_order_has_task",
    /// A refund that has not ended is waiting to be followed.
    OpenRefundHasTask = "open_refund_has_task",
    /// A membership is what its spans add up to.
    MembershipEqualsSpans = "membership_equals_spans",
    /// The spans of a user do not overlap, and none runs while a higher level waits.
    SpansInOrder = "spans_in_order",
    /// A plan that was paid has one span of its length and its user, refunds took what they say from it, and no other
    /// order has a span.
    PaidPlanHasSpan = "paid_plan_has_span",
    /// The photos counted on a character are those it has.
    CountEqualsPhotos = "count_equals_photos",
    /// The orders and generations counted on a user's page are those on record.
    FiguresEqualRecords = "figures_equal_records",
    /// The users, orders, pictures, favorites and points counted in all are those on record.
    TotalsEqualRecords = "totals_equal_records",
    /// The favorites counted on a user's page are those on record.
    FavoritesEqualRecords = "favorites_equal_records",
    /// The bytes counted for a user are those of the user's uploads and photos.
    StoredBytesEqualRecords = "stored_bytes_equal_records",
    /// A picture's likes are as many as users like it.
    LikesEqualRecords = "likes_equal_records",
    /// The pictures counted by category and tag are those that everybody sees.
    GalleryCountsEqualRecords = "gallery_counts_equal_records",
    /// A picture is found by its tags as long as everybody sees it.
    TagsOfPublicImages = "tags_of_public_images",
}

/// A row that breaks a rule.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::AuditRule;
///
/// # let alice = world.alice().await;
/// # world.database().execute(&format!("UPDATE accounts SET earned = 5, balance = 5 WHERE user_id = {}", alice.id())).await;
/// // Somebody has written into the database by hand.
/// let report = world.dream().audit().await?;
/// let finding = &report.findings[0];
/// println!("{} breaks {}: {}", finding.subject, finding.rule.as_str(), finding.detail);
/// assert_eq!(
///     (finding.rule, &finding.subject),
///     (AuditRule::AccountEqualsLedger, &format!("user:{}", alice.id()))
/// );
/// # world.database().execute("UPDATE accounts SET earned = 0, balance = 0").await;
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditFinding {
    /// The rule.
    pub rule: AuditRule,
    /// The row, such as `user:7` or `job:0198…`.
    pub subject: String,
    /// What is wrong, for an operator.
    pub detail: String,
}

/// What an audit found.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::AuditRule;
///
/// let report = world.dream().audit().await?;
/// for rule in AuditRule::ALL {
///     // A gauge for each, which must read 0.
///     assert_eq!(report.count(*rule), 0, "{}", rule.as_str());
/// }
/// assert!(report.is_clean());
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditReport {
    /// When the state that was checked was in force.
    pub at: Timestamp,
    /// The rows that break a rule, by rule; of each rule the first [`AuditReport::MOST_PER_RULE`].
    pub findings: Vec<AuditFinding>,
}

impl AuditReport {
    /// Rows that are named for one rule. A report with so many says that there may be more.
    pub const MOST_PER_RULE: i64 = 100;

    /// Whether every rule holds.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// How many rows of those named break the rule.
    pub fn count(&self, rule: AuditRule) -> usize {
        self.findings.iter().filter(|finding| finding.rule == rule).count()
    }
}

impl Dream {
    /// Checks every rule on one state of the live database, in a single transaction that only reads.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// # world.alice().await.generates("a cat").await;
    /// # world.settle().await;
    /// let report = world.dream().audit().await?;
    /// for finding in &report.findings {
    ///     eprintln!("{} breaks {}: {}", finding.subject, finding.rule.as_str(), finding.detail);
    /// }
    /// assert!(report.is_clean());
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `UNAVAILABLE` if the database cannot be asked. A broken rule is no error but a finding.
    pub async fn audit(&self) -> Result<AuditReport> {
        let core = &self.core;
        let at = core.now();
        let mut state = core.store.snapshot().await?;
        store::take_ones_time(&mut state).await?;
        let mut findings = Vec::new();
        for &rule in AuditRule::ALL {
            let broken = store::broken(&mut state, rule, AuditReport::MOST_PER_RULE).await?;
            findings.extend(broken.into_iter().map(|(subject, detail)| AuditFinding {
                rule,
                subject,
                detail,
            }));
        }
        Ok(AuditReport { at, findings })
    }
}
