//! Bad days of the sources: the answer still comes, says what it does not know and why.

use std::time::Duration;

use caller_context::cli::demo::Setup;
use caller_context::demo::faults::{Fault, Setting};
use caller_context::demo::{Vendor, world};
use serde_json::json;

use crate::support::{World, state_of, until};

/// Own timeouts short enough for a test; answers wait longer than any of them.
/// Sources get no longer than `timeout`; long enough that a healthy one on a busy machine has it.
fn impatient(timeout: &str) -> Setup {
    let mut overrides = vec![("lookup.deadline", "8s".to_owned())];
    for key in [
        "sources.crm.timeout",
        "sources.salesforce.timeout",
        "sources.payments.timeout",
        "sources.appointments.timeout",
        "sources.inventory.timeout",
    ] {
        overrides.push((key, timeout.into()));
    }
    Setup { overrides, ..Setup::default() }
}

#[tokio::test]
async fn every_fault_has_its_reason_and_costs_only_its_own_source() {
    let world = World::with(impatient("2s")).await;
    for (fault, status, reason) in [
        (Fault::Hang, "failed", "timeout"),
        (Fault::Drip, "failed", "timeout"),
        (Fault::Reset, "failed", "unreachable"),
        (Fault::Half, "failed", "unreachable"),
        (Fault::Status(500), "failed", "unreachable"),
        (Fault::Status(503), "failed", "unreachable"),
        (Fault::Status(401), "failed", "rejected"),
        (Fault::Garbage, "failed", "unreadable"),
        (Fault::Html, "failed", "unreadable"),
        (Fault::Big, "failed", "unreadable"),
        (Fault::GzipBomb, "failed", "unreadable"),
        (Fault::Deep, "failed", "unreadable"),
    ] {
        // each with a gateway of its own: a breaker must not speak for the fault
        let world = World::with(impatient("2s")).await;
        world.ill(Vendor::Hubspot, fault);
        let answer = world.context("demo-admin", json!({ "phone": world::EVERYWHERE })).await;
        assert_eq!(state_of(&answer, "crm"), (status.into(), reason.into()), "{}: {answer}", fault.as_str());
        assert_eq!(answer["lookup_status"], "partial", "{}", fault.as_str());
        assert!(answer["fields"]["name"].is_string(), "the others say who it is");
        assert_eq!(state_of(&answer, "payments").0, "found", "its customer_id came from another source");
    }
    world.ill(Vendor::Payments, Fault::Status(429));
    let answer = world.context("demo-admin", json!({ "phone": world::EVERYWHERE })).await;
    assert_eq!(state_of(&answer, "payments"), ("failed".into(), "limited".into()));
    assert_eq!(state_of(&answer, "appointments").0, "found");
}

#[tokio::test]
async fn when_all_fail_the_flow_still_gets_a_usable_answer() {
    let world = World::with(impatient("2s")).await;
    for vendor in Vendor::ALL {
        world.ill(vendor, Fault::Reset);
    }
    let answer = world.studio("+14155550177").await;
    // the customers database is no vendor: it answers that it does not know the number
    assert_eq!(answer["caller_name"], "Unknown");
    assert_eq!(answer["lookup_status"], "partial", "{answer}");
    let missing = answer["missing"].as_str().unwrap();
    assert!(missing.contains("unreachable"), "{missing}");
}

#[tokio::test]
async fn the_deadline_ends_the_wait_and_not_the_work() {
    let world = World::start().await;
    world.slow(Vendor::Salesforce, Duration::from_millis(900));
    world.slow(Vendor::Hubspot, Duration::from_millis(900));
    let form = [("From", world::EVERYWHERE), ("deadline_ms", "600")];
    let early = world.studio_with(&form).await;
    assert_eq!(early["lookup_status"], "partial", "{early}");
    assert_ne!(early["caller_name"], "Unknown", "the database was in time");
    let late = until(|| world.studio_with(&form), |a| a["lookup_status"] == "complete").await;
    assert_eq!(late["match"], "unique");
    let searches = |v| world.asked(v).iter().filter(|e| e.path.contains("contacts/search")).count();
    assert_eq!(searches(Vendor::Hubspot), 1, "what came late was kept, not asked for again");
}

#[tokio::test]
async fn a_hung_source_trips_within_ten_callers_and_heals_without_a_restart() {
    let mut setup = impatient("600ms");
    setup.overrides.push(("lookup.breaker.probe_after", "1s".into()));
    let world = World::with(setup).await;
    world.ill(Vendor::Hubspot, Fault::Hang);
    let mut tripped_at = None;
    for caller in 0..10 {
        let question = json!({ "phone": format!("+1415555{:04}", 110 + caller) });
        if world.source(question, "crm").await == ("skipped".into(), "tripped".into()) {
            tripped_at = Some(caller);
            break;
        }
    }
    assert!(tripped_at.is_some(), "it still waits for a source that hangs");
    let asked = world.asked(Vendor::Hubspot).len();
    assert_eq!(world.source(json!({ "phone": "+14155550120" }), "crm").await.1, "tripped");
    assert_eq!(world.asked(Vendor::Hubspot).len(), asked, "a tripped source is left alone");
    world.ill(Vendor::Hubspot, Fault::None);
    let healed = until(
        || world.source(json!({ "phone": world::EVERYWHERE }), "crm"),
        |state| state == &("found".into(), String::new()),
    );
    healed.await;
}

#[tokio::test]
async fn a_reset_is_tried_once_more() {
    let world = World::start().await;
    let once = Setting { fault: Fault::Reset, times: Some(1), ..Setting::default() };
    world.demo.standins.set(Vendor::Hubspot, once);
    assert_eq!(world.source(json!({ "phone": world::EVERYWHERE }), "crm").await.0, "found");
}

#[tokio::test]
async fn a_secondary_is_asked_when_its_primary_failed_and_only_then() {
    let more = r#"
[sources.backup]
connector    = "hubspot"
base_url     = "env:DEMO_HUBSPOT_URL"
secret       = "env:DEMO_HUBSPOT_TOKEN"
secondary_of = "salesforce"
[sources.backup.record.contact.provides]
tags = "properties.jobtitle"
"#;
    let mut setup = impatient("600ms");
    setup.more = more.into();
    let world = World::with(setup).await;
    let answer = world.context("demo-admin", json!({ "phone": world::EVERYWHERE })).await;
    assert!(answer["sources"]["backup"].is_null(), "{answer}");
    world.ill(Vendor::Salesforce, Fault::Status(500));
    assert_eq!(world.forget("phone=%2B14155550142").await, 200);
    let answer = world.context("demo-admin", json!({ "phone": world::EVERYWHERE })).await;
    assert_eq!(state_of(&answer, "salesforce").1, "unreachable");
    assert_eq!(state_of(&answer, "backup").0, "found", "{answer}");
}

#[tokio::test]
async fn configured_defaults_stand_in_for_a_source_that_failed() {
    let mut setup = impatient("600ms");
    setup.more = "[sources.payments.defaults]\npayment.method = \"ask the caller\"\n".into();
    let world = World::with(setup).await;
    let method = async || {
        let answer = world.context("demo-admin", json!({ "phone": world::EVERYWHERE })).await;
        answer["fields"]["payment"]["method"].as_str().unwrap_or_default().to_owned()
    };
    assert_ne!(method().await, "ask the caller");
    world.ill(Vendor::Payments, Fault::Status(500));
    world.forget("phone=%2B14155550142").await;
    assert_eq!(method().await, "ask the caller");
}

#[tokio::test]
async fn silence_is_charged_to_the_source_that_caused_it() {
    let world = World::start().await;
    world.slow(Vendor::Salesforce, Duration::from_millis(2_000));
    world.studio_with(&[("From", world::EVERYWHERE), ("deadline_ms", "1000")]).await;
    let seconds = async |source: &str| {
        let lines = world.metric("caller_context_silence_seconds_total").await;
        let line = lines.iter().find(|l| l.contains(&format!("source=\"{source}\""))).unwrap().clone();
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert!(seconds("salesforce").await > 0.0);
    assert_eq!(seconds("crm").await, 0.0);
}

#[tokio::test]
async fn every_spelling_counts_against_the_quota_of_its_source() {
    let more = r#"
[sources.spelled]
connector                  = "http"
base_url                   = "env:DEMO_PAYMENTS_URL"
secret                     = "env:DEMO_PAYMENTS_TOKEN"
auth.headers.Authorization = "Bearer {secret}"
limits.rate                = ["4 per 1h"]
essential                  = true
[sources.spelled.lookup.person]
needs     = ["phone"]
spellings = ["e164", "digits", "national"]
get       = "/people/{phone}"
exact     = true
provides  = { own.contact_id = "id", name = "name" }
"#;
    let world = World::with(Setup { more: more.into(), ..Setup::default() }).await;
    let asked = || world.asked(Vendor::Payments).iter().filter(|e| e.path.starts_with("/people/")).count();
    let first = world.source(json!({ "phone": "+14155550111" }), "spelled").await;
    assert_eq!((first.0.as_str(), asked()), ("not_found", 3), "once per spelling");
    let second = world.source(json!({ "phone": "+14155550112" }), "spelled").await;
    assert_eq!((second, asked()), (("skipped".into(), "limited".into()), 4), "the fifth is not sent");
}
