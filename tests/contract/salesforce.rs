//! Salesforce's lookups, and its documented answers.

use caller_context::demo::faults::Fault;
use caller_context::demo::{Vendor, world};
use serde_json::{Value, json};

use super::Result;
use super::court::{ADA, Case, Contract, Court, NOBODY};

const SALESFORCE: Contract = Contract {
    document: "salesforce/openapi.yaml",
    standin: Vendor::Salesforce,
    config: r#"
        [sources.salesforce]
        connector               = "salesforce"
        connection.instance_url = "env:VENDOR_URL"
        hosts                   = ["127.0.0.1"]
        secret                  = "env:VENDOR_TOKEN"
        timeout                 = "30s"
        "#,
};

const QUERY: &str = "GET /services/data/v68.0/query";
const SEARCH: &str = "POST /services/data/v68.0/parameterizedSearch";

/// All that is asked of somebody found by phone.
const FOUND: &[&str] = &["contact_by_phone found", "open_items found"];
const UNKNOWN: &[&str] = &[
    "contact_by_email needs_email",
    "contact_by_phone not_found",
    "contact_by_search not_found",
    "lead_by_phone not_found",
    "open_items needs_salesforce.contact_id",
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
        "company.size": 250,
        "last_contact": "2026-11-02T00:00:00Z",
        "owner.name": "Grace Rep",
        "owner.email": "grace.rep@example.com",
        "deals": [
            {
                "id": "006D00000000010AAA",
                "name": "Difference engine renewal",
                "stage": "Negotiation/Review",
                "amount": 15000,
                "closes_at": "2026-12-31T00:00:00Z",
            },
            {
                "id": "006D00000000011AAA",
                "name": "Punch card supply",
                "stage": "Qualification",
                "amount": 2400.5,
                "closes_at": "2027-02-03T00:00:00Z",
            },
        ],
        "tickets": [{
            "id": "500D00000000010AAA",
            "number": "00001010",
            "subject": "Invoice question",
            "status": "New",
            "priority": "High",
            "updated_at": "2026-11-18T12:00:00Z",
        }],
    })
}

/// The person in the examples of the document.
fn documented() -> Case {
    Case {
        name: "the documented examples",
        who: world::EVERYWHERE,
        fault: Fault::None,
        verdict: "unique",
        lookups: FOUND,
        // Every query is answered with the contact: no deals, no tickets.
        fields: json!({
            "name": "Ada Byron",
            "first_name": "Ada",
            "last_name": "Byron",
            "email": "ada.byron@example.com",
            "phone": world::EVERYWHERE,
            "company.name": "Analytical Engines",
            "owner.name": "Grace Rep",
        }),
        requests: &[QUERY, QUERY],
    }
}

fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "known everywhere, stored with brackets",
            who: world::EVERYWHERE,
            fault: Fault::None,
            verdict: "unique",
            lookups: FOUND,
            fields: ada(),
            requests: &[QUERY, QUERY],
        },
        Case {
            name: "a stranger first",
            who: world::EVERYWHERE,
            fault: Fault::Stranger,
            verdict: "unique",
            lookups: FOUND,
            fields: ada(),
            requests: &[QUERY, QUERY],
        },
        Case {
            name: "only strangers",
            who: world::UNKNOWN,
            fault: Fault::Stranger,
            verdict: "none",
            lookups: UNKNOWN,
            fields: json!({}),
            requests: &[QUERY, QUERY, SEARCH],
        },
        Case {
            name: "stored with dots and an extension, a stranger first",
            who: world::ODD_SPELLING,
            fault: Fault::Stranger,
            verdict: "unique",
            lookups: &[
                "contact_by_phone not_found",
                "contact_by_search found",
                "lead_by_phone not_found",
                "open_items needs_salesforce.company_id",
            ],
            fields: json!({
                "name": "Dana Whitfield",
                "first_name": "Dana",
                "last_name": "Whitfield",
                "email": "dana.whitfield@example.org",
                "phone": world::ODD_SPELLING,
                "last_contact": "2026-11-08T00:00:00Z",
                "owner.name": "Omar Haddad",
                "owner.email": "omar.haddad@example.com",
            }),
            requests: &[QUERY, QUERY, SEARCH],
        },
        Case {
            name: "a lead",
            who: world::LEAD,
            fault: Fault::None,
            verdict: "unique",
            lookups: &[
                "contact_by_email not_found",
                "contact_by_phone not_found",
                "contact_by_search not_found",
                "lead_by_phone found",
                "open_items needs_salesforce.contact_id",
            ],
            fields: json!({
                "name": "Mary Vignoles",
                "first_name": "Mary",
                "last_name": "Vignoles",
                "title": "Buyer",
                "email": "mary@vignoles.example",
                "phone": world::LEAD,
                "company.name": "Vignoles and Daughters",
                "company.size": 40,
                "last_contact": "2026-10-07T00:00:00Z",
                "owner.name": "Grace Rep",
                "owner.email": "grace.rep@example.com",
            }),
            requests: &[QUERY, QUERY, QUERY, SEARCH],
        },
        Case {
            name: "unknown",
            who: world::UNKNOWN,
            fault: Fault::None,
            verdict: "none",
            lookups: UNKNOWN,
            fields: json!({}),
            requests: &[QUERY, QUERY, SEARCH],
        },
        Case {
            name: "by e-mail",
            who: ADA,
            fault: Fault::None,
            verdict: "unique",
            lookups: &["contact_by_email found", "open_items found"],
            fields: ada(),
            requests: &[QUERY, QUERY],
        },
        Case {
            name: "a stranger by e-mail first",
            who: ADA,
            fault: Fault::Stranger,
            verdict: "unique",
            lookups: &["contact_by_email found", "open_items found"],
            fields: ada(),
            requests: &[QUERY, QUERY],
        },
        Case {
            name: "unknown by e-mail",
            who: NOBODY,
            fault: Fault::None,
            verdict: "none",
            lookups: &[
                "contact_by_email not_found",
                "contact_by_phone needs_phone",
                "contact_by_search needs_phone",
                "lead_by_phone needs_phone",
                "open_items needs_salesforce.contact_id",
            ],
            fields: json!({}),
            requests: &[QUERY],
        },
        Case {
            name: "the session has expired",
            who: world::EVERYWHERE,
            fault: Fault::Status(401),
            verdict: "none",
            lookups: &[
                "contact_by_email needs_email",
                "contact_by_phone rejected",
                "open_items needs_salesforce.contact_id",
            ],
            fields: json!({}),
            requests: &[QUERY],
        },
        Case {
            name: "the daily allocation is used up",
            who: world::EVERYWHERE,
            fault: Fault::Status(429),
            verdict: "none",
            lookups: &[
                "contact_by_email needs_email",
                "contact_by_phone limited",
                "open_items needs_salesforce.contact_id",
            ],
            fields: json!({}),
            requests: &[QUERY],
        },
    ]
}

#[tokio::test]
async fn salesforce_requests_and_answers_are_as_documented() -> Result {
    let test = "salesforce_requests_and_answers_are_as_documented";
    let Some(court) = Court::proxy(test, &SALESFORCE).await? else { return Ok(()) };
    court.judge(Vendor::Salesforce, cases()).await
}

#[tokio::test]
async fn salesforce_is_asked_about_a_meeting_as_documented() -> Result {
    let test = "salesforce_is_asked_about_a_meeting_as_documented";
    let Some(court) = Court::proxy(test, &SALESFORCE).await? else { return Ok(()) };
    let (verdicts, requests) = court.together(&[NOBODY, ADA, "theo@northwind.example"], &["query"]).await?;
    assert_eq!(verdicts, ["none", "unique", "none"]);
    assert_eq!(requests, [QUERY, QUERY], "one for all of them, one for the open items of one");
    Ok(())
}

#[tokio::test]
async fn salesforce_documented_answers_are_understood() -> Result {
    let test = "salesforce_documented_answers_are_understood";
    let Some(court) = Court::mock(test, &SALESFORCE).await? else { return Ok(()) };
    let (phone, email) = (world::EVERYWHERE, "ada.byron@example.com");
    court.judge(Vendor::Salesforce, vec![documented()]).await?;
    court
        .understand(&[
            ("code=400, example=malformedQuery", phone, "contact_by_phone rejected", 400),
            ("code=401", phone, "contact_by_phone rejected", 401),
            ("code=403, example=limit", phone, "contact_by_phone limited", 403),
            ("code=403, example=apiDisabled", phone, "contact_by_phone rejected", 403),
            ("code=403, example=access", phone, "contact_by_phone rejected", 403),
            ("code=404", phone, "contact_by_phone rejected", 404),
            ("code=410", phone, "contact_by_phone rejected", 410),
            ("code=503", phone, "contact_by_phone unreachable", 503),
            ("code=200", email, "contact_by_email found", 200),
            ("code=200, example=miss", email, "contact_by_email not_found", 200),
            ("code=403, example=limit", email, "contact_by_email limited", 403),
        ])
        .await
}
