//! SQLite as a source: read-only connections on blocking threads, interruption, and its types as
//! JSON values.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Column, Connection, ErrorCode, OpenFlags, ToSql, params_from_iter};
use secrecy::ExposeSecret as _;
use serde_json::Value as Json;

use super::CallError;
use super::sql::{BadUrl, Complaint, Rows, Seat, float};
use crate::domain::{Failure, Skip, Value};
use crate::manifest::plan::SqlUpstream;
use crate::manifest::reading::Row;
use crate::manifest::sql::Bound;

/// Virtual machine steps between two looks at whether the query is still wanted: well below a
/// millisecond.
const STEPS: i32 = 1_000;

pub(super) struct Pool {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    acquire_timeout: Duration,
    statement_timeout: Duration,
}

impl Pool {
    pub(super) fn open(upstream: &SqlUpstream) -> Result<Self, BadUrl> {
        let url = upstream.url.expose_secret();
        let path = url.strip_prefix("sqlite:").filter(|path| !path.is_empty()).ok_or(BadUrl("expected sqlite:path"))?;
        let settings = &upstream.pool;
        Ok(Self {
            path: path.strip_prefix("//").unwrap_or(path).into(),
            idle: Mutex::default(),
            acquire_timeout: settings.acquire_timeout,
            statement_timeout: settings.statement_timeout,
        })
    }

    pub(super) async fn query(&self, bound: &Bound, seat: Seat) -> Result<Vec<Row>, CallError> {
        let wanted = Wanted(Arc::new(AtomicBool::new(true)));
        let (idle, path, busy) = (self.lock().pop(), self.path.clone(), self.acquire_timeout);
        let (bound, watch) = (bound.clone(), wanted.0.clone());
        let work = tokio::task::spawn_blocking(move || {
            let _seat = seat;
            let mut connection = idle.map_or_else(|| open(&path, busy), Ok)?;
            let unwanted = move || !watch.load(Ordering::Relaxed);
            connection.progress_handler(STEPS, Some(unwanted)).map_err(said)?;
            let answer = ask(&connection, &bound);
            Ok::<_, CallError>((connection, answer))
        });
        // dropped here, or by the caller: `wanted` goes, and the next look ends the query
        let Ok(worked) = tokio::time::timeout(self.statement_timeout, work).await else {
            return Err(Failure::Timeout.into());
        };
        drop(wanted);
        let (connection, answer) = worked.map_err(|_| Failure::Unreachable)??;
        if !matches!(answer, Err(CallError::Failed(Failure::Unreachable, _))) {
            self.lock().push(connection);
        }
        answer
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody waits for the query.
struct Wanted(Arc<AtomicBool>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

fn open(path: &std::path::Path, busy: Duration) -> Result<Connection, CallError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(said)?;
    connection.busy_timeout(busy).map_err(said)?;
    Ok(connection)
}

fn ask(connection: &Connection, bound: &Bound) -> Result<Vec<Row>, CallError> {
    let mut statement = connection.prepare_cached(&bound.text).map_err(said)?;
    let values = params_from_iter(bound.values.iter().map(Parameter));
    let mut answer = statement.query(values).map_err(said_of_values)?;
    let mut rows = Rows::default();
    let mut columns: Vec<(Arc<str>, Declared)> = Vec::new();
    while let Some(row) = answer.next().map_err(said_of_values)? {
        // only now: an altered table is planned anew by the first step
        if columns.is_empty() {
            let declared = |column: &Column<'_>| Declared::of(column.decl_type().unwrap_or_default());
            columns = row.as_ref().columns().map(|column| (column.name().into(), declared(&column))).collect();
        }
        let mut values = Vec::with_capacity(columns.len());
        let mut bytes = 0;
        for (i, (name, declared)) in columns.iter().enumerate() {
            let raw = row.get_ref(i).map_err(said_of_values)?;
            bytes += raw.as_bytes_or_null().ok().flatten().map_or(8, <[u8]>::len);
            values.push((name.clone(), json(*declared, raw)));
        }
        rows.push(values, bytes)?;
    }
    Ok(rows.into_vec())
}

/// What a column's declaration says beyond SQLite's own types.
#[derive(Clone, Copy)]
enum Declared {
    Bool,
    Json,
    Other,
}

impl Declared {
    fn of(text: &str) -> Self {
        match text.to_ascii_uppercase().as_str() {
            "BOOL" | "BOOLEAN" => Self::Bool,
            "JSON" => Self::Json,
            _ => Self::Other,
        }
    }
}

fn json(declared: Declared, value: ValueRef<'_>) -> Json {
    match (value, declared) {
        (ValueRef::Null | ValueRef::Blob(_), _) => Json::Null,
        (ValueRef::Integer(number @ 0..=1), Declared::Bool) => (number == 1).into(),
        (ValueRef::Integer(number), _) => number.into(),
        (ValueRef::Real(number), _) => float(number),
        (ValueRef::Text(text), declared) => {
            let text = String::from_utf8_lossy(text);
            let parsed = matches!(declared, Declared::Json).then(|| serde_json::from_str(&text).ok()).flatten();
            parsed.unwrap_or_else(|| text.into())
        }
    }
}

struct Parameter<'a>(&'a Option<Value>);

impl ToSql for Parameter<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        use rusqlite::types::Value as Raw;
        Ok(ToSqlOutput::Owned(match self.0 {
            None => Raw::Null,
            Some(Value::Int(number)) => Raw::Integer(*number),
            Some(Value::Bool(yes)) => Raw::Integer(i64::from(*yes)),
            Some(other) => other.to_text().map_or(Raw::Null, |text| Raw::Text(text.into_owned())),
        }))
    }
}

/// SQLite's error in our words. Before a statement has its values its messages name tables and
/// columns.
fn said(error: rusqlite::Error) -> CallError {
    let words = match &error {
        rusqlite::Error::SqliteFailure(_, message) => message.clone().unwrap_or_default(),
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        _ => String::new(),
    };
    complaint(&error, words)
}

/// Once it has them, they stay out: full-text search, for one, quotes what it cannot read.
fn said_of_values(error: rusqlite::Error) -> CallError {
    complaint(&error, "while it ran".into())
}

fn complaint(error: &rusqlite::Error, words: String) -> CallError {
    let Some(code) = error.sqlite_error_code() else {
        return Complaint { code: "sqlite".into(), words }.failed(Failure::Rejected);
    };
    let complaint = Complaint { code: format!("{code:?}"), words };
    match code {
        ErrorCode::OperationInterrupted | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            complaint.failed(Failure::Timeout)
        }
        ErrorCode::TooBig | ErrorCode::TypeMismatch | ErrorCode::ParameterOutOfRange => Skip::Invalid.into(),
        ErrorCode::Unknown
        | ErrorCode::PermissionDenied
        | ErrorCode::ReadOnly
        | ErrorCode::AuthorizationForStatementDenied => complaint.failed(Failure::Rejected),
        _ => complaint.failed(Failure::Unreachable),
    }
}
