//! The end of accepting, without a connection lost.
//!
//! The system makes connections before we accept them. Those that wait in its queue when a listening socket is closed
//! are reset, and a client cannot know whether its request was read. So nothing may wait there when we close: first
//! the system is told to let no new connection begin, then what is in the queue is accepted.
//!
//! A client whose first packet is passed over sends it again a second later. By then the socket is closed, and the
//! packet reaches another process on the same port, or is refused, after which a proxy asks another node.

use tokio::net::TcpListener;

/// Lets no connection begin at this socket any more. What has begun goes on.
#[cfg(target_os = "linux")]
pub(crate) fn turn_away(listener: &TcpListener) {
    if let Err(error) = socket2::SockRef::from(listener).attach_filter(&no_new_connections()) {
        tracing::debug!(error = %error, "connections may be lost at the end");
    }
}

/// Elsewhere there is no such filter.
#[cfg(not(target_os = "linux"))]
pub(crate) fn turn_away(_: &TcpListener) {}

/// A classic BPF program over the TCP header: drops what has SYN set and ACK not, and takes all else.
#[cfg(target_os = "linux")]
fn no_new_connections() -> [socket2::SockFilter; 5] {
    let step = socket2::SockFilter::new;
    [
        // A = the flags, which are the 14th byte of the header.
        step(0x30, 0, 0, 13),
        // A = A & (SYN | ACK)
        step(0x54, 0, 0, 0x12),
        // If A is SYN alone, go on, else skip one.
        step(0x15, 0, 1, 0x02),
        // Drop the packet.
        step(0x06, 0, 0, 0),
        // Take all of it.
        step(0x06, 0, 0, u32::MAX),
    ]
}
