//! MySQL and MariaDB as a source: connections, cancellation, and their types as JSON values.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use jiff::tz::TimeZone;
use mysql_async::Value as Raw;
use mysql_async::consts::{ColumnFlags, ColumnType};
use mysql_async::prelude::Queryable as _;
use mysql_async::{Column, Conn, Opts, OptsBuilder, Params, PoolConstraints, PoolOpts, SslOpts};
use secrecy::ExposeSecret as _;
use serde_json::Value as Json;
use tokio_util::task::TaskTracker;

use super::CallError;
use super::sql::{BadUrl, Complaint, Rows, Seat, float};
use crate::domain::{Failure, Skip, Value};
use crate::manifest::plan::SqlUpstream;
use crate::manifest::reading::Row;
use crate::manifest::sql::Bound;

/// The collation number of columns that hold bytes, not text.
const BINARY: u16 = 63;
/// What MariaDB reports as the length of LONGTEXT, and so of its JSON.
const LONGTEXT: u32 = u32::MAX;

pub(super) struct Pool {
    connections: mysql_async::Pool,
    opts: Opts,
    acquire_timeout: Duration,
    tracker: TaskTracker,
}

impl Pool {
    pub(super) fn open(upstream: &SqlUpstream, tracker: &TaskTracker) -> Result<Self, BadUrl> {
        let settings = &upstream.pool;
        let opts = Opts::from_url(upstream.url.expose_secret())
            .map_err(|_| BadUrl("expected mysql://user:password@host:port/database"))?;
        let constraints = PoolConstraints::new(0, settings.max.max(1)).ok_or(BadUrl("its pool has no room"))?;
        let mut builder = OptsBuilder::from_opts(opts)
            // lookups leave nothing behind, and a reset costs as much as a query
            .pool_opts(PoolOpts::default().with_constraints(constraints).with_reset_connection(false))
            .prefer_socket(false)
            .init(vec![session(settings.statement_timeout)]);
        if !settings.prepared {
            builder = builder.stmt_cache_size(0);
        }
        if settings.tls {
            // the driver takes the process's provider; whoever installed one before wins
            let _ = rustls::crypto::ring::default_provider().install_default();
            builder = builder.ssl_opts(SslOpts::default());
        }
        let opts = Opts::from(builder);
        Ok(Self {
            connections: mysql_async::Pool::new(opts.clone()),
            opts,
            acquire_timeout: settings.acquire_timeout,
            tracker: tracker.clone(),
        })
    }

    pub(super) async fn query(&self, bound: &Bound, seat: Seat) -> Result<Vec<Row>, CallError> {
        let connected = tokio::time::timeout(self.acquire_timeout, self.connections.get_conn()).await;
        let connection = match connected {
            Ok(connected) => connected.map_err(not_connected)?,
            Err(elapsed) => return Err(CallError::failed(Failure::Unreachable, elapsed)),
        };
        let mut running = Running { connection: Some(connection), seat: Some(seat), pool: self };
        let Some(connection) = &mut running.connection else { return Err(Failure::Unreachable.into()) };
        let answer = ask(connection, bound).await;
        if !matches!(answer, Err(Ended::Here(_))) {
            running.finished();
        }
        answer.map_err(|ended| match ended {
            Ended::AtServer(error) | Ended::Here(error) => error,
        })
    }
}

/// Times are UTC, and the server gives up by itself. Each of the two products reads its own
/// comment and skips the other's: MariaDB runs `/*M!`, and no `/*!` from 50700 to 99999.
fn session(timeout: Duration) -> String {
    let (seconds, millis) = (timeout.as_secs_f64(), timeout.as_millis());
    format!(
        "SET time_zone = '+00:00' /*M!100101 , max_statement_time = {seconds} */ /*!50708 , max_execution_time = {millis} */"
    )
}

async fn ask(connection: &mut Conn, bound: &Bound) -> Result<Vec<Row>, Ended> {
    let values = bound.values.iter().map(|value| parameter(value.as_ref())).collect();
    let values = if bound.values.is_empty() { Params::Empty } else { Params::Positional(values) };
    let mut answer = connection.exec_iter(&*bound.text, values).await.map_err(ended)?;
    let mut rows = Rows::default();
    if let Some(mut stream) = answer.stream::<mysql_async::Row>().await.map_err(ended)? {
        let columns = stream.columns();
        let names: Vec<Arc<str>> = columns.iter().map(|column| column.name_str().as_ref().into()).collect();
        while let Some(row) = stream.try_next().await.map_err(ended)? {
            let raw = row.unwrap_raw().into_iter().map(|value| value.unwrap_or(Raw::NULL));
            let mut bytes = 0;
            let cells = names.iter().zip(columns.iter()).zip(raw);
            let values = cells
                .map(|((name, column), value)| {
                    bytes += size(&value);
                    (name.clone(), json(column, value))
                })
                .collect();
            rows.push(values, bytes).map_err(Ended::Here)?;
        }
    }
    answer.drop_result().await.map_err(ended)?;
    Ok(rows.into_vec())
}

/// A query on its way. Dropped before its end, it is killed at the server; connection and seat are
/// free when that is done.
struct Running<'a> {
    connection: Option<Conn>,
    seat: Option<Seat>,
    pool: &'a Pool,
}

impl Running<'_> {
    fn finished(&mut self) {
        self.connection = None;
        self.seat = None;
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let (Some(connection), seat) = (self.connection.take(), self.seat.take()) else { return };
        let (opts, patience) = (self.pool.opts.clone(), self.pool.acquire_timeout);
        self.pool.tracker.spawn(async move {
            if let Ok(Err(_)) | Err(_) = tokio::time::timeout(patience, kill(opts, connection.id())).await {
                tracing::debug!("a dropped query could not be killed; the server's own timeout ends it");
            }
            // its answer may still be on the wire: the connection is closed, not returned
            let _ = tokio::time::timeout(patience, connection.disconnect()).await;
            drop(seat);
        });
    }
}

async fn kill(opts: Opts, id: u32) -> mysql_async::Result<()> {
    let mut connection = Conn::new(opts).await?;
    connection.query_drop(format!("KILL QUERY {id}")).await?;
    connection.disconnect().await
}

/// How a query ended that brought no rows.
enum Ended {
    /// The server is done with it.
    AtServer(CallError),
    /// We stopped reading, or cannot tell where in the answer we are.
    Here(CallError),
}

fn ended(error: mysql_async::Error) -> Ended {
    match error {
        mysql_async::Error::Server(_) => Ended::AtServer(said(error)),
        other => Ended::Here(said(other)),
    }
}

fn not_connected(error: mysql_async::Error) -> CallError {
    match said(error) {
        CallError::BrokeOff(cause) | CallError::Failed(Failure::Unreadable, cause) => {
            CallError::Failed(Failure::Unreachable, cause)
        }
        other => other,
    }
}

/// A server's or connection's error in our words. Only messages about rights, tables and syntax
/// are kept: others quote values.
fn said(error: mysql_async::Error) -> CallError {
    use mysql_async::{DriverError, Error};
    let server = match error {
        Error::Server(server) => server,
        Error::Io(io) => return CallError::BrokeOff(Some(Box::new(io))),
        Error::Driver(DriverError::ConnectionClosed) => {
            return Complaint { code: "closed".into(), words: "the connection is closed".into() }.broke_off();
        }
        Error::Driver(DriverError::PoolDisconnected) => return Failure::Unreachable.into(),
        _ => return Failure::Unreadable.into(),
    };
    let speaks = matches!(server.code, 1040..=1049 | 1054 | 1064 | 1142..=1146 | 1203 | 1226 | 1227 | 1305 | 1698);
    let words = if speaks { server.message } else { server.state.clone() };
    let complaint = Complaint { code: server.code.to_string(), words };
    match server.code {
        // max_execution_time (MySQL), max_statement_time (MariaDB), KILL QUERY, a lock
        3024 | 1969 | 1317 | 1205 => complaint.failed(Failure::Timeout),
        1040 | 1203 | 1226 => complaint.failed(Failure::Limited { retry_after: None }),
        1053 | 1077 | 1079 | 1158..=1161 | 1927 => complaint.broke_off(),
        // text that the column's character set or type cannot hold
        1267 | 1270 | 1271 | 1366 | 3854 | 3988 => Skip::Invalid.into(),
        _ if server.state.starts_with("22") => Skip::Invalid.into(),
        _ if server.state.starts_with("08") || server.state.starts_with("40") => complaint.failed(Failure::Unreachable),
        _ => complaint.failed(Failure::Rejected),
    }
}

fn parameter(value: Option<&Value>) -> Raw {
    let Some(value) = value else { return Raw::NULL };
    match value {
        Value::Int(number) => Raw::Int(*number),
        Value::Bool(yes) => Raw::Int(i64::from(*yes)),
        Value::Time(time) => moment(time.to_zoned(TimeZone::UTC).datetime()),
        Value::Date(date) => moment(date.to_datetime(jiff::civil::Time::midnight())),
        other => other.to_text().map_or(Raw::NULL, |text| Raw::Bytes(text.as_bytes().to_vec())),
    }
}

fn moment(at: jiff::civil::DateTime) -> Raw {
    let part = |n: i8| u8::try_from(n).unwrap_or_default();
    let year = u16::try_from(at.year()).unwrap_or_default();
    let micros = u32::try_from(at.subsec_nanosecond() / 1_000).unwrap_or_default();
    Raw::Date(year, part(at.month()), part(at.day()), part(at.hour()), part(at.minute()), part(at.second()), micros)
}

fn size(value: &Raw) -> usize {
    match value {
        Raw::Bytes(bytes) => bytes.len(),
        _ => 8,
    }
}

/// A value on its way out. Types without a JSON form are null, and so are dates of zeros.
fn json(column: &Column, value: Raw) -> Json {
    match value {
        Raw::NULL => Json::Null,
        Raw::Int(number) if is_bool(column) && (0..=1).contains(&number) => (number == 1).into(),
        Raw::Int(number) => number.into(),
        Raw::UInt(number) => number.into(),
        Raw::Float(number) => number.to_string().parse().map_or(Json::Null, float),
        Raw::Double(number) => float(number),
        Raw::Date(year, month, day, hour, minute, second, micros) => {
            civil(year, [month, day, hour, minute, second], micros).map_or(Json::Null, |at| {
                match column.column_type() {
                    ColumnType::MYSQL_TYPE_DATE | ColumnType::MYSQL_TYPE_NEWDATE => at.date().to_string().into(),
                    // stored as a moment; the session reads it in UTC
                    ColumnType::MYSQL_TYPE_TIMESTAMP | ColumnType::MYSQL_TYPE_TIMESTAMP2 => {
                        at.to_zoned(TimeZone::UTC).map_or(Json::Null, |at| at.timestamp().to_string().into())
                    }
                    _ => at.to_string().into(),
                }
            })
        }
        Raw::Time(false, 0, hour, minute, second, micros) => {
            civil(2000, [1, 1, hour, minute, second], micros).map_or(Json::Null, |at| at.time().to_string().into())
        }
        Raw::Time(..) => Json::Null,
        Raw::Bytes(bytes) => text(column, bytes),
    }
}

fn text(column: &Column, bytes: Vec<u8>) -> Json {
    match column.column_type() {
        ColumnType::MYSQL_TYPE_BIT => {
            let number = bytes.iter().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
            return if column.column_length() == 1 { (number == 1).into() } else { number.into() };
        }
        ColumnType::MYSQL_TYPE_JSON => return serde_json::from_slice(&bytes).unwrap_or_default(),
        ColumnType::MYSQL_TYPE_GEOMETRY => return Json::Null,
        // exact: as text, never through a float
        ColumnType::MYSQL_TYPE_DECIMAL | ColumnType::MYSQL_TYPE_NEWDECIMAL => {}
        _ if column.character_set() == BINARY => return Json::Null,
        _ => {}
    }
    // MariaDB's JSON is LONGTEXT
    if column.column_length() == LONGTEXT
        && bytes.starts_with(b"{") | bytes.starts_with(b"[")
        && let Ok(value) = serde_json::from_slice(&bytes)
    {
        return value;
    }
    String::from_utf8(bytes).map_or(Json::Null, Json::String)
}

/// BOOLEAN is TINYINT(1) to both products.
fn is_bool(column: &Column) -> bool {
    column.column_type() == ColumnType::MYSQL_TYPE_TINY
        && column.column_length() == 1
        && !column.flags().contains(ColumnFlags::UNSIGNED_FLAG)
}

fn civil(year: u16, [month, day, hour, minute, second]: [u8; 5], micros: u32) -> Option<jiff::civil::DateTime> {
    let part = |n: u8| i8::try_from(n).ok();
    jiff::civil::DateTime::new(
        i16::try_from(year).ok()?,
        part(month)?,
        part(day)?,
        part(hour)?,
        part(minute)?,
        part(second)?,
        i32::try_from(micros).ok()?.checked_mul(1_000)?,
    )
    .ok()
}
