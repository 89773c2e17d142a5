//! Dynamics 365's lookups, and its documented answers.

use caller_context::demo::faults::Fault;
use caller_context::demo::{Vendor, world};
use serde_json::{Value, json};

use super::Result;
use super::court::{Case, Contract, Court, NOBODY};

const DYNAMICS: Contract = Contract {
    document: "dynamics365/openapi.yaml",
    standin: Vendor::Dynamics365,
    config: r#"
        [sources.dynamics]
        connector = "dynamics365"
        base_url  = "env:VENDOR_URL"
        secret    = "env:VENDOR_TOKEN"
        timeout   = "30s"
        connection.org_url = "https://example.crm.dynamics.com"
        "#,
};

const CONTACTS: &str = "GET /api/data/v9.2/contacts";
const LEADS: &str = "GET /api/data/v9.2/leads";
const ADA: &[&str] = &[
    CONTACTS,
    "GET /api/data/v9.2/contacts(00000001-0f9f-e711-8122-000000000001)",
    "GET /api/data/v9.2/incidents",
    "GET /api/data/v9.2/opportunities",
    "GET /api/data/v9.2/phonecalls",
];

/// What becomes of all lookups when those for people end so.
macro_rules! outcomes {
    ($person:literal) => {
        &["calls found", $person, "deals found", "details found", "tickets found"]
    };
    // A lookup that failed has no fallback.
    ($by_email:literal, $by_phone:literal) => {
        &[
            "calls needs_dynamics.contact_id",
            concat!("contact_by_email ", $by_email),
            concat!("contact_by_phone ", $by_phone),
            "deals needs_dynamics.contact_id",
            "details needs_dynamics.contact_id",
            "tickets needs_dynamics.contact_id",
        ]
    };
    ($by_email:literal, $by_phone:literal, $lead:literal) => {
        &[
            "calls needs_dynamics.contact_id",
            concat!("contact_by_email ", $by_email),
            concat!("contact_by_phone ", $by_phone),
            "deals needs_dynamics.contact_id",
            "details needs_dynamics.contact_id",
            concat!("lead_by_phone ", $lead),
            "tickets needs_dynamics.contact_id",
        ]
    };
}

fn ada() -> Value {
    json!({
        "name": "Ada Byron",
        "first_name": "Ada",
        "last_name": "Byron",
        "title": "Head of Operations",
        "email": super::court::ADA,
        "phone": world::EVERYWHERE,
        "company.name": "Analytical Engines",
        "company.size": 250,
        "owner.name": "Grace Rep",
        "owner.email": "grace.rep@example.com",
        "last_contact": "2026-11-02T12:00:00Z",
        "deals": [
            {
                "id": "00000003-0f9f-e711-8122-00000000000a",
                "name": "Difference engine renewal",
                "stage": "Negotiation/Review",
                "amount": 15000,
                "currency": "USD",
                "closes_at": "2026-12-31T00:00:00Z",
            },
            {
                "id": "00000003-0f9f-e711-8122-00000000000b",
                "name": "Punch card supply",
                "stage": "Qualification",
                "amount": 2400.5,
                "currency": "USD",
                "closes_at": "2027-02-03T00:00:00Z",
            },
        ],
        "tickets": [{
            "id": "00000004-0f9f-e711-8122-00000000000a",
            "number": "CAS-00010-X1Y2Z3",
            "subject": "Invoice question",
            "status": "In Progress",
            "priority": "High",
            "updated_at": "2026-11-18T12:00:00Z",
        }],
    })
}

fn known(name: &'static str, who: &'static str, fault: Fault, lookups: &'static [&'static str]) -> Case {
    Case { name, who, fault, verdict: "unique", lookups, fields: ada(), requests: ADA }
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
    let missing = outcomes!("needs_email", "not_found", "not_found");
    let by_email = outcomes!("not_found", "needs_phone", "needs_phone");
    let rejected = outcomes!("needs_email", "rejected");
    let limited = outcomes!("needs_email", "limited");
    vec![
        known("known everywhere", ada, Fault::None, outcomes!("contact_by_phone found")),
        known("a stranger first", ada, Fault::Stranger, outcomes!("contact_by_phone found")),
        known("by e-mail", super::court::ADA, Fault::None, outcomes!("contact_by_email found")),
        known("a stranger first by e-mail", super::court::ADA, Fault::Stranger, outcomes!("contact_by_email found")),
        unknown("unknown", nobody, Fault::None, missing, &[CONTACTS, LEADS]),
        unknown("only a stranger", nobody, Fault::Stranger, missing, &[CONTACTS, LEADS]),
        unknown("unknown by e-mail", NOBODY, Fault::None, by_email, &[CONTACTS]),
        unknown("the token has ended", ada, Fault::Status(401), rejected, &[CONTACTS]),
        unknown("too many requests", ada, Fault::Status(429), limited, &[CONTACTS]),
        Case {
            name: "a lead",
            who: world::LEAD,
            fault: Fault::None,
            verdict: "unique",
            // The lead's address may belong to a contact.
            lookups: outcomes!("not_found", "not_found", "found"),
            fields: json!({
                "name": "Mary Vignoles",
                "first_name": "Mary",
                "last_name": "Vignoles",
                "title": "Buyer",
                "email": "mary@vignoles.example",
                "phone": world::LEAD,
                "company.name": "Vignoles and Daughters",
                "company.size": 40,
            }),
            requests: &[CONTACTS, CONTACTS, LEADS],
        },
    ]
}

#[tokio::test]
async fn dynamics365_requests_and_answers_are_as_documented() -> Result {
    let test = "dynamics365_requests_and_answers_are_as_documented";
    let Some(court) = Court::proxy(test, &DYNAMICS).await? else { return Ok(()) };
    court.judge(Vendor::Dynamics365, cases()).await
}

#[tokio::test]
async fn dynamics365_documented_answers_are_understood() -> Result {
    let test = "dynamics365_documented_answers_are_understood";
    let Some(court) = Court::mock(test, &DYNAMICS).await? else { return Ok(()) };
    let (phone, email) = (world::EVERYWHERE, "ada.byron@example.com");
    court
        .understand(&[
            ("code=200", phone, "contact_by_phone found", 200),
            ("code=200", phone, "deals found", 200),
            ("code=200", phone, "tickets found", 200),
            ("code=200", email, "contact_by_email found", 200),
            ("code=200, example=miss", "+442079460958", "contact_by_phone not_found", 200),
            ("code=400", phone, "contact_by_phone rejected", 400),
            ("code=401", phone, "contact_by_phone rejected", 401),
            ("code=403", phone, "contact_by_phone rejected", 403),
            ("code=429", phone, "contact_by_phone limited", 429),
        ])
        .await
}
