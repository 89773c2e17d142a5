//! For tests: one operation compiled from its text, with a source around it.

use std::cell::RefCell;

use jiff::Timestamp;

use super::diagnostic::{Diagnostics, Files, render};
use super::plan::{Auth, Breaker, HttpUpstream, Limits, Source, Upstream};
use super::reading::{ErrorRules, ReadEnv, Record};
use super::scope::{Need, Scope, Variable};
use super::template::{Env, HttpRequest, Maps, Prepared};
use super::tree::{self, Content, Reader};
use crate::domain::field::Kind;
use crate::domain::{Email, Identity, NameId, Names, Phone, Skip, Type, Value};

pub(super) const NOW: &str = "2026-11-20T12:30:00Z";

/// A compiled operation of a source called `crm`.
pub(super) struct Trial {
    pub names: Names,
    pub source: Source,
    pub request: HttpRequest,
    pub record: Record,
    pub errors: ErrorRules,
    pub identity: Identity,
    pub now: Timestamp,
    pub values: Vec<(NameId, Value)>,
}

/// The file is an operation, with `needs`, beside what the source declares around it: `base_url`,
/// `map`, `record`, `error` and `vendor_headers`. Problems come as `code: text at fault`.
pub(super) fn compile(text: &str) -> Result<Trial, Vec<String>> {
    let mut files = Files::default();
    let diagnostics = Diagnostics::default();
    files.add("trial.toml", text);
    let table = tree::parse(0, &files, &diagnostics);
    let mut interned = Names::default();
    interned.intern("service_type", Type::Text, Kind::Input);
    interned.intern("limit", Type::Int, Kind::Input);
    interned.intern("seen", Type::Time, Kind::Input);
    let variable = |names: &mut Names, text: &str, always| {
        let id = names.intern(text, Type::Text, Kind::BuiltIn);
        Variable { text: text.into(), id, always }
    };
    let variables = [
        variable(&mut interned, "instance_url", true),
        variable(&mut interned, "portal", true),
        variable(&mut interned, "stage", false),
    ];
    let names = RefCell::new(interned);
    let maps = Maps {
        maps: table.get("map").and_then(|n| n.as_table()).map_or_else(Default::default, |maps| {
            let entries = |t: &tree::Table| t.entries.iter().map(|e| (e.key.clone(), value(&e.value))).collect();
            maps.entries.iter().filter_map(|e| Some((e.key.clone(), entries(e.value.as_table()?)))).collect()
        }),
    };
    let reader = Reader::new(&table, super::diagnostic::Origin { file: 0, start: 0, end: 1 }, &diagnostics);
    let base = reader.node("base_url").and_then(|n| Some((n.as_text()?, n.origin)));
    let origin = reader.origin;
    let scope = Scope {
        source: "crm",
        sources: &["crm".into(), "shop".into()],
        config_file: None,
        names: &names,
        files: &files,
        diagnostics: &diagnostics,
        variables: &variables,
        maps: &maps,
        tables: reader.node("table").and_then(|n| n.as_table()),
        version: Some("v1"),
        base_url: base.or(Some(("https://api.example.com/base", origin))),
        headers: reader.node("vendor_headers").and_then(|n| n.as_table()),
        records: reader.node("record").and_then(|n| n.as_table()),
        errors: reader.node("error_of_vendor").and_then(|n| n.as_table()),
    };
    reader.node("map");
    let needs: Vec<Need> = reader
        .texts("needs")
        .unwrap_or_else(|| vec![("phone", origin)])
        .iter()
        .filter_map(|(need, origin)| scope.need(need, *origin))
        .collect();
    let record = Record::compile(&reader, &needs, &scope);
    let request = record.as_ref().and_then(|record| HttpRequest::compile(&reader, &needs, record, &scope));
    let errors = ErrorRules::compile(&reader, &scope);
    if request.is_none() {
        for key in ["get", "post", "query", "headers", "body", "spellings"] {
            reader.node(key);
        }
    }
    reader.finish();
    let found = diagnostics.into_list();
    let problem = |d: &super::diagnostic::Diagnostic| {
        let at = d.origin.and_then(|o| text.get(o.start as usize..o.end as usize)).unwrap_or("");
        assert!(render(d, &files).contains(d.code));
        format!("{}: {at}", d.code)
    };
    match (request, record, errors) {
        (Some(request), Some(record), Some(errors)) if found.is_empty() => {
            let value = |name: &Variable, value: &str| (name.id, Value::text(value));
            let [instance, portal, _] = &variables;
            let variables = vec![value(instance, "https://eu1.crm.example.com"), value(portal, "7")];
            Ok(Trial {
                source: source(maps, variables),
                names: names.into_inner(),
                request,
                record,
                errors,
                identity: Identity::Phone(phone("+14155550142")),
                now: now(),
                values: Vec::new(),
            })
        }
        _ => Err(found.iter().map(problem).collect()),
    }
}

#[expect(clippy::unwrap_used, reason = "a number written in a test")]
pub(super) fn phone(text: &str) -> Phone {
    Phone::parse(text, None).unwrap()
}

#[expect(clippy::unwrap_used, reason = "an address written in a test")]
pub(super) fn email(text: &str) -> Email {
    Email::parse(text).unwrap()
}

#[expect(clippy::unwrap_used, reason = "a time written here")]
pub(super) fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn value(node: &tree::Node) -> Value {
    match &node.value {
        Content::Bool(value) => Value::Bool(*value),
        Content::Int(number) => Value::Int(*number),
        _ => Value::text(node.as_text().unwrap_or("")),
    }
}

fn source(maps: Maps, variables: Vec<(NameId, Value)>) -> Source {
    use std::time::Duration;
    Source {
        name: "crm".into(),
        connector: "http".into(),
        upstream: Upstream::Http(HttpUpstream {
            origin: None,
            hosts: vec!["api.example.com".into()],
            allow_private: false,
            auth: Auth::None,
            max_answer_bytes: 1 << 20,
        }),
        connected: true,
        essential: false,
        secondary_of: None,
        timeout: Duration::from_secs(3),
        fresh: Duration::from_secs(300),
        keep: Duration::from_secs(3600),
        not_found: Duration::from_secs(60),
        limits: Limits { concurrency: 8, ..Limits::default() },
        breaker: Breaker::default(),
        defaults: vec![],
        variables,
        region: Some("US".into()),
        time_zone: jiff::tz::TimeZone::get("Europe/Berlin").unwrap_or(jiff::tz::TimeZone::UTC),
        maps,
        tables: vec![],
    }
}

impl Trial {
    /// Puts a value on the table.
    #[expect(clippy::unwrap_used, reason = "a name written in a test")]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        let name = name.strip_prefix("own.").map_or(name.to_owned(), |own| format!("crm.{own}"));
        self.values.push((self.names.get(&name).unwrap(), value));
        self
    }

    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = identity;
        self
    }

    pub fn render(&self) -> Result<Prepared, Skip> {
        let phones = match &self.identity {
            Identity::Phone(phone) => phone.variants().to_vec(),
            _ => vec![],
        };
        self.request.render(&Env {
            get: &|name| self.get(name),
            source: &self.source,
            phones: &phones,
            spelling: self.request.spellings().first().copied(),
            emails: &[],
            now: self.now,
        })
    }

    pub fn get(&self, name: NameId) -> Option<&Value> {
        self.values.iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    pub fn read<R>(&self, read: impl FnOnce(&Record, &ReadEnv<'_>) -> R) -> R {
        let env = ReadEnv {
            identity: &self.identity,
            get: &|name| self.get(name),
            source: &self.source,
            tables: &|table, key| (table == "stages" && key == "7").then(|| Value::text("Won soon")),
            never: &["petname".into()],
        };
        read(&self.record, &env)
    }
}
