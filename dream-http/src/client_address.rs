//! Whose address counts where proxies stand between.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of the client: the peer, or, if the peer is a trusted proxy, the last address of
/// `X-Forwarded-For` that is not one. Whatever stands before that can be invented by the client.
pub(crate) fn of(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let peer = peer.to_canonical();
    if !is_trusted(peer, trusted) {
        return peer;
    }
    let mut client = peer;
    let hops: Vec<&str> = headers
        .get_all(FORWARDED_FOR)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    for hop in hops.into_iter().rev() {
        let Some(address) = parse(hop.trim()) else { return client };
        client = address;
        if !is_trusted(address, trusted) {
            return address;
        }
    }
    client
}

/// Whether this is the address of a trusted proxy.
pub(crate) fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|network| network.contains(&address))
}

/// An address, or an address with a port as some proxies write it.
fn parse(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|rest| rest.split(']').next()).unwrap_or(hop);
    let address =
        bare.parse().ok().or_else(|| hop.parse().ok().map(|socket: std::net::SocketAddr| socket.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_chain(peer: &str, chain: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(FORWARDED_FOR, chain.parse().unwrap());
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "127.0.0.1/32".parse().unwrap()];
        of(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn a_stranger_cannot_claim_another_address() {
        assert_eq!(of_chain("203.0.113.9", "198.51.100.7"), "203.0.113.9");
    }

    #[test]
    fn behind_trusted_proxies_the_last_untrusted_hop_counts() {
        assert_eq!(of_chain("127.0.0.1", "198.51.100.7"), "198.51.100.7");
        assert_eq!(of_chain("127.0.0.1", "6.6.6.6, 198.51.100.7, 10.1.2.3"), "198.51.100.7");
        assert_eq!(of_chain("::ffff:127.0.0.1", "[2001:db8::5]:443"), "2001:db8::5");
        assert_eq!(of_chain("127.0.0.1", "198.51.100.7:51000"), "198.51.100.7");
    }

    #[test]
    fn nonsense_in_the_chain_ends_it() {
        assert_eq!(of_chain("127.0.0.1", "6.6.6.6, unknown, 10.0.0.2"), "10.0.0.2");
        assert_eq!(of_chain("127.0.0.1", ""), "127.0.0.1");
    }
}
