//! PostgreSQL as a source: connections, cancellation, and its types as JSON values.

use std::error::Error as StdError;
use std::fmt;
use std::pin::pin;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use deadpool_postgres::{Manager, Object, PoolError, Runtime};
use futures_util::TryStreamExt as _;
use secrecy::ExposeSecret as _;
use serde_json::Value as Json;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::{DbError, ErrorPosition, SqlState};
use tokio_postgres::types::{Format, FromSql, IsNull, Kind, ToSql, Type};
use tokio_postgres::{Client, RowStream};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::task::TaskTracker;

use super::CallError;
use super::sql::{BadUrl, Complaint, Rows, Seat, float};
use crate::domain::{Failure, Skip, Value};
use crate::manifest::plan::SqlUpstream;
use crate::manifest::reading::Row;
use crate::manifest::sql::Bound;

pub(super) struct Pool {
    connections: deadpool_postgres::Pool,
    tls: MakeRustlsConnect,
    prepared: bool,
    statement_timeout: Duration,
    acquire_timeout: Duration,
    tracker: TaskTracker,
}

impl Pool {
    pub(super) fn open(upstream: &SqlUpstream, tracker: &TaskTracker) -> Result<Self, BadUrl> {
        let settings = &upstream.pool;
        let mut config = tokio_postgres::Config::from_str(upstream.url.expose_secret())
            .ok()
            .filter(|config| !config.get_hosts().is_empty())
            .ok_or(BadUrl("expected postgres://user:password@host:port/database"))?;
        // anything but Require would fall back to plain text or refuse a self-signed server
        let secure = settings.tls || config.get_ssl_mode() == SslMode::Require;
        config.ssl_mode(if secure { SslMode::Require } else { SslMode::Disable });
        config.application_name("caller-context").connect_timeout(settings.acquire_timeout);
        if settings.prepared {
            let options = config.get_options().unwrap_or_default();
            let options = format!("{options} -c statement_timeout={}", settings.statement_timeout.as_millis());
            config.options(options.trim());
        }
        let tls = MakeRustlsConnect::new(crate::tls::client_config().ok_or(BadUrl("TLS cannot be set up"))?);
        let connections = deadpool_postgres::Pool::builder(Manager::new(config, tls.clone()))
            .max_size(settings.max.max(1))
            .create_timeout(Some(settings.acquire_timeout))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|_| BadUrl("no pool can be made of it"))?;
        Ok(Self {
            connections,
            tls,
            prepared: settings.prepared,
            statement_timeout: settings.statement_timeout,
            acquire_timeout: settings.acquire_timeout,
            tracker: tracker.clone(),
        })
    }

    pub(super) async fn query(&self, bound: &Bound, seat: Seat) -> Result<Vec<Row>, CallError> {
        let connection = self.connections.get().await.map_err(not_connected)?;
        let mut running = Running { connection: Some(connection), seat: Some(seat), pool: self };
        let Some(client) = &running.connection else { return Err(Failure::Unreachable.into()) };
        let answer = if self.prepared { prepared(client, bound).await } else { self.unprepared(client, bound).await };
        match answer {
            Ok(rows) => {
                running.finished();
                Ok(rows)
            }
            Err(Ended::AtServer(error)) => {
                running.finished();
                Err(error)
            }
            Err(Ended::StalePlan) => {
                // a table was altered: the plans of every connection are suspect
                self.connections.manager().statement_caches.clear();
                running.finished();
                Err(CallError::BrokeOff(None))
            }
            // rows may still be coming, or the server works on unheard
            Err(Ended::Here(error)) => Err(error),
        }
    }

    /// For poolers that give each transaction another connection: no named statement, and the
    /// timeout inside the transaction. The three commands travel together.
    async fn unprepared(&self, client: &Client, bound: &Bound) -> Result<Vec<Row>, Ended> {
        let begin = format!("BEGIN READ ONLY; SET LOCAL statement_timeout = {}", self.statement_timeout.as_millis());
        let query = async {
            let values = bound.values.iter().map(|value| (Parameter(value.as_ref()), Type::UNKNOWN));
            let stream = client.query_typed_raw(&bound.text, values).await.map_err(ended)?;
            collect(stream).await
        };
        let (begun, answer, committed) =
            tokio::join!(client.batch_execute(&begin), query, client.batch_execute("COMMIT"));
        begun.map_err(ended)?;
        let rows = answer?;
        committed.map_err(ended)?;
        Ok(rows)
    }
}

async fn prepared(client: &Object, bound: &Bound) -> Result<Vec<Row>, Ended> {
    let statement = client.prepare_cached(&bound.text).await.map_err(ended)?;
    let values = bound.values.iter().map(|value| Parameter(value.as_ref()));
    let stream = client.query_raw(&statement, values).await.map_err(|error| match stale(&error) {
        true => Ended::StalePlan,
        false => ended(error),
    })?;
    collect(stream).await
}

async fn collect(stream: RowStream) -> Result<Vec<Row>, Ended> {
    let mut stream = pin!(stream);
    let mut rows = Rows::default();
    let mut names: Vec<Arc<str>> = Vec::new();
    while let Some(row) = stream.try_next().await.map_err(ended)? {
        if names.is_empty() {
            names = row.columns().iter().map(|column| column.name().into()).collect();
        }
        let cell = |i| row.try_get::<_, Cell>(i).map_or(Json::Null, |cell| cell.0);
        let values = names.iter().enumerate().map(|(i, name)| (name.clone(), cell(i))).collect();
        rows.push(values, row.raw_size_bytes()).map_err(Ended::Here)?;
    }
    Ok(rows.into_vec())
}

/// A query on its way. Dropped before its end, it is cancelled at the server; connection and seat
/// are free when that is done.
struct Running<'a> {
    connection: Option<Object>,
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
        let (cancel, tls, patience) = (connection.cancel_token(), self.pool.tls.clone(), self.pool.acquire_timeout);
        self.pool.tracker.spawn(async move {
            if let Ok(Err(_)) | Err(_) = tokio::time::timeout(patience, cancel.cancel_query(tls)).await {
                tracing::debug!("a dropped query could not be cancelled; its statement_timeout ends it");
            }
            // a late cancel must not hit the next query: the connection is closed, not returned
            drop(Object::take(connection));
            drop(seat);
        });
    }
}

/// How a query ended that brought no rows.
enum Ended {
    /// The server is done with it.
    AtServer(CallError),
    /// The server cannot use a prepared statement any more.
    StalePlan,
    /// We stopped reading, or can read no more.
    Here(CallError),
}

fn ended(error: tokio_postgres::Error) -> Ended {
    match error.as_db_error().is_some() {
        true => Ended::AtServer(said(error)),
        false => Ended::Here(said(error)),
    }
}

/// "cached plan must not change result type", or a pooler gave us another connection.
fn stale(error: &tokio_postgres::Error) -> bool {
    let codes = [SqlState::FEATURE_NOT_SUPPORTED, SqlState::INVALID_SQL_STATEMENT_NAME];
    error.code().is_some_and(|code| codes.contains(code))
}

fn not_connected(error: PoolError) -> CallError {
    match error {
        PoolError::Backend(error) => match said(error) {
            CallError::BrokeOff(cause) | CallError::Failed(Failure::Unreadable, cause) => {
                CallError::Failed(Failure::Unreachable, cause)
            }
            other => other,
        },
        other => CallError::failed(Failure::Unreachable, other),
    }
}

/// A server's or connection's error in our words.
fn said(error: tokio_postgres::Error) -> CallError {
    let Some(db) = error.as_db_error() else {
        if error.is_closed() || StdError::source(&error).is_some_and(|cause| cause.is::<std::io::Error>()) {
            return CallError::BrokeOff(Some(Box::new(error)));
        }
        return CallError::failed(Failure::Unreadable, error);
    };
    let code = db.code().code();
    let words = if speaks(db) { db.message().to_owned() } else { db.severity().to_owned() };
    let complaint = Complaint { code: code.to_owned(), words };
    match code {
        "57014" | "55P03" => complaint.failed(Failure::Timeout),
        "53300" => complaint.failed(Failure::Limited { retry_after: None }),
        "57P01" | "57P02" => complaint.broke_off(),
        _ if code.starts_with("22") => Skip::Invalid.into(),
        _ if ["08", "40", "53", "57", "58", "XX"].iter().any(|class| code.starts_with(class)) => {
            complaint.failed(Failure::Unreachable)
        }
        _ => complaint.failed(Failure::Rejected),
    }
}

/// Whether a message cannot quote a value: it is about access and resources, or it points into the
/// statement as it was written. "syntax error in tsquery" has the class of the latter and quotes
/// what was searched for; so does a value that is read as the name of a table.
fn speaks(error: &DbError) -> bool {
    let code = error.code().code();
    let of = |classes: &[&str]| classes.iter().any(|class| code.starts_with(class));
    of(&["28", "3D", "53", "57", "42501"])
        || of(&["42"]) && matches!(error.position(), Some(ErrorPosition::Original(_)))
}

/// A value on its way in, as text: the server reads it as what its statement compares it with.
struct Parameter<'a>(Option<&'a Value>);

impl fmt::Debug for Parameter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Parameter(..)") // the driver logs parameters at debug level
    }
}

impl ToSql for Parameter<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        let Some(value) = self.0 else { return Ok(IsNull::Yes) };
        match value {
            Value::List(items) => out.extend_from_slice(array(items).as_bytes()),
            other => match other.to_text() {
                Some(text) => out.extend_from_slice(text.as_bytes()),
                None => return Ok(IsNull::Yes),
            },
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    fn to_sql_checked(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        self.to_sql(ty, out)
    }
}

/// `{"a","b"}`: every element quoted, quotes and backslashes escaped.
fn array(items: &[Value]) -> String {
    let mut text = String::from("{");
    for item in items {
        if text.len() > 1 {
            text.push(',');
        }
        let Some(element) = item.to_text() else {
            text.push_str("NULL");
            continue;
        };
        text.push('"');
        for c in element.chars() {
            if matches!(c, '"' | '\\') {
                text.push('\\');
            }
            text.push(c);
        }
        text.push('"');
    }
    text.push('}');
    text
}

/// A value on its way out. Types without a JSON form are null.
struct Cell(Json);

impl<'a> FromSql<'a> for Cell {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(match *ty {
            Type::BOOL => bool::from_sql(ty, raw)?.into(),
            Type::INT2 => i16::from_sql(ty, raw)?.into(),
            Type::INT4 => i32::from_sql(ty, raw)?.into(),
            Type::INT8 => i64::from_sql(ty, raw)?.into(),
            Type::OID => u32::from_sql(ty, raw)?.into(),
            Type::FLOAT4 => float(f32::from_sql(ty, raw)?.to_string().parse()?),
            Type::FLOAT8 => float(f64::from_sql(ty, raw)?),
            // exact: as text, never through a float
            Type::NUMERIC => rust_decimal::Decimal::from_sql(ty, raw)?.to_string().into(),
            Type::JSON | Type::JSONB => Json::from_sql(ty, raw)?,
            Type::UUID => uuid::Uuid::from_sql(ty, raw)?.to_string().into(),
            Type::TIMESTAMPTZ => jiff::Timestamp::from_sql(ty, raw)?.to_string().into(),
            Type::TIMESTAMP => jiff::civil::DateTime::from_sql(ty, raw)?.to_string().into(),
            Type::DATE => jiff::civil::Date::from_sql(ty, raw)?.to_string().into(),
            Type::TIME => jiff::civil::Time::from_sql(ty, raw)?.to_string().into(),
            // padded with blanks by the server
            Type::BPCHAR => String::from_sql(&Type::TEXT, raw)?.trim_end().into(),
            Type::TEXT | Type::VARCHAR | Type::NAME | Type::UNKNOWN => String::from_sql(&Type::TEXT, raw)?.into(),
            _ => match ty.kind() {
                Kind::Domain(inner) => Self::from_sql(inner, raw)?.0,
                Kind::Enum(_) => String::from_sql(&Type::TEXT, raw)?.into(),
                Kind::Array(_) => {
                    let items = Vec::<Option<Cell>>::from_sql(ty, raw)?;
                    items.into_iter().map(|item| item.map_or(Json::Null, |cell| cell.0)).collect()
                }
                Kind::Simple if ty.name() == "citext" => String::from_sql(&Type::TEXT, raw)?.into(),
                _ => Json::Null,
            },
        }))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(Json::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
