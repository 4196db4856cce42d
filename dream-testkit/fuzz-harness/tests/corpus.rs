//! Replays the seeds of each fuzz target, and mutations of them, as ordinary tests.
//!
//! The mutations are a function of a fixed seed, so each run checks the same inputs. They are no replacement for
//! coverage-guided fuzzing, which `scripts/fuzz` does; they show that no target and no seed is broken, and repeat
//! cheaply what a short run of libFuzzer would find. A failing input is written to the temporary folder and named.
#![expect(
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test may stop, wait for a file and print what it found"
)]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

use dream_fuzz_harness::{notify, picture, request};

/// The longest input, as in `scripts/fuzz`.
const MAX_LEN: usize = 8192;

fn files(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(folder);
    let mut paths: Vec<_> =
        fs::read_dir(folder).expect("a folder of seeds").map(|entry| entry.expect("a seed").path()).collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).expect("a seed")).collect()
}

/// The words of a dictionary of libFuzzer: one quoted string a line, with `\xNN` escapes.
fn dictionary(name: &str) -> Vec<Vec<u8>> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/dictionaries").join(name).with_extension("dict");
    let text = fs::read_to_string(path).expect("a dictionary");
    let words = text.lines().filter_map(|line| Some(line.split_once('"')?.1.rsplit_once('"')?.0.to_owned()));
    words.map(|word| unescaped(&word)).collect()
}

fn unescaped(word: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = word.bytes();
    while let Some(byte) = rest.next() {
        match (byte, rest.clone().next()) {
            (b'\\', Some(b'x')) => {
                let digits: Vec<u8> = rest.by_ref().skip(1).take(2).collect();
                let digits = String::from_utf8(digits).expect("two digits");
                bytes.push(u8::from_str_radix(&digits, 16).expect("a byte"));
            }
            (b'\\', Some(escaped)) => {
                bytes.push(escaped);
                rest.next();
            }
            _ => bytes.push(byte),
        }
    }
    bytes
}

/// A range within `bytes`, possibly empty.
fn span(random: &mut fastrand::Rng, bytes: &[u8]) -> std::ops::Range<usize> {
    let start = random.usize(..=bytes.len());
    start..random.usize(start..=bytes.len().min(start + 64))
}

fn mutate(random: &mut fastrand::Rng, seeds: &[Vec<u8>], words: &[Vec<u8>]) -> Vec<u8> {
    let pick = |random: &mut fastrand::Rng| &seeds[random.usize(..seeds.len())];
    let mut bytes = pick(random).clone();
    for _ in 0..random.usize(1..=4) {
        let at = span(random, &bytes);
        match random.u8(..6) {
            0 => bytes.drain(at).for_each(drop),
            1 => {
                let copy = bytes[at.clone()].to_vec();
                bytes.splice(at.start..at.start, copy).for_each(drop);
            }
            2 if !words.is_empty() => {
                let word = &words[random.usize(..words.len())];
                bytes.splice(at.start..at.start, word.iter().copied()).for_each(drop);
            }
            3 => {
                let other = pick(random);
                let from = span(random, other);
                bytes.splice(at, other[from].iter().copied()).for_each(drop);
            }
            _ => {
                for byte in &mut bytes[at] {
                    if random.u8(..4) == 0 {
                        *byte = random.u8(..);
                    }
                }
            }
        }
    }
    bytes.truncate(MAX_LEN);
    bytes
}

fn replay(target: &str, mutations: usize, init: fn(), check: fn(&[u8]) -> bool) {
    init();
    let (seeds, words) = (files(target), dictionary(target));
    let mut random = fastrand::Rng::with_seed(1);
    let mutated: Vec<_> = (0..mutations).map(|_| mutate(&mut random, &seeds, &words)).collect();
    let mut kept = 0;
    for input in seeds.iter().chain(&mutated) {
        match catch_unwind(AssertUnwindSafe(|| check(input))) {
            Ok(keep) => kept += usize::from(keep),
            Err(panic) => {
                let path = std::env::temp_dir().join(format!("dream-fuzz-{target}"));
                fs::write(&path, input).expect("a temporary file");
                println!("the input is in {}: scripts/fuzz --replay {target} FILE", path.display());
                resume_unwind(panic);
            }
        }
    }
    assert!(kept > seeds.len() / 2, "the target {target} takes hardly any of its seeds");
}

#[test]
fn every_seed_of_notify_and_five_thousand_mutations_break_no_parser() {
    replay("notify", 5000, notify::init, notify::check);
}

#[test]
fn every_seed_of_picture_and_three_thousand_mutations_break_no_decoder() {
    replay("picture", 3000, picture::init, picture::check);
}

#[test]
fn every_seed_of_request_and_three_thousand_mutations_break_no_answer() {
    replay("request", 3000, request::init, request::check);
}
