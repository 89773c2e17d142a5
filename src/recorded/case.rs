//! One recorded case: its file, and how what happened is compared with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::Value;
use crate::manifest::tree;
use crate::source::quota::Standing;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use toml::Value as Toml;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// The vendor's page or document that the answer follows.
    #[serde(rename = "from")]
    _from: String,
    case: Option<Inputs>,
    #[serde(default)]
    exchange: Vec<Exchange>,
    #[serde(default)]
    expect: Expect,
    #[serde(default)]
    admits: Vec<Admits>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Inputs {
    lookup: Option<String>,
    phone: Option<String>,
    email: Option<String>,
    #[serde(default)]
    emails: Vec<String>,
    customer_id: Option<String>,
    #[serde(default)]
    inputs: BTreeMap<String, String>,
    #[serde(default)]
    connection: BTreeMap<String, String>,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    pub request: String,
    #[serde(default)]
    pub query: BTreeMap<String, Toml>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    pub body: Option<Toml>,
    #[serde(default)]
    pub form: BTreeMap<String, String>,
    #[serde(default = "ok")]
    pub status: u16,
    #[serde(default = "json")]
    pub response_headers: BTreeMap<String, String>,
    #[serde(default)]
    pub response: String,
}

fn ok() -> u16 {
    200
}

fn json() -> BTreeMap<String, String> {
    BTreeMap::from([("content-type".into(), "application/json".into())])
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Expect {
    outcome: Option<String>,
    reason: Option<String>,
    retry_after: Option<u64>,
    #[serde(default)]
    outcomes: BTreeMap<String, String>,
    fields: Option<toml::Table>,
    hits: Option<Vec<String>>,
    #[serde(default)]
    people: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    unreadable_fields: u32,
    #[serde(default)]
    quota: BTreeMap<String, Window>,
}

#[derive(Deserialize, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
struct Window {
    limit: u64,
    remaining: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Admits {
    lookup: String,
    calls: usize,
}

pub struct Case {
    pub name: String,
    pub lookup: Option<String>,
    pub phone: Option<String>,
    pub email: Option<String>,
    pub emails: Vec<String>,
    pub customer_id: Option<String>,
    pub inputs: BTreeMap<String, String>,
    pub exchanges: Vec<Exchange>,
    pub fields: Option<toml::Table>,
    pub hits: Option<Vec<String>>,
    pub people: BTreeMap<String, Vec<String>>,
    pub unreadable_fields: u32,
    pub admits: Vec<(String, usize)>,
    connection: BTreeMap<String, String>,
    expect: Expect,
}

impl Case {
    /// The cases in a folder, by name.
    ///
    /// # Errors
    /// Which file cannot be read, and why.
    pub fn all(folder: &Path) -> Result<Vec<Self>, String> {
        let unreadable = |error| format!("{}: {error}", folder.display());
        let entries = std::fs::read_dir(folder).map_err(unreadable)?;
        let paths: Result<Vec<PathBuf>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
        let mut paths = paths.map_err(unreadable)?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
        paths.sort();
        paths.iter().map(|path| Self::read(path).map_err(|why| format!("{}: {why}", path.display()))).collect()
    }

    fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        let file: File = toml::from_str(&text).map_err(|error| error.to_string())?;
        let mut case = file.case.unwrap_or_default();
        case.connection.entry("region".into()).or_insert_with(|| "US".into());
        let mut expect = file.expect;
        Ok(Self {
            name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            lookup: case.lookup,
            phone: case.phone,
            email: case.email,
            emails: case.emails,
            customer_id: case.customer_id,
            inputs: case.inputs,
            exchanges: file.exchange,
            fields: expect.fields.take(),
            hits: expect.hits.take(),
            people: std::mem::take(&mut expect.people),
            unreadable_fields: expect.unreadable_fields,
            admits: file.admits.into_iter().map(|admits| (admits.lookup, admits.calls)).collect(),
            connection: case.connection,
            expect,
        })
    }

    /// The way to authenticate that the case picks.
    pub fn auth(&self) -> Option<&str> {
        self.connection.get("auth").map(String::as_str)
    }

    /// The connection's variables as an inline table.
    pub fn connection(&self) -> String {
        let members: Vec<String> = self.connection.iter().map(|(name, value)| format!("{name} = {value:?}")).collect();
        format!("{{ {} }}", members.join(", "))
    }

    pub fn compare_outcome(&self, outcome: &str, reason: Option<&str>) -> Result<(), String> {
        let expected = (self.expect.outcome.as_deref(), self.expect.reason.as_deref());
        if expected != (Some(outcome), reason) {
            return Err(format!("it is {outcome} ({reason:?}), expected {expected:?}"));
        }
        Ok(())
    }

    pub fn compare_people(&self, found: &BTreeMap<String, Vec<String>>) -> Result<(), String> {
        if *found != self.people {
            return Err(format!("people are {found:?}, expected {:?}", self.people));
        }
        Ok(())
    }

    pub fn compare_retry_after(&self, found: Option<Duration>) -> Result<(), String> {
        let expected = self.expect.retry_after.map(Duration::from_secs);
        if found != expected {
            return Err(format!("retry after is {found:?}, expected {expected:?}"));
        }
        Ok(())
    }

    /// Of windows that the case names: how they stand.
    pub fn compare_quota(&self, found: &[Standing]) -> Result<(), String> {
        for (length, expected) in &self.expect.quota {
            let window = found.iter().find(|window| tree::duration(length) == Some(window.per));
            let window = window.map(|window| Window { limit: window.limit, remaining: window.remaining });
            if window.as_ref() != Some(expected) {
                return Err(format!("the window of {length} stands at {window:?}, expected {expected:?}"));
            }
        }
        Ok(())
    }

    /// Of every lookup: its status, and with a colon its reason if the case names one.
    pub fn compare_outcomes(&self, found: &[(String, String, Option<String>)]) -> Result<(), String> {
        for (lookup, expected) in &self.expect.outcomes {
            let Some((_, status, reason)) = found.iter().find(|(name, _, _)| name == lookup) else {
                // A fallback without occasion is not part of the answer.
                if expected == "skipped" {
                    continue;
                }
                return Err(format!("nothing is said of {lookup}"));
            };
            let (expected_status, expected_reason) = match expected.split_once(':') {
                Some((status, reason)) => (status, Some(reason)),
                None => (expected.as_str(), None),
            };
            if status != expected_status || (expected_reason.is_some() && reason.as_deref() != expected_reason) {
                return Err(format!("{lookup} is {status} ({reason:?}), expected {expected}"));
            }
        }
        match found.iter().find(|(name, _, _)| !self.expect.outcomes.contains_key(name)) {
            Some((name, _, _)) => Err(format!("{name} ran or was skipped, but is not expected")),
            None => Ok(()),
        }
    }
}

/// Scalars by their text, lists in order, records with all their members.
pub fn same_value(expected: &Toml, found: &Value) -> bool {
    match (expected, found) {
        (Toml::Array(expected), Value::List(found)) => {
            expected.len() == found.len() && expected.iter().zip(found.iter()).all(|(e, f)| same_value(e, f))
        }
        (Toml::Table(expected), Value::Record(found)) => {
            let held = |(name, value): &(std::sync::Arc<str>, Value)| {
                expected.get(&**name).is_some_and(|expected| same_value(expected, value))
            };
            expected.len() == found.len() && found.iter().all(held)
        }
        (Toml::Integer(expected), Value::Int(found)) => expected == found,
        (Toml::Boolean(expected), Value::Bool(found)) => expected == found,
        (Toml::String(expected), found) => found.to_text().is_some_and(|text| text == *expected),
        _ => false,
    }
}

/// A recorded text against the one that was sent; `{select: a b}` stands for names in any order,
/// `{now+30d}` for that time.
pub fn same_text(expected: &str, sent: &str) -> bool {
    if let Some(days) = expected.strip_prefix("{now").and_then(|rest| rest.strip_suffix('}')) {
        return is_days_from_now(days, sent);
    }
    let (expected, sent) = (folded(expected), folded(sent));
    let Some((before, rest)) = expected.split_once("{select:") else { return expected == sent };
    let Some((names, after)) = rest.split_once('}') else { return false };
    let Some(middle) = sent.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)) else { return false };
    let mut sent: Vec<&str> = middle.split(',').map(str::trim).collect();
    let mut names: Vec<&str> = names.split_whitespace().collect();
    sent.sort_unstable();
    names.sort_unstable();
    sent == names
}

/// `+30d`, or nothing for now; a minute may have gone by since.
fn is_days_from_now(offset: &str, sent: &str) -> bool {
    let days: Option<i32> =
        if offset.is_empty() { Some(0) } else { offset.strip_suffix('d').and_then(|days| days.parse().ok()) };
    let (Some(days), Ok(sent)) = (days, sent.parse::<Timestamp>()) else { return false };
    let off = Clock::system().now().duration_since(sent) + SignedDuration::from_hours(24 * i64::from(days));
    (0..60).contains(&off.as_secs())
}

/// White space outside quotes as one blank.
fn folded(text: &str) -> String {
    let mut out = String::new();
    let mut quote = None;
    for letter in text.trim().chars() {
        match quote {
            None if letter.is_whitespace() => {
                if !out.ends_with(' ') {
                    out.push(' ');
                }
                continue;
            }
            None if matches!(letter, '\'' | '"') => quote = Some(letter),
            Some(open) if open == letter => quote = None,
            _ => {}
        }
        out.push(letter);
    }
    out
}

/// A recorded body against the one that was sent.
pub fn same_json(expected: &Toml, sent: &serde_json::Value) -> bool {
    use serde_json::Value as Json;
    match (expected, sent) {
        (Toml::String(expected), Json::String(sent)) => same_text(expected, sent),
        (Toml::String(expected), Json::Array(sent)) if expected.starts_with("{select:") => {
            let sent: Option<Vec<&str>> = sent.iter().map(Json::as_str).collect();
            sent.is_some_and(|sent| same_text(expected, &sent.join(",")))
        }
        (Toml::Array(expected), Json::Array(sent)) => {
            expected.len() == sent.len() && expected.iter().zip(sent).all(|(e, s)| same_json(e, s))
        }
        (Toml::Table(expected), Json::Object(sent)) => {
            let held = |(name, sent): (&String, &Json)| expected.get(name).is_some_and(|e| same_json(e, sent));
            expected.len() == sent.len() && sent.iter().all(held)
        }
        (Toml::Integer(expected), sent) => sent.as_i64() == Some(*expected),
        (Toml::Boolean(expected), sent) => sent.as_bool() == Some(*expected),
        (Toml::Float(expected), sent) => sent.as_f64() == Some(*expected),
        _ => false,
    }
}
