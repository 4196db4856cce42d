//! What a generation costs, what comes back of it, what counts as a picture, and in which order its states may follow.

use std::time::Duration;

use super::request::{Mode, Resolution};
use crate::error::{Code, Error, Facts, Result};
use crate::jobs::quota::Quota;
use crate::kernel::Points;
use crate::ports::{Failure, JobError, JobState, Reason};
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

impl Charge {
    pub(super) const NOTHING: Charge = Charge { quota: 0, points: Points::ZERO };
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

/// What comes back of a charge for `expected` samples of which `delivered` came: points first, which are worth more than
/// what the quota covers, then quota.
pub(super) fn refund(charge: Charge, expected: i64, delivered: i64) -> Charge {
    let missing = (expected - delivered).clamp(0, expected);
    let paid = expected - charge.quota;
    let by_points = missing.min(paid);
    let each = if paid > 0 { charge.points.get() / paid } else { 0 };
    Charge { quota: missing - by_points, points: Points::new(each * by_points) }
}

/// Longest address of a picture that is believed, in bytes: signed ones are long.
const MAX_URL: usize = 8192;

/// A result of the image API that may be a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sample<'a> {
    /// It lies at this http or https URL.
    At(&'a str),
    /// It is in this data URL.
    Inline(&'a str),
}

/// What a result is; `None` if it is no picture.
pub(super) fn sample(url: &str) -> Option<Sample<'_>> {
    let begins = |scheme: &str| url.get(..scheme.len()).is_some_and(|it| it.eq_ignore_ascii_case(scheme));
    if begins("data:image/") {
        return Some(Sample::Inline(url));
    }
    let scheme = ["https://", "http://"].into_iter().find(|scheme| begins(scheme))?;
    let host = url[scheme.len()..].split(['/', '?', '#']).next().unwrap_or_default();
    let is_of_url = |c: char| !c.is_control() && !c.is_whitespace() && !r#""<>\^`{|}"#.contains(c);
    (!host.is_empty() && url.len() <= MAX_URL && url.chars().all(is_of_url)).then_some(Sample::At(url))
}

/// The content check of the image API refused the prompt, the input or the result.
const CONTENT_REJECTED: &str = "CONTENT_REJECTED";
/// The request cannot be met as it is.
const INVALID_REQUEST: &str = "INVALID_REQUEST";
/// It succeeded, and delivered no picture.
pub(super) const RESULT_INVALID: &str = "RESULT_INVALID";
/// It did not end in time.
pub(super) const UPSTREAM_TIMEOUT: &str = "UPSTREAM_TIMEOUT";
/// The image API cannot make it, for a reason that is not the user's.
pub(super) const UPSTREAM_UNAVAILABLE: &str = "UPSTREAM_UNAVAILABLE";

/// Characters of the other side's text that a user reads at most.
const LONGEST_MESSAGE: usize = 200;

/// A failure of this code, of which the code says everything.
pub(super) fn told(code: &str) -> JobError {
    JobError { code: code.to_owned(), message: String::new() }
}

/// What a user is told of a failure of the image API: one of our codes, and the other side's text only where it is
/// about the request.
pub(super) fn job_error(error: Option<&JobError>) -> JobError {
    let Some(error) = error else { return told(UPSTREAM_UNAVAILABLE) };
    match Reason::of(&error.code) {
        Reason::Content => told(CONTENT_REJECTED),
        Reason::Request => {
            let message = error.message.chars().take(LONGEST_MESSAGE).collect();
            JobError { code: INVALID_REQUEST.to_owned(), message }
        }
        Reason::Time => told(UPSTREAM_TIMEOUT),
        Reason::Account | Reason::Other => told(UPSTREAM_UNAVAILABLE),
    }
}

/// What a user is told of a submission that was refused.
pub(super) fn refusal(failure: &Failure) -> JobError {
    match Reason::of(failure.code.as_deref().unwrap_or_default()) {
        Reason::Content => told(CONTENT_REJECTED),
        // A refusal proves that it is the request, or the caller's own key, whatever the code.
        _ => JobError { code: INVALID_REQUEST.to_owned(), message: failure.message.clone() },
    }
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

    #[test]
    fn only_web_addresses_and_inline_pictures_count_as_results() {
        for url in ["https://a.example/1.png", "HTTP://a.example", "https://a.example/图.png?x=1#y"] {
            assert_eq!(sample(url), Some(Sample::At(url)), "{url}");
        }
        let inline = "data:image/png;base64,AAAA";
        assert_eq!(sample(inline), Some(Sample::Inline(inline)));
        let long = format!("https://a.example/{}", "x".repeat(MAX_URL));
        for url in [
            "",
            " ",
            "/files/a.png",
            "//a.example/1.png",
            "https://",
            "https:///a.png",
            "http:a.png",
            "javascript:alert(1)",
            "java\u{0}script:alert(1)",
            "https://a.example/\u{0}",
            "https://a.example/1 2.png",
            "https://a.example/\"><script>",
            "ftp://a.example/1.png",
            "file:///etc/passwd",
            "blob:https://a.example/1",
            "data:text/html;base64,AAAA",
            "iVBORw0KGgo=",
            "图",
            &long,
        ] {
            assert_eq!(sample(url), None, "{url}");
        }
    }

    #[test]
    fn missing_samples_give_back_points_before_quota() {
        let charge = Charge { quota: 3, points: Points::new(70) };
        let refund = |delivered| {
            let Charge { quota, points } = refund(charge, 10, delivered);
            (quota, points.get())
        };
        assert_eq!([refund(10), refund(8), refund(3), refund(1)], [(0, 0), (0, 20), (0, 70), (2, 70)]);
        assert_eq!((refund(0), refund(12)), ((3, 70), (0, 0)), "more than was asked for costs nothing more");
    }

    proptest! {
        #[test]
        fn what_comes_back_is_what_the_missing_samples_took(
            samples in 1..=10_i64, price_each in 0..50_i64, left in 0..12_i64, delivered in 0..12_i64,
        ) {
            let quota = Quota::new(QuotaLimit { daily: left, monthly: 1000 }, Used::default());
            let charge = price(samples, Points::new(price_each), quota, Points::new(1000)).unwrap();
            let back = refund(charge, samples, delivered);
            let missing = (samples - delivered).max(0);
            prop_assert!(0 <= back.quota && back.quota <= charge.quota);
            prop_assert!(back.points.get() >= 0 && back.points <= charge.points);
            // What is kept is the price of what was delivered, by quota as far as it went.
            let kept = price(samples - missing, Points::new(price_each), quota, Points::new(1000)).unwrap();
            prop_assert_eq!(kept.quota, charge.quota - back.quota);
            prop_assert_eq!(kept.points.get(), charge.points.get() - back.points.get());
        }

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
