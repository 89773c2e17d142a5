//! Typed values of fields. Nothing here prints what it holds: `Debug` names only the type.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;

use super::{Email, Phone};

/// A value of a field, an input or an id. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Value {
    Text(Arc<str>),
    Int(i64),
    /// Exact: money never passes through a float.
    Decimal(Decimal),
    Bool(bool),
    Time(Timestamp),
    Date(Date),
    Phone(Phone),
    Email(Email),
    /// An http or https address.
    Url(Arc<str>),
    List(Arc<[Value]>),
    /// An entry of a list field: members in the order of the vocabulary.
    Record(Arc<[(Arc<str>, Value)]>),
}

impl Value {
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::Text(text.as_ref().into())
    }

    /// Empty texts and the texts "null" and "undefined" are missing, in every position.
    pub fn is_missing(&self) -> bool {
        match self {
            Self::Text(t) | Self::Url(t) => text_is_missing(t),
            Self::List(l) => l.is_empty(),
            _ => false,
        }
    }

    /// The member `name` of a record.
    pub fn member(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Record(members) => members.iter().find(|(n, _)| &**n == name).map(|(_, v)| v),
            _ => None,
        }
    }

    /// The value as plain text, as ids are compared and sent. Lists and records have none.
    pub fn to_text(&self) -> Option<std::borrow::Cow<'_, str>> {
        use std::borrow::Cow;
        Some(match self {
            Self::Text(t) | Self::Url(t) => Cow::Borrowed(t),
            Self::Int(i) => Cow::Owned(i.to_string()),
            Self::Decimal(d) => Cow::Owned(d.to_string()),
            Self::Bool(b) => Cow::Borrowed(if *b { "true" } else { "false" }),
            Self::Time(t) => Cow::Owned(t.to_string()),
            Self::Date(d) => Cow::Owned(d.to_string()),
            Self::Phone(p) => Cow::Borrowed(p.e164()),
            Self::Email(e) => Cow::Borrowed(e.as_str()),
            Self::List(_) | Self::Record(_) => return None,
        })
    }

    /// What the value weighs in a cache, in bytes, roughly.
    pub fn weight(&self) -> usize {
        24 + match self {
            Self::Text(t) | Self::Url(t) => t.len(),
            Self::Phone(p) => p.e164().len(),
            Self::Email(e) => e.as_str().len(),
            Self::List(l) => l.iter().map(Self::weight).sum(),
            Self::Record(r) => r.iter().map(|(_, v)| 16 + v.weight()).sum(),
            _ => 0,
        }
    }

    /// The type, for messages: never what it holds.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Int(_) => "int",
            Self::Decimal(_) => "decimal",
            Self::Bool(_) => "bool",
            Self::Time(_) => "time",
            Self::Date(_) => "date",
            Self::Phone(_) => "phone",
            Self::Email(_) => "email",
            Self::Url(_) => "url",
            Self::List(_) => "list",
            Self::Record(_) => "record",
        }
    }
}

/// Empty, or nothing but the words that sloppy templates leave behind: "null", and "undefined
/// null" where a first name was joined with a last name.
pub fn text_is_missing(text: &str) -> bool {
    // nearly every text begins with a letter that says no
    if text.bytes().next().is_some_and(|b| b.is_ascii_graphic() && !matches!(b, b'n' | b'N' | b'u' | b'U')) {
        return false;
    }
    text.split_whitespace().all(|word| word.eq_ignore_ascii_case("null") || word.eq_ignore_ascii_case("undefined"))
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.type_name())
    }
}

/// Times are RFC 3339 in UTC, decimals are JSON numbers written exactly.
impl serde::Serialize for Value {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        match self {
            Self::Text(t) | Self::Url(t) => s.serialize_str(t),
            Self::Int(i) => s.serialize_i64(*i),
            Self::Bool(b) => s.serialize_bool(*b),
            Self::Decimal(d) => match serde_json::value::RawValue::from_string(d.to_string()) {
                Ok(raw) => raw.serialize(s),
                Err(_) => s.serialize_none(),
            },
            Self::Time(t) => s.collect_str(t),
            Self::Date(d) => s.collect_str(d),
            Self::Phone(p) => s.serialize_str(p.e164()),
            Self::Email(e) => s.serialize_str(e.as_str()),
            Self::List(l) => s.collect_seq(l.iter()),
            Self::Record(r) => {
                let mut map = s.serialize_map(Some(r.len()))?;
                for (name, value) in r.iter() {
                    map.serialize_entry(&**name, value)?;
                }
                map.end()
            }
        }
    }
}
