//! The WeChat client against a server that behaves, and misbehaves, as WeChat does.

use std::sync::Arc;
use std::time::Duration;

use dream_core::adapters::WeChatContentCheck;
use dream_core::adapters::wechat::{MessageState, SubscribeMessage, WeChatConfig, WeChatHttp};
use dream_core::ports::{
    ContentCheck, Failure, FailureKind, ImageCheck, LoginCode, Phone, PhoneCode, Scene, TextCheck, Verdict,
    WeChat, WeChatLogin,
};
use dream_testkit::clock::TestClock;
use dream_testkit::fakes::wechat::{FakeWeChat, WeChatOptions, operation};
use dream_testkit::faults::Fault;
use futures_util::future::join_all;
use secrecy::{ExposeSecret, SecretString};

use crate::support::{SharedCache, failed, kind_and_code};

const USER: &str = "o-user";

/// A WeChat, and what nodes of ours need to talk to it.
struct World {
    clock: Arc<TestClock>,
    cache: Arc<SharedCache>,
    fake: FakeWeChat,
}

impl World {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut WeChatOptions)) -> Self {
        let clock = Arc::new(TestClock::default());
        let mut options = WeChatOptions::new(clock.clone());
        change(&mut options);
        let fake = FakeWeChat::start(options).await.unwrap();
        Self { cache: SharedCache::new(clock.clone()), clock, fake }
    }

    fn config(&self) -> WeChatConfig {
        let app = self.fake.app();
        let mut config = WeChatConfig::new(app.appid, SecretString::from(app.secret));
        config.base_url = self.fake.base_url();
        config.pause = Duration::from_millis(1);
        config
    }

    /// A node with a memory of its own and the common cache.
    fn node(&self) -> WeChatHttp {
        self.node_with(self.config())
    }

    fn node_with(&self, config: WeChatConfig) -> WeChatHttp {
        WeChatHttp::new(config, self.cache.clone(), self.clock.clone()).unwrap()
    }

    async fn login(&self, node: &WeChatHttp) -> Result<WeChatLogin, Failure> {
        self.login_by(node, self.fake.login_code(USER)).await
    }

    async fn login_by(&self, node: &WeChatHttp, code: String) -> Result<WeChatLogin, Failure> {
        node.login(LoginCode::new(code).unwrap()).await
    }

    async fn phone(&self, node: &WeChatHttp) -> Result<Phone, Failure> {
        let code = self.fake.phone_code(USER, "+85261234567");
        node.phone(PhoneCode::new(code).unwrap(), USER).await
    }

    fn token_calls(&self) -> u64 {
        self.fake.calls(operation::STABLE_TOKEN)
    }
}

#[tokio::test]
async fn a_login_tells_who_it_is_and_its_code_works_once() {
    let world = World::new().await;
    let node = world.node();
    world.fake.set_unionid(USER, Some("u-1"));
    let code = world.fake.login_code(USER);
    let login = world.login_by(&node, code.clone()).await.unwrap();
    assert_eq!((login.openid.as_str(), login.unionid.as_deref()), (USER, Some("u-1")));
    let again = kind_and_code(world.login_by(&node, code).await);
    assert_eq!(again, failed(FailureKind::Refused, "CODE_INVALID"));
    let unknown = kind_and_code(world.login_by(&node, "nonsense".to_owned()).await);
    assert_eq!(unknown, failed(FailureKind::Refused, "CODE_INVALID"));
    assert_eq!(world.token_calls(), 0, "a login needs no token");
}

#[tokio::test]
async fn a_login_survives_two_failures_and_no_third() {
    for fault in [Fault::Drop, Fault::html(502), Fault::status(500, "")] {
        let world = World::new().await;
        let node = world.node();
        world.fake.faults().next_n(operation::LOGIN, 2, fault.clone());
        assert!(world.login(&node).await.is_ok(), "{fault:?}");
        world.fake.faults().next_n(operation::LOGIN, 3, fault.clone());
        let failure = world.login(&node).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Unknown, "{fault:?}");
    }
}

#[tokio::test]
async fn a_login_whose_answer_was_lost_has_spent_its_code() {
    for fault in [Fault::DropAfter, Fault::Truncate, Fault::Corrupt] {
        let world = World::new().await;
        let node = world.node();
        world.fake.faults().next(operation::LOGIN, fault.clone());
        let found = kind_and_code(world.login(&node).await);
        assert_eq!(found, failed(FailureKind::Refused, "CODE_INVALID"), "{fault:?}");
    }
}

#[tokio::test]
async fn refusals_of_a_login_are_told_apart() {
    let world = World::new().await;
    let node = world.node();
    for (errcode, expected) in [
        (40226, failed(FailureKind::Refused, "HIGH_RISK")),
        (45011, failed(FailureKind::Throttled, "45011")),
        (-1, failed(FailureKind::Unknown, "BUSY")),
        (40013, failed(FailureKind::Misconfigured, "40013")),
    ] {
        let code = world.fake.login_code(USER);
        world.fake.answer_code(&code, errcode);
        assert_eq!(kind_and_code(world.login_by(&node, code).await), expected);
    }
    let mut config = world.config();
    config.secret = SecretString::from("wrong");
    let found = world.login(&world.node_with(config)).await.unwrap_err();
    assert_eq!(found.kind, FailureKind::Misconfigured);
}

#[tokio::test]
async fn a_busy_wechat_is_asked_again() {
    let world = World::new().await;
    let code = world.fake.login_code(USER);
    world.fake.answer_code_times(&code, -1, 2);
    assert!(world.login_by(&world.node(), code).await.is_ok());
}

#[tokio::test]
async fn nobody_waits_longer_than_the_limit() {
    let world = World::new().await;
    let mut config = world.config();
    config.timeout = Duration::from_millis(50);
    let node = world.node_with(config);
    world.fake.faults().always(operation::LOGIN, Fault::delay(Duration::from_hours(1)));
    assert_eq!(world.login(&node).await.unwrap_err().kind, FailureKind::TimedOut);
}

#[tokio::test]
async fn a_wechat_that_is_down_is_unreachable() {
    let world = World::new().await;
    world.fake.server().go_down().await.unwrap();
    assert_eq!(world.login(&world.node()).await.unwrap_err().kind, FailureKind::Unreachable);
}

#[tokio::test]
async fn a_phone_number_is_read_in_either_form() {
    for numeric_country_code in [false, true] {
        let world = World::with(|options| options.numeric_country_code = numeric_country_code).await;
        let phone = world.phone(&world.node()).await.unwrap();
        let expected = Phone {
            number: "+85261234567".to_owned(),
            pure_number: "61234567".to_owned(),
            country_code: "852".to_owned(),
        };
        assert_eq!(phone, expected);
    }
}

#[tokio::test]
async fn a_phone_code_is_for_one_use_and_one_user() {
    let world = World::new().await;
    let node = world.node();
    let code = world.fake.phone_code(USER, "13800138000");
    let phone = async |openid| node.phone(PhoneCode::new(code.clone()).unwrap(), openid).await;
    assert!(phone(USER).await.is_ok());
    assert_eq!(kind_and_code(phone(USER).await), failed(FailureKind::Refused, "CODE_INVALID"));
}

#[tokio::test]
async fn a_hundred_callers_fetch_one_token() {
    let world = World::new().await;
    let node = world.node();
    let phones = join_all((0..100).map(|_| world.phone(&node))).await;
    assert!(phones.iter().all(Result::is_ok));
    assert_eq!(world.token_calls(), 1);
}

#[tokio::test]
async fn a_failed_fetch_fails_for_all_who_waited_and_the_next_one_tries_anew() {
    let world = World::new().await;
    let node = world.node();
    world.fake.faults().next_n(operation::STABLE_TOKEN, 3, Fault::Drop);
    let phones = join_all((0..20).map(|_| world.phone(&node))).await;
    assert!(phones.iter().all(Result::is_err));
    assert_eq!(world.fake.faults().fired().len(), 3);
    assert!(world.phone(&node).await.is_ok());
}

#[tokio::test]
async fn nodes_share_a_token_and_one_node_keeps_it_without_the_cache() {
    let world = World::new().await;
    let (one, other) = (world.node(), world.node());
    assert!(world.phone(&one).await.is_ok());
    assert!(world.phone(&other).await.is_ok());
    assert_eq!(world.token_calls(), 1);
    world.cache.break_down();
    let third = world.node();
    for _ in 0..3 {
        assert!(world.phone(&third).await.is_ok());
    }
    assert_eq!(world.token_calls(), 2);
}

#[tokio::test]
async fn a_dead_token_is_replaced_once_by_whoever_notices_first() {
    let world = World::new().await;
    let (one, other) = (world.node(), world.node());
    assert!(world.phone(&one).await.is_ok() && world.phone(&other).await.is_ok());
    world.fake.revoke_tokens();
    assert!(world.phone(&one).await.is_ok());
    assert_eq!(world.token_calls(), 2);
    // The other node still holds the dead one; the fresh one in the cache is not dropped for it.
    assert!(world.phone(&other).await.is_ok());
    assert_eq!(world.token_calls(), 2);
    world.fake.expire_tokens();
    let phones = join_all((0..20).map(|_| world.phone(&one))).await;
    assert!(phones.iter().all(Result::is_ok));
    assert_eq!(world.token_calls(), 3);
}

#[tokio::test]
async fn a_token_is_given_up_five_minutes_before_its_end() {
    let world = World::new().await;
    let node = world.node();
    assert!(world.phone(&node).await.is_ok());
    world.clock.advance(Duration::from_mins(114));
    assert!(world.phone(&node).await.is_ok());
    assert_eq!(world.token_calls(), 1);
    world.clock.advance(Duration::from_mins(2));
    assert!(world.phone(&node).await.is_ok());
    assert_eq!(world.token_calls(), 2);
}

#[tokio::test]
async fn a_caller_who_gives_up_does_not_hold_up_the_next_one() {
    let world = World::new().await;
    let mut hasty = world.config();
    hasty.timeout = Duration::from_millis(500);
    let node = world.node_with(hasty);
    world.fake.faults().next(operation::STABLE_TOKEN, Fault::delay(Duration::from_hours(1)));
    assert_eq!(world.phone(&node).await.unwrap_err().kind, FailureKind::TimedOut);
    assert!(world.phone(&node).await.is_ok());
}

fn text(content: &str) -> TextCheck<'_> {
    TextCheck { openid: USER, scene: Scene::Forum, content }
}

#[tokio::test]
async fn the_worst_verdict_on_a_piece_counts_for_the_whole() {
    let world = World::new().await;
    let node = world.node();
    let check = WeChatContentCheck::new(&node);
    world.login(&node).await.unwrap();
    let long = |word: &str| format!("{}{word}{}", "山".repeat(3000), "水".repeat(1000));
    for (content, verdict, calls) in [
        (String::new(), Verdict::Pass, 0),
        ("山间的清晨".to_owned(), Verdict::Pass, 1),
        (long(""), Verdict::Pass, 2),
        (long("待审"), Verdict::Review, 2),
        (long("违规"), Verdict::Risky, 2),
        (format!("违规{}", long("")), Verdict::Risky, 1),
        (format!("{}违规", "山".repeat(2499)), Verdict::Risky, 2),
    ] {
        let before = world.fake.calls(operation::TEXT_CHECK);
        assert_eq!(check.text(text(&content)).await.unwrap(), verdict);
        assert_eq!(world.fake.calls(operation::TEXT_CHECK) - before, calls);
    }
}

#[tokio::test]
async fn a_check_that_cannot_be_made_is_never_a_pass() {
    let world = World::new().await;
    let node = world.node();
    let check = WeChatContentCheck::new(&node);
    let stranger = kind_and_code(check.text(text("hello")).await);
    assert_eq!(stranger, failed(FailureKind::Refused, "OPENID_INVALID"));
    world.login(&node).await.unwrap();
    world.clock.advance(Duration::from_mins(121));
    let inactive = kind_and_code(check.text(text("hello")).await);
    assert_eq!(inactive, failed(FailureKind::Refused, "USER_INACTIVE"));
    world.login(&node).await.unwrap();
    for fault in [
        Fault::status(200, r#"{"errcode":0,"errmsg":"ok"}"#),
        Fault::status(200, "{}"),
        Fault::status(200, "null"),
        Fault::status(200, r#"{"errcode":0,"result":"pass"}"#),
        Fault::html(200),
        Fault::html(503),
        Fault::Drop,
        Fault::Corrupt,
    ] {
        world.fake.faults().next_n(operation::TEXT_CHECK, 3, fault.clone());
        assert!(check.text(text("hello")).await.is_err(), "{fault:?}");
    }
    let odd = Fault::status(200, r#"{"errcode":0,"result":{"suggest":"splendid","label":"x"}}"#);
    world.fake.faults().next(operation::TEXT_CHECK, odd);
    assert_eq!(check.text(text("hello")).await.unwrap(), Verdict::Review);
    let version_1 = Fault::status(200, r#"{"errcode":87014,"errmsg":"risky content"}"#);
    world.fake.faults().next(operation::TEXT_CHECK, version_1);
    assert_eq!(check.text(text("hello")).await.unwrap(), Verdict::Risky);
}

#[tokio::test]
async fn a_used_up_quota_says_to_wait() {
    let world = World::with(|options| options.limits.text_checks_per_minute = 1).await;
    let node = world.node();
    let check = WeChatContentCheck::new(&node);
    world.login(&node).await.unwrap();
    assert!(check.text(text("one")).await.is_ok());
    let failure = check.text(text("two")).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Throttled);
    assert!(failure.retry_after.is_some());
}

#[tokio::test]
async fn a_picture_is_handed_in_and_its_verdict_pends() {
    let world = World::new().await;
    let node = world.node();
    world.login(&node).await.unwrap();
    let found = WeChatContentCheck::new(&node).image(USER, Scene::Profile, "http://127.0.0.1:9/a.png").await;
    let ImageCheck::Pending { trace_id } = found.unwrap() else { panic!("decided at once") };
    assert_eq!(world.fake.media_checks()[0].trace_id, trace_id);
}

#[tokio::test]
async fn a_message_reaches_who_asked_for_it() {
    let world = World::new().await;
    let node = world.node();
    world.login(&node).await.unwrap();
    let message = SubscribeMessage {
        openid: USER.to_owned(),
        template_id: "T".to_owned(),
        page: Some("pages/job/index?id=1".to_owned()),
        values: [("thing1".to_owned(), "图".repeat(50))].into(),
        state: MessageState::Formal,
    };
    let refused = kind_and_code(node.send_message(&message).await);
    assert_eq!(refused, failed(FailureKind::Refused, "NOT_SUBSCRIBED"));
    world.fake.subscribe(USER, "T", 1);
    node.send_message(&message).await.unwrap();
    assert_eq!(world.fake.messages().len(), 1);
}

#[tokio::test]
async fn a_session_key_is_valid_until_the_next_login() {
    let world = World::new().await;
    let node = world.node();
    let first = world.login(&node).await.unwrap().session_key;
    assert!(node.session_is_valid(USER, &first).await.unwrap());
    let second = world.login(&node).await.unwrap().session_key;
    assert_ne!(first.expose_secret(), second.expose_secret());
    assert!(!node.session_is_valid(USER, &first).await.unwrap());
}

#[tokio::test]
async fn a_configuration_that_cannot_be_right_is_refused() {
    let world = World::new().await;
    for (appid, base_url) in
        [("", "http://x"), ("wx", "not a URL"), ("wx", "ftp://x"), ("wx", "http://x?a=b")]
    {
        let mut config = world.config();
        (config.appid, config.base_url) = (appid.to_owned(), base_url.to_owned());
        assert!(WeChatHttp::new(config, world.cache.clone(), world.clock.clone()).is_err());
    }
    let shown = format!("{:?} {:?}", world.config(), world.node());
    assert!(!shown.contains(&world.fake.app().secret));
}
