//! What a request carries: parameters, headers and body, compiled to constants and holes.

use http::{HeaderName, HeaderValue};

use super::diagnostic::suggest;
use super::hole::{Context, People, Template};
use super::language::{Language, Query, check_undeclared};
use super::render::encode_query;
use super::template::{Body, Header, Json, Parameter, Text};
use super::tree::{Content, Entry, Node, Reader, wrong_type};

/// What a part of a body is made of.
#[derive(Clone, Copy, Default)]
struct Made {
    constants: bool,
    required: bool,
    optional: bool,
}

fn check_key(entry: &Entry, cx: &Context<'_>) -> bool {
    let holed = entry.key.find('{').is_some_and(|at| entry.key.get(at..).is_some_and(|rest| rest.contains('}')));
    if holed {
        cx.error("hole-in-key", entry.key_origin, "keys have no holes", "");
    }
    !holed
}

pub(super) fn query(entries: &[Entry], cx: &Context<'_>) -> Option<Vec<Parameter>> {
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
        let message = format!("`{}` is not a query language", entry.key);
        let help = suggest(&entry.key, Language::words());
        cx.scope.diagnostics.error_help("unknown-language", entry.key_origin, message, help);
        return None;
    };
    let Some(text) = entry.value.as_text() else {
        wrong_type(cx.scope.diagnostics, &entry.value, "a text");
        return Some(None);
    };
    Some(Query::compile(language, text, entry.value.origin, cx).map(Text::Query))
}

/// The vendor's headers, those of the operation in their place.
pub(super) fn headers(own: &[Entry], cx: &Context<'_>) -> Option<Vec<(HeaderName, Header)>> {
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

pub(super) fn body(operation: &Reader<'_>, cx: &Context<'_>) -> Option<Body> {
    match operation.node("body") {
        Some(node) => Some(Body::Json(json_part(node, "body", &mut Made::default(), cx)?)),
        None => Some(Body::None),
    }
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
            if let (Some(list), Some(item), 2) = (table.get("for_each"), table.get("item"), table.entries.len())
                && cx.people.get() == People::All
            {
                return each(list, item, key, made, cx);
            }
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

/// `{ for_each = "emails", item = ... }`: in the item `{email}` is each of them in turn.
fn each(list: &Node, item: &Node, key: &str, made: &mut Made, cx: &Context<'_>) -> Option<Json> {
    if list.as_text() != Some("emails") {
        cx.error("wrong-value", list.origin, "a batch has an element for each of its \"emails\"", "");
        return None;
    }
    cx.people.set(People::Each);
    let element = json_part(item, key, made, cx);
    cx.people.set(People::All);
    cx.asks_for_all.set(true);
    Some(Json::Each(Box::new(element?)))
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
