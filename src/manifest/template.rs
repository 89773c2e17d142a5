//! Requests, compiled: every key of an operation that says what is sent becomes constants and
//! holes whose position, and so whose escaping, is known. `render` fills them. No network, no
//! vendor names.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method};
use jiff::Timestamp;

use super::address::request_line;
use super::convert;
use super::diagnostic::suggest;
use super::hole::{Context, Hole, People, Template};
use super::language::Query;
use super::parts::{body, headers, query};
use super::plan::Source;
use super::reading::Record;
use super::scope::{Need, Scope};
use super::tree::Reader;
use crate::domain::{Email, NameId, Phone, Spelling, Value};

/// `[map.<name>]` tables: value -> value, compared without case; `*` is anything else.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Maps {
    pub maps: HashMap<Arc<str>, Vec<(Arc<str>, Value)>>,
}

/// What a request is rendered from.
pub struct Env<'a> {
    /// The inputs on the table: fields, own ids, request inputs.
    pub get: &'a dyn Fn(NameId) -> Option<&'a Value>,
    pub source: &'a Source,
    /// The caller's number and its variants; `{phone}` is the first, `{phones}` all of them.
    pub phones: &'a [Phone],
    /// The spelling of `{phone}` for this request; `{phones}` uses the operation's list.
    pub spelling: Option<Spelling>,
    /// Whom a batch is about; nobody otherwise.
    pub emails: &'a [Email],
    pub now: Timestamp,
}

/// A request of an operation, compiled.
#[derive(Debug, Default, PartialEq)]
pub struct HttpRequest {
    pub(super) method: Method,
    /// Scheme and host, parsed, where they have no holes.
    pub(super) base: Option<url::Url>,
    /// What follows the base, or all of it.
    pub(super) url: Vec<UrlPart>,
    pub(super) query: Vec<Parameter>,
    pub(super) headers: Vec<(HeaderName, Header)>,
    pub(super) body: Body,
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

#[derive(Debug, PartialEq)]
pub(super) enum UrlPart {
    Text(Box<str>),
    /// Part of scheme and host: where the request may go is judged on the whole URL.
    Origin(Hole),
    /// Part of one path segment.
    Segment(Hole),
}

#[derive(Debug, PartialEq)]
pub(super) enum Parameter {
    /// `key=value`, encoded.
    Constant(Box<str>),
    /// The key is encoded.
    Text(Box<str>, Text),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Text {
    Template(Template),
    Query(Query),
}

#[derive(Debug, PartialEq)]
pub(super) enum Header {
    Constant(HeaderValue),
    Template(Template),
}

#[derive(Debug, Default, PartialEq)]
pub(super) enum Body {
    #[default]
    None,
    Json(Json),
}

#[derive(Debug, PartialEq)]
pub(super) enum Json {
    /// JSON as it is sent.
    Constant(Box<[u8]>),
    Text(Text),
    /// Keys are JSON texts with their colon.
    Object(Vec<(Box<[u8]>, Json)>),
    Array(Vec<Json>),
    /// An array with an element for each whom a batch is about.
    Each(Box<Json>),
}

impl Maps {
    /// The entry for `key`, else the one for anything else.
    pub fn lookup(&self, map: &str, key: &str) -> Option<&Value> {
        let entries = self.maps.get(map)?;
        let entry = entries.iter().find(|(known, _)| same_text(known, key));
        entry.or_else(|| entries.iter().find(|(known, _)| &**known == "*")).map(|(_, value)| value)
    }
}

/// Equal without case.
pub(super) fn same_text(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || (!(a.is_ascii() && b.is_ascii()) && a.to_lowercase() == b.to_lowercase())
}

impl HttpRequest {
    /// Compiles `get` `post`, `query`, `headers`, `body` and `spellings` of an operation. `None` when something is wrong; what, is in the diagnostics.
    pub fn compile(operation: &Reader<'_>, needs: &[Need], record: &Record, scope: &Scope<'_>) -> Option<HttpRequest> {
        let spellings = spellings(operation);
        let cx = Context { select: record.select(), spellings: spellings.into(), ..Context::new(scope, needs) };
        Self::within(operation, &cx)
    }

    /// The request of a batch: it asks for `{emails}`, or for each of them in its body.
    pub fn for_several(operation: &Reader<'_>, record: &Record, scope: &Scope<'_>) -> Option<HttpRequest> {
        let cx = Context { select: record.select(), people: People::All.into(), ..Context::new(scope, &[]) };
        let request = Self::within(operation, &cx);
        if request.is_some() && !cx.asks_for_all.get() {
            let help = "use `{emails}`, or `{ for_each = \"emails\", item = ... }` in the body";
            cx.error("wrong-value", operation.origin, "the batch does not ask for its people", help);
            return None;
        }
        request
    }

    fn within(operation: &Reader<'_>, cx: &Context<'_>) -> Option<HttpRequest> {
        // every key is read before anything gives up, so that all problems show in one run
        let line = request_line(operation, cx);
        let query = query(operation.entries("query"), cx);
        let headers = headers(operation.entries("headers"), cx);
        let body = body(operation, cx);
        if let (Some((method, _)), Some(node)) = (&line, operation.table.get("body"))
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
        let ((method, mut url), query, mut headers, body) = (line?, query?, headers?, body?);
        let base = match &*url {
            [UrlPart::Text(_), UrlPart::Origin(_), ..] => None,
            [UrlPart::Text(base), ..] => url::Url::parse(base).ok(),
            _ => None,
        };
        if base.is_some() {
            url.remove(0);
        }
        let mut default = |name: HeaderName, value: &'static str| {
            if !headers.iter().any(|(known, _)| *known == name) {
                headers.push((name, Header::Constant(HeaderValue::from_static(value))));
            }
        };
        default(ACCEPT, "application/json");
        if matches!(body, Body::Json(_)) {
            default(CONTENT_TYPE, "application/json");
        }
        Some(Self {
            method,
            base,
            url,
            query,
            headers,
            body,
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

    /// Whether it holds one spelling of the number or all of them.
    pub fn phone_use(&self) -> PhoneUse {
        self.phone_use
    }
}

/// `spellings`: the ways of writing the caller's number that are tried, in order.
pub(super) fn spellings(operation: &Reader<'_>) -> Vec<Spelling> {
    let mut spellings = Vec::new();
    for (word, origin) in operation.texts("spellings").unwrap_or_default() {
        match convert::spelling(word) {
            Some(spelling) if spellings.contains(&spelling) => {}
            Some(spelling) => spellings.push(spelling),
            None => {
                let message = format!("`{word}` is not a spelling of phone numbers");
                let help = suggest(word, convert::spelling_words());
                operation.diagnostics.error_help("unknown-conversion", origin, message, help);
            }
        }
    }
    spellings
}

#[cfg(test)]
mod tests {
    use crate::manifest::trial::compile;

    /// What is wrong, and that the caret stands on the words at fault.
    #[test]
    fn problems_and_their_places() {
        let table: &[(&str, &[&str])] = &[
            // requests
            ("headers.a = 'x'", &["one-request: h"]),
            ("get = '/a'\npost = '/b'", &["one-request: '/b'"]),
            ("get = '/a'\nbody = { a = 1 }", &["body-with-get: { a = 1 }"]),
            ("get = '/a?b=c'", &["wrong-value: '/a?b=c'"]),
            ("get = 'a'", &["wrong-value: 'a'"]),
            ("get = 'https://api.example.com/a'", &["wrong-value: 'https://api.example.com/a'"]),
            ("base_url = 'https://{portal?}.example.com'\nget = '/a'", &["optional-in-path: {portal?}"]),
            ("get = '/a'\nspellings = ['e164']", &["spellings-unused: ['e164']"]),
            ("get = '/{phone}'\nspellings = ['nationl']", &["unknown-conversion: 'nationl'"]),
            ("get = '/a'\nqueri.a = 1", &["unknown-key: queri"]),
            ("get = '/a'\nquery.a = { b = 1, c = 2 }", &["wrong-type: { b = 1, c = 2 }"]),
            ("get = '/a'\nheaders.'a b' = 'x'", &["wrong-value: 'a b'"]),
            ("get = '/a'\nheaders.a = \"x\\ny\"", &["wrong-value: \"x\\ny\""]),
            ("post = '/a'\nbody = { when = 'own.x', value = 1 }", &["wrong-value: { when = 'own.x', value = 1 }"]),
            // holes
            ("get = '/a/{phone'", &["hole-syntax: {"]),
            ("get = '/a}'", &["hole-syntax: }"]),
            ("get = '/a/{}'", &["hole-syntax: {}"]),
            ("get = '/a/{a b}'", &["hole-syntax: {a b}"]),
            ("get = '/a/{phon}'", &["unknown-name: {phon}"]),
            ("get = '/a/{shop.id}'", &["foreign-name: {shop.id}"]),
            ("get = '/{phone|natinal}'", &["unknown-conversion: {phone|natinal}"]),
            ("get = '/{phone|rfc3339}'", &["conversion-type: {phone|rfc3339}"]),
            ("get = '/{own.id}'", &["hole-not-needed: {own.id}"]),
            ("needs = ['phone | email']\nget = '/{phone}'", &["hole-not-needed: {phone}"]),
            ("get = '/{stage}'", &["hole-not-needed: {stage}"]),
            ("get = '/{own.id?}'", &["optional-in-path: {own.id?}"]),
            ("get = '/a'\nquery.'{phone}' = 1", &["hole-in-key: '{phone}'"]),
            ("get = '/{phones}'", &["list-needs-join: {phones}"]),
            ("get = '/a'\nquery.a = 'x {phones}'", &["list-needs-join: {phones}"]),
            ("get = '/a'\nheaders.a = '{phones}'", &["list-needs-join: {phones}"]),
            ("get = '/a'\nquery.a = \"a\\tb {now}\"", &["time-needs-format: {now}"]),
            ("post = '/a'\nbody.a = '{now}'", &["time-needs-format: {now}"]),
            ("get = '/a'\nheaders.a = '{secret}'", &["secret-outside-auth: {secret}"]),
            ("get = '/a'\nquery.a = '{select}'", &["missing-key: {select}"]),
            ("get = '/a'\nquery.a = { soql = \"A = '{phone}'\" }", &["quoted-hole: {phone}"]),
            ("get = '/a'\nquery.a = \"\"\"\n  SELECT Id\n  WHERE A = {phone}\"\"\"", &["undeclared-language: {phone}"]),
            ("get = '/a'\nquery.'$filter' = 'a eq {phone}'", &["undeclared-language: {phone}"]),
            ("get = '/a'\nquery.a = { sql = 'x' }", &["unknown-language: sql"]),
            ("post = '/a'\nbody.select_query = 'where a = {phone}'", &["undeclared-language: {phone}"]),
            ("get = '/a'\nquery.a = 'select b where c = {phone}'", &["undeclared-language: {phone}"]),
            ("get = '/a'\nquery.a = { odata = 'b eq {phones}' }", &["list-needs-join: {phones}"]),
            ("get = '/a'\nquery.a = { odata = 'b gt {now}' }", &["time-needs-format: {now}"]),
            ("get = '/{now|guid}'", &["conversion-type: {now|guid}"]),
            ("post = '/a'\nbody.f = [{ k = 'a', v = '{own.x?}' }]", &["constants-only: { k = 'a', v = '{own.x?}' }"]),
            // all of one run
            (
                "post = '/{x}'\nquery.b = '{y}'\nbody.c = '{z}'",
                &["unknown-name: {x}", "unknown-name: {y}", "unknown-name: {z}"],
            ),
            // readings
            ("get = '/a'\nreads = 'contact'", &["unknown-name: 'contact'"]),
            ("get = '/a'\nrecords = 'a..b'", &["path-syntax: ."]),
            ("get = '/a'\nprovides.name = 'a[x]'", &["path-syntax: ["]),
            ("get = '/a'\nprovides.name = 'a.{phone}'", &["hole-in-path: {phone}"]),
            ("get = '/a'\nprovides.nam = 'a'", &["unknown-field: nam"]),
            ("get = '/a'\nprovides.company.nme = 'a'", &["unknown-field: nme"]),
            ("get = '/a'\nprovides.own.card_number = 'a'", &["never-field: card_number"]),
            ("get = '/a'\nprovides.path = 'a'", &["reserved-name: path"]),
            ("get = '/a'\nprovides.deals = 'a'", &["field-type: deals"]),
            ("get = '/a'\nprovides.vip = { path = 'a', as = 'utc' }", &["field-type: { path = 'a', as = 'utc' }"]),
            ("get = '/a'\nprovides.name = { path = 'a', as = 'utz' }", &["wrong-value: 'utz'"]),
            ("get = '/a'\nprovides.name = { path = 'a', join = ['b'] }", &["one-source: join"]),
            ("get = '/a'\nprovides.name = { map = 'x' }", &["one-source: { map = 'x' }"]),
            ("get = '/a'\nprovides.name = { path = 'a', map = 'x' }", &["unknown-name: 'x'"]),
            ("get = '/a'\nprovides.name = { path = 'a', table = 'x' }", &["unknown-name: 'x'"]),
            ("get = '/a'\nprovides.name = { path = 'a', pats = 'x' }", &["unknown-key: pats"]),
            ("get = '/a'\nprovides.name = { path = 'a', as = 'cents' }", &["field-type: { path = 'a', as = 'cents' }"]),
            (
                "get = '/a'\nprovides.payment.credit = { path = 'a', as = 'unix_s' }",
                &["field-type: { path = 'a', as = 'unix_s' }"],
            ),
            ("get = '/a'\nprovides.own.x = { path = 'a', in_currency = 'b' }", &["field-type: 'b'"]),
            ("get = '/a'\nprovides.name = { path = 'a', between = ['b'] }", &["wrong-type: ['b']"]),
            ("get = '/a'\nprovides.vip = { path = 'a', in = ['b'], exists = true }", &["one-source: true"]),
            ("get = '/a'\nprovides.vip = { path = 'a', equals = '{email}' }", &["hole-not-needed: '{email}'"]),
            ("get = '/a'\nprovides.vip = { path = 'a', equals = '{emial}' }", &["unknown-name: '{emial}'"]),
            ("get = '/a'\nwhere = { path = 'a' }", &["missing-key: { path = 'a' }"]),
            ("get = '/a'\nwhere = [{ path = 'a', equals = 1 }, { path = 'b' }]", &["missing-key: { path = 'b' }"]),
            (
                "get = '/a'\nlist.deals = { where = { path = 'b' }, item = { id = 'a' } }",
                &["missing-key: { path = 'b' }"],
            ),
            ("get = '/a'\nrank = ['-seen']", &["rank-not-total: '-seen'"]),
            ("get = '/a'\nlist.deals = { item = { name = 'a' } }", &["list-without-id: { name = 'a' }"]),
            ("get = '/a'\nlist.deals = { item = { id = 'a', nme = 'b' } }", &["unknown-field: nme"]),
            ("get = '/a'\nlist.tags = { item = { id = 'a' } }", &["unknown-field: tags"]),
            ("get = '/{phone}'\nemails = ['mail']\nprovides.name = 'a'", &["unverified-search: g"]),
            ("get = '/a'\nerror.limit = [{ status = [404] }]", &["unknown-name: limit"]),
            ("get = '/a'\nerror.limited = [{ status = [99] }]", &["wrong-type: 99"]),
            ("get = '/a'\nerror.limited = [{ path = 'a' }]", &["missing-key: { path = 'a' }"]),
        ];
        for (text, expected) in table {
            assert_eq!(compile(text).err().unwrap_or_default(), *expected, "{text}");
        }
    }
}
