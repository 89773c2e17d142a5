//! /docs in a real browser: every operation is there, nothing comes from elsewhere, nothing runs.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::book::{World, skip};

/// What the script saw; `None` where the browser is missing: the test is then skipped, unless
/// TEST_REQUIRE_BROWSER is set.
async fn seen(test: &str, url: &str) -> Option<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let driver = folder.join("node_modules/playwright-core").is_dir() && std::env::var_os("TEST_QUICK").is_none();
    let chromium = std::env::var("CHROMIUM").unwrap_or("/usr/bin/chromium".into());
    if !driver || !Path::new(&chromium).exists() {
        skip(test, "Chromium; run tests/browser/install", "TEST_REQUIRE_BROWSER");
        return None;
    }
    let mut command = Command::new("node");
    command.arg(folder.join("docs.mjs")).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let input = json!({ "url": url, "screenshots": std::env::var("TEST_SCREENSHOTS").ok() });
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success(), "docs.mjs: {}", output.status);
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_every_operation_and_loads_nothing_else() {
    let world = World::start().await;
    let test = "the_page_shows_every_operation_and_loads_nothing_else";
    let Some(seen) = seen(test, &world.url("")).await else { return };
    let operations: BTreeSet<_> =
        world.operations().iter().map(|o| format!("{} {}", o.method.to_uppercase(), o.path)).collect();
    for page in seen["pages"].as_array().unwrap() {
        let shown: BTreeSet<_> = page["operations"].as_array().unwrap().iter().map(text).collect();
        assert_eq!(shown, operations, "{page}");
        assert_eq!((&page["title"], &page["language"]), (&json!("caller-context API"), &json!("en")));
        assert!(page["overflow"].as_i64().unwrap() <= 0, "wider than its window: {page}");
        assert_eq!((&page["dangling"], &page["repeated"]), (&json!([]), &json!([])), "links");
        assert_eq!(page["scripts"], 0);
        assert_eq!((&page["first"], &page["jumped"]), (&json!("#content"), &json!("#content")), "by keyboard");
        let levels: Vec<_> = page["headings"].as_array().unwrap().iter().map(|l| l.as_i64().unwrap()).collect();
        assert!(levels.windows(2).all(|two| two[1] <= two[0] + 1), "a level is left out: {levels:?}");
        assert_eq!(page["injected"], json!({ "inline": false, "elsewhere": "refused" }));
    }
    assert_ne!(seen["pages"][0]["ground"], seen["pages"][1]["ground"], "by night it is dark");
    assert_eq!(seen["framed"], 0);
    let files: BTreeSet<_> = seen["files"].as_array().unwrap().iter().map(text).collect();
    assert_eq!(files, ["/docs", "/docs/icon.svg", "/docs/style.css"].map(str::to_owned).into());
    assert_eq!((&seen["console"], &seen["failed"], &seen["elsewhere"]), (&json!([]), &json!([]), &json!([])));
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_page_allows_no_script_and_no_frame() {
    let world = World::start().await;
    for path in ["/docs", "/docs/style.css", "/docs/icon.svg"] {
        let answer = world.client.get(world.url(path)).send().await.unwrap();
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        let policy = header("content-security-policy");
        for rule in ["default-src 'self'", "script-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.split("; ").any(|r| r == rule), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
        assert_eq!((header("x-frame-options"), header("x-content-type-options")), ("DENY".into(), "nosniff".into()));
    }
    let page = world.client.get(world.url("/docs")).send().await.unwrap().text().await.unwrap();
    for foreign in ["<script", "src=", "style=", "onclick", "http://", "https://"] {
        let loads = page.matches(foreign).count();
        let said = ["http://127.0.0.1:8080", "https://any:"].iter().map(|s| page.matches(s).count()).sum::<usize>();
        assert!(loads == 0 || foreign.starts_with("http") && loads <= said, "{foreign} stands in the page");
    }
}
