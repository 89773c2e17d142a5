//! Copper's lookups, and its documented answers.

use caller_context::demo::faults::Fault;
use caller_context::demo::{Vendor, world};
use serde_json::{Value, json};

use super::Result;
use super::court::{ADA, Case, Contract, Court, NOBODY};

const COPPER: Contract = Contract {
    document: "copper/openapi.yaml",
    standin: Vendor::Copper,
    config: r#"
        [sources.copper]
        connector = "copper"
        base_url  = "env:VENDOR_URL"
        secret    = "env:VENDOR_TOKEN"
        timeout   = "30s"
        connection.user_email = "grace.rep@example.com"
        "#,
};

/// Examples are of one request: nothing else is asked.
const PEOPLE: Contract = Contract {
    config: r#"
        [sources.copper]
        connector    = "copper"
        base_url     = "env:VENDOR_URL"
        secret       = "env:VENDOR_TOKEN"
        timeout      = "30s"
        lookup       = { company = false, deals = false }
        connection.user_email = "grace.rep@example.com"
        record.person.provides.owner = { name = false, email = false }
        "#,
    ..COPPER
};

const SEARCH: &str = "POST /developer_api/v1/people/search";
const FETCH: &str = "POST /developer_api/v1/people/fetch_by_email";
const COMPANY: &str = "GET /developer_api/v1/companies/9607580";
const STAGES: &str = "GET /developer_api/v1/pipelines";
const DEALS: &str = "POST /developer_api/v1/opportunities/search";
/// Once for names, once for addresses.
const USERS: &str = "POST /developer_api/v1/users/search";

/// What becomes of all lookups when nobody is found.
macro_rules! nobody {
    ($by_email:literal, $by_phone:literal) => {
        &[
            "company needs_copper.company_id",
            concat!("contact_by_email ", $by_email),
            concat!("contact_by_phone ", $by_phone),
            "deals needs_copper.contact_id",
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
        "tags": ["vip"],
        "company.name": "Analytical Engines",
        "company.domain": "analytical.example",
        "last_contact": "2026-11-02T12:00:00Z",
        "owner.name": "Grace Rep",
        "owner.email": "grace.rep@example.com",
        "deals": [
            {
                "id": "2827010",
                "name": "Difference engine renewal",
                "stage": "Contract sent",
                "amount": 15000,
                "closes_at": "2026-12-31T00:00:00Z",
            },
            {
                "id": "2827011",
                "name": "Punch card supply",
                "stage": "Qualified",
                "amount": 2400.5,
                "closes_at": "2027-02-03T00:00:00Z",
            },
        ],
    })
}

fn known(name: &'static str, fault: Fault) -> Case {
    Case {
        name,
        who: world::EVERYWHERE,
        fault,
        verdict: "unique",
        lookups: &["company found", "contact_by_phone found", "deals found"],
        fields: ada(),
        requests: &[COMPANY, STAGES, DEALS, SEARCH, USERS, USERS],
    }
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
    let (ada_phone, nobody, twice) = (world::EVERYWHERE, world::UNKNOWN, &[SEARCH, SEARCH, USERS, USERS]);
    let fetched = &[FETCH, USERS, USERS];
    let refused = &[SEARCH, USERS, USERS];
    vec![
        known("known everywhere", Fault::None),
        known("a stranger first", Fault::Stranger),
        Case {
            who: ADA,
            lookups: &["company found", "contact_by_email found", "deals found"],
            requests: &[COMPANY, STAGES, DEALS, FETCH, USERS, USERS],
            ..known("by e-mail", Fault::None)
        },
        unknown("unknown", nobody, Fault::None, nobody!("needs_email", "not_found"), twice),
        unknown("only a stranger", nobody, Fault::Stranger, nobody!("needs_email", "not_found"), twice),
        unknown("a stranger by e-mail", ADA, Fault::Stranger, nobody!("not_found", "needs_phone"), fetched),
        unknown("unknown by e-mail", NOBODY, Fault::None, nobody!("not_found", "needs_phone"), fetched),
        unknown("the key was revoked", ada_phone, Fault::Status(401), nobody!("needs_email", "rejected"), refused),
        unknown("too many requests", ada_phone, Fault::Status(429), nobody!("needs_email", "limited"), &[USERS]),
    ]
}

#[tokio::test]
async fn copper_requests_and_answers_are_as_documented() -> Result {
    let test = "copper_requests_and_answers_are_as_documented";
    let Some(court) = Court::proxy(test, &COPPER).await? else { return Ok(()) };
    court.judge(Vendor::Copper, cases()).await
}

#[tokio::test]
async fn copper_documented_answers_are_understood() -> Result {
    let test = "copper_documented_answers_are_understood";
    let Some(court) = Court::mock(test, &PEOPLE).await? else { return Ok(()) };
    let (phone, email) = (world::EVERYWHERE, "ada.byron@example.com");
    court
        .understand(&[
            ("code=200, example=hit", phone, "contact_by_phone found", 200),
            ("code=200, example=miss", phone, "contact_by_phone not_found", 200),
            ("code=400", phone, "contact_by_phone rejected", 400),
            ("code=401", phone, "contact_by_phone rejected", 401),
            ("code=404", phone, "contact_by_phone rejected", 404),
            ("code=422", phone, "contact_by_phone rejected", 422),
            ("code=429", phone, "contact_by_phone limited", 429),
            ("code=404", email, "contact_by_email not_found", 404),
            ("code=429", email, "contact_by_email limited", 429),
        ])
        .await
}
