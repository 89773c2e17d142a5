//! `connectors`: what vendors can be asked, and the tools of whoever writes a manifest: begin one, run
//! its recorded cases, ask the real vendor once.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Subcommand;
use toml::{Table, Value};

use super::lookup::{self, LookupArgs};
use crate::manifest::builtin;
use crate::manifest::diagnostic::did_you_mean;
use crate::recorded::{Bench, Case};

pub const EXAMPLES: &str = "\
Exit codes: 0 done; 1 a recorded case fails, or the vendor could not say; 2 there is no such connector;
3 `try` found nobody; 78 the configuration has errors.

A manifest of your own, in ten minutes (docs/connectors.md):
  caller-context connectors new acme --base-url https://api.acme.example
  caller-context connectors check acme
  caller-context connectors try crm +14155550142

Examples:
  caller-context connectors list
  caller-context connectors show hubspot";

#[derive(Subcommand)]
pub enum ConnectorsVerb {
    /// What each connector finds, by what, and how many of its lookups are searches
    List {
        /// Where manifests of your own are
        #[arg(long, value_name = "FOLDER", default_value = "connectors")]
        folder: PathBuf,
    },
    /// Print a manifest, for instance to start your own from
    Show { name: String },
    /// Begin a manifest: the file and a first recorded case, with what to fill in
    New {
        /// The vendor's name: letters, digits and -
        name: String,
        /// Scheme and host of the vendor's API
        #[arg(long, value_name = "URL")]
        base_url: String,
        /// Where the manifest goes; the gateway looks for `connectors` beside its configuration
        #[arg(long, value_name = "FOLDER", default_value = "connectors")]
        folder: PathBuf,
    },
    /// Run the recorded cases of a manifest of your own
    Check {
        name: String,
        /// Where the manifest is; its cases are in tests/<name>/ below
        #[arg(long, value_name = "FOLDER", default_value = "connectors")]
        folder: PathBuf,
    },
    /// Ask one configured source about somebody, for real, and show what it says
    Try {
        /// The source's name in the configuration
        source: String,
        #[command(flatten)]
        lookup: LookupArgs,
    },
}

pub async fn run(verb: ConnectorsVerb) -> anyhow::Result<ExitCode> {
    match verb {
        ConnectorsVerb::List { folder } => {
            print!("{}", listed(&manifests(&folder)?)?);
            Ok(ExitCode::SUCCESS)
        }
        ConnectorsVerb::Show { name } => Ok(show(&name)),
        ConnectorsVerb::New { name, base_url, folder } => begin(&name, &base_url, &folder),
        ConnectorsVerb::Check { name, folder } => check(&name, &folder).await,
        ConnectorsVerb::Try { source, lookup } => lookup::run(lookup, Some(&source)).await,
    }
}

fn show(name: &str) -> ExitCode {
    match builtin::ALL.iter().find(|(known, _)| *known == name) {
        Some((_, text)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        None => {
            let hint = did_you_mean(name, builtin::ALL.iter().map(|(known, _)| *known)).unwrap_or_default();
            eprintln!("error: there is no built-in connector `{name}`; {hint}");
            ExitCode::from(2)
        }
    }
}

/// All that are built in, and those of a folder beside them; one of the same name only changes it.
fn manifests(folder: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let mut all: BTreeMap<_, _> = builtin::ALL.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(all) };
    for entry in entries {
        let path = entry?.path();
        if let (Some("toml"), Some(name)) =
            (path.extension().and_then(|e| e.to_str()), path.file_stem().and_then(|s| s.to_str()))
        {
            let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            all.entry(name.to_owned()).or_insert(text);
        }
    }
    Ok(all)
}

/// A line each: by what people are found, what is read of them, how many of the requests about one
/// caller are searches, which vendors count most strictly.
fn listed(manifests: &BTreeMap<String, String>) -> anyhow::Result<String> {
    let mut out = String::new();
    writeln!(out, "{:<18}{:<24}{:<26}{:<10}lookups", "name", "vendor", "finds by", "searches")?;
    for (name, text) in manifests {
        let manifest: Table = text.parse().with_context(|| format!("{name} is no TOML; run `check`"))?;
        let title = manifest.get("title").and_then(Value::as_str).unwrap_or_default();
        let empty = Table::new();
        let lookups = manifest.get("lookup").and_then(Value::as_table).unwrap_or(&empty);
        // a fallback is asked instead of another, not beside it
        let asked = lookups.values().filter(|lookup| lookup.get("fallback_of").is_none()).count();
        let searches = lookups.values().filter(|lookup| lookup.get("fallback_of").is_none() && is_search(lookup));
        let names: Vec<&str> = lookups.keys().map(String::as_str).collect();
        let searches = format!("{} of {asked}", searches.count());
        let by = found_by(lookups).join(", ");
        writeln!(out, "{name:<18}{title:<24}{by:<26}{searches:<10}{}", names.join(" "))?;
    }
    Ok(out)
}

fn needs(lookup: &Value) -> impl Iterator<Item = &str> {
    let needs = lookup.get("needs").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    needs.iter().filter_map(Value::as_str).flat_map(|need| need.split('|')).map(str::trim)
}

/// Identities that a lookup begins with.
fn found_by(lookups: &Table) -> Vec<&'static str> {
    let words = [("phone", "phone"), ("email", "e-mail"), ("customer_id", "customer id")];
    let begins_with = |name: &str| lookups.values().any(|lookup| needs(lookup).any(|need| need == name));
    words.into_iter().filter(|(name, _)| begins_with(name)).map(|(_, word)| word).collect()
}

/// It counts against the vendor's limit of searches, or looks for people whom its answer must prove.
fn is_search(lookup: &Value) -> bool {
    let is_exact = lookup.get("exact").and_then(Value::as_bool) == Some(true);
    lookup.get("bucket").and_then(Value::as_str) == Some("search")
        || !is_exact && needs(lookup).any(|need| matches!(need, "phone" | "email"))
}

fn begin(name: &str, base_url: &str, folder: &Path) -> anyhow::Result<ExitCode> {
    let is_name = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    anyhow::ensure!(is_name && !name.is_empty(), "a vendor's name has letters of a-z, digits and -, like acme");
    let url = url::Url::parse(base_url).context("the base URL is like https://api.acme.example")?;
    let host = url.host_str().context("the base URL names no host")?;
    let base_url = base_url.trim_end_matches('/');
    let manifest = include_str!("connectors/manifest.toml");
    let case = include_str!("connectors/case.toml");
    let fill = |text: &str| text.replace("NAME", name).replace("BASE_URL", base_url).replace("HOST", host);
    let files = [
        (folder.join(format!("{name}.toml")), fill(manifest)),
        (folder.join("tests").join(name).join("phone_hit.toml"), fill(case)),
    ];
    for (path, _) in &files {
        anyhow::ensure!(!path.exists(), "{} is there already; it stays as it is", path.display());
    }
    for (path, text) in files {
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}", path.display());
    }
    println!(
        "\nIt reads an answer that does not exist yet: put the vendor's own into the case, then make it true with"
    );
    println!("  caller-context connectors check {name} --folder {}", folder.display());
    Ok(ExitCode::SUCCESS)
}

async fn check(name: &str, folder: &Path) -> anyhow::Result<ExitCode> {
    let path = folder.join(format!("{name}.toml"));
    let built_in = builtin::ALL.iter().find(|(known, _)| *known == name).map(|(_, text)| Arc::from(*text));
    let manifest: Arc<str> = match (std::fs::read_to_string(&path), built_in) {
        (Ok(text), _) => text.into(),
        (Err(_), Some(text)) => text,
        (Err(_), None) => {
            eprintln!("error: there is no {}; `connectors new {name}` begins one", path.display());
            return Ok(ExitCode::from(2));
        }
    };
    let cases = Case::all(&folder.join("tests").join(name)).map_err(anyhow::Error::msg)?;
    let bench = Bench::start().await?;
    let mut failed = 0;
    for case in &cases {
        match bench.judge(name, &manifest, case).await {
            Ok(()) => println!("ok      {}", case.name),
            Err(why) => {
                failed += 1;
                println!("failed  {}: {why}", case.name);
            }
        }
    }
    println!("{} of {} cases come true", cases.len() - failed, cases.len());
    Ok(if failed == 0 && !cases.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_manifest_has_its_line() {
        let all = manifests(Path::new("/nowhere")).unwrap_or_default();
        let page = listed(&all).unwrap_or_default();
        assert_eq!(page.lines().count(), builtin::ALL.len() + 1, "{page}");
        let hubspot = page.lines().find(|line| line.starts_with("hubspot ")).unwrap_or_default();
        assert!(hubspot.contains("phone, e-mail") && hubspot.contains("3 of 5"), "{hubspot}");
    }
}
