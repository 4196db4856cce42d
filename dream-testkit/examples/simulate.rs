//! Plays schedules of the simulation: `simulate [COUNT] [--from SEED]`, or tells the story of one: `simulate --seed SEED`.
#![expect(clippy::print_stdout, reason = "it is a command")]

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use dream_testkit::simulation::{Figures, Played, Theatre};

struct Wish {
    from: u64,
    count: u64,
    story: bool,
}

fn wish() -> Result<Wish, String> {
    let mut wish = Wish { from: 0, count: 1000, story: false };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let number = |text: Option<String>| {
            text.and_then(|text| text.parse().ok()).ok_or("simulate [COUNT] [--from SEED] [--seed SEED]")
        };
        match argument.as_str() {
            "--from" => wish.from = number(arguments.next())?,
            "--seed" => wish = Wish { from: number(arguments.next())?, count: 1, story: true },
            _ => wish.count = number(Some(argument))?,
        }
    }
    Ok(wish)
}

/// What all threads share.
#[derive(Default)]
struct Shared {
    next: AtomicU64,
    failed: AtomicBool,
    sum: Mutex<Figures>,
}

async fn play(wish: &Wish, shared: &Shared) {
    let mut theatre = Theatre::open().await;
    loop {
        let place = shared.next.fetch_add(1, Ordering::Relaxed);
        if place >= wish.count || shared.failed.load(Ordering::Relaxed) {
            return;
        }
        let seed = wish.from + place;
        let Played { story, fault, figures, hash } = theatre.play(seed, wish.story).await;
        for line in story {
            println!("{line}");
        }
        shared.sum.lock().unwrap_or_else(PoisonError::into_inner).add(&figures);
        if wish.story {
            println!("hash {hash:016x}");
        }
        if let Some(fault) = fault {
            println!("seed {seed}: {fault}");
            println!("its story: cargo run -p dream-testkit --example simulate -- --seed {seed}");
            shared.failed.store(true, Ordering::Relaxed);
        }
    }
}

fn main() -> ExitCode {
    let wish = match wish() {
        Ok(wish) => Arc::new(wish),
        Err(usage) => {
            println!("{usage}");
            return ExitCode::from(2);
        }
    };
    let started = Instant::now();
    let shared = Arc::new(Shared::default());
    // Each waits a third of its time for its database's own threads.
    let threads = std::thread::available_parallelism().map_or(2, |cores| 2 * cores.get());
    let threads = threads.min(if wish.story { 1 } else { 64 });
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime.block_on(play(&wish, &shared)),
                Err(error) => {
                    println!("{error}");
                    shared.failed.store(true, Ordering::Relaxed);
                }
            });
        }
    });
    let sum = *shared.sum.lock().unwrap_or_else(PoisonError::into_inner);
    println!("{} schedules in {:.1} s: {sum:?}", wish.count, started.elapsed().as_secs_f64());
    if shared.failed.load(Ordering::Relaxed) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
