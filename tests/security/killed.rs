//! The real binary, killed under load: what its audit log holds then, and what `audit` says of it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

use caller_context::app::{App, KeysFrom};
use caller_context::clock::Clock;
use caller_context::domain::Organization;
use caller_context::store::audit::{AuditLog, Filter};
use caller_context::store::keys::{Grant, Keys};
use caller_context::store::{Database, spent};
use serde_json::json as value;
use tokio_util::task::TaskTracker;

use crate::process::{Process, run};
use crate::support::{Door, STUDIO, Vendor, configuration, json, loaded, until};

async fn sources(strict: bool) -> String {
    let vendor = Vendor::start(|_| json(value!({ "phone": "+14155550142", "name": "Ann Lee" }))).await;
    format!(
        "[audit]\nstrict = {strict}\n[sources.crm]\nconnector = \"http\"\nbase_url = \"{}\"\nauth.none = {{}}\n\
         [sources.crm.lookup.person]\nneeds = [\"phone\"]\nget = \"/\"\nquery.phone = \"{{phone}}\"\n\
         phones = [\"phone\"]\nprovides.name = \"name\"\n",
        vendor.url
    )
}

/// One call; whether it was answered with what is known.
async fn call(door: &Door, key: &str, sid: &str) -> bool {
    let form = [("From", "+14155550142"), ("CallSid", sid)];
    let Ok(answer) = door.post(STUDIO).bearer_auth(key).form(&form).send().await else { return false };
    answer.text().await.is_ok_and(|text| text.contains("Ann Lee"))
}

/// The calls in the log that a killed gateway left, oldest first.
async fn logged(folder: &Path, more: &str) -> Vec<String> {
    let config = loaded(&configuration(more, folder));
    let store = Database::open(&config.store, &TaskTracker::new()).await.unwrap();
    let log = AuditLog::start(store, &config.audit, Clock::system(), &TaskTracker::new());
    let (mut calls, mut after) = (Vec::new(), None);
    loop {
        let filter = Filter { limit: 1_000, after, ..Filter::default() };
        let page = log.search(&Organization::single(), &filter).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.number);
        calls.extend(page.into_iter().map(|row| row.call_sid.unwrap()));
    }
    log.close().await;
    calls.reverse();
    calls
}

#[tokio::test]
async fn in_strict_mode_every_answer_is_in_the_log() {
    let (folder, more) = (tempfile::tempdir().unwrap(), sources(true).await);
    let (mut gateway, [key]) = Process::serve(folder.path(), &more, ["studio"], &[]).await;
    let (door, answered) = (gateway.door.clone(), Mutex::new(BTreeSet::new()));
    let workers = (0..8).map(|worker| {
        let (door, key, answered) = (&door, &key, &answered);
        async move {
            for n in 0.. {
                let sid = format!("CA{worker}x{n}");
                if !call(door, key, &sid).await {
                    return;
                }
                answered.lock().unwrap().insert(sid);
            }
        }
    });
    let killing = async {
        until(|| async { answered.lock().unwrap().len() }, |answers| *answers >= 200).await;
        gateway.kill().await;
    };
    tokio::join!(futures_util::future::join_all(workers), killing);

    let logged: BTreeSet<_> = logged(folder.path(), &more).await.into_iter().collect();
    let answered = answered.into_inner().unwrap();
    let missing: Vec<_> = answered.difference(&logged).collect();
    assert!(missing.is_empty(), "answered and not in the log: {missing:?}");
    assert!(logged.len() <= answered.len() + 8, "at most one more for each who waited");

    let file = folder.path().join("config.toml");
    let audit = async || run(&["audit", "--config", file.to_str().unwrap()], &[]).await;
    let whole = audit().await;
    let said = String::from_utf8(whole.stdout).unwrap();
    assert_eq!(
        (whole.status.code(), said),
        (Some(0), format!("whole: {} rows, each as it was written\n", logged.len()))
    );
    let store = rusqlite::Connection::open(folder.path().join("store.db")).unwrap();
    store.execute("UPDATE audit SET reader = 'somebody else' WHERE number = 7", []).unwrap();
    let broken = audit().await;
    assert_eq!(broken.status.code(), Some(1));
    let said = String::from_utf8(broken.stdout).unwrap();
    assert!(said.starts_with("broken: row 7 "), "{said}");
}

/// Without strict mode the last moments may be lost: the log is a beginning of what was answered,
/// without a gap, and holds at least what it had shown before.
#[tokio::test]
async fn otherwise_only_the_end_may_be_missing() {
    let (folder, more) = (tempfile::tempdir().unwrap(), sources(false).await);
    let (mut gateway, [studio, admin]) = Process::serve(folder.path(), &more, ["studio", "admin"], &[]).await;
    let door = gateway.door.clone();
    let mut answered = Vec::new();
    let calls = async {
        for n in 0.. {
            let sid = format!("CA{n}");
            if !call(&door, &studio, &sid).await {
                return;
            }
            answered.push(sid);
        }
    };
    let killing = async {
        // several flushes, while more is answered
        let rows = || async { gateway.door.audit(&admin, &[("limit", "1000")]).await.len() };
        let shown = until(rows, |rows| *rows >= 50).await;
        gateway.kill().await;
        shown
    };
    let ((), shown) = tokio::join!(calls, killing);
    let logged = logged(folder.path(), &more).await;
    assert!(logged.len() >= shown, "{} rows, {shown} were shown", logged.len());
    // the one that was killed in the middle may be in the log
    answered.push(format!("CA{}", answered.len()));
    assert_eq!(logged, answered[..logged.len()], "no gap");
}

/// Calls that were made count after the kill, and a few more that may have been; after an orderly end,
/// what was spent and no more.
#[tokio::test]
async fn what_was_spent_of_a_budget_is_not_given_again() {
    let (folder, more) = (tempfile::tempdir().unwrap(), sources(false).await);
    let more = more.replace("auth.none", "limits.budget = [\"100 per 24h\"]\nauth.none");
    let (mut gateway, [key]) = Process::serve(folder.path(), &more, ["studio"], &[]).await;
    for n in 0..12 {
        let form = [("From", &*format!("+1415555{n:04}"))];
        gateway.door.post(STUDIO).bearer_auth(&key).form(&form).send().await.unwrap();
    }
    let config = loaded(&configuration(&more, folder.path()));
    let store = Database::open(&config.store, &TaskTracker::new()).await.unwrap();
    let kept = async || {
        let heard = spent::exchange(&store, "reader", Vec::new(), Clock::system().now()).await.unwrap();
        heard.iter().map(|spent| spent.count).sum::<u64>()
    };
    let claimed = until(&kept, |kept| *kept >= 12).await;
    assert!((12..=22).contains(&claimed), "{claimed}");
    gateway.kill().await;

    let keys = vec![("studio-key".into(), grant())];
    let app = App::start(config, KeysFrom::Fixed(Keys::fixed(keys)), Clock::system()).await.unwrap();
    let door = Door::to(app.address);
    let remaining = "caller_context_quota_remaining{source=\"crm\",window=\"1d\"} ";
    assert_eq!(door.metric(remaining).await, 100.0 - claimed as f64);
    assert!(call(&door, "studio-key", "CA1").await);
    app.shutdown().await;
    assert_eq!(kept().await, claimed + 1);
}

fn grant() -> Grant {
    Grant { key_id: "studio-key".into(), organization: Organization::single(), view: "studio".into() }
}
