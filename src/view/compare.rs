//! Two answers about one caller, field by field: what a flow is told here beside what it is told
//! elsewhere, or under another configuration. Values come in, verdicts go out; nothing is kept and
//! nothing is printed. Both sides are read alike, so that only a difference somebody could notice
//! counts as one:
//!
//! - Null, blanks, `""`, `[]`, `{}` and the words `Unknown`, `null` and `undefined` are empty; so is
//!   false where it is the default of a flow's attribute.
//! - Texts are compared without case and with single blanks; those of a flow as the gateway would
//!   have sent them: on one line, with safe letters, cut to the same length.
//! - `true`, `"true"`, `1` and `"yes"` are one; `129.5`, `"129.50"` likewise.
//! - Numbers of phones are compared in canonical form, in every spelling.
//! - Times are compared to the second and in UTC where they have no zone; with a mere date on one
//!   side, by the day. Seconds and milliseconds since 1970 are times.
//! - Lists are compared without order; of objects, members that both sides fill must be the same,
//!   and neither may fill one that the other leaves empty.

use std::collections::BTreeMap;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde_json::{Map, Value as Json};

use super::attributes::{EMAIL_MAX, NAME_MAX, TEXT_MAX};
use super::text::{WORKER_MAX, plain};
use crate::domain::Phone;
use crate::domain::value::text_is_missing;

/// What is compared of a flow's answer, by the gateway's names: a closed set. Members of objects
/// stand behind a dot.
pub const FLOW: [&str; 22] = [
    "caller_name",
    "caller_email",
    "account_status",
    "vip_customer",
    "last_interaction",
    "preferred_agent",
    "greet_by_name",
    "appointments",
    "payment_info.outstanding_balance",
    "payment_info.credit",
    "payment_info.currency",
    "payment_info.due_at",
    "payment_info.last_payment",
    "payment_info.last_payment_amount",
    "payment_info.payment_method",
    "payment_info.auto_pay_enabled",
    "payment_info.delinquent",
    "caller_data.name",
    "caller_data.account_id",
    "caller_data.status",
    "caller_data.last_contact",
    "caller_data.recent_orders",
];

/// Stands for all attributes of a flow's answer that the gateway has no name for.
pub const OTHER: &str = "other";

/// Attributes that speak of the lookup, not of the person.
const ABOUT: [&str; 8] = [
    "missing",
    "lookup_status",
    "lookup_timestamp",
    "caller_id_status",
    "match",
    "call_burst",
    "phone_number",
    "timestamp",
];

/// Attributes of which nobody can tell whether false was said or meant "not known".
const FALSE_UNLESS_KNOWN: [&str; 2] = ["vip_customer", "greet_by_name"];

/// How one field of two answers compares. Left is what is there today.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Verdict {
    Same,
    OnlyLeft,
    OnlyRight,
    Differs,
    BothEmpty,
}

impl Verdict {
    pub const ALL: [Self; 5] = [Self::Same, Self::OnlyLeft, Self::OnlyRight, Self::Differs, Self::BothEmpty];
}

/// What an answer says, by field. Holds personal data: never log it.
#[derive(Default)]
pub struct Told(BTreeMap<String, Json>);

impl Told {
    /// Reads the flat attributes of a call flow, whoever made them. `None`: this is no JSON object.
    pub fn to_a_flow(answer: &[u8]) -> Option<Self> {
        let attributes: Map<String, Json> = serde_json::from_slice(answer).ok()?;
        let mut told = Self::default();
        for (name, value) in attributes {
            match name.as_str() {
                "payment_info" | "caller_data" => match object(&value) {
                    Some(members) => members.into_iter().for_each(|(m, v)| told.take(format!("{name}.{m}"), v)),
                    None if is_empty("", &value) => {}
                    None => told.take(name, value),
                },
                about if ABOUT.contains(&about) => {}
                _ => told.take(name, value),
            }
        }
        Some(told)
    }

    /// Reads the fields of an agent's answer, by their dotted names. `None`: this is none.
    pub fn to_an_agent(answer: &[u8]) -> Option<Self> {
        let mut answer: Map<String, Json> = serde_json::from_slice(answer).ok()?;
        let mut told = Self::default();
        told.spread("", answer.remove("fields")?);
        Some(told)
    }

    pub fn get(&self, name: &str) -> Option<&Json> {
        self.0.get(name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// How a field of this answer, on the left, compares with that of the other. `region` is where
    /// numbers without a country code are at home.
    pub fn compare(&self, right: &Self, name: &str, region: Option<&str>) -> Verdict {
        let filled = |told: &'_ Self| told.0.get(name).is_some_and(|value| !is_empty(name, value));
        match (filled(self), filled(right)) {
            (false, false) => Verdict::BothEmpty,
            (true, false) => Verdict::OnlyLeft,
            (false, true) => Verdict::OnlyRight,
            (true, true) => match self.0.get(name).zip(right.0.get(name)) {
                Some((left, right)) if same(name, left, right, region) => Verdict::Same,
                _ => Verdict::Differs,
            },
        }
    }

    fn take(&mut self, name: String, mut value: Json) {
        if !FLOW.contains(&name.as_str()) {
            let said = self.0.entry(OTHER.into()).or_default();
            if !is_empty(&name, &value) {
                *said = Json::Bool(true);
            }
            return;
        }
        if let Json::String(text) = &mut value {
            *text = plain(text, longest(&name));
        }
        self.0.insert(name, value);
    }

    fn spread(&mut self, path: &str, value: Json) {
        match value {
            Json::Object(members) => {
                let dot = if path.is_empty() { "" } else { "." };
                members.into_iter().for_each(|(name, value)| self.spread(&format!("{path}{dot}{name}"), value));
            }
            leaf => {
                self.0.insert(path.to_owned(), leaf);
            }
        }
    }
}

/// An object, also one that is written as a JSON text.
fn object(value: &Json) -> Option<Map<String, Json>> {
    match value {
        Json::Object(members) => Some(members.clone()),
        Json::String(text) => serde_json::from_str(text).ok(),
        _ => None,
    }
}

/// Characters of a text that the gateway sends to a flow under this name.
fn longest(name: &str) -> usize {
    match name {
        "caller_name" | "caller_data.name" => NAME_MAX,
        "caller_email" => EMAIL_MAX,
        "preferred_agent" => WORKER_MAX,
        _ => TEXT_MAX,
    }
}

fn is_empty(name: &str, value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Array(items) => items.iter().all(|item| is_empty("", item)),
        Json::Object(members) => members.values().all(|member| is_empty("", member)),
        Json::String(text) if text_is_missing(text) || text.trim().eq_ignore_ascii_case("unknown") => true,
        scalar => FALSE_UNLESS_KNOWN.contains(&name) && truth(scalar) == Some(false),
    }
}

/// Two values that are both there.
fn same(name: &str, left: &Json, right: &Json, region: Option<&str>) -> bool {
    match (left, right) {
        (Json::Array(left), Json::Array(right)) => same_items(name, left, right, region),
        (Json::Object(left), Json::Object(right)) => {
            let filled = |members: &Map<String, Json>, name: &str| {
                members.get(name).filter(|value| !is_empty("", value)).cloned()
            };
            let mut names = left.keys().chain(right.keys());
            names.all(|name| match (filled(left, name), filled(right, name)) {
                (Some(left), Some(right)) => same(name, &left, &right, region),
                (None, None) => true,
                _ => false,
            })
        }
        _ => match (text(left), text(right)) {
            (Some(a), Some(b)) => {
                folded(&a) == folded(&b)
                    || same_truth(left, right)
                    || same_number(left, right, &a, &b)
                    || same_time(&a, &b)
                    || is_phone(name) && same_phone(&a, &b, region)
            }
            _ => false,
        },
    }
}

/// Each item of one side has its own on the other.
fn same_items(name: &str, left: &[Json], right: &[Json], region: Option<&str>) -> bool {
    let filled = |items: &[Json]| items.iter().filter(|item| !is_empty("", item)).cloned().collect::<Vec<_>>();
    let (left, mut right) = (filled(left), filled(right));
    left.len() == right.len()
        && left.iter().all(|item| {
            let found = right.iter().position(|other| same(name, item, other, region));
            found.map(|at| right.swap_remove(at)).is_some()
        })
}

fn text(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.trim().to_owned()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(truth) => Some(truth.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

fn truth(value: &Json) -> Option<bool> {
    match folded(&text(value)?).as_str() {
        "true" | "yes" | "1" => Some(true),
        "false" | "no" | "0" => Some(false),
        _ => None,
    }
}

fn same_truth(left: &Json, right: &Json) -> bool {
    (left.is_boolean() || right.is_boolean()) && truth(left).is_some() && truth(left) == truth(right)
}

/// Digits in texts are names as often as amounts: `"007"` is not `"7"`.
fn same_number(left: &Json, right: &Json, a: &str, b: &str) -> bool {
    let amounts = left.is_number() || right.is_number() || a.contains('.') && b.contains('.');
    amounts && a.parse::<Decimal>().ok().zip(b.parse().ok()).is_some_and(|(a, b): (Decimal, Decimal)| a == b)
}

fn is_phone(name: &str) -> bool {
    name.contains("phone") || name.contains("mobile")
}

fn same_phone(a: &str, b: &str, region: Option<&str>) -> bool {
    Phone::parse_stored(a, region).is_some_and(|phone| phone.compare(b, region).is_some())
}

enum When {
    Day(Date),
    At(Timestamp),
}

impl When {
    fn read(text: &str) -> Option<Self> {
        if text.bytes().all(|b| b.is_ascii_digit()) {
            let number: i64 = text.parse().ok()?;
            let at = match text.len() {
                10 => Timestamp::from_second(number),
                13 => Timestamp::from_millisecond(number),
                _ => return None,
            };
            return at.ok().map(Self::At);
        }
        // what begins with a year and a dash; jiff reads more than that
        if !text.get(..5).is_some_and(|start| start.ends_with('-') && start.bytes().take(4).all(|b| b.is_ascii_digit()))
        {
            return None;
        }
        if text.len() == 10 {
            return text.parse().ok().map(Self::Day);
        }
        let civil = || text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
        text.parse().ok().or_else(civil).map(Self::At)
    }

    fn day(&self) -> Date {
        match self {
            Self::Day(day) => *day,
            Self::At(at) => at.to_zoned(TimeZone::UTC).date(),
        }
    }
}

fn same_time(a: &str, b: &str) -> bool {
    match (When::read(a), When::read(b)) {
        (Some(When::At(a)), Some(When::At(b))) => a.duration_since(b).abs() < SignedDuration::from_secs(1),
        (Some(a), Some(b)) => a.day() == b.day(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn verdict(name: &str, left: Json, right: Json) -> Verdict {
        let told = |value| {
            let answer = json!({ name: value }).to_string();
            Told::to_a_flow(answer.as_bytes()).unwrap_or_default()
        };
        told(left).compare(&told(right), name, Some("US"))
    }

    #[test]
    fn what_is_empty() {
        let empty = [
            json!(null),
            json!(""),
            json!("  \t"),
            json!("Unknown"),
            json!("UNKNOWN "),
            json!("undefined null"),
            json!([]),
            json!([null, ""]),
            json!({}),
            json!({ "a": "" }),
        ];
        for value in empty {
            assert_eq!(verdict("caller_name", value.clone(), json!("")), Verdict::BothEmpty, "{value}");
            assert_eq!(verdict("caller_name", value.clone(), json!("Ann")), Verdict::OnlyRight, "{value}");
            assert_eq!(verdict("caller_name", json!("Ann"), value.clone()), Verdict::OnlyLeft, "{value}");
        }
        for value in [json!(false), json!("false"), json!(0), json!("no"), json!(null), json!("")] {
            assert_eq!(verdict("vip_customer", value.clone(), json!(false)), Verdict::BothEmpty, "{value}");
            assert_eq!(verdict("vip_customer", value.clone(), json!(true)), Verdict::OnlyRight, "{value}");
        }
        assert_eq!(verdict("account_status", json!(false), json!("")), Verdict::OnlyLeft, "false is a value elsewhere");
        assert_eq!(verdict("account_status", json!(0), json!("")), Verdict::OnlyLeft);
        let (nothing, told) = (Told::default(), Told::to_a_flow(br#"{"caller_name":"Ann"}"#).unwrap_or_default());
        assert_eq!(nothing.compare(&told, "caller_name", None), Verdict::OnlyRight, "an absent name is empty");
        assert_eq!(nothing.compare(&nothing, "caller_name", None), Verdict::BothEmpty);
    }

    #[test]
    fn what_is_the_same() {
        let long = "x".repeat(100);
        let same = [
            ("caller_name", json!("Ann Lee"), json!("  ANN   lee")),
            ("caller_name", json!("AT&T \"Ann\""), json!("AT and T 'Ann'")),
            ("caller_name", json!(long), json!(long.get(..80))),
            ("caller_email", json!("Ann@Example.com"), json!("ann@example.com ")),
            ("vip_customer", json!("true"), json!(true)),
            ("vip_customer", json!(1), json!(true)),
            ("vip_customer", json!("Yes"), json!(true)),
            ("account_status", json!(7), json!("7")),
            ("account_status", json!("7.50"), json!("7.5")),
            ("account_status", json!(7.5), json!("7.50")),
            ("last_interaction", json!("2026-11-01T09:30:00.123Z"), json!("2026-11-01T09:30:00Z")),
            ("last_interaction", json!("2026-11-01T10:30:00+01:00"), json!("2026-11-01T09:30:00Z")),
            ("last_interaction", json!("2026-11-01 09:30:00"), json!("2026-11-01T09:30:00Z")),
            ("last_interaction", json!("2026-11-01"), json!("2026-11-01T09:30:00Z")),
            ("last_interaction", json!("1793525400000"), json!("2026-11-01T09:30:00Z")),
            ("last_interaction", json!(1_793_525_400), json!("2026-11-01T09:30:00Z")),
            ("appointments", json!([{ "id": "a" }, { "id": "b" }]), json!([{ "id": "B" }, { "id": "A", "x": "" }])),
            ("appointments", json!([1, null]), json!(["1"])),
        ];
        for (name, left, right) in same {
            assert_eq!(verdict(name, left.clone(), right.clone()), Verdict::Same, "{left} {right}");
            assert_eq!(verdict(name, right.clone(), left.clone()), Verdict::Same, "{right} {left}");
        }
    }

    #[test]
    fn what_differs() {
        let differs = [
            ("caller_name", json!("Ann"), json!("Anna")),
            ("caller_name", json!("Ann"), json!({ "first": "Ann" })),
            ("account_status", json!("007"), json!("7")),
            ("account_status", json!("yes"), json!("true")),
            ("account_status", json!("20261101"), json!("2026-11-01")),
            ("last_interaction", json!("2026-11-01T09:30:00Z"), json!("2026-11-01T09:30:02Z")),
            ("last_interaction", json!("2026-11-01"), json!("2026-11-02T00:00:00Z")),
            ("last_interaction", json!("2026-13-01"), json!("2026-11-01")),
            ("last_interaction", json!("2026-1\u{fc}-01"), json!("2026-11-01")),
            ("appointments", json!([{ "id": "a" }]), json!([{ "id": "a" }, { "id": "a" }])),
            ("appointments", json!([{ "id": "a" }]), json!([{ "id": "a", "title": "x" }])),
            ("appointments", json!(["a", "a"]), json!(["a", "b"])),
        ];
        for (name, left, right) in differs {
            assert_eq!(verdict(name, left.clone(), right.clone()), Verdict::Differs, "{left} {right}");
            assert_eq!(verdict(name, right.clone(), left.clone()), Verdict::Differs, "{right} {left}");
        }
    }

    #[test]
    fn objects_come_apart_and_strange_names_are_one() {
        let text = r#"{"name":"Ann","account_id":"A-1","recent_orders":[],"shoes":"red"}"#;
        let theirs = json!({ "caller_data": text, "payment_info": { "outstanding_balance": "129.5" }, "crm_id": "" });
        let theirs = Told::to_a_flow(theirs.to_string().as_bytes()).unwrap_or_default();
        let names: Vec<_> = theirs.names().collect();
        let expected = [
            "caller_data.account_id",
            "caller_data.name",
            "caller_data.recent_orders",
            "other",
            "payment_info.outstanding_balance",
        ];
        assert_eq!(names, expected);
        assert_eq!(theirs.compare(&Told::default(), OTHER, None), Verdict::OnlyLeft, "shoes");
        let empty = Told::to_a_flow(br#"{"crm_id":"","caller_data":"","payment_info":null}"#).unwrap_or_default();
        assert_eq!(empty.compare(&Told::default(), OTHER, None), Verdict::BothEmpty);
        assert!(
            Told::to_a_flow(b"[]").is_none() && Told::to_a_flow(b"Ann").is_none() && Told::to_a_flow(b"").is_none()
        );
    }

    #[test]
    fn agents_fields_have_dotted_names_and_phones_any_spelling() {
        let told = |phone: &str| {
            let answer =
                json!({ "fields": { "phone": phone, "company": { "name": "Ann's" }, "notes": "n".repeat(90) } });
            Told::to_an_agent(answer.to_string().as_bytes()).unwrap_or_default()
        };
        let (left, right) = (told("(415) 555-0142"), told("+14155550142"));
        assert_eq!(left.names().collect::<Vec<_>>(), ["company.name", "notes", "phone"]);
        assert_eq!(left.compare(&right, "phone", Some("US")), Verdict::Same);
        assert_eq!(left.compare(&told("+14155550143"), "phone", Some("US")), Verdict::Differs);
        assert_eq!(left.compare(&right, "company.name", None), Verdict::Same);
        assert!(Told::to_an_agent(b"{}").is_none());
    }
}
