//! Our own data: plain functions over one `Database` that is SQLite or PostgreSQL, chosen by URL.
//! No SQL of the store stands outside this folder.

pub mod audit;
mod database;
pub mod keys;
mod postgres;
mod sqlite;
mod vault;

pub use database::Database;

/// Why the store did not do what was asked. Never quotes a value.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the store's url is neither sqlite:path nor postgres://user@host/database")]
    Url,
    #[error("the store cannot be reached")]
    Unavailable,
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
