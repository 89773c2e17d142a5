//! The audit log: who was shown what of whom, when, for which call. Rows are chained by hash, the
//! caller is sealed and searchable by keyed hash.

use std::sync::Arc;

use jiff::Timestamp;

use tokio_util::task::TaskTracker;

use super::{Database, Error};
use crate::clock::Clock;
use crate::config;
use crate::domain::{Identity, Organization};

/// One delivery of a context to a reader. Equal deliveries (all but `at`) within one flush window
/// become one row with first, last and count.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Delivery {
    pub organization: Organization,
    /// The public id of the key, or `twilio:<AccountSid>` for calls proved by signature.
    pub reader: Arc<str>,
    pub view: Arc<str>,
    /// `studio`, `context`, `lookup`, `forget`.
    pub surface: &'static str,
    pub identity: Identity,
    pub call_sid: Option<Arc<str>>,
    /// Names of the sources whose data was delivered.
    pub sources: Arc<[Arc<str>]>,
    /// Names of the fields delivered, never their values.
    pub fields: Arc<[Arc<str>]>,
    pub lookup_status: &'static str,
}

/// The audit log of this process. A clone writes to the same log.
#[derive(Clone, Debug)]
pub struct AuditLog {}

/// What is wrong with the log, for `/readyz` and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Deliveries that found no room since the start, and are not in the log.
    pub lost: u64,
    /// Rows that wait for the store.
    pub waiting: usize,
    /// The last write failed; writes are tried again.
    pub failing: bool,
}

/// What to look for; `None` is anything. Newest first.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub identity: Option<Identity>,
    pub call_sid: Option<String>,
    pub reader: Option<String>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// At most this many rows, 1 to 1,000; 0 is 100.
    pub limit: usize,
    /// The `number` of the last row of the page before.
    pub after: Option<i64>,
}

/// A row of the log, its caller unsealed.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The row's place in its organization's chain.
    pub number: i64,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
    /// How many deliveries the row stands for.
    pub count: i64,
    pub surface: String,
    pub reader: String,
    pub view: String,
    /// `phone`, `email` or `customer_id`.
    pub caller_kind: String,
    pub caller: Caller,
    pub call_sid: Option<String>,
    pub sources: Vec<String>,
    pub fields: Vec<String>,
    pub lookup_status: String,
}

/// Of whom. Never printed by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Caller(pub String);

impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Caller(..)")
    }
}

/// What `verify` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chain {
    /// All rows are as they were written; how many there are.
    Whole { rows: i64 },
    /// The first row that was changed, or that is missing.
    Broken { number: i64 },
}

impl AuditLog {
    /// Starts writing to `database`; flushes and retention run on `tracker` until [`Self::close`].
    pub fn start(_database: Database, _settings: &config::Audit, _clock: Clock, _tracker: &TaskTracker) -> Self {
        Self {}
    }

    /// Notes a delivery. Never waits; without room the delivery is counted as lost.
    pub fn record(&self, _delivery: Delivery) {}

    /// Notes a delivery and waits until it is on disk.
    pub async fn record_strict(&self, _delivery: Delivery) -> Result<(), Error> {
        Err(Error::Unavailable)
    }

    pub fn health(&self) -> Health {
        Health { lost: 0, waiting: 0, failing: false }
    }

    pub async fn search(&self, _organization: &Organization, _filter: &Filter) -> Result<Vec<Entry>, Error> {
        Err(Error::Unavailable)
    }

    /// Recomputes an organization's chain.
    pub async fn verify(&self, _organization: &Organization) -> Result<Chain, Error> {
        Err(Error::Unavailable)
    }

    /// Writes what is left and stops. Call it after the last answer.
    pub async fn close(&self) {}
}
