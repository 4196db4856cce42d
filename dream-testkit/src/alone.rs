//! Tests that measure this process.

use std::process::Command;

/// Tells the process that was started for one test that it is the one.
const ALONE: &str = "DREAM_TEST_ALONE";

/// Runs this test in a process of its own, for what can only be measured of a whole process, such as its memory: tests
/// beside it would be measured too. It is `true` there, and the test goes on; here it is `false` once that process has
/// passed the test, which is over then.
///
/// The name is that which the test has in its program, such as `media::a_bomb_is_refused`.
///
/// ```no_run
/// #[test]
/// fn nothing_is_kept() {
///     if !dream_testkit::alone("nothing_is_kept") {
///         return;
///     }
///     // What is measured from here on, no other test has a part in.
/// }
/// ```
///
/// # Panics
/// If the test fails there, or if there is no test of this name.
#[expect(clippy::panic, reason = "it is part of a test")]
pub fn alone(test: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let ran = std::env::current_exe().and_then(|program| {
        Command::new(program).args([test, "--exact", "--nocapture"]).env(ALONE, "1").output()
    });
    match ran {
        Ok(ran) if ran.status.success() && String::from_utf8_lossy(&ran.stdout).contains(" 1 passed") => {
            false
        }
        Ok(ran) => panic!(
            "{test} by itself: {}\n{}{}",
            ran.status,
            String::from_utf8_lossy(&ran.stdout),
            String::from_utf8_lossy(&ran.stderr)
        ),
        Err(error) => panic!("{test} by itself: {error}"),
    }
}
