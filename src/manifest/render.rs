//! Filling a compiled request. Every value is escaped for the position it stands in, here and
//! nowhere else; a missing optional value takes away what holds it.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

use super::hole::Hole;
use super::template::{Body, Env, Header, HttpRequest, Json, Parameter, Prepared, Text, UrlPart};
use crate::domain::{NameId, Skip, Value, canonical};

const EMAIL: NameId = canonical("email");

/// All but the unreserved letters of RFC 3986; `+` included, which servers read as a blank.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) fn encode_query(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, ENCODED)
}

impl HttpRequest {
    /// Fills the holes. A required value that a map lacks is `Unmapped`; one that cannot stand in
    /// its position is `Invalid`.
    pub fn render(&self, env: &Env<'_>) -> Result<Prepared, Skip> {
        let mut text = String::with_capacity(256);
        for part in &self.url {
            match part {
                UrlPart::Text(constant) => text.push_str(constant),
                UrlPart::Origin(hole) => origin(hole, env, &mut text)?,
                UrlPart::Segment(hole) => segment(hole, env, &mut text)?,
            }
        }
        let path = text.len();
        query(&self.query, env, &mut text)?;
        let url = match &self.base {
            Some(base) => {
                let mut url = base.clone();
                url.set_path(text.get(..path).unwrap_or_default());
                url.set_query(text.get(path + 1..));
                url
            }
            None => url::Url::parse(&text).map_err(|_| Skip::Invalid)?,
        };
        let mut headers = HeaderMap::with_capacity(self.headers.len() + 6);
        for (name, header) in &self.headers {
            if let Some(value) = header_value(header, env)? {
                headers.insert(name, value);
            }
        }
        let body = self.body.render(env)?;
        Ok(Prepared { method: self.method.clone(), url, headers, body })
    }
}

/// Scheme and host, or a part of the host. Whether the host may be called is judged by who calls;
/// here a value just must not reach beyond the host it names.
fn origin(hole: &Hole, env: &Env<'_>, url: &mut String) -> Result<(), Skip> {
    let value = hole.value(env)?.ok_or(Skip::Invalid)?;
    let text = value.to_text().ok_or(Skip::Invalid)?;
    let text = if url.is_empty() { text.trim_end_matches('/') } else { &text };
    let signs = if url.is_empty() { "-.:/[]_%~" } else { "-." };
    if !text.chars().all(|c| c.is_ascii_alphanumeric() || signs.contains(c)) || text.contains("..") {
        return Err(Skip::Invalid);
    }
    url.push_str(text);
    Ok(())
}

/// Part of one path segment. A value with a slash or two dots is refused, not encoded: servers
/// differ in whether they decode before they split.
fn segment(hole: &Hole, env: &Env<'_>, url: &mut String) -> Result<(), Skip> {
    let value = hole.value(env)?.ok_or(Skip::Invalid)?;
    let text = value.to_text().ok_or(Skip::Invalid)?;
    if &*text == "." || text.contains("..") || text.contains(['/', '\\']) || text.contains(char::is_control) {
        return Err(Skip::Invalid);
    }
    url.extend(encode_query(&text));
    Ok(())
}

fn query(parameters: &[Parameter], env: &Env<'_>, out: &mut String) -> Result<(), Skip> {
    let mut separator = '?';
    let mut start = |out: &mut String, key: &str| {
        out.push(separator);
        separator = '&';
        out.push_str(key);
    };
    let mut text = String::new();
    for parameter in parameters {
        match parameter {
            Parameter::Constant(pair) => start(out, pair),
            Parameter::Text(key, Text::Template(template)) if template.single().is_some() => {
                let Some(value) = template.single().map(|hole| hole.value(env)).transpose()?.flatten() else {
                    continue;
                };
                let values = match &*value {
                    Value::List(list) => list,
                    one => std::slice::from_ref(one),
                };
                for value in values {
                    let value = value.to_text().ok_or(Skip::Invalid)?;
                    start(out, key);
                    out.push('=');
                    out.extend(encode_query(&value));
                }
            }
            Parameter::Text(key, other) => {
                text.clear();
                if other.fill(env, &mut text)? {
                    start(out, key);
                    out.push('=');
                    out.extend(encode_query(&text));
                }
            }
        }
    }
    Ok(())
}

fn header_value(header: &Header, env: &Env<'_>) -> Result<Option<HeaderValue>, Skip> {
    let template = match header {
        Header::Constant(value) => return Ok(Some(value.clone())),
        Header::Template(template) => template,
    };
    let mut text = String::new();
    if !template.fill(env, &mut text, &plain)? {
        return Ok(None);
    }
    // a tab is legal in a header; in a value of ours it is a trick
    if text.contains(char::is_control) {
        return Err(Skip::Invalid);
    }
    let mut value = HeaderValue::from_bytes(text.as_bytes()).map_err(|_| Skip::Invalid)?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// A value inside of a longer text, not escaped yet.
fn plain(_: &Hole, value: &Value, out: &mut String) -> Result<(), Skip> {
    match value.to_text() {
        Some(text) => out.push_str(&text),
        None => return Err(Skip::Invalid),
    }
    Ok(())
}

impl Text {
    fn fill(&self, env: &Env<'_>, out: &mut String) -> Result<bool, Skip> {
        match self {
            Self::Template(template) => template.fill(env, out, &plain),
            Self::Query(query) => query.render(env, out),
        }
    }
}

impl Body {
    fn render(&self, env: &Env<'_>) -> Result<Option<Bytes>, Skip> {
        match self {
            Self::None => Ok(None),
            Self::Json(json) => {
                let mut out = Vec::with_capacity(512);
                Ok(json.render(env, &mut out)?.then(|| out.into()))
            }
        }
    }
}

impl Json {
    /// Appends the value. `false`: it is missing, and what was written is taken back.
    fn render(&self, env: &Env<'_>, out: &mut Vec<u8>) -> Result<bool, Skip> {
        let start = out.len();
        match self {
            Self::Constant(bytes) => out.extend_from_slice(bytes),
            Self::Text(Text::Template(template)) if template.single().is_some() => {
                let Some(value) = template.single().map(|hole| hole.value(env)).transpose()?.flatten() else {
                    return Ok(false);
                };
                serde_json::to_writer(out, &*value).map_err(|_| Skip::Invalid)?;
            }
            Self::Text(text) => {
                let mut filled = String::new();
                if !text.fill(env, &mut filled)? {
                    return Ok(false);
                }
                serde_json::to_writer(out, &filled).map_err(|_| Skip::Invalid)?;
            }
            Self::Object(members) => {
                out.push(b'{');
                for (key, value) in members {
                    let member = out.len();
                    if member > start + 1 {
                        out.push(b',');
                    }
                    out.extend_from_slice(key);
                    if !value.render(env, out)? {
                        out.truncate(member);
                    }
                }
                return Ok(close(b'}', start, out));
            }
            Self::Array(elements) => {
                out.push(b'[');
                for element in elements {
                    let at = out.len();
                    if at > start + 1 {
                        out.push(b',');
                    }
                    if !element.render(env, out)? {
                        out.truncate(at);
                    }
                }
                return Ok(close(b']', start, out));
            }
            Self::Each(item) => {
                out.push(b'[');
                for (at, email) in env.emails.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    let value = Value::Email(email.clone());
                    let get = |name| if name == EMAIL { Some(&value) } else { (env.get)(name) };
                    item.render(&Env { get: &get, ..*env }, out)?;
                }
                out.push(b']');
            }
        }
        Ok(true)
    }
}

/// What became empty goes; what was written empty is a constant and does not come here.
fn close(bracket: u8, start: usize, out: &mut Vec<u8>) -> bool {
    if out.len() == start + 1 {
        out.truncate(start);
        return false;
    }
    out.push(bracket);
    true
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::Identity;
    use crate::manifest::trial::{Trial, compile, email, phone};

    fn trial(text: &str) -> Trial {
        compile(text).unwrap()
    }

    fn url(prepared: Result<Prepared, Skip>) -> String {
        prepared.map_or_else(|skip| format!("skipped: {skip}"), |p| p.url.as_str().to_owned())
    }

    fn body(prepared: Result<Prepared, Skip>) -> String {
        match prepared {
            Ok(prepared) => String::from_utf8(prepared.body.unwrap_or_default().into()).unwrap(),
            Err(skip) => format!("skipped: {skip}"),
        }
    }

    #[test]
    fn urls() {
        let table = [
            (r#"get = "/find/{phone}""#, "https://api.example.com/base/find/%2B14155550142"),
            (r#"get = "/find/{phone|national}/x""#, "https://api.example.com/base/find/4155550142/x"),
            ("base_url = '{instance_url}'\nget = '/{version}/q'", "https://eu1.crm.example.com/v1/q"),
            ("base_url = 'https://{portal}.crm.example.com/'\nget = '/q'", "https://7.crm.example.com/q"),
            ("base_url = \"http://127.0.0.1:81/\"\nget = \"/q\"\n", "http://127.0.0.1:81/q"),
            ("get = \"/q\"\nquery.n = 5\nquery.a = \"{phone}\"", "https://api.example.com/base/q?n=5&a=%2B14155550142"),
            (
                "get = \"/q\"\nquery.'a b' = [\"{phone}\", 'x&y']",
                "https://api.example.com/base/q?a%20b=%2B14155550142&a%20b=x%26y",
            ),
            (
                "get = \"/q\"\nspellings = ['e164', 'digits']\nquery.n = '{phones}'",
                "https://api.example.com/base/q?n=%2B14155550142&n=14155550142",
            ),
            (
                "get = \"/q\"\nspellings = ['national_format']\nquery.n = '{phone}'",
                "https://api.example.com/base/q?n=%28415%29%20555-0142",
            ),
            (
                "get = \"/q\"\nspellings = ['last7', 'last10']\nquery.n = \"{phones|join:','}\"",
                "https://api.example.com/base/q?n=5550142%2C4155550142",
            ),
            (
                "get = \"/q\"\nquery.s = '{service_type?}'\nquery.t = 'x {service_type?}'",
                "https://api.example.com/base/q",
            ),
            ("get = \"/q\"\nquery.s = \"{service_type or 'all'}\"", "https://api.example.com/base/q?s=all"),
            ("get = \"/q\"\nquery.s = \"{stage or true}\"", "https://api.example.com/base/q?s=true"),
            ("get = \"/q\"\nquery.t = '{now-1h|rfc3339}'", "https://api.example.com/base/q?t=2026-11-20T11%3A30%3A00Z"),
            ("get = \"/q\"\nquery.t = '{now+12h|date}'", "https://api.example.com/base/q?t=2026-11-21"),
            ("get = \"/q\"\nquery.t = '{today+30d}'", "https://api.example.com/base/q?t=2026-12-20"),
        ];
        for (text, expected) in table {
            assert_eq!(url(trial(text).with_phone().render()), expected, "{text}");
        }
    }

    #[test]
    fn days_are_counted_on_the_calendar() {
        let mut trial = trial("get = '/q'\nquery.a = '{today}'\nquery.b = '{today+30d}'\nquery.c = '{today-1d|date}'");
        // half an hour before midnight in Berlin, where the clocks go forward in between
        trial.now = "2027-03-10T22:30:00Z".parse().unwrap();
        assert_eq!(
            url(trial.with_phone().render()),
            "https://api.example.com/base/q?a=2027-03-10&b=2027-04-09&c=2027-03-09"
        );
    }

    #[test]
    fn values_that_cannot_stand_where_they_should() {
        let table = [
            ("get = '/find/{own.id}'", "a/b", "skipped: invalid"),
            ("get = '/find/{own.id}'", "a\\b", "skipped: invalid"),
            ("get = '/find/{own.id}'", "..", "skipped: invalid"),
            ("get = '/find/{own.id}'", ".", "skipped: invalid"),
            ("get = '/find/x{own.id}'", "..", "skipped: invalid"),
            ("get = '/find/{own.id}'", "a\u{0}b", "skipped: invalid"),
            ("get = '/find/{own.id}'", "a b?c#d%2e", "https://api.example.com/base/find/a%20b%3Fc%23d%252e"),
            ("get = '/find/{own.id}'", "", "skipped: needs_own.id"),
            ("get = '/find/{own.id}'", "undefined", "skipped: needs_own.id"),
            ("base_url = 'https://{own.id}.crm.example.com'\nget = '/'", "evil.com/", "skipped: invalid"),
            ("base_url = 'https://{own.id}.crm.example.com'\nget = '/'", "a@b", "skipped: invalid"),
            ("base_url = 'https://{own.id}.crm.example.com'\nget = '/'", "evil.com:1", "skipped: invalid"),
            ("base_url = '{own.id}'\nget = '/q'", "https://a.crm.example.com?", "skipped: invalid"),
            ("base_url = '{own.id}'\nget = '/q'", "https://a@evil.com", "skipped: invalid"),
            ("base_url = '{own.id}'\nget = '/q'", "a.crm.example.com", "skipped: invalid"),
            ("get = '/q'\nheaders.X-Id = '{own.id}'", "a\r\nX-Other: b", "skipped: invalid"),
            ("get = '/q'\nheaders.X-Id = '{own.id}'", "a\tb", "skipped: invalid"),
            ("get = '/q'\nquery.q = { soql = 'WHERE Id = {own.id}' }", "a\nb", "skipped: invalid"),
            ("get = '/q'\nquery.q = '{own.id|national}'", "text", "skipped: invalid"),
        ];
        for (text, value, expected) in table {
            let text = format!("needs = ['own.id']\n{text}");
            assert_eq!(
                url(trial(&text).with("own.id", Value::text(value)).render()),
                expected,
                "{text} with {value:?}"
            );
        }
    }

    #[test]
    fn what_is_missing_takes_away_what_holds_it() {
        let table = [
            ("{ a = '{own.x?}' }", ""),
            ("{ a = '{own.x?}', b = 1 }", r#"{"b":1}"#),
            ("{ a = 'x {own.x?}', b = 1 }", r#"{"b":1}"#),
            ("{ a = { c = '{own.x?}' }, b = 1 }", r#"{"b":1}"#),
            ("{ a = { c = '{own.x?}', d = {} }, b = [] }", r#"{"a":{"d":{}},"b":[]}"#),
            ("{ a = ['{own.x?}', 'y'] }", r#"{"a":["y"]}"#),
            ("{ a = ['{own.x?}'], b = 2 }", r#"{"b":2}"#),
            ("{ a = [['{own.x?}']] }", ""),
            ("{ a = [{ b = '{own.x?}' }, { c = '{own.id}' }] }", r#"{"a":[{"c":7}]}"#),
            (r#"{ a = "{own.x or ''}" }"#, r#"{"a":""}"#),
            (r#"{ a = "{own.x or own.id}" }"#, r#"{"a":7}"#),
            ("{ a = 'id {own.id}' }", r#"{"a":"id 7"}"#),
            ("{ a = '{own.id}', b = true, c = 1.5, d = \"q\\\"uote\" }", r#"{"a":7,"b":true,"c":1.5,"d":"q\"uote"}"#),
            ("{ q = { soql = 'SELECT Id FROM X WHERE A = {own.x?}' }, b = 1 }", r#"{"b":1}"#),
            (
                "{ q = { soql = \"SELECT  Id\\n FROM X WHERE A = {own.id} \" } }",
                r#"{"q":"SELECT Id FROM X WHERE A = 7"}"#,
            ),
        ];
        for (body_text, expected) in table {
            let text = format!("needs = ['own.id']\npost = '/x'\nbody = {body_text}");
            assert_eq!(body(trial(&text).with("own.id", Value::Int(7)).render()), expected, "{body_text}");
        }
    }

    #[test]
    fn headers() {
        let text = "post = '/x'\nbody = { a = '{phone}' }\n\
                    vendor_headers = { X-Portal = 'p{portal}', Accept = 'text/json' }\n\
                    headers = { x-portal = '{portal}', X-Opt = '{stage?}' }";
        let prepared = trial(text).with_phone().render().unwrap();
        let mut headers: Vec<_> = prepared.headers.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        headers.sort_unstable();
        let expected = [("accept", "text/json"), ("content-type", "application/json"), ("x-portal", "7")];
        assert_eq!(headers, expected);
    }

    #[test]
    fn a_query_holds_only_phone_spellings_that_are_plain() {
        let text = "get = '/q'\nspellings = ['e164', 'national_format']\nquery.q = { soql = 'A IN ({phones})' }";
        let rendered = url(trial(text).with_phone().render());
        assert!(
            rendered.ends_with("?q=A%20IN%20%28%27%2B14155550142%27%2C%27%28415%29%20555-0142%27%29"),
            "{rendered}"
        );
        let by_email = trial("needs = ['phone | email']\nget = '/q'\nquery.q = { soql = 'A = {phone or email}' }");
        let by_email = by_email.identity(Identity::Email(email("o'hara@example.com")));
        let by_email = by_email.with("email", Value::Email(email("o'hara@example.com")));
        assert!(url(by_email.render()).ends_with("?q=A%20%3D%20%27o%5C%27hara%40example.com%27"));
    }

    /// The other end of a literal: an independent reading of what a vendor's parser does.
    fn unquote(literal: &str) -> Option<String> {
        let mut chars = literal.strip_prefix('\'')?.chars();
        let mut text = String::new();
        loop {
            match chars.next()? {
                '\\' => text.push(chars.next().filter(|c| matches!(c, '\\' | '\''))?),
                '\'' => return chars.next().is_none().then_some(text),
                c => text.push(c),
            }
        }
    }

    fn decoded(url: &url::Url) -> Vec<(String, String)> {
        url.query_pairs().map(|(k, v)| (k.into_owned(), v.into_owned())).collect()
    }

    fn present(value: &str) -> bool {
        !crate::domain::value::text_is_missing(value)
    }

    proptest! {
        #[test]
        fn a_path_segment_is_exactly_the_value(value in ".{1,20}") {
            let trial = trial("needs = ['own.id']\nget = '/a/{own.id}/b'\nquery.k = 'v'").with("own.id", Value::text(&value));
            if let Ok(prepared) = trial.render() {
                let segments: Vec<_> = prepared.url.path_segments().unwrap().collect();
                prop_assert_eq!(segments.len(), 4);
                let back = percent_encoding::percent_decode_str(segments.get(2).unwrap()).decode_utf8().unwrap();
                prop_assert_eq!(back, value.as_str());
                prop_assert_eq!(decoded(&prepared.url).len(), 1);
                prop_assert!(prepared.url.fragment().is_none());
            } else {
                prop_assert!(!present(&value) || value == "." || value.contains("..") || value.contains(['/', '\\'])
                    || value.chars().any(char::is_control));
            }
        }

        #[test]
        fn a_query_value_is_exactly_the_value(value in any::<String>()) {
            prop_assume!(present(&value));
            let trial = trial("needs = ['own.id']\nget = '/a'\nquery.k = '{own.id}'\nquery.l = 'x{own.id}&y=1'");
            let prepared = trial.with("own.id", Value::text(&value)).render().unwrap();
            let expected = vec![("k".to_owned(), value.clone()), ("l".to_owned(), format!("x{value}&y=1"))];
            prop_assert_eq!(decoded(&prepared.url), expected);
        }

        #[test]
        fn json_keeps_its_structure(value in any::<String>()) {
            prop_assume!(present(&value));
            let trial = trial("needs = ['own.id']\npost = '/a'\nbody = { a = '{own.id}', b = [{ c = 'x{own.id}' }] }");
            let prepared = trial.with("own.id", Value::text(&value)).render().unwrap();
            let json: serde_json::Value = serde_json::from_slice(&prepared.body.unwrap()).unwrap();
            prop_assert_eq!(json, serde_json::json!({ "a": value, "b": [{ "c": format!("x{value}") }] }));
        }

        #[test]
        fn a_literal_is_exactly_the_value(value in any::<String>()) {
            prop_assume!(present(&value));
            let trial = trial("needs = ['own.id']\nget = '/a'\nquery.q = { soql = 'A={own.id}' }");
            match trial.with("own.id", Value::text(&value)).render() {
                Ok(prepared) => {
                    let query = decoded(&prepared.url).swap_remove(0).1;
                    prop_assert_eq!(unquote(query.strip_prefix("A=").unwrap()), Some(value));
                }
                Err(skip) => {
                    prop_assert_eq!(skip, Skip::Invalid);
                    prop_assert!(value.chars().any(char::is_control));
                }
            }
        }
    }

    impl Trial {
        fn with_phone(self) -> Self {
            self.with("phone", Value::Phone(phone("+14155550142")))
        }
    }
}
