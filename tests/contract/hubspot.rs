//! HubSpot's lookups, and its documented answers.

use caller_context::demo::faults::Fault;
use caller_context::demo::{Vendor, world};
use serde_json::{Value, json};

use super::Result;
use super::court::{ADA, Case, Contract, Court, NOBODY};

pub const HUBSPOT: Contract = Contract {
    document: "hubspot/openapi-2026-09.yaml",
    standin: Vendor::Hubspot,
    config: r#"
        [sources.hubspot]
        connector = "hubspot"
        base_url  = "env:VENDOR_URL"
        secret    = "env:VENDOR_TOKEN"
        timeout   = "30s"
        "#,
};

const SEARCH_CONTACTS: &str = "POST /crm/objects/2026-09/contacts/search";
const SEARCH_DEALS: &str = "POST /crm/objects/2026-09/deals/search";
const DEAL_STAGES: &str = "GET /crm/pipelines/2026-09/deals";
const TICKET_STAGES: &str = "GET /crm/pipelines/2026-09/tickets";
const SEARCH_TICKETS: &str = "POST /crm/objects/2026-09/tickets/search";
const GET_COMPANY: &str = "GET /crm/objects/2026-09/companies/9051";
const GET_ADA: &str = "GET /crm/objects/2026-09/contacts/ada.byron%40analytical.example";
const GET_OWNER: &str = "GET /crm/owners/2026-09/64492917";

/// All that is asked of somebody found by phone.
const FOUND: &[&str] = &["company found", "contact_by_phone found", "deals found", "owner found", "tickets found"];
const UNKNOWN: &[&str] = &[
    "company needs_hubspot.company_id",
    "contact_by_email needs_email",
    "contact_by_phone not_found",
    "deals needs_hubspot.contact_id",
    "owner needs_hubspot.owner_id",
    "tickets needs_hubspot.contact_id",
];
const UNKNOWN_BY_EMAIL: &[&str] = &[
    "company needs_hubspot.company_id",
    "contact_by_email not_found",
    "contact_by_phone needs_phone",
    "deals needs_hubspot.contact_id",
    "owner needs_hubspot.owner_id",
    "tickets needs_hubspot.contact_id",
];
/// Of no company, with nothing open.
const ALONE: &[&str] = &[
    "company needs_hubspot.company_id",
    "contact_by_phone found",
    "deals not_found",
    "owner found",
    "tickets not_found",
];

fn ada() -> Value {
    json!({
        "name": "Ada Byron",
        "first_name": "Ada",
        "last_name": "Byron",
        "title": "Head of Operations",
        "email": ADA,
        "phone": world::EVERYWHERE,
        "company.name": "Analytical Engines",
        "company.domain": "analytical.example",
        "company.size": 250,
        "last_contact": "2026-11-02T12:00:00Z",
        "owner.name": "Grace Rep",
        "owner.email": "grace.rep@example.com",
        "deals": [
            {
                "id": "7710",
                "name": "Difference engine renewal",
                "stage": "Contract Sent",
                "amount": 15000,
                "currency": "USD",
                "closes_at": "2026-12-31T12:00:00Z",
            },
            {
                "id": "7711",
                "name": "Punch card supply",
                "stage": "Qualified To Buy",
                "amount": 2400.50,
                "currency": "USD",
                "closes_at": "2027-02-03T12:00:00Z",
            },
        ],
        "tickets": [{
            "id": "5510",
            "subject": "Invoice question",
            "status": "New",
            "priority": "HIGH",
            "updated_at": "2026-11-18T12:00:00Z",
        }],
    })
}

/// The person in the examples of the document, whose ticket is in no stage of its pipelines.
fn documented() -> Case {
    Case {
        name: "the documented examples",
        who: world::EVERYWHERE,
        fault: Fault::None,
        verdict: "unique",
        lookups: &[
            "company needs_hubspot.company_id",
            "contact_by_phone found",
            "deals found",
            "owner found",
            "tickets found",
        ],
        fields: json!({
            "name": "Ada Byron",
            "first_name": "Ada",
            "last_name": "Byron",
            "email": "ada.byron@example.com",
            "phone": world::EVERYWHERE,
            "company.name": "Analytical Engines",
            "owner.name": "Grace Rep",
            "owner.email": "rep@example.com",
            "deals": [{
                "id": "7712",
                "name": "Difference engine renewal",
                "stage": "Contract Sent",
                "amount": 15000,
                "closes_at": "2026-12-31T00:00:00Z",
            }],
            "tickets": [{
                "id": "5520",
                "subject": "Invoice question",
                "status": "1",
                "priority": "HIGH",
                "updated_at": "2026-11-02T10:00:00Z",
            }],
        }),
        requests: &[GET_OWNER, DEAL_STAGES, TICKET_STAGES, SEARCH_CONTACTS, SEARCH_DEALS, SEARCH_TICKETS],
    }
}

fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "known everywhere",
            who: world::EVERYWHERE,
            fault: Fault::None,
            verdict: "unique",
            lookups: FOUND,
            fields: ada(),
            requests: &[
                GET_COMPANY,
                GET_OWNER,
                DEAL_STAGES,
                TICKET_STAGES,
                SEARCH_CONTACTS,
                SEARCH_DEALS,
                SEARCH_TICKETS,
            ],
        },
        Case {
            name: "a stranger first",
            who: world::EVERYWHERE,
            fault: Fault::Stranger,
            verdict: "unique",
            lookups: FOUND,
            fields: ada(),
            requests: &[
                GET_COMPANY,
                GET_OWNER,
                DEAL_STAGES,
                TICKET_STAGES,
                SEARCH_CONTACTS,
                SEARCH_DEALS,
                SEARCH_TICKETS,
            ],
        },
        Case {
            name: "only a stranger",
            who: world::UNKNOWN,
            fault: Fault::Stranger,
            verdict: "none",
            lookups: UNKNOWN,
            fields: json!({}),
            requests: &[SEARCH_CONTACTS],
        },
        Case {
            name: "stored with brackets and blanks",
            who: world::ODD_SPELLING,
            fault: Fault::None,
            verdict: "unique",
            lookups: ALONE,
            fields: json!({
                "name": "Dana Whitfield",
                "first_name": "Dana",
                "last_name": "Whitfield",
                "email": "dana.whitfield@example.org",
                "phone": world::ODD_SPELLING,
                "last_contact": "2026-11-08T12:00:00Z",
                "owner.name": "Omar Haddad",
                "owner.email": "omar.haddad@example.com",
            }),
            requests: &[
                "GET /crm/owners/2026-09/64492918",
                DEAL_STAGES,
                TICKET_STAGES,
                SEARCH_CONTACTS,
                SEARCH_DEALS,
                SEARCH_TICKETS,
            ],
        },
        Case {
            name: "stored before the ninth digit",
            who: world::BRAZILIAN,
            fault: Fault::None,
            verdict: "unique",
            lookups: ALONE,
            fields: json!({
                "name": "Rui Prado",
                "first_name": "Rui",
                "last_name": "Prado",
                "email": "rui.prado@example.org",
                "phone": "+551112345678",
                "last_contact": "2025-10-16T12:00:00Z",
                "owner.name": "Grace Rep",
                "owner.email": "grace.rep@example.com",
            }),
            requests: &[GET_OWNER, DEAL_STAGES, TICKET_STAGES, SEARCH_CONTACTS, SEARCH_DEALS, SEARCH_TICKETS],
        },
        Case {
            name: "unknown",
            who: world::UNKNOWN,
            fault: Fault::None,
            verdict: "none",
            lookups: UNKNOWN,
            fields: json!({}),
            requests: &[SEARCH_CONTACTS],
        },
        Case {
            name: "by e-mail",
            who: ADA,
            fault: Fault::None,
            verdict: "unique",
            lookups: &["company found", "contact_by_email found", "deals found", "owner found", "tickets found"],
            fields: ada(),
            requests: &[GET_COMPANY, GET_ADA, GET_OWNER, DEAL_STAGES, TICKET_STAGES, SEARCH_DEALS, SEARCH_TICKETS],
        },
        Case {
            name: "a stranger by e-mail",
            who: ADA,
            fault: Fault::Stranger,
            verdict: "none",
            lookups: UNKNOWN_BY_EMAIL,
            fields: json!({}),
            requests: &[GET_ADA],
        },
        Case {
            name: "unknown by e-mail",
            who: NOBODY,
            fault: Fault::None,
            verdict: "none",
            lookups: UNKNOWN_BY_EMAIL,
            fields: json!({}),
            requests: &["GET /crm/objects/2026-09/contacts/o%27hara%2Bx%40analytical.example"],
        },
        Case {
            name: "the token has expired",
            who: world::EVERYWHERE,
            fault: Fault::Status(401),
            verdict: "none",
            lookups: &[
                "company needs_hubspot.company_id",
                "contact_by_email needs_email",
                "contact_by_phone rejected",
                "deals needs_hubspot.contact_id",
                "owner needs_hubspot.owner_id",
                "tickets needs_hubspot.contact_id",
            ],
            fields: json!({}),
            requests: &[SEARCH_CONTACTS],
        },
        Case {
            name: "too many requests",
            who: world::EVERYWHERE,
            fault: Fault::Status(429),
            verdict: "none",
            lookups: &[
                "company needs_hubspot.company_id",
                "contact_by_email needs_email",
                "contact_by_phone limited",
                "deals needs_hubspot.contact_id",
                "owner needs_hubspot.owner_id",
                "tickets needs_hubspot.contact_id",
            ],
            fields: json!({}),
            requests: &[SEARCH_CONTACTS],
        },
    ]
}

#[tokio::test]
async fn hubspot_requests_and_answers_are_as_documented() -> Result {
    let test = "hubspot_requests_and_answers_are_as_documented";
    let Some(court) = Court::proxy(test, &HUBSPOT).await? else { return Ok(()) };
    court.judge(Vendor::Hubspot, cases()).await
}

#[tokio::test]
async fn hubspot_is_asked_about_a_meeting_as_documented() -> Result {
    let test = "hubspot_is_asked_about_a_meeting_as_documented";
    let Some(court) = Court::proxy(test, &HUBSPOT).await? else { return Ok(()) };
    let batch = ["POST /crm/objects/2026-09/contacts/batch/read".to_owned()];
    for (who, expected) in [
        (&[ADA, NOBODY, "theo@northwind.example"][..], &["unique", "none", "unique"][..]),
        (&["theo@northwind.example", ADA], &["unique", "unique"]),
    ] {
        let (verdicts, requests) = court.together(who, &["/contacts/"]).await?;
        assert_eq!((verdicts.as_slice(), requests.as_slice()), (expected, &batch[..]), "{who:?}");
    }
    Ok(())
}

#[tokio::test]
async fn hubspot_documented_answers_are_understood() -> Result {
    let test = "hubspot_documented_answers_are_understood";
    let Some(court) = Court::mock(test, &HUBSPOT).await? else { return Ok(()) };
    let (phone, email) = (world::EVERYWHERE, "ada.byron@example.com");
    court.judge(Vendor::Hubspot, vec![documented()]).await?;
    court
        .understand(&[
            ("code=200, example=miss", phone, "contact_by_phone not_found", 200),
            ("code=400", phone, "contact_by_phone rejected", 400),
            ("code=401", phone, "contact_by_phone rejected", 401),
            ("code=403", phone, "contact_by_phone rejected", 403),
            ("code=429, example=search", phone, "contact_by_phone limited", 429),
            ("code=429, example=tenSecondly", phone, "contact_by_phone limited", 429),
            ("code=429, example=daily", phone, "contact_by_phone limited", 429),
            ("code=200", email, "contact_by_email found", 200),
            ("code=401", email, "contact_by_email rejected", 401),
            ("code=404", email, "contact_by_email not_found", 404),
            ("code=429", email, "contact_by_email limited", 429),
        ])
        .await
}
