//! Our own data: plain functions over one `Database` that is SQLite or PostgreSQL, chosen by URL.
//! No SQL of the store stands outside this folder.

pub mod audit;
mod database;
pub mod keys;
mod postgres;
pub mod spent;
mod sqlite;
mod vault;

use std::sync::{Mutex, PoisonError};

use rusqlite::ErrorCode;
use tokio_postgres::error::SqlState;

pub use database::Database;

/// Why the store did not do what was asked. Never quotes a value.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the store's url is neither sqlite:path nor postgres://user@host/database")]
    Url,
    #[error("the store cannot be reached")]
    Unavailable,
    #[error("the store does not answer in time")]
    Slow,
    #[error("the store failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("the store failed: {0}")]
    Postgres(#[from] tokio_postgres::Error),
    #[error("the store cannot be reached: {0}")]
    Pool(#[from] deadpool_postgres::PoolError),
    #[error("the store's file cannot be used")]
    File(#[source] std::io::Error),
    #[error("the key file cannot be used")]
    KeyFile(#[source] std::io::Error),
    #[error("the store's key is not 32 bytes in base64")]
    Key,
    #[error("the key file may be read by others; take their rights away (chmod 600)")]
    KeyExposed,
    #[error("a store on PostgreSQL is shared: give all gateways one key (`[store] key`)")]
    KeyMissing,
    #[error("the store was made by a newer version (migration {0})")]
    Newer(i64),
    #[error("a row of the store cannot be read")]
    Damaged,
    #[error("this is not a key; make one with `caller-context keys generate`")]
    NotAKey,
    #[error("the store has a different key with this public id; generate another")]
    OtherKey,
    #[error("the delivery could not be noted")]
    NotNoted,
}

impl Error {
    /// Why, in the words that `/readyz` uses for sources too, and one more: `full`.
    pub fn reason(&self) -> &'static str {
        use deadpool_postgres::{PoolError, TimeoutType};
        match self {
            Self::Slow | Self::Pool(PoolError::Timeout(TimeoutType::Create | TimeoutType::Recycle)) => "timeout",
            Self::Pool(PoolError::Timeout(TimeoutType::Wait)) => "limited",
            Self::Postgres(error) | Self::Pool(PoolError::Backend(error)) => of_postgres(error),
            Self::Sqlite(error) => of_sqlite(error),
            Self::Damaged => "unreadable",
            Self::Unavailable | Self::Pool(_) | Self::File(_) | Self::NotNoted => "unreachable",
            Self::Url
            | Self::KeyFile(_)
            | Self::Key
            | Self::KeyExposed
            | Self::KeyMissing
            | Self::Newer(_)
            | Self::NotAKey
            | Self::OtherKey => "rejected",
        }
    }
}

fn of_postgres(error: &tokio_postgres::Error) -> &'static str {
    let Some(code) = error.code() else { return "unreachable" };
    match code {
        c if *c == SqlState::DISK_FULL => "full",
        c if *c == SqlState::TOO_MANY_CONNECTIONS => "limited",
        c if *c == SqlState::QUERY_CANCELED => "timeout",
        // it is going down, or coming up
        c if c.code().starts_with("57P") || c.code().starts_with("08") => "unreachable",
        _ => "rejected",
    }
}

fn of_sqlite(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "full",
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => "timeout",
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => "unreadable",
        Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => "unreachable",
        _ => "rejected",
    }
}

/// What keeps a part of the gateway from the store right now: a word of [`Error::reason`].
#[derive(Debug, Default)]
struct Trouble(Mutex<Option<&'static str>>);

impl Trouble {
    fn get(&self) -> Option<&'static str> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in how an attempt went; what was known before.
    fn set(&self, now: Option<&'static str>) -> Option<&'static str> {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), now)
    }
}
