//! Pipedrive's lookups, and its documented answers. The document is of API v2; users are v1.

use caller_context::demo::faults::Fault;
use caller_context::demo::{Vendor, world};
use serde_json::{Value, json};

use super::Result;
use super::court::{ADA, Case, Contract, Court, NOBODY};

const PIPEDRIVE: Contract = Contract {
    document: "pipedrive/openapi-v2.yaml",
    standin: Vendor::Pipedrive,
    config: r#"
        [sources.pipedrive]
        connector    = "pipedrive"
        base_url     = "env:VENDOR_URL"
        secret       = "env:VENDOR_TOKEN"
        timeout      = "30s"
        lookup.owner = false
        connection.company_domain = "example"
        "#,
};

const SEARCH: &str = "GET /api/v2/persons/search";
const WHOLE: &[&str] = &[
    "GET /api/v2/activities",
    "GET /api/v2/deals",
    "GET /api/v2/organizations/40",
    "GET /api/v2/persons/701",
    SEARCH,
    "GET /api/v2/stages",
];

/// What becomes of all lookups when somebody is found so.
macro_rules! found {
    ($by:literal) => {
        &["company found", concat!($by, " found"), "deals found", "last_contact found", "person found"]
    };
}

/// What becomes of all lookups when nobody is found.
macro_rules! nobody {
    ($by_email:literal, $by_phone:literal) => {
        &[
            "company needs_pipedrive.company_id",
            concat!("contact_by_email ", $by_email),
            concat!("contact_by_phone ", $by_phone),
            "deals needs_pipedrive.contact_id",
            "last_contact needs_pipedrive.contact_id",
            "person needs_pipedrive.contact_id",
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
        "company.name": "Analytical Engines",
        "company.size": 250,
        "last_contact": "2026-11-02T12:00:00Z",
        "deals": [
            {
                "id": "710",
                "name": "Difference engine renewal",
                "stage": "Negotiations started",
                "amount": 15000,
                "currency": "USD",
                "closes_at": "2026-12-31T00:00:00Z",
            },
            {
                "id": "711",
                "name": "Punch card supply",
                "stage": "Qualified",
                "amount": 2400.5,
                "currency": "USD",
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
    let (ada, nobody, twice) = (world::EVERYWHERE, world::UNKNOWN, &[SEARCH, SEARCH]);
    vec![
        known("known everywhere", ada, Fault::None, found!("contact_by_phone"), WHOLE),
        known("a stranger first", ada, Fault::Stranger, found!("contact_by_phone"), WHOLE),
        known("by e-mail", ADA, Fault::None, found!("contact_by_email"), WHOLE),
        known("a stranger first by e-mail", ADA, Fault::Stranger, found!("contact_by_email"), WHOLE),
        unknown("unknown", nobody, Fault::None, nobody!("needs_email", "not_found"), twice),
        unknown("only a stranger", nobody, Fault::Stranger, nobody!("needs_email", "not_found"), twice),
        unknown("unknown by e-mail", NOBODY, Fault::None, nobody!("not_found", "needs_phone"), &[SEARCH]),
        unknown("the token was revoked", ada, Fault::Status(401), nobody!("needs_email", "rejected"), &[SEARCH]),
        unknown("too many requests", ada, Fault::Status(429), nobody!("needs_email", "limited"), &[SEARCH]),
    ]
}

#[tokio::test]
async fn pipedrive_requests_and_answers_are_as_documented() -> Result {
    let test = "pipedrive_requests_and_answers_are_as_documented";
    let Some(court) = Court::proxy(test, &PIPEDRIVE).await? else { return Ok(()) };
    court.judge(Vendor::Pipedrive, cases()).await
}

#[tokio::test]
async fn pipedrive_documented_answers_are_understood() -> Result {
    let test = "pipedrive_documented_answers_are_understood";
    let Some(court) = Court::mock(test, &PIPEDRIVE).await? else { return Ok(()) };
    let (phone, email) = (world::EVERYWHERE, "jane@pipedrive.com");
    court
        .understand(&[
            ("code=200", phone, "contact_by_phone not_found", 200),
            ("code=200", email, "deals found", 200),
            ("code=200", email, "person found", 200),
            ("code=200", email, "contact_by_email found", 200),
            ("code=400", phone, "contact_by_phone rejected", 400),
            ("code=401", phone, "contact_by_phone rejected", 401),
            ("code=403", phone, "contact_by_phone rejected", 403),
            ("code=404", phone, "contact_by_phone rejected", 404),
            ("code=429", phone, "contact_by_phone limited", 429),
        ])
        .await
}
