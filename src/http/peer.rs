//! Who is at the other end: the connection's address, or what trusted proxies say it was.

use std::net::IpAddr;

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The peer of one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer {
    pub address: IpAddr,
    /// On this machine, and not speaking for somebody else.
    pub local: bool,
}

/// Networks whose word on the original peer is taken.
#[derive(Debug, Default)]
pub struct Proxies(Vec<Network>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    prefix: u32,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("neither an address nor a network in CIDR form")]
pub struct NetworkError;

impl Proxies {
    pub fn parse(networks: &[String]) -> Result<Self, NetworkError> {
        networks.iter().map(|text| Network::parse(text).ok_or(NetworkError)).collect::<Result<_, _>>().map(Self)
    }

    /// The peer of a request that came over a connection from `connected`. Proxies append to
    /// X-Forwarded-For, so it is read from its end, as long as those who wrote are trusted.
    pub fn peer(&self, connected: IpAddr, headers: &HeaderMap) -> Peer {
        let connected = connected.to_canonical();
        let speaks_for_others = headers.contains_key(FORWARDED_FOR) || headers.contains_key(FORWARDED);
        if !self.trusts(connected) {
            return Peer { address: connected, local: connected.is_loopback() && !speaks_for_others };
        }
        let mut address = connected;
        let values: Vec<&str> = headers.get_all(FORWARDED_FOR).iter().filter_map(|v| v.to_str().ok()).collect();
        for hop in values.iter().rev().flat_map(|value| value.rsplit(',')) {
            let Some(hop) = parse_hop(hop.trim()) else { break };
            address = hop;
            if !self.trusts(hop) {
                break;
            }
        }
        Peer { address, local: address.is_loopback() && !speaks_for_others }
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.holds(address))
    }
}

/// `203.0.113.7`, `203.0.113.7:4711`, `2001:db8::1` or `[2001:db8::1]:4711`.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let bare = hop.parse::<IpAddr>().or_else(|_| hop.parse::<std::net::SocketAddr>().map(|s| s.ip()));
    bare.ok().map(|address| address.to_canonical())
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.trim().split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse().ok()?)),
            None => (text.trim(), None),
        };
        let address: IpAddr = address.parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(bits);
        (prefix <= bits).then_some(Self { address, prefix })
    }

    fn holds(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                (network.to_bits() ^ address.to_bits()).checked_shr(32 - self.prefix).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                (network.to_bits() ^ address.to_bits()).checked_shr(128 - self.prefix).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "the table's own texts")]
mod tests {
    use super::*;

    fn address(connected: &str, forwarded: &[&str]) -> String {
        let proxies = Proxies::parse(&["10.0.0.0/8".into(), "127.0.0.1".into(), "2001:db8::/32".into()]).unwrap();
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        proxies.peer(connected.parse().unwrap(), &headers).address.to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let cases: &[(&str, &[&str], &str)] = &[
            ("203.0.113.9", &[], "203.0.113.9"),
            ("203.0.113.9", &["198.51.100.1"], "203.0.113.9"),
            ("10.1.2.3", &["198.51.100.1"], "198.51.100.1"),
            ("10.1.2.3", &["1.1.1.1, 198.51.100.1, 10.9.9.9"], "198.51.100.1"),
            ("10.1.2.3", &["1.1.1.1", "198.51.100.1"], "198.51.100.1"),
            ("10.1.2.3", &["not an address"], "10.1.2.3"),
            ("10.1.2.3", &["198.51.100.1:4711"], "198.51.100.1"),
            ("::ffff:10.1.2.3", &["198.51.100.1"], "198.51.100.1"),
            ("2001:db8::1", &["[2001:4860::8]:1"], "2001:4860::8"),
            ("10.1.2.3", &[], "10.1.2.3"),
        ];
        for (connected, forwarded, expected) in cases {
            assert_eq!(&address(connected, forwarded), expected, "{connected} {forwarded:?}");
        }
    }

    #[test]
    fn a_proxy_on_this_machine_is_not_a_local_peer() {
        let proxies = Proxies::default();
        let mut headers = HeaderMap::new();
        assert!(proxies.peer("127.0.0.1".parse().unwrap(), &headers).local);
        headers.append(FORWARDED_FOR, "198.51.100.1".parse().unwrap());
        assert!(!proxies.peer("127.0.0.1".parse().unwrap(), &headers).local);
    }

    #[test]
    fn networks_are_checked() {
        for bad in ["", "10.0.0.0/33", "proxy.example.com", "10.0.0.0/-1", "::/129"] {
            assert_eq!(Proxies::parse(&[bad.into()]).err(), Some(NetworkError), "{bad}");
        }
        assert!(Proxies::parse(&["0.0.0.0/0".into()]).unwrap().trusts("203.0.113.9".parse().unwrap()));
    }
}
