//! The service manager that started us, if one did: it may hand over sockets that listen already, and wants to know
//! how far we are. The protocols are systemd's, `sd_listen_fds(3)` and `sd_notify(3)`.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use dream_http::{Door, Settings};
use listenfd::ListenFd;
use sd_notify::NotifyState;

/// The sockets that were handed over, or new ones. The first is the server's, the second that of the metrics.
pub(crate) fn door(settings: &Settings) -> io::Result<Door> {
    let mut given = ListenFd::from_env();
    match given.take_tcp_listener(0)? {
        Some(main) => Door::take_over(settings, main, given.take_tcp_listener(1)?),
        None => Door::open(settings),
    }
}

/// Says that requests are answered from now on, and keeps saying so where the manager wants to hear it regularly.
pub(crate) fn ready(address: SocketAddr) {
    tell(&[NotifyState::Ready, NotifyState::Status(&format!("serving at {address}"))]);
    if let Some(limit) = sd_notify::watchdog_enabled() {
        tokio::spawn(keep_alive(limit / 2));
    }
}

/// Says that what is in flight is finished, and nothing new begun.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("draining")]);
}

async fn keep_alive(every: Duration) {
    let mut clock = tokio::time::interval(every);
    loop {
        clock.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    // Without a manager this does nothing; one that is there and does not listen changes nothing for us.
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(error = %error, "the service manager was not told");
    }
}
