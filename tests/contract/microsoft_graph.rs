//! Microsoft Graph's lookup, and its documented answers.

use caller_context::demo::Vendor;
use caller_context::demo::faults::Fault;
use serde_json::{Value, json};

use super::Result;
use super::court::{ADA, Case, Contract, Court, NOBODY};

const MICROSOFT_GRAPH: Contract = Contract {
    document: "microsoft-graph/openapi.yaml",
    standin: Vendor::MicrosoftGraph,
    config: r#"
        [sources.calendar]
        connector = "microsoft-graph"
        base_url  = "env:VENDOR_URL"
        secret    = "env:VENDOR_TOKEN"
        timeout   = "30s"
        connection.mailbox = "grace.rep@example.com"
        "#,
};

const EVENTS: &str = "GET /users/grace.rep%40example.com/calendarView";

/// In the next thirty days, and not cancelled.
fn appointments() -> Value {
    json!({ "appointments": [
        {
            "id": "AAMkDemoA-77=",
            "title": "Maintenance visit",
            "starts_at": "2026-11-23T12:00:00Z",
            "ends_at": "2026-11-23T12:45:00Z",
            "join_url": "https://teams.microsoft.com/l/meetup-join/A-77",
            "url": "https://outlook.office365.com/owa/?itemid=A-77",
            "attendees": ["grace.rep@example.com", ADA],
        },
        {
            "id": "AAMkDemoA-78=",
            "title": "Contract review",
            "starts_at": "2026-12-02T12:00:00Z",
            "ends_at": "2026-12-02T12:45:00Z",
            "join_url": "https://teams.microsoft.com/l/meetup-join/A-78",
            "url": "https://outlook.office365.com/owa/?itemid=A-78",
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
async fn microsoft_graph_requests_and_answers_are_as_documented() -> Result {
    let test = "microsoft_graph_requests_and_answers_are_as_documented";
    let Some(court) = Court::proxy(test, &MICROSOFT_GRAPH).await? else { return Ok(()) };
    court.judge(Vendor::MicrosoftGraph, cases()).await
}

#[tokio::test]
async fn microsoft_graph_documented_answers_are_understood() -> Result {
    let test = "microsoft_graph_documented_answers_are_understood";
    let Some(court) = Court::mock(test, &MICROSOFT_GRAPH).await? else { return Ok(()) };
    court
        .understand(&[
            ("code=200", "samanthab@contoso.onmicrosoft.com", "appointments found", 200),
            ("code=400", "samanthab@contoso.onmicrosoft.com", "appointments rejected", 400),
            ("code=401", "samanthab@contoso.onmicrosoft.com", "appointments rejected", 401),
            ("code=403", "samanthab@contoso.onmicrosoft.com", "appointments rejected", 403),
            ("code=404", "samanthab@contoso.onmicrosoft.com", "appointments rejected", 404),
            ("code=429", "samanthab@contoso.onmicrosoft.com", "appointments limited", 429),
        ])
        .await
}
