//! The configuration as the rest of the gateway sees it: valid by construction. Defaults are the
//! embedded `config.toml`; layering is in `load`, and each other file decodes some of the sections.

mod connection;
mod connectors;
mod database;
mod explain;
mod layering;
mod load;
mod made_from;
mod secret;
mod section;
mod sections;
mod sources;
mod views;
mod vocabulary;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

pub use load::{Invalid, LayerFile, Layers, LeftOut, Loaded, REFERENCE, Unreadable, load, load_after, load_str};
pub use made_from::MadeFrom;

use crate::domain::{Class, NameId, Organization};
use crate::manifest::plan::Plan;

/// A loaded configuration. There is no other way to get one than to load it whole and find
/// no error.
#[derive(Debug)]
pub struct Config {
    pub server: Server,
    pub lookup: Lookup,
    pub cache: Cache,
    pub studio: Studio,
    pub meetings: Meetings,
    pub phone: PhoneRules,
    pub organizations: BTreeMap<Organization, OrganizationRules>,
    pub views: BTreeMap<Arc<str>, View>,
    pub merge: Merge,
    pub store: Store,
    pub audit: Audit,
    pub limits: Limits,
    pub logging: Logging,
    /// Declared request inputs: what a request may carry beside the identity.
    pub inputs: Vec<Input>,
    /// Member names never taken in, beside the built-in ones; folded by `domain::field::folded`.
    pub never: Vec<Arc<str>>,
    /// Sources and operations, compiled.
    pub plan: Arc<Plan>,
}

/// `[server]`
#[derive(Debug, Clone)]
pub struct Server {
    pub listen: SocketAddr,
    /// The address that others use to reach us; signatures are verified against it.
    pub public_url: Option<url::Url>,
    /// Peers whose X-Forwarded-For counts (addresses or networks in CIDR form).
    pub trusted_proxies: Vec<String>,
    /// Exact origins that browsers may call us from.
    pub cors_origins: Vec<String>,
    pub max_connections: usize,
    /// From connect to the end of the request's headers.
    pub header_timeout: Duration,
    /// From an answer to the first byte of the connection's next request.
    pub idle_timeout: Duration,
    pub studio_body_max: usize,
    pub body_max: usize,
    /// How long shutdown waits for answers in flight.
    pub shutdown_grace: Duration,
    pub reload: Reload,
    /// Our own certificate; without it requests come in clear.
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

/// When the configuration is loaded anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// On SIGHUP, and when a file that it was made from changes.
    OnChange,
    /// On SIGHUP only.
    Signal,
    Off,
}

/// `[lookup]`
#[derive(Debug, Clone)]
pub struct Lookup {
    /// How long an answer waits when the request says nothing.
    pub deadline: Duration,
    pub deadline_min: Duration,
    pub deadline_max: Duration,
    /// How much longer an answer waits for the rest once the essential sources settled.
    pub grace: Duration,
    /// Extra calls allowed for retries, as a share of all calls (0.1 = 10 %).
    pub retry_budget: f64,
    /// A person's failed sources are asked again behind an answer at most this often.
    pub retry_failed_after: Duration,
    /// Contexts refreshed behind answers at the same time; beyond it refreshes are left out.
    pub refreshes: usize,
}

/// `[cache]`
#[derive(Debug, Clone, PartialEq)]
pub struct Cache {
    pub contexts_max_bytes: u64,
    pub rendered_max_bytes: u64,
}

/// `[studio]`
#[derive(Debug, Clone)]
pub struct Studio {
    pub view: Arc<str>,
    /// Characters of the whole answer.
    pub max_chars: usize,
    /// Characters of `caller_data`.
    pub caller_data_max_chars: usize,
}

/// `[meetings]`
#[derive(Debug, Clone)]
pub struct Meetings {
    /// Domains of our own people, canonical; an organization may have its own.
    pub own_domains: Vec<Arc<str>>,
    /// Addresses in one question.
    pub participants_max: usize,
}

/// `[phone]`: how caller ids are read; an organization may override the region.
#[derive(Debug, Clone, Default)]
pub struct PhoneRules {
    pub default_region: Option<Arc<str>>,
    /// Replace the built-in lists when given.
    pub withheld_words: Option<Vec<String>>,
    pub withheld_numbers: Option<Vec<String>>,
    pub placeholders: Option<Vec<String>>,
    pub own_numbers: Vec<String>,
    pub sip_domains: Vec<String>,
    /// Client identity -> customer id.
    pub clients: BTreeMap<String, String>,
}

/// `[organizations.<name>]`
#[derive(Debug, Clone, Default)]
pub struct OrganizationRules {
    pub default_region: Option<Arc<str>>,
    /// Instead of those in `[meetings]`.
    pub own_domains: Option<Vec<Arc<str>>>,
    pub twilio: Vec<TwilioAccount>,
}

#[derive(Debug, Clone)]
pub struct TwilioAccount {
    pub account_sid: Arc<str>,
    /// The account's auth token; its requests are verified with it.
    pub auth_token: SecretString,
}

/// `[views.<name>]`: what a reader may see. Fields win over classes; `hide` wins over both.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct View {
    pub name: Arc<str>,
    pub classes: Vec<Class>,
    pub fields: Vec<NameId>,
    pub hide: Vec<NameId>,
    pub masks: Vec<(NameId, Mask)>,
    /// May use `explain`, `DELETE /api/context` and `GET /api/audit`.
    pub admin: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mask {
    /// `a***@example.com`
    Email,
    /// All but the last four characters.
    LastFour,
    /// `***`
    Full,
}

/// `[merge]`: who wins, per field; sources not named come after, in order of their definition.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Merge {
    /// The order for fields that have none of their own, as indexes into `Plan::sources`.
    pub order: Vec<crate::domain::SourceId>,
    pub fields: BTreeMap<NameId, Vec<crate::domain::SourceId>>,
}

/// `[store]`
#[derive(Debug, Clone)]
pub struct Store {
    /// `sqlite:caller-context.db` or `postgres://...`
    pub url: SecretString,
    /// 32 bytes, base64, by `env:` or `file:`; made beside the SQLite file when absent.
    pub key: Option<SecretString>,
    pub key_file: PathBuf,
}

/// `[audit]`
#[derive(Debug, Clone)]
pub struct Audit {
    /// Commit before answering.
    pub strict: bool,
    /// At most 100 ms.
    pub flush: Duration,
    /// Rows held in memory before they count as lost.
    pub buffer: usize,
    pub keep: Duration,
}

/// `[limits]`
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Lookups that reach a source, per key and per minute.
    pub misses_per_key: u32,
    pub misses_per_organization: u32,
    /// The same for calls proved by Twilio's signature.
    pub misses_verified: u32,
    /// Lookups of one number per minute that may reach a source.
    pub misses_per_number: u32,
    /// Of what the others leave of a source's budget, the share that one key may take.
    pub budget_per_key: f64,
    /// Wrong credentials per peer and minute before it is refused unheard.
    pub wrong_keys_per_peer: u32,
}

/// `[logging]`
#[derive(Debug, Clone)]
pub struct Logging {
    pub json: bool,
    /// A filter in the syntax of `tracing_subscriber::EnvFilter`.
    pub filter: String,
}

/// `[inputs.<name>]`
#[derive(Debug, Clone)]
pub struct Input {
    pub name: NameId,
    pub text: Arc<str>,
    /// Letters allowed beside `A-Z a-z 0-9`.
    pub extra_letters: Arc<str>,
    pub max_chars: usize,
    pub default: Option<Arc<str>>,
}
