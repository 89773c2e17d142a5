//! What is written for people points to things that exist: files, verbs, options, metrics, reasons.

use std::path::{Path, PathBuf};
use std::process::Command;

use caller_context::domain::{Failure, Skip};

const METRICS: &str = include_str!("../../src/telemetry/metrics.rs");
const TROUBLESHOOTING: &str = include_str!("../../docs/troubleshooting.md");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README and docs/, but the pages of diagnostics, which tests/diagnostics.rs holds to account.
fn texts() -> Vec<(PathBuf, String)> {
    let folders = ["", "docs", "docs/errors", "examples"].map(|folder| root().join(folder));
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let files = files.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "md"));
    files.map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn links_lead_somewhere() {
    let mut count = 0;
    for (path, text) in texts() {
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let there = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let elsewhere = target.contains("://");
            assert!(elsewhere || there.exists(), "{}: {target}", path.display());
            if !anchor.is_empty() && !elsewhere {
                let heading = format!("# {}", anchor.replace('-', " "));
                let text = std::fs::read_to_string(there).unwrap().to_lowercase();
                assert!(text.contains(&heading), "{}: {target}", path.display());
            }
            count += 1;
        }
    }
    assert!(count > 15, "{count} links");
}

#[test]
fn metrics_that_are_named_exist() {
    let letter = |c: char| c.is_ascii_lowercase() || c == '_';
    for (path, text) in texts() {
        for rest in text.split("caller_context_").skip(1) {
            let name = rest.split(|c| !letter(c)).next().unwrap();
            assert!(METRICS.contains(&format!("\"caller_context_{name}\"")), "{}: {name}", path.display());
        }
    }
    let searched = TROUBLESHOOTING.lines().filter_map(|line| line.split_once("/metrics | grep ")).map(|(_, p)| p);
    for pattern in searched.clone() {
        let pattern = pattern.trim_start_matches("-E ").split(" #").next().unwrap().trim().trim_matches('\'');
        for word in pattern.split('|').filter(|word| !word.contains('=')) {
            assert!(METRICS.contains(word), "nothing is found by {word}");
        }
    }
    assert!(searched.count() > 5);
}

#[test]
fn verbs_and_options_that_are_named_exist() {
    let mut count = 0;
    for (path, text) in texts() {
        for line in text.split("caller-context ").skip(1).map(|rest| rest.split(['\n', '`', '#', '|']).next().unwrap())
        {
            let words: Vec<_> = line.split_whitespace().collect();
            let verbs = words.iter().take_while(|w| w.chars().all(|c| c.is_ascii_lowercase())).take(2);
            let mut verbs: Vec<_> = verbs.copied().collect();
            let options = words.iter().filter(|word| word.starts_with("--")).copied();
            let is_command = matches!(verbs.first(), Some(v) if VERBS.contains(v));
            if !is_command {
                continue;
            }
            if !TWO.contains(&verbs[0]) {
                verbs.truncate(1);
            }
            let mut command = Command::new(env!("CARGO_BIN_EXE_caller-context"));
            let output = command.args(&verbs).arg("--help").output().unwrap();
            let help = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{}: {line}", path.display());
            for option in options {
                assert!(help.contains(option), "{}: {line}: no {option}", path.display());
            }
            count += 1;
        }
    }
    assert!(count > 15, "{count} commands");
}

/// Words behind the program's name that make a command of it; in prose others follow.
const VERBS: [&str; 13] = [
    "serve",
    "check",
    "lookup",
    "explain",
    "connectors",
    "demo",
    "keys",
    "audit",
    "replay",
    "health",
    "man",
    "completions",
    "import",
];
const TWO: [&str; 2] = ["keys", "connectors"];

#[test]
fn every_reason_is_explained() {
    let table = TROUBLESHOOTING.split_once("## Reasons").unwrap().1;
    let skips = Skip::WORDS.map(|word| if word == "needs" { "needs_x" } else { word });
    let others = ["not_found", "pending", "role", "trust", "unclassified", "budget"];
    for word in Failure::WORDS.into_iter().chain(skips).chain(others) {
        assert!(table.contains(&format!("`{word}`")), "{word}");
    }
}
