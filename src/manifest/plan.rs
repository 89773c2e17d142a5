//! The compiled plan: sources and operations as the engine runs them. Made once at start-up;
//! nothing here parses text or knows a vendor.

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use smallvec::SmallVec;

use super::limits::Learn;
use super::reading::{ErrorRules, Record};
use super::sql::Statement;
use super::template::{HttpRequest, Maps, PhoneUse};
use crate::domain::{NameId, Names, SourceId, Spelling, Value};

#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    pub names: Names,
    pub sources: Vec<Source>,
    /// In the order of sources, then of their files.
    pub operations: Vec<Operation>,
    /// Folded member names that are never taken in, beside the built-in ones.
    pub never: Vec<Arc<str>>,
}

/// An operation's place in [`Plan::operations`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct OperationId(pub u16);

/// A connector or database under a name, with its credentials, windows and limits.
#[derive(Debug, PartialEq)]
pub struct Source {
    pub name: Arc<str>,
    /// `hubspot`, `http`, `postgres` ...: for people and metrics only.
    pub connector: Arc<str>,
    pub upstream: Upstream,
    /// Its credentials are configured; otherwise its operations are skipped as `not_connected`.
    pub connected: bool,
    /// The answer waits for it (until the deadline).
    pub essential: bool,
    /// Runs only when this other source failed or was tripped.
    pub secondary_of: Option<SourceId>,
    /// Of one call; an operation may have a shorter one.
    pub timeout: Duration,
    pub fresh: Duration,
    pub keep: Duration,
    /// How long "not found" is believed.
    pub not_found: Duration,
    pub limits: Limits,
    pub breaker: Breaker,
    /// Values used while the source has failed.
    pub defaults: Vec<(NameId, Value)>,
    /// Variables of the connection, beside what operations provide.
    pub variables: Vec<(NameId, Value)>,
    /// Region for numbers stored without a country code, and zone for zoneless times.
    pub region: Option<Arc<str>>,
    pub time_zone: jiff::tz::TimeZone,
    pub maps: Maps,
    pub tables: Vec<Table>,
}

/// Reference data of a vendor (stages, users): key -> value.
#[derive(Debug, PartialEq)]
pub struct Table {
    pub name: Arc<str>,
    /// Reads one list, of `id` and `value`.
    pub operation: Operation,
    /// How long it is used before it is loaded again.
    pub keep: Duration,
}

/// What a source is to its users; decides its default timeout and its place in the merge.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SourceKind {
    /// Has a vendor's manifest.
    Crm,
    Database,
    /// `connector = "http"`.
    External,
}

impl SourceKind {
    /// As metrics and `explain` show it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Crm => "crm",
            Self::Database => "database",
            Self::External => "external",
        }
    }

    /// What a connector of that name is.
    pub fn of_connector(connector: &str) -> Self {
        match connector {
            "http" => Self::External,
            "postgres" | "mysql" | "sqlite" => Self::Database,
            _ => Self::Crm,
        }
    }
}

impl Source {
    /// What it is to its users.
    pub fn kind(&self) -> SourceKind {
        SourceKind::of_connector(&self.connector)
    }

    /// Whether the other asks the same place and understands answers alike: then what this one
    /// read is still true of it. Credentials, windows and limits do not matter.
    pub fn reads_like(&self, other: &Self) -> bool {
        self.connector == other.connector
            && self.variables == other.variables
            && self.region == other.region
            && self.time_zone == other.time_zone
            && self.maps == other.maps
            && self.tables == other.tables
            && self.upstream.place() == other.upstream.place()
    }

    /// Whether the other counts for the vendor as this one does: the same credentials at the same
    /// place, and the same windows.
    pub fn shares_quota_with(&self, other: &Self) -> bool {
        let windows = |l: &Limits| Limits { concurrency: 0, ..l.clone() };
        self.connector == other.connector
            && self.upstream == other.upstream
            && windows(&self.limits) == windows(&other.limits)
    }

    /// Whether the other is reached in the same way, with the same credentials and limits.
    pub fn reached_like(&self, other: &Self) -> bool {
        self.upstream == other.upstream
            && self.limits == other.limits
            && self.breaker == other.breaker
            && self.tables == other.tables
    }
}

#[derive(Debug, PartialEq)]
pub enum Upstream {
    Http(HttpUpstream),
    Sql(SqlUpstream),
}

impl Upstream {
    /// Where it is: scheme, host and port, of a database with its name; never a password.
    pub fn place(&self) -> String {
        match self {
            Self::Http(http) => http.origin.as_deref().unwrap_or_default().to_owned(),
            Self::Sql(sql) => {
                let url = sql.url.expose_secret();
                let Ok(mut parsed) = url::Url::parse(url) else { return String::new() };
                if parsed.set_password(None).is_err() {
                    return url.to_owned(); // a file's path
                }
                parsed.into()
            }
        }
    }
}

#[derive(Debug, PartialEq)]
pub struct HttpUpstream {
    /// Scheme, host and port of its address; none where that is not known.
    pub origin: Option<Arc<str>>,
    /// Hosts that credentials may go to: exact, or `*.suffix`.
    pub hosts: Vec<Arc<str>>,
    pub allow_private: bool,
    pub auth: Auth,
    /// Caps on an answer, after decompression.
    pub max_answer_bytes: usize,
}

#[derive(Debug)]
pub enum Auth {
    None,
    /// Header name and template text with `{secret}` replaced by the secret.
    Headers(Vec<(http::HeaderName, SecretString)>),
    /// An access token that is fetched, kept while it is good, and sent as a bearer.
    OAuth(Box<OAuth>),
}

/// How an access token is had (RFC 6749, sections 4.4 and 6).
#[derive(Debug)]
pub struct OAuth {
    pub token: url::Url,
    /// What is sent there.
    pub form: Vec<(&'static str, SecretString)>,
    /// The client's id and secret as HTTP Basic, where they are not in the form.
    pub basic: Option<SecretString>,
    /// What stands before the token in `Authorization`: `Bearer` nearly everywhere.
    pub scheme: Box<str>,
}

impl PartialEq for OAuth {
    fn eq(&self, other: &Self) -> bool {
        let form = |oauth: &Self| -> Vec<_> {
            oauth.form.iter().map(|(name, value)| (*name, value.expose_secret().to_owned())).collect()
        };
        let basic = |oauth: &Self| oauth.basic.as_ref().map(|basic| basic.expose_secret().to_owned());
        self.token == other.token
            && self.scheme == other.scheme
            && form(self) == form(other)
            && basic(self) == basic(other)
    }
}

impl PartialEq for Auth {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::Headers(ours), Self::Headers(theirs)) => {
                ours.iter().map(|(n, v)| (n, v.expose_secret())).eq(theirs.iter().map(|(n, v)| (n, v.expose_secret())))
            }
            (Self::OAuth(ours), Self::OAuth(theirs)) => ours == theirs,
            (Self::None | Self::Headers(_) | Self::OAuth(_), _) => false,
        }
    }
}

#[derive(Debug)]
pub struct SqlUpstream {
    pub engine: SqlEngine,
    /// `postgres://user:password@host:port/database`, `mysql://...`, `sqlite:path`.
    pub url: SecretString,
    pub pool: Pool,
}

impl PartialEq for SqlUpstream {
    fn eq(&self, other: &Self) -> bool {
        let same_url = self.url.expose_secret() == other.url.expose_secret();
        self.engine == other.engine && same_url && self.pool == other.pool
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SqlEngine {
    Postgres,
    Mysql,
    Sqlite,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    /// Connections at most.
    pub max: usize,
    /// How long a call waits for a connection.
    pub acquire_timeout: Duration,
    /// What the server is told to give up at.
    pub statement_timeout: Duration,
    /// Calls that may wait for a connection; 0 = no bound.
    pub queue: usize,
    /// `false` for transaction poolers.
    pub prepared: bool,
    /// TLS to the server.
    pub tls: bool,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Limits {
    pub concurrency: usize,
    /// Short windows, counted in requests.
    pub rate: Vec<Rate>,
    /// Long ones, counted in the operations' `cost` and kept across restarts.
    pub budget: Vec<Rate>,
    /// Windows of those operations that name them, beside the others.
    pub buckets: Vec<(Arc<str>, Vec<Rate>)>,
    /// The share of each window that only calls somebody waits for may take.
    pub reserve: f64,
    pub learn: Vec<Learn>,
}

/// `"100 per 10s"`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    pub count: u32,
    pub per: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Breaker {
    /// Trips after this many failures in a row,
    pub failures: u32,
    /// or when this share of at least `min_calls` calls within `window` failed.
    pub share: f64,
    pub min_calls: u32,
    pub window: Duration,
    /// A probe is let through after `probe_after`, doubling to `probe_max`.
    pub probe_after: Duration,
    pub probe_max: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            failures: 5,
            share: 0.5,
            min_calls: 10,
            window: Duration::from_secs(30),
            probe_after: Duration::from_secs(5),
            probe_max: Duration::from_secs(60),
        }
    }
}

/// One lookup: what it needs, what it sends, how its answer is read.
#[derive(Debug, PartialEq)]
pub struct Operation {
    pub source: SourceId,
    pub name: Arc<str>,
    /// All must be there; each is there when one of its alternatives is.
    pub needs: Vec<SmallVec<[NameId; 2]>>,
    /// Every name the request may use: with the operation itself, the key of its reading.
    pub inputs: Vec<NameId>,
    /// Starts only when that operation ended NotFound or Skipped.
    pub fallback_of: Option<OperationId>,
    pub request: Request,
    /// The stored spellings to try, in order; empty when the request does not use them.
    pub spellings: Vec<Spelling>,
    pub record: Record,
    pub errors: ErrorRules,
    /// What a reading of it may hold.
    pub provides: Vec<NameId>,
    pub bucket: Option<Arc<str>>,
    /// What one request takes out of the budgets.
    pub cost: u32,
    /// The smaller of the operation's and its source's.
    pub timeout: Duration,
    /// The same for several people at once.
    pub batch: Option<Box<Batch>>,
}

/// An operation that starts from the e-mail alone, for several people in one request. Of its
/// answer each person's reading is made as if it were their own: what does not prove to be theirs
/// is not.
#[derive(Debug, PartialEq)]
pub struct Batch {
    pub request: HttpRequest,
    pub record: Record,
    /// People in one request.
    pub max: usize,
}

impl Operation {
    /// Whether the other asks the same and understands answers alike. How long it may take and
    /// what it counts against do not matter.
    pub fn reads_like(&self, other: &Self) -> bool {
        self.inputs == other.inputs
            && self.request == other.request
            && self.spellings == other.spellings
            && self.record == other.record
            && self.errors == other.errors
            && self.provides == other.provides
            && self.batch == other.batch
    }

    /// Its hits say who the caller is.
    pub fn identifying(&self) -> bool {
        self.record.identifying()
    }

    /// Whether it is asked once per spelling of the number, or once for all.
    pub fn phone_use(&self) -> PhoneUse {
        match &self.request {
            Request::Http(request) => request.phone_use(),
            Request::Sql(statement) => statement.phone_use(),
        }
    }
}

#[derive(Debug, PartialEq)]
pub enum Request {
    /// One request per spelling and variant until a hit (`{phone}`), or one for all (`{phones}`).
    Http(Box<HttpRequest>),
    Sql(Statement),
}

impl Plan {
    /// The source behind an id of this plan.
    #[expect(clippy::indexing_slicing, reason = "a SourceId is only made by its Plan")]
    pub fn source(&self, id: SourceId) -> &Source {
        &self.sources[usize::from(id.0)]
    }

    /// In the order of definition.
    pub fn source_ids(&self) -> impl Iterator<Item = SourceId> + use<> {
        (0..u16::try_from(self.sources.len()).unwrap_or(u16::MAX)).map(SourceId)
    }

    /// All operations with their ids, source by source.
    pub fn operations(&self) -> impl Iterator<Item = (OperationId, &Operation)> {
        (0..).map(OperationId).zip(&self.operations)
    }
}
