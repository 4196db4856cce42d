//! The fuzz target `picture`: its checks are in the harness, which ordinary tests replay.
#![no_main]

use dream_fuzz_harness::picture;
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(init: picture::init(), |data: &[u8]| -> Corpus {
    if picture::check(data) { Corpus::Keep } else { Corpus::Reject }
});
