//! Databases as sources: one pool per source, whatever its engine. How long a call waits for a
//! connection and how much it may answer is decided here, once for all engines.

use tokio_util::task::TaskTracker;

use super::CallError;
use crate::domain::Failure;
use crate::manifest::plan::SqlUpstream;
use crate::manifest::reading::Row;
use crate::manifest::sql::Bound;

/// A pool of connections to one database. Connects when first asked.
#[derive(Debug)]
pub struct SqlPool {}

/// The source's URL or TLS settings cannot be used. Never repeats the URL.
#[derive(Debug, thiserror::Error)]
#[error("the database's url cannot be used: {0}")]
pub struct BadUrl(String);

impl SqlPool {
    /// Makes the pool of a source; opens no connection. Cancellations of dropped queries run on
    /// `tracker`.
    pub fn open(_upstream: &SqlUpstream, _tracker: &TaskTracker) -> Result<Self, BadUrl> {
        Ok(Self {})
    }

    /// Asks. A call that is dropped is cancelled at the server.
    ///
    /// No free connection in time is `Skipped(Limited)`: the database was not asked.
    pub async fn query(&self, _bound: &Bound) -> Result<Vec<Row>, CallError> {
        Err(Failure::Unreachable.into())
    }
}
