//! Conversions of values on their way out: `{phone|national}`, `{now-30d|unix_ms}`. A closed list;
//! each knows what it takes.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::diagnostic::{Origin, suggest};
use super::scope::Scope;
use super::template::Env;
use crate::domain::{Skip, Spelling, Type, Value};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Conversion {
    /// The spelling that the request is tried with.
    Spelled,
    Spell(Spelling),
    UnixSeconds,
    UnixMillis,
    /// UTC with `Z`.
    Rfc3339,
    /// In the source's zone, without a fraction.
    Rfc3339Offset,
    NaiveUtc,
    SqlDatetime,
    Date,
    UsDate,
    /// `HH:MM`
    Time,
    /// Characters at most.
    Max(usize),
    Lower,
    /// What stands behind the `@`, or the host of an address.
    Domain,
    Alnum,
    Int,
    Text,
    Join(Box<str>),
    Map(Arc<str>),
    Table(Arc<str>),
}

const WORDS: &[(&str, Conversion)] = &[
    ("national", Conversion::Spell(Spelling::National)),
    ("national_format", Conversion::Spell(Spelling::NationalFormat)),
    ("digits", Conversion::Spell(Spelling::Digits)),
    ("last10", Conversion::Spell(Spelling::Last10)),
    ("last7", Conversion::Spell(Spelling::Last7)),
    ("unix_s", Conversion::UnixSeconds),
    ("unix_ms", Conversion::UnixMillis),
    ("rfc3339", Conversion::Rfc3339),
    ("rfc3339_offset", Conversion::Rfc3339Offset),
    ("naive_utc", Conversion::NaiveUtc),
    ("sql_datetime", Conversion::SqlDatetime),
    ("date", Conversion::Date),
    ("us_date", Conversion::UsDate),
    ("time", Conversion::Time),
    ("lower", Conversion::Lower),
    ("domain", Conversion::Domain),
    ("alnum", Conversion::Alnum),
    ("int", Conversion::Int),
    ("text", Conversion::Text),
];

/// The spelling behind a word of `spellings`: `e164` or a phone conversion.
pub(super) fn spelling(word: &str) -> Option<Spelling> {
    match WORDS.iter().find(|(known, _)| *known == word) {
        Some((_, Conversion::Spell(spelling))) => Some(*spelling),
        _ => (word == "e164").then_some(Spelling::E164),
    }
}

pub(super) fn spelling_words() -> impl Iterator<Item = &'static str> + Clone {
    let spell =
        |(word, conversion): &(&'static str, Conversion)| matches!(conversion, Conversion::Spell(_)).then_some(*word);
    std::iter::once("e164").chain(WORDS.iter().filter_map(spell))
}

impl Conversion {
    pub fn parse(text: &str, origin: Origin, scope: &Scope<'_>) -> Option<Self> {
        if let Some((_, conversion)) = WORDS.iter().find(|(word, _)| *word == text) {
            return Some(conversion.clone());
        }
        if let Some(name) = text.strip_prefix("map.") {
            return scope.map(name, origin).map(Self::Map);
        }
        if let Some(name) = text.strip_prefix("table.") {
            return scope.table(name, origin).map(Self::Table);
        }
        if let Some(count) = text.strip_prefix("max:").and_then(|n| n.trim().parse().ok()) {
            return Some(Self::Max(count));
        }
        if let Some(with) = text.strip_prefix("join:").map(str::trim)
            && let Some(with) = with.strip_prefix('\'').and_then(|w| w.strip_suffix('\''))
        {
            return Some(Self::Join(with.into()));
        }
        let known = WORDS.iter().map(|(word, _)| *word).chain(["max:40", "join:','"]);
        let word = text.split(':').next().unwrap_or(text);
        let message = format!("`{text}` is not a conversion");
        scope.diagnostics.error_help("unknown-conversion", origin, message, suggest(word, known));
        None
    }

    /// What comes out for an input of this type, or what would have been expected.
    pub fn check(&self, input: Type) -> Result<Type, &'static str> {
        use Type::{Any, Bool, Date, Decimal, Email, EmailList, Int, Phone, PhoneList, Text, TextList, Time, Url};
        match self {
            Self::Spelled | Self::Spell(_) => fits(input, &[Phone, Any], Text, "phone numbers"),
            Self::UnixSeconds | Self::UnixMillis => fits(input, &[Time, Any], Int, "times"),
            Self::Rfc3339 | Self::Rfc3339Offset | Self::NaiveUtc | Self::SqlDatetime | Self::Time => {
                fits(input, &[Time, Any], Text, "times")
            }
            Self::Date => fits(input, &[Time, Date, Any], Date, "times and dates"),
            Self::UsDate => fits(input, &[Time, Date, Any], Text, "times and dates"),
            Self::Max(_) | Self::Lower | Self::Domain | Self::Alnum => {
                fits(input, &[Text, Email, Url, Any], Text, "texts")
            }
            Self::Int => fits(input, &[Text, Int, Decimal, Any], Int, "texts and numbers"),
            Self::Text => fits(input, &[Text, Int, Decimal, Bool, Any], Text, "numbers"),
            Self::Join(_) => fits(input, &[TextList, EmailList, PhoneList, Any], Text, "lists"),
            Self::Map(_) | Self::Table(_) => {
                fits(input, &[Text, Email, Int, Decimal, Bool, Url, Any], Any, "single values")
            }
        }
    }

    /// A value without an entry here is `unmapped`, not merely missing.
    pub fn is_mapping(&self) -> bool {
        matches!(self, Self::Map(_) | Self::Table(_))
    }

    /// `None`: nothing comes out. `Invalid`: the value is of a type that this does not take.
    pub fn apply<'c, 'e: 'c>(&'c self, value: Cow<'c, Value>, env: &Env<'e>) -> Result<Option<Cow<'c, Value>>, Skip> {
        let text = |text: String| Ok(Some(Cow::Owned(Value::Text(text.into()))));
        let zone = || env.source.time_zone.clone();
        Ok(match self {
            Self::Spelled | Self::Spell(_) => {
                let spelling = match self {
                    Self::Spell(spelling) => *spelling,
                    _ => env.spelling.unwrap_or(Spelling::E164),
                };
                match &*value {
                    Value::Phone(_) if spelling == Spelling::E164 => Some(value),
                    Value::Phone(phone) => return text(phone.spell(spelling)),
                    _ => return Err(Skip::Invalid),
                }
            }
            Self::UnixSeconds => Some(Cow::Owned(Value::Int(time(&value)?.as_second()))),
            Self::UnixMillis => Some(Cow::Owned(Value::Int(time(&value)?.as_millisecond()))),
            Self::Rfc3339 => Some(Cow::Owned(Value::Time(time(&value)?))),
            Self::Rfc3339Offset => return text(strftime("%Y-%m-%dT%H:%M:%S%:z", time(&value)?, zone())),
            Self::NaiveUtc => return text(strftime("%Y-%m-%dT%H:%M:%S", time(&value)?, TimeZone::UTC)),
            Self::SqlDatetime => return text(strftime("%Y-%m-%d %H:%M:%S", time(&value)?, TimeZone::UTC)),
            Self::Time => return text(strftime("%H:%M", time(&value)?, zone())),
            Self::Date => Some(Cow::Owned(Value::Date(date(&value, zone())?))),
            Self::UsDate => return text(date(&value, zone())?.strftime("%m/%d/%Y").to_string()),
            Self::Max(max) => {
                let whole = plain(&value)?;
                match whole.char_indices().nth(*max) {
                    Some((at, _)) => return text(whole.get(..at).unwrap_or("").trim_end().to_owned()),
                    None => Some(value),
                }
            }
            Self::Lower => return text(plain(&value)?.to_lowercase()),
            Self::Domain => return text(domain(plain(&value)?).to_owned()),
            Self::Alnum => {
                let kept = plain(&value)?.chars().map(|c| c.to_ascii_lowercase()).filter(char::is_ascii_alphanumeric);
                return text(kept.collect());
            }
            Self::Int => match &*value {
                Value::Int(_) => Some(value),
                Value::Decimal(d) => {
                    d.is_integer().then(|| i64::try_from(*d).ok()).flatten().map(|i| Cow::Owned(Value::Int(i)))
                }
                _ => plain(&value)?.trim().parse().ok().map(|i| Cow::Owned(Value::Int(i))),
            },
            Self::Text => return text(value.to_text().ok_or(Skip::Invalid)?.into_owned()),
            Self::Join(with) => {
                let Value::List(list) = &*value else { return Err(Skip::Invalid) };
                let mut joined = String::new();
                for (at, item) in list.iter().enumerate() {
                    let separator = if at == 0 { "" } else { with };
                    let _ = write!(joined, "{separator}{}", item.to_text().ok_or(Skip::Invalid)?);
                }
                return text(joined);
            }
            Self::Map(name) => mapped(&value, |key| env.source.maps.lookup(name, key))?,
            Self::Table(name) => mapped(&value, |key| env.tables.lookup(name, key))?,
        })
    }
}

fn fits(input: Type, accepted: &[Type], output: Type, expected: &'static str) -> Result<Type, &'static str> {
    if accepted.contains(&input) { Ok(output) } else { Err(expected) }
}

fn mapped<'v>(value: &Value, entry: impl FnOnce(&str) -> Option<&'v Value>) -> Result<Option<Cow<'v, Value>>, Skip> {
    Ok(entry(&value.to_text().ok_or(Skip::Invalid)?).map(Cow::Borrowed))
}

fn plain(value: &Value) -> Result<&str, Skip> {
    match value {
        Value::Text(text) | Value::Url(text) => Ok(text),
        Value::Email(email) => Ok(email.as_str()),
        _ => Err(Skip::Invalid),
    }
}

fn time(value: &Value) -> Result<Timestamp, Skip> {
    match value {
        Value::Time(time) => Ok(*time),
        _ => Err(Skip::Invalid),
    }
}

fn date(value: &Value, zone: TimeZone) -> Result<jiff::civil::Date, Skip> {
    match value {
        Value::Date(date) => Ok(*date),
        _ => Ok(time(value)?.to_zoned(zone).date()),
    }
}

fn strftime(format: &str, time: Timestamp, zone: TimeZone) -> String {
    time.to_zoned(zone).strftime(format).to_string()
}

fn domain(text: &str) -> &str {
    let host = match text.rsplit_once('@') {
        Some((_, domain)) => domain,
        None => text.split_once("://").map_or(text, |(_, rest)| rest),
    };
    host.split(['/', '?', '#', ':']).next().unwrap_or("")
}
