//! The store in PostgreSQL, shared by several gateways.

use std::error::Error as StdError;
use std::str::FromStr as _;
use std::time::Duration;

use bytes::BytesMut;
use deadpool_postgres::{Manager, Object, Pool, Runtime};
use tokio_postgres::config::SslMode;
use tokio_postgres::types::{IsNull, ToSql, Type};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::task::TaskTracker;

use super::Error;
use super::database::{Datum, Row};

const CONNECTIONS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a statement may take: a server that hangs must not hold up those who wait.
const ANSWER: Duration = Duration::from_secs(5);

pub(super) struct Postgres {
    pool: Pool,
    tracker: TaskTracker,
}

pub(super) struct Transaction {
    lease: Lease,
}

/// A connection that goes back to the pool only when nothing is under way on it.
struct Lease {
    connection: Option<Object>,
    tracker: TaskTracker,
}

impl Postgres {
    pub(super) fn open(url: &str, tracker: &TaskTracker) -> Result<Self, Error> {
        let mut config = tokio_postgres::Config::from_str(url).map_err(|_| Error::Url)?;
        if config.get_hosts().is_empty() {
            return Err(Error::Url);
        }
        let secure = config.get_ssl_mode() == SslMode::Require;
        config.ssl_mode(if secure { SslMode::Require } else { SslMode::Disable });
        config.application_name("caller-context").connect_timeout(PATIENCE);
        let tls = MakeRustlsConnect::new(crate::tls::client_config().ok_or(Error::Unavailable)?);
        let pool = Pool::builder(Manager::new(config, tls))
            .max_size(CONNECTIONS)
            .wait_timeout(Some(PATIENCE))
            .create_timeout(Some(PATIENCE))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|_| Error::Url)?;
        Ok(Self { pool, tracker: tracker.clone() })
    }

    pub(super) async fn query(&self, sql: &str, values: &[Datum]) -> Result<Vec<Row>, Error> {
        let lease = self.lease().await?;
        let rows = lease.query(sql, values).await?;
        lease.give_back();
        Ok(rows)
    }

    pub(super) async fn begin(&self) -> Result<Transaction, Error> {
        let lease = self.lease().await?;
        in_time(lease.client()?.batch_execute("BEGIN")).await?;
        Ok(Transaction { lease })
    }

    async fn lease(&self) -> Result<Lease, Error> {
        Ok(Lease { connection: Some(self.pool.get().await?), tracker: self.tracker.clone() })
    }
}

impl Transaction {
    pub(super) async fn query(&mut self, sql: &'static str, values: &[Datum]) -> Result<Vec<Row>, Error> {
        self.lease.query(sql, values).await
    }

    /// All rows travel together; the first that fails fails all.
    pub(super) async fn execute_all(&mut self, sql: &'static str, rows: &[Vec<Datum>]) -> Result<u64, Error> {
        let client = self.lease.client()?;
        let statement = in_time(client.prepare_cached(sql)).await?;
        let each = rows.iter().map(|values| client.execute_raw(&statement, values));
        Ok(in_time(futures_util::future::try_join_all(each)).await?.iter().sum())
    }

    /// Migrations, and waiting for those of others, take the time they take.
    pub(super) async fn batch(&mut self, sql: &'static str) -> Result<(), Error> {
        Ok(self.lease.client()?.batch_execute(sql).await?)
    }

    pub(super) async fn commit(self) -> Result<(), Error> {
        in_time(self.lease.client()?.batch_execute("COMMIT")).await?;
        self.lease.give_back();
        Ok(())
    }
}

impl Lease {
    fn client(&self) -> Result<&Object, Error> {
        self.connection.as_ref().ok_or(Error::Unavailable)
    }

    async fn query(&self, sql: &str, values: &[Datum]) -> Result<Vec<Row>, Error> {
        let client = self.client()?;
        let statement = in_time(client.prepare_cached(sql)).await?;
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as &(dyn ToSql + Sync)).collect();
        in_time(client.query(&statement, &values)).await?.iter().map(row).collect()
    }

    fn give_back(mut self) {
        drop(self.connection.take());
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        // left in the middle: closing it rolls back, cancelling frees its locks at once
        let cancel = connection.cancel_token();
        drop(Object::take(connection));
        self.tracker.spawn(async move {
            if let Some(tls) = crate::tls::client_config() {
                let _ = tokio::time::timeout(PATIENCE, cancel.cancel_query(MakeRustlsConnect::new(tls))).await;
            }
        });
    }
}

async fn in_time<T>(asked: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, Error> {
    Ok(tokio::time::timeout(ANSWER, asked).await.map_err(|_| Error::Slow)??)
}

fn row(row: &tokio_postgres::Row) -> Result<Row, Error> {
    let datum = |i: usize| {
        Ok(match row.columns().get(i).map(|column| column.type_().clone()) {
            Some(Type::INT8) => row.try_get::<_, Option<i64>>(i)?.into(),
            Some(Type::INT4) => row.try_get::<_, Option<i32>>(i)?.map(i64::from).into(),
            _ => row.try_get::<_, Option<String>>(i)?.into(),
        })
    };
    Ok(Row((0..row.len()).map(datum).collect::<Result<_, tokio_postgres::Error>>()?))
}

impl ToSql for Datum {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(number) => number.to_sql(ty, out),
            Self::Text(text) => (&**text).to_sql(ty, out),
        }
    }

    fn accepts(ty: &Type) -> bool {
        <i64 as ToSql>::accepts(ty) || <String as ToSql>::accepts(ty)
    }

    fn to_sql_checked(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(number) => number.to_sql_checked(ty, out),
            Self::Text(text) => (&**text).to_sql_checked(ty, out),
        }
    }
}
