//! Whole gateways whose databases restart, hang, are full or turn them away. Calls are answered all
//! the time, `/readyz` and the metrics say what is wrong, and the audit log is whole afterwards.

#![expect(clippy::indexing_slicing, reason = "a member that is not there is null, and a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use caller_context::app::{App, KeysFrom};
use caller_context::clock::Clock;
use caller_context::config::{Config, Layers, load};
use caller_context::domain::Organization;
use caller_context::manifest::plan::SqlEngine;
use caller_context::store::audit::{AuditLog, Chain, Entry, Filter};
use caller_context::store::{Database, keys};
use secrecy::ExposeSecret as _;
use serde_json::Value as Json;
use tokio_util::task::TaskTracker;

use crate::chaos::ChaosProxy;
use crate::database::{Result, execute, until};
use crate::server::Server;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const PEOPLE: &str = "CREATE TABLE people (phone VARCHAR(20), name VARCHAR(40)); \
                      INSERT INTO people VALUES ('nobody', 'Ann Lee')";

/// A gateway with its store at one place and a database of people at another.
struct Gateway {
    app: Option<App>,
    client: reqwest::Client,
    config: Arc<Config>,
    key: String,
    calls: u32,
    _folder: tempfile::TempDir,
}

impl Gateway {
    /// With `more` configuration; the people are in SQLite.
    async fn start(store: &str, more: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let people = format!("sqlite:{}", folder.path().join("people.db").display());
        execute(SqlEngine::Sqlite, &people, PEOPLE).await?;
        Self::with_people(folder, store, "sqlite", &people, "", more).await
    }

    async fn with_people(
        folder: tempfile::TempDir,
        store: &str,
        connector: &str,
        people: &str,
        of_source: &str,
        more: &str,
    ) -> Result<Self> {
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[store]\nurl = \"env:STORE\"\nkey = \"env:KEY\"\n\
             [limits]\nmisses_per_key = 100000\nmisses_per_organization = 100000\nmisses_per_number = 100000\n\
             [sources.people]\nconnector = \"{connector}\"\nurl = \"env:PEOPLE\"\n{of_source}\
             [sources.people.lookup.person]\nneeds = [\"phone\"]\nexact = true\n\
             sql = \"SELECT name FROM people WHERE phone <> :phone\"\nprovides.name = \"name\"\n{more}"
        );
        let layers = Layers::text(&config).with("STORE", store).with("KEY", KEY).with("PEOPLE", people);
        let config = Arc::new(load(&layers).map_err(|invalid| invalid.to_string())?.config);
        let database = Database::open(&config.store, &TaskTracker::new()).await?;
        let now = Clock::system().now();
        let made = keys::create(&database, &Organization::single(), "admin", now, None).await?;
        drop(database);
        let app = App::start(config.clone(), KeysFrom::Store, Clock::system()).await?;
        let key = made.key.expose_secret().to_owned();
        Ok(Self { app: Some(app), client: client()?, config, key, calls: 0, _folder: folder })
    }

    fn app(&self) -> Result<&App> {
        self.app.as_ref().ok_or_else(|| "it was shut down".into())
    }

    fn url(&self, path: &str) -> Result<String> {
        Ok(format!("http://{}{path}", self.app()?.address))
    }

    /// One call after the other, each its own row of the audit log. The flow is always answered.
    async fn call(&mut self, from: &str) -> Result<Json> {
        let sid = format!("CA{}", self.calls);
        let form = [("From", from), ("CallSid", &sid), ("deadline_ms", "9000")];
        let request = self.client.post(self.url("/api/studio/context")?).bearer_auth(&self.key).form(&form);
        let answer = request.send().await?;
        assert_eq!(answer.status(), 200);
        self.calls += 1;
        Ok(answer.json().await?)
    }

    /// A call from a number that did not call before: the source has to be asked.
    async fn call_anew(&mut self) -> Result<Json> {
        self.call(&format!("+1415555{:04}", self.calls)).await
    }

    /// Calls of Ann's, who is known under every number.
    async fn calls(&mut self, count: u32) -> Result {
        for _ in 0..count {
            let answer = self.call("+14155550142").await?;
            assert_eq!(answer["caller_name"], "Ann Lee", "{answer}");
        }
        Ok(())
    }

    async fn ready(&self) -> Result<(u16, Json)> {
        let answer = self.client.get(self.url("/readyz")?).send().await?;
        Ok((answer.status().as_u16(), answer.json().await?))
    }

    /// Waits until `/readyz` names this trouble of the audit log.
    async fn until_audit_fails(&self, reason: &str) -> Result {
        let failing = async || Ok(self.ready().await?.1["audit"]["reason"] == reason);
        until(&format!("the audit log fails: {reason}"), failing).await?;
        let metrics = self.client.get(self.url("/metrics")?).send().await?.text().await?;
        assert!(metrics.contains("caller_context_store_failing{part=\"audit\"} 1"), "{metrics}");
        let (status, ready) = self.ready().await?;
        let strict = self.config.audit.strict;
        let expected = if strict { (503, "audit_failing") } else { (200, "degraded") };
        assert_eq!((status, ready["status"].as_str().unwrap_or_default()), expected, "{ready}");
        Ok(())
    }

    async fn until_ready(&self) -> Result {
        let well = async || {
            let ready = self.ready().await?.1;
            Ok(ready["status"] == "ready" && ready["audit"]["waiting"] == 0)
        };
        until("it is well, and everything is written", well).await?;
        let (_, ready) = self.ready().await?;
        assert_eq!((&ready["audit"]["status"], &ready["keys"]["status"]), (&"ok".into(), &"ok".into()), "{ready}");
        let metrics = self.client.get(self.url("/metrics")?).send().await?.text().await?;
        for line in ["store_failing{part=\"audit\"} 0", "store_failing{part=\"keys\"} 0", "audit_lost_total 0"] {
            assert!(metrics.contains(&format!("caller_context_{line}")), "{line}: {metrics}");
        }
        Ok(())
    }

    /// Shuts down and reads the log by another way: every call is in it once, in order.
    async fn every_call_is_in_the_log(mut self, store: &str) -> Result {
        let calls: Vec<String> = (0..self.calls).map(|n| format!("CA{n}")).collect();
        let app = self.app.take().ok_or("it was shut down")?;
        app.shutdown().await;
        let rows = logged(&self.config, store).await?;
        let logged: Vec<_> = rows.iter().map(|row| row.call_sid.clone().unwrap_or_default()).collect();
        assert_eq!(logged, calls);
        assert!(rows.iter().all(|row| row.count == 1));
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "the client of a test asks the gateway, not a vendor")]
fn client() -> Result<reqwest::Client> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder().build()?)
}

/// All rows, oldest first; their chain is whole.
async fn logged(config: &Config, store: &str) -> Result<Vec<Entry>> {
    let settings = caller_context::config::Store { url: store.to_owned().into(), ..config.store.clone() };
    let store = Database::open(&settings, &TaskTracker::new()).await?;
    let log = AuditLog::start(store, &config.audit, Clock::system(), &TaskTracker::new());
    let organization = Organization::single();
    let mut rows = log.search(&organization, &Filter { limit: 1_000, ..Filter::default() }).await?;
    assert_eq!(log.verify(&organization).await?, Chain::Whole { rows: i64::try_from(rows.len())? });
    log.close().await;
    rows.reverse();
    Ok(rows)
}

/// A store of its own on a server of its own.
async fn postgres(test: &str, settings: &[&str]) -> Result<Option<Server>> {
    Server::start(SqlEngine::Postgres, test, settings).await
}

mod postgres {
    use super::*;

    #[tokio::test]
    async fn a_store_restarts() -> Result {
        let Some(mut server) = super::postgres("postgres::a_store_restarts", &[]).await? else { return Ok(()) };
        let mut gateway = Gateway::start(&server.url(), "").await?;
        gateway.calls(5).await?;
        gateway.until_ready().await?;
        for _ in 0..2 {
            server.stop()?;
            gateway.calls(20).await?;
            gateway.until_audit_fails("unreachable").await?;
            let keys = async || Ok(gateway.ready().await?.1["keys"]["reason"] == "unreachable");
            until("it is known that keys cannot be read", keys).await?;
            assert_eq!(gateway.ready().await?.1["audit"]["waiting"], 20);
            gateway.calls(1).await?;
            server.start_again().await?;
            gateway.until_ready().await?;
        }
        gateway.every_call_is_in_the_log(&server.url()).await
    }

    /// Nothing is closed and nothing answered, in the middle of commits too. Then it goes on; then
    /// it hangs again, and the gateway can be shut down all the same.
    #[tokio::test]
    async fn a_store_hangs() -> Result {
        let Some(server) = super::postgres("postgres::a_store_hangs", &[]).await? else { return Ok(()) };
        let proxy = ChaosProxy::to(server.address()).await?;
        let by_proxy = server.url().replace(&server.address(), &format!("127.0.0.1:{}", proxy.port));
        let mut gateway = Gateway::start(&by_proxy, "").await?;
        gateway.calls(5).await?;
        proxy.hang(true);
        gateway.calls(10).await?;
        gateway.until_audit_fails("timeout").await?;
        proxy.hang(false);
        gateway.until_ready().await?;
        gateway.calls(5).await?;
        gateway.until_ready().await?;
        proxy.hang(true);
        let kept = gateway.calls;
        gateway.calls(3).await?;
        let app = gateway.app.take().ok_or("it runs")?;
        let audit = app.audit.clone();
        app.shutdown().await;
        assert_eq!(audit.health().lost, 3, "said, not passed over");
        let rows = logged(&gateway.config, &server.url()).await?;
        let calls: Vec<_> = rows.iter().filter_map(|row| row.call_sid.clone()).collect();
        assert_eq!(calls, (0..kept).map(|n| format!("CA{n}")).collect::<Vec<_>>());
        Ok(())
    }

    /// The connection is cut in the middle of whatever goes on, again and again.
    #[tokio::test]
    async fn a_store_is_cut_off_and_refuses() -> Result {
        let Some(server) = super::postgres("postgres::a_store_is_cut_off_and_refuses", &[]).await? else {
            return Ok(());
        };
        let proxy = ChaosProxy::to(server.address()).await?;
        let by_proxy = server.url().replace(&server.address(), &format!("127.0.0.1:{}", proxy.port));
        let mut gateway = Gateway::start(&by_proxy, "[audit]\nflush = \"1ms\"\n").await?;
        for n in 0..40 {
            gateway.calls(3).await?;
            if n % 4 == 3 {
                proxy.swallow_the_answer_to(b"COMMIT");
            }
            proxy.cut();
        }
        proxy.refuse(true);
        proxy.cut();
        gateway.calls(3).await?;
        gateway.until_audit_fails("unreachable").await?;
        proxy.refuse(false);
        gateway.until_ready().await?;
        gateway.every_call_is_in_the_log(&server.url()).await
    }

    /// Others have taken every connection.
    #[tokio::test]
    async fn a_store_has_no_connection_left() -> Result {
        let settings = ["max_connections=12", "superuser_reserved_connections=3"];
        let Some(server) = super::postgres("postgres::a_store_has_no_connection_left", &settings).await? else {
            return Ok(());
        };
        server.execute("CREATE ROLE gateway LOGIN").await?;
        server.execute("CREATE DATABASE store OWNER gateway").await?;
        let url = format!("postgres://gateway@{}/store", server.address());
        let mut gateway = Gateway::start(&url, "").await?;
        gateway.calls(5).await?;
        let (held, tracker) = (tokio::sync::Mutex::new(Vec::new()), TaskTracker::new());
        let taken = async || {
            // whatever the gateway has is taken from it, and whatever is free is taken
            server
                .execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'caller-context'",
                )
                .await?;
            while let Ok((other, connection)) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await {
                held.lock().await.push((other, tracker.spawn(connection)));
            }
            Ok(gateway.ready().await?.1["keys"]["reason"] == "limited")
        };
        until("there is no connection", taken).await?;
        gateway.calls(10).await?;
        gateway.until_audit_fails("limited").await?;
        held.lock().await.clear();
        gateway.until_ready().await?;
        gateway.every_call_is_in_the_log(&url).await
    }

    #[tokio::test]
    async fn a_disk_is_full() -> Result {
        let test = "postgres::a_disk_is_full";
        let Some(server) = super::postgres(test, &[]).await? else { return Ok(()) };
        let Some(disk) = SmallDisk::mount(test, "48m")? else { return Ok(()) };
        std::os::unix::fs::chown(disk.path(), Some(65_534), Some(65_534))?;
        server.execute(&format!("CREATE TABLESPACE small LOCATION '{}'", disk.path().display())).await?;
        server.execute("CREATE DATABASE store TABLESPACE small").await?;
        let url = format!("postgres://postgres@{}/store", server.address());
        let mut gateway = Gateway::start(&url, "").await?;
        gateway.calls(5).await?;
        gateway.until_ready().await?;
        disk.fill()?;
        gateway.calls(100).await?;
        // a page has room for some rows yet
        let full =
            async |gateway: &Gateway| -> Result<bool> { Ok(gateway.ready().await?.1["audit"]["reason"] == "full") };
        for _ in 0..20 {
            if full(&gateway).await? {
                break;
            }
            gateway.calls(100).await?;
        }
        gateway.until_audit_fails("full").await?;
        gateway.calls(5).await?;
        disk.free()?;
        gateway.until_ready().await?;
        let calls = gateway.calls;
        gateway.app.take().ok_or("it runs")?.shutdown().await;
        assert!(logged_up_to(&gateway.config, &url).await? == calls);
        // before the disk under the server goes
        server.execute("DROP DATABASE store WITH (FORCE)").await
    }

    #[tokio::test]
    async fn a_source_has_a_bad_day() -> Result {
        super::a_source_has_a_bad_day(SqlEngine::Postgres).await
    }

    /// In strict mode nothing is delivered that cannot be noted, and nothing noted that was not
    /// delivered.
    #[tokio::test]
    async fn strict_mode_refuses_while_the_store_is_away() -> Result {
        let test = "postgres::strict_mode_refuses_while_the_store_is_away";
        let Some(mut server) = super::postgres(test, &[]).await? else { return Ok(()) };
        let mut gateway = Gateway::start(&server.url(), "[audit]\nstrict = true\n").await?;
        gateway.calls(5).await?;
        let delivered = gateway.calls;
        server.stop()?;
        let refused = gateway.call("+14155550142").await?;
        assert_eq!((&refused["lookup_status"], &refused["caller_name"]), (&"failed".into(), &"Unknown".into()));
        gateway.until_audit_fails("unreachable").await?;
        let agent = gateway.client.get(gateway.url("/api/context?phone=%2B14155550142")?).bearer_auth(&gateway.key);
        let agent = agent.send().await?;
        assert_eq!(agent.status(), 503);
        assert_eq!(agent.json::<Json>().await?["code"], "store-unavailable");
        server.start_again().await?;
        // nobody asks a gateway that is not ready: it finds out by itself
        gateway.until_ready().await?;
        gateway.calls(1).await?;
        gateway.app.take().ok_or("it runs")?.shutdown().await;
        let rows = logged(&gateway.config, &server.url()).await?;
        assert_eq!(rows.len(), usize::try_from(delivered)? + 1, "{rows:?}");
        Ok(())
    }

    /// More calls than the buffer has room for: what is lost is counted and shown, the rest is kept.
    #[tokio::test]
    async fn an_overflow_is_shown() -> Result {
        let Some(mut server) = super::postgres("postgres::an_overflow_is_shown", &[]).await? else { return Ok(()) };
        let mut gateway = Gateway::start(&server.url(), "[audit]\nbuffer = 100\n").await?;
        server.stop()?;
        gateway.calls(125).await?;
        gateway.until_audit_fails("unreachable").await?;
        let ready = gateway.ready().await?.1;
        assert_eq!((&ready["audit"]["lost"], &ready["audit"]["waiting"]), (&25.into(), &100.into()), "{ready}");
        server.start_again().await?;
        let written = async || Ok(gateway.ready().await?.1["audit"]["waiting"] == 0);
        until("the rest is written", written).await?;
        let ready = gateway.ready().await?.1;
        assert_eq!((&ready["status"], &ready["audit"]["reason"]), (&"degraded".into(), &"overflow".into()), "{ready}");
        gateway.app.take().ok_or("it runs")?.shutdown().await;
        let calls: Vec<_> =
            logged(&gateway.config, &server.url()).await?.into_iter().filter_map(|r| r.call_sid).collect();
        assert_eq!(calls, (0..100).map(|n| format!("CA{n}")).collect::<Vec<_>>());
        Ok(())
    }
}

mod mysql {
    use super::*;

    #[tokio::test]
    async fn a_source_has_a_bad_day() -> Result {
        super::a_source_has_a_bad_day(SqlEngine::Mysql).await
    }
}

mod sqlite {
    use super::*;

    #[tokio::test]
    async fn a_disk_is_full() -> Result {
        let Some(disk) = SmallDisk::mount("sqlite::a_disk_is_full", "1m")? else { return Ok(()) };
        let url = format!("sqlite:{}", disk.path().join("store.db").display());
        let mut gateway = Gateway::start(&url, "").await?;
        gateway.calls(5).await?;
        gateway.until_ready().await?;
        disk.fill()?;
        gateway.calls(50).await?;
        gateway.until_audit_fails("full").await?;
        assert_eq!(gateway.ready().await?.1["keys"]["status"], "ok", "what is there can be read");
        gateway.calls(5).await?;
        disk.free()?;
        gateway.until_ready().await?;
        gateway.calls(5).await?;
        gateway.every_call_is_in_the_log(&url).await
    }
}

/// How many calls are in the log; all of them in order, and no other.
async fn logged_up_to(config: &Config, store: &str) -> Result<u32> {
    let settings = caller_context::config::Store { url: store.to_owned().into(), ..config.store.clone() };
    let store = Database::open(&settings, &TaskTracker::new()).await?;
    let log = AuditLog::start(store, &config.audit, Clock::system(), &TaskTracker::new());
    let (organization, mut after, mut calls) = (Organization::single(), None, Vec::new());
    assert!(matches!(log.verify(&organization).await?, Chain::Whole { .. }));
    loop {
        let page = log.search(&organization, &Filter { limit: 1_000, after, ..Filter::default() }).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.number);
        calls.extend(page.into_iter().filter_map(|row| row.call_sid));
    }
    log.close().await;
    calls.reverse();
    let expected: Vec<_> = (0..calls.len()).map(|n| format!("CA{n}")).collect();
    assert_eq!(calls, expected);
    Ok(u32::try_from(calls.len())?)
}

/// A database of people restarts, is cut off in the middle of a query, hangs, and refuses. Its absence
/// has a reason each time, and it is asked again when it is well.
async fn a_source_has_a_bad_day(engine: SqlEngine) -> Result {
    let (test, connector) = match engine {
        SqlEngine::Postgres => ("postgres::a_source_has_a_bad_day", "postgres"),
        _ => ("mysql::a_source_has_a_bad_day", "mysql"),
    };
    let Some(mut server) = Server::start(engine, test, &[]).await? else { return Ok(()) };
    for statement in PEOPLE.split("; ") {
        server.execute(statement).await?;
    }
    let proxy = ChaosProxy::to(server.address()).await?;
    let people = server.url().replace(&server.address(), &format!("127.0.0.1:{}", proxy.port));
    let folder = tempfile::tempdir()?;
    let store = format!("sqlite:{}", folder.path().join("store.db").display());
    let more = "[lookup.breaker]\nprobe_after = \"1s\"\nprobe_max = \"1s\"\n";
    let mut gateway = Gateway::with_people(folder, &store, connector, &people, "timeout = \"1s\"\n", more).await?;
    let expect = |answer: &Json, reasons: &[&str]| {
        let missing = answer["missing"].as_str().unwrap_or_default();
        assert!(reasons.iter().any(|reason| missing.contains(&format!("caller_name:{reason}"))), "{answer}");
    };
    gateway.calls(1).await?;
    for _ in 0..2 {
        server.stop()?;
        for _ in 0..8 {
            expect(&gateway.call_anew().await?, &["unreachable", "tripped", "timeout"]);
        }
        let tripped = async || Ok(gateway.ready().await?.1["sources"][0]["breaker"] != "passing");
        until("it is left alone", tripped).await?;
        server.start_again().await?;
        healed(&mut gateway).await?;
    }
    proxy.hang(true);
    expect(&gateway.call_anew().await?, &["timeout"]);
    proxy.hang(false);
    healed(&mut gateway).await?;
    for n in 0..20 {
        proxy.cut();
        let answer = gateway.call_anew().await?;
        let known = answer["caller_name"] == "Ann Lee";
        assert!(known || answer["lookup_status"] == "failed", "{n}: {answer}");
    }
    healed(&mut gateway).await?;
    proxy.refuse(true);
    proxy.cut();
    expect(&gateway.call_anew().await?, &["unreachable", "tripped"]);
    assert_eq!(gateway.ready().await?.1["status"], "ready", "it answers without its source");
    proxy.refuse(false);
    healed(&mut gateway).await?;
    gateway.every_call_is_in_the_log(&store).await
}

/// Calls until Ann is known again.
async fn healed(gateway: &mut Gateway) -> Result {
    for _ in 0..500 {
        if gateway.call_anew().await?["caller_name"] == "Ann Lee" {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err("it never healed".into())
}

/// A disk that can be filled: a tmpfs, which takes root. Unmounted when dropped.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    fn mount(test: &str, size: &str) -> Result<Option<Self>> {
        let folder = tempfile::tempdir()?;
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"]).arg(folder.path());
        if !mount.output()?.status.success() {
            std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("SKIPPED: {test} needs the right to mount a tmpfs: run ./test as root\n"),
            )?;
            return Ok(None);
        }
        Ok(Some(Self { folder }))
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// To the last byte.
    fn fill(&self) -> Result {
        let mut filler = std::fs::File::create(self.filler())?;
        for size in [64 * 1024, 4096] {
            while std::io::Write::write_all(&mut filler, &vec![0; size]).is_ok() {}
        }
        Ok(())
    }

    fn free(&self) -> Result {
        Ok(std::fs::remove_file(self.filler())?)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}
