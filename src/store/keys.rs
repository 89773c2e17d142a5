//! API keys: made, listed, revoked; kept as SHA-256 beside a public id. The secret is shown once.

use std::sync::Arc;

use jiff::Timestamp;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Database, Error};
use crate::domain::Organization;

/// What a key that was presented may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The public part of the key, fit for logs, audit rows and metrics.
    pub key_id: Arc<str>,
    pub organization: Organization,
    /// The name of the view it reads through.
    pub view: Arc<str>,
}

/// A key just made. The only time its secret is seen.
#[derive(Debug)]
pub struct NewKey {
    pub id: Arc<str>,
    /// `<id>.<secret>`: what a client presents.
    pub key: SecretString,
}

/// A key as lists show it.
#[derive(Debug, Clone)]
pub struct Listed {
    pub grant: Grant,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

/// Makes a key for a view of an organization.
pub async fn create(
    _database: &Database,
    _organization: &Organization,
    _view: &str,
    _now: Timestamp,
    _expires_at: Option<Timestamp>,
) -> Result<NewKey, Error> {
    Err(Error::Unavailable)
}

/// All keys, revoked and expired ones too, oldest first.
pub async fn list(_database: &Database) -> Result<Vec<Listed>, Error> {
    Err(Error::Unavailable)
}

/// Revokes a key by its public id; `false` when there is no such key.
pub async fn revoke(_database: &Database, _id: &str, _now: Timestamp) -> Result<bool, Error> {
    Err(Error::Unavailable)
}

/// The keys that are good now, in memory. A clone sees the same keys.
#[derive(Debug, Clone)]
pub struct Keys {}

impl Keys {
    /// Reads the keys and keeps them up to date, about every second, until `stop`.
    pub async fn watch(_database: Database, _tracker: &TaskTracker, _stop: CancellationToken) -> Result<Self, Error> {
        Err(Error::Unavailable)
    }

    /// Keys that are written down: the whole key and what it grants.
    pub fn fixed(_keys: Vec<(SecretString, Grant)>) -> Self {
        Self {}
    }

    /// What a presented key may do; `None` for unknown, wrong, expired and revoked ones alike.
    /// Touches memory only.
    pub fn verify(&self, _presented: &str, _now: Timestamp) -> Option<Grant> {
        None
    }

    /// No key is good now: `serve` refuses to start.
    pub fn is_empty(&self, _now: Timestamp) -> bool {
        true
    }
}
