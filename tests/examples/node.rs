//! Runs a script of tests/node.

use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

use serde_json::Value as Json;

/// What the script prints for the input, and its standard error. `None` where Node.js is missing:
/// the test is then skipped, unless TEST_REQUIRE_NODE is set.
pub fn run(test: &str, script: &str, input: &Json) -> Option<(Json, String)> {
    let child = Command::new("node")
        .arg(format!("{}/tests/node/{script}", env!("CARGO_MANIFEST_DIR")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Err(error) if error.kind() == ErrorKind::NotFound && std::env::var_os("TEST_REQUIRE_NODE").is_none() => {
            eprintln!("SKIPPED {test}: node is not installed");
            return None;
        }
        child => child.expect("node starts"),
    };
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{test}: {script}: {}\n{errors}", output.status);
    Some((serde_json::from_slice(&output.stdout).unwrap(), errors))
}
