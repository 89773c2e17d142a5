//! Close's lookups, and its documented answers.

use caller_context::demo::faults::Fault;
use caller_context::demo::{Vendor, world};
use serde_json::{Value, json};

use super::Result;
use super::court::{ADA, Case, Contract, Court, NOBODY};

const CLOSE: Contract = Contract {
    document: "close/openapi.yaml",
    standin: Vendor::Close,
    config: r#"
        [sources.close]
        connector = "close"
        base_url  = "env:VENDOR_URL"
        secret    = "env:VENDOR_TOKEN"
        timeout   = "30s"
        "#,
};

const SEARCH: &str = "POST /api/v1/data/search/";
const LEAD: &str = "GET /api/v1/lead/lead_company0/";
const ACTIVITIES: &str = "GET /api/v1/activity/";

const FOUND: &[&str] = &["activities found", "contact_by_phone found", "lead found"];
const FOUND_BY_EMAIL: &[&str] = &["activities found", "contact_by_email found", "lead found"];

/// What becomes of all lookups when the one by phone ends so.
macro_rules! nobody {
    ($by_email:literal, $by_phone:literal) => {
        &[
            "activities needs_close.contact_id",
            concat!("contact_by_email ", $by_email),
            concat!("contact_by_phone ", $by_phone),
            "lead needs_close.company_id",
        ]
    };
}

fn ada() -> Value {
    json!({
        "name": "Ada Byron",
        "title": "Head of Operations",
        "email": ADA,
        "phone": world::EVERYWHERE,
        "company.name": "Analytical Engines",
        "account_status": "Customer",
        "last_contact": "2026-11-02T12:00:00Z",
        "deals": [
            { "id": "oppo_demo1x0", "stage": "Negotiation/Review", "amount": 15000.0, "currency": "USD" },
            { "id": "oppo_demo1x1", "stage": "Qualification", "amount": 2400.5, "currency": "USD" },
        ],
    })
}

fn known(name: &'static str, who: &'static str, fault: Fault, lookups: &'static [&'static str]) -> Case {
    Case { name, who, fault, verdict: "unique", lookups, fields: ada(), requests: &[ACTIVITIES, LEAD, SEARCH] }
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
        unknown("the key was revoked", ada, Fault::Status(401), nobody!("needs_email", "rejected")),
        unknown("too many requests", ada, Fault::Status(429), nobody!("needs_email", "limited")),
    ]
}

#[tokio::test]
async fn close_requests_and_answers_are_as_documented() -> Result {
    let test = "close_requests_and_answers_are_as_documented";
    let Some(court) = Court::proxy(test, &CLOSE).await? else { return Ok(()) };
    court.judge(Vendor::Close, cases()).await
}

#[tokio::test]
async fn close_documented_answers_are_understood() -> Result {
    let test = "close_documented_answers_are_understood";
    let Some(court) = Court::mock(test, &CLOSE).await? else { return Ok(()) };
    let (phone, email) = (world::EVERYWHERE, "ada.byron@example.com");
    court
        .understand(&[
            ("code=200", phone, "contact_by_phone found", 200),
            ("code=200", phone, "activities found", 200),
            ("code=200", phone, "lead found", 200),
            ("code=200", email, "contact_by_email found", 200),
            ("code=200, example=miss", phone, "contact_by_phone not_found", 200),
            ("code=400", phone, "contact_by_phone rejected", 400),
            ("code=401", phone, "contact_by_phone rejected", 401),
            ("code=402", phone, "contact_by_phone rejected", 402),
            ("code=403", phone, "contact_by_phone rejected", 403),
            ("code=404", phone, "contact_by_phone rejected", 404),
            ("code=429", phone, "contact_by_phone limited", 429),
        ])
        .await
}
