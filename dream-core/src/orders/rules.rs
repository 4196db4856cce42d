//! Prices, what a refund takes back, and what must match before anything is given out.

use crate::error::Fault;
use crate::kernel::{Fen, Points};
use crate::ports::{PayIdentity, PaymentFacts};

/// Points to be bought: 1 to 100 000.
///
/// ```
/// use dream_core::Fault;
/// use dream_core::orders::RechargePoints;
///
/// assert_eq!(RechargePoints::new(50).unwrap().get().get(), 50);
/// assert_eq!(RechargePoints::new(-50), Err(Fault::Range { min: 1, max: 100_000 }));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RechargePoints(Points);

impl RechargePoints {
    /// Most points at once.
    pub const MAX: i64 = 100_000;

    /// This many points.
    ///
    /// # Errors
    /// [`Fault::Range`] outside of 1 to 100 000.
    pub fn new(points: i64) -> Result<Self, Fault> {
        if (1..=Self::MAX).contains(&points) {
            Ok(Self(Points::new(points)))
        } else {
            Err(Fault::Range { min: 1, max: Self::MAX })
        }
    }

    /// The points.
    pub const fn get(self) -> Points {
        self.0
    }
}

/// A number of points that has a price of its own.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.taking_payments().settings(|settings| settings.recharge_packages = vec![dream_core::orders::RechargePackage { points: dream_core::kernel::Points::new(100), price: dream_core::kernel::Fen::new(900) }]), async |world| {
/// # world.dream().plant_seeds().await?;
/// use dream_core::kernel::{Fen, Points};
/// use dream_core::orders::{RechargePackage, RechargePoints, WECHAT};
///
/// # let me = world.alice().await.session().await;
/// let package = RechargePackage { points: Points::new(100), price: Fen::new(900) };
/// # let packages = &world.dream().settings().recharge_packages;
/// assert_eq!(packages[..], [package], "in `Settings::recharge_packages`");
///
/// let a_hundred = me.recharge(RechargePoints::new(100).unwrap(), WECHAT, None).await?.order;
/// assert_eq!(a_hundred.amount, Fen::new(900));
/// let one_more = me.recharge(RechargePoints::new(101).unwrap(), WECHAT, None).await?.order;
/// assert_eq!(one_more.amount, Fen::new(1010), "no package: 10 fen a point");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RechargePackage {
    /// How many points.
    pub points: Points,
    /// What they cost together.
    pub price: Fen,
}

/// What the points cost: the price of the package of this size, else so much a point.
pub(super) fn recharge_price(
    points: RechargePoints,
    packages: &[RechargePackage],
    point_price: Fen,
) -> Option<Fen> {
    match packages.iter().find(|package| package.points == points.get()) {
        Some(package) => Some(package.price),
        None => point_price.checked_mul(points.get().get()),
    }
}

/// The part of `whole` that goes back when `refunded` of `total` fen are given back, in sum over all refunds so far.
/// Rounded down until the last fen, so that partial refunds in any number take back exactly the whole.
pub(super) fn part(whole: i64, refunded: Fen, total: Fen) -> i64 {
    let part = i128::from(whole) * i128::from(refunded.get()) / i128::from(total.get().max(1));
    i64::try_from(part).unwrap_or(whole).clamp(0, whole)
}

/// What does not match between a payment and the order it names. For the log; the sender learns nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mismatch {
    Merchant,
    App,
    Amount,
    Currency,
    Payer,
    Transaction,
}

/// Compares the payment with the order, before anything is given out.
pub(super) fn check(
    facts: &PaymentFacts,
    identity: &PayIdentity,
    amount: Fen,
    payer: Option<&str>,
) -> Result<(), Mismatch> {
    if facts.mchid != identity.mchid {
        Err(Mismatch::Merchant)
    } else if facts.appid != identity.appid {
        Err(Mismatch::App)
    } else if facts.amount != amount {
        Err(Mismatch::Amount)
    } else if facts.currency != "CNY" {
        Err(Mismatch::Currency)
    } else if payer.is_some_and(|payer| payer != facts.payer_openid) {
        Err(Mismatch::Payer)
    } else if facts.transaction_id.is_empty() {
        Err(Mismatch::Transaction)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_package_has_its_own_price() {
        let packages = [RechargePackage { points: Points::new(100), price: Fen::new(900) }];
        let price =
            |n| recharge_price(RechargePoints::new(n).unwrap(), &packages, Fen::new(10)).unwrap().get();
        assert_eq!((price(100), price(101)), (900, 1010));
    }

    proptest! {
        #[test]
        fn partial_refunds_take_back_exactly_the_whole(
            whole in 1..100_000_i64, cuts in proptest::collection::vec(1..500_i64, 1..8),
        ) {
            let total = Fen::new(cuts.iter().sum());
            let mut refunded = Fen::ZERO;
            let mut taken = 0;
            for cut in cuts {
                let before = part(whole, refunded, total);
                refunded = refunded.checked_add(Fen::new(cut)).unwrap();
                let now = part(whole, refunded, total) - before;
                prop_assert!(now >= 0);
                taken += now;
            }
            prop_assert_eq!(taken, whole);
        }
    }
}
