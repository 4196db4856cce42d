use dream_core::adapters::SystemClock;
use dream_testkit::clock::TestClock;
use dream_testkit::conformance::clock;

#[tokio::test]
async fn the_machines_clock_keeps_the_promises_of_a_clock() {
    clock::all(&SystemClock, |_| {}).await;
}

#[tokio::test]
async fn the_clock_of_tests_keeps_the_promises_of_a_clock() {
    let test = TestClock::default();
    clock::all(&test, |span| test.advance(span)).await;
}
