//! `GET /docs`: the API's document to read. One page without any script, and two files beside it;
//! nothing is loaded from elsewhere. Its content is the document's and that of the error pages.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use maud::{DOCTYPE, Markup, html};
use serde_json::{Map, Value};

use super::error::Code;
use super::openapi;
use crate::config::Config;

/// The files of the page, with their media types.
pub const FILES: [(&str, &str, &str); 2] = [
    ("style.css", "text/css; charset=utf-8", include_str!("docs/style.css")),
    ("icon.svg", "image/svg+xml", include_str!("docs/icon.svg")),
];

/// No script, no frame around it, and everything from here.
const POLICY: &str = "default-src 'self'; script-src 'none'; object-src 'none'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// The document and its page, made once.
pub struct Pages {
    pub document: Bytes,
    page: Bytes,
}

impl Pages {
    /// # Errors
    /// Never, unless the document cannot be written as JSON.
    pub fn of(config: &Config) -> Result<Arc<Self>, serde_json::Error> {
        let document = serde_json::to_value(openapi::document(config))?;
        let page = Book(&document).page().into_string();
        Ok(Arc::new(Self { document: serde_json::to_vec(&document)?.into(), page: page.into() }))
    }
}

/// `GET /docs`
pub async fn page(State(pages): State<Arc<Pages>>) -> Response {
    (guarded("text/html; charset=utf-8"), pages.page.clone()).into_response()
}

/// `GET /docs/{file}`
pub async fn file(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(known, ..)| *known == name) {
        Some((_, media_type, text)) => (guarded(media_type), *text).into_response(),
        None => Code::NotFound.into_response(),
    }
}

fn guarded(media_type: &'static str) -> HeaderMap {
    let of = |value| HeaderValue::from_static(value);
    HeaderMap::from_iter([
        (header::CONTENT_TYPE, of(media_type)),
        (header::CONTENT_SECURITY_POLICY, of(POLICY)),
        (header::X_FRAME_OPTIONS, of("DENY")),
        (header::REFERRER_POLICY, of("no-referrer")),
    ])
}

/// The document as it is read.
struct Book<'a>(&'a Value);

/// One operation of it.
struct Operation<'a> {
    path: &'a str,
    method: &'a str,
    text: &'a Value,
}

/// One line of a schema's table.
struct Row {
    name: String,
    always: bool,
    kind: Markup,
    description: Markup,
}

impl<'a> Book<'a> {
    fn page(&self) -> Markup {
        let info = self.at("/info");
        let operations = self.operations();
        let tags = || list(self.at("/tags")).iter().map(|tag| (text(tag, "name"), text(tag, "description")));
        let of_tag = |name: &'a str| {
            operations.iter().filter(move |o| list(get(o.text, "tags")).iter().any(|tag| tag.as_str() == Some(name)))
        };
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (text(info, "title")) " API" }
                    link rel="stylesheet" href="docs/style.css";
                    link rel="icon" href="docs/icon.svg";
                }
                body {
                    a.skip href="#content" { "To the content" }
                    header {
                        h1 { (text(info, "title")) " API " small { (text(info, "version")) } }
                        (prose(text(info, "description")))
                        p { a href="api/openapi.json" { "OpenAPI document" } }
                    }
                    nav aria-label="Operations" {
                        @for (tag, _) in tags() {
                            h2 { (tag) }
                            ul {
                                @for o in of_tag(tag) {
                                    li { a href={ "#" (o.id()) } { (method(o.method)) " " code { (o.path) } } }
                                }
                            }
                        }
                        h2 { "More" }
                        ul {
                            li { a href="#keys" { "Keys and signatures" } }
                            li { a href="#schemas" { "Schemas" } }
                            li { a href="#errors" { "Errors" } }
                        }
                    }
                    main #content {
                        @for (tag, description) in tags() {
                            section {
                                h2 { (tag) }
                                (prose(description))
                                @for o in of_tag(tag) { (self.operation(o)) }
                            }
                        }
                        (self.keys())
                        (self.schemas())
                        (errors())
                    }
                }
            }
        }
    }

    fn operations(&self) -> Vec<Operation<'a>> {
        let paths = members(self.at("/paths"));
        let methods = paths.flat_map(|(path, item)| members(item).map(move |(method, text)| (path, method, text)));
        methods.map(|(path, method, text)| Operation { path, method, text }).collect()
    }

    fn operation(&self, o: &Operation) -> Markup {
        let parameters = list(get(o.text, "parameters"));
        let body = get(o.text, "requestBody");
        html! {
            article id=(o.id()) aria-labelledby={ (o.id()) "-title" } {
                h3 id={ (o.id()) "-title" } {
                    (method(o.method)) " " code.path { (o.path) } " " span.summary { (text(o.text, "summary")) }
                }
                (prose(text(o.text, "description")))
                (security(get(o.text, "security")))
                @if !parameters.is_empty() {
                    h4 { "Parameters" }
                    (self.table(parameters.iter().map(|p| self.parameter(p)).collect()))
                }
                @if body.is_object() {
                    h4 { "Body" }
                    (self.content(get(body, "content")))
                }
                h4 { "Try it" }
                pre tabindex="0" { code { (self.curl(o)) } }
                h4 { "Answers" }
                @for (status, response) in members(get(o.text, "responses")) {
                    div.answer {
                        p { b.status { (status) } " " (inline(text(response, "description"))) }
                        (self.content(get(response, "content")))
                    }
                }
            }
        }
    }

    fn parameter(&self, parameter: &Value) -> Row {
        let schema = get(parameter, "schema");
        Row {
            name: text(parameter, "name").to_owned(),
            always: get(parameter, "required") == true,
            kind: kind(schema),
            description: inline(text(parameter, "description")),
        }
    }

    /// Media types, what they hold, and examples.
    fn content(&self, content: &Value) -> Markup {
        let types: Vec<_> = members(content).collect();
        let Some((_, first)) = types.first() else { return html! {} };
        let schema = get(first, "schema");
        let examples = members(get(first, "examples")).map(|(name, example)| (name, get(example, "value")));
        let example = Some(("Example", get(first, "example"))).filter(|(_, value)| !value.is_null());
        html! {
            p.media {
                @for (n, (name, _)) in types.iter().enumerate() { @if n > 0 { ", " } code { (name) } }
                ": " (kind(schema))
            }
            @if !schema.is_object() || get(schema, "$ref").is_null() { (self.table(rows(schema))) }
            @for (name, value) in example.into_iter().chain(examples) {
                details {
                    summary { (name) }
                    pre tabindex="0" { code { (pretty(value)) } }
                }
            }
        }
    }

    fn table(&self, rows: Vec<Row>) -> Markup {
        if rows.is_empty() {
            return html! {};
        }
        html! {
            div.table tabindex="0" {
                table {
                    thead { tr { th scope="col" { "Name" } th scope="col" { "Value" } th scope="col" { "Meaning" } } }
                    tbody {
                        @for row in rows {
                            tr {
                                th scope="row" { code { (row.name) } @if row.always { " " small { "always" } } }
                                td { (row.kind) }
                                td { (row.description) }
                            }
                        }
                    }
                }
            }
        }
    }

    fn keys(&self) -> Markup {
        html! {
            section #keys {
                h2 { "Keys and signatures" }
                dl {
                    @for (name, scheme) in members(self.at("/components/securitySchemes")) {
                        dt id={ "key-" (name) } { (name) }
                        dd { (inline(text(scheme, "description"))) }
                    }
                }
            }
        }
    }

    fn schemas(&self) -> Markup {
        html! {
            section #schemas {
                h2 { "Schemas" }
                @for (name, schema) in members(self.at("/components/schemas")) {
                    article id={ "schema-" (name) } {
                        h3 { (name) }
                        (prose(text(schema, "description")))
                        (self.table(rows(schema)))
                    }
                }
            }
        }
    }

    /// A command that asks, with the document's examples.
    fn curl(&self, o: &Operation) -> String {
        let base = self.at("/servers/0/url").as_str().unwrap_or("http://127.0.0.1:8080");
        let mut path = o.path.to_owned();
        let mut query = String::new();
        for parameter in list(get(o.text, "parameters")) {
            let name = text(parameter, "name");
            if text(parameter, "in") == "path" {
                let word = parameter.pointer("/schema/enum/0").and_then(Value::as_str).unwrap_or_default();
                path = path.replace(&format!("{{{name}}}"), word);
            } else if let Some(example) = parameter.get("example") {
                let value = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
                query.push_str(&format!(" \\\n  --data-urlencode '{name}={value}'"));
            }
        }
        let mut command = String::from("curl -s");
        if o.method == "delete" {
            command.push_str(" -X DELETE");
        }
        if !query.is_empty() {
            command.push_str(" -G");
        }
        command.push_str(&format!(" {base}{path}"));
        if list(get(o.text, "security")).iter().any(|s| s.get("bearer").is_some()) {
            command.push_str(" \\\n  -H \"Authorization: Bearer $KEY\"");
        }
        if let Some(body) = o.text.pointer("/requestBody/content/application~1json/example") {
            command.push_str(&format!(" \\\n  -H 'Content-Type: application/json' -d '{body}'"));
        }
        command + &query
    }

    fn at(&self, pointer: &str) -> &'a Value {
        self.0.pointer(pointer).unwrap_or(&Value::Null)
    }
}

impl Operation<'_> {
    fn id(&self) -> &str {
        text(self.text, "operationId")
    }
}

fn errors() -> Markup {
    html! {
        section #errors {
            h2 { "Errors" }
            @for code in Code::ALL {
                article id={ "error-" (code.as_str()) } {
                    h3 { code { (code.as_str()) } " " span.summary { (code.title()) } }
                    @for block in code.page().split("\n\n").skip(1) {
                        @match block.strip_prefix("## ") {
                            Some(heading) => h4 { (heading) },
                            None => p { (inline(block)) },
                        }
                    }
                }
            }
        }
    }
}

fn security(schemes: &Value) -> Markup {
    let schemes = list(schemes);
    let open = schemes.is_empty() || schemes.iter().any(|s| members(s).next().is_none());
    let names: Vec<_> = schemes.iter().flat_map(|s| members(s).map(|(name, _)| name)).collect();
    html! {
        p.security {
            "Key: "
            @if open { "none needed" }
            @for (n, name) in names.iter().enumerate() {
                @if n > 0 || open { ", " }
                a href={ "#key-" (name) } { (name) }
            }
        }
    }
}

/// The members of an object, those of objects in it by their path.
fn rows(schema: &Value) -> Vec<Row> {
    let mut all = Vec::new();
    collect(schema, "", &mut all);
    all
}

fn collect(schema: &Value, prefix: &str, all: &mut Vec<Row>) {
    for part in list(get(schema, "allOf")) {
        collect(part, prefix, all);
    }
    let required = list(get(schema, "required"));
    for (name, member) in members(get(schema, "properties")) {
        let path = format!("{prefix}{name}");
        all.push(Row {
            always: required.iter().any(|r| r.as_str() == Some(name)),
            kind: kind(member),
            description: inline(text(member, "description")),
            name: path.clone(),
        });
        collect(member, &format!("{path}."), all);
        collect(get(member, "items"), &format!("{path}[]."), all);
        collect(get(member, "additionalProperties"), &format!("{path}.<name>."), all);
    }
}

/// What a value is, in words.
fn kind(schema: &Value) -> Markup {
    if let Some(name) = get(schema, "$ref").as_str().and_then(|r| r.rsplit('/').next()) {
        return html! { a href={ "#schema-" (name) } { (name) } };
    }
    let types = match get(schema, "type") {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        Value::String(ty) => ty.clone(),
        _ => "any".to_owned(),
    };
    let words = list(get(schema, "enum"));
    let parts = list(get(schema, "allOf"));
    html! {
        @if !words.is_empty() {
            @for (n, word) in words.iter().filter_map(Value::as_str).enumerate() { @if n > 0 { ", " } code { (word) } }
        } @else if !parts.is_empty() {
            @for (n, part) in parts.iter().enumerate() { @if n > 0 { " with " } (kind(part)) }
        } @else if types == "array" {
            "list of " (kind(get(schema, "items")))
        } @else if get(schema, "additionalProperties").is_object() {
            "object of " (kind(get(schema, "additionalProperties")))
        } @else {
            (types)
        }
        @for (key, before) in LIMITS {
            @if let Some(limit) = schema.get(key) {
                " " small { (before) " " (limit.as_str().map_or_else(|| limit.to_string(), str::to_owned)) }
            }
        }
    }
}

const LIMITS: [(&str, &str); 6] = [
    ("format", "format"),
    ("minimum", "from"),
    ("maximum", "to"),
    ("maxLength", "characters at most"),
    ("maxItems", "entries at most"),
    ("contentMediaType", "holding"),
];

fn method(name: &str) -> Markup {
    html! { span.{ "method " (name) } { (name.to_uppercase()) } }
}

/// Paragraphs.
fn prose(text: &str) -> Markup {
    html! { @for paragraph in text.trim().split("\n\n").filter(|p| !p.is_empty()) { p { (inline(paragraph)) } } }
}

/// Text between backticks is code.
fn inline(text: &str) -> Markup {
    html! {
        @for (n, part) in text.split('`').enumerate() {
            @if n % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn get<'a>(value: &'a Value, name: &str) -> &'a Value {
    value.get(name).unwrap_or(&Value::Null)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    get(value, name).as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter).map(|(name, value)| (name.as_str(), value))
}
