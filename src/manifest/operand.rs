//! What stands in a hole: names, literals, the caller's number, the clock.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use smallvec::SmallVec;

use super::diagnostic::Origin;
use super::hole::{Context, People};
use super::template::{Env, PhoneUse};
use crate::domain::{NameId, Spelling, Type, Value, canonical};

const PHONE: NameId = canonical("phone");
const EMAIL: NameId = canonical("email");

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    Name(NameId),
    /// The caller's number: of the request's spelling when one is tried at a time.
    Phone,
    /// The caller's number and its variants in all spellings of the operation.
    Phones(Arc<[Spelling]>),
    /// The addresses of all whom a batch is about.
    Emails,
    Constant(Value),
    /// The member names this reading needs.
    Select(Value),
    Now(SignedDuration),
    /// The day in the source's zone; whole days are added on the calendar.
    Today(SignedDuration),
}

/// Whether an alternative makes a hole sure to be filled.
pub(super) enum Covers {
    Always,
    /// When the operation needs it.
    Name(NameId),
    Nothing,
}

impl Operand {
    pub fn compile(word: &str, origin: Origin, cx: &Context<'_>) -> Option<(Self, Type, Covers)> {
        if word.is_empty() {
            cx.error("hole-syntax", origin, "this hole names nothing", "write `{{` for a brace");
            return None;
        }
        if let Some((value, ty)) = literal(word) {
            return Some((Self::Constant(value), ty, Covers::Always));
        }
        if let Some((operand, ty)) = clock(word) {
            return Some((operand, ty, Covers::Always));
        }
        match word {
            "secret" | "access_token" => {
                let message = format!("`{{{word}}}` may stand in `[auth]` only");
                cx.error("secret-outside-auth", origin, message, "");
                return None;
            }
            "version" => {
                let Some(version) = cx.scope.version else {
                    cx.error("unknown-name", origin, "`{version}` is used, and no `version` is given", "");
                    return None;
                };
                return Some((Self::Constant(Value::text(version)), Type::Text, Covers::Always));
            }
            "select" => {
                if cx.select.is_empty() {
                    let help = "say what is asked for: `select = \"*\"`, `\"**\"` or `\"properties.*\"`";
                    cx.error("missing-key", origin, "`{select}` is used, and nothing is selected", help);
                    return None;
                }
                let names = cx.select.iter().map(|name| Value::Text(name.clone())).collect();
                return Some((Self::Select(Value::List(names)), Type::TextList, Covers::Always));
            }
            "phones" => {
                cx.uses(PHONE);
                if cx.phone_use.get() == PhoneUse::None {
                    cx.phone_use.set(PhoneUse::Many);
                }
                return Some((Self::Phones(cx.spellings.clone()), Type::TextList, Covers::Name(PHONE)));
            }
            "phone" => {
                cx.uses(PHONE);
                cx.phone_use.set(PhoneUse::One);
                return Some((Self::Phone, Type::Phone, Covers::Name(PHONE)));
            }
            "emails" if cx.people.get() == People::All => {
                cx.asks_for_all.set(true);
                return Some((Self::Emails, Type::EmailList, Covers::Always));
            }
            "email" if cx.people.get() == People::Each => {
                return Some((Self::Name(EMAIL), Type::Email, Covers::Always));
            }
            _ => {}
        }
        if !word.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-')) {
            let help = "a hole is `{name}`, `{name|conversion}`, `{a or b}` or `{name?}`";
            cx.error("hole-syntax", origin, format!("`{word}` is not a name"), help);
            return None;
        }
        let id = cx.scope.name(word, origin)?;
        let ty = cx.scope.names.borrow().name(id).ty;
        if let Some(variable) = cx.scope.variable(word) {
            let covers = if variable.always { Covers::Always } else { Covers::Nothing };
            return Some((Self::Name(id), ty, covers));
        }
        cx.uses(id);
        Some((Self::Name(id), ty, Covers::Name(id)))
    }

    pub fn value<'c, 'e: 'c>(&'c self, env: &Env<'e>) -> Option<Cow<'c, Value>> {
        let owned = |value: Value| Some(Cow::Owned(value));
        match self {
            Self::Name(id) => {
                let variable = || env.source.variables.iter().find(|(name, _)| name == id).map(|(_, value)| value);
                (env.get)(*id).or_else(variable).map(Cow::Borrowed)
            }
            Self::Phone => match env.phones.first() {
                Some(phone) => owned(Value::Phone(phone.clone())),
                None => (env.get)(PHONE).map(Cow::Borrowed),
            },
            Self::Phones(spellings) => {
                let own = match (env.get)(PHONE) {
                    Some(Value::Phone(phone)) if env.phones.is_empty() => phone.variants(),
                    _ => SmallVec::new(),
                };
                let phones = if env.phones.is_empty() { own.as_slice() } else { env.phones };
                let mut spelt: Vec<Value> = Vec::new();
                for phone in phones {
                    let all = spellings.iter().map(|s| Value::Text(phone.spell(*s).into()));
                    let plain = spellings.is_empty().then(|| Value::Text(phone.e164().into()));
                    for value in all.chain(plain) {
                        if !spelt.contains(&value) {
                            spelt.push(value);
                        }
                    }
                }
                owned(Value::List(spelt.into()))
            }
            Self::Emails => owned(Value::List(env.emails.iter().cloned().map(Value::Email).collect())),
            Self::Constant(value) | Self::Select(value) => Some(Cow::Borrowed(value)),
            Self::Now(offset) => owned(Value::Time(whole_second(env.now)?.checked_add(*offset).ok()?)),
            Self::Today(offset) => {
                let today = env.now.to_zoned(env.source.time_zone.clone()).date();
                owned(Value::Date(today.checked_add(*offset).ok()?))
            }
        }
    }
}

/// Vendors refuse fractions more often than they miss them.
fn whole_second(time: Timestamp) -> Option<Timestamp> {
    Timestamp::from_second(time.as_second()).ok()
}

fn literal(word: &str) -> Option<(Value, Type)> {
    if let Some(text) = word.strip_prefix('\'').and_then(|w| w.strip_suffix('\'')) {
        return Some((Value::text(text), Type::Text));
    }
    match word {
        "true" => return Some((Value::Bool(true), Type::Bool)),
        "false" => return Some((Value::Bool(false), Type::Bool)),
        _ => {}
    }
    if !word.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        return None;
    }
    if let Ok(int) = word.parse() {
        return Some((Value::Int(int), Type::Int));
    }
    rust_decimal::Decimal::from_str_exact(word).ok().map(|d| (Value::Decimal(d), Type::Decimal))
}

/// `now`, `today`, `now+30d`, `today-1d`.
fn clock(word: &str) -> Option<(Operand, Type)> {
    let (name, offset) = match word.find(['+', '-']) {
        Some(at) => {
            let (name, offset) = word.split_at(at);
            let (sign, length) = offset.split_at(1);
            let length = SignedDuration::try_from(super::tree::duration(length)?).ok()?;
            (name, if sign == "-" { -length } else { length })
        }
        None => (word, SignedDuration::ZERO),
    };
    match name {
        "now" => Some((Operand::Now(offset), Type::Time)),
        "today" => Some((Operand::Today(offset), Type::Date)),
        _ => None,
    }
}
