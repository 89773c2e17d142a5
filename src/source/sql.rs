//! Databases as sources: one pool per source, whatever its engine. How long a call waits for a
//! connection and how much it may answer is decided here, once for all engines.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use super::{CallError, mysql, postgres, sqlite};
use crate::domain::{Failure, Skip};
use crate::manifest::plan::{self, SqlEngine, SqlUpstream};
use crate::manifest::reading::Row;
use crate::manifest::sql::Bound;

/// A lookup that answers more than this has no use for a caller: its statement lacks a LIMIT.
const MAX_ROWS: usize = 1_000;
/// Values and column names of one answer, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// A pool of connections to one database. Connects when first asked.
pub struct SqlPool {
    engine: Engine,
    door: Door,
}

enum Engine {
    Postgres(postgres::Pool),
    Mysql(mysql::Pool),
    Sqlite(sqlite::Pool),
}

/// The source's URL cannot be used. Never repeats the URL, it may hold a password.
#[derive(Debug, thiserror::Error)]
#[error("the database's url cannot be used: {0}")]
pub struct BadUrl(pub(super) &'static str);

impl SqlPool {
    /// Makes the pool of a source; opens no connection. Cancellations of dropped queries run on
    /// `tracker`.
    pub fn open(upstream: &SqlUpstream, tracker: &TaskTracker) -> Result<Self, BadUrl> {
        let engine = match upstream.engine {
            SqlEngine::Postgres => Engine::Postgres(postgres::Pool::open(upstream, tracker)?),
            SqlEngine::Mysql => Engine::Mysql(mysql::Pool::open(upstream, tracker)?),
            SqlEngine::Sqlite => Engine::Sqlite(sqlite::Pool::open(upstream)?),
        };
        Ok(Self { engine, door: Door::new(&upstream.pool) })
    }

    /// Asks. A query that is dropped is cancelled at the server, and holds its place in the pool
    /// until it is.
    ///
    /// No free connection in time is `Skipped(Limited)`: the database was not asked.
    pub async fn query(&self, bound: &Bound) -> Result<Vec<Row>, CallError> {
        let seat = self.door.enter().await?;
        match &self.engine {
            Engine::Postgres(pool) => pool.query(bound, seat).await,
            Engine::Mysql(pool) => pool.query(bound, seat).await,
            Engine::Sqlite(pool) => pool.query(bound, seat).await,
        }
    }
}

impl fmt::Debug for SqlPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.engine {
            Engine::Postgres(_) => "SqlPool(postgres)",
            Engine::Mysql(_) => "SqlPool(mysql)",
            Engine::Sqlite(_) => "SqlPool(sqlite)",
        })
    }
}

/// Lets in as many calls as there are connections; the rest wait, not for ever and not all.
struct Door {
    seats: Arc<Semaphore>,
    /// Seats and places in the queue together; none when the queue has no bound.
    places: Option<Arc<Semaphore>>,
    wait: Duration,
}

/// The right to one connection. Given back when the connection is free again.
pub(super) struct Seat {
    _seat: OwnedSemaphorePermit,
    _place: Option<OwnedSemaphorePermit>,
}

impl Door {
    fn new(pool: &plan::Pool) -> Self {
        let seats = pool.max.max(1);
        let places = (pool.queue > 0).then(|| Arc::new(Semaphore::new(seats + pool.queue)));
        Self { seats: Arc::new(Semaphore::new(seats)), places, wait: pool.acquire_timeout }
    }

    async fn enter(&self) -> Result<Seat, CallError> {
        let place = match &self.places {
            Some(places) => Some(places.clone().try_acquire_owned().map_err(|_| Skip::Limited)?),
            None => None,
        };
        match tokio::time::timeout(self.wait, self.seats.clone().acquire_owned()).await {
            Ok(Ok(seat)) => Ok(Seat { _seat: seat, _place: place }),
            _ => Err(Skip::Limited.into()),
        }
    }
}

/// The rows of an answer, within the caps.
#[derive(Default)]
pub(super) struct Rows {
    rows: Vec<Row>,
    bytes: usize,
}

impl Rows {
    pub(super) fn push(&mut self, row: Row, bytes: usize) -> Result<(), CallError> {
        self.bytes += bytes;
        if self.rows.len() >= MAX_ROWS || self.bytes > MAX_BYTES {
            return Err(CallError::failed(Failure::Unreadable, TooLarge));
        }
        self.rows.push(row);
        Ok(())
    }

    pub(super) fn into_vec(self) -> Vec<Row> {
        self.rows
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the answer has more than {MAX_ROWS} rows or {MAX_BYTES} bytes")]
struct TooLarge;

/// What an engine complained about: its own code, and its words where they cannot quote a value.
#[derive(Debug, thiserror::Error)]
#[error("the database said {code}: {words}")]
pub(super) struct Complaint {
    pub code: String,
    pub words: String,
}

impl Complaint {
    pub(super) fn failed(self, failure: Failure) -> CallError {
        CallError::failed(failure, self)
    }

    pub(super) fn broke_off(self) -> CallError {
        CallError::BrokeOff(Some(Box::new(self)))
    }
}

/// A number, or null where JSON has none for it.
pub(super) fn float(value: f64) -> serde_json::Value {
    serde_json::Number::from_f64(value).map_or(serde_json::Value::Null, serde_json::Value::Number)
}
