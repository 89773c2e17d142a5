//! A manifest's table, merged with everything laid on it, to the operations and maps of
//! one source. What stands inside a request or a record is compiled in `template` and `reading`.

use std::sync::Arc;
use std::time::Duration;

use super::diagnostic::{Origin, did_you_mean};
use super::expression::{SOURCES, WORDS};
use super::language::Language;
use super::plan::{self, Batch, Limits, Operation, OperationId, Request, SqlEngine};
use super::reading::{ErrorRules, Record};
use super::scope::{Need, Scope};
use super::sql::Statement;
use super::template::{HttpRequest, Maps, spellings};
use super::tree::{Content, Entry, Node, Reader, Table, wrong_type};
use crate::domain::{NameId, SourceId, Value, canonical};

const EMAIL: NameId = canonical("email");

const REQUEST_KEYS: &[&str] = &["get", "post", "sql", "query", "headers", "body", "spellings"];
/// What of a lookup its batch may say otherwise.
const BATCH_KEYS: &[&str] = &["get", "post", "query", "headers", "body", "records"];
const RECORD_KEYS: &[&str] =
    &["records", "reads", "select", "phones", "emails", "where", "rank", "exact", "provides", "list", "error"];

/// Of a table that does not say how long it is used.
const KEEP: Duration = Duration::from_secs(3_600);

const LEAST_TIMEOUT: Duration = Duration::from_millis(10);

/// How the lookups of one source are to be compiled.
pub struct Compile<'a> {
    pub scope: Scope<'a>,
    pub source: SourceId,
    /// `None` speaks HTTP.
    pub engine: Option<SqlEngine>,
    /// Of the source; an operation's own can only be shorter.
    pub timeout: Duration,
    pub limits: &'a Limits,
    /// The operations compiled before, of other sources.
    pub before: usize,
}

/// An operation, and where it was written.
pub struct Compiled {
    pub operation: Operation,
    pub origin: Origin,
    /// Where its needs were written, in their order.
    pub needs: Vec<Origin>,
    pub exact: bool,
}

impl Compile<'_> {
    /// Compiles `[lookup.<name>]` in file order.
    pub fn lookups(&self, lookups: &[Entry]) -> Vec<Compiled> {
        let read: Vec<(&Entry, Option<Compiled>)> = lookups.iter().map(|entry| (entry, self.lookup(entry))).collect();
        let mut compiled = Vec::new();
        let mut fallbacks = Vec::new();
        for (entry, lookup) in read {
            let Some(lookup) = lookup else { continue };
            let fallback = entry.value.as_table().and_then(|table| table.get("fallback_of"));
            fallbacks.push(fallback.and_then(|node| node.as_text().map(|text| (text, node.origin))));
            compiled.push(lookup);
        }
        let known: Vec<Arc<str>> = compiled.iter().map(|c: &Compiled| c.operation.name.clone()).collect();
        for (lookup, fallback) in compiled.iter_mut().zip(fallbacks) {
            let Some((name, origin)) = fallback else { continue };
            if let Some(at) = known.iter().position(|known| &**known == name) {
                lookup.operation.fallback_of = u16::try_from(self.before + at).ok().map(OperationId);
            } else if !lookups.iter().any(|entry| &*entry.key == name) {
                let help = did_you_mean(name, known.iter().map(|known| &**known));
                let problem = format!("`{name}` is not a lookup of this connector");
                self.scope.diagnostics.error_help("unknown-name", origin, problem, help);
            }
        }
        compiled
    }

    fn lookup(&self, entry: &Entry) -> Option<Compiled> {
        let diagnostics = self.scope.diagnostics;
        let reader = Reader::of(&entry.value, diagnostics)?;
        let (needs, origins) = self.needs(&reader, entry);
        let _ = reader.text("fallback_of");
        let bucket = self.bucket(&reader);
        let cost = self.cost(&reader);
        let timeout = self.own_timeout(&reader);
        let exact = reader.bool("exact").unwrap_or(false);
        let record = Record::compile(&reader, &needs, &self.scope);
        let request = match (self.engine, &record) {
            (Some(engine), _) => self.statement(&reader, engine, &needs),
            (None, Some(record)) => HttpRequest::compile(&reader, &needs, record, &self.scope)
                .map(|request| Request::Http(Box::new(request))),
            // The request asks for what the record reads, so it waits until that is right.
            (None, None) => None,
        };
        let spellings = match &request {
            Some(Request::Http(request)) => request.spellings().to_vec(),
            _ if self.engine.is_some() => spellings(&reader),
            _ => Vec::new(),
        };
        let errors = ErrorRules::compile(&reader, &self.scope);
        let batch = match (self.engine, reader.table.get("batch")) {
            (None, Some(_)) if request.is_some() && record.is_some() => self.batch(&reader, &needs),
            // what is wrong with the lookup would be wrong with its batch
            (None, _) => reader.node("batch").and(None),
            (Some(_), _) => None,
        };
        if request.is_none() || record.is_none() || errors.is_none() {
            // What could not be compiled has left its keys unread.
            for key in REQUEST_KEYS.iter().chain(RECORD_KEYS) {
                let _ = reader.node(key);
            }
        }
        reader.finish();
        let (request, record, errors) = (request?, record?, errors?);
        let mut inputs: Vec<NameId> = needs.iter().flatten().copied().collect();
        match &request {
            Request::Http(request) => inputs.extend_from_slice(request.names()),
            Request::Sql(statement) => inputs.extend_from_slice(statement.names()),
        }
        inputs.sort_unstable();
        inputs.dedup();
        let operation = Operation {
            source: self.source,
            name: entry.key.clone(),
            needs,
            inputs,
            fallback_of: None,
            spellings,
            provides: record.provides().to_vec(),
            request,
            record,
            errors,
            bucket,
            cost,
            timeout,
            batch: batch.map(Box::new),
        };
        Some(Compiled { operation, origin: entry.key_origin, needs: origins, exact })
    }

    /// Compiles `[table.<name>]` in file order.
    pub fn tables(&self, tables: &[Entry]) -> Vec<plan::Table> {
        // every table is compiled, also after a wrong one
        tables.iter().filter_map(|entry| self.table(entry)).collect()
    }

    fn table(&self, entry: &Entry) -> Option<plan::Table> {
        let reader = Reader::of(&entry.value, self.scope.diagnostics)?;
        let keep = reader.duration("keep").unwrap_or(KEEP);
        let (bucket, cost) = (self.bucket(&reader), self.cost(&reader));
        let timeout = self.own_timeout(&reader);
        let name = self.scope.own(self.scope.source, &format!("table.{}", entry.key));
        let record = Record::of_table(&reader, name, &self.scope);
        let request = record.as_ref().and_then(|record| HttpRequest::compile(&reader, &[], record, &self.scope));
        let errors = ErrorRules::compile(&reader, &self.scope);
        if request.is_none() || errors.is_none() {
            // What could not be compiled has left its keys unread.
            for key in REQUEST_KEYS.iter().chain(RECORD_KEYS) {
                let _ = reader.node(key);
            }
        }
        reader.finish();
        let operation = Operation {
            source: self.source,
            name: entry.key.clone(),
            needs: Vec::new(),
            inputs: Vec::new(),
            fallback_of: None,
            request: Request::Http(Box::new(request?)),
            spellings: Vec::new(),
            record: record?,
            errors: errors?,
            provides: Vec::new(),
            bucket,
            cost,
            timeout,
            batch: None,
        };
        Some(plan::Table { name: entry.key.clone(), operation, keep })
    }

    /// `[lookup.<name>.batch]`: the lookup with another request.
    fn batch(&self, lookup: &Reader<'_>, needs: &[Need]) -> Option<Batch> {
        let batch = lookup.table("batch")?;
        let diagnostics = self.scope.diagnostics;
        let max = batch.count("max");
        if batch.node("max").is_none() {
            batch.missing("max");
        }
        if max.is_some_and(|max| !(2..=1_000).contains(&max)) {
            let origin = batch.node("max").map_or(batch.origin, |node| node.origin);
            diagnostics.error("out-of-range", origin, "`max` must be from 2 to 1000");
        }
        let by_email_alone = matches!(needs, [need] if **need == [EMAIL]);
        if !by_email_alone {
            let help = "people are asked for together by e-mail: needs = [\"email\"]".to_owned();
            diagnostics.error_help("wrong-value", batch.origin, "this lookup is not by e-mail alone", Some(help));
        }
        let own = |key: &str| BATCH_KEYS.contains(&key) && batch.table.get(key).is_some();
        let line = own("get") || own("post");
        let replaced = |key: &str| own(key) || line && matches!(key, "get" | "post" | "query" | "body");
        let kept = |entry: &&Entry| !replaced(&entry.key);
        let written = batch.table.entries.iter().filter(|entry| BATCH_KEYS.contains(&&*entry.key));
        let table = Table { entries: lookup.table.entries.iter().filter(kept).chain(written).cloned().collect() };
        for key in BATCH_KEYS {
            let _ = batch.node(key);
        }
        let origin = batch.origin;
        batch.finish();
        let whole = Reader::new(&table, origin, diagnostics);
        let record = Record::compile(&whole, needs, &self.scope)?;
        let request = HttpRequest::for_several(&whole, &record, &self.scope)?;
        let max = max.and_then(|max| usize::try_from(max).ok()).filter(|_| by_email_alone)?;
        Some(Batch { request, record, max })
    }

    fn needs(&self, reader: &Reader<'_>, entry: &Entry) -> (Vec<Need>, Vec<Origin>) {
        let written = reader.texts("needs").unwrap_or_default();
        if written.is_empty() && reader.list("needs").is_none_or(<[Node]>::is_empty) {
            let problem = format!("the lookup `{}` needs nothing, so it would run for everybody", entry.key);
            let help = "say what it starts from: needs = [\"phone\"]".to_owned();
            self.scope.diagnostics.error_help("no-needs", entry.key_origin, problem, help);
        }
        written
            .into_iter()
            .filter_map(|(text, origin)| self.scope.need(text, origin).map(|need| (need, origin)))
            .unzip()
    }

    /// Can only be shorter than the source's.
    fn own_timeout(&self, reader: &Reader<'_>) -> Duration {
        let Some(own) = reader.duration("timeout") else { return self.timeout };
        if own < LEAST_TIMEOUT {
            let origin = reader.node("timeout").map_or(reader.origin, |node| node.origin);
            self.scope.diagnostics.error("out-of-range", origin, "no call is answered in less than 10ms");
        }
        own.min(self.timeout)
    }

    fn bucket(&self, reader: &Reader<'_>) -> Option<Arc<str>> {
        let name = reader.text("bucket")?;
        let known = self.limits.buckets.iter().map(|(name, _)| name);
        if let Some(bucket) = known.clone().find(|known| &***known == name) {
            return Some(bucket.clone());
        }
        let origin = reader.node("bucket").map_or(reader.origin, |node| node.origin);
        let problem = format!("`{name}` is not a bucket of [limits]");
        let help = did_you_mean(name, known.map(|known| &**known));
        self.scope.diagnostics.error_help("unknown-name", origin, problem, help);
        None
    }

    /// What one request takes out of the long budgets.
    fn cost(&self, reader: &Reader<'_>) -> u32 {
        let cost = reader.count("cost").unwrap_or(1);
        match u32::try_from(cost).ok().filter(|cost| (1..=100_000).contains(cost)) {
            Some(cost) => cost,
            None => {
                let origin = reader.node("cost").map_or(reader.origin, |node| node.origin);
                self.scope.diagnostics.error("out-of-range", origin, "`cost` must be from 1 to 100000");
                1
            }
        }
    }

    fn statement(&self, reader: &Reader<'_>, engine: SqlEngine, needs: &[Need]) -> Option<Request> {
        let Some(node) = reader.node("sql") else {
            let problem = "a lookup of a database has a statement in `sql`";
            self.scope.diagnostics.error("one-request", reader.origin, problem);
            return None;
        };
        Statement::compile(node, engine, needs, &self.scope).map(Request::Sql)
    }
}

/// Where lookups start: what a request can know of a caller.
pub const STARTS: [(&str, NameId); 3] =
    [("phone", canonical("phone")), ("email", canonical("email")), ("customer_id", canonical("customer_id"))];

/// `[map.<name>]`: text, number or true/false on the right.
pub fn maps(manifest: &Reader<'_>) -> Maps {
    let mut maps = Maps::default();
    for map in manifest.entries("map") {
        let Some(table) = Reader::of(&map.value, manifest.diagnostics) else { continue };
        let values = table.table.entries.iter().filter_map(|entry| {
            let value = match &entry.value.value {
                Content::Text(text) => Value::Text(text.clone()),
                Content::Int(number) => Value::Int(*number),
                Content::Bool(value) => Value::Bool(*value),
                _ => {
                    wrong_type(manifest.diagnostics, &entry.value, "a text, a whole number, or true or false");
                    return None;
                }
            };
            Some((entry.key.clone(), value))
        });
        maps.maps.insert(map.key.clone(), values.collect());
    }
    maps
}

/// Whether a table is one thing in the language of manifests, an expression or a text in a query
/// language: layers replace it as a whole.
pub fn is_whole(table: &Table) -> bool {
    if table.keys().any(|key| key == "header" || Language::parse(key).is_some()) {
        return true;
    }
    table.keys().any(|key| SOURCES.contains(&key)) && table.keys().all(|key| WORDS.contains(&key))
}
