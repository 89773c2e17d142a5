//! A database of its own for each test, on the engine that the test names. Servers come from
//! `TEST_POSTGRES_URL` and `TEST_MYSQL_URL`, which `./test` sets.

use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use caller_context::manifest::plan::SqlEngine;
use futures_util::FutureExt as _;
use mysql_async::prelude::Queryable as _;

pub type Failed = Box<dyn std::error::Error + Send + Sync>;
pub type Result<T = ()> = std::result::Result<T, Failed>;

/// An empty database. It is dropped when the test ends.
pub struct TestDatabase {
    pub engine: SqlEngine,
    pub url: String,
    server: Option<String>,
    name: String,
    _folder: tempfile::TempDir,
}

/// Runs `test` in a database of its own, or says that it is SKIPPED where there is no server.
pub async fn run<F: Future<Output = Result>>(
    engine: SqlEngine,
    test: &str,
    body: impl FnOnce(Arc<TestDatabase>) -> F,
) -> Result {
    let Some(database) = TestDatabase::create(engine, test).await? else { return Ok(()) };
    let database = Arc::new(database);
    let outcome = AssertUnwindSafe(body(database.clone())).catch_unwind().await;
    database.remove().await?;
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

impl TestDatabase {
    async fn create(engine: SqlEngine, test: &str) -> Result<Option<Self>> {
        let folder = tempfile::tempdir()?;
        let name = format!("test_{}", uuid::Uuid::new_v4().simple());
        let variable = match engine {
            SqlEngine::Sqlite => {
                let url = format!("sqlite:{}", folder.path().join("test.db").display());
                execute(engine, &url, "PRAGMA journal_mode = WAL").await?; // makes the file
                return Ok(Some(Self { engine, url, server: None, name, _folder: folder }));
            }
            SqlEngine::Postgres => "TEST_POSTGRES_URL",
            SqlEngine::Mysql => "TEST_MYSQL_URL",
        };
        let Ok(server) = std::env::var(variable) else {
            if std::env::var_os("TEST_REQUIRE_DATABASES").is_some() {
                return Err(format!("{test} needs {variable}").into());
            }
            // straight to the terminal: what a passing test prints is swallowed
            writeln!(std::io::stderr(), "SKIPPED: {test} needs {variable}; run ./test")?;
            return Ok(None);
        };
        let letters = if engine == SqlEngine::Mysql { "CHARACTER SET utf8mb4" } else { "" };
        execute(engine, &server, &format!("CREATE DATABASE {name} {letters}")).await?;
        let mut url = url::Url::parse(&server)?;
        url.set_path(&name);
        Ok(Some(Self { engine, url: url.into(), server: Some(server), name, _folder: folder }))
    }

    /// Runs statements; not what is tested, so each gets a connection of its own.
    pub async fn execute(&self, sql: &str) -> Result {
        execute(self.engine, &self.url, sql).await
    }

    /// The database's URL by way of another port: a proxy's.
    pub fn url_by(&self, port: u16) -> Result<String> {
        let mut url = url::Url::parse(&self.url)?;
        url.set_port(Some(port)).map_err(|()| "no port in this URL")?;
        Ok(url.into())
    }

    /// Where the server listens.
    pub fn address(&self) -> Result<String> {
        let url = url::Url::parse(&self.url)?;
        Ok(format!("{}:{}", url.host_str().ok_or("no host")?, url.port().ok_or("no port")?))
    }

    async fn remove(&self) -> Result {
        match &self.server {
            None => Ok(()),
            Some(server) if self.engine == SqlEngine::Postgres => {
                execute(self.engine, server, &format!("DROP DATABASE {} WITH (FORCE)", self.name)).await
            }
            Some(server) => execute(self.engine, server, &format!("DROP DATABASE {}", self.name)).await,
        }
    }
}

pub async fn execute(engine: SqlEngine, url: &str, sql: &str) -> Result {
    match engine {
        SqlEngine::Postgres => {
            let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
            let (done, _) = tokio::join!(
                async move {
                    let done = client.batch_execute(sql).await;
                    drop(client); // ends the connection beside it
                    done
                },
                connection
            );
            done?;
        }
        SqlEngine::Mysql => {
            let mut connection = mysql_async::Conn::new(mysql_async::Opts::from_url(url)?).await?;
            connection.query_drop(sql).await?;
            connection.disconnect().await?;
        }
        SqlEngine::Sqlite => {
            let path = url.strip_prefix("sqlite:").ok_or("no sqlite url")?;
            let (path, sql) = (path.to_owned(), sql.to_owned());
            // it may wait for a transaction that needs this thread to go on
            tokio::task::spawn_blocking(move || rusqlite::Connection::open(path)?.execute_batch(&sql)).await??;
        }
    }
    Ok(())
}

/// Asks until the answer is yes; an error when it is not within ten seconds.
pub async fn until<F: Future<Output = Result<bool>>>(what: &str, ask: impl Fn() -> F) -> Result {
    let polls = async {
        while !ask().await? {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        Ok(())
    };
    match tokio::time::timeout(std::time::Duration::from_secs(10), polls).await {
        Ok(outcome) => outcome,
        Err(_) => Err(format!("it never came about: {what}").into()),
    }
}

/// Makes a test of each function for each engine: `postgres::name`, `mysql::name`, `sqlite::name`.
#[macro_export]
macro_rules! on_engines {
    ($($engine:ident { $($name:ident),* $(,)? })*) => { $(
        mod $engine {
            $(
                #[tokio::test]
                async fn $name() -> $crate::database::Result {
                    let test = concat!(module_path!(), "::", stringify!($name));
                    $crate::database::run($crate::engine(stringify!($engine)), test, super::$name).await
                }
            )*
        }
    )* };
}
