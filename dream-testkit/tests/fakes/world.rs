use std::sync::{Arc, LazyLock};
use std::time::Duration;

use dream_core::ports::Clock;
use dream_testkit::clock::TestClock;
use dream_testkit::wait::eventually;

/// How long a test waits for something that happens at once.
pub(crate) const SOON: Duration = Duration::from_secs(5);

/// One client for all tests, since making one is slow. It keeps no connections: each test has a runtime of its own.
pub(crate) fn client() -> &'static reqwest::Client {
    static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
        reqwest::Client::builder()
            .connect_timeout(SOON)
            .timeout(Duration::from_secs(10))
            .pool_max_idle_per_host(0)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client")
    });
    &CLIENT
}

/// A file of published vectors.
pub(crate) fn vectors(name: &str) -> serde_json::Value {
    let text = match name {
        "mini-program-http" => include_str!("../../vectors/mini-program-http.json"),
        "message-push" => include_str!("../../vectors/message-push.json"),
        "image-webhook" => include_str!("../../vectors/image-webhook.json"),
        _ => "null",
    };
    serde_json::from_str(text).expect("JSON")
}

#[tokio::test]
async fn sleepers_wake_when_the_clock_is_moved() {
    let clock = Arc::new(TestClock::default());
    let start = clock.now();
    let sleeper = clock.clone();
    let task = tokio::spawn(async move {
        sleeper.sleep(Duration::from_mins(1)).await;
        sleeper.now()
    });
    assert!(eventually(SOON, || clock.sleepers() == 1).await);
    clock.advance(Duration::from_secs(59));
    assert_eq!(clock.next_wake(), Some(start.plus(Duration::from_mins(1))));
    clock.advance(Duration::from_secs(1));
    assert_eq!(task.await.expect("no panic"), start.plus(Duration::from_mins(1)));
    assert_eq!(clock.sleepers(), 0);
}
