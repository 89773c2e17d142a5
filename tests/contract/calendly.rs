//! Calendly's lookup, and its documented answers.

use caller_context::demo::Vendor;
use caller_context::demo::faults::Fault;
use serde_json::{Value, json};

use super::Result;
use super::court::{ADA, Case, Contract, Court, NOBODY};

const CALENDLY: Contract = Contract {
    document: "calendly/openapi.yaml",
    standin: Vendor::Calendly,
    config: r#"
        [sources.calendar]
        connector = "calendly"
        base_url  = "env:VENDOR_URL"
        secret    = "env:VENDOR_TOKEN"
        timeout   = "30s"
        connection.organization = "https://api.calendly.com/organizations/DEMO"
        "#,
};

const EVENTS: &str = "GET /scheduled_events";

/// In the next thirty days, and not cancelled.
fn appointments() -> Value {
    json!({ "appointments": [
        {
            "id": "https://api.calendly.com/scheduled_events/A-77",
            "title": "Maintenance visit",
            "status": "active",
            "starts_at": "2026-11-23T12:00:00Z",
            "ends_at": "2026-11-23T12:45:00Z",
            "join_url": "https://zoom.example/j/A-77",
        },
        {
            "id": "https://api.calendly.com/scheduled_events/A-78",
            "title": "Contract review",
            "status": "active",
            "starts_at": "2026-12-02T12:00:00Z",
            "ends_at": "2026-12-02T12:45:00Z",
            "join_url": "https://zoom.example/j/A-78",
        },
    ] })
}

fn known(name: &'static str, fault: Fault) -> Case {
    let (lookups, requests) = (&["appointments found"][..], &[EVENTS][..]);
    Case { name, who: ADA, fault, verdict: "none", lookups, fields: appointments(), requests }
}

fn unknown(name: &'static str, who: &'static str, fault: Fault, lookups: &'static [&'static str]) -> Case {
    Case { name, who, fault, verdict: "none", lookups, fields: json!({}), requests: &[EVENTS] }
}

fn cases() -> Vec<Case> {
    vec![
        known("known", Fault::None),
        unknown("unknown", NOBODY, Fault::None, &["appointments not_found"]),
        unknown("the token has expired", ADA, Fault::Status(401), &["appointments rejected"]),
        unknown("not an administrator", ADA, Fault::Status(403), &["appointments rejected"]),
    ]
}

#[tokio::test]
async fn calendly_requests_and_answers_are_as_documented() -> Result {
    let test = "calendly_requests_and_answers_are_as_documented";
    let Some(court) = Court::proxy(test, &CALENDLY).await? else { return Ok(()) };
    court.judge(Vendor::Calendly, cases()).await
}

#[tokio::test]
async fn calendly_documented_answers_are_understood() -> Result {
    let test = "calendly_documented_answers_are_understood";
    let Some(court) = Court::mock(test, &CALENDLY).await? else { return Ok(()) };
    court
        .understand(&[
            ("code=200", "test@example.com", "appointments found", 200),
            ("code=400", "test@example.com", "appointments rejected", 400),
            ("code=401", "test@example.com", "appointments rejected", 401),
            ("code=403", "test@example.com", "appointments rejected", 403),
            ("code=404", "test@example.com", "appointments rejected", 404),
            ("code=500", "test@example.com", "appointments unreachable", 500),
        ])
        .await
}
