//! The fuzz target `request`: its checks are in the harness, which ordinary tests replay.
#![no_main]

use dream_fuzz_harness::request;
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(init: request::init(), |data: &[u8]| -> Corpus {
    if request::check(data) { Corpus::Keep } else { Corpus::Reject }
});
