//! What a field takes: an answer's texts, numbers and booleans as typed values, cleaned and
//! capped. What does not fit is unreadable and counted; it never fails a lookup.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;

use super::path::Raw;
use crate::domain::value::text_is_missing;
use crate::domain::{Email, Phone, Type, Value};

/// Characters of one text.
const MAX_CHARS: usize = 4_096;

/// A value on its way from the answer to a field.
#[derive(Debug, Clone)]
pub(super) enum Item<'e> {
    Text(Cow<'e, str>),
    /// Digits as they stood there.
    Number(Cow<'e, str>),
    Bool(bool),
    /// An object or a list.
    Container,
    /// Typed already: from a map or an expression inside.
    Value(Value),
}

/// How a value is spelt in the answer, where its type does not say it: `as`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelt {
    /// Zoneless means UTC.
    Utc,
    /// Zoneless means the source's zone.
    Zoned,
    Date,
    /// `11/27/2026`
    UsDate,
    UnixSeconds,
    UnixMilliseconds,
    /// An amount in the smallest units of its currency.
    Cents,
    /// The code of a currency, in small letters or capitals.
    Currency,
}

pub(super) const SPELT: &[(&str, Spelt)] = &[
    ("utc", Spelt::Utc),
    ("zoned", Spelt::Zoned),
    ("date", Spelt::Date),
    ("us_date", Spelt::UsDate),
    ("unix_s", Spelt::UnixSeconds),
    ("unix_ms", Spelt::UnixMilliseconds),
    ("cents", Spelt::Cents),
    ("currency", Spelt::Currency),
];

/// Currencies that are not divided by hundred (ISO 4217), with the digits of their smallest unit.
const UNDIVIDED: &[&str] = &[
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF",
    "XPF",
];
const BY_THOUSAND: &[&str] = &["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];

/// A value that its field does not take.
#[derive(Debug, PartialEq)]
pub(super) struct Unfit;

impl<'e> From<&'e Raw<'_>> for Item<'e> {
    fn from(raw: &'e Raw<'_>) -> Self {
        match raw {
            Raw::Text(text) => Self::Text(Cow::Borrowed(text)),
            Raw::Number(digits) => Self::Number(Cow::Borrowed(digits)),
            Raw::Bool(value) => Self::Bool(*value),
            Raw::Container => Self::Container,
        }
    }
}

impl Item<'_> {
    /// As maps, tests and identities compare it.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(text) | Self::Number(text) => Some(Cow::Borrowed(text)),
            Self::Bool(value) => Some(Cow::Borrowed(if *value { "true" } else { "false" })),
            Self::Container => None,
            Self::Value(value) => value.to_text(),
        }
    }

    pub fn is_missing(&self) -> bool {
        match self {
            Self::Text(text) => text_is_missing(text),
            Self::Value(value) => value.is_missing(),
            _ => false,
        }
    }

    /// As sums count it.
    pub fn number(&self) -> Option<Decimal> {
        decimal(self.text()?.trim())
    }

    /// An amount in minor units, in whole ones of its currency; hundredths if that is not known.
    pub fn whole_units(&self, currency: Option<&str>) -> Item<'static> {
        let is_of = |codes: &[&str]| currency.is_some_and(|c| codes.iter().any(|code| code.eq_ignore_ascii_case(c)));
        let digits = if is_of(UNDIVIDED) {
            0
        } else if is_of(BY_THOUSAND) {
            3
        } else {
            2
        };
        match self.number().and_then(|amount| amount.checked_mul(Decimal::new(1, digits))) {
            Some(amount) => Item::Value(Value::Decimal(amount)),
            None if self.is_missing() => Item::Text(Cow::Borrowed("")),
            None => Item::Container,
        }
    }

    /// The value as a field of this type takes it; `None` when it is missing.
    pub fn fit(
        &self,
        ty: Type,
        spelt: Option<Spelt>,
        zone: &TimeZone,
        region: Option<&str>,
    ) -> Result<Option<Value>, Unfit> {
        if self.is_missing() {
            return Ok(None);
        }
        if let Self::Value(value) = self
            && has_type(value, ty)
            && (spelt.is_none() || !matches!(value, Value::Text(_) | Value::Int(_) | Value::Decimal(_)))
        {
            return Ok(Some(value.clone()));
        }
        let text = self.text().ok_or(Unfit)?;
        let text = text.trim();
        let value = match (ty, spelt) {
            (Type::Text | Type::Any, Some(Spelt::Currency)) => clean(&text.to_ascii_uppercase()),
            (Type::Any, Some(Spelt::Date | Spelt::UsDate)) => self.fit(Type::Date, spelt, zone, region)?,
            (Type::Any, Some(_)) => self.fit(Type::Time, spelt, zone, region)?,
            (Type::Any, None) => match self {
                Self::Number(digits) => {
                    let int = digits.parse().ok().map(Value::Int);
                    Some(int.or_else(|| decimal(digits).map(Value::Decimal)).ok_or(Unfit)?)
                }
                Self::Bool(value) => Some(Value::Bool(*value)),
                _ => clean(text),
            },
            (Type::Text | Type::TextList, _) => clean(text),
            (Type::Email | Type::EmailList, _) => Some(Value::Email(Email::parse(text).ok_or(Unfit)?)),
            (Type::Phone | Type::PhoneList, _) => Some(Value::Phone(Phone::parse_stored(text, region).ok_or(Unfit)?)),
            (Type::Decimal, _) => Some(Value::Decimal(decimal(text).ok_or(Unfit)?)),
            (Type::Int, _) => Some(Value::Int(int(text).ok_or(Unfit)?)),
            (Type::Bool, _) => Some(Value::Bool(bool(text, matches!(self, Self::Number(_))).ok_or(Unfit)?)),
            (Type::Time, _) => Some(Value::Time(time(text, spelt, zone).ok_or(Unfit)?)),
            (Type::Date, _) => Some(Value::Date(date(text, spelt, zone).ok_or(Unfit)?)),
            (Type::Url, _) => Some(url(text).ok_or(Unfit)?),
            (Type::Records(_), _) => return Err(Unfit),
        };
        Ok(value)
    }
}

fn has_type(value: &Value, ty: Type) -> bool {
    matches!(
        (value, ty),
        (_, Type::Any)
            | (Value::Text(_), Type::Text | Type::TextList)
            | (Value::Email(_), Type::Email | Type::EmailList)
            | (Value::Phone(_), Type::Phone | Type::PhoneList)
            | (Value::Decimal(_), Type::Decimal)
            | (Value::Int(_), Type::Int)
            | (Value::Bool(_), Type::Bool)
            | (Value::Time(_), Type::Time)
            | (Value::Date(_), Type::Date)
            | (Value::Url(_), Type::Url)
    )
}

/// Without control characters (a line break of a longer text stays) and within the cap.
fn clean(text: &str) -> Option<Value> {
    let is_clean = text.len() <= MAX_CHARS && !text.contains(char::is_control);
    let text = match is_clean {
        true => Cow::Borrowed(text),
        false => text.chars().filter(|c| !c.is_control() || *c == '\n').take(MAX_CHARS).collect(),
    };
    (!text_is_missing(&text)).then(|| Value::text(text.trim()))
}

fn decimal(text: &str) -> Option<Decimal> {
    Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text)).ok()
}

fn int(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| decimal(text).filter(Decimal::is_integer).and_then(|d| i64::try_from(d).ok()))
}

/// Databases without booleans have 0 and 1.
fn bool(text: &str, is_number: bool) -> Option<bool> {
    match text {
        "1" if is_number => Some(true),
        "0" if is_number => Some(false),
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// RFC 3339, its offset with or without colon; a date is its midnight in the source's zone.
fn time(text: &str, spelt: Option<Spelt>, zone: &TimeZone) -> Option<Timestamp> {
    let midnight = |date: civil::Date| date.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp());
    let civil_in = |zone: &TimeZone| {
        let local: civil::DateTime = text.parse().ok()?;
        local.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp())
    };
    match spelt {
        Some(Spelt::Utc) => text.parse().ok().or_else(|| civil_in(&TimeZone::UTC)),
        Some(Spelt::Zoned) => text.parse().ok().or_else(|| civil_in(zone)),
        Some(Spelt::Date | Spelt::UsDate) => midnight(date(text, spelt, zone)?),
        Some(Spelt::UnixSeconds) => Timestamp::from_second(int(text)?).ok(),
        Some(Spelt::UnixMilliseconds) => Timestamp::from_millisecond(int(text)?).ok(),
        _ => text.parse().ok().or_else(|| midnight(plain_date(text)?)),
    }
}

fn date(text: &str, spelt: Option<Spelt>, zone: &TimeZone) -> Option<civil::Date> {
    match spelt {
        Some(Spelt::Date) => plain_date(text.get(..10)?),
        Some(Spelt::UsDate) => civil::Date::strptime("%m/%d/%Y", text).ok(),
        None if text.len() == 10 => plain_date(text),
        _ => Some(time(text, spelt, zone)?.to_zoned(zone.clone()).date()),
    }
}

fn plain_date(text: &str) -> Option<civil::Date> {
    (text.len() == 10).then(|| text.parse().ok()).flatten()
}

fn url(text: &str) -> Option<Value> {
    let url = url::Url::parse(text).ok()?;
    let plain = matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty();
    (plain && text.len() <= MAX_CHARS).then(|| Value::Url(url.as_str().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fields_take() {
        let text = |t: &'static str| Item::Text(t.into());
        let number = |t: &'static str| Item::Number(t.into());
        let table = [
            (text(" Ada "), Type::Text, None, "Ada"),
            (text("a\u{0}b\u{7}\r\nc\u{9b}"), Type::Text, None, "ab\nc"),
            (text("null"), Type::Text, None, "-"),
            (text("undefined null"), Type::Text, None, "-"),
            (text(""), Type::Decimal, None, "-"),
            (number("478"), Type::Text, None, "478"),
            (Item::Bool(true), Type::Text, None, "true"),
            (Item::Container, Type::Text, None, "unfit"),
            (text("usd"), Type::Text, Some(Spelt::Currency), "USD"),
            (text("usd"), Type::Any, Some(Spelt::Currency), "USD"),
            (number("478"), Type::Any, None, "478"),
            (number("9999999999999999999"), Type::Any, None, "9999999999999999999"),
            (number("1e400"), Type::Any, None, "unfit"),
            (text("00478"), Type::Any, None, "00478"),
            (number("0.1"), Type::Decimal, None, "0.1"),
            (number("12345678901234567.89"), Type::Decimal, None, "12345678901234567.89"),
            (number("15000.0"), Type::Decimal, None, "15000.0"),
            (number("1.5e3"), Type::Decimal, None, "1500"),
            (text("99.90"), Type::Decimal, None, "99.90"),
            (text("1,234.50"), Type::Decimal, None, "unfit"),
            (text("250"), Type::Int, None, "250"),
            (number("250.0"), Type::Int, None, "250"),
            (number("2.5"), Type::Int, None, "unfit"),
            (text("TRUE"), Type::Bool, None, "true"),
            (number("0"), Type::Bool, None, "false"),
            (text("1"), Type::Bool, None, "unfit"),
            (text("yes"), Type::Bool, None, "unfit"),
            (text("2026-11-02T16:40:10.000+0000"), Type::Time, None, "2026-11-02T16:40:10Z"),
            (text("2026-11-02T16:40:10-05:30"), Type::Time, None, "2026-11-02T22:10:10Z"),
            (text("2026-11-02 16:40:10+00"), Type::Time, None, "2026-11-02T16:40:10Z"),
            (text("2026-11-02T16:40:10"), Type::Time, None, "unfit"),
            (text("2026-11-02T16:40:10"), Type::Time, Some(Spelt::Utc), "2026-11-02T16:40:10Z"),
            (text("2026-11-02 16:40:10"), Type::Time, Some(Spelt::Zoned), "2026-11-02T15:40:10Z"),
            (text("2026-11-02T16:40:10Z"), Type::Time, Some(Spelt::Zoned), "2026-11-02T16:40:10Z"),
            (text("2026-11-02"), Type::Time, None, "2026-11-01T23:00:00Z"),
            (text("2026-11-02"), Type::Time, Some(Spelt::Date), "2026-11-01T23:00:00Z"),
            (text("2026-11-02"), Type::Date, None, "2026-11-02"),
            (text("2026-11-02T23:30:00Z"), Type::Date, None, "2026-11-03"),
            (text("2026-11-02T23:30:00Z"), Type::Date, Some(Spelt::Date), "2026-11-02"),
            (text("ümlaut-date"), Type::Date, Some(Spelt::Date), "unfit"),
            (text("11/27/2026"), Type::Date, Some(Spelt::UsDate), "2026-11-27"),
            (text("11/27/2026"), Type::Time, Some(Spelt::UsDate), "2026-11-26T23:00:00Z"),
            (text("27/11/2026"), Type::Date, Some(Spelt::UsDate), "unfit"),
            (text("2026-11-27"), Type::Date, Some(Spelt::UsDate), "unfit"),
            (number("1795269600"), Type::Time, Some(Spelt::UnixSeconds), "2026-11-21T14:00:00Z"),
            (text("1795269600"), Type::Time, Some(Spelt::UnixSeconds), "2026-11-21T14:00:00Z"),
            (number("1795269600005"), Type::Time, Some(Spelt::UnixMilliseconds), "2026-11-21T14:00:00.005Z"),
            (number("1795269600"), Type::Date, Some(Spelt::UnixSeconds), "2026-11-21"),
            (text("2026-11-21"), Type::Time, Some(Spelt::UnixSeconds), "unfit"),
            (number("9223372036854775807"), Type::Time, Some(Spelt::UnixMilliseconds), "unfit"),
            (text("Ada@Example.com"), Type::Email, None, "ada@example.com"),
            (text("nobody"), Type::Email, None, "unfit"),
            (text("(415) 555-0142"), Type::Phone, None, "+14155550142"),
            (number("4155550142"), Type::Phone, None, "+14155550142"),
            (text("0000000000"), Type::Phone, None, "unfit"),
            (text("https://example.com/a b"), Type::Url, None, "https://example.com/a%20b"),
            (text("javascript:alert(1)"), Type::Url, None, "unfit"),
        ];
        let zone = TimeZone::get("Europe/Berlin").unwrap_or(TimeZone::UTC);
        for (item, ty, spelt, expected) in table {
            let got = match item.fit(ty, spelt, &zone, Some("US")) {
                Ok(Some(value)) => value.to_text().map_or_else(String::new, Cow::into_owned),
                Ok(None) => "-".into(),
                Err(Unfit) => "unfit".into(),
            };
            assert_eq!(got, expected, "{item:?} as {ty:?} spelt {spelt:?}");
        }
    }

    #[test]
    fn long_texts_are_cut() {
        let long = Item::Text("é".repeat(10_000).into());
        let Ok(Some(Value::Text(text))) = long.fit(Type::Text, None, &TimeZone::UTC, None) else { panic!() };
        assert_eq!(text.chars().count(), MAX_CHARS);
    }
}
