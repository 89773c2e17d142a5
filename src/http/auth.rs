//! Who asks: an API key as Bearer token or as password of HTTP Basic. What a key may do is its
//! grant; nothing of it is read from the request. Wrong keys are limited per peer.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use foldhash::HashMap;
use http::{HeaderMap, HeaderValue, header};
use smallvec::SmallVec;
use tokio::time::Instant;

use super::Edge;
use super::error::Code;
use super::peer::Peer;
use crate::store::keys::Grant;
use crate::telemetry::metrics::Refusal;

/// The key that a request carries.
pub enum Presented<'a> {
    Key(Cow<'a, str>),
    /// An Authorization header that holds no key.
    Unreadable,
    Nothing,
}

/// Reads the Authorization header. Of HTTP Basic the user name is ignored.
pub fn presented(headers: &HeaderMap) -> Presented<'_> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Presented::Nothing };
    let parts = value.to_str().ok().and_then(|text| text.trim().split_once(' '));
    let (Some((scheme, rest)), None) = (parts, values.next()) else { return Presented::Unreadable };
    let key = match scheme {
        s if s.eq_ignore_ascii_case("bearer") => Some(Cow::Borrowed(rest.trim())),
        s if s.eq_ignore_ascii_case("basic") => password(rest.trim()).map(Cow::Owned),
        _ => None,
    };
    key.filter(|k| !k.is_empty()).map_or(Presented::Unreadable, Presented::Key)
}

fn password(encoded: &str) -> Option<String> {
    let text = String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()?;
    text.split_once(':').map(|(_, password)| password.to_owned())
}

/// Why a request with or without a key is not heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// No credentials. Twilio asks like that first and repeats the request after the challenge.
    NoKey,
    WrongKey,
    /// The peer sent too many wrong keys.
    Limited,
    /// The key is good, its view is no admin's.
    NoAdmin,
}

impl Refused {
    /// The same bytes for everything that is wrong with a credential.
    pub fn response(self, challenge: &'static str) -> Response {
        match self {
            Self::Limited => return Code::TooManyWrongKeys.into_response(),
            Self::NoAdmin => return Code::Forbidden.into_response(),
            Self::NoKey | Self::WrongKey => {}
        }
        let mut response = Code::Unauthorized.into_response();
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        response
    }
}

/// Makes Twilio repeat the request with the flow's user and password.
pub const BASIC: &str = "Basic realm=\"caller-context\", charset=\"UTF-8\"";
/// Browsers must not ask the agent for a password.
pub const BEARER: &str = "Bearer realm=\"caller-context\"";

impl Edge {
    /// The grant of the key that a request carries.
    pub(super) fn grant(&self, peer: Peer, headers: &HeaderMap) -> Result<Grant, Refused> {
        let grant = match presented(headers) {
            Presented::Nothing => return Err(Refused::NoKey),
            Presented::Unreadable => None,
            Presented::Key(key) => self.keys.verify(&key, || self.clock.now()),
        };
        let heard = self.wrong_keys.judge(peer.address, grant.as_ref().map(|g| &g.key_id), || self.clock.instant());
        match (heard, grant) {
            (Heard::Yes, Some(grant)) => Ok(grant),
            (Heard::Yes, None) => {
                self.metrics.refused(Refusal::WrongKey);
                Err(Refused::WrongKey)
            }
            (Heard::No, _) => {
                self.metrics.refused(Refusal::Limited);
                Err(Refused::Limited)
            }
        }
    }

    /// The grant of a reader whose view is an admin's.
    pub(super) fn admin(&self, peer: Peer, headers: &HeaderMap) -> Result<Grant, Refused> {
        let grant = self.grant(peer, headers)?;
        if self.is_admin(&grant) {
            return Ok(grant);
        }
        self.metrics.refused(Refusal::Forbidden);
        Err(Refused::NoAdmin)
    }

    pub(super) fn is_admin(&self, grant: &Grant) -> bool {
        self.policy.view(self.policy.find(&grant.view)).admin
    }
}

/// Wrong keys per peer and minute. A peer over its limit is heard only with a key that was right
/// from there before: whoever shares an address with an attacker (Twilio's customers share
/// Twilio's) keeps being answered, and guessing goes on unheard.
pub struct WrongKeys {
    limit: u32,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    wrong: HashMap<IpAddr, Window>,
    /// The keys that were right from a peer: one or two.
    proved: HashMap<IpAddr, SmallVec<[Arc<str>; 2]>>,
}

struct Window {
    since: Instant,
    count: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Heard {
    Yes,
    No,
}

const WINDOW: Duration = Duration::from_secs(60);
/// Peers remembered at most; beyond it the oldest windows go first.
const PEERS: usize = 65_536;
/// Right keys remembered of one peer at most.
const KEYS: usize = 256;

impl WrongKeys {
    pub fn new(limit: u32) -> Self {
        Self { limit, state: Arc::default() }
    }

    /// Another limit for the same peers.
    pub fn with_limit(&self, limit: u32) -> Self {
        Self { limit, state: self.state.clone() }
    }

    fn judge(&self, address: IpAddr, right_key: Option<&Arc<str>>, now: impl Fn() -> Instant) -> Heard {
        let peer = household(address);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let over = state.wrong.get(&peer).is_some_and(|w| w.count >= self.limit && now() < w.since + WINDOW);
        match right_key {
            Some(key) => {
                if state.proved.get(&peer).is_some_and(|keys| keys.contains(key)) {
                    return Heard::Yes;
                }
                if over {
                    return Heard::No;
                }
                if state.proved.len() >= PEERS {
                    state.proved.clear();
                }
                let keys = state.proved.entry(peer).or_default();
                if keys.len() >= KEYS {
                    keys.clear();
                }
                keys.push(key.clone());
                Heard::Yes
            }
            None if over => Heard::No,
            None => {
                let now = now();
                if state.wrong.len() >= PEERS {
                    state.wrong.retain(|_, w| now < w.since + WINDOW);
                }
                if state.wrong.len() >= PEERS {
                    state.wrong.clear();
                }
                let window = state.wrong.entry(peer).or_insert(Window { since: now, count: 0 });
                if now >= window.since + WINDOW {
                    *window = Window { since: now, count: 0 };
                }
                window.count += 1;
                Heard::Yes
            }
        }
    }
}

/// Whoever has one IPv6 address has the 2^64 beside it.
fn household(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "the table's own texts")]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::clock::Clock;

    fn key(value: Option<&str>) -> Option<String> {
        let mut headers = HeaderMap::new();
        if let Some(value) = value {
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        }
        match presented(&headers) {
            Presented::Key(key) => Some(key.into_owned()),
            Presented::Unreadable => Some("unreadable".into()),
            Presented::Nothing => None,
        }
    }

    #[test]
    fn keys_are_read_from_both_schemes() {
        let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
        let cases = [
            (Some("Bearer abc.def".to_owned()), Some("abc.def")),
            (Some("bearer   abc.def ".to_owned()), Some("abc.def")),
            (Some(basic("anyone:abc.def")), Some("abc.def")),
            (Some(basic(":abc:def")), Some("abc:def")),
            (Some(basic("no colon")), Some("unreadable")),
            (Some("Basic %%%".to_owned()), Some("unreadable")),
            (Some("Bearer ".to_owned()), Some("unreadable")),
            (Some("Digest username=x".to_owned()), Some("unreadable")),
            (None, None),
        ];
        for (value, expected) in cases {
            assert_eq!(key(value.as_deref()).as_deref(), expected, "{value:?}");
        }
    }

    #[test]
    fn a_peer_over_its_limit_is_heard_only_with_a_key_it_has_proved() {
        let keys = WrongKeys::new(3);
        let now = Clock::system().instant();
        let [a, b]: [IpAddr; 2] = ["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()];
        let (known, stolen): (Arc<str>, Arc<str>) = ("known".into(), "stolen".into());
        assert_eq!(keys.judge(a, Some(&known), || now), Heard::Yes);
        for _ in 0..3 {
            assert_eq!(keys.judge(a, None, || now), Heard::Yes);
        }
        assert_eq!(keys.judge(a, None, || now), Heard::No);
        assert_eq!(keys.judge(a, Some(&stolen), || now), Heard::No);
        assert_eq!(keys.judge(a, Some(&known), || now), Heard::Yes);
        assert_eq!(keys.judge(b, Some(&stolen), || now), Heard::Yes);
        assert_eq!(keys.judge(a, None, || now + WINDOW), Heard::Yes);
        assert_eq!(keys.judge(a, Some(&stolen), || now + WINDOW), Heard::Yes);
    }

    #[test]
    fn neighbours_in_an_ipv6_network_are_one_peer() {
        let keys = WrongKeys::new(1);
        let now = Clock::system().instant();
        assert_eq!(keys.judge("2001:db8::1".parse().unwrap(), None, || now), Heard::Yes);
        assert_eq!(keys.judge("2001:db8::ffff".parse().unwrap(), None, || now), Heard::No);
        assert_eq!(keys.judge("2001:db8:0:1::1".parse().unwrap(), None, || now), Heard::Yes);
    }

    #[test]
    fn peers_without_end_are_not_remembered_without_end() {
        let keys = WrongKeys::new(3);
        let now = Clock::system().instant();
        let known: Arc<str> = "known".into();
        for n in 0..u32::try_from(PEERS).unwrap() + 1_000 {
            let peer = IpAddr::V4(Ipv4Addr::from_bits(n));
            keys.judge(peer, None, || now);
            keys.judge(peer, Some(&known), || now);
        }
        let state = keys.state.lock().unwrap();
        assert!(state.wrong.len() <= PEERS && state.proved.len() <= PEERS);
    }
}
