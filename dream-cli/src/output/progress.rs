//! How long work comes along.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A line on standard error that tells how far work has come. Gone when it is dropped.
pub(crate) struct Progress {
    bar: ProgressBar,
}

const TICK: Duration = Duration::from_millis(120);

impl Progress {
    pub(super) fn begin(what: &'static str, total: Option<u64>, seen: bool) -> Self {
        let target = if seen { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(total, target).with_message(what);
        let shape = match total {
            Some(_) => "{msg} {wide_bar} {human_pos}/{human_len} {eta}",
            None => "{spinner} {human_pos} {msg} {elapsed}",
        };
        if let Ok(style) = ProgressStyle::with_template(shape) {
            bar.set_style(style);
        }
        if seen {
            bar.enable_steady_tick(TICK);
        }
        Self { bar }
    }

    /// So many more are done.
    pub(crate) fn add(&self, done: usize) {
        self.bar.inc(u64::try_from(done).unwrap_or(u64::MAX));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
