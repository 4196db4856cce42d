//! What is legal to write but exposes a deployment: plain HTTP to a service on the internet, proxies that anybody can pose
//! as, tokens that live for decades, sandbox services beside real ones.
//!
//! Each check names its variable. What lets a stranger in or hands out a secret is an error in production and a warning in
//! development; what only surprises is a warning in production. Nothing here reads a variable: callers hand in values.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use dream_core::Lifetime;
use http::Uri;
use ipnet::IpNet;

use super::parse::SandboxPart;
use super::reader::Reader;
use super::table::{BASE_URL, JWT_EXPIRATION, REFRESH_EXPIRATION, SANDBOX_PARTS, TRUSTED_PROXIES};
use super::variable::Variable;

/// Longest life of an access token that passes without a warning.
const LONG_ACCESS: Duration = Duration::from_hours(24 * 30);
/// Longest life of a refresh token that passes without a warning.
const LONG_REFRESH: Duration = Duration::from_hours(24 * 90);
/// Longest life of any token in production.
const LONGEST: Duration = Duration::from_hours(24 * 366);
/// Networks of public addresses that are larger than these, in bits of their prefix, contain strangers.
const WIDEST_V4: u8 = 8;
const WIDEST_V6: u8 = 20;

/// How far away the host of a URL is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// This machine.
    Loopback,
    /// A network that the internet does not route to, as far as the name shows.
    Private,
    /// Anywhere else.
    Public,
}

/// How far away the host of this URL is, by its name alone.
pub(super) fn reach(url: &str) -> Reach {
    const PRIVATE_SUFFIXES: [&str; 6] =
        [".internal", ".local", ".lan", ".home.arpa", ".svc", ".cluster.local"];
    let uri: Option<Uri> = url.parse().ok();
    let Some(host) = uri.as_ref().and_then(Uri::host) else { return Reach::Public };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    if let Ok(address) = host.parse::<IpAddr>() {
        return match address.to_canonical() {
            address if address.is_loopback() => Reach::Loopback,
            address if is_private(address) => Reach::Private,
            _ => Reach::Public,
        };
    }
    if host == "localhost" || host.ends_with(".localhost") {
        Reach::Loopback
    } else if !host.contains('.') || PRIVATE_SUFFIXES.iter().any(|suffix| host.ends_with(suffix)) {
        Reach::Private
    } else {
        Reach::Public
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private() || address.is_link_local(),
        IpAddr::V6(address) => is_private_v6(address),
    }
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    address.is_unique_local() || address.is_unicast_link_local()
}

/// Credentials and personal data go to this service: over plain HTTP anybody on the way reads and changes them.
pub(super) fn encrypted(reader: &mut Reader<'_>, variable: &Variable<String>, url: Option<&str>) {
    let Some(url) = url.filter(|url| !url.starts_with("https://")) else { return };
    let name = variable.spec.name;
    match reach(url) {
        Reach::Loopback => {}
        Reach::Private => {
            let note =
                format!("{name} is not https: everybody in that network can read keys and change answers");
            reader.warn_in_production(note);
        }
        Reach::Public => reader.refuse_in_production(
            name,
            "must be https: over plain HTTP anybody on the way reads the key and changes the answers",
        ),
    }
}

/// Where clients reach the server. Without it, pictures on the local disk have addresses that only this machine knows.
pub(super) fn base_url(reader: &mut Reader<'_>, url: Option<&str>, pictures_need_it: bool) {
    match url {
        None if pictures_need_it => {
            let problem =
                "is missing in production: the addresses of pictures would begin with http://localhost";
            if reader.is_production() && !reader.is_set(&BASE_URL) {
                reader.fault(BASE_URL.spec.name, problem);
            }
        }
        None => reader.warn_in_production("BASE_URL is not set: http://localhost stands in for it"),
        Some(url) if url.starts_with("https://") => {}
        Some(url) if reach(url) == Reach::Loopback => {
            reader.warn_in_production("BASE_URL names this machine: nobody else reaches it there");
        }
        Some(_) => reader.warn_in_production(
            "BASE_URL is not https: WeChat refuses it, and tokens can be read on the way",
        ),
    }
}

/// Whoever is trusted as a proxy chooses the address that limits and logs see.
pub(super) fn trusted_proxies(reader: &mut Reader<'_>, networks: &[IpNet]) {
    for network in networks {
        let widest = if matches!(network, IpNet::V4(_)) { WIDEST_V4 } else { WIDEST_V6 };
        if network.prefix_len() < widest && !is_private(network.network()) {
            let problem = format!(
                "has {network}, which contains strangers: each could claim any address and escape every limit"
            );
            reader.refuse_in_production(TRUSTED_PROXIES.spec.name, problem);
        }
    }
}

/// A stolen token is good for as long as it lives.
pub(super) fn lifetimes(reader: &mut Reader<'_>, access: Option<&Lifetime>, refresh: Option<&Lifetime>) {
    let each = [(&JWT_EXPIRATION, access, LONG_ACCESS), (&REFRESH_EXPIRATION, refresh, LONG_REFRESH)];
    for (variable, lifetime, long) in each {
        let name = variable.spec.name;
        let Some(lifetime) = lifetime else { continue };
        let days = long.as_secs() / (24 * 60 * 60);
        if lifetime.span() > LONGEST {
            reader.refuse_in_production(
                name,
                format!("is {lifetime}: no token may live for more than 366 days"),
            );
        } else if lifetime.span() > long {
            reader.warn_in_production(format!(
                "{name} is {lifetime}: a stolen token is good for that long; more than {days} days are unusual"
            ));
        }
    }
    if let (Some(access), Some(refresh)) = (access, refresh)
        && access.span() > refresh.span()
    {
        reader.warn_in_production(
            "JWT_EXPIRATION is longer than REFRESH_EXPIRATION: access tokens outlive the tokens that renew them",
        );
    }
}

/// What a service of the outside is, for [`mixture`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Service<'a> {
    /// How people call it.
    pub(super) name: &'static str,
    /// Its part, if the sandbox can play it.
    pub(super) part: Option<SandboxPart>,
    /// Where it is configured to be; `None` if the sandbox plays it.
    pub(super) url: Option<&'a str>,
}

/// Refuses sandbox services beside real ones unless `SANDBOX_PARTS` names exactly those of the sandbox: with a sandbox
/// payment beside a real login, real people get what nobody paid for. A service on this machine is not counted as real.
pub(super) fn mixture(reader: &mut Reader<'_>, services: &[Service<'_>], named: Option<&[SandboxPart]>) {
    let name = SANDBOX_PARTS.spec.name;
    if reader.is_production() {
        if named.is_some() {
            reader.fault(name, "must not be set in production, which has no sandbox");
        }
        return;
    }
    let mut played: Vec<SandboxPart> =
        services.iter().filter(|service| service.url.is_none()).filter_map(|service| service.part).collect();
    played.sort_unstable();
    let real: Vec<&str> = services
        .iter()
        .filter(|service| service.url.is_some_and(|url| reach(url) != Reach::Loopback))
        .map(|service| service.name)
        .collect();
    let right = SandboxPart::list(&played);
    match named {
        Some(named) if named == played => {}
        Some(_) if played.is_empty() => reader.fault(name, "names parts, but every part has credentials"),
        Some(_) => {
            reader.fault(name, format!("must name exactly the parts without credentials: {name}={right}"));
        }
        None if real.is_empty() || played.is_empty() => {}
        None => reader.fault(
            name,
            format!(
                "is missing: {} is real, and the sandbox plays the rest, where anybody logs in and pays with \
                 nothing. Set APP_ENV=production, or {name}={right} if that is meant",
                real.join(" and ")
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{Reach, reach};

    #[test]
    fn hosts_are_on_this_machine_in_a_private_network_or_anywhere() {
        for url in ["http://localhost:1", "http://127.0.0.9", "http://[::1]:8080/x", "http://a.localhost"] {
            assert_eq!(reach(url), Reach::Loopback, "{url}");
        }
        for url in ["http://s3:8333", "http://10.0.0.7", "http://images.internal", "http://[fd00::1]/"] {
            assert_eq!(reach(url), Reach::Private, "{url}");
        }
        for url in [
            "http://images.example",
            "https://1.1.1.1",
            "http://[2001:db8::1]",
            "http://127.0.0.1.evil.example",
        ] {
            assert_eq!(reach(url), Reach::Public, "{url}");
        }
    }
}
