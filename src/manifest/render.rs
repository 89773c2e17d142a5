//! Filling a compiled request. Every value is escaped for the position it stands in, here and
//! nowhere else; a missing optional value takes away what holds it.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

use super::hole::{Hole, Member};
use super::template::{Body, Env, Header, HttpRequest, Json, Parameter, Prepared, Text, UrlPart};
use crate::domain::{Skip, Value};

/// All but the unreserved letters of RFC 3986; `+` included, which servers read as a blank.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) fn encode_query(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, ENCODED)
}

const NO_MEMBER: Member<'static> = &|_| None;

impl HttpRequest {
    /// Fills the holes. A required value that a map lacks is `Unmapped`; one that cannot stand in
    /// its position is `Invalid`.
    pub fn render(&self, env: &Env<'_>) -> Result<Prepared, Skip> {
        let mut url = String::with_capacity(256);
        for part in &self.url {
            match part {
                UrlPart::Text(text) => url.push_str(text),
                UrlPart::Origin(hole) => origin(hole, env, &mut url)?,
                UrlPart::Segment(hole) => segment(hole, env, &mut url)?,
            }
        }
        parameters(&self.query, b'?', env, &mut url)?;
        let url = url::Url::parse(&url).map_err(|_| Skip::Invalid)?;
        let mut headers = HeaderMap::with_capacity(self.headers.len() + 2);
        for (name, header) in &self.headers {
            if let Some(value) = header_value(header, env)? {
                headers.insert(name, value);
            }
        }
        let body = self.body.render(env)?;
        if body.is_none() && self.body_may_vanish && matches!(self.method, Method::PUT | Method::PATCH) {
            return Err(Skip::NothingToSend);
        }
        Ok(Prepared { method: self.method.clone(), url, headers, body })
    }
}

/// Scheme and host, or a part of the host. Whether the host may be called is judged by who calls;
/// here a value just must not reach beyond the host it names.
fn origin(hole: &Hole, env: &Env<'_>, url: &mut String) -> Result<(), Skip> {
    let value = hole.value(env, NO_MEMBER)?.ok_or(Skip::Invalid)?;
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
    let value = hole.value(env, NO_MEMBER)?.ok_or(Skip::Invalid)?;
    let text = value.to_text().ok_or(Skip::Invalid)?;
    if &*text == "." || text.contains("..") || text.contains(['/', '\\']) || text.contains(char::is_control) {
        return Err(Skip::Invalid);
    }
    url.extend(encode_query(&text));
    Ok(())
}

fn parameters(parameters: &[Parameter], first: u8, env: &Env<'_>, out: &mut String) -> Result<(), Skip> {
    let mut separator = char::from(first);
    let mut start = |out: &mut String, key: &str| {
        if separator != '\0' {
            out.push(separator);
        }
        separator = '&';
        out.push_str(key);
    };
    let mut text = String::new();
    for parameter in parameters {
        match parameter {
            Parameter::Constant(pair) => start(out, pair),
            Parameter::Text(key, Text::Template(template)) if template.single().is_some() => {
                let Some(value) = template.single().map(|hole| hole.value(env, NO_MEMBER)).transpose()?.flatten()
                else {
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
    if !template.fill(env, NO_MEMBER, &mut text, &plain)? {
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
            Self::Template(template) => template.fill(env, NO_MEMBER, out, &plain),
            Self::Query(query) => query.render(env, NO_MEMBER, out),
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
            Self::Form(form) => {
                let mut out = String::with_capacity(256);
                parameters(form, 0, env, &mut out)?;
                Ok((!out.is_empty()).then(|| out.into()))
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
                let Some(value) = template.single().map(|hole| hole.value(env, NO_MEMBER)).transpose()?.flatten()
                else {
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
            (r#"get = "find/{phone|national}/x""#, "https://api.example.com/base/find/4155550142/x"),
            (r#"get = "{instance_url}/{version}/q""#, "https://eu1.crm.example.com/v1/q"),
            (r#"get = "https://eu2.crm.example.com/q""#, "https://eu2.crm.example.com/q"),
            (r#"get = "https://{portal}.crm.example.com/q""#, "https://7.crm.example.com/q"),
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
            ("get = \"/q\"\nquery.s = \"{stage|lower or 'none'}{{}}\"", "https://api.example.com/base/q?s=none%7B%7D"),
            ("get = \"/q\"\nquery.t = '{now|unix_s}'", "https://api.example.com/base/q?t=1795177800"),
            ("get = \"/q\"\nquery.t = '{now-1h|rfc3339}'", "https://api.example.com/base/q?t=2026-11-20T11%3A30%3A00Z"),
            (
                "get = \"/q\"\nquery.t = '{now|rfc3339_offset}'",
                "https://api.example.com/base/q?t=2026-11-20T13%3A30%3A00%2B01%3A00",
            ),
            ("get = \"/q\"\nquery.t = '{now+12h|date}'", "https://api.example.com/base/q?t=2026-11-21"),
            ("get = \"/q\"\nquery.t = '{today+30d}'", "https://api.example.com/base/q?t=2026-12-20"),
            ("get = \"/q\"\nquery.t = '{today|us_date}'", "https://api.example.com/base/q?t=11%2F20%2F2026"),
            (
                "get = \"/q\"\nquery.t = '{now|sql_datetime}'",
                "https://api.example.com/base/q?t=2026-11-20%2012%3A30%3A00",
            ),
            ("get = \"/q\"\nquery.t = '{now|naive_utc}'", "https://api.example.com/base/q?t=2026-11-20T12%3A30%3A00"),
            ("get = \"/q\"\nquery.t = '{now|time}'", "https://api.example.com/base/q?t=13%3A30"),
            ("get = \"/q\"\nquery.t = '{now|unix_ms}'", "https://api.example.com/base/q?t=1795177800000"),
        ];
        for (text, expected) in table {
            assert_eq!(url(trial(text).with_phone().render()), expected, "{text}");
        }
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
            ("get = 'https://{own.id}.crm.example.com/'", "evil.com/", "skipped: invalid"),
            ("get = 'https://{own.id}.crm.example.com/'", "a@b", "skipped: invalid"),
            ("get = 'https://{own.id}.crm.example.com/'", "evil.com:1", "skipped: invalid"),
            ("get = '{own.id}/q'", "https://a.crm.example.com?", "skipped: invalid"),
            ("get = '{own.id}/q'", "https://a@evil.com", "skipped: invalid"),
            ("get = '{own.id}/q'", "a.crm.example.com", "skipped: invalid"),
            ("get = '/q'\nheaders.X-Id = '{own.id}'", "a\r\nX-Other: b", "skipped: invalid"),
            ("get = '/q'\nheaders.X-Id = '{own.id}'", "a\tb", "skipped: invalid"),
            ("get = '/q'\nquery.q = { soql = 'WHERE Id = {own.id}' }", "a\nb", "skipped: invalid"),
            ("get = '/q'\nquery.q = '{own.id|map.kind}'\nmap.kind = { a = 'A' }", "b", "skipped: unmapped"),
            (
                "get = '/q'\nquery.q = '{own.id|map.kind?}'\nmap.kind = { a = 'A' }",
                "b",
                "https://api.example.com/base/q",
            ),
            (
                "get = '/q'\nquery.q = '{own.id|map.kind}'\nmap.kind = { a = 'X', '*' = 1 }",
                "b",
                "https://api.example.com/base/q?q=1",
            ),
            (
                "get = '/q'\nquery.q = '{own.id|map.kind}'\nmap.kind = { a = 'X' }",
                "A",
                "https://api.example.com/base/q?q=X",
            ),
            ("get = '/q'\nquery.q = '{own.id|table.stages}'", "Won", "https://api.example.com/base/q?q=closed"),
            ("get = '/q'\nquery.q = '{own.id|table.stages}'", "Lost", "skipped: unmapped"),
            ("get = '/q'\nquery.q = '{own.id|national}'", "text", "skipped: invalid"),
            ("get = '/q'\nquery.q = '{own.id|max:3}'", "äöüß", "https://api.example.com/base/q?q=%C3%A4%C3%B6%C3%BC"),
            ("get = '/q'\nquery.q = '{own.id|int}'", "x1", "skipped: needs_own.id"),
            ("get = '/q'\nquery.q = '{own.id|alnum}'", "A-1 ", "https://api.example.com/base/q?q=a1"),
            (
                "get = '/q'\nquery.q = '{own.id|domain}'",
                "https://www.example.com:8/x",
                "https://api.example.com/base/q?q=www.example.com",
            ),
        ];
        for (text, value, expected) in table {
            let text = format!("needs = ['own.id']\n{text}");
            let mut trial = trial(&text).with("own.id", Value::text(value));
            let stages = [("won".to_owned(), Value::text("closed"))].into();
            trial.tables.tables.insert("stages".into(), stages);
            assert_eq!(url(trial.render()), expected, "{text} with {value:?}");
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
            ("{ a = '{own.id|text}' }", r#"{"a":"7"}"#),
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
        let put = trial("needs = ['own.id']\nput = '/x'\nbody = { a = '{own.x?}' }");
        assert_eq!(body(put.with("own.id", Value::Int(7)).render()), "skipped: nothing_to_send");
    }

    #[test]
    fn forms_and_headers() {
        let text = "post = '/x'\nform = { a = '{phone}', b = { c = 'x y', d = '{stage?}' }, e = ['1', 2] }\n\
                    vendor_headers = { X-Portal = 'p{portal}', Accept = 'text/json' }\n\
                    headers = { x-portal = '{portal}', X-Opt = '{stage?}' }";
        let prepared = trial(text).with_phone().render().unwrap();
        assert_eq!(prepared.body.unwrap(), "a=%2B14155550142&b%5Bc%5D=x%20y&e%5B%5D=1&e%5B%5D=2");
        let mut headers: Vec<_> = prepared.headers.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        headers.sort_unstable();
        let expected =
            [("accept", "text/json"), ("content-type", "application/x-www-form-urlencoded"), ("x-portal", "7")];
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
    fn unquote(literal: &str, quote: char) -> Option<String> {
        let mut chars = literal.strip_prefix(quote)?.chars();
        let mut text = String::new();
        loop {
            match chars.next()? {
                '\\' => text.push(chars.next().filter(|c| *c == '\\' || *c == quote)?),
                c if c == quote => return chars.next().is_none().then_some(text),
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
        fn a_form_value_is_exactly_the_value(value in any::<String>()) {
            prop_assume!(present(&value));
            let trial = trial("needs = ['own.id']\npost = '/a'\nform.k = '{own.id}'\nform.l = 'x{own.id}'");
            let prepared = trial.with("own.id", Value::text(&value)).render().unwrap();
            let body = prepared.body.unwrap();
            let pairs: Vec<_> = form_urlencoded::parse(&body).into_owned().collect();
            prop_assert_eq!(pairs, vec![("k".to_owned(), value.clone()), ("l".to_owned(), format!("x{value}"))]);
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
            for (language, quote) in [("soql", '\''), ("coql", '\''), ("stripe_search", '\''), ("zendesk_search", '"')] {
                let text = format!("needs = ['own.id']\nget = '/a'\nquery.q = {{ {language} = 'A={{own.id}}' }}");
                match trial(&text).with("own.id", Value::text(&value)).render() {
                    Ok(prepared) => {
                        let query = decoded(&prepared.url).swap_remove(0).1;
                        prop_assert_eq!(unquote(query.strip_prefix("A=").unwrap(), quote), Some(value.clone()));
                    }
                    Err(skip) => {
                        prop_assert_eq!(skip, Skip::Invalid);
                        prop_assert!(value.chars().any(char::is_control));
                    }
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
