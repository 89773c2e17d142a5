//! Google Calendar's lookup, and its documented answers.

use caller_context::demo::Vendor;
use caller_context::demo::faults::Fault;
use serde_json::{Value, json};

use super::Result;
use super::court::{ADA, Case, Contract, Court, NOBODY};

const GOOGLE_CALENDAR: Contract = Contract {
    document: "google-calendar/openapi.yaml",
    standin: Vendor::GoogleCalendar,
    config: r#"
        [sources.calendar]
        connector = "google-calendar"
        base_url  = "env:VENDOR_URL"
        secret    = "env:VENDOR_TOKEN"
        timeout   = "30s"
        "#,
};

const EVENTS: &str = "GET /calendars/primary/events";

/// In the next thirty days, and not cancelled.
fn appointments() -> Value {
    json!({ "appointments": [
        {
            "id": "a77",
            "title": "Maintenance visit",
            "status": "confirmed",
            "starts_at": "2026-11-23T12:00:00Z",
            "ends_at": "2026-11-23T12:45:00Z",
            "join_url": "https://meet.google.com/a-77",
            "url": "https://www.google.com/calendar/event?eid=A-77",
            "attendees": ["grace.rep@example.com", ADA],
        },
        {
            "id": "a78",
            "title": "Contract review",
            "status": "confirmed",
            "starts_at": "2026-12-02T12:00:00Z",
            "ends_at": "2026-12-02T12:45:00Z",
            "join_url": "https://meet.google.com/a-78",
            "url": "https://www.google.com/calendar/event?eid=A-78",
            "attendees": ["grace.rep@example.com", ADA],
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
        known("a stranger first", Fault::Stranger),
        unknown("unknown", NOBODY, Fault::None, &["appointments not_found"]),
        unknown("the token has expired", ADA, Fault::Status(401), &["appointments rejected"]),
        unknown("too many requests", ADA, Fault::Status(429), &["appointments limited"]),
    ]
}

#[tokio::test]
async fn google_calendar_requests_and_answers_are_as_documented() -> Result {
    let test = "google_calendar_requests_and_answers_are_as_documented";
    let Some(court) = Court::proxy(test, &GOOGLE_CALENDAR).await? else { return Ok(()) };
    court.judge(Vendor::GoogleCalendar, cases()).await
}

#[tokio::test]
async fn google_calendar_documented_answers_are_understood() -> Result {
    let test = "google_calendar_documented_answers_are_understood";
    let Some(court) = Court::mock(test, &GOOGLE_CALENDAR).await? else { return Ok(()) };
    court
        .understand(&[
            ("code=200", "jane@example.com", "appointments found", 200),
            ("code=400", "jane@example.com", "appointments rejected", 400),
            ("code=401", "jane@example.com", "appointments rejected", 401),
            ("code=403", "jane@example.com", "appointments limited", 403),
            ("code=404", "jane@example.com", "appointments rejected", 404),
            ("code=429", "jane@example.com", "appointments limited", 429),
        ])
        .await
}
