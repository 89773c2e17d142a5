//! Logs: one subscriber, JSON or for people, filtered; the panic hook; and the reference by
//! which one caller is followed through the log without being named.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::Logging;
use crate::domain::{Identity, Organization};

/// Log targets that the published environment switches raise to debug.
const SWITCHES: [(&str, &str); 3] = [
    ("DEBUG_CRM", "caller_context::source=debug"),
    ("DEBUG_CALENDAR", "caller_context::calendar=debug"),
    ("DEBUG_WEBHOOK", "caller_context::webhooks=debug"),
];

/// Crates that log what they are given: numbers, URLs and headers of requests, SQL with its values.
/// Whatever the filter says, they are not heard.
const SILENCED: [&str; 7] =
    ["rlibphonenumber", "hyper", "hyper_util", "reqwest", "tokio_postgres", "mysql_async", "h2"];

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the log filter cannot be read")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error("a log subscriber is installed already")]
    Installed(#[from] tracing_subscriber::util::TryInitError),
}

/// Installs the process's subscriber, writing to standard error, and the panic hook. `switch`
/// tells whether an environment switch (`DEBUG_CRM` ...) is on.
///
/// # Errors
/// When the filter cannot be parsed, or a subscriber is installed already.
pub fn install(logging: &Logging, switch: impl Fn(&str) -> bool) -> Result<(), Error> {
    let filter = filter(&logging.filter, switch)?;
    let heard = filter_fn(|metadata| may_be_heard(metadata.target(), *metadata.level()));
    let registry = tracing_subscriber::registry().with(filter).with(heard);
    if logging.json {
        let json = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(std::io::stderr);
        registry.with(json).try_init()?;
    } else {
        registry.with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr)).try_init()?;
    }
    std::panic::set_hook(Box::new(|panic| log_panic(panic.location())));
    Ok(())
}

fn filter(base: &str, switch: impl Fn(&str) -> bool) -> Result<EnvFilter, Error> {
    let mut filter = EnvFilter::builder().parse(base)?;
    for (name, directive) in SWITCHES {
        if switch(name) {
            filter = filter.add_directive(directive.parse()?);
        }
    }
    Ok(filter)
}

/// What may be logged at all; the filter chooses from it. Only this crate is known not to log
/// values in its details, so others are heard from `info` up. Beside the filter and not in it: there
/// `hyper::proto=trace` would outweigh `hyper=off`.
fn may_be_heard(target: &str, level: Level) -> bool {
    match target.split("::").next().unwrap_or_default() {
        "caller_context" => true,
        other => level <= Level::INFO && !SILENCED.contains(&other),
    }
}

/// The message of a panic may quote what it choked on, so only the place is logged.
fn log_panic(location: Option<&std::panic::Location<'_>>) {
    let (file, line) = location.map_or(("unknown", 0), |l| (l.file(), l.line()));
    tracing::error!(file, line, "panic");
}

/// Makes references to callers: the same caller has the same one while the process lives, and
/// nobody who reads the log can turn it into a number.
pub struct CallerRefs {
    mac: Hmac<Sha256>,
}

impl CallerRefs {
    /// A new random key; references do not outlive it.
    pub fn new() -> Self {
        let key: [u8; 64] = rand::random();
        Self { mac: Hmac::new(&key.into()) }
    }

    /// Twelve hexadecimal digits.
    pub fn of(&self, organization: &Organization, identity: &Identity) -> String {
        let (kind, text) = match identity {
            Identity::Phone(phone) => ("phone", phone.e164()),
            Identity::Email(email) => ("email", email.as_str()),
            Identity::CustomerId(id) => ("customer_id", &*id.0),
        };
        let mut mac = self.mac.clone();
        for part in [organization.as_str(), "\0", kind, "\0", text] {
            mac.update(part.as_bytes());
        }
        let digest = mac.finalize().into_bytes();
        digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Default for CallerRefs {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Email;

    #[test]
    fn switches_raise_their_targets_only() {
        let Ok(filter) = filter("warn", |name| name == "DEBUG_CRM") else { panic!("a valid filter") };
        let text = filter.to_string();
        assert!(text.contains("caller_context::source=debug"), "{text}");
        assert!(!text.contains("webhooks"), "{text}");
        assert!(super::filter("][", |_| false).is_err());
    }

    #[test]
    fn crates_that_log_what_they_are_given_are_not_heard() {
        for (target, level, heard) in [
            ("caller_context", Level::TRACE, true),
            ("caller_context::source", Level::TRACE, true),
            ("caller_context_lookalike", Level::DEBUG, false),
            ("rustls::client::hs", Level::WARN, true),
            ("rustls::client::hs", Level::DEBUG, false),
            ("hyper", Level::ERROR, false),
            ("hyper::proto::h1", Level::ERROR, false),
            ("tokio_postgres::prepare", Level::INFO, false),
            ("anything", Level::TRACE, false),
            ("", Level::DEBUG, false),
        ] {
            assert_eq!(may_be_heard(target, level), heard, "{target} {level}");
        }
    }

    #[test]
    fn a_reference_is_stable_per_process_and_differs_between_organizations() {
        let (refs, others) = (CallerRefs::new(), CallerRefs::new());
        let Some(email) = Email::parse("ann@example.com") else { panic!("a valid address") };
        let identity = Identity::Email(email);
        let single = Organization::single();
        let Some(other) = Organization::parse("other") else { panic!("a valid name") };
        assert_eq!(refs.of(&single, &identity), refs.of(&single, &identity));
        assert_eq!(refs.of(&single, &identity).len(), 12);
        assert_ne!(refs.of(&single, &identity), refs.of(&other, &identity));
        assert_ne!(refs.of(&single, &identity), others.of(&single, &identity));
    }
}
