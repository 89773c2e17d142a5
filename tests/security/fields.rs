//! Fields that nobody cleared, and what the absence of a field would say.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::response::IntoResponse as _;
use serde_json::{Value, json as value};

use crate::support::{CONTEXT, Gateway, Vendor, files, json, until};

const ANN: &str = "+14155550142";

/// What of a vendor's answer may be nowhere: names that never enter, in every spelling and at every
/// depth, and names that no configuration mentions.
fn poisoned() -> Value {
    value!({ "people": [{
        "id": "C-1", "phone": ANN, "name": "Ann Lee", "email": "ann@example.com",
        "SSN": "canary-never-1", "card-number": "canary-never-2", "x": { "Password_Hash": "canary-never-3" },
        "Tax ID": { "value": "canary-never-4" }, "i_b_a_n": ["canary-never-5"], "petName": "canary-never-6",
        "new_column": "canary-unknown-1", "more": { "new": "canary-unknown-2" },
        "mystery": "canary-unclassified",
        "cards": [{ "id": "1", "CVV": "canary-never-7", "brand": "visa" }],
    }] })
}

/// Paths that lead straight to them, and patterns that would take them along.
const SOURCES: &str = r#"
[never]
names = ["pet-name"]
[fields]
mystery = { type = "text" }
[sources.crm]
connector = "http"
base_url  = "VENDOR"
auth.none = {}
[sources.crm.lookup.person]
needs   = ["phone"]
get     = "/people"
query.phone = "{phone}"
records = "people"
phones  = ["phone"]
[sources.crm.lookup.person.provides]
customer_id  = "id"
name         = "name"
email        = "email"
mystery      = "mystery"
title        = "SSN"
notes        = "x.Password_Hash"
company.name = "'card-number'"
account_id   = "'Tax ID'.value"
language     = { first_of = ["petName", "i_b_a_n[0]"] }
tags         = { first_of = ["x[]", "cards[][]"] }
[sources.crm.lookup.person.list.orders]
from = "cards[]"
item = { id = "id", description = "CVV" }
"#;

#[tokio::test]
async fn what_never_enters_is_in_no_answer_file_or_metric() {
    let vendor = Vendor::start(|_| json(poisoned())).await;
    let keys = [("admin", "default", "admin"), ("basic", "default", "basic"), ("studio", "default", "studio")];
    let gateway = Gateway::start(&SOURCES.replace("VENDOR", &vendor.url), &keys).await;
    let door = &gateway.door;
    let admin = door.context("admin", value!({ "phone": ANN, "explain": true })).await;
    assert_eq!(admin["fields"]["email"], "ann@example.com", "{admin}");
    assert_eq!(admin["unclassified"], value!(["mystery"]));
    let mut out = vec![
        ("admin".to_owned(), admin.to_string().into_bytes()),
        ("basic".into(), door.context("basic", value!({ "phone": ANN })).await.to_string().into()),
        ("studio".into(), door.studio("studio", &[("From", ANN)]).await.to_string().into()),
        ("metrics".into(), door.metrics().await.into()),
    ];
    let rows = until(|| door.audit("admin", &[]), |rows| rows.len() >= 3).await;
    out.push(("audit".into(), Value::Array(rows).to_string().into()));
    let Gateway { app, folder, .. } = gateway;
    app.shutdown().await;
    out.extend(files(folder.path()));
    for (what, bytes) in &out {
        let text = String::from_utf8_lossy(bytes);
        let found: Vec<_> =
            text.match_indices("canary").map(|(at, _)| text[at..].chars().take(24).collect::<String>()).collect();
        assert!(found.is_empty(), "{what}: {found:?}");
    }
    assert_eq!(admin["fields"]["tags"], value!(["1", "visa"]), "the pattern took what it may");
}

/// Two people who differ only in what a small role cannot see get the same bytes: whether the
/// hidden source knows them, fails or says nothing.
#[tokio::test]
async fn hidden_differences_do_not_show() {
    let mut answers: Vec<(String, Vec<(String, String)>)> = Vec::new();
    for hidden in ["rich", "poor", "unknown", "ill"] {
        let settled = Arc::new(AtomicBool::new(false));
        let flag = settled.clone();
        let vendor = Vendor::start(move |asked| {
            if asked.path() == "/people" {
                let mut person = value!({ "id": "C-1", "phone": ANN, "name": "Ann Lee", "vip": hidden == "rich" });
                if hidden == "rich" {
                    person["notes"] = "hidden".into();
                }
                return json(value!({ "people": [person] }));
            }
            flag.store(true, Ordering::SeqCst);
            match hidden {
                "rich" => json(value!({ "owed": "10000.00" })),
                "poor" => json(value!({ "owed": "0.00", "currency": "EUR" })),
                "unknown" => (http::StatusCode::NOT_FOUND, "{}").into_response(),
                _ => (http::StatusCode::INTERNAL_SERVER_ERROR, "{}").into_response(),
            }
        })
        .await;
        let gateway = Gateway::start(&HIDDEN.replace("VENDOR", &vendor.url), &[("basic", "default", "basic")]).await;
        for _ in 0..2 {
            let request = gateway.door.post(CONTEXT).bearer_auth("basic").json(&value!({ "phone": ANN }));
            let answer = request.send().await.unwrap();
            let headers = answer.headers().iter().map(|(name, value)| (name.to_string(), format!("{value:?}")));
            let headers = headers.filter(|(name, _)| name != "date").collect();
            answers.push((without_time(&answer.text().await.unwrap()), headers));
        }
        assert!(settled.load(Ordering::SeqCst), "the hidden source was asked");
    }
    for answer in &answers {
        assert_eq!(answer, &answers[0]);
    }
    let text = &answers[0].0;
    assert!(text.contains("Ann Lee") && text.contains("withheld") && !text.contains("payments"), "{text}");
}

const HIDDEN: &str = r#"
[sources.crm]
connector = "http"
base_url  = "VENDOR"
auth.none = {}
[sources.crm.lookup.person]
needs   = ["phone"]
get     = "/people"
query.phone = "{phone}"
records = "people"
phones  = ["phone"]
[sources.crm.lookup.person.provides]
customer_id = "id"
name  = "name"
vip   = "vip"
notes = "notes"
[sources.payments]
connector = "http"
base_url  = "VENDOR"
auth.none = {}
[sources.payments.lookup.balance]
needs = ["customer_id"]
get   = "/balance/{customer_id}"
[sources.payments.lookup.balance.provides]
payment.outstanding = "owed"
payment.currency    = "currency"
"#;

/// The one thing that may differ: when it was read.
fn without_time(text: &str) -> String {
    let mut answer: Value = serde_json::from_str(text).unwrap();
    answer["lookup_timestamp"] = "then".into();
    answer.to_string()
}
