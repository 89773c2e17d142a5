//! Freshsales' lookups, and its documented answers.

use caller_context::demo::faults::Fault;
use caller_context::demo::{Vendor, world};
use serde_json::{Value, json};

use super::Result;
use super::court::{ADA, Case, Contract, Court, NOBODY};

const FRESHSALES: Contract = Contract {
    document: "freshsales/openapi.yaml",
    standin: Vendor::Freshsales,
    config: r#"
        [sources.freshsales]
        connector = "freshsales"
        base_url  = "env:VENDOR_URL"
        secret    = "env:VENDOR_TOKEN"
        timeout   = "30s"
        connection.bundle = "example"
        "#,
};

const LOOKUP: &str = "GET /crm/sales/api/lookup";
const RELATED: &str = "GET /crm/sales/api/contacts/70031234001";

/// The number is the work number, in the second spelling.
const BY_PHONE: &[&str] = &["contact_by_mobile not_found", "contact_by_work_phone found", "related found"];
const BY_EMAIL: &[&str] = &["contact_by_email found", "related found"];

/// What becomes of all lookups when those by e-mail and by phone end so.
macro_rules! nobody {
    ($by_email:literal, $by_mobile:literal, $by_work_phone:literal) => {
        &[
            concat!("contact_by_email ", $by_email),
            concat!("contact_by_mobile ", $by_mobile),
            concat!("contact_by_work_phone ", $by_work_phone),
            "related needs_freshsales.contact_id",
        ]
    };
}

fn ada() -> Value {
    json!({
        "name": "Ada Byron",
        "first_name": "Ada",
        "last_name": "Byron",
        "title": "Head of Operations",
        "email": ADA,
        "phone": world::EVERYWHERE,
        "lead_score": 90,
        "company.name": "Analytical Engines",
        "owner.name": "Grace Rep",
        "owner.email": "grace.rep@example.com",
        "last_contact": "2026-11-02T12:00:00Z",
        "deals": [
            {
                "id": "70000055010",
                "name": "Difference engine renewal",
                "stage": "70000011111",
                "amount": 15000,
                "closes_at": "2026-12-31T00:00:00Z",
            },
            {
                "id": "70000055011",
                "name": "Punch card supply",
                "stage": "70000011112",
                "amount": 2400.5,
                "closes_at": "2027-02-03T00:00:00Z",
            },
        ],
    })
}

fn known(
    name: &'static str,
    who: &'static str,
    fault: Fault,
    lookups: &'static [&'static str],
    requests: &'static [&'static str],
) -> Case {
    Case { name, who, fault, verdict: "unique", lookups, fields: ada(), requests }
}

fn unknown(
    name: &'static str,
    who: &'static str,
    fault: Fault,
    lookups: &'static [&'static str],
    requests: &'static [&'static str],
) -> Case {
    Case { name, who, fault, verdict: "none", lookups, fields: json!({}), requests }
}

fn cases() -> Vec<Case> {
    let (ada, nobody) = (world::EVERYWHERE, world::UNKNOWN);
    // Four spellings of the mobile number, two of the work number.
    let by_phone = &[RELATED, LOOKUP, LOOKUP, LOOKUP, LOOKUP, LOOKUP, LOOKUP];
    let all_spellings = &[LOOKUP; 8];
    let missing = nobody!("needs_email", "not_found", "not_found");
    vec![
        known("known everywhere", ada, Fault::None, BY_PHONE, by_phone),
        known("a stranger first", ada, Fault::Stranger, BY_PHONE, by_phone),
        known("by e-mail", ADA, Fault::None, BY_EMAIL, &[RELATED, LOOKUP]),
        known("a stranger first by e-mail", ADA, Fault::Stranger, BY_EMAIL, &[RELATED, LOOKUP]),
        unknown("unknown", nobody, Fault::None, missing, all_spellings),
        unknown("only a stranger", nobody, Fault::Stranger, missing, all_spellings),
        unknown(
            "unknown by e-mail",
            NOBODY,
            Fault::None,
            nobody!("not_found", "needs_phone", "needs_phone"),
            &[LOOKUP],
        ),
    ]
}

#[tokio::test]
async fn freshsales_requests_and_answers_are_as_documented() -> Result {
    let test = "freshsales_requests_and_answers_are_as_documented";
    let Some(court) = Court::proxy(test, &FRESHSALES).await? else { return Ok(()) };
    court.judge(Vendor::Freshsales, cases()).await
}

#[tokio::test]
async fn freshsales_documented_answers_are_understood() -> Result {
    let test = "freshsales_documented_answers_are_understood";
    let Some(court) = Court::mock(test, &FRESHSALES).await? else { return Ok(()) };
    let (phone, email) = (world::EVERYWHERE, "ada.byron@example.com");
    court
        .understand(&[
            ("code=200", phone, "contact_by_mobile found", 200),
            ("code=200", phone, "related found", 200),
            ("code=200", email, "contact_by_email found", 200),
            ("code=200, example=miss", phone, "contact_by_work_phone not_found", 200),
            ("code=400", phone, "contact_by_mobile rejected", 400),
            ("code=401", phone, "contact_by_mobile rejected", 401),
            ("code=403", phone, "contact_by_mobile rejected", 403),
            ("code=404", phone, "contact_by_mobile rejected", 404),
            ("code=429", phone, "contact_by_mobile limited", 429),
        ])
        .await
}
