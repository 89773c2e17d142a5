//! Schemathesis asks whatever the document allows, and whatever it forbids: nothing breaks, and
//! every answer is as described.

use std::path::Path;

use caller_context::cli::demo::Setup;
use tokio::process::Command;

use crate::book::{World, skip};

#[tokio::test(flavor = "multi_thread")]
async fn a_fuzzer_gets_only_what_the_document_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fuzzer = root.join("target/schemathesis/bin/schemathesis");
    if !fuzzer.is_file() || std::env::var_os("TEST_QUICK").is_some() {
        let test = "a_fuzzer_gets_only_what_the_document_says";
        skip(test, "Schemathesis; run tests/document/install", "TEST_REQUIRE_FUZZER");
        return;
    }
    // what nobody knows costs nothing: the answer is about the document, not about the sources
    let world = World::with(Setup { overrides: vec![("lookup.deadline", "200ms".into())], ..Setup::default() }).await;
    let mut command = Command::new(fuzzer);
    command.arg("--config-file").arg(root.join("tests/document/schemathesis.toml"));
    command.args(["run", &world.url("/api/openapi.json"), "--url", &world.url("")]).kill_on_drop(true);
    command.current_dir(root.join("target"));
    let output = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}
