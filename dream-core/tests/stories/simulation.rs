//! Schedules of the simulation. `cargo run -p dream-testkit --example simulate` plays any number of them.

use dream_testkit::simulation::{Figures, Played, Theatre};

/// Schedules of every plain run of the tests; `scripts/test` plays many more.
const SCHEDULES: u64 = 100;

fn on_one_thread<T>(play: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(play)
}

#[test]
fn whatever_goes_wrong_the_books_are_right_and_everything_ends() {
    let sum = on_one_thread(async {
        let mut theatre = Theatre::open().await;
        let mut sum = Figures::default();
        for seed in 1_000_000..1_000_000 + SCHEDULES {
            let Played { fault, figures, .. } = theatre.play(seed, false).await;
            assert_eq!(fault, None, "tell its story: simulate --seed {seed}");
            sum.add(&figures);
        }
        sum
    });
    // Schedules in which nothing happens prove nothing.
    for (what, count) in [
        ("commits", sum.commits / 20),
        ("payments", sum.payments),
        ("jobs", sum.jobs),
        ("refunds", sum.refunds * 4),
        ("deaths", sum.deaths * 4),
    ] {
        assert!(count > SCHEDULES / 2, "too few {what}: {sum:?}");
    }
}

#[test]
fn the_same_seed_tells_the_same_story() {
    on_one_thread(async {
        let (mut one, mut other) = (Theatre::open().await, Theatre::open().await);
        for seed in 0..8 {
            let first = one.play(seed, true).await;
            assert!(first.story.len() > 20, "{:?}", first.story);
            assert_eq!(first, other.play(seed, true).await, "seed {seed}");
            // Also where another schedule was played before.
            assert_eq!(first, one.play(seed, true).await, "seed {seed}, again");
        }
    });
}
