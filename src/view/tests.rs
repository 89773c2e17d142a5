//! What each view shows of the same context.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::Value as Json;

use super::attributes::{self, Facts, PAYMENT};
use super::compare::{FLOW, OTHER, Told, Verdict};
use super::{Ceiling, Policy, Rendered, json};
use crate::config::{self, load_str};
use crate::domain::context::{Candidate, Field, OperationReport};
use crate::domain::{
    Context, CustomerId, Email, Failure, Identity, LookupStatus, Match, NameId, Organization, Skip, SourceId,
    SourceReport, SourceState, Value,
};
use crate::lookup::CacheState;

const CONFIG: &str = r#"
[fields]
loyalty = { type = "text", class = "personal" }
mystery = { type = "text" }

[never]
names = ["shoe size"]

[views.masked]
extends = "advanced"
mask    = { email = "email", account_id = "last_four", "payment.method" = "full" }

[sources.crm]
connector = "http"
base_url  = "https://crm.example"
auth.none = {}

[sources.crm.lookup.person]
needs   = ["phone"]
get     = "/people"
query.phone = "{phone}"
records = "people"
phones  = ["phone"]

[sources.crm.lookup.person.provides]
name            = "name"
email           = "email"
account_id      = "account"
account_status  = "status"
vip             = "vip"
preferred_agent = "agent"
company.name    = "company"
customer_id     = "id"
loyalty         = "loyalty"
mystery         = "mystery"
last_contact    = { path = "seen", as = "utc" }
notes           = "notes"

[sources.crm.lookup.orders]
needs   = ["customer_id"]
get     = "/people/{customer_id}/orders"
records = "data"
list.orders = { item = { id = "id", description = "text", date = { path = "day", as = "date" } } }

[sources.payments]
connector = "http"
base_url  = "https://pay.example"
auth.none = {}

[sources.payments.lookup.status]
needs = ["customer_id"]
get   = "/customer/{customer_id}"

[sources.payments.lookup.status.provides]
payment.outstanding = "owed"
payment.currency    = "currency"
payment.method      = "method"

[sources.calendar]
connector = "http"
base_url  = "https://cal.example"
auth.none = {}

[sources.calendar.lookup.upcoming]
needs   = ["customer_id"]
get     = "/appointments/{customer_id}"
records = "data"
list.appointments = { item = { id = "id", title = "title", starts_at = "starts_at" } }
"#;

struct World {
    policy: Policy,
    studio: config::Studio,
}

impl World {
    fn new() -> Self {
        let config = match load_str(CONFIG) {
            Ok(loaded) => loaded.config,
            Err(invalid) => panic!("{invalid}"),
        };
        Self { policy: Policy::new(config.plan.clone(), &config.views), studio: config.studio }
    }

    fn name(&self, text: &str) -> NameId {
        self.policy.plan().names.get(text).unwrap_or_else(|| panic!("no field {text}"))
    }

    fn source(&self, text: &str) -> SourceId {
        let plan = self.policy.plan();
        plan.source_ids().find(|id| &*plan.source(*id).name == text).unwrap_or_else(|| panic!("no source {text}"))
    }

    fn field(&self, source: &str, name: &str, value: Value) -> Field {
        let read_at = "2026-03-01T09:00:00Z".parse().unwrap_or(Timestamp::UNIX_EPOCH);
        let conflicts = Vec::new();
        Field { name: self.name(name), value, source: self.source(source), read_at, default: false, conflicts }
    }

    /// Somebody known everywhere; each value is a canary that names its field.
    fn known(&self) -> Context {
        let text = |name: &str| Value::text(format!("canary {name}"));
        let record = |members: &[(&str, Value)]| {
            Value::Record(members.iter().map(|(name, value)| (Arc::from(*name), value.clone())).collect())
        };
        let order = |n: u8| {
            let members = [
                ("id", Value::text(format!("o{n}"))),
                ("description", text("orders")),
                ("date", Value::Date(jiff::civil::date(2026, 1, 1).saturating_add(jiff::Span::new().days(n)))),
                ("shoe-size", text("never")),
            ];
            record(&members)
        };
        let appointment = |n: u8| record(&[("id", Value::text(format!("a{n}"))), ("title", text("appointments"))]);
        let mut fields = vec![
            self.field("crm", "name", text("name")),
            self.field("crm", "email", Email::parse("canary-email@example.com").map_or(text("email"), Value::Email)),
            self.field("crm", "account_id", text("account_id")),
            self.field("crm", "account_status", text("account_status")),
            self.field("crm", "vip", Value::Bool(true)),
            self.field("crm", "preferred_agent", Value::text("canary-agent")),
            self.field("crm", "company.name", text("company")),
            self.field("crm", "loyalty", text("loyalty")),
            self.field("crm", "mystery", text("mystery")),
            self.field("crm", "last_contact", Value::Time(Timestamp::UNIX_EPOCH)),
            self.field("crm", "notes", text("notes")),
            self.field("crm", "orders", Value::List((1..4).map(order).collect())),
            self.field("payments", "payment.outstanding", Value::Decimal("12.30".parse().unwrap_or_default())),
            self.field("payments", "payment.currency", Value::text("EUR")),
            self.field("payments", "payment.method", text("method")),
            self.field("calendar", "appointments", Value::List((1..4).map(appointment).collect())),
        ];
        fields.sort_by_key(|f| f.name);
        let sources = vec![
            self.report("crm", &[("person", SourceState::Found), ("orders", SourceState::Found)]),
            self.report("payments", &[("status", SourceState::Found)]),
            self.report("calendar", &[("upcoming", SourceState::Found)]),
        ];
        self.context(fields, sources, LookupStatus::Complete, Match::Unique)
    }

    fn context(
        &self,
        fields: Vec<Field>,
        mut sources: Vec<SourceReport>,
        status: LookupStatus,
        verdict: Match,
    ) -> Context {
        sources.sort_by_key(|r| r.source);
        Context {
            revision: 1,
            organization: Organization::single(),
            identity: Identity::CustomerId(CustomerId("42".into())),
            status,
            verdict,
            candidates: Vec::new(),
            fields,
            ids: Vec::new(),
            sources,
            assembled_at: "2026-03-01T09:00:01Z".parse().unwrap_or(Timestamp::UNIX_EPOCH),
        }
    }

    fn report(&self, source: &str, operations: &[(&str, SourceState)]) -> SourceReport {
        let states: Vec<_> = operations.iter().map(|(_, state)| state.clone()).collect();
        SourceReport {
            source: self.source(source),
            state: crate::lookup::merge::summary(&states).unwrap_or(SourceState::NotFound),
            read_at: None,
            took: Some(Duration::from_millis(3)),
            stale: false,
            operations: operations
                .iter()
                .map(|(name, state)| OperationReport {
                    name: (*name).into(),
                    state: state.clone(),
                    started: Some(Duration::ZERO),
                    took: Some(Duration::from_millis(3)),
                })
                .collect(),
        }
    }

    fn agent(&self, context: &Context, view: &str) -> Rendered {
        let lens = self.policy.lens(self.policy.find(view), Ceiling::Whole);
        json::render(context, lens, self.policy.plan(), "ok", None)
    }

    fn explained(&self, context: &Context, view: &str) -> Json {
        let lens = self.policy.lens(self.policy.find(view), Ceiling::Whole);
        let explain = json::Explain { now: context.assembled_at, cache: CacheState::Hit };
        parsed(&json::render(context, lens, self.policy.plan(), "ok", Some(explain)))
    }

    fn studio(&self, context: &Context, ceiling: Ceiling) -> Rendered {
        let lens = self.policy.lens(self.policy.find("studio"), ceiling);
        let facts = Facts { caller_id_status: "ok", may_greet: ceiling == Ceiling::Whole, call_burst: false };
        attributes::render(context, lens, self.policy.plan(), facts, &self.studio)
    }
}

fn parsed(rendered: &Rendered) -> Json {
    match serde_json::from_slice(&rendered.bytes) {
        Ok(json) => json,
        Err(error) => panic!("{error}: {:?}", rendered.bytes),
    }
}

fn text(rendered: &Rendered) -> String {
    String::from_utf8_lossy(&rendered.bytes).into_owned()
}

/// The canaries that stand in the bytes.
fn canaries(rendered: &Rendered) -> Vec<&'static str> {
    let all = [
        "canary name",
        "canary-email",
        "canary account_id",
        "canary account_status",
        "canary-agent",
        "canary company",
        "canary loyalty",
        "canary mystery",
        "canary notes",
        "canary orders",
        "canary never",
        "12.30",
        "canary method",
        "canary appointments",
    ];
    let text = text(rendered);
    all.into_iter().filter(|canary| text.contains(canary)).collect()
}

#[test]
fn each_view_shows_its_own_and_nothing_more() {
    let world = World::new();
    let context = world.known();
    let basic = ["canary name", "canary-email"];
    let advanced = [
        "canary name",
        "canary-email",
        "canary account_id",
        "canary account_status",
        "canary-agent",
        "canary company",
        "canary loyalty",
        "canary orders",
        "12.30",
        "canary method",
        "canary appointments",
    ];
    assert_eq!(canaries(&world.agent(&context, "basic")), basic);
    assert_eq!(canaries(&world.agent(&context, "advanced")), advanced);
    let mut admin = advanced.to_vec();
    admin.insert(7, "canary notes");
    assert_eq!(canaries(&world.agent(&context, "admin")), admin);
    assert_eq!(canaries(&world.agent(&context, "published-advanced")), ["canary name", "canary-email", "12.30"]);
}

#[test]
fn unknown_views_are_basic_whatever_they_are_called() {
    let world = World::new();
    let context = world.known();
    for name in ["constructor", "__proto__", "toString", "", "Admin", "admin ", "nobody"] {
        assert_eq!(world.agent(&context, name).bytes, world.agent(&context, "basic").bytes, "{name:?}");
    }
}

#[test]
fn masks_leave_what_they_say() {
    let world = World::new();
    let json = parsed(&world.agent(&world.known(), "masked"));
    assert_eq!(json["fields"]["email"], "c***@example.com");
    assert_eq!(json["fields"]["account_id"], "***t_id");
    assert_eq!(json["fields"]["payment"]["method"], "***");
    assert_eq!(json["fields"]["payment"]["currency"], "EUR");
}

#[test]
fn fields_are_nested_and_money_is_exact() {
    let world = World::new();
    let rendered = world.agent(&world.known(), "advanced");
    let json = parsed(&rendered);
    assert_eq!(json["fields"]["company"]["name"], "canary company");
    assert!(text(&rendered).contains(r#""outstanding":12.30"#), "{}", text(&rendered));
    assert_eq!(json["sources"]["payments"]["status"], "found");
    assert_eq!(json["match"], "unique");
    assert_eq!(json["lookup_timestamp"], "2026-03-01T09:00:01.000Z");
}

#[test]
fn a_delivery_names_what_the_bytes_hold() {
    let world = World::new();
    let rendered = world.agent(&world.known(), "basic");
    let names = |list: &[Arc<str>]| list.iter().map(|n| n.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&rendered.fields), ["name", "email"]);
    assert_eq!(names(&rendered.sources), ["crm"]);
    let studio = world.studio(&world.known(), Ceiling::Whole);
    assert_eq!(names(&studio.sources), ["crm", "payments", "calendar"]);
    assert!(!names(&studio.fields).contains(&"notes".to_owned()));
}

/// Two people whom a small role must not be able to tell apart.
#[test]
fn people_who_differ_only_in_hidden_fields_look_the_same() {
    let world = World::new();
    let rich = world.known();
    let visible = |f: &Field| [world.name("name"), world.name("email")].contains(&f.name);
    let fields: Vec<_> = rich.fields.iter().filter(|f| visible(f)).cloned().collect();
    let needs = || SourceState::Skipped(Skip::Needs("customer_id".into()));
    let ends = [
        (needs(), LookupStatus::Complete),
        (SourceState::NotFound, LookupStatus::Complete),
        (SourceState::Failed(Failure::Timeout), LookupStatus::Partial),
    ];
    for (end, status) in ends {
        let sources = vec![
            world.report("crm", &[("person", SourceState::Found), ("orders", end.clone())]),
            world.report("payments", &[("status", end.clone())]),
            world.report("calendar", &[("upcoming", end)]),
        ];
        let poor = world.context(fields.clone(), sources, status, Match::Unique);
        assert_eq!(text(&world.agent(&poor, "basic")), text(&world.agent(&rich, "basic")));
        assert_ne!(world.agent(&poor, "advanced").bytes, world.agent(&rich, "advanced").bytes);
    }
    let json = parsed(&world.agent(&rich, "basic"));
    assert_eq!(json["sources"], serde_json::json!({"crm": {"status": "found"}, "withheld": {"status": "withheld"}}));
}

#[test]
fn explain_says_where_values_come_from_and_names_the_unclassified_without_values() {
    let world = World::new();
    let mut context = world.known();
    for field in &mut context.fields {
        if field.name == world.name("name") {
            field.conflicts = vec![(world.source("payments"), Value::text("Another Name"))];
        }
    }
    let json = world.explained(&context, "admin");
    assert_eq!(json["unclassified"], serde_json::json!(["mystery"]));
    let name = &json["provenance"]["name"];
    assert_eq!(name["source"], "crm");
    assert_eq!(name["age_ms"], 1_000);
    assert_eq!(name["conflicts"], serde_json::json!([{"source": "payments", "value": "Another Name"}]));
    assert_eq!(json["sources"]["crm"]["operations"][1]["name"], "orders");
    assert_eq!(json["cache"], "hit");
}

#[test]
fn candidates_are_seen_through_the_view() {
    let world = World::new();
    let mut context = world.context(Vec::new(), Vec::new(), LookupStatus::Complete, Match::Ambiguous);
    let values = vec![
        (world.name("name"), Value::text("canary name")),
        (world.name("account_id"), Value::text("canary account_id")),
    ];
    context.candidates = vec![Candidate { source: world.source("crm"), values }];
    let rendered = world.agent(&context, "basic");
    assert_eq!(parsed(&rendered)["candidates"], serde_json::json!([{"source": "crm", "name": "canary name"}]));
    assert_eq!(rendered.fields.iter().map(|f| &**f).collect::<Vec<_>>(), ["name"]);
}

#[test]
fn studio_attributes_of_a_known_caller() {
    let world = World::new();
    let json = parsed(&world.studio(&world.known(), Ceiling::Whole));
    let expected = [
        ("caller_name", "canary name"),
        ("caller_email", "canary-email@example.com"),
        ("account_status", "canary account_status"),
        ("last_interaction", "1970-01-01T00:00:00Z"),
        ("preferred_agent", "canary-agent"),
        ("missing", ""),
        ("lookup_status", "complete"),
        ("lookup_timestamp", "2026-03-01T09:00:01.000Z"),
        ("caller_id_status", "ok"),
        ("match", "unique"),
    ];
    for (name, value) in expected {
        assert_eq!(json[name], value, "{name}");
    }
    assert_eq!(json["vip_customer"], true);
    assert_eq!(json["greet_by_name"], true);
    assert_eq!(
        json["payment_info"]["outstanding_balance"].to_string(),
        "12.30".parse::<f64>().map_or(String::new(), |f| f.to_string())
    );
    assert_eq!(json["payment_info"]["currency"], "EUR");
    assert_eq!(json["appointments"][0]["id"], "a1");
    assert!(json.get("phone_number").is_none() && json.get("timestamp").is_none());
    let panel: Json = serde_json::from_str(json["caller_data"].as_str().unwrap_or_default()).unwrap_or_default();
    let keys: Vec<_> = panel.as_object().map(|o| o.keys().cloned().collect()).unwrap_or_default();
    assert_eq!(keys, ["name", "account_id", "status", "last_contact", "recent_orders"]);
    let order = serde_json::json!({"id": "o3", "description": "canary orders", "date": "2026-01-04"});
    assert_eq!(panel["recent_orders"][0], order);
}

#[test]
fn every_attribute_has_its_place_in_a_comparison() {
    let world = World::new();
    let whole = world.studio(&world.known(), Ceiling::Whole).bytes;
    let (never, number) = (Timestamp::UNIX_EPOCH, Some("+14155550142"));
    let nothing = attributes::without_context("ok", LookupStatus::Failed, "unreachable", number, never);
    let [whole, nothing] = [whole, nothing].map(|bytes| Told::to_a_flow(&bytes).unwrap_or_default());
    for told in [&whole, &nothing] {
        assert!(told.get(OTHER).is_none(), "{:?}", told.names().collect::<Vec<_>>());
    }
    for name in FLOW {
        let (itself, other) = (whole.compare(&whole, name, None), whole.compare(&nothing, name, None));
        assert!(matches!(itself, Verdict::Same | Verdict::BothEmpty), "{name}");
        assert!(matches!(other, Verdict::OnlyLeft | Verdict::BothEmpty), "{name}");
        assert_eq!(itself == Verdict::BothEmpty, other == Verdict::BothEmpty, "{name}");
    }
    for (_, member) in PAYMENT {
        assert!(FLOW.contains(&format!("payment_info.{member}").as_str()), "{member}");
    }
}

#[test]
fn what_is_missing_says_why() {
    let world = World::new();
    let found = || ("person", SourceState::Found);
    let timeout = || SourceState::Failed(Failure::Timeout);
    let cases = [
        (vec![found()], vec![("status", timeout())], Match::Unique, "vip_customer:not_found", "payment_info:timeout"),
        (
            vec![("person", timeout())],
            vec![("status", SourceState::Skipped(Skip::Needs("customer_id".into())))],
            Match::None,
            "vip_customer:timeout",
            "payment_info:needs_customer_id",
        ),
        (
            vec![("person", SourceState::Pending)],
            vec![("status", SourceState::Skipped(Skip::Tripped))],
            Match::None,
            "vip_customer:pending",
            "payment_info:tripped",
        ),
        (
            vec![found()],
            vec![("status", SourceState::Skipped(Skip::Needs("customer_id".into())))],
            Match::Ambiguous,
            "vip_customer:ambiguous",
            "payment_info:ambiguous",
        ),
        (vec![found()], vec![], Match::SharedLine, "vip_customer:ambiguous", "payment_info:not_connected"),
    ];
    for (crm, payments, verdict, vip, payment) in cases {
        let mut sources = vec![world.report("crm", &crm)];
        if !payments.is_empty() {
            sources.push(world.report("payments", &payments));
        }
        let context = world.context(Vec::new(), sources, LookupStatus::Partial, verdict);
        let json = parsed(&world.studio(&context, Ceiling::Whole));
        let missing: Vec<_> = json["missing"].as_str().unwrap_or_default().split(',').collect();
        assert!(missing.contains(&vip), "{missing:?} {vip}");
        assert!(missing.contains(&payment), "{missing:?} {payment}");
        assert_eq!(json["vip_customer"], false);
        assert_eq!(json["caller_name"], "Unknown");
        assert_eq!(json["payment_info"], Json::Null);
        assert_eq!(json["appointments"], serde_json::json!([]));
        assert_eq!(json["greet_by_name"], false);
    }
}

#[test]
fn a_doubtful_call_shows_public_fields_only() {
    let world = World::new();
    let rendered = world.studio(&world.known(), Ceiling::Public);
    assert_eq!(canaries(&rendered), ["canary-agent"]);
    let json = parsed(&rendered);
    assert_eq!(json["greet_by_name"], false);
    assert_eq!(json["caller_name"], "Unknown");
    assert_eq!(json["vip_customer"], false);
    let missing = json["missing"].as_str().unwrap_or_default();
    assert!(missing.starts_with("caller_name:trust,"), "{missing}");
}

#[test]
fn a_failed_lookup_has_the_number_and_the_time() {
    let world = World::new();
    let sources = vec![world.report("crm", &[("person", SourceState::Failed(Failure::Unreachable))])];
    let mut context = world.context(Vec::new(), sources, LookupStatus::Failed, Match::None);
    let Some(phone) = crate::domain::Phone::parse("+14155550142", None) else { panic!("a possible number") };
    context.identity = Identity::Phone(phone);
    let json = parsed(&world.studio(&context, Ceiling::Whole));
    assert_eq!(json["lookup_status"], "failed");
    assert_eq!(json["phone_number"], "+14155550142");
    assert_eq!(json["timestamp"], "2026-03-01T09:00:01.000Z");
}

#[test]
fn without_a_context_all_six_are_there() {
    let now = Timestamp::UNIX_EPOCH;
    let bytes = attributes::without_context("withheld", LookupStatus::None, "withheld", None, now);
    let json: Json = serde_json::from_slice(&bytes).unwrap_or_default();
    assert_eq!(json["caller_name"], "Unknown");
    assert_eq!(json["vip_customer"], false);
    for name in ["caller_email", "account_status", "last_interaction", "preferred_agent"] {
        assert_eq!(json[name], "", "{name}");
    }
    assert_eq!(json["match"], "withheld");
    assert!(json["missing"].as_str().unwrap_or_default().contains("vip_customer:withheld"));
    assert!(serde_json::from_str::<Json>(json["caller_data"].as_str().unwrap_or_default()).is_ok());
}

#[test]
fn budgets_hold_and_json_is_never_cut() {
    let mut world = World::new();
    let long = "long words and many of them ".repeat(400);
    let record = |n: usize| {
        let members = ["id", "description", "title", "date", "starts_at", "status"];
        Value::Record(members.iter().map(|m| (Arc::from(*m), Value::text(format!("{n} {long}")))).collect())
    };
    let mut context = world.known();
    for field in &mut context.fields {
        field.value = match &field.value {
            Value::Text(_) => Value::text(&long),
            Value::List(_) => Value::List((0..30).map(record).collect()),
            other => other.clone(),
        };
    }
    for (whole, panel) in [(4_096, 700), (2_000, 300), (1_100, 120), (900, 90)] {
        (world.studio.max_chars, world.studio.caller_data_max_chars) = (whole, panel);
        let rendered = world.studio(&context, Ceiling::Whole);
        let json = parsed(&rendered);
        let caller_data = json["caller_data"].as_str().unwrap_or_default();
        assert!(text(&rendered).chars().count() <= whole, "{whole}: {}", rendered.bytes.len());
        assert!(caller_data.chars().count() <= panel, "{panel}: {caller_data}");
        assert!(serde_json::from_str::<Json>(caller_data).is_ok(), "{caller_data}");
        if json["appointments"].as_array().is_some_and(|a| a.len() < 10) {
            assert!(json["missing"].as_str().unwrap_or_default().contains("appointments:budget"));
        }
    }
}

/// Every text of the answer that a flow may insert as it is.
fn spoken<'a>(json: &'a Json, out: &mut Vec<&'a str>) {
    match json {
        Json::String(text) => out.push(text),
        Json::Array(list) => list.iter().for_each(|v| spoken(v, out)),
        Json::Object(members) => {
            members.iter().filter(|(name, _)| *name != "caller_data").for_each(|(_, v)| spoken(v, out));
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_a_source_says_the_attributes_are_safe(hostile in prop_oneof![
        any::<String>(),
        "[\"\\\\<>&{}%\u{202E}\u{0}\u{A}a-z ]{0,200}",
    ]) {
        let world = World::new();
        let mut context = world.known();
        for field in &mut context.fields {
            field.value = match &field.value {
                Value::Text(_) => Value::text(&hostile),
                Value::List(_) => Value::List([Value::Record(
                    ["id", "description", "title", "status", "date"].iter().map(|m| (Arc::from(*m), Value::text(&hostile))).collect(),
                )].into()),
                other => other.clone(),
            };
        }
        let rendered = world.studio(&context, Ceiling::Whole);
        let json = parsed(&rendered);
        let mut texts = Vec::new();
        spoken(&json, &mut texts);
        let panel: Json = serde_json::from_str(json["caller_data"].as_str().unwrap_or_default()).unwrap_or_default();
        prop_assert!(panel.is_object());
        spoken(&panel, &mut texts);
        for text in texts {
            let refused = text.contains(['"', '\\', '<', '>', '&', '{', '}', '\n', '\r']);
            prop_assert!(!refused, "{}", text);
            prop_assert!(!text.chars().any(char::is_control));
            let turned = text.chars().any(|c| matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}'));
            prop_assert!(!turned);
        }
        prop_assert!(rendered.bytes.len() <= world.studio.max_chars);
    }
}
