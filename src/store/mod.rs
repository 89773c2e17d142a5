//! Our own data: plain functions over one `Database` that is SQLite or PostgreSQL, chosen by URL.
//! No SQL of the store stands outside this folder.

pub mod audit;
pub mod keys;

use tokio_util::task::TaskTracker;

use crate::config;

/// The store, migrated and ready. A clone is the same store.
#[derive(Clone, Debug)]
pub struct Database {}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the store cannot be reached")]
    Unavailable,
}

impl Database {
    /// Opens the store, runs migrations, and reads or makes its key.
    pub async fn open(_settings: &config::Store, _tracker: &TaskTracker) -> Result<Self, Error> {
        Err(Error::Unavailable)
    }
}
