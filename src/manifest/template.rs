//! Requests, compiled: every key of an operation that says what is sent becomes constants and
//! holes whose position, and so whose escaping, is known. `render` fills them. No network, no
//! vendor names.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method};
use jiff::Timestamp;

use super::convert;
use super::diagnostic::{Origin, did_you_mean};
use super::hole::{Context, Hole, Piece, Template};
use super::language::{Language, Query, check_undeclared};
use super::plan::Source;
use super::reading::Record;
use super::render::encode_query;
use super::scope::{Need, Scope};
use super::tree::{Content, Entry, Node, Reader, wrong_type};
use crate::domain::{NameId, Phone, Spelling, Value};

/// `[map.<name>]` tables: value -> value, compared without case; `*` is anything else.
#[derive(Debug, Default, Clone)]
pub struct Maps {
    pub maps: HashMap<Arc<str>, Vec<(Arc<str>, Value)>>,
}

/// `[table.<name>]` reference data as loaded: key (lower case) -> value. Not loaded is missing.
#[derive(Debug, Default, Clone)]
pub struct Tables {
    pub tables: HashMap<Arc<str>, HashMap<String, Value>>,
}

/// What a request is rendered from.
pub struct Env<'a> {
    /// The inputs on the table: fields, own ids, request inputs.
    pub get: &'a dyn Fn(NameId) -> Option<&'a Value>,
    pub source: &'a Source,
    pub tables: &'a Tables,
    /// The caller's number and its variants; `{phone}` is the first, `{phones}` all of them.
    pub phones: &'a [Phone],
    /// The spelling of `{phone}` for this request; `{phones}` uses the operation's list.
    pub spelling: Option<Spelling>,
    pub now: Timestamp,
}

/// A request of an operation, compiled.
#[derive(Debug, Default)]
pub struct HttpRequest {
    pub(super) method: Method,
    pub(super) url: Vec<UrlPart>,
    pub(super) query: Vec<Parameter>,
    pub(super) headers: Vec<(HeaderName, Header)>,
    pub(super) body: Body,
    /// Nothing of the body is there for sure: without any of it, the request changes nothing.
    pub(super) body_may_vanish: bool,
    names: Vec<NameId>,
    spellings: Arc<[Spelling]>,
    phone_use: PhoneUse,
}

/// Whether a request holds one spelling of the caller's number or all of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PhoneUse {
    #[default]
    None,
    One,
    Many,
}

/// A request ready to send. Its URL, headers and body hold personal data: never log it.
pub struct Prepared {
    pub method: Method,
    pub url: url::Url,
    pub headers: http::HeaderMap,
    pub body: Option<Bytes>,
}

#[derive(Debug)]
pub(super) enum UrlPart {
    Text(Box<str>),
    /// Part of scheme and host: where the request may go is judged on the whole URL.
    Origin(Hole),
    /// Part of one path segment.
    Segment(Hole),
}

#[derive(Debug)]
pub(super) enum Parameter {
    /// `key=value`, encoded.
    Constant(Box<str>),
    /// The key is encoded.
    Text(Box<str>, Text),
}

#[derive(Debug, Clone)]
pub(super) enum Text {
    Template(Template),
    Query(Query),
}

#[derive(Debug)]
pub(super) enum Header {
    Constant(HeaderValue),
    Template(Template),
}

#[derive(Debug, Default)]
pub(super) enum Body {
    #[default]
    None,
    Json(Json),
    /// Keys are encoded, nested tables flattened to `a[b]`, arrays to `a[]`.
    Form(Vec<Parameter>),
}

#[derive(Debug)]
pub(super) enum Json {
    /// JSON as it is sent.
    Constant(Box<[u8]>),
    Text(Text),
    /// Keys are JSON texts with their colon.
    Object(Vec<(Box<[u8]>, Json)>),
    Array(Vec<Json>),
}

/// What a part of a body is made of.
#[derive(Clone, Copy, Default)]
struct Made {
    constants: bool,
    required: bool,
    optional: bool,
}

impl Maps {
    /// The entry for `key`, else the one for anything else.
    pub fn lookup(&self, map: &str, key: &str) -> Option<&Value> {
        let entries = self.maps.get(map)?;
        let entry = entries.iter().find(|(known, _)| same_text(known, key));
        entry.or_else(|| entries.iter().find(|(known, _)| &**known == "*")).map(|(_, value)| value)
    }
}

impl Tables {
    pub fn lookup(&self, table: &str, key: &str) -> Option<&Value> {
        self.tables.get(table)?.get(key.to_lowercase().as_str())
    }
}

/// Equal without case.
pub(super) fn same_text(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || (!(a.is_ascii() && b.is_ascii()) && a.to_lowercase() == b.to_lowercase())
}

impl HttpRequest {
    /// Compiles `get` `post` `put` `patch` `delete`, `query`, `headers`, `body`, `form` and
    /// `spellings` of an operation. `None` when something is wrong; what, is in the diagnostics.
    pub fn compile(operation: &Reader<'_>, needs: &[Need], record: &Record, scope: &Scope<'_>) -> Option<HttpRequest> {
        let spellings = spellings(operation);
        let cx = Context { select: record.select(), spellings: spellings.into(), ..Context::new(scope, needs) };
        // every key is read before anything gives up, so that all problems show in one run
        let line = request_line(operation, &cx);
        let query = query(operation.entries("query"), &cx);
        let headers = headers(operation.entries("headers"), &cx);
        let body = body(operation, &cx);
        if let (Some((method, _)), Some(node)) = (&line, operation.table.get("body").or(operation.table.get("form")))
            && method == Method::GET
        {
            cx.error("body-with-get", node.origin, "a GET request has no body", "use `query`, or `post`");
            return None;
        }
        let phone_use = cx.phone_use.get();
        if phone_use == PhoneUse::None
            && let Some(node) = operation.table.get("spellings")
        {
            let help = "use `{phone}` (one request per spelling) or `{phones}` (one request with all)";
            cx.error("spellings-unused", node.origin, "the request does not use the spellings", help);
            return None;
        }
        let ((method, url), query, mut headers, (body, made)) = (line?, query?, headers?, body?);
        let mut default = |name: HeaderName, value: &'static str| {
            if !headers.iter().any(|(known, _)| *known == name) {
                headers.push((name, Header::Constant(HeaderValue::from_static(value))));
            }
        };
        default(ACCEPT, "application/json");
        match body {
            Body::None => {}
            Body::Json(_) => default(CONTENT_TYPE, "application/json"),
            Body::Form(_) => default(CONTENT_TYPE, "application/x-www-form-urlencoded"),
        }
        let body_may_vanish = made.optional && !made.required;
        Some(Self {
            method,
            url,
            query,
            headers,
            body,
            body_may_vanish,
            names: cx.names.take(),
            spellings: cx.spellings.clone(),
            phone_use,
        })
    }

    /// The names that may be used, the variables of the connection left out.
    pub fn names(&self) -> &[NameId] {
        &self.names
    }

    /// The spellings of the caller's number to try, in order.
    pub fn spellings(&self) -> &[Spelling] {
        &self.spellings
    }

    pub fn phone_use(&self) -> PhoneUse {
        self.phone_use
    }
}

fn spellings(operation: &Reader<'_>) -> Vec<Spelling> {
    let mut spellings = Vec::new();
    for (word, origin) in operation.texts("spellings").unwrap_or_default() {
        match convert::spelling(word) {
            Some(spelling) if spellings.contains(&spelling) => {}
            Some(spelling) => spellings.push(spelling),
            None => operation.diagnostics.error_help(
                "unknown-conversion",
                origin,
                format!("`{word}` is not a spelling of phone numbers"),
                did_you_mean(word, convert::spelling_words())
                    .or_else(|| Some(format!("known: {}", convert::spelling_words().collect::<Vec<_>>().join(", ")))),
            ),
        }
    }
    spellings
}

fn request_line(operation: &Reader<'_>, cx: &Context<'_>) -> Option<(Method, Vec<UrlPart>)> {
    let keys: [(&'static str, Method); 5] = [
        ("get", Method::GET),
        ("post", Method::POST),
        ("put", Method::PUT),
        ("patch", Method::PATCH),
        ("delete", Method::DELETE),
    ];
    let mut found = keys.into_iter().filter_map(|(key, method)| Some((method, operation.node(key)?, key)));
    let Some((method, node, key)) = found.next() else {
        let help = "write `get = \"/path\"` (or post, put, patch, delete)";
        cx.error("one-request", operation.origin, "this operation has no request", help);
        return None;
    };
    // the others are asked for too, so that they count as known
    if let Some((_, second, other)) = found.fold(None, |first, next| first.or(Some(next))) {
        let message = format!("this operation has two requests, `{key}` and `{other}`");
        cx.error("one-request", second.origin, message, "make it two operations");
        return None;
    }
    let text = operation.text(key)?;
    let base = cx.scope.base_url;
    let url = match text.contains("://") || text.starts_with('{') {
        true => address(text, node.origin, cx).and_then(|(parts, host)| {
            check_host(&host, node.origin, cx)?;
            Some(parts)
        }),
        false => {
            let (base, origin) = base?;
            // where it leads is judged with the connection it belongs to
            let base = address(base.trim_end_matches('/'), origin, cx).map(|(parts, _)| parts);
            let path =
                Template::compile(text, node.origin, cx).and_then(|path| path_parts(path.pieces, node.origin, cx));
            base.zip(path).map(|(mut parts, path)| {
                if !text.starts_with('/') {
                    parts.push(UrlPart::Text("/".into()));
                }
                parts.extend(path);
                parts
            })
        }
    };
    Some((method, url?))
}

/// A whole URL, and its scheme and host as far as they are written down: a brace where a value
/// will stand.
fn address(text: &str, origin: Origin, cx: &Context<'_>) -> Option<(Vec<UrlPart>, String)> {
    let mut parts = Vec::new();
    let mut path = Vec::new();
    let mut host = String::new();
    for piece in Template::compile(text, origin, cx)?.pieces {
        // the host ends at the first slash behind the scheme's
        let from = host.find("://").map_or(usize::MAX, |at| at + 3);
        match piece {
            piece if !path.is_empty() => path.push(piece),
            Piece::Hole(hole) => {
                host.push('{');
                parts.push(UrlPart::Origin(hole));
            }
            Piece::Text(text) => {
                let scheme = if from == usize::MAX { text.find("://").map_or(0, |at| at + 3) } else { 0 };
                let slash = text.get(scheme..).and_then(|rest| rest.find('/'));
                let (before, after) = text.split_at(slash.map_or(text.len(), |at| scheme + at));
                host.push_str(before);
                parts.push(UrlPart::Text(before.into()));
                if !after.is_empty() {
                    path.push(Piece::Text(after.into()));
                }
            }
        }
    }
    parts.extend(path_parts(path, origin, cx)?);
    Some((parts, host))
}

/// Judges a URL of the operation's own. What begins with a hole (`{own.next_page}`) is judged when
/// the request is made.
fn check_host(host: &str, origin: Origin, cx: &Context<'_>) -> Option<()> {
    if host.starts_with('{') {
        return Some(());
    }
    let (scheme, host) = host.split_once("://").unwrap_or(("", host));
    let name = host.rsplit_once(':').map_or(host, |(name, port)| match port.parse::<u16>() {
        Ok(_) => name,
        Err(_) => host,
    });
    let loopback = matches!(name, "localhost" | "[::1]") || name.starts_with("127.");
    if scheme != "https" && !(scheme == "http" && loopback) {
        cx.error("insecure-url", origin, "credentials would be sent over plain http", "use https");
        return None;
    }
    // what follows the last hole is sure; the rest is judged when the request is made
    let sure = name.rsplit_once('{').map(|(_, sure)| sure);
    let allowed = |pattern: &str| match (pattern.strip_prefix('*'), sure) {
        (Some(suffix), None) => name.len() > suffix.len() && name.ends_with(suffix),
        (None, None) => pattern.eq_ignore_ascii_case(name),
        (Some(suffix), Some(sure)) => suffix.ends_with(sure) || sure.ends_with(suffix),
        (None, Some(sure)) => pattern.ends_with(sure),
    };
    if host.contains('@') || !cx.scope.hosts.iter().any(|pattern| allowed(pattern)) {
        let message = format!("`{}` is not among the hosts that credentials may go to", name.replace('{', "…"));
        cx.error("foreign-host", origin, message, "add it to `hosts`");
        return None;
    }
    Some(())
}

fn path_parts(pieces: Vec<Piece>, origin: Origin, cx: &Context<'_>) -> Option<Vec<UrlPart>> {
    let mut sound = true;
    let mut parts = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => {
                if text.contains(['?', '#']) {
                    cx.error("wrong-value", origin, "a path has no `?` and no `#`", "write parameters under `query`");
                    sound = false;
                }
                parts.push(UrlPart::Text(text));
            }
            Piece::Hole(hole) => {
                if hole.optional {
                    let help = "name it in `needs` and take the `?` away";
                    cx.error("optional-in-path", hole.origin, "a path has no optional parts", help);
                    sound = false;
                }
                sound &= hole.check_scalar(cx);
                parts.push(UrlPart::Segment(hole));
            }
        }
    }
    sound.then_some(parts)
}

fn check_key(entry: &Entry, cx: &Context<'_>) -> bool {
    let holed = entry.key.find('{').is_some_and(|at| entry.key.get(at..).is_some_and(|rest| rest.contains('}')));
    if holed {
        cx.error("hole-in-key", entry.key_origin, "keys have no holes", "");
    }
    !holed
}

fn query(entries: &[Entry], cx: &Context<'_>) -> Option<Vec<Parameter>> {
    let mut parameters = Vec::new();
    // every entry is compiled, also after a wrong one
    let wrong = entries.iter().filter(|entry| query_entry(entry, &mut parameters, cx).is_none()).count();
    (wrong == 0).then_some(parameters)
}

fn query_entry(entry: &Entry, parameters: &mut Vec<Parameter>, cx: &Context<'_>) -> Option<()> {
    if !check_key(entry, cx) {
        return None;
    }
    let nodes = entry.value.as_array().unwrap_or(std::slice::from_ref(&entry.value));
    for node in nodes {
        parameters.push(parameter(&entry.key, node, cx)?);
    }
    Some(())
}

/// One `key=value`. A hole that holds a list repeats the key.
fn parameter(key: &str, node: &Node, cx: &Context<'_>) -> Option<Parameter> {
    let constant = |text: &str| {
        let mut pair = encode_query(key).to_string();
        pair.push('=');
        pair.extend(encode_query(text));
        Parameter::Constant(pair.into())
    };
    let text = match &node.value {
        Content::Text(text) => {
            let template = Template::compile(text, node.origin, cx)?;
            if let Some(text) = template.constant() {
                return Some(constant(text));
            }
            let fine = check_undeclared(key, text, &template, cx)
                && match template.single() {
                    Some(hole) => hole.check_time(cx),
                    None => template.check_scalar(cx),
                };
            fine.then_some(Text::Template(template))?
        }
        Content::Int(number) => return Some(constant(&number.to_string())),
        Content::Float(number) => return Some(constant(&number.to_string())),
        Content::Bool(value) => return Some(constant(&value.to_string())),
        Content::Date(date) => return Some(constant(date)),
        Content::Table(table) => match table.entries.as_slice() {
            [entry] => declared(entry, cx)??,
            _ => {
                wrong_type(cx.scope.diagnostics, node, "a value, a list of values or a text in a query language");
                return None;
            }
        },
        Content::Array(_) => {
            wrong_type(cx.scope.diagnostics, node, "a value");
            return None;
        }
    };
    if let Text::Query(query) = &text
        && let Some(text) = query.template.constant()
    {
        return Some(constant(text));
    }
    Some(Parameter::Text(encode_query(key).to_string().into(), text))
}

/// `{ soql = "…" }`. The outer `None`: no language of that name, which is reported; the inner:
/// something is wrong with the text.
fn declared(entry: &Entry, cx: &Context<'_>) -> Option<Option<Text>> {
    let Some(language) = Language::parse(&entry.key) else {
        cx.scope.diagnostics.error_help(
            "unknown-language",
            entry.key_origin,
            format!("`{}` is not a query language", entry.key),
            did_you_mean(&entry.key, Language::words())
                .or_else(|| Some(format!("known: {}", Language::words().collect::<Vec<_>>().join(", ")))),
        );
        return None;
    };
    let Some(text) = entry.value.as_text() else {
        wrong_type(cx.scope.diagnostics, &entry.value, "a text");
        return Some(None);
    };
    Some(Query::compile(language, text, entry.value.origin, cx).map(Text::Query))
}

/// The vendor's headers, those of the operation in their place.
fn headers(own: &[Entry], cx: &Context<'_>) -> Option<Vec<(HeaderName, Header)>> {
    let vendor = cx.scope.headers.map_or(&[][..], |table| &table.entries);
    let replaced = |entry: &&Entry| !own.iter().any(|o| o.key.eq_ignore_ascii_case(&entry.key));
    let mut headers = Vec::new();
    let mut sound = true;
    for entry in vendor.iter().filter(replaced).chain(own) {
        match header(entry, cx) {
            Some(header) => headers.push(header),
            None => sound = false,
        }
    }
    sound.then_some(headers)
}

fn header(entry: &Entry, cx: &Context<'_>) -> Option<(HeaderName, Header)> {
    if !check_key(entry, cx) {
        return None;
    }
    let Ok(name) = HeaderName::from_bytes(entry.key.as_bytes()) else {
        cx.error("wrong-value", entry.key_origin, format!("`{}` is not a header's name", entry.key), "");
        return None;
    };
    let Some(text) = entry.value.as_text() else {
        wrong_type(cx.scope.diagnostics, &entry.value, "a text");
        return None;
    };
    let template = Template::compile(text, entry.value.origin, cx)?;
    let Some(constant) = template.constant() else {
        return template.check_scalar(cx).then_some((name, Header::Template(template)));
    };
    let value = HeaderValue::from_str(constant).ok();
    if value.is_none() {
        cx.error("wrong-value", entry.value.origin, "this text cannot stand in a header", "");
    }
    Some((name, Header::Constant(value?)))
}

fn body(operation: &Reader<'_>, cx: &Context<'_>) -> Option<(Body, Made)> {
    let (json, form) = (operation.node("body"), operation.node("form"));
    if let (Some(_), Some(form)) = (json, form) {
        cx.error("body-and-form", form.origin, "`body` (JSON) and `form` exclude each other", "");
        return None;
    }
    if let Some(node) = json {
        let mut made = Made::default();
        return Some((Body::Json(json_part(node, "body", &mut made, cx)?), made));
    }
    let mut parameters = Vec::new();
    let mut sound = true;
    for entry in operation.entries("form") {
        sound &= form_entry(&entry.key, entry, &mut parameters, cx).is_some();
    }
    match (sound, parameters.is_empty()) {
        (false, _) => None,
        (true, true) => Some((Body::None, Made::default())),
        (true, false) => {
            let mut made = Made::default();
            for parameter in &parameters {
                match parameter {
                    Parameter::Constant(_) => made.required = true,
                    Parameter::Text(_, text) => made.add(text),
                }
            }
            Some((Body::Form(parameters), made))
        }
    }
}

fn form_entry(key: &str, entry: &Entry, parameters: &mut Vec<Parameter>, cx: &Context<'_>) -> Option<()> {
    if !check_key(entry, cx) {
        return None;
    }
    form_value(key, &entry.value, parameters, cx)
}

fn form_value(key: &str, node: &Node, parameters: &mut Vec<Parameter>, cx: &Context<'_>) -> Option<()> {
    match &node.value {
        Content::Table(table) if !is_declared(node) => {
            for entry in &table.entries {
                form_entry(&format!("{key}[{}]", entry.key), entry, parameters, cx)?;
            }
        }
        Content::Array(items) => {
            for item in items {
                form_value(&format!("{key}[]"), item, parameters, cx)?;
            }
        }
        _ => {
            let parameter = parameter(key, node, cx)?;
            if let Parameter::Text(_, Text::Template(template)) = &parameter
                && !template.check_scalar(cx)
            {
                return None;
            }
            parameters.push(parameter);
        }
    }
    Some(())
}

/// A table with a language for its only key is a text in that language.
fn is_declared(node: &Node) -> bool {
    matches!(node.as_table().map(|t| t.entries.as_slice()), Some([entry]) if Language::parse(&entry.key).is_some())
}

fn json_part(node: &Node, key: &str, made: &mut Made, cx: &Context<'_>) -> Option<Json> {
    let constant = |made: &mut Made, value: serde_json::Value| {
        made.constants = true;
        Some(Json::Constant(value.to_string().into_bytes().into()))
    };
    match &node.value {
        Content::Text(text) => {
            let template = Template::compile(text, node.origin, cx)?;
            if let Some(text) = template.constant() {
                return constant(made, text.into());
            }
            let fine = check_undeclared(key, text, &template, cx)
                && match template.single() {
                    Some(hole) => hole.check_time(cx),
                    None => template.check_scalar(cx),
                };
            let text = fine.then_some(Text::Template(template))?;
            made.add(&text);
            Some(Json::Text(text))
        }
        Content::Int(number) => constant(made, (*number).into()),
        Content::Float(number) => constant(made, (*number).into()),
        Content::Bool(value) => constant(made, (*value).into()),
        Content::Date(date) => constant(made, (&**date).into()),
        Content::Array(items) => array(items, key, made, cx),
        Content::Table(table) => {
            if let Some(word) = ["for_each", "when"].iter().find(|word| table.get(word).is_some())
                && table.entries.len() == 2
            {
                cx.error("wrong-value", node.origin, format!("`{word}` is for actions; a lookup sends one thing"), "");
                return None;
            }
            if let [entry] = table.entries.as_slice()
                && is_declared(node)
            {
                let text = declared(entry, cx)??;
                made.add(&text);
                return Some(Json::Text(text));
            }
            let mut members = Vec::with_capacity(table.entries.len());
            let mut sound = true;
            let mut inside = Made::default();
            for entry in &table.entries {
                sound &= check_key(entry, cx);
                let Some(value) = json_part(&entry.value, &entry.key, &mut inside, cx) else {
                    sound = false;
                    continue;
                };
                let mut key = serde_json::Value::from(&*entry.key).to_string().into_bytes();
                key.push(b':');
                members.push((key.into(), value));
            }
            made.join(inside, table.entries.is_empty());
            sound.then(|| folded(Json::Object(members)))
        }
    }
}

fn array(items: &[Node], key: &str, made: &mut Made, cx: &Context<'_>) -> Option<Json> {
    let mut elements = Vec::with_capacity(items.len());
    let mut sound = true;
    let mut all = Made::default();
    for item in items {
        let mut inside = Made::default();
        match json_part(item, key, &mut inside, cx) {
            Some(element) => elements.push(element),
            None => sound = false,
        }
        if inside.constants && inside.optional && !inside.required {
            let help = "make its value required, or leave the element out";
            cx.error("constants-only", item.origin, "without its optional values this element says nothing", help);
            sound = false;
        }
        all.join(inside, false);
    }
    made.join(all, items.is_empty());
    sound.then(|| folded(Json::Array(elements)))
}

/// What has no holes is written out now.
fn folded(json: Json) -> Json {
    let constant = match &json {
        Json::Object(members) => members.iter().all(|(_, value)| matches!(value, Json::Constant(_))),
        Json::Array(elements) => elements.iter().all(|element| matches!(element, Json::Constant(_))),
        _ => false,
    };
    if !constant {
        return json;
    }
    let mut out = Vec::new();
    let (open, close) = if matches!(json, Json::Object(_)) { (b'{', b'}') } else { (b'[', b']') };
    out.push(open);
    let mut part = |key: &[u8], value: &Json| {
        if let Json::Constant(bytes) = value {
            if out.len() > 1 {
                out.push(b',');
            }
            out.extend_from_slice(key);
            out.extend_from_slice(bytes);
        }
    };
    match &json {
        Json::Object(members) => members.iter().for_each(|(key, value)| part(key, value)),
        Json::Array(elements) => elements.iter().for_each(|element| part(&[], element)),
        _ => {}
    }
    out.push(close);
    Json::Constant(out.into())
}

impl Made {
    fn add(&mut self, text: &Text) {
        let template = match text {
            Text::Template(template) => template,
            Text::Query(query) => &query.template,
        };
        match template.holes().any(|hole| hole.optional) {
            true => self.optional = true,
            false => self.required = true,
        }
    }

    fn join(&mut self, inside: Made, empty: bool) {
        self.constants |= inside.constants || empty;
        self.required |= inside.required;
        self.optional |= inside.optional;
    }
}
