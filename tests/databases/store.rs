//! Our own store: the same tests on SQLite and PostgreSQL.

use std::collections::BTreeSet;
use std::io::BufRead as _;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use caller_context::clock::Clock;
use caller_context::config;
use caller_context::domain::{Identity, Organization, Phone, Spent};
use caller_context::manifest::plan::SqlEngine;
use caller_context::store::audit::{AuditLog, Chain, Delivery, Entry, Filter};
use caller_context::store::keys::{self, Grant, Keys};
use caller_context::store::{Database, Error, spent};
use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::chaos::ChaosProxy;
use crate::database::{Result, TestDatabase, until};

crate::on_engines! {
    sqlite {
        a_key_is_good_until_it_expires_or_is_revoked, nothing_secret_is_stored, equal_deliveries_are_one_row,
        counts_add_up_under_load, strict_is_on_disk, a_search_finds_its_own_rows_only, an_edit_is_named,
        old_rows_go_and_the_chain_holds, an_overflow_is_counted, a_failing_store_is_caught_up_with,
        gateways_share_a_chain, a_store_is_opened_again, a_sealed_caller_opens_only_in_its_place, killed_in_strict_mode,
        lives_share_a_budget, a_key_file_is_made_and_guarded, rows_of_an_earlier_release_are_read,
    }
    postgres {
        a_key_is_good_until_it_expires_or_is_revoked, nothing_secret_is_stored, equal_deliveries_are_one_row,
        counts_add_up_under_load, strict_is_on_disk, a_search_finds_its_own_rows_only, an_edit_is_named,
        old_rows_go_and_the_chain_holds, an_overflow_is_counted, a_failing_store_is_caught_up_with,
        gateways_share_a_chain, a_store_is_opened_again, a_sealed_caller_opens_only_in_its_place, killed_in_strict_mode,
        lives_share_a_budget, rows_of_an_earlier_release_are_read, a_cut_commit_is_written_once, cuts_anywhere_lose_nothing,
    }
}

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn settings(url: &str) -> config::Store {
    config::Store { url: url.to_owned().into(), key: Some(KEY.to_owned().into()), key_file: "/nowhere/key".into() }
}

async fn store(database: &TestDatabase) -> Result<Database> {
    Ok(Database::open(&settings(&database.url), &TaskTracker::new()).await?)
}

fn audit() -> config::Audit {
    let (flush, keep) = (Duration::from_millis(100), Duration::from_secs(365 * 86_400));
    config::Audit { strict: false, flush, buffer: 10_000, keep }
}

fn start(store: &Database, settings: &config::Audit) -> AuditLog {
    AuditLog::start(store.clone(), settings, Clock::system(), &TaskTracker::new())
}

fn organization(name: &str) -> Result<Organization> {
    Organization::parse(name).ok_or_else(|| "a name".into())
}

/// A delivery about the `n`th caller.
fn delivery(organization: &Organization, n: u32) -> Result<Delivery> {
    let phone = Phone::parse(&format!("+1415555{:04}", n % 10_000), None).ok_or("a number")?;
    Ok(Delivery {
        organization: organization.clone(),
        reader: "k1".into(),
        view: "basic".into(),
        surface: "context",
        identity: Some(Identity::Phone(phone)),
        call_sid: Some(format!("CA{}", n / 10).into()),
        sources: Arc::new(["crm".into()]),
        fields: Arc::new(["name".into(), "email".into()]),
        lookup_status: "complete",
    })
}

/// All rows, oldest first.
async fn all(log: &AuditLog, organization: &Organization) -> Result<Vec<Entry>> {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let after = entries.last().map(|entry| entry.number);
        let page = log.search(organization, &Filter { limit: 1_000, after, ..Filter::default() }).await?;
        if page.is_empty() {
            entries.reverse();
            return Ok(entries);
        }
        entries.extend(page);
    }
}

fn sum(entries: &[Entry]) -> i64 {
    entries.iter().map(|entry| entry.count).sum()
}

/// Everything in the store, as text.
async fn dump(database: &TestDatabase) -> Result<String> {
    if database.engine == SqlEngine::Sqlite {
        let path = database.url.strip_prefix("sqlite:").ok_or("a path")?;
        let wal = std::fs::read(format!("{path}-wal")).unwrap_or_default();
        return Ok(String::from_utf8_lossy(&[std::fs::read(path)?, wal].concat()).into_owned());
    }
    let pool = crate::sources::open(database, crate::sources::settings())?;
    let mut text = String::new();
    for table in ["api_keys", "audit", "audit_chains"] {
        let bound = crate::sources::bound(database.engine, &format!("SELECT * FROM {table}"), &[], &[], &[])?;
        text.push_str(&format!("{:?}", pool.query(&bound).await?));
    }
    Ok(text)
}

async fn a_key_is_good_until_it_expires_or_is_revoked(database: Arc<TestDatabase>) -> Result {
    let (store, tracker, stop) = (store(&database).await?, TaskTracker::new(), CancellationToken::new());
    let organization = organization("acme")?;
    let now: Timestamp = "2026-03-01T12:00:00Z".parse()?;
    let later = now + jiff::SignedDuration::from_hours(1);
    let keys = Keys::watch(store.clone(), &tracker, stop.clone()).await?;
    assert!(keys.is_empty(now));

    let lasting = keys::create(&store, &organization, "admin", now, None).await?;
    let passing = keys::create(&store, &organization, "studio", now, Some(later)).await?;
    until("keys are noticed", async || Ok(keys.verify(passing.key.expose_secret(), || now).is_some())).await?;
    let grant = Grant { key_id: lasting.id.clone(), organization: organization.clone(), view: "admin".into() };
    assert_eq!(keys.verify(lasting.key.expose_secret(), || now), Some(grant));
    assert!(keys.verify(passing.key.expose_secret(), || later).is_none(), "expired");

    let good = lasting.key.expose_secret();
    let (id, secret) = good.split_once('.').ok_or("id and secret")?;
    assert_eq!(secret.len(), 43, "256 bits");
    assert!(good.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)));
    let (_, other) = passing.key.expose_secret().split_once('.').ok_or("id and secret")?;
    for wrong in
        ["", ".", id, secret, &format!("{id}."), &format!("{id}.{other}"), &format!("{good} "), &good.to_uppercase()]
    {
        assert!(keys.verify(wrong, || now).is_none());
    }

    assert!(keys::revoke(&store, &lasting.id, later).await?);
    assert!(!keys::revoke(&store, "nobody", later).await?);
    until("the revocation is noticed", async || Ok(keys.verify(good, || now).is_none())).await?;
    let listed = keys::list(&store).await?;
    let seen: Vec<_> = listed.iter().map(|k| (k.grant.view.to_string(), k.expires_at, k.revoked_at)).collect();
    assert!(seen.contains(&("admin".into(), None, Some(later))), "{seen:?}");
    assert!(seen.contains(&("studio".into(), Some(later), None)), "{seen:?}");
    stop.cancel();
    tracker.close();
    tracker.wait().await;
    Ok(())
}

#[test]
fn written_down_keys_grant_what_they_say() -> Result {
    let grant = |view: &str| Grant { key_id: view.into(), organization: Organization::single(), view: view.into() };
    let keys = Keys::fixed(vec![
        ("demo-studio".to_owned().into(), grant("studio")),
        ("demo-admin".to_owned().into(), grant("admin")),
    ]);
    assert_eq!(keys.verify("demo-studio", || Timestamp::UNIX_EPOCH), Some(grant("studio")));
    assert_eq!(keys.verify("demo-admin", || Timestamp::UNIX_EPOCH), Some(grant("admin")));
    for wrong in ["", "demo", "demo-", "demo-studio.x", "DEMO-STUDIO"] {
        assert_eq!(keys.verify(wrong, || Timestamp::UNIX_EPOCH), None);
    }
    Ok(())
}

async fn nothing_secret_is_stored(database: Arc<TestDatabase>) -> Result {
    let store = store(&database).await?;
    let organization = organization("acme")?;
    let key = keys::create(&store, &organization, "admin", Timestamp::UNIX_EPOCH, None).await?;
    let log = start(&store, &audit());
    log.record_strict(delivery(&organization, 142)?).await?;
    log.close().await;
    let text = dump(&database).await?;
    let (id, secret) = key.key.expose_secret().split_once('.').ok_or("id and secret")?;
    assert!(text.contains(id), "the dump holds what was written");
    for hidden in [secret, "4155550142", "5550142", KEY] {
        assert!(!text.contains(hidden));
    }
    assert!(!format!("{key:?} {store:?} {log:?}").contains(secret));
    Ok(())
}

async fn equal_deliveries_are_one_row(database: Arc<TestDatabase>) -> Result {
    let (store, organization) = (store(&database).await?, organization("acme")?);
    let log = start(&store, &audit());
    // nothing is awaited in between: the writer has no turn
    for n in [1, 2, 1, 1, 2] {
        log.record(delivery(&organization, n)?);
    }
    log.close().await;
    let rows = all(&log, &organization).await?;
    let counts: Vec<_> = rows.iter().map(|row| (row.caller.0.as_str(), row.count)).collect();
    assert_eq!(counts, [("+14155550001", 3), ("+14155550002", 2)]);
    assert!(rows.iter().all(|row| row.first_at <= row.last_at));
    let row = rows.first().ok_or("a row")?;
    let found = (row.surface.as_str(), row.reader.as_str(), row.view.as_str(), row.caller_kind.as_str());
    assert_eq!(found, ("context", "k1", "basic", "phone"));
    assert_eq!(
        (row.sources.as_slice(), row.fields.as_slice()),
        (&["crm".to_owned()][..], &["name".into(), "email".into()][..])
    );
    assert_eq!((row.call_sid.as_deref(), row.lookup_status.as_str()), (Some("CA0"), "complete"));
    Ok(())
}

async fn counts_add_up_under_load(database: Arc<TestDatabase>) -> Result {
    let (store, organization) = (store(&database).await?, organization("acme")?);
    let log = start(&store, &audit());
    let recorders: Vec<_> = (0..8)
        .map(|_| {
            let (log, organization) = (log.clone(), organization.clone());
            std::thread::spawn(move || {
                (0..125).try_for_each(|n| delivery(&organization, n % 50).map(|d| log.record(d)))
            })
        })
        .collect();
    let mut strict = JoinSet::new();
    for n in 0..1_000 {
        let (log, delivery) = (log.clone(), delivery(&organization, n % 70)?);
        strict.spawn(async move { log.record_strict(delivery).await });
    }
    while let Some(written) = strict.join_next().await {
        written??;
    }
    for recorder in recorders {
        recorder.join().map_err(|_| "a recorder")??;
    }
    log.close().await;
    let rows = all(&log, &organization).await?;
    assert_eq!(sum(&rows), 2_000);
    assert!(rows.len() < 2_000, "equal deliveries fold");
    assert_eq!(log.verify(&organization).await?, Chain::Whole { rows: i64::try_from(rows.len())? });
    let health = log.health();
    assert_eq!((health.lost, health.waiting, health.failing), (0, 0, None));
    Ok(())
}

async fn strict_is_on_disk(database: Arc<TestDatabase>) -> Result {
    let (writing, organization) = (store(&database).await?, organization("acme")?);
    let log = start(&writing, &audit());
    let other = start(&store(&database).await?, &audit());
    for n in 1..=5 {
        log.record_strict(delivery(&organization, n)?).await?;
        assert_eq!(sum(&all(&other, &organization).await?), i64::from(n), "seen from elsewhere at once");
    }
    log.close().await;
    assert!(matches!(log.record_strict(delivery(&organization, 9)?).await, Err(Error::NotNoted)));
    log.record(delivery(&organization, 9)?);
    assert_eq!(log.health().lost, 1, "after the end nothing is taken; who was refused was delivered nothing");
    Ok(())
}

async fn a_search_finds_its_own_rows_only(database: Arc<TestDatabase>) -> Result {
    let store = store(&database).await?;
    let (acme, other) = (organization("acme")?, organization("other")?);
    let clock = Clock::starting_at("2026-03-01T12:00:00Z".parse()?);
    let log = AuditLog::start(store, &audit(), clock, &TaskTracker::new());
    for n in 0..30 {
        log.record(delivery(&acme, n)?);
        log.record(delivery(&other, n)?);
    }
    log.record(Delivery { reader: "k2".into(), call_sid: None, ..delivery(&acme, 7)? });
    log.close().await;
    let identity = delivery(&acme, 7)?.identity;
    let early: Timestamp = "2026-03-01T11:00:00Z".parse()?;
    let late: Timestamp = "2026-03-01T13:00:00Z".parse()?;
    for (filter, found) in [
        (Filter::default(), 31),
        (Filter { identity: identity.clone(), ..Filter::default() }, 2),
        (Filter { identity, reader: Some("k2".into()), ..Filter::default() }, 1),
        (Filter { call_sid: Some("CA1".into()), ..Filter::default() }, 10),
        (Filter { reader: Some("k' OR '1'='1".into()), ..Filter::default() }, 0),
        (Filter { since: Some(early), until: Some(late), ..Filter::default() }, 31),
        (Filter { since: Some(late), ..Filter::default() }, 0),
        (Filter { until: Some(early), ..Filter::default() }, 0),
        (Filter { limit: 5, ..Filter::default() }, 5),
        (Filter { after: Some(11), ..Filter::default() }, 10),
    ] {
        assert_eq!(log.search(&acme, &filter).await?.len(), found, "{filter:?}");
    }
    let newest = log.search(&acme, &Filter { limit: 1, ..Filter::default() }).await?;
    assert_eq!(newest.first().map(|row| row.number), Some(31));
    assert!(log.search(&organization("nobody")?, &Filter::default()).await?.is_empty());
    Ok(())
}

async fn an_edit_is_named(database: Arc<TestDatabase>) -> Result {
    let store = store(&database).await?;
    let log = start(&store, &audit());
    for (i, (edit, chain)) in [
        ("", Chain::Whole { rows: 9 }),
        ("UPDATE audit SET reader = 'k9' WHERE organization = @ AND number = 4", Chain::Broken { number: 4 }),
        ("UPDATE audit SET count = 2 WHERE organization = @ AND number = 9", Chain::Broken { number: 9 }),
        ("UPDATE audit SET call_sid = NULL WHERE organization = @ AND number = 1", Chain::Broken { number: 1 }),
        ("UPDATE audit SET caller_sealed = 'x' WHERE organization = @ AND number = 2", Chain::Broken { number: 2 }),
        ("UPDATE audit SET hash = 'x' WHERE organization = @ AND number = 5", Chain::Broken { number: 5 }),
        ("DELETE FROM audit WHERE organization = @ AND number = 6", Chain::Broken { number: 6 }),
        ("DELETE FROM audit WHERE organization = @ AND number = 9", Chain::Broken { number: 9 }),
        ("DELETE FROM audit WHERE organization = @ AND number < 3", Chain::Broken { number: 1 }),
        // the ends are proved too: neither an earlier end nor a later beginning can be claimed
        ("UPDATE audit_chains SET number = 8 WHERE organization = @", Chain::Broken { number: 1 }),
        ("UPDATE audit_chains SET anchor_number = 3 WHERE organization = @", Chain::Broken { number: 4 }),
        ("DELETE FROM audit_chains WHERE organization = @", Chain::Broken { number: 1 }),
        // what was shown stands once for all rows, so this breaks every organization from its first row on
        ("UPDATE audit_names SET shown_fields = '[\"name\"]'", Chain::Broken { number: 1 }),
    ]
    .into_iter()
    .enumerate()
    {
        let organization = organization(&format!("org-{i}"))?;
        for n in 1..=9 {
            log.record_strict(delivery(&organization, n)?).await?;
        }
        assert_eq!(log.verify(&organization).await?, Chain::Whole { rows: 9 });
        if !edit.is_empty() {
            database.execute(&edit.replace('@', &format!("'org-{i}'"))).await?;
        }
        assert_eq!(log.verify(&organization).await?, chain, "{edit}");
    }
    assert_eq!(log.verify(&organization("nobody")?).await?, Chain::Whole { rows: 0 });
    database.execute("DELETE FROM audit_names").await?;
    assert_eq!(log.verify(&organization("org-0")?).await?, Chain::Broken { number: 1 });
    log.close().await;
    Ok(())
}

async fn old_rows_go_and_the_chain_holds(database: Arc<TestDatabase>) -> Result {
    let (store, organization) = (store(&database).await?, organization("acme")?);
    for (day, n) in [("2026-01-01T00:00:00Z", 1), ("2026-02-01T00:00:00Z", 2), ("2026-03-01T00:00:00Z", 3)] {
        let log = AuditLog::start(store.clone(), &audit(), Clock::starting_at(day.parse()?), &TaskTracker::new());
        log.record_strict(delivery(&organization, n)?).await?;
        log.record_strict(delivery(&organization, n)?).await?;
        log.close().await;
    }
    let keep = |days: u64| config::Audit { keep: Duration::from_secs(days * 86_400), ..audit() };
    for (days, left) in [(365, 6), (45, 4), (45, 4), (1, 0)] {
        let clock = Clock::starting_at("2026-03-10T00:00:00Z".parse()?);
        let log = AuditLog::start(store.clone(), &keep(days), clock, &TaskTracker::new());
        log.expire().await?;
        log.close().await;
        assert_eq!(log.verify(&organization).await?, Chain::Whole { rows: left });
    }
    let log = start(&store, &audit());
    log.record_strict(delivery(&organization, 4)?).await?;
    assert_eq!(log.verify(&organization).await?, Chain::Whole { rows: 1 });
    let rows = all(&log, &organization).await?;
    assert_eq!(rows.iter().map(|row| row.number).collect::<Vec<_>>(), [7], "numbers are not used twice");
    log.close().await;
    Ok(())
}

async fn an_overflow_is_counted(database: Arc<TestDatabase>) -> Result {
    let (store, organization) = (store(&database).await?, organization("acme")?);
    let log = start(&store, &config::Audit { buffer: 10, ..audit() });
    for n in 0..25 {
        log.record(delivery(&organization, n)?);
        log.record(delivery(&organization, 0)?); // folds: needs no room
    }
    assert_eq!((log.health().lost, log.health().waiting), (15, 10));
    log.close().await;
    assert_eq!(sum(&all(&log, &organization).await?), 35);
    Ok(())
}

async fn a_failing_store_is_caught_up_with(database: Arc<TestDatabase>) -> Result {
    let (store, organization) = (store(&database).await?, organization("acme")?);
    let log = start(&store, &config::Audit { buffer: 10, ..audit() });
    database.execute("ALTER TABLE audit RENAME TO elsewhere").await?;
    for n in 0..12 {
        log.record(delivery(&organization, n)?); // answers go on
    }
    until("it is known", async || Ok(log.health().failing.is_some())).await?;
    assert_eq!((log.health().lost, log.health().waiting), (2, 10));
    assert!(log.record_strict(delivery(&organization, 0)?).await.is_err(), "no room");
    database.execute("ALTER TABLE elsewhere RENAME TO audit").await?;
    until("it is over", async || Ok(log.health().failing.is_none())).await?;
    assert_eq!(log.health().waiting, 0);
    assert_eq!(sum(&all(&log, &organization).await?), 10);

    database.execute("ALTER TABLE audit RENAME TO elsewhere").await?;
    assert!(matches!(log.record_strict(delivery(&organization, 50)?).await, Err(Error::NotNoted)));
    database.execute("ALTER TABLE elsewhere RENAME TO audit").await?;
    log.record_strict(delivery(&organization, 51)?).await?;
    log.close().await;
    assert_eq!(sum(&all(&log, &organization).await?), 11, "what was refused is not in the log");
    assert_eq!(log.verify(&organization).await?, Chain::Whole { rows: 11 });
    Ok(())
}

async fn gateways_share_a_chain(database: Arc<TestDatabase>) -> Result {
    let (acme, other) = (organization("acme")?, organization("other")?);
    let logs = [start(&store(&database).await?, &audit()), start(&store(&database).await?, &audit())];
    let mut strict = JoinSet::new();
    for n in 0..100 {
        for log in &logs {
            for delivery in [delivery(&acme, n)?, delivery(&other, n)?] {
                let log = log.clone();
                strict.spawn(async move { log.record_strict(delivery).await });
            }
        }
    }
    while let Some(written) = strict.join_next().await {
        written??;
    }
    let [log, second] = &logs;
    for organization in [&acme, &other] {
        let rows = all(log, organization).await?;
        assert_eq!(sum(&rows), 200);
        assert_eq!(log.verify(organization).await?, Chain::Whole { rows: i64::try_from(rows.len())? });
    }
    log.close().await;
    second.close().await;
    Ok(())
}

async fn lives_share_a_budget(database: Arc<TestDatabase>) -> Result {
    let store = store(&database).await?;
    let now = |seconds| Timestamp::from_second(seconds);
    let spent = |at: i64, count| Spent {
        source: "crm".into(),
        per: Duration::from_secs(86_400),
        at: at * 1_000,
        count,
        forget_at: (at + 90_000) * 1_000,
    };
    assert!(spent::exchange(&store, "one", vec![spent(0, 5), spent(1_440, 10)], now(2_000)?).await?.is_empty());
    // what a life says of a slot again stands in place of what it said before
    assert!(spent::exchange(&store, "one", vec![spent(1_440, 7)], now(2_001)?).await?.is_empty());
    let heard = spent::exchange(&store, "two", vec![spent(1_440, 2)], now(2_002)?).await?;
    assert_eq!(BTreeSet::from_iter(heard.iter().map(|spent| (spent.at, spent.count))), [(0, 5), (1_440_000, 7)].into());
    assert!(heard.contains(&spent(1_440, 7)));
    let heard = spent::exchange(&store, "three", Vec::new(), now(90_000)?).await?;
    assert_eq!(heard, [spent(1_440, 9)], "of both, and the first slot is over");
    Ok(())
}

async fn a_store_is_opened_again(database: Arc<TestDatabase>) -> Result {
    let organization = organization("acme")?;
    let mut opening = JoinSet::new();
    for _ in 0..4 {
        let settings = settings(&database.url);
        opening.spawn(async move { Database::open(&settings, &TaskTracker::new()).await });
    }
    while let Some(opened) = opening.join_next().await {
        opened??; // together, and each migrates if it is the first
    }
    let log = start(&store(&database).await?, &audit());
    log.record_strict(delivery(&organization, 1)?).await?;
    log.close().await;
    let log = start(&store(&database).await?, &audit());
    assert_eq!(sum(&all(&log, &organization).await?), 1);
    log.close().await;

    // another key opens nothing, and finds nothing
    let key = Some(KEY.replace("AAEC", "BBEC").into());
    let stranger = Database::open(&config::Store { key, ..settings(&database.url) }, &TaskTracker::new()).await?;
    let log = start(&stranger, &audit());
    let rows = all(&log, &organization).await?;
    assert_eq!(rows.iter().map(|row| row.caller.0.as_str()).collect::<Vec<_>>(), [""]);
    let filter = Filter { identity: delivery(&organization, 1)?.identity, ..Filter::default() };
    assert!(log.search(&organization, &filter).await?.is_empty());
    log.close().await;

    database.execute("INSERT INTO migrations (version) VALUES (9999)").await?;
    let newer = Database::open(&settings(&database.url), &TaskTracker::new()).await;
    assert!(matches!(newer, Err(Error::Newer(9999))), "{newer:?}");
    Ok(())
}

async fn a_sealed_caller_opens_only_in_its_place(database: Arc<TestDatabase>) -> Result {
    let (store, acme, other) = (store(&database).await?, organization("acme")?, organization("other")?);
    let log = start(&store, &audit());
    log.record_strict(delivery(&acme, 1)?).await?;
    log.record_strict(delivery(&other, 2)?).await?;
    let stolen = "UPDATE audit SET caller_sealed = (SELECT a.caller_sealed FROM audit a WHERE a.organization = 'acme') \
                  WHERE organization = 'other'";
    database.execute(stolen).await?;
    let callers = async |organization| -> Result<Vec<String>> {
        Ok(all(&log, organization).await?.into_iter().map(|row| row.caller.0).collect())
    };
    assert_eq!(callers(&acme).await?, ["+14155550001"]);
    assert_eq!(callers(&other).await?, [""]);
    log.close().await;
    Ok(())
}

/// Rows that hold their lists of names themselves.
async fn rows_of_an_earlier_release_are_read(database: Arc<TestDatabase>) -> Result {
    let rows = include_str!("before_0004.sql");
    let key = rows.lines().next().and_then(|line| line.split(' ').next_back()).ok_or("no key")?;
    for sql in [
        include_str!("../../migrations/0001_api_keys.sql"),
        include_str!("../../migrations/0002_audit.sql"),
        include_str!("../../migrations/0003_audit_indexes.sql"),
        "CREATE TABLE migrations (version BIGINT NOT NULL PRIMARY KEY); INSERT INTO migrations (version) VALUES (3)",
        rows,
    ] {
        database.execute(sql).await?;
    }
    let store = config::Store { key: Some(key.to_owned().into()), ..settings(&database.url) };
    let store = Database::open(&store, &TaskTracker::new()).await?;
    let (log, single) = (start(&store, &audit()), Organization::single());
    log.record_strict(delivery(&single, 1)?).await?;
    assert_eq!(log.verify(&single).await?, Chain::Whole { rows: 4 });
    let all = all(&log, &single).await?;
    let callers: Vec<_> = all.iter().map(|row| row.caller.0.as_str()).collect();
    assert_eq!(callers, ["+14155000001", "+14155000002", "+14155000003", "+14155550001"]);
    let oldest = all.first().ok_or("no row")?;
    assert_eq!(oldest.sources, ["crm", "customers", "payments"]);
    assert_eq!(oldest.fields.len(), 14);
    let filter = Filter { call_sid: Some("CA00000002".into()), ..Filter::default() };
    assert_eq!(log.search(&single, &filter).await?.len(), 1, "by the new index");
    database.execute("UPDATE audit SET fields = '[]' WHERE number = 2").await?;
    assert_eq!(log.verify(&single).await?, Chain::Broken { number: 2 });
    log.close().await;
    Ok(())
}

/// The connection breaks when the commit is made and before we hear of it.
async fn a_cut_commit_is_written_once(database: Arc<TestDatabase>) -> Result {
    let proxy = ChaosProxy::to(database.address()?).await?;
    let url = database.url_by(proxy.port)?;
    let store = Database::open(&settings(&url), &TaskTracker::new()).await?;
    let organization = organization("acme")?;
    let log = start(&store, &audit());
    for n in 0..5 {
        log.record(delivery(&organization, n)?);
        proxy.swallow_the_answer_to(b"COMMIT");
        let strict = Delivery { reader: "strict".into(), ..delivery(&organization, n)? };
        assert!(log.record_strict(strict).await.is_err(), "nobody can say");
        assert!(proxy.has_swallowed());
        log.record_strict(delivery(&organization, n + 100)?).await?;
    }
    log.close().await;
    let rows = all(&log, &organization).await?;
    assert_eq!(rows.iter().map(|row| row.count).collect::<Vec<_>>(), [1; 15]);
    assert_eq!(log.verify(&organization).await?, Chain::Whole { rows: 15 });
    Ok(())
}

/// The connection breaks while commits are under way, wherever they are.
async fn cuts_anywhere_lose_nothing(database: Arc<TestDatabase>) -> Result {
    let proxy = ChaosProxy::to(database.address()?).await?;
    let url = database.url_by(proxy.port)?;
    let store = Database::open(&settings(&url), &TaskTracker::new()).await?;
    let organization = organization("acme")?;
    let log = start(&store, &config::Audit { flush: Duration::ZERO, ..audit() });
    let (mut given, mut proved) = (0, BTreeSet::new());
    for n in 0..200 {
        log.record(delivery(&organization, n)?);
        given += 1;
        if n % 10 == 9 {
            // wakes the writer, and the cut meets it wherever it is by then
            let strict = Delivery { reader: "strict".into(), ..delivery(&organization, n)? };
            let writing = log.record_strict(strict);
            let cutting = async {
                for _ in 0..n % 7 {
                    tokio::task::yield_now().await;
                }
                proxy.cut();
            };
            if tokio::join!(writing, cutting).0.is_ok() {
                proved.insert(n);
            }
        }
    }
    until("it is written", async || Ok(log.health().waiting == 0)).await?;
    log.close().await;
    let rows = all(&log, &organization).await?;
    let (strict, plain): (Vec<Entry>, Vec<Entry>) = rows.into_iter().partition(|row| row.reader == "strict");
    assert_eq!(sum(&plain), given);
    let strict: BTreeSet<u32> = strict.iter().filter_map(|row| row.caller.0.get(8..)?.parse().ok()).collect();
    assert!(proved.is_subset(&strict), "what was confirmed is there");
    assert!(matches!(log.verify(&organization).await?, Chain::Whole { .. }));
    assert_eq!(log.health().lost, 0);
    Ok(())
}

/// The parent starts this test binary anew, as a gateway that notes deliveries until it is killed.
async fn killed_in_strict_mode(database: Arc<TestDatabase>) -> Result {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--exact", "store::a_gateway_to_be_killed", "--nocapture"])
        .env("TEST_STORE_TO_BE_KILLED_IN", &database.url)
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().ok_or("its output")?;
    let confirmed = std::thread::spawn(move || {
        let lines = std::io::BufReader::new(output).lines().map_while(std::io::Result::ok);
        let mut confirmed = 0;
        for line in lines.filter(|line| line.contains("noted")) {
            confirmed += i64::from(!line.is_empty());
            if confirmed == 200 {
                let _ = child.kill(); // SIGKILL, while more is under way
            }
        }
        let _ = child.wait();
        confirmed
    });
    let confirmed = tokio::task::spawn_blocking(move || confirmed.join()).await?.map_err(|_| "its lines")?;
    assert!(confirmed >= 200, "{confirmed}");
    let log = start(&store(&database).await?, &audit());
    let organization = organization("acme")?;
    let rows = all(&log, &organization).await?;
    assert!(sum(&rows) >= confirmed, "{} rows, {confirmed} confirmed", sum(&rows));
    assert!(matches!(log.verify(&organization).await?, Chain::Whole { .. }));
    log.close().await;
    Ok(())
}

#[tokio::test]
async fn a_gateway_to_be_killed() -> Result {
    let Ok(url) = std::env::var("TEST_STORE_TO_BE_KILLED_IN") else { return Ok(()) };
    let log = start(&Database::open(&settings(&url), &TaskTracker::new()).await?, &audit());
    let organization = organization("acme")?;
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let (log, organization) = (log.clone(), organization.clone());
        writers.spawn(async move {
            for n in 0..100_000 {
                log.record_strict(delivery(&organization, writer * 1_000 + n % 1_000)?).await?;
                println!("noted");
            }
            Result::Ok(())
        });
    }
    while let Some(ended) = writers.join_next().await {
        ended??;
    }
    Ok(())
}

async fn a_key_file_is_made_and_guarded(database: Arc<TestDatabase>) -> Result {
    let folder = tempfile::tempdir()?;
    let key_file = folder.path().join("the.key");
    let settings = config::Store { key: None, key_file: key_file.clone(), ..settings(&database.url) };
    let open = async || Database::open(&settings, &TaskTracker::new()).await;
    open().await?;
    let mode = |path: &std::path::Path| std::fs::metadata(path).map(|found| found.permissions().mode() & 0o777);
    assert_eq!(mode(&key_file)?, 0o600);
    let made = std::fs::read_to_string(&key_file)?;
    open().await?;
    assert_eq!(std::fs::read_to_string(&key_file)?, made, "made once");
    assert_eq!(std::fs::read_dir(folder.path())?.count(), 1, "no draft is left");

    std::fs::set_permissions(&key_file, PermissionsExt::from_mode(0o640))?;
    assert!(matches!(open().await, Err(Error::KeyExposed)));
    std::fs::set_permissions(&key_file, PermissionsExt::from_mode(0o600))?;
    std::fs::write(&key_file, "too short")?;
    assert!(matches!(open().await, Err(Error::Key)));

    let shared =
        config::Store { url: "postgres://u@127.0.0.1:1/d".to_owned().into(), key_file: "/nowhere".into(), ..settings };
    let missing = Database::open(&shared, &TaskTracker::new()).await;
    assert!(matches!(missing, Err(Error::KeyMissing)), "{missing:?}");
    for url in ["", "sqlite:", "mysql://h/d", "nonsense"] {
        let settings = config::Store { url: url.to_owned().into(), ..shared.clone() };
        assert!(matches!(Database::open(&settings, &TaskTracker::new()).await, Err(Error::Url)), "{url}");
    }
    let new = folder.path().join("new.db");
    let url = format!("sqlite:{}", new.display());
    let settings = config::Store { url: url.into(), key: Some(KEY.to_owned().into()), ..shared };
    Database::open(&settings, &TaskTracker::new()).await?;
    assert_eq!(mode(&new)?, 0o600, "the store is its owner's alone");
    Ok(())
}
