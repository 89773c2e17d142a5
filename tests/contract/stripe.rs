//! Stripe's lookups, and its documented answers.

use caller_context::demo::faults::Fault;
use caller_context::demo::{Vendor, world};
use serde_json::{Value, json};

use super::Result;
use super::court::{ADA, Case, Contract, Court, NOBODY};

const STRIPE: Contract = Contract {
    document: "stripe/openapi.yaml",
    standin: Vendor::Stripe,
    config: r#"
        [sources.stripe]
        connector = "stripe"
        base_url  = "env:VENDOR_URL"
        secret    = "env:VENDOR_TOKEN"
        timeout   = "30s"
        "#,
};

const SEARCH: &str = "GET /v1/customers/search";
const KNOWN: &[&str] = &["GET /v1/charges/search", SEARCH, "GET /v1/invoices/search"];

/// What becomes of all lookups when those of the person end so.
macro_rules! nobody {
    ($by_email:literal, $by_phone:literal) => {
        &[
            concat!("contact_by_email ", $by_email),
            concat!("contact_by_phone ", $by_phone),
            "invoices needs_stripe.contact_id",
            "last_payment needs_stripe.contact_id",
        ]
    };
}

fn ada() -> Value {
    json!({
        "name": "Ada Byron",
        "email": ADA,
        "phone": world::EVERYWHERE,
        "payment.outstanding": 129.50,
        "payment.credit": 5.00,
        "payment.currency": "USD",
        "payment.due_at": "2026-11-24T12:00:00Z",
        "payment.last_at": "2026-11-03T12:00:00Z",
        "payment.last_amount": 249.05,
        "payment.method": "card",
        "payment.auto_pay": true,
        "payment.delinquent": false,
    })
}

fn known(name: &'static str, who: &'static str, fault: Fault, lookups: &'static [&'static str]) -> Case {
    Case { name, who, fault, verdict: "unique", lookups, fields: ada(), requests: KNOWN }
}

fn unknown(name: &'static str, who: &'static str, fault: Fault, lookups: &'static [&'static str]) -> Case {
    Case { name, who, fault, verdict: "none", lookups, fields: json!({}), requests: &[SEARCH] }
}

fn cases() -> Vec<Case> {
    let (ada, nobody) = (world::EVERYWHERE, world::UNKNOWN);
    let by_phone = &["contact_by_phone found", "invoices found", "last_payment found"];
    let by_email = &["contact_by_email found", "invoices found", "last_payment found"];
    vec![
        known("known everywhere", ada, Fault::None, by_phone),
        known("a stranger first", ada, Fault::Stranger, by_phone),
        known("by e-mail", ADA, Fault::None, by_email),
        unknown("unknown", nobody, Fault::None, nobody!("needs_email", "not_found")),
        unknown("only a stranger", nobody, Fault::Stranger, nobody!("needs_email", "not_found")),
        unknown("unknown by e-mail", NOBODY, Fault::None, nobody!("not_found", "needs_phone")),
        unknown("the key was rolled", ada, Fault::Status(401), nobody!("needs_email", "rejected")),
        unknown("too many requests", ada, Fault::Status(429), nobody!("needs_email", "limited")),
    ]
}

#[tokio::test]
async fn stripe_requests_and_answers_are_as_documented() -> Result {
    let test = "stripe_requests_and_answers_are_as_documented";
    let Some(court) = Court::proxy(test, &STRIPE).await? else { return Ok(()) };
    court.judge(Vendor::Stripe, cases()).await
}

#[tokio::test]
async fn stripe_documented_answers_are_understood() -> Result {
    let test = "stripe_documented_answers_are_understood";
    let Some(court) = Court::mock(test, &STRIPE).await? else { return Ok(()) };
    let (phone, email) = ("+14155550123", "jenny.rosen@example.com");
    court
        .understand(&[
            ("code=200", phone, "contact_by_phone found", 200),
            ("code=200", phone, "invoices found", 200),
            ("code=200", phone, "last_payment found", 200),
            ("code=200", email, "contact_by_email found", 200),
            ("code=400", phone, "contact_by_phone rejected", 400),
            ("code=401", phone, "contact_by_phone rejected", 401),
            ("code=404", phone, "contact_by_phone rejected", 404),
            ("code=429", phone, "contact_by_phone limited", 429),
        ])
        .await
}
