//! Vendors that answer too much, somebody else's record, or ids that are more than ids. Bombs, depth
//! and slowness are among the faults of the demo world (tests/api/faults.rs).

use serde_json::{Value, json as value};

use crate::support::{Gateway, Vendor, json};

const ANN: &str = "+14155550142";

const SOURCES: &str = r#"
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
own.contact_id = "id"
name  = "name"
email = "email"
tags  = "tags[]"
[sources.crm.lookup.person.list.orders]
from = "orders[]"
item = { id = "id", description = "what" }
[sources.crm.lookup.by_email]
needs   = ["email"]
get     = "/people"
query.email = "{email}"
records = "people"
emails  = ["email"]
fallback_of = "person"
[sources.crm.lookup.by_email.provides]
own.contact_id = "id"
name = "name"
[sources.crm.lookup.deals]
needs = ["own.contact_id"]
post  = "/people/{own.contact_id}/deals"
query.person = "{own.contact_id}"
body  = { person = "{own.contact_id}", open = true }
records = "deals"
list.deals = { item = { id = "id", name = "name" } }
"#;

async fn gateway(vendor: &Vendor) -> Gateway {
    Gateway::start(&SOURCES.replace("VENDOR", &vendor.url), &[("admin", "default", "admin")]).await
}

fn person(id: &str, phone: &str) -> Value {
    value!({ "id": id, "phone": phone, "name": format!("Ann {id}"), "email": "ann@example.com" })
}

#[tokio::test]
async fn long_lists_are_cut() {
    let vendor = Vendor::start(|asked| {
        if asked.path() != "/people" {
            let deals: Vec<_> = (0..500).map(|n| value!({ "id": n, "name": "deal" })).collect();
            return json(value!({ "deals": deals }));
        }
        let mut ann = person("1", ANN);
        ann["orders"] = (0..500).map(|n| value!({ "id": n, "what": "x".repeat(1_000) })).collect();
        ann["tags"] = (0..500).map(|n| format!("tag {n}")).collect();
        json(value!({ "people": [ann] }))
    })
    .await;
    let gateway = gateway(&vendor).await;
    let answer = gateway.door.context("admin", value!({ "phone": ANN })).await;
    let count = |field: &str| answer["fields"][field].as_array().unwrap().len();
    assert_eq!((count("orders"), count("deals")), (10, 10));
    assert!(count("tags") <= 50);
    assert!(answer.to_string().len() < 64 * 1024);
}

/// Five hundred people on one number are answered like any ambiguous number.
#[tokio::test]
async fn a_crowd_is_ambiguous_and_cut() {
    let vendor = Vendor::start(|_| {
        let people = (0..2_000).map(|n| {
            let mut person = person(&n.to_string(), ANN);
            person["email"] = format!("ann{n}@example.com").into();
            person
        });
        json(value!({ "people": people.collect::<Vec<_>>() }))
    })
    .await;
    let gateway = gateway(&vendor).await;
    let answer = gateway.door.context("admin", value!({ "phone": ANN })).await;
    assert_eq!(answer["match"], "ambiguous");
    assert_eq!(answer["candidates"].as_array().unwrap().len(), 10);
    assert_eq!(vendor.asked().len(), 1, "nobody's deals are asked for");
}

#[tokio::test]
async fn somebody_elses_record_is_nobodys() {
    for stranger in [
        value!({ "people": [person("1", "+14155550143"), person("2", "+1 415 555 014"), person("3", "5550142")] }),
        value!({ "people": [{ "id": "1", "name": "No number" }, { "id": "2", "phone": null }, { "id": "3", "phone": "" }] }),
        value!({ "people": person("1", "+44 415 555 0142") }),
        value!({ "people": [{ "id": "1", "phone": [{ "x": ANN }], "name": "nested" }] }),
    ] {
        let vendor = Vendor::start(move |_| json(stranger.clone())).await;
        let gateway = gateway(&vendor).await;
        let answer = gateway.door.context("admin", value!({ "phone": ANN, "explain": true })).await;
        assert_eq!((&answer["match"], &answer["fields"]), (&value!("none"), &value!({})), "{answer}");
        assert_eq!(vendor.asked().len(), 1, "what the stranger has is not asked for");
        // the same vendor, asked by address: the record's own address must be that one
        let answer = gateway.door.context("admin", value!({ "email": "bob@example.com" })).await;
        assert_eq!((&answer["match"], &answer["fields"]), (&value!("none"), &value!({})), "{answer}");
    }
}

/// An id that a vendor gave is encoded anew for the next request, or not used at all.
#[tokio::test]
async fn ids_of_vendors_stay_values() {
    for (id, is_segment) in [
        ("42", true),
        ("a?admin=1", true),
        ("a#b", true),
        ("a&person=2", true),
        ("a%2Fb", true),
        ("\",\"open\":false,\"x\":\"", true),
        ("{secret}", true),
        ("日本", true),
        ("a/../../admin", false),
        ("..", false),
        ("a/b", false),
        ("a\\b", false),
        ("https://evil.example/", false),
        ("@evil.example", true),
    ] {
        let vendor = Vendor::start(move |asked| match asked.path() {
            "/people" => json(value!({ "people": [person(id, ANN)] })),
            _ => json(value!({ "deals": [{ "id": "1", "name": "deal" }] })),
        })
        .await;
        let gateway = gateway(&vendor).await;
        let answer = gateway.door.context("admin", value!({ "phone": ANN })).await;
        let asked = vendor.asked();
        if !is_segment {
            assert_eq!(asked.len(), 1, "{id}: {asked:?}");
            assert!(answer["fields"]["deals"].is_null(), "{id}");
            continue;
        }
        let [_, deals] = asked.as_slice() else { panic!("{id}: {asked:?}") };
        let segments: Vec<_> = deals.path().split('/').collect();
        let ["", "people", segment, "deals"] = segments.as_slice() else { panic!("{id}: {}", deals.target) };
        assert_eq!(percent_encoding::percent_decode_str(segment).decode_utf8().unwrap(), id);
        let parameters = deals.target.split_once('?').unwrap().1.split('&').count();
        assert_eq!((deals.query("person").as_deref(), parameters), (Some(id), 1));
        assert_eq!(deals.body, value!({ "person": id, "open": true }));
        assert_eq!(answer["fields"]["deals"][0]["name"], "deal", "{id}");
    }
}
