//! What every engine must do as a source: parameters only, cancellation, limits, recovery.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use caller_context::domain::{Failure, NameId, Names, Phone, Skip, Spelling, Value};
use caller_context::manifest::diagnostic::{Diagnostics, Files, Origin};
use caller_context::manifest::plan::{Breaker, Limits, Pool, Source, SqlEngine, SqlUpstream, Upstream};
use caller_context::manifest::reading::Row;
use caller_context::manifest::scope::{Need, Scope};
use caller_context::manifest::sql::{Bound, Statement};
use caller_context::manifest::template::{Env, Maps};
use caller_context::manifest::tree::{Content, Node};
use caller_context::source::CallError;
use caller_context::source::sql::SqlPool;
use serde_json::{Value as Json, json};
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use crate::chaos::ChaosProxy;
use crate::database::{Result, TestDatabase, until};

crate::on_engines! {
    postgres {
        hostile_values_stay_values, a_list_of_any_length_finds_its_rows, the_published_customer_lookup,
        a_dropped_query_is_cancelled, an_exhausted_pool_skips, a_bounded_queue_turns_away, a_slow_statement_ends,
        a_cut_connection_recovers, a_dead_server_is_unreachable, too_large_an_answer_is_unreadable,
        a_missing_table_is_rejected, a_strange_database_is_rejected, without_named_statements,
        an_altered_table_is_planned_anew, plain_text_is_no_substitute_for_tls,
    }
    mysql {
        hostile_values_stay_values, a_list_of_any_length_finds_its_rows, the_published_customer_lookup,
        a_dropped_query_is_cancelled, an_exhausted_pool_skips, a_bounded_queue_turns_away, a_slow_statement_ends,
        a_cut_connection_recovers, a_dead_server_is_unreachable, too_large_an_answer_is_unreadable,
        a_missing_table_is_rejected, a_strange_database_is_rejected, without_named_statements,
        an_altered_table_is_planned_anew, plain_text_is_no_substitute_for_tls,
    }
    sqlite {
        hostile_values_stay_values, a_list_of_any_length_finds_its_rows, the_published_customer_lookup,
        a_dropped_query_is_cancelled, an_exhausted_pool_skips, a_bounded_queue_turns_away, a_slow_statement_ends,
        too_large_an_answer_is_unreadable, a_missing_table_is_rejected, a_strange_database_is_rejected,
        an_altered_table_is_planned_anew,
    }
}

const HOSTILE: &[&str] = &[
    "O'Brien",
    "'; DROP TABLE people; --",
    "\" OR \"\"=\"",
    "1) OR (1=1",
    "\\",
    "\\'",
    "%",
    "_",
    "$1 $$ ? :phone @x",
    "{phone} {{",
    "/* */ -- #",
    "line\nbreak\r\ttab",
    "Zoë 😀 \u{202e}",
    "null",
    " ",
];

pub fn settings() -> Pool {
    Pool {
        max: 10,
        acquire_timeout: Duration::from_secs(3),
        statement_timeout: Duration::from_secs(5),
        queue: 0,
        prepared: true,
        tls: false,
    }
}

fn upstream(engine: SqlEngine, url: &str, pool: Pool) -> SqlUpstream {
    SqlUpstream { engine, url: url.to_owned().into(), pool }
}

pub fn open(database: &TestDatabase, pool: Pool) -> Result<SqlPool> {
    Ok(SqlPool::open(&upstream(database.engine, &database.url, pool), &TaskTracker::new())?)
}

/// Compiles a statement as an operation would and binds it.
pub fn bound(
    engine: SqlEngine,
    sql: &str,
    phones: &[Phone],
    spellings: &[Spelling],
    values: &[(&str, Value)],
) -> Result<Bound> {
    let diagnostics = Diagnostics::default();
    let (names, files, maps) = (RefCell::new(Names::default()), Files::default(), Maps::default());
    let scope = Scope {
        source: "db",
        sources: &[],
        config_file: None,
        names: &names,
        files: &files,
        diagnostics: &diagnostics,
        variables: &[],
        maps: &maps,
        tables: None,
        version: None,
        base_url: None,
        headers: None,
        records: None,
        errors: None,
    };
    let origin = Origin { file: 0, start: 0, end: 1 };
    let needs = ["phone", "email", "customer_id", "name", "tags", "last_contact", "contact_count", "vip"];
    let needs: Vec<Need> = needs.iter().filter_map(|need| scope.need(need, origin)).collect();
    let node = Node { value: Content::Text(sql.into()), origin };
    let statement = Statement::compile(&node, engine, &needs, &scope);
    let Some(statement) = statement else { return Err(format!("{:?}", diagnostics.into_list()).into()) };
    let id = |name: &str| names.borrow().get(name);
    let values: Vec<(NameId, Value)> = values.iter().filter_map(|(n, v)| Some((id(n)?, v.clone()))).collect();
    let source = source(upstream(engine, "", settings()));
    let env = Env {
        get: &|name| values.iter().find(|(n, _)| *n == name).map(|(_, v)| v),
        source: &source,
        phones,
        spelling: None,
        emails: &[],
        now: jiff::Timestamp::UNIX_EPOCH,
    };
    Ok(statement.bind(&env, spellings))
}

fn source(upstream: SqlUpstream) -> Source {
    Source {
        name: "db".into(),
        connector: "sql".into(),
        upstream: Upstream::Sql(upstream),
        connected: true,
        essential: true,
        secondary_of: None,
        timeout: Duration::from_secs(2),
        fresh: Duration::ZERO,
        keep: Duration::ZERO,
        not_found: Duration::ZERO,
        limits: Limits { concurrency: 8, ..Limits::default() },
        breaker: Breaker::default(),
        defaults: Vec::new(),
        variables: Vec::new(),
        region: None,
        time_zone: jiff::tz::TimeZone::UTC,
        maps: Maps::default(),
        tables: Vec::new(),
    }
}

fn plain(sql: &str) -> Bound {
    Bound { text: sql.into(), values: Vec::new() }
}

/// Longer than any test lasts.
fn endless(engine: SqlEngine) -> Bound {
    plain(match engine {
        SqlEngine::Postgres => "SELECT pg_sleep(600)",
        // SLEEP notices by itself that nobody listens, BENCHMARK takes a KILL for its end
        SqlEngine::Mysql => {
            "SELECT count(*) FROM information_schema.columns a, information_schema.columns b, information_schema.columns c"
        }
        SqlEngine::Sqlite => "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
    })
}

/// How many endless queries the server is busy with, beside the one that asks.
async fn running(database: &TestDatabase, watcher: &SqlPool) -> Result<i64> {
    let sql = match database.engine {
        SqlEngine::Postgres => {
            "SELECT count(*) AS n FROM pg_stat_activity \
             WHERE datname = current_database() AND state = 'active' AND query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()"
        }
        _ => {
            "SELECT count(*) AS n FROM information_schema.processlist \
             WHERE db = database() AND info LIKE 'SELECT count(*) FROM information_schema.columns%' AND id <> connection_id()"
        }
    };
    let rows = watcher.query(&plain(sql)).await?;
    value(&rows, "n").as_i64().ok_or_else(|| "no count".into())
}

pub fn value(rows: &[Row], column: &str) -> Json {
    let first = rows.first().into_iter().flatten();
    first.filter(|(name, _)| &**name == column).map(|(_, value)| value.clone()).next().unwrap_or_default()
}

fn column(rows: &[Row], name: &str) -> Vec<Json> {
    rows.iter().flatten().filter(|(n, _)| &**n == name).map(|(_, value)| value.clone()).collect()
}

async fn hostile_values_stay_values(database: Arc<TestDatabase>) -> Result {
    database.execute("CREATE TABLE people (id INTEGER, name VARCHAR(200))").await?;
    let pool = open(&database, settings())?;
    for (i, text) in HOSTILE.iter().enumerate() {
        let literal = text.replace('\'', "''");
        let literal = if database.engine == SqlEngine::Mysql { literal.replace('\\', "\\\\") } else { literal };
        database.execute(&format!("INSERT INTO people VALUES ({i}, '{literal}')")).await?;
    }
    for (i, text) in HOSTILE.iter().enumerate() {
        let values = [("name", Value::text(text))];
        let echo = bound(database.engine, "SELECT :name AS echo", &[], &[], &values)?;
        assert_eq!(value(&pool.query(&echo).await?, "echo"), json!(text));
        let find = bound(database.engine, "SELECT id FROM people WHERE name = :name ORDER BY id", &[], &[], &values)?;
        assert_eq!(column(&pool.query(&find).await?, "id"), [json!(i)], "{text}");
        let tags = Value::List(Arc::new([Value::text(text), Value::text("nobody")]));
        let among = bound(database.engine, "SELECT id FROM people WHERE name IN (:tags)", &[], &[], &[("tags", tags)])?;
        assert_eq!(column(&pool.query(&among).await?, "id"), [json!(i)], "{text}");
    }
    let nul = bound(database.engine, "SELECT :name AS echo", &[], &[], &[("name", Value::text("a\0b"))])?;
    match (database.engine, pool.query(&nul).await) {
        (SqlEngine::Postgres, Err(CallError::Skipped(Skip::Invalid))) => {} // it has no such text
        (_, Ok(rows)) => assert_eq!(value(&rows, "echo"), json!("a\0b")),
        (_, other) => return Err(format!("{other:?}").into()),
    }
    let not_a_number = [("customer_id", Value::text("12abc"))];
    let find =
        bound(database.engine, "SELECT id FROM people WHERE id = :customer_id AND id = 12", &[], &[], &not_a_number)?;
    match (database.engine, pool.query(&find).await) {
        (SqlEngine::Postgres, Err(CallError::Skipped(Skip::Invalid))) => {}
        (SqlEngine::Sqlite, Ok(rows)) => assert!(rows.is_empty()),
        (SqlEngine::Mysql, Ok(_)) => {} // compares as numbers: a key column that is a number wants a cast
        (_, other) => return Err(format!("{other:?}").into()),
    }
    Ok(())
}

async fn a_list_of_any_length_finds_its_rows(database: Arc<TestDatabase>) -> Result {
    database.execute("CREATE TABLE people (id INTEGER, name VARCHAR(20))").await?;
    for i in 0..40 {
        database.execute(&format!("INSERT INTO people VALUES ({i}, 'n{i}')")).await?;
    }
    let pool = open(&database, settings())?;
    for sql in [
        "SELECT id FROM people WHERE name IN (:tags) ORDER BY id",
        "SELECT id FROM people WHERE name = ANY(:tags) ORDER BY id",
        "SELECT id FROM people WHERE id >= :contact_count AND name IN (:tags) AND id >= :contact_count ORDER BY id",
    ] {
        for length in [0, 1, 2, 3, 5, 8, 33] {
            let tags: Vec<Value> = (0..length).map(|i| Value::text(format!("n{i}"))).collect();
            let values = [("tags", Value::List(tags.into())), ("contact_count", Value::Int(0))];
            let rows = pool.query(&bound(database.engine, sql, &[], &[], &values)?).await?;
            assert_eq!(column(&rows, "id"), (0..length).map(Json::from).collect::<Vec<_>>(), "{sql}");
        }
    }
    Ok(())
}

/// The lookup of the published function: a customer by either number, with the account beside.
async fn the_published_customer_lookup(database: Arc<TestDatabase>) -> Result {
    for sql in [
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, name VARCHAR(50), phone VARCHAR(20), mobile VARCHAR(20))",
        "CREATE TABLE customer_accounts (customer_id INTEGER, status VARCHAR(20), last_visit DATE)",
        "INSERT INTO customers VALUES (1, 'Ada', '+14155550142', NULL), (2, 'Bob', NULL, '4155550143'), (3, 'Eve', 'x', 'y')",
        "INSERT INTO customer_accounts VALUES (1, 'active', '2026-03-01')",
    ] {
        database.execute(sql).await?;
    }
    let pool = open(&database, settings())?;
    let sql = "SELECT c.*, ca.status, ca.last_visit FROM customers c \
               LEFT JOIN customer_accounts ca ON ca.customer_id = c.id \
               WHERE c.phone = :phone OR c.mobile = :phone__national LIMIT 1;";
    for (number, name, status, visit) in [
        ("+14155550142", json!("Ada"), json!("active"), json!("2026-03-01")),
        ("+14155550143", json!("Bob"), Json::Null, Json::Null),
        ("+14155550199", Json::Null, Json::Null, Json::Null),
    ] {
        let phone = Phone::parse(number, None).ok_or("a number")?;
        let rows = pool.query(&bound(database.engine, sql, &[phone], &[], &[])?).await?;
        let found = ["name", "status", "last_visit"].map(|column| value(&rows, column));
        assert_eq!(found, [name, status, visit], "{number}");
    }
    let phone = Phone::parse("+14155550143", None).ok_or("a number")?;
    let sql = "SELECT id FROM customers WHERE phone IN (:phones) OR mobile = ANY(:phones)";
    let spellings = [Spelling::E164, Spelling::National, Spelling::NationalFormat];
    let rows = pool.query(&bound(database.engine, sql, &[phone], &spellings, &[])?).await?;
    assert_eq!(column(&rows, "id"), [json!(2)]);
    Ok(())
}

async fn a_dropped_query_is_cancelled(database: Arc<TestDatabase>) -> Result {
    let statement_timeout = Duration::from_secs(300); // so that only the cancellation can end it
    let acquire_timeout = Duration::from_millis(500);
    let pool = Arc::new(open(&database, Pool { max: 1, statement_timeout, acquire_timeout, ..settings() })?);
    let watcher = open(&database, settings())?;
    let mut queries = JoinSet::new();
    let (task, engine) = (pool.clone(), database.engine);
    queries.spawn(async move { task.query(&endless(engine)).await });
    if engine == SqlEngine::Sqlite {
        let taken = async || Ok(matches!(pool.query(&plain("SELECT 1")).await, Err(CallError::Skipped(Skip::Limited))));
        until("its seat is taken", taken).await?;
    } else {
        until("the query runs", async || Ok(running(&database, &watcher).await? == 1)).await?;
    }
    queries.shutdown().await;
    if engine != SqlEngine::Sqlite {
        until("the query is gone", async || Ok(running(&database, &watcher).await? == 0)).await?;
    }
    // its only seat is free again, and the answer is this query's
    let next = plain("SELECT 7 AS n");
    until("the pool answers", async || match pool.query(&next).await {
        Ok(rows) => Ok(value(&rows, "n") == json!(7)),
        Err(CallError::Skipped(Skip::Limited)) => Ok(false),
        Err(error) => Err(error.into()),
    })
    .await
}

async fn an_exhausted_pool_skips(database: Arc<TestDatabase>) -> Result {
    let acquire_timeout = Duration::from_millis(300);
    let pool = Arc::new(open(&database, Pool { max: 2, acquire_timeout, ..settings() })?);
    let mut queries = JoinSet::new();
    for _ in 0..2 {
        let (task, engine) = (pool.clone(), database.engine);
        queries.spawn(async move { task.query(&endless(engine)).await });
    }
    until("both seats are taken", async || {
        Ok(matches!(pool.query(&plain("SELECT 1")).await, Err(CallError::Skipped(Skip::Limited))))
    })
    .await?;
    queries.shutdown().await;
    until("seats are free", async || Ok(pool.query(&plain("SELECT 1")).await.is_ok())).await
}

async fn a_bounded_queue_turns_away(database: Arc<TestDatabase>) -> Result {
    // nobody waits long enough to be let in
    let acquire_timeout = Duration::from_secs(60);
    let pool = Arc::new(open(&database, Pool { max: 1, queue: 1, acquire_timeout, ..settings() })?);
    let mut queries = JoinSet::new();
    for _ in 0..3 {
        let (task, engine) = (pool.clone(), database.engine);
        queries.spawn(async move { task.query(&endless(engine)).await });
    }
    // one is seated, one waits, and the third is turned away at once
    let first = queries.join_next().await.ok_or("a query ended")??;
    assert!(matches!(first, Err(CallError::Skipped(Skip::Limited))), "{first:?}");
    assert_eq!(queries.len(), 2);
    Ok(())
}

async fn a_slow_statement_ends(database: Arc<TestDatabase>) -> Result {
    let statement_timeout = Duration::from_millis(100);
    let pool = open(&database, Pool { max: 1, statement_timeout, ..settings() })?;
    for _ in 0..2 {
        let answer = pool.query(&endless(database.engine)).await;
        assert!(matches!(answer, Err(CallError::Failed(Failure::Timeout, _))), "{answer:?}");
    }
    assert!(pool.query(&plain("SELECT 1")).await.is_ok());
    Ok(())
}

async fn a_cut_connection_recovers(database: Arc<TestDatabase>) -> Result {
    let proxy = ChaosProxy::to(database.address()?).await?;
    let upstream = upstream(database.engine, &database.url_by(proxy.port)?, Pool { max: 1, ..settings() });
    let pool = Arc::new(SqlPool::open(&upstream, &TaskTracker::new())?);
    let watcher = open(&database, settings())?;
    pool.query(&plain("SELECT 1")).await?;

    let mut queries = JoinSet::new();
    let (task, engine) = (pool.clone(), database.engine);
    queries.spawn(async move { task.query(&endless(engine)).await });
    until("the query runs", async || Ok(running(&database, &watcher).await? == 1)).await?;
    proxy.cut();
    let answer = queries.join_next().await.ok_or("a query")??;
    assert!(matches!(answer, Err(CallError::BrokeOff(_))), "{answer:?}");
    until("it works again", async || Ok(pool.query(&plain("SELECT 1")).await.is_ok())).await?;

    // cut while it lies idle: at most the one query that finds out breaks off
    proxy.cut();
    match pool.query(&plain("SELECT 1")).await {
        Ok(_) | Err(CallError::BrokeOff(_)) => {}
        Err(other) => return Err(other.into()),
    }
    pool.query(&plain("SELECT 1")).await?;

    proxy.refuse(true);
    proxy.cut();
    until("it is unreachable", async || match pool.query(&plain("SELECT 1")).await {
        Err(CallError::Failed(Failure::Unreachable, _)) => Ok(true),
        Ok(_) | Err(CallError::BrokeOff(_)) => Ok(false),
        Err(other) => Err(other.into()),
    })
    .await?;
    proxy.refuse(false);
    pool.query(&plain("SELECT 1")).await?;
    assert!(proxy.accepted() > 2);
    Ok(())
}

async fn a_dead_server_is_unreachable(database: Arc<TestDatabase>) -> Result {
    let port = ChaosProxy::to(database.address()?).await?.port; // closed again
    let upstream = upstream(database.engine, &database.url_by(port)?, settings());
    let answer = SqlPool::open(&upstream, &TaskTracker::new())?.query(&plain("SELECT 1")).await;
    assert!(matches!(answer, Err(CallError::Failed(Failure::Unreachable, _))), "{answer:?}");
    Ok(())
}

async fn too_large_an_answer_is_unreadable(database: Arc<TestDatabase>) -> Result {
    let pool = open(&database, Pool { max: 1, ..settings() })?;
    let rows = |n: u32| {
        format!("WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < {n}) SELECT i FROM n")
    };
    assert_eq!(pool.query(&plain(&rows(1_000))).await?.len(), 1_000);
    let long = match database.engine {
        SqlEngine::Sqlite => "SELECT printf('%.*c', 2000000, 'x') AS x",
        _ => "SELECT REPEAT('x', 2000000) AS x",
    };
    for sql in [rows(1_001), rows(100_000), long.into()] {
        let answer = pool.query(&plain(&sql)).await;
        match (database.engine, answer) {
            (_, Err(CallError::Failed(Failure::Unreadable, _))) => {}
            // MariaDB stops a recursion of its own accord at max_recursive_iterations
            (SqlEngine::Mysql, Ok(rows)) if rows.len() == 1_000 => {}
            (_, other) => return Err(format!("{sql}: {:?}", other.map(|rows| rows.len())).into()),
        }
        until("the pool answers", async || Ok(pool.query(&plain("SELECT 1")).await.is_ok())).await?;
    }
    Ok(())
}

async fn a_missing_table_is_rejected(database: Arc<TestDatabase>) -> Result {
    database.execute("CREATE TABLE people (id INTEGER)").await?;
    let pool = open(&database, settings())?;
    for sql in ["SELECT * FROM nowhere", "SELECT nothing FROM people", "SELECT FROM WHERE"] {
        let Err(CallError::Failed(Failure::Rejected, Some(cause))) = pool.query(&plain(sql)).await else {
            return Err(format!("{sql} was not rejected").into());
        };
        assert!(cause.to_string().len() > "the database said ".len(), "{cause}");
    }
    assert!(pool.query(&plain("SELECT 1")).await.is_ok());
    Ok(())
}

async fn a_strange_database_is_rejected(database: Arc<TestDatabase>) -> Result {
    let (url, failure) = match database.engine {
        // not there: it is not made
        SqlEngine::Sqlite => ("sqlite:/nowhere/at/all.db".to_owned(), Failure::Unreachable),
        _ => {
            let mut url = url::Url::parse(&database.url)?;
            url.set_path("no_such_database");
            (url.into(), Failure::Rejected)
        }
    };
    let upstream = upstream(database.engine, &url, settings());
    match SqlPool::open(&upstream, &TaskTracker::new())?.query(&plain("SELECT 1")).await {
        Err(CallError::Failed(found, _)) => assert_eq!(found, failure),
        other => return Err(format!("{other:?}").into()),
    }
    for bad in ["", "hunter2", "sqlite:", "http://hunter2/db"] {
        let upstream = self::upstream(database.engine, bad, settings());
        match SqlPool::open(&upstream, &TaskTracker::new()) {
            Err(error) => assert!(!error.to_string().contains("hunter2")),
            Ok(_) => return Err(format!("{bad} was taken for a URL").into()),
        }
    }
    Ok(())
}

/// As behind a transaction pooler.
async fn without_named_statements(database: Arc<TestDatabase>) -> Result {
    database.execute("CREATE TABLE people (id BIGINT, name VARCHAR(20), score NUMERIC(6,2))").await?;
    database.execute("INSERT INTO people VALUES (1, 'Ada', 12.50), (2, 'Bob', NULL)").await?;
    let statement_timeout = Duration::from_millis(200);
    let pool = open(&database, Pool { max: 1, prepared: false, statement_timeout, ..settings() })?;
    let sql = "SELECT id, score FROM people WHERE id = :contact_count AND name IN (:tags)";
    let tags = Value::List(Arc::new([Value::text("Ada"), Value::text("Bob")]));
    for (id, score) in [(1, json!("12.50")), (2, Json::Null)] {
        let values = [("contact_count", Value::Int(id)), ("tags", tags.clone())];
        let rows = pool.query(&bound(database.engine, sql, &[], &[], &values)?).await?;
        assert_eq!((value(&rows, "id"), value(&rows, "score")), (json!(id), score));
        let slow = pool.query(&endless(database.engine)).await;
        assert!(matches!(slow, Err(CallError::Failed(Failure::Timeout, _))), "{slow:?}");
    }
    if database.engine == SqlEngine::Postgres {
        let left = "SELECT count(*) AS n FROM pg_prepared_statements";
        assert_eq!(value(&pool.query(&plain(left)).await?, "n"), json!(0));
    }
    Ok(())
}

async fn an_altered_table_is_planned_anew(database: Arc<TestDatabase>) -> Result {
    database.execute("CREATE TABLE people (id INTEGER)").await?;
    database.execute("INSERT INTO people VALUES (1)").await?;
    let pool = open(&database, Pool { max: 1, ..settings() })?;
    let all = plain("SELECT * FROM people");
    pool.query(&all).await?;
    database.execute("ALTER TABLE people ADD COLUMN name VARCHAR(10) DEFAULT 'new'").await?;
    let rows = match pool.query(&all).await {
        Err(CallError::BrokeOff(_)) => pool.query(&all).await?, // the engine asks once more
        answer => answer?,
    };
    assert_eq!(value(&rows, "name"), json!("new"));
    Ok(())
}

/// The private servers have no certificate.
async fn plain_text_is_no_substitute_for_tls(database: Arc<TestDatabase>) -> Result {
    let answer = open(&database, Pool { tls: true, ..settings() })?.query(&plain("SELECT 1")).await;
    assert!(matches!(answer, Err(CallError::Failed(Failure::Unreachable, _))), "{answer:?}");
    Ok(())
}
