//! A vendor's answer, read: whatever the bytes, no panic, nothing that was not asked for, nobody who
//! did not prove to be the caller; and what a flow and an agent are shown of it is sound.
//!
//! Input: a line with source, operation and status (`hubspot.company 200`), then the answer's body.

#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use caller_context::config::{Config, Layers, load};
use caller_context::domain::{
    Context, Email, Hit, Identity, NameId, Organization, Outcome, Phone, Reading, Value, canonical,
};
use caller_context::lookup::CacheState;
use caller_context::lookup::merge::{Ended, Facts, Progress};
use caller_context::manifest::plan::Operation;
use caller_context::manifest::reading::{Read, ReadEnv};
use caller_context::view::attributes::{self, Facts as CallFacts};
use caller_context::view::json::{self, Explain};
use caller_context::view::{Ceiling, Policy};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

/// Every vendor's manifest, and operations that read in ways that theirs do not.
const CONFIG: &str = r#"
[phone]
default_region = "US"
[sources.hubspot]
connector = "hubspot"
secret = "env:SECRET"
[sources.salesforce]
connector = "salesforce"
secret = "env:SECRET"
connection.instance_url = "https://example.my.salesforce.com"
[sources.shop]
connector = "http"
base_url = "https://shop.example.com"
auth.none = {}
[sources.shop.lookup.person]
needs = ["phone"]
get = "/p/{phone}"
phones = ["phone", "phones[].number"]
emails = ["email"]
records = "data[]"
rank = ["-seen", "id"]
provides = { own.id = "id", name = "name", email = "email", phone = "phone", vip = "vip", title = "'odd name'.x[0]" }
list.orders = { from = "orders[]", item = { id = "id", description = "what", amount = "amount", date = "date" } }
[sources.shop.lookup.payment]
needs = ["own.id"]
get = "/pay/{own.id}"
provides = { payment.outstanding = "balance", payment.currency = "currency", payment.due_at = "due", notes = "notes", last_contact = { path = "seen", as = "utc" }, account_status = "status", preferred_agent = "agent" }
list.appointments = { from = "appointments[]", item = { id = "id", title = "title", starts_at = "at" } }
"#;

const PHONE: NameId = canonical("phone");
const EMAIL: NameId = canonical("email");

struct Stage {
    config: Config,
    policy: Policy,
    phone: Phone,
    email: Email,
}

static STAGE: LazyLock<Stage> = LazyLock::new(|| {
    let loaded = load(&Layers::text(CONFIG).with("SECRET", "s")).unwrap_or_else(|invalid| panic!("{invalid}"));
    let config = loaded.config;
    let policy = Policy::new(config.plan.clone(), &config.views);
    let phone = Phone::parse("+14155550142", None).expect("a number");
    let email = Email::parse("ada.byron@example.com").expect("an address");
    Stage { config, policy, phone, email }
});

fuzz_target!(|data: &[u8]| {
    let mut lines = data.splitn(2, |byte| *byte == b'\n');
    let (line, body) = (String::from_utf8_lossy(lines.next().unwrap_or_default()), lines.next().unwrap_or_default());
    let (name, status) = line.split_once(' ').unwrap_or((&line, "200"));
    let plan = &STAGE.config.plan;
    let is_named = |o: &&Operation| name == format!("{}.{}", plan.source(o.source).name, o.name);
    // an unknown name is as good as any
    let place = plan.operations.iter().position(|o| is_named(&o)).unwrap_or(line.len() % plan.operations.len());
    let operation = &plan.operations[place];
    let status = status.parse().ok().and_then(|status| http::StatusCode::from_u16(status).ok());
    let status = status.unwrap_or(http::StatusCode::OK);
    let class = operation.errors.classify(status, body);
    assert_eq!(class, operation.errors.classify(status, body));
    let Ok(read) = read(operation, body) else { return };
    assert!(std::str::from_utf8(body).is_ok(), "what is no text cannot be read");
    sound(operation, &read);
    let again = self::read(operation, body).expect("it was read before");
    assert!(read.found == again.found && same(&read.reading, &again.reading), "read differently");
    if read.found {
        shown(place, read.reading);
    }
});

fn identity(operation: &Operation) -> Identity {
    match operation.inputs.contains(&EMAIL) && !operation.inputs.contains(&PHONE) {
        true => Identity::Email(STAGE.email.clone()),
        false => Identity::Phone(STAGE.phone.clone()),
    }
}

fn read(operation: &Operation, body: &[u8]) -> Result<Read, caller_context::manifest::reading::Unreadable> {
    let values = [(PHONE, Value::Phone(STAGE.phone.clone())), (EMAIL, Value::Email(STAGE.email.clone()))];
    operation.record.read(
        body,
        &ReadEnv {
            identity: &identity(operation),
            get: &|name| values.iter().find(|(known, _)| *known == name).map(|(_, value)| value),
            source: STAGE.config.plan.source(operation.source),
            tables: &|_, _| None,
            never: &STAGE.config.plan.never,
        },
    )
}

fn same(a: &Reading, b: &Reading) -> bool {
    let hits = |a: &Hit, b: &Hit| a.values == b.values && a.phones == b.phones && a.emails == b.emails;
    a.values == b.values
        && a.ambiguous == b.ambiguous
        && a.unreadable_fields == b.unreadable_fields
        && a.hits.len() == b.hits.len()
        && a.hits.iter().zip(&b.hits).all(|(a, b)| hits(a, b))
}

fn sound(operation: &Operation, read: &Read) {
    let reading = &read.reading;
    let all = reading.values.iter().chain(reading.hits.iter().flat_map(|hit| &hit.values));
    for (name, value) in all {
        assert!(operation.provides.contains(name), "a value that was not asked for");
        assert!(!value.is_missing(), "nothing, kept as something");
        if let Value::List(list) = value {
            assert!(list.len() <= 20, "{} entries", list.len());
        }
    }
    assert!(reading.hits.len() <= 50, "{} people", reading.hits.len());
    assert!(read.found || reading.hits.is_empty() && reading.values.is_empty(), "of nobody");
    if operation.identifying() && operation.name.contains("phone") {
        let proves = |hit: &Hit| {
            let by_phone = hit.phones.iter().any(|phone| STAGE.phone.same_subscriber(phone).is_some());
            by_phone || hit.emails.contains(&STAGE.email)
        };
        assert!(reading.hits.iter().all(proves), "a stranger");
        assert!(!read.found || !reading.hits.is_empty(), "found, and nobody proved it");
    }
}

/// Through the merge and every view to bytes.
fn shown(place: usize, reading: Reading) {
    let Stage { config, policy, .. } = &*STAGE;
    let mut progress = vec![Progress::Pending; config.plan.operations.len()];
    let outcome = Outcome::Found(Arc::new(reading));
    let read_at = Timestamp::UNIX_EPOCH;
    let took = Some(Duration::from_millis(1));
    progress[place] = Progress::Ended(Ended { outcome, read_at, stale: false, started: took, took });
    let merged = Facts { plan: &config.plan, merge: &config.merge, progress: &progress }.merged();
    let context = Context {
        revision: 1,
        organization: Organization::single(),
        identity: Identity::Phone(STAGE.phone.clone()),
        status: merged.status,
        verdict: merged.verdict,
        candidates: merged.candidates,
        fields: merged.fields,
        ids: merged.ids,
        sources: merged.sources,
        assembled_at: read_at,
    };
    for view in ["studio", "basic", "admin"] {
        for ceiling in [Ceiling::Whole, Ceiling::Public] {
            let lens = policy.lens(policy.find(view), ceiling);
            let facts = CallFacts { caller_id_status: "ok", may_greet: true, call_burst: false };
            let flat = attributes::render(&context, lens, policy.plan(), facts, &config.studio);
            assert!(flat.bytes.len() <= config.studio.max_chars, "{} bytes", flat.bytes.len());
            let flat: serde_json::Value = serde_json::from_slice(&flat.bytes).expect("JSON");
            let members = flat.as_object().expect("an object");
            members.iter().filter(|(name, _)| *name != "caller_data").for_each(|(_, value)| safe(value));
            let panel = members["caller_data"].as_str().expect("a text");
            safe(&serde_json::from_str(panel).expect("JSON"));

            let explain = Some(Explain { now: read_at, cache: CacheState::Miss });
            let whole = json::render(&context, lens, policy.plan(), "ok", explain);
            let _: serde_json::Value = serde_json::from_slice(&whole.bytes).expect("JSON");
        }
    }
}

/// Every text stands in a flow without being read as anything.
fn safe(value: &serde_json::Value) {
    match value {
        serde_json::Value::String(text) => {
            let odd = |c: char| c.is_control() || "\"\\<>&{}".contains(c) || ('\u{202a}'..='\u{202e}').contains(&c);
            assert!(!text.contains(odd), "{text:?}");
            assert!(text.chars().count() <= 254 || text.contains(':'), "{} letters", text.len());
        }
        serde_json::Value::Array(items) => items.iter().for_each(safe),
        serde_json::Value::Object(members) => members.values().for_each(safe),
        _ => {}
    }
}
