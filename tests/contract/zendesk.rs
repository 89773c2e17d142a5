//! Zendesk's lookups, and its documented answers.

use caller_context::demo::faults::Fault;
use caller_context::demo::{Vendor, world};
use serde_json::{Value, json};

use super::Result;
use super::court::{ADA, Case, Contract, Court, NOBODY};

const ZENDESK: Contract = Contract {
    document: "zendesk/openapi.yaml",
    standin: Vendor::Zendesk,
    config: r#"
        [sources.zendesk]
        connector = "zendesk"
        base_url  = "env:VENDOR_URL"
        secret    = "env:VENDOR_TOKEN"
        timeout   = "30s"
        connection.subdomain = "example"
        "#,
};

const SEARCH: &str = "GET /api/v2/users/search";
const ORGANIZATION: &str = "GET /api/v2/organizations/57540";
const TICKETS: &str = "GET /api/v2/users/35401/tickets/requested";

const FOUND: &[&str] = &["company found", "contact_by_phone found", "tickets found"];
const FOUND_BY_EMAIL: &[&str] = &["company found", "contact_by_email found", "tickets found"];

/// What becomes of all lookups when the one by phone ends so.
macro_rules! nobody {
    ($by_email:literal, $by_phone:literal) => {
        &[
            "company needs_zendesk.company_id",
            concat!("contact_by_email ", $by_email),
            concat!("contact_by_phone ", $by_phone),
            "tickets needs_zendesk.contact_id",
        ]
    };
}

fn ada() -> Value {
    json!({
        "name": "Ada Byron",
        "email": ADA,
        "phone": world::EVERYWHERE,
        "language": "en-US",
        "tags": ["vip"],
        "company.name": "Analytical Engines",
        "company.domain": "analytical.example",
        "last_contact": "2026-11-17T12:00:00Z",
        "tickets": [{
            "id": "90010",
            "number": "90010",
            "subject": "Invoice question",
            "status": "open",
            "priority": "high",
            "updated_at": "2026-11-18T12:00:00Z",
        }],
    })
}

fn known(name: &'static str, who: &'static str, fault: Fault, lookups: &'static [&'static str]) -> Case {
    Case { name, who, fault, verdict: "unique", lookups, fields: ada(), requests: &[ORGANIZATION, TICKETS, SEARCH] }
}

fn unknown(name: &'static str, who: &'static str, fault: Fault, lookups: &'static [&'static str]) -> Case {
    Case { name, who, fault, verdict: "none", lookups, fields: json!({}), requests: &[SEARCH] }
}

fn cases() -> Vec<Case> {
    let (ada, nobody) = (world::EVERYWHERE, world::UNKNOWN);
    vec![
        known("known everywhere", ada, Fault::None, FOUND),
        known("a stranger first", ada, Fault::Stranger, FOUND),
        known("by e-mail", ADA, Fault::None, FOUND_BY_EMAIL),
        known("a stranger first by e-mail", ADA, Fault::Stranger, FOUND_BY_EMAIL),
        unknown("unknown", nobody, Fault::None, nobody!("needs_email", "not_found")),
        unknown("only a stranger", nobody, Fault::Stranger, nobody!("needs_email", "not_found")),
        unknown("unknown by e-mail", NOBODY, Fault::None, nobody!("not_found", "needs_phone")),
        unknown("the token was revoked", ada, Fault::Status(401), nobody!("needs_email", "rejected")),
        unknown("too many requests", ada, Fault::Status(429), nobody!("needs_email", "limited")),
    ]
}

#[tokio::test]
async fn zendesk_requests_and_answers_are_as_documented() -> Result {
    let test = "zendesk_requests_and_answers_are_as_documented";
    let Some(court) = Court::proxy(test, &ZENDESK).await? else { return Ok(()) };
    court.judge(Vendor::Zendesk, cases()).await
}

#[tokio::test]
async fn zendesk_documented_answers_are_understood() -> Result {
    let test = "zendesk_documented_answers_are_understood";
    let Some(court) = Court::mock(test, &ZENDESK).await? else { return Ok(()) };
    let (phone, email) = ("+15551234567", "johnny@example.com");
    court
        .understand(&[
            ("code=200", phone, "contact_by_phone found", 200),
            ("code=200", phone, "tickets found", 200),
            ("code=200", email, "contact_by_email found", 200),
            ("code=401", phone, "contact_by_phone rejected", 401),
            ("code=403", phone, "contact_by_phone rejected", 403),
            ("code=404", phone, "contact_by_phone rejected", 404),
            ("code=422", phone, "contact_by_phone rejected", 422),
            ("code=429", phone, "contact_by_phone limited", 429),
            ("code=503", phone, "contact_by_phone unreachable", 503),
        ])
        .await
}
