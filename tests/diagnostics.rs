//! Every file of tests/diagnostics is wrong in some way; what is said of it stands beside it. After
//! a change that is meant, `UPDATE=1 cargo test --test diagnostics` writes what is said now.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use caller_context::config::{Layers, load};
use caller_context::manifest::diagnostic::{Diagnostic, render};
use caller_context::manifest::pages::{PAGES, page};

/// What a text alone cannot bring about; tests/config.rs does.
const NOT_BY_TEXT: &[&str] = &["writable-by-others"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn bad_files() -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(root().join("tests/diagnostics")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    paths
}

/// The file as config.toml; one that says `manifest =` is the manifest of the vendor acme, used by
/// a source. Numbers are of a country, unless the file begins with a comment that says otherwise.
fn layers(text: &str) -> Layers {
    const USES: &str = "[sources.crm]\nconnector = \"acme\"\nsecret = \"env:SET\"\n\
        [sources.hubspot]\nconnector = \"hubspot\"\nsecret = \"env:SET\"";
    let is_manifest = text.lines().any(|line| line.starts_with("manifest "));
    let layers = if is_manifest { Layers::text(USES).with_manifest("acme", text) } else { Layers::text(text) };
    let layers = match text.starts_with("# without a region") || text.contains("default_region") {
        true => layers,
        false => layers.with("CALLER_CONTEXT__PHONE__DEFAULT_REGION", "US"),
    };
    layers.with("SET", "postgres://reader:canary@db.example.com/crm").with("NEWLINE", "canary\r\nHost: evil")
}

/// What is said of a file, and the codes of it.
fn said(text: &str) -> (String, Vec<Diagnostic>) {
    match load(&layers(text)) {
        Ok(loaded) => (loaded.rendered_warnings(), loaded.warnings),
        Err(invalid) => {
            let all = invalid.diagnostics.iter().map(|diagnostic| render(diagnostic, &invalid.files) + "\n");
            (all.collect(), invalid.diagnostics)
        }
    }
}

#[test]
fn what_is_said_of_every_bad_file_stands_beside_it() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    for path in bad_files() {
        let (said, _) = said(&std::fs::read_to_string(&path).unwrap());
        let beside = path.with_extension("txt");
        let expected = std::fs::read_to_string(&beside).unwrap_or_default();
        if said == expected {
            continue;
        }
        if update {
            std::fs::write(&beside, &said).unwrap();
        }
        wrong.push(format!("{}\n--- expected\n{expected}--- said\n{said}", path.display()));
    }
    assert!(update || wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_bad_file_has_the_problem_it_is_named_after() {
    let mut wrong = Vec::new();
    for path in bad_files() {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let (said, diagnostics) = said(&std::fs::read_to_string(&path).unwrap());
        let named_after_code = page(&name).is_some();
        if diagnostics.is_empty() || (named_after_code && !diagnostics.iter().any(|d| d.code == name)) {
            wrong.push(format!("{name}: {said}"));
        }
        for diagnostic in diagnostics.iter().filter(|d| page(d.code).is_none()) {
            wrong.push(format!("{name}: {} has no page in docs/diagnostics", diagnostic.code));
        }
    }
    assert!(wrong.is_empty(), "{} files\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn no_diagnostic_shows_a_secret() {
    for path in bad_files() {
        let (said, _) = said(&std::fs::read_to_string(&path).unwrap());
        for secret in ["canary", "written-out"] {
            assert!(!said.contains(secret), "{}:\n{said}", path.display());
        }
    }
}

#[test]
fn every_code_has_a_page_and_a_bad_file() {
    let files: BTreeSet<String> =
        bad_files().iter().map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    let pages: BTreeSet<&str> = PAGES.iter().map(|(code, _)| *code).collect();
    let written: BTreeSet<String> = std::fs::read_dir(root().join("docs/diagnostics"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(written, pages.iter().map(|code| (*code).to_owned()).collect(), "pages that are not built in");
    let mut wrong = Vec::new();
    for code in codes_of_the_source() {
        if !pages.contains(&*code) {
            wrong.push(format!("{code} has no page in docs/diagnostics"));
        }
        if !files.contains(&code) && !NOT_BY_TEXT.contains(&&*code) {
            wrong.push(format!("{code} has no bad file in tests/diagnostics"));
        }
    }
    for code in &pages {
        if !codes_of_the_source().contains(*code) {
            wrong.push(format!("{code} has a page, but nothing says it"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The texts in src/manifest and src/config that are codes: whatever is handed on as the first
/// argument of a call that reports, or stands alone on a line, and looks like a code.
fn codes_of_the_source() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    let mut folders = vec![root().join("src/manifest"), root().join("src/config")];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("pages.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap_or_default();
                codes.extend(reported(code));
            }
        }
    }
    codes
}

fn reported(text: &str) -> BTreeSet<String> {
    const REPORTS: &[&str] =
        &["error(", "error_help(", "warning(", "Severity::Error,", "Severity::Warning,", "wrong(", "problem("];
    let mut codes = BTreeSet::new();
    for (at, _) in text.match_indices('"') {
        let before = text.get(..at).unwrap_or_default().trim_end();
        if !REPORTS.iter().any(|report| before.ends_with(report)) {
            continue;
        }
        let word = text.get(at + 1..).unwrap_or_default().split('"').next().unwrap_or_default();
        let is_code = !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        if is_code {
            codes.insert(word.to_owned());
        }
    }
    codes
}
