//! What a generation costs, and in which order its states may follow.

use std::time::Duration;

use super::request::{Mode, Resolution};
use crate::error::{Code, Error, Facts, Result};
use crate::jobs::quota::Quota;
use crate::kernel::Points;
use crate::ports::JobState;
use crate::settings::SamplePrices;
use crate::vip::Level;

/// What a generation takes.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.daily_quota(2), async |world| {
/// # use dream_core::kernel::Points;
/// # use dream_testkit::world::draft;
///
/// # let alice = world.alice().await;
/// # world.admin().await.grant_points(alice.id(), Points::new(20), "a gift").await?;
/// // Five drafts where two samples are free: the other three cost two points each.
/// let charge = alice.generate(&draft("a cat", 5)).await?.charge;
/// assert_eq!((charge.quota, charge.points.get()), (2, 6));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    /// Samples of the quota.
    pub quota: i64,
    /// Points for the samples that the quota does not cover.
    pub points: Points,
}

/// What one sample costs in points.
pub(super) fn sample_price(prices: SamplePrices, mode: Mode, resolution: Option<Resolution>) -> Points {
    let base = match mode {
        Mode::Draft => prices.draft,
        Mode::Final => prices.final_,
    };
    let factor = if resolution == Some(Resolution::FourK) { 2 } else { 1 };
    Points::new(base.get().saturating_mul(factor))
}

/// What `samples` take: quota as far as it goes, points for the rest.
///
/// # Errors
/// `QUOTA_EXCEEDED` with the figures if the points do not suffice.
pub(super) fn price(samples: i64, sample_price: Points, quota: Quota, balance: Points) -> Result<Charge> {
    let covered = samples.min(quota.remaining());
    let points = sample_price.checked_mul(samples - covered).ok_or(Code::Internal)?;
    if points > balance {
        return Err(Error::new(Code::QuotaExceeded).with_facts(Facts::Quota {
            daily_limit: quota.limit.daily,
            daily_used: quota.used.daily,
            points_required: points.get(),
            points_balance: balance.get(),
        }));
    }
    Ok(Charge { quota: covered, points })
}

/// How much later a generation of this level may come and still be submitted first. It is no more than that, so that
/// nobody waits for ever.
pub(super) const fn head_start(level: Level) -> Duration {
    match level {
        Level::Normal => Duration::ZERO,
        Level::Vip => Duration::from_secs(30),
        Level::Svip => Duration::from_mins(1),
    }
}

/// The largest pictures are for VIP.
pub(super) fn check_level(resolution: Option<Resolution>, level: Level) -> Result<()> {
    if resolution == Some(Resolution::FourK) && level == Level::Normal {
        return Err(Code::VipRequired.into());
    }
    Ok(())
}

/// Whether news of `to` may move a job that is known to be in `from`. News can be late and out of order.
pub(super) const fn may_follow(from: JobState, to: JobState) -> bool {
    match (from, to) {
        (from, _) if from.is_final() => false,
        (_, to) if to.is_final() => true,
        (JobState::Queued, JobState::Running | JobState::Retrying)
        | (JobState::Running, JobState::Retrying)
        | (JobState::Retrying, JobState::Running) => true,
        _ => false,
    }
}

/// Whether its owner may still take a job back.
pub(super) const fn is_cancelable(state: JobState) -> bool {
    matches!(state, JobState::Queued | JobState::Retrying)
}

/// Put before the prompt when a character's face is to be kept; the user's own prompt is stored without it.
const KEEP_FACE: &str = "Keep the face of the person in the reference picture exactly as it is: the same eyes, nose, \
mouth, jaw, cheekbones and proportions. Do not invent another face. Paint the following with that person: ";

/// The prompt as the image API is to see it.
pub(super) fn upstream_prompt(prompt: &str, keep_face: bool) -> String {
    if keep_face { format!("{KEEP_FACE}{prompt}") } else { prompt.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::quota::Used;
    use crate::settings::QuotaLimit;
    use proptest::prelude::*;

    #[test]
    fn a_4k_sample_costs_twice_as_much_and_needs_vip() {
        let prices = SamplePrices::default();
        assert_eq!(sample_price(prices, Mode::Draft, None).get(), 2);
        assert_eq!(sample_price(prices, Mode::Final, Some(Resolution::TwoK)).get(), 10);
        assert_eq!(sample_price(prices, Mode::Final, Some(Resolution::FourK)).get(), 20);
        assert!(check_level(Some(Resolution::FourK), Level::Normal).is_err());
        assert!(check_level(Some(Resolution::FourK), Level::Vip).is_ok());
    }

    #[test]
    fn late_news_never_move_a_job_that_has_ended() {
        for to in [JobState::Queued, JobState::Running, JobState::Succeeded, JobState::Failed] {
            assert!(!may_follow(JobState::Canceled, to));
            assert!(!may_follow(JobState::Succeeded, to));
        }
        assert!(!may_follow(JobState::Running, JobState::Queued));
        assert!(may_follow(JobState::Queued, JobState::Succeeded));
    }

    proptest! {
        #[test]
        fn quota_and_points_together_pay_for_every_sample(
            samples in 1..=10_i64, price_each in 0..50_i64, daily in 0..20_i64, used in 0..30_i64, balance in 0..500_i64,
        ) {
            let quota = Quota::new(QuotaLimit { daily, monthly: 1000 }, Used { daily: used, monthly: used });
            match price(samples, Points::new(price_each), quota, Points::new(balance)) {
                Ok(charge) => {
                    prop_assert!(charge.quota <= quota.remaining() && charge.quota >= 0);
                    prop_assert_eq!(charge.points.get(), (samples - charge.quota) * price_each);
                    prop_assert!(charge.points.get() <= balance);
                }
                Err(error) => {
                    prop_assert_eq!(error.code(), Code::QuotaExceeded);
                    prop_assert!((samples - quota.remaining().min(samples)) * price_each > balance);
                }
            }
        }
    }
}
