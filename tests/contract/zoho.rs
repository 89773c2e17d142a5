//! Zoho CRM's lookups, and its documented answers.

use caller_context::demo::faults::Fault;
use caller_context::demo::{Vendor, world};
use serde_json::{Value, json};

use super::Result;
use super::court::{Case, Contract, Court, NOBODY};

const ZOHO: Contract = Contract {
    document: "zoho/openapi.yaml",
    standin: Vendor::Zoho,
    config: r#"
        [sources.zoho]
        connector = "zoho"
        base_url  = "env:VENDOR_URL"
        secret    = "env:VENDOR_TOKEN"
        timeout   = "30s"
        "#,
};

const COQL: &str = "POST /crm/v8/coql";
const ADA: &[&str] = &[
    "GET /crm/v8/Contacts/3652397000001234001",
    "GET /crm/v8/Contacts/3652397000001234001/Calls",
    "GET /crm/v8/Contacts/3652397000001234001/Cases",
    "GET /crm/v8/Contacts/3652397000001234001/Deals",
    COQL,
];

/// What becomes of all lookups when those for people end so.
macro_rules! outcomes {
    ($person:literal) => {
        &["calls found", $person, "deals found", "owner found", "tickets found"]
    };
    // A lookup that failed has no fallback.
    ($by_email:literal, $by_phone:literal) => {
        &[
            "calls needs_zoho.contact_id",
            concat!("contact_by_email ", $by_email),
            concat!("contact_by_phone ", $by_phone),
            "deals needs_zoho.contact_id",
            "owner needs_zoho.contact_id",
            "tickets needs_zoho.contact_id",
        ]
    };
    ($by_email:literal, $by_phone:literal, $lead:literal) => {
        &[
            "calls needs_zoho.contact_id",
            concat!("contact_by_email ", $by_email),
            concat!("contact_by_phone ", $by_phone),
            "deals needs_zoho.contact_id",
            concat!("lead_by_phone ", $lead),
            "owner needs_zoho.contact_id",
            "tickets needs_zoho.contact_id",
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
        "tags": ["vip"],
        "company.name": "Analytical Engines",
        "company.size": 250,
        "owner.name": "Grace Rep",
        "owner.email": "grace.rep@example.com",
        "last_contact": "2026-11-02T12:00:00Z",
        "deals": [
            {
                "id": "3652397000001450010",
                "name": "Difference engine renewal",
                "stage": "Negotiation/Review",
                "amount": 15000,
                "closes_at": "2026-12-31T00:00:00Z",
            },
            {
                "id": "3652397000001450011",
                "name": "Punch card supply",
                "stage": "Qualification",
                "amount": 2400.5,
                "closes_at": "2027-02-03T00:00:00Z",
            },
        ],
        "tickets": [{
            "id": "3652397000001560010",
            "number": "1010",
            "subject": "Invoice question",
            "status": "New",
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
    let by_phone = outcomes!("contact_by_phone found");
    let by_email = outcomes!("contact_by_email found");
    let missing = outcomes!("needs_email", "not_found", "not_found");
    let failed = outcomes!("needs_email", "rejected");
    let limited = outcomes!("needs_email", "limited");
    let mut cases = vec![
        known("known everywhere", ada, Fault::None, by_phone),
        known("a stranger first", ada, Fault::Stranger, by_phone),
        known("by e-mail", super::court::ADA, Fault::None, by_email),
        known("a stranger first by e-mail", super::court::ADA, Fault::Stranger, by_email),
        unknown("unknown", nobody, Fault::None, missing, &[COQL, COQL]),
        unknown("only a stranger", nobody, Fault::Stranger, missing, &[COQL, COQL]),
        unknown("the token was revoked", ada, Fault::Status(401), failed, &[COQL]),
        unknown("too many requests", ada, Fault::Status(429), limited, &[COQL]),
    ];
    let by_email = outcomes!("not_found", "needs_phone", "needs_phone");
    cases.push(unknown("unknown by e-mail", NOBODY, Fault::None, by_email, &[COQL]));
    cases.push(Case {
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
        requests: &[COQL, COQL, COQL],
    });
    cases
}

#[tokio::test]
async fn zoho_requests_and_answers_are_as_documented() -> Result {
    let test = "zoho_requests_and_answers_are_as_documented";
    let Some(court) = Court::proxy(test, &ZOHO).await? else { return Ok(()) };
    court.judge(Vendor::Zoho, cases()).await
}

#[tokio::test]
async fn zoho_documented_answers_are_understood() -> Result {
    let test = "zoho_documented_answers_are_understood";
    let Some(court) = Court::mock(test, &ZOHO).await? else { return Ok(()) };
    let (phone, email) = (world::EVERYWHERE, "ada.byron@example.com");
    court
        .understand(&[
            // The document's record has the e-mail, but no number.
            ("code=200", email, "contact_by_email found", 200),
            ("code=200", email, "owner found", 200),
            ("code=200", email, "deals found", 200),
            ("code=204", phone, "contact_by_phone not_found", 204),
            ("code=204", phone, "lead_by_phone not_found", 204),
            ("code=400", phone, "contact_by_phone rejected", 400),
            ("code=401", phone, "contact_by_phone rejected", 401),
            ("code=403", phone, "contact_by_phone rejected", 403),
            ("code=429", phone, "contact_by_phone limited", 429),
        ])
        .await
}
