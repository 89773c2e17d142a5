//! Square's lookups, and its documented answers. The document shows no refusals.

use caller_context::demo::faults::Fault;
use caller_context::demo::{Vendor, world};
use serde_json::{Value, json};

use super::Result;
use super::court::{ADA, Case, Contract, Court, NOBODY};

const SQUARE: Contract = Contract {
    document: "square-bookings/openapi.yaml",
    standin: Vendor::SquareBookings,
    config: r#"
        [sources.square]
        connector = "square-bookings"
        base_url  = "env:VENDOR_URL"
        secret    = "env:VENDOR_TOKEN"
        timeout   = "30s"
        "#,
};

const SEARCH: &str = "POST /v2/customers/search";
const BOOKINGS: &str = "GET /v2/bookings";

const UNKNOWN: &[&str] =
    &["appointments needs_square.contact_id", "contact_by_email needs_email", "contact_by_phone not_found"];
const UNKNOWN_BY_EMAIL: &[&str] =
    &["appointments needs_square.contact_id", "contact_by_email not_found", "contact_by_phone needs_phone"];

fn ada() -> Value {
    json!({
        "name": "Ada Byron",
        "first_name": "Ada",
        "last_name": "Byron",
        "email": ADA,
        "phone": world::EVERYWHERE,
        "company.name": "Analytical Engines",
        "appointments": [
            { "id": "A-77", "status": "ACCEPTED", "starts_at": "2026-11-23T12:00:00Z" },
            { "id": "A-78", "status": "PENDING", "starts_at": "2026-12-02T12:00:00Z" },
        ],
    })
}

fn known(name: &'static str, who: &'static str, fault: Fault, lookups: &'static [&'static str]) -> Case {
    Case { name, who, fault, verdict: "unique", lookups, fields: ada(), requests: &[BOOKINGS, SEARCH] }
}

fn unknown(name: &'static str, who: &'static str, fault: Fault, lookups: &'static [&'static str]) -> Case {
    Case { name, who, fault, verdict: "none", lookups, fields: json!({}), requests: &[SEARCH] }
}

fn cases() -> Vec<Case> {
    let ada = world::EVERYWHERE;
    let by_phone = &["appointments found", "contact_by_phone found"];
    let by_email = &["appointments found", "contact_by_email found"];
    vec![
        known("known everywhere", ada, Fault::None, by_phone),
        known("a stranger first", ada, Fault::Stranger, by_phone),
        known("by e-mail", ADA, Fault::None, by_email),
        known("a stranger first by e-mail", ADA, Fault::Stranger, by_email),
        unknown("unknown", world::UNKNOWN, Fault::None, UNKNOWN),
        unknown("only a stranger", world::UNKNOWN, Fault::Stranger, UNKNOWN),
        unknown("unknown by e-mail", NOBODY, Fault::None, UNKNOWN_BY_EMAIL),
    ]
}

#[tokio::test]
async fn square_bookings_requests_and_answers_are_as_documented() -> Result {
    let test = "square_bookings_requests_and_answers_are_as_documented";
    let Some(court) = Court::proxy(test, &SQUARE).await? else { return Ok(()) };
    court.judge(Vendor::SquareBookings, cases()).await
}

#[tokio::test]
async fn square_bookings_documented_answers_are_understood() -> Result {
    let test = "square_bookings_documented_answers_are_understood";
    let Some(court) = Court::mock(test, &SQUARE).await? else { return Ok(()) };
    court
        .understand(&[
            ("code=200", "+12125554250", "contact_by_phone found", 200),
            ("code=200", "+12125554250", "appointments found", 200),
            ("code=200", "amelia.earhart@example.com", "contact_by_email found", 200),
        ])
        .await
}
