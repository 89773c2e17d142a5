//! What a request says: query, form and JSON object as one list of names and texts. Unknown
//! names are carried and ignored; nothing here fails on what a flow may send by mistake.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use axum::body::HttpBody;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use smallvec::SmallVec;

/// Names and values in order. Of several with one name the first that is not blank counts; the
/// body comes before the query.
#[derive(Default)]
pub struct Parameters<'a> {
    pairs: Pairs<'a>,
    /// What stands in lists of a JSON object, one by one: nothing to those who ask for one value.
    listed: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// As many as a flow's widget sends without a thought, in place.
type Pairs<'a> = SmallVec<[(Cow<'a, str>, Cow<'a, str>); 4]>;

/// The body is neither a JSON object nor a form.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

impl<'a> Parameters<'a> {
    /// Reads query and body. A body that cannot be read says nothing, which is an error only
    /// for those who ask.
    pub fn read(query: Option<&'a str>, headers: &HeaderMap, body: &'a [u8]) -> (Self, Result<(), Malformed>) {
        let mut all = Self::default();
        let outcome = read_body_into(&mut all, headers, body);
        read_form(&mut all.pairs, query.unwrap_or_default().as_bytes());
        (all, outcome)
    }

    /// The value of a name, written in any case.
    pub fn get(&self, name: &str) -> Option<&str> {
        of_name(&self.pairs, name).find(|value| !value.trim().is_empty())
    }

    /// Every value of a name, blank ones too: a list of JSON, or one parameter repeated.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        of_name(&self.listed, name).chain(of_name(&self.pairs, name))
    }
}

fn of_name<'s>(pairs: &'s [(Cow<'_, str>, Cow<'_, str>)], name: &str) -> impl Iterator<Item = &'s str> {
    pairs.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
}

fn read_body_into<'a>(all: &mut Parameters<'a>, headers: &HeaderMap, body: &'a [u8]) -> Result<(), Malformed> {
    let start = body.trim_ascii_start();
    if start.is_empty() {
        return Ok(());
    }
    // Flows send JSON as text/plain and forms as JSON: the first letter knows better.
    if start.starts_with(b"{") {
        let Object { pairs, listed } = serde_json::from_slice(body).map_err(|_| Malformed)?;
        all.pairs.extend(pairs);
        all.listed = listed;
        return Ok(());
    }
    if is_form(headers) || !is_json(headers) && start.contains(&b'=') {
        read_form(&mut all.pairs, body);
        return Ok(());
    }
    Err(Malformed)
}

fn read_form<'a>(all: &mut Pairs<'a>, form: &'a [u8]) {
    for pair in form.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
        let mut ends = pair.splitn(2, |b| *b == b'=');
        let (name, value) = (ends.next().unwrap_or_default(), ends.next().unwrap_or_default());
        all.push((decoded(name), decoded(value)));
    }
}

/// A name or value of a form. Our own, because a caller's plus is encoded in every request and the library takes a
/// tenth of a cached answer for it; a test holds it to what the library says.
fn decoded(text: &[u8]) -> Cow<'_, str> {
    if text.iter().all(|b| !matches!(b, b'%' | b'+')) {
        return String::from_utf8_lossy(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        let escaped = match rest.as_slice() {
            [high, low, ..] if *byte == b'%' => hex(*high).zip(hex(*low)),
            _ => None,
        };
        bytes.push(match (byte, escaped) {
            (_, Some((high, low))) => {
                rest.nth(1);
                high * 16 + low
            }
            (b'+', _) => b' ',
            (other, _) => *other,
        });
    }
    match String::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(broken) => String::from_utf8_lossy(broken.as_bytes()).into_owned().into(),
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

pub fn is_form(headers: &HeaderMap) -> bool {
    media_type(headers).eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = media_type(headers);
    media_type.eq_ignore_ascii_case("application/json") || media_type.ends_with("+json")
}

fn media_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

/// The members of a JSON object that are texts, numbers or booleans, or lists of such.
#[derive(Default)]
struct Object<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    listed: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// Of the lists in one object so many entries are kept: more than any route takes.
const LISTED_MAX: usize = 1_000;

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut object = Object::default();
                while let Some(entry) = map.next_entry()? {
                    match entry {
                        (Said::One(name), Said::One(value)) => object.pairs.push((name, value)),
                        (Said::One(name), Said::Several(values)) => {
                            let room = LISTED_MAX.saturating_sub(object.listed.len());
                            object.listed.extend(values.into_iter().take(room).map(|value| (name.clone(), value)));
                        }
                        _ => {}
                    }
                }
                Ok(object)
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// A scalar as text; of a list one text for each entry, empty for what is no scalar; nothing for null
/// and objects.
enum Said<'a> {
    Nothing,
    One(Cow<'a, str>),
    Several(Vec<Cow<'a, str>>),
}

impl<'de> Deserialize<'de> for Said<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Anything;
        impl<'de> Visitor<'de> for Anything {
            type Value = Said<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Said::One(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Said::One(Cow::Owned(text.to_owned())))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
                Ok(Said::One(Cow::Borrowed(if value { "true" } else { "false" })))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Said::One(Cow::Owned(number.to_string())))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Said::One(Cow::Owned(number.to_string())))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
                Ok(Said::One(Cow::Owned(number.to_string())))
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Said::Nothing)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut values = Vec::new();
                while let Some(entry) = list.next_element()? {
                    values.push(if let Said::One(text) = entry { text } else { Cow::Borrowed("") });
                }
                Ok(Said::Several(values))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Said::Nothing)
            }
        }
        deserializer.deserialize_any(Anything)
    }
}

/// Why there is no body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyError {
    TooLarge,
    TooSlow,
    /// The connection broke.
    Broken,
}

/// Of a body that is too large this much is read and thrown away, so that the sender, still
/// writing, gets to read the answer.
const DRAINED: usize = 2 * 1024 * 1024;

/// The whole body, if it is at most `max` bytes and arrives in time.
pub async fn read_body<B>(body: B, max: usize, patience: Duration) -> Result<Bytes, BodyError>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    tokio::time::timeout(patience, collect(body, max)).await.unwrap_or(Err(BodyError::TooSlow))
}

async fn collect<B>(mut body: B, max: usize) -> Result<Bytes, BodyError>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    let mut seen = 0_usize;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        seen = seen.saturating_add(data.len());
        if seen > max.max(DRAINED) {
            return Err(BodyError::TooLarge);
        }
        if seen > max {
            (first, rest) = (None, BytesMut::new());
            continue;
        }
        match &first {
            None if rest.is_empty() => first = Some(data),
            Some(head) => {
                rest.reserve(head.len() + data.len());
                rest.extend_from_slice(head);
                rest.extend_from_slice(&data);
                first = None;
            }
            None => rest.extend_from_slice(&data),
        }
    }
    if seen > max {
        return Err(BodyError::TooLarge);
    }
    Ok(first.unwrap_or_else(|| rest.freeze()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "the table's own texts")]
mod tests {
    use super::*;

    fn headers(content_type: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if !content_type.is_empty() {
            headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        }
        headers
    }

    #[test]
    fn every_way_to_say_the_same() {
        let form = "application/x-www-form-urlencoded;charset=utf-8";
        let cases = [
            (Some("From=%2B14155550142"), "", "", Some("+14155550142"), Ok(())),
            (None, form, "From=%2B14155550142&To=x", Some("+14155550142"), Ok(())),
            (None, "", "From=%2B14155550142", Some("+14155550142"), Ok(())),
            (None, "application/json", r#"{"From":"+14155550142"}"#, Some("+14155550142"), Ok(())),
            (None, "text/plain", r#" {"from":"+14155550142","x":[1,{"a":2}],"y":null}"#, Some("+14155550142"), Ok(())),
            (None, form, r#"{"From":"a\u002b1"}"#, Some("a+1"), Ok(())),
            (None, "", r#"{"From":14155550142}"#, Some("14155550142"), Ok(())),
            (Some("From=query"), form, "From=body", Some("body"), Ok(())),
            (Some("From=query"), form, "From=+&From=second&From=third", Some("second"), Ok(())),
            (Some("From=query"), "application/json", r#"{"From":null}"#, Some("query"), Ok(())),
            (Some("From=query"), "application/json", r#"{"From":"#, Some("query"), Err(Malformed)),
            (None, "application/json", "[1]", None, Err(Malformed)),
            (None, "application/json", "From=x", None, Err(Malformed)),
            (None, "", "garbage", None, Err(Malformed)),
            (None, "application/json", "", None, Ok(())),
            (None, "", "\u{0}\u{1}", None, Err(Malformed)),
        ];
        for (query, content_type, body, expected, outcome) in cases {
            let (parameters, read) = Parameters::read(query, &headers(content_type), body.as_bytes());
            assert_eq!(parameters.get("From"), expected, "{query:?} {content_type} {body}");
            assert_eq!(read, outcome, "{query:?} {content_type} {body}");
        }
    }

    #[test]
    fn a_list_and_a_repeated_name_are_several_values() {
        let list = r#"{"Participants":["a","",null,{"email":"x"},["y"],7],"other":["b"]}"#;
        let cases = [
            ("application/json", list, vec!["a", "", "", "", "", "7"]),
            ("application/json", r#"{"participants":"a"}"#, vec!["a"]),
            ("application/json", r#"{"participants":[]}"#, vec![]),
            ("application/json", r#"{"participants":null}"#, vec![]),
            ("", "participants=a&x=y&participants=&PARTICIPANTS=c", vec!["a", "", "c"]),
        ];
        for (content_type, body, expected) in cases {
            let headers = headers(content_type);
            let (parameters, read) = Parameters::read(None, &headers, body.as_bytes());
            assert_eq!(read, Ok(()));
            assert_eq!(parameters.all("participants").collect::<Vec<_>>(), expected, "{body}");
        }
        let headers = headers("application/json");
        let (parameters, _) = Parameters::read(None, &headers, list.as_bytes());
        assert_eq!(parameters.get("participants"), None, "a list is not one value");
        let long = format!(r#"{{"participants":[{}0]}}"#, "0,".repeat(5_000));
        let (parameters, _) = Parameters::read(None, &headers, long.as_bytes());
        assert_eq!(parameters.all("participants").count(), LISTED_MAX);
    }

    #[test]
    fn forms_are_decoded_as_browsers_encode_them() {
        let texts = [
            "a=b",
            "a=%2B1+415%20",
            "=",
            "a",
            "&&a=1&&b",
            "%41=%4a%4A",
            "a=%",
            "a=%2",
            "a=%zz%2",
            "a=b=c",
            "a=%ff%fe",
            "a=\u{e9}%C3%A9",
        ];
        for text in texts {
            let mut all = Pairs::new();
            read_form(&mut all, text.as_bytes());
            let expected: Vec<_> = form_urlencoded::parse(text.as_bytes()).collect();
            assert_eq!(all.as_slice(), expected, "{text}");
        }
    }

    #[test]
    fn depth_does_not_hurt() {
        let body = format!(r#"{{"From":"x","deep":{}{}}}"#, "[".repeat(30_000), "]".repeat(30_000));
        let (parameters, _) = Parameters::read(None, &headers("application/json"), body.as_bytes());
        assert!(parameters.get("From").is_none_or(|from| from == "x"));
    }
}
