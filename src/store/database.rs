//! The one way to the store: statements with `$1` parameters, whole numbers and texts, in either
//! engine. Migrations run here.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use secrecy::ExposeSecret as _;
use tokio_util::task::TaskTracker;

use super::vault::Vault;
use super::{Error, postgres, sqlite};
use crate::config;

/// Never changed once released; the next change is the next number.
const MIGRATIONS: &[(i64, &str)] = &[
    (1, include_str!("../../migrations/0001_api_keys.sql")),
    (2, include_str!("../../migrations/0002_audit.sql")),
    (3, include_str!("../../migrations/0003_audit_indexes.sql")),
    (4, include_str!("../../migrations/0004_audit_names.sql")),
    (5, include_str!("../../migrations/0005_spent.sql")),
];

/// The store, migrated and ready. A clone is the same store.
#[derive(Clone)]
pub struct Database {
    engine: Arc<Engine>,
    vault: Arc<Vault>,
}

enum Engine {
    Sqlite(sqlite::Sqlite),
    Postgres(postgres::Postgres),
}

/// What columns hold: the dialect has no other types. Never printed.
#[derive(Clone, PartialEq)]
pub(super) enum Datum {
    Null,
    Int(i64),
    Text(Cow<'static, str>),
}

pub(super) struct Row(pub Vec<Datum>);

/// A transaction. Dropped before `commit`, it is rolled back.
pub(super) enum Transaction {
    Sqlite(sqlite::Transaction),
    Postgres(Box<postgres::Transaction>),
}

/// Whether a transaction that failed may still have been committed.
#[derive(Debug)]
pub(super) struct CommitFailed(pub Error);

impl Database {
    /// Opens the store, runs migrations, and reads or makes its key.
    pub async fn open(settings: &config::Store, tracker: &TaskTracker) -> Result<Self, Error> {
        let url = settings.url.expose_secret();
        let engine = match url.strip_prefix("sqlite:") {
            Some(path) => Engine::Sqlite(sqlite::Sqlite::open(path.strip_prefix("//").unwrap_or(path)).await?),
            None => Engine::Postgres(postgres::Postgres::open(url, tracker)?),
        };
        let vault = Vault::open(settings, matches!(engine, Engine::Sqlite(_)))?;
        let database = Self { engine: Arc::new(engine), vault: Arc::new(vault) };
        database.migrate().await?;
        Ok(database)
    }

    pub(super) fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Reads outside a transaction, beside the writer.
    pub(super) async fn query(&self, sql: impl Into<String>, values: Vec<Datum>) -> Result<Vec<Row>, Error> {
        match &*self.engine {
            Engine::Sqlite(sqlite) => sqlite.query(sql.into(), values).await,
            Engine::Postgres(postgres) => postgres.query(&sql.into(), &values).await,
        }
    }

    /// One statement that writes, on its own; how many rows it changed.
    pub(super) async fn execute(&self, sql: &'static str, values: Vec<Datum>) -> Result<u64, Error> {
        let mut transaction = self.begin().await?;
        let changed = transaction.execute(sql, values).await?;
        transaction.commit().await.map_err(|failed| failed.0)?;
        Ok(changed)
    }

    pub(super) async fn begin(&self) -> Result<Transaction, Error> {
        Ok(match &*self.engine {
            Engine::Sqlite(sqlite) => Transaction::Sqlite(sqlite.begin().await?),
            Engine::Postgres(postgres) => Transaction::Postgres(Box::new(postgres.begin().await?)),
        })
    }

    async fn migrate(&self) -> Result<(), Error> {
        let mut transaction = self.begin().await?;
        if let Transaction::Postgres(postgres) = &mut transaction {
            // gateways that start together take turns
            postgres.batch("SELECT pg_advisory_xact_lock(7236148020)").await?;
        }
        transaction.batch("CREATE TABLE IF NOT EXISTS migrations (version BIGINT NOT NULL PRIMARY KEY)").await?;
        let done = transaction.query("SELECT coalesce(max(version), 0) FROM migrations", vec![]).await?;
        let done = done.first().ok_or(Error::Damaged)?.int(0)?;
        let newest = MIGRATIONS.last().map_or(0, |(version, _)| *version);
        if done > newest {
            return Err(Error::Newer(done));
        }
        for (version, sql) in MIGRATIONS.iter().filter(|(version, _)| *version > done) {
            transaction.batch(sql).await?;
            transaction.execute("INSERT INTO migrations (version) VALUES ($1)", vec![(*version).into()]).await?;
        }
        transaction.commit().await.map_err(|failed| failed.0)
    }
}

impl Transaction {
    pub(super) async fn query(&mut self, sql: &'static str, values: Vec<Datum>) -> Result<Vec<Row>, Error> {
        match self {
            Self::Sqlite(sqlite) => sqlite.query(sql, values).await,
            Self::Postgres(postgres) => postgres.query(sql, &values).await,
        }
    }

    pub(super) async fn execute(&mut self, sql: &'static str, values: Vec<Datum>) -> Result<u64, Error> {
        self.execute_all(sql, vec![values]).await
    }

    /// The same statement for each of many rows.
    pub(super) async fn execute_all(&mut self, sql: &'static str, rows: Vec<Vec<Datum>>) -> Result<u64, Error> {
        match self {
            Self::Sqlite(sqlite) => sqlite.execute_all(sql, rows).await,
            Self::Postgres(postgres) => postgres.execute_all(sql, &rows).await,
        }
    }

    async fn batch(&mut self, sql: &'static str) -> Result<(), Error> {
        match self {
            Self::Sqlite(sqlite) => sqlite.batch(sql).await,
            Self::Postgres(postgres) => postgres.batch(sql).await,
        }
    }

    pub(super) async fn commit(self) -> Result<(), CommitFailed> {
        match self {
            Self::Sqlite(sqlite) => sqlite.commit().await,
            Self::Postgres(postgres) => postgres.commit().await,
        }
        .map_err(CommitFailed)
    }
}

impl Row {
    pub(super) fn int(&self, column: usize) -> Result<i64, Error> {
        self.int_or_null(column)?.ok_or(Error::Damaged)
    }

    pub(super) fn int_or_null(&self, column: usize) -> Result<Option<i64>, Error> {
        match self.0.get(column) {
            Some(Datum::Int(number)) => Ok(Some(*number)),
            Some(Datum::Null) => Ok(None),
            _ => Err(Error::Damaged),
        }
    }

    pub(super) fn text(&self, column: usize) -> Result<&str, Error> {
        self.text_or_null(column)?.ok_or(Error::Damaged)
    }

    pub(super) fn text_or_null(&self, column: usize) -> Result<Option<&str>, Error> {
        match self.0.get(column) {
            Some(Datum::Text(text)) => Ok(Some(text)),
            Some(Datum::Null) => Ok(None),
            _ => Err(Error::Damaged),
        }
    }
}

impl Datum {
    /// A word of the program.
    pub(super) const fn word(word: &'static str) -> Self {
        Self::Text(Cow::Borrowed(word))
    }
}

impl From<i64> for Datum {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<&str> for Datum {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<String> for Datum {
    fn from(mut text: String) -> Self {
        if text.contains('\0') {
            text.retain(|letter| letter != '\0'); // PostgreSQL's texts have no NUL
        }
        Self::Text(text.into())
    }
}

impl<T: Into<Datum>> From<Option<T>> for Datum {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl fmt::Debug for Datum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Datum(..)") // PostgreSQL's driver logs parameters at debug level
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &*self.engine {
            Engine::Sqlite(_) => "Database(sqlite)",
            Engine::Postgres(_) => "Database(postgres)",
        })
    }
}
