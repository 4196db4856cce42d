//! The fuzz target `notify`: its checks are in the harness, which ordinary tests replay.
#![no_main]

use dream_fuzz_harness::notify;
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(init: notify::init(), |data: &[u8]| -> Corpus {
    if notify::check(data) { Corpus::Keep } else { Corpus::Reject }
});
