//! The store in an SQLite file: one thread writes, one reads.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Statement};
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};

use super::Error;
use super::database::{Datum, Row};

/// How long a statement waits for another process that holds the file.
const BUSY: Duration = Duration::from_secs(5);

pub(super) struct Sqlite {
    writer: Worker,
    reader: Worker,
    /// Held by the transaction that is under way.
    turn: Arc<Mutex<()>>,
}

pub(super) struct Transaction {
    writer: Worker,
    committed: bool,
    _turn: OwnedMutexGuard<()>,
}

/// A thread with a connection; it ends when the last handle goes.
#[derive(Clone)]
struct Worker {
    jobs: mpsc::Sender<Job>,
}

type Job = Box<dyn FnOnce(&Connection) + Send>;

impl Sqlite {
    /// Opens the file, made when absent so that only its owner reads it.
    pub(super) async fn open(path: &str) -> Result<Self, Error> {
        let path = path.to_owned();
        // waits for other processes that hold the file
        let opening = tokio::task::spawn_blocking(move || Self::open_blocking(&path));
        opening.await.map_err(|_| Error::Unavailable)?
    }

    fn open_blocking(path: &str) -> Result<Self, Error> {
        if path.is_empty() {
            return Err(Error::Url);
        }
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).map_err(Error::File)?;
        let writer = Connection::open(path)?;
        writer.busy_timeout(BUSY)?;
        // FULL: a committed row survives the machine, not only the process
        writer.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON")?;
        // A flush of the audit log touches a page of each index for each of its rows: they should fit into
        // memory, and be copied from the log into the file once for many flushes (64 MB), not for each.
        writer.execute_batch("PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = 16384")?;
        let reader = Connection::open(path)?;
        reader.busy_timeout(BUSY)?;
        reader.execute_batch("PRAGMA query_only = ON")?;
        Ok(Self { writer: Worker::start(writer)?, reader: Worker::start(reader)?, turn: Arc::default() })
    }

    pub(super) async fn query(&self, sql: String, values: Vec<Datum>) -> Result<Vec<Row>, Error> {
        self.reader.run(move |connection| rows(connection, &sql, &values)).await
    }

    pub(super) async fn begin(&self) -> Result<Transaction, Error> {
        let turn = self.turn.clone().lock_owned().await;
        // made first: if the caller goes away meanwhile, its Drop rolls back
        let transaction = Transaction { writer: self.writer.clone(), committed: false, _turn: turn };
        self.writer.run(|connection| Ok(connection.execute_batch("BEGIN IMMEDIATE")?)).await?;
        Ok(transaction)
    }
}

impl Transaction {
    pub(super) async fn query(&mut self, sql: &'static str, values: Vec<Datum>) -> Result<Vec<Row>, Error> {
        self.writer.run(move |connection| rows(connection, sql, &values)).await
    }

    pub(super) async fn execute_all(&mut self, sql: &'static str, rows: Vec<Vec<Datum>>) -> Result<u64, Error> {
        let work = move |connection: &Connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let places = places(&statement, rows.iter().map(Vec::len).max().unwrap_or_default())?;
            let mut changed = 0;
            for values in &rows {
                bind(&mut statement, &places, values)?;
                changed += statement.raw_execute()?;
            }
            Ok(changed as u64)
        };
        self.writer.run(work).await
    }

    pub(super) async fn batch(&mut self, sql: &'static str) -> Result<(), Error> {
        self.writer.run(move |connection| Ok(connection.execute_batch(sql)?)).await
    }

    pub(super) async fn commit(mut self) -> Result<(), Error> {
        self.writer.run(|connection| Ok(connection.execute_batch("COMMIT")?)).await?;
        self.committed = true;
        Ok(())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.committed {
            // in line behind what is still under way; an error says that nothing was begun
            let _ = self.writer.jobs.send(Box::new(|connection| {
                if !connection.is_autocommit() {
                    let _ = connection.execute_batch("ROLLBACK");
                }
            }));
        }
    }
}

impl Worker {
    fn start(connection: Connection) -> Result<Self, Error> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let work = move || queue.into_iter().for_each(|job| job(&connection));
        std::thread::Builder::new().name("store".into()).spawn(work).map_err(Error::File)?;
        Ok(Self { jobs })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let _ = answer.send(work(connection)); // nobody may be waiting any more
        });
        self.jobs.send(job).map_err(|_| Error::Unavailable)?;
        answered.await.map_err(|_| Error::Unavailable)?
    }
}

fn rows(connection: &Connection, sql: &str, values: &[Datum]) -> Result<Vec<Row>, Error> {
    let mut statement = connection.prepare_cached(sql)?;
    let places = places(&statement, values.len())?;
    bind(&mut statement, &places, values)?;
    let columns = statement.column_count();
    let mut answer = statement.raw_query();
    let mut rows = Vec::new();
    while let Some(row) = answer.next()? {
        let datum = |column| {
            Ok(match row.get_ref(column)? {
                ValueRef::Integer(number) => Datum::Int(number),
                ValueRef::Text(text) => Datum::Text(String::from_utf8_lossy(text).into_owned().into()),
                _ => Datum::Null,
            })
        };
        rows.push(Row((0..columns).map(datum).collect::<Result<_, rusqlite::Error>>()?));
    }
    Ok(rows)
}

/// Where `$1`, `$2`, ... stand; to SQLite they are names like any other.
fn places(statement: &Statement<'_>, values: usize) -> Result<Vec<Option<usize>>, Error> {
    Ok((1..=values).map(|i| statement.parameter_index(&format!("${i}"))).collect::<Result<_, _>>()?)
}

fn bind(statement: &mut Statement<'_>, places: &[Option<usize>], values: &[Datum]) -> Result<(), Error> {
    for (place, value) in places.iter().zip(values) {
        let Some(index) = *place else { continue };
        match value {
            Datum::Null => statement.raw_bind_parameter(index, rusqlite::types::Null)?,
            Datum::Int(number) => statement.raw_bind_parameter(index, number)?,
            Datum::Text(text) => statement.raw_bind_parameter(index, text)?,
        }
    }
    Ok(())
}
