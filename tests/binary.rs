//! The binary as its users run it: what lies beside it, what the environment says, what it prints
//! and how it ends.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

/// A folder with the binary in it, as it would be unpacked.
fn unpacked() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let binary = folder.path().join("caller-context");
    let built = env!("CARGO_BIN_EXE_caller-context");
    if std::fs::hard_link(built, &binary).is_err() {
        std::fs::copy(built, &binary).unwrap();
    }
    (folder, binary)
}

/// Runs it elsewhere, with nothing of this process's environment.
fn run(binary: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = Command::new(binary);
    command.args(arguments).env_clear().envs(environment.iter().copied()).current_dir(elsewhere.path());
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[expect(clippy::disallowed_methods, reason = "the runtime of a test ends with it")]
async fn vendor() -> SocketAddr {
    let people = async || Json(json!([{ "id": 7, "tel": "+1 415-555-0142", "who": "Ann Example" }]));
    let routes = Router::new().route("/find", get(people));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, routes).await.unwrap() });
    address
}

const ACME: &str = r#"
manifest = 1
vendor   = "acme"
title    = "Acme CRM"
base_url = "https://api.acme.example"
hosts    = ["api.acme.example"]

[auth.headers]
X-Key = "{secret}"

[lookup.person]
needs       = ["phone"]
get         = "/find"
query.phone = "{phone}"
phones      = ["tel"]

[lookup.person.provides]
name = "who"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_beside_the_binary_is_a_connector() {
    let (folder, binary) = unpacked();
    std::fs::create_dir(folder.path().join("connectors")).unwrap();
    std::fs::write(folder.path().join("connectors/acme.toml"), ACME).unwrap();
    let config = tempfile::NamedTempFile::new().unwrap();
    let source = format!(
        "[sources.crm]\nconnector = \"acme\"\nbase_url = \"http://{}\"\nsecret = \"env:ACME_KEY\"\n",
        vendor().await
    );
    std::fs::write(config.path(), source).unwrap();
    let config = ["--config", config.path().to_str().unwrap()];

    let checked = run(&binary, &["check", config[0], config[1]], &[("ACME_KEY", "k")]);
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    let looked_up = run(&binary, &["lookup", "+14155550142", config[0], config[1]], &[("ACME_KEY", "k")]);
    let page = text(&looked_up.stdout);
    assert!(looked_up.status.success(), "{page}{}", text(&looked_up.stderr));
    for line in ["match unique", "Ann Example  (crm, just now)", "crm.person"] {
        assert!(page.contains(line), "{line}: {page}");
    }
    assert_eq!(
        run(&binary, &["lookup", "+14155550143", config[0], config[1]], &[("ACME_KEY", "k")]).status.code(),
        Some(3)
    );

    std::fs::write(folder.path().join("connectors/acme.toml"), ACME.replace("phones  ", "phnoes  ")).unwrap();
    let wrong = run(&binary, &["check", config[0], config[1]], &[("ACME_KEY", "k")]);
    let said = text(&wrong.stderr);
    assert_eq!(wrong.status.code(), Some(78), "{said}");
    assert!(said.contains("acme.toml") && said.contains("did you mean `phones`"), "{said}");
}

#[test]
fn without_anything_it_says_what_to_do() {
    let (_folder, binary) = unpacked();
    let listed = run(&binary, &["connectors", "list"], &[]);
    assert_eq!(text(&listed.stdout), "hubspot\nsalesforce\n");
    assert!(text(&run(&binary, &["connectors", "show", "hubspot"], &[]).stdout).contains("vendor   = \"hubspot\""));
    assert!(run(&binary, &["check"], &[]).status.success());
    assert!(text(&run(&binary, &["explain"], &[]).stdout).contains("deadline"));
    let served = run(&binary, &["serve"], &[]);
    assert_eq!(served.status.code(), Some(1));
    assert!(text(&served.stderr).contains("keys new --view studio"), "{}", text(&served.stderr));
}
