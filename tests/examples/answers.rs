//! The gateway's answers, made by its own rendering from contexts made here.

use std::sync::LazyLock;

use caller_context::config::{Loaded, load_str};
use caller_context::domain::context::Field;
use caller_context::domain::{
    Context, Failure, Identity, LookupStatus, Match, NameId, Organization, Phone, SourceId, SourceReport, SourceState,
    Value, canonical,
};
use caller_context::view::attributes::{Facts, render, without_context};
use caller_context::view::{Ceiling, Policy};
use jiff::Timestamp;
use serde_json::Value as Json;

/// The built-in configuration, with one source for the contexts to come from.
const CONFIG: &str = r#"
[sources.customers]
connector = "sqlite"
url       = "sqlite:customers.db"

[sources.customers.lookup.customer]
needs    = ["phone"]
sql      = "SELECT name, phone FROM customers WHERE phone IN (:phones) LIMIT 5"
phones   = ["phone"]
provides = { name = "name" }
"#;

static GATEWAY: LazyLock<(Loaded, Policy)> = LazyLock::new(|| {
    let loaded = load_str(CONFIG).unwrap_or_else(|invalid| panic!("{invalid}"));
    let policy = Policy::new(loaded.config.plan.clone(), &loaded.config.views);
    (loaded, policy)
});

fn now() -> Timestamp {
    "2030-01-02T03:04:05Z".parse().unwrap()
}

fn context(status: LookupStatus, state: SourceState, mut values: Vec<(NameId, Value)>) -> Context {
    values.sort_by_key(|(name, _)| *name);
    let source = SourceId(0);
    let verdict = if values.is_empty() { Match::None } else { Match::Unique };
    let field = |(name, value)| Field { name, value, source, read_at: now(), default: false, conflicts: Vec::new() };
    let report = SourceReport { source, state, read_at: Some(now()), took: None, stale: false, operations: Vec::new() };
    Context {
        revision: 1,
        organization: Organization::single(),
        identity: Identity::Phone(Phone::parse("+14155550142", None).unwrap()),
        status,
        verdict,
        candidates: Vec::new(),
        fields: values.into_iter().map(field).collect(),
        ids: Vec::new(),
        sources: vec![report],
        assembled_at: now(),
    }
}

fn answer(context: &Context, may_greet: bool) -> Json {
    let (loaded, policy) = &*GATEWAY;
    let studio = &loaded.config.studio;
    let lens = policy.lens(policy.find(&studio.view), Ceiling::Whole);
    let rendered =
        render(context, lens, policy.plan(), Facts { caller_id_status: "ok", may_greet, call_burst: false }, studio);
    serde_json::from_slice(&rendered.bytes).unwrap()
}

/// Somebody whose every text is `text`.
fn person(text: &str, orders: usize) -> Vec<(NameId, Value)> {
    let record = |members: &[(&str, &str)]| {
        Value::Record(members.iter().map(|(name, text)| ((*name).into(), Value::text(text))).collect())
    };
    let order = record(&[("id", text), ("description", text), ("date", "2030-01-01")]);
    let appointment = record(&[("id", text), ("title", text), ("starts_at", "2030-02-01T10:00:00Z")]);
    vec![
        (canonical("name"), Value::text(text)),
        (canonical("email"), Value::text(text)),
        (canonical("account_id"), Value::text(text)),
        (canonical("account_status"), Value::text(text)),
        (canonical("preferred_agent"), Value::text(text)),
        (canonical("last_contact"), Value::Time(now())),
        (canonical("vip"), Value::Bool(true)),
        (canonical("orders"), Value::List(vec![order; orders].into())),
        (canonical("appointments"), Value::List([appointment].into())),
        (canonical("payment.outstanding"), Value::Decimal("12.50".parse().unwrap())),
    ]
}

pub fn named(text: &str) -> Json {
    answer(&context(LookupStatus::Complete, SourceState::Found, person(text, 2)), true)
}

/// Known, but the call's attestation failed.
pub fn not_to_be_greeted() -> Json {
    answer(&context(LookupStatus::Complete, SourceState::Found, person("Ann Lee", 2)), false)
}

/// As much as an answer may hold, in the shape that needs most escapes: a long name and many
/// short orders.
pub fn largest() -> Json {
    let mut values = person("X", 10);
    values[0].1 = Value::text("N".repeat(200));
    answer(&context(LookupStatus::Complete, SourceState::Found, values), true)
}

pub fn nobody_found() -> Json {
    answer(&context(LookupStatus::Complete, SourceState::NotFound, Vec::new()), true)
}

pub fn all_failed() -> Json {
    answer(&context(LookupStatus::Failed, SourceState::Failed(Failure::Timeout), Vec::new()), true)
}

fn no_lookup(caller_id: &'static str, status: LookupStatus, reason: &str, phone: Option<&str>) -> Json {
    serde_json::from_slice(&without_context(caller_id, status, reason, phone, now())).unwrap()
}

/// There was no number to look up.
pub fn withheld() -> Json {
    no_lookup("withheld", LookupStatus::None, "withheld", None)
}

/// The gateway could not look anything up.
pub fn minimal() -> Json {
    no_lookup("ok", LookupStatus::Failed, "unreachable", Some("+14155550142"))
}

/// One of each kind.
pub fn kinds() -> Vec<Json> {
    vec![named("Ann Lee"), not_to_be_greeted(), largest(), nobody_found(), all_failed(), withheld(), minimal()]
}
