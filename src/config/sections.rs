//! The sections that stand for themselves: server, lookup, cache, studio, meetings, phone, organizations,
//! store, audit, limits, logging. Each function decodes one; rules across sections are in `load`.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};

use super::secret::{References, Resolved};
use super::section::{Section, hours, ms};
use super::{
    Audit, Cache, Limits, Logging, Lookup, Meetings, OrganizationRules, PhoneRules, Reload, Server, Store, Studio,
    TwilioAccount,
};
use crate::clock::Clock;
use crate::domain::{Email, Organization};
use crate::manifest::diagnostic::{Diagnostics, Origin};
use crate::manifest::plan::Breaker;
use crate::manifest::tree::{Entry, Reader};
use crate::tls::{self, BadCertificate};

pub(super) fn server(root: &Reader<'_>, references: References<'_>) -> Option<Server> {
    let section = Section::of(root, "server")?;
    let server = Server {
        listen: listen(&section),
        public_url: section.reader.text("public_url").and_then(|text| public_url(&section, text)),
        trusted_proxies: trusted_proxies(&section),
        cors_origins: cors_origins(&section),
        max_connections: section.count("max_connections", 1..=1_000_000),
        header_timeout: section.duration("header_timeout", ms(100)..=ms(60_000)),
        idle_timeout: section.duration("idle_timeout", ms(1_000)..=ms(3_600_000)),
        studio_body_max: section.bytes("studio_body_max", 1 << 10..=1 << 20).try_into().unwrap_or_default(),
        body_max: section.bytes("body_max", 1 << 10..=1 << 26).try_into().unwrap_or_default(),
        shutdown_grace: section.duration("shutdown_grace", ms(0)..=ms(300_000)),
        reload: match section.word("reload", &["on-change", "signal", "off"]) {
            "signal" => Reload::Signal,
            "off" => Reload::Off,
            _ => Reload::OnChange,
        },
        tls: section.reader.table("tls").and_then(|tls| certificate(tls, references)),
    };
    let is_covered = section.reader.node("tls").is_some() || !server.trusted_proxies.is_empty();
    if !server.listen.ip().is_loopback() && !is_covered {
        section.diagnostics().error_help(
            "open-listener",
            section.origin("listen"),
            "requests would arrive from other machines without TLS",
            "listen on 127.0.0.1, give it a certificate in [server.tls], or name the TLS-terminating proxies in front \
             of it in `trusted_proxies`"
                .to_owned(),
        );
    }
    section.finish();
    Some(server)
}

/// `[server.tls]`. Who gives a certificate wants it: what is not there is an error.
fn certificate(tls: Reader<'_>, references: References<'_>) -> Option<Arc<rustls::ServerConfig>> {
    for key in ["certificate", "key"].into_iter().filter(|key| tls.node(key).is_none()) {
        tls.missing(key);
    }
    let (chain, key, diagnostics) = (tls.node("certificate")?, tls.node("key")?, tls.diagnostics);
    tls.finish();
    let bad = |origin, problem: String| {
        diagnostics.error("bad-certificate", origin, problem);
        None
    };
    let chain_text = match references.text(chain) {
        Resolved::Given(text) => text,
        Resolved::Unset(what) => return bad(chain.origin, format!("{what} is not there")),
        Resolved::Wrong => return None,
    };
    let key_text = match references.secret(key) {
        Resolved::Given(text) => text,
        Resolved::Unset(what) => return bad(key.origin, format!("{what} is not there")),
        Resolved::Wrong => return None,
    };
    match tls::server_config(&chain_text, &key_text, Clock::system().now()) {
        Ok(config) => Some(config),
        Err(problem) => {
            let node = if matches!(problem, BadCertificate::NoKey) { key } else { chain };
            bad(node.origin, format!("{}: {problem}", node.as_text().unwrap_or_default()))
        }
    }
}

fn listen(section: &Section<'_>) -> SocketAddr {
    section.text("listen").parse().unwrap_or_else(|_| {
        let problem = "this is not an address with a port";
        let help = "like \"127.0.0.1:8080\" or \"[::1]:8080\"".to_owned();
        section.diagnostics().error_help("wrong-value", section.origin("listen"), problem, help);
        SocketAddr::from(([127, 0, 0, 1], 0))
    })
}

fn public_url(section: &Section<'_>, text: &str) -> Option<url::Url> {
    let origin = section.origin("public_url");
    let Ok(url) = url::Url::parse(text) else {
        section.diagnostics().error("wrong-value", origin, "this is not an address like \"https://example.com\"");
        return None;
    };
    if !is_secure(&url) {
        section.diagnostics().error("insecure-url", origin, "`public_url` must be https");
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        section.diagnostics().error("wrong-value", origin, "only scheme, host and port belong into `public_url`");
    }
    Some(url)
}

/// https, or plain http that does not leave the machine.
pub(super) fn is_secure(url: &url::Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url))
}

pub(super) fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn trusted_proxies(section: &Section<'_>) -> Vec<String> {
    let mut proxies = Vec::new();
    for (text, origin) in section.texts("trusted_proxies") {
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, bits)| (a, Some(bits)));
        let fits = address.parse::<IpAddr>().is_ok_and(|ip| {
            let most: u8 = if ip.is_ipv4() { 32 } else { 128 };
            bits.is_none_or(|bits| bits.parse::<u8>().is_ok_and(|bits| bits <= most))
        });
        if !fits {
            let help = "like \"10.1.2.3\" or \"10.0.0.0/8\"".to_owned();
            let problem = format!("`{text}` is neither an address nor a network");
            section.diagnostics().error_help("wrong-value", origin, problem, help);
        }
        proxies.push(text.to_owned());
    }
    proxies
}

fn cors_origins(section: &Section<'_>) -> Vec<String> {
    let mut origins = Vec::new();
    for (text, origin) in section.texts("cors_origins") {
        let exact = url::Url::parse(text)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == text);
        if !exact {
            let help = "an origin is scheme, host and, if unusual, port: \"https://flex.twilio.com\"".to_owned();
            let problem = format!("`{text}` is not an exact origin");
            section.diagnostics().error_help("wrong-value", origin, problem, help);
        }
        origins.push(text.to_owned());
    }
    origins
}

/// `[lookup]` without `timeout`, `breaker`, `concurrency` and `reserve`, which are defaults of sources.
pub(super) fn lookup(root: &Reader<'_>) -> Option<Lookup> {
    let section = Section::of(root, "lookup")?;
    let (least, most) = (ms(50), ms(9_000));
    let lookup = Lookup {
        deadline: section.duration("deadline", least..=most),
        deadline_min: section.duration("deadline_min", least..=most),
        deadline_max: section.duration("deadline_max", least..=most),
        grace: section.duration("grace", ms(0)..=most),
        retry_budget: section.share("retry_budget"),
        retry_failed_after: section.duration("retry_failed_after", ms(100)..=hours(1)),
        refreshes: section.count("refreshes", 1..=100_000),
    };
    let clamped = lookup.deadline_min <= lookup.deadline && lookup.deadline <= lookup.deadline_max;
    // What is zero has been reported already.
    if !clamped && !lookup.deadline.is_zero() {
        let problem = "`deadline` must be from `deadline_min` to `deadline_max`";
        section.diagnostics().error("out-of-range", section.origin("deadline"), problem);
    }
    for key in ["timeout", "breaker", "concurrency", "reserve"] {
        let _ = section.reader.node(key);
    }
    section.finish();
    Some(lookup)
}

/// `[lookup.breaker]`, or a source's own laid on it.
pub(super) fn breaker(section: Section<'_>) -> Breaker {
    let breaker = Breaker {
        failures: section.count("failures", 1..=1_000),
        share: section.share("share"),
        min_calls: section.count("min_calls", 1..=100_000),
        window: section.duration("window", ms(1_000)..=hours(1)),
        probe_after: section.duration("probe_after", ms(1_000)..=hours(1)),
        probe_max: section.duration("probe_max", ms(1_000)..=hours(24)),
    };
    if breaker.probe_max < breaker.probe_after {
        let problem = "`probe_max` must not be shorter than `probe_after`";
        section.diagnostics().error("out-of-range", section.origin("probe_max"), problem);
    }
    section.finish();
    breaker
}

/// `[cache]`: its sizes; the windows are defaults of sources.
pub(super) fn cache(root: &Reader<'_>) -> Option<Cache> {
    let section = Section::of(root, "cache")?;
    let sizes = 1 << 20..=1 << 42;
    let cache = Cache {
        contexts_max_bytes: section.bytes("contexts_max", sizes.clone()),
        rendered_max_bytes: section.bytes("rendered_max", sizes),
    };
    for key in ["fresh", "keep", "not_found"] {
        let _ = section.reader.node(key);
    }
    section.finish();
    Some(cache)
}

pub(super) fn studio(root: &Reader<'_>) -> Option<(Studio, Origin)> {
    let section = Section::of(root, "studio")?;
    let studio = Studio {
        view: section.text("view").into(),
        // Below this the six published attributes and the status do not fit any more.
        max_chars: section.count("max_chars", 1_024..=65_536),
        caller_data_max_chars: section.count("caller_data_max_chars", 100..=65_536),
    };
    if studio.caller_data_max_chars > studio.max_chars / 2 {
        let problem = "`caller_data_max_chars` must leave half of `max_chars` to the other attributes";
        section.diagnostics().error("out-of-range", section.origin("caller_data_max_chars"), problem);
    }
    let view = section.origin("view");
    section.finish();
    Some((studio, view))
}

pub(super) fn meetings(root: &Reader<'_>) -> Option<Meetings> {
    let section = Section::of(root, "meetings")?;
    let meetings = Meetings {
        own_domains: domains(section.diagnostics(), section.texts("own_domains")),
        participants_max: section.count("participants_max", 1..=500),
    };
    section.finish();
    Some(meetings)
}

/// Domains as addresses have them.
fn domains(diagnostics: &Diagnostics, texts: Vec<(&str, Origin)>) -> Vec<Arc<str>> {
    let domain = |(text, origin)| match Email::parse(&format!("x@{text}")) {
        Some(email) => Some(email.domain().into()),
        None => {
            let problem = format!("`{text}` is not a domain");
            diagnostics.error_help("wrong-value", origin, problem, "like \"example.com\"".to_owned());
            None
        }
    };
    texts.into_iter().filter_map(domain).collect()
}

pub(super) fn phone(root: &Reader<'_>) -> Option<PhoneRules> {
    let section = Section::of(root, "phone")?;
    let owned = |list: Vec<(&str, Origin)>| list.into_iter().map(|(text, _)| text.to_owned()).collect::<Vec<_>>();
    let mut clients = BTreeMap::new();
    for entry in section.reader.entries("clients") {
        match entry.value.as_text() {
            Some(id) => drop(clients.insert(entry.key.to_string(), id.to_owned())),
            None => crate::manifest::tree::wrong_type(section.diagnostics(), &entry.value, "a customer id as text"),
        }
    }
    let rules = PhoneRules {
        default_region: region(&section.reader, "default_region"),
        withheld_words: section.reader.texts("withheld_words").map(owned),
        withheld_numbers: section.reader.texts("withheld_numbers").map(owned),
        placeholders: section.reader.texts("placeholders").map(owned),
        own_numbers: owned(section.texts("own_numbers")),
        sip_domains: owned(section.texts("sip_domains")),
        clients,
    };
    section.finish();
    Some(rules)
}

/// A region as two capital letters.
pub(super) fn region(reader: &Reader<'_>, key: &'static str) -> Option<Arc<str>> {
    let text = reader.text(key)?;
    if text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase()) {
        return Some(text.into());
    }
    let origin = reader.node(key).map_or(reader.origin, |node| node.origin);
    let problem = format!("`{text}` is not a region");
    reader.diagnostics.error_help("wrong-value", origin, problem, "two capital letters, like \"US\"".to_owned());
    None
}

/// `[organizations.<name>]`; `default` is always one of them.
pub(super) fn organizations(
    root: &Reader<'_>,
    references: References<'_>,
    is_reference: impl Fn(Origin) -> bool,
) -> BTreeMap<Organization, OrganizationRules> {
    let diagnostics = root.diagnostics;
    let mut organizations = BTreeMap::from([(Organization::single(), OrganizationRules::default())]);
    let mut accounts: BTreeMap<Arc<str>, Arc<str>> = BTreeMap::new();
    for entry in root.entries("organizations") {
        let Some(name) = Organization::parse(&entry.key) else {
            let problem = format!("`{}` is not the name of an organization", entry.key);
            let help = "1 to 64 of a-z, 0-9 and -".to_owned();
            diagnostics.error_help("wrong-value", entry.key_origin, problem, help);
            continue;
        };
        let Some(reader) = Reader::of(&entry.value, diagnostics) else { continue };
        let default_region = region(&reader, "default_region");
        let own_domains = reader.texts("own_domains").map(|texts| domains(diagnostics, texts));
        let mut twilio = Vec::new();
        for node in reader.list("twilio").unwrap_or_default() {
            let Some(account) = Reader::of(node, diagnostics) else { continue };
            let read = twilio_account(&account, references, &is_reference);
            account.finish();
            let Some(read) = read else { continue };
            if let Some(other) = accounts.insert(read.account_sid.clone(), entry.key.clone()) {
                let problem = format!("this account already belongs to the organization `{other}`");
                diagnostics.error("account-twice", node.origin, problem);
            }
            twilio.push(read);
        }
        reader.finish();
        organizations.insert(name, OrganizationRules { default_region, own_domains, twilio });
    }
    organizations
}

/// An account of the reference whose names are not set is left out in silence.
fn twilio_account(
    account: &Reader<'_>,
    references: References<'_>,
    is_reference: &impl Fn(Origin) -> bool,
) -> Option<TwilioAccount> {
    let diagnostics = account.diagnostics;
    let (Some(sid), Some(token)) = (account.node("account_sid"), account.node("auth_token")) else {
        for key in ["account_sid", "auth_token"].into_iter().filter(|key| account.node(key).is_none()) {
            account.missing(key);
        }
        return None;
    };
    match (references.text(sid), references.secret(token)) {
        (Resolved::Given(sid_text), Resolved::Given(auth_token)) => {
            if !sid_text.starts_with("AC") || !sid_text.bytes().all(|b| b.is_ascii_alphanumeric()) {
                diagnostics.error("wrong-value", sid.origin, "an AccountSid is AC and letters or digits");
            }
            Some(TwilioAccount { account_sid: sid_text.into(), auth_token })
        }
        (Resolved::Unset(what), _) | (_, Resolved::Unset(what)) => {
            if !is_reference(account.origin) {
                let problem = format!("{what} is not set: requests of this account cannot be verified");
                diagnostics.warning("secret-unset", token.origin, problem, None);
            }
            None
        }
        _ => None,
    }
}

pub(super) fn store(
    root: &Reader<'_>,
    references: References<'_>,
    is_reference: impl Fn(Origin) -> bool,
) -> Option<Store> {
    let section = Section::of(root, "store")?;
    let origin = section.origin("url");
    let url = match section.reader.node("url").map(|node| references.text(node)) {
        Some(Resolved::Given(url)) => url,
        Some(Resolved::Unset(what)) => {
            section.diagnostics().error("secret-unset", origin, format!("{what} is not set"));
            String::new()
        }
        _ => String::new(),
    };
    if !url.is_empty() && !["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        let problem = "the store is \"sqlite:path\" or \"postgres://...\"";
        section.diagnostics().error("wrong-value", origin, problem);
    }
    refuse_written_password(&section.reader, "url");
    let key = section.reader.node("key").and_then(|node| match references.secret(node) {
        Resolved::Given(key) => {
            if !STANDARD.decode(key.expose_secret()).is_ok_and(|bytes| bytes.len() == 32) {
                section.diagnostics().error("wrong-value", node.origin, "the key must be 32 bytes in base64");
            }
            Some(key)
        }
        Resolved::Unset(what) => {
            if !is_reference(node.origin) {
                section.diagnostics().error("secret-unset", node.origin, format!("{what} is not set"));
            }
            None
        }
        Resolved::Wrong => None,
    });
    let store = Store { url: SecretString::from(url), key, key_file: PathBuf::from(section.text("key_file")) };
    section.finish();
    Some(store)
}

/// A database address with its password in it belongs into the environment or a file.
pub(super) fn refuse_written_password(reader: &Reader<'_>, key: &'static str) {
    let Some(node) = reader.node(key) else { return };
    let written = node.as_text().and_then(|text| url::Url::parse(text).ok());
    if written.is_some_and(|url| url.password().is_some()) {
        reader.diagnostics.error_help(
            "secret-by-value",
            node.origin,
            "a password is written out here",
            "name the whole address: \"env:NAME\" or \"file:path\"".to_owned(),
        );
    }
}

pub(super) fn audit(root: &Reader<'_>) -> Option<Audit> {
    let section = Section::of(root, "audit")?;
    let audit = Audit {
        strict: section.bool("strict"),
        flush: section.duration("flush", ms(1)..=ms(100)),
        buffer: section.count("buffer", 100..=10_000_000),
        keep: section.duration("keep", hours(24)..=hours(24 * 3660)),
    };
    section.finish();
    Some(audit)
}

pub(super) fn limits(root: &Reader<'_>) -> Option<Limits> {
    let section = Section::of(root, "limits")?;
    let some = 1..=10_000_000;
    let limits = Limits {
        misses_per_key: section.count("misses_per_key", some.clone()),
        misses_per_organization: section.count("misses_per_organization", some.clone()),
        misses_verified: section.count("misses_verified", some.clone()),
        misses_per_number: section.count("misses_per_number", some.clone()),
        budget_per_key: section.share("budget_per_key"),
        wrong_keys_per_peer: section.count("wrong_keys_per_peer", some),
    };
    section.finish();
    Some(limits)
}

pub(super) fn logging(root: &Reader<'_>) -> Option<Logging> {
    let section = Section::of(root, "logging")?;
    let json = section.word("format", &["json", "pretty"]) == "json";
    let filter = section.text("filter").to_owned();
    if tracing_subscriber::EnvFilter::try_new(&filter).is_err() {
        let help = "like \"info\" or \"info,caller_context::source=debug\"".to_owned();
        let origin = section.origin("filter");
        section.diagnostics().error_help("wrong-value", origin, "this filter cannot be read", help);
    }
    section.finish();
    Some(Logging { json, filter })
}

/// The members of nested tables under dotted names: `company = { name = .. }` is `company.name`.
pub(super) fn leaves<'a>(entries: &'a [Entry], is_leaf: &dyn Fn(&Entry) -> bool) -> Vec<(String, &'a Entry)> {
    let mut found = Vec::new();
    for entry in entries {
        match entry.value.as_table() {
            Some(table) if !is_leaf(entry) => {
                let below = leaves(&table.entries, is_leaf);
                found.extend(below.into_iter().map(|(name, leaf)| (format!("{}.{name}", entry.key), leaf)));
            }
            _ => found.push((entry.key.to_string(), entry)),
        }
    }
    found
}

/// For messages about a section that has no reader any more.
pub(super) fn unknown_name(
    diagnostics: &Diagnostics,
    origin: Origin,
    what: &str,
    name: &str,
    known: impl IntoIterator<Item = String>,
) {
    let known: Vec<String> = known.into_iter().collect();
    let help = crate::manifest::diagnostic::did_you_mean(name, known.iter().map(String::as_str));
    diagnostics.error_help("unknown-name", origin, format!("`{name}` is not {what}"), help);
}
