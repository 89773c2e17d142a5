//! Recorded cases of connectors: what is asked and what is read, over a socket. The format is in
//! connectors/tests/README.md. Every line of a manifest must be there because a case needs it.
//! `ONLY=hubspot cargo test --test manifests` runs those of one vendor.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};

use caller_context::recorded::{Bench, Case};
use tokio::runtime::Runtime;

#[test]
fn every_recorded_case_comes_true() {
    let mut failed = Vec::new();
    let mut cases = 0;
    let (runtime, bench) = bench();
    for (vendor, text) in manifests() {
        for case in cases_of(&vendor) {
            cases += 1;
            if let Err(why) = runtime.block_on(bench.judge(&vendor, &text, &case)) {
                failed.push(format!("{vendor}/{}: {why}", case.name));
            }
        }
    }
    assert!(cases > 0, "no case was found");
    assert!(failed.is_empty(), "{} of {cases} cases failed\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn without_any_line_of_a_manifest_a_case_fails() {
    let manifests = manifests();
    assert!(!manifests.is_empty(), "no manifest was found");
    let survivors = std::thread::scope(|scope| {
        let of = |(vendor, text)| scope.spawn(move || survivors_of(vendor, text));
        let all: Vec<_> = manifests.iter().map(|(vendor, text)| of((vendor, text))).collect();
        all.into_iter().flat_map(|one| one.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(survivors.is_empty(), "{} lines are not needed by any case\n{}", survivors.len(), survivors.join("\n"));
}

/// The lines of a manifest that can be taken away, and every case still comes true.
fn survivors_of(vendor: &str, text: &str) -> Vec<String> {
    let (runtime, bench) = bench();
    let mut cases = cases_of(vendor);
    let mut survivors = Vec::new();
    for (line, mutant) in mutants_of(text) {
        let killer = cases.iter().position(|case| runtime.block_on(bench.judge(vendor, &mutant, case)).is_err());
        match killer {
            // Neighbouring lines tend to fail the same case: ask it first next time.
            Some(killer) => cases.swap(0, killer),
            None => {
                let written = text.lines().nth(line - 1).unwrap_or_default();
                survivors.push(format!("connectors/{vendor}.toml:{line}: {written}"));
            }
        }
    }
    survivors
}

fn bench() -> (Runtime, Bench) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bench = runtime.block_on(Bench::start()).unwrap();
    (runtime, bench)
}

fn cases_of(vendor: &str) -> Vec<Case> {
    Case::all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors/tests").join(vendor)).unwrap()
}

fn manifests() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    let name = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    if let Ok(only) = std::env::var("ONLY") {
        paths.retain(|path| name(path) == only);
    }
    paths.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
}

/// The manifest without one of its statements, and without one inner line of a statement that has
/// several; blank lines and comments are nobody's.
fn mutants_of(text: &str) -> Vec<(usize, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let says_something = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let without = |gone: std::ops::Range<usize>| -> String {
        let kept = lines.iter().enumerate().filter(|(at, _)| !gone.contains(at));
        kept.map(|(_, line)| format!("{line}\n")).collect()
    };
    let mut mutants = Vec::new();
    let mut start = 0;
    while start < lines.len() {
        if !says_something(lines.get(start).unwrap()) {
            start += 1;
            continue;
        }
        let mut end = start + 1;
        while end < lines.len() && !is_whole(lines.get(start..end).unwrap()) {
            end += 1;
        }
        mutants.push((start + 1, without(start..end)));
        if end - start > 1 {
            mutants.extend((start..end).map(|line| (line + 1, without(line..line + 1))));
        }
        start = end;
    }
    mutants
}

/// Whether a statement ends with these lines.
fn is_whole(lines: &[&str]) -> bool {
    let text = lines.join("\n");
    text.trim_start().starts_with('[') || toml::from_str::<toml::Table>(&text).is_ok()
}
