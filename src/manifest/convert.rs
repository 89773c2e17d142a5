//! Conversions of values on their way out: `{phone|national}`, `{now-30d|rfc3339}`. A closed list;
//! each knows what it takes.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::diagnostic::{Origin, suggest};
use super::scope::Scope;
use super::template::Env;
use crate::domain::{Skip, Spelling, Type, Value};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Conversion {
    /// The spelling that the request is tried with.
    Spelled,
    Spell(Spelling),
    /// UTC with `Z`.
    Rfc3339,
    /// In the source's zone.
    Date,
    Join(Box<str>),
    /// Nothing but a GUID, which query languages write without quotes.
    Guid,
}

const WORDS: &[(&str, Conversion)] = &[
    ("national", Conversion::Spell(Spelling::National)),
    ("national_format", Conversion::Spell(Spelling::NationalFormat)),
    ("digits", Conversion::Spell(Spelling::Digits)),
    ("last10", Conversion::Spell(Spelling::Last10)),
    ("last7", Conversion::Spell(Spelling::Last7)),
    ("rfc3339", Conversion::Rfc3339),
    ("date", Conversion::Date),
    ("guid", Conversion::Guid),
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
        if let Some(with) = text.strip_prefix("join:").map(str::trim)
            && let Some(with) = with.strip_prefix('\'').and_then(|w| w.strip_suffix('\''))
        {
            return Some(Self::Join(with.into()));
        }
        let known = WORDS.iter().map(|(word, _)| *word).chain(["join:','"]);
        let word = text.split(':').next().unwrap_or(text);
        let message = format!("`{text}` is not a conversion");
        scope.diagnostics.error_help("unknown-conversion", origin, message, suggest(word, known));
        None
    }

    /// What comes out for an input of this type, or what would have been expected.
    pub fn check(&self, input: Type) -> Result<Type, &'static str> {
        use Type::{Any, Date, EmailList, Phone, PhoneList, Text, TextList, Time};
        match self {
            Self::Spelled | Self::Spell(_) => fits(input, &[Phone, Any], Text, "phone numbers"),
            Self::Rfc3339 => fits(input, &[Time, Any], Text, "times"),
            Self::Date => fits(input, &[Time, Date, Any], Date, "times and dates"),
            Self::Guid => fits(input, &[Text, Any], Text, "texts"),
            Self::Join(_) => fits(input, &[TextList, EmailList, PhoneList, Any], Text, "lists"),
        }
    }

    /// The value as it is sent. `Invalid`: it is of a type that this does not take.
    pub fn apply<'c>(&self, value: Cow<'c, Value>, env: &Env<'_>) -> Result<Cow<'c, Value>, Skip> {
        let text = |text: String| Ok(Cow::Owned(Value::Text(text.into())));
        match self {
            Self::Spelled | Self::Spell(_) => {
                let spelling = match self {
                    Self::Spell(spelling) => *spelling,
                    _ => env.spelling.unwrap_or(Spelling::E164),
                };
                match &*value {
                    Value::Phone(_) if spelling == Spelling::E164 => Ok(value),
                    Value::Phone(phone) => text(phone.spell(spelling)),
                    _ => Err(Skip::Invalid),
                }
            }
            Self::Rfc3339 if matches!(&*value, Value::Time(_)) => Ok(value),
            Self::Rfc3339 => Err(Skip::Invalid),
            Self::Date => match &*value {
                Value::Date(_) => Ok(value),
                Value::Time(time) => Ok(Cow::Owned(Value::Date(time.to_zoned(env.source.time_zone.clone()).date()))),
                _ => Err(Skip::Invalid),
            },
            Self::Guid => match &*value {
                Value::Text(guid) if is_guid(guid) => Ok(value),
                _ => Err(Skip::Invalid),
            },
            Self::Join(with) => {
                let Value::List(list) = &*value else { return Err(Skip::Invalid) };
                let mut joined = String::new();
                for (at, item) in list.iter().enumerate() {
                    let separator = if at == 0 { "" } else { with };
                    let _ = write!(joined, "{separator}{}", item.to_text().ok_or(Skip::Invalid)?);
                }
                text(joined)
            }
        }
    }
}

/// `8b1a9953-c461-11ee-a506-0242ac120002`
fn is_guid(text: &str) -> bool {
    let parts = text.split('-').map(|part| (part.len(), part.bytes().all(|b| b.is_ascii_hexdigit())));
    parts.eq([8, 4, 4, 4, 12].map(|length| (length, true)))
}

fn fits(input: Type, accepted: &[Type], output: Type, expected: &'static str) -> Result<Type, &'static str> {
    if accepted.contains(&input) { Ok(output) } else { Err(expected) }
}
