//! Hostile input through every way in: what reaches a vendor is the input and nothing else, in the
//! same request as ever.

use caller_context::cli::demo::Setup;
use caller_context::demo::book::Entry;
use caller_context::demo::{Vendor, world};
use serde_json::{Value, json};

use crate::support::{CONTEXT, World};

/// Each breaks out of something, if let.
const HOSTILE: &[&str] = &[
    "' OR '1'='1",
    "\\' OR Name LIKE '%",
    "'; DROP TABLE customers; --",
    "x' UNION SELECT * FROM customers --",
    "*/ 1=1 /*",
    "} RETURNING Contact(Id) {",
    "\"}]}],\"limit\":200,\"x\":[{\"y\":\"",
    "a&limit=200#fragment",
    "a?admin=true",
    "a%2f..%2fadmin",
    "a;b=c",
    "{secret}",
    "{{customer_id}}",
    "${jndi:ldap://x}",
    "%00",
    "$filter=1 eq 1",
    "C-2001 ",
    "<script>alert(1)</script>",
    "日本語 😀",
];

/// Paths beyond the one that is meant.
const PATHS: &[&str] = &["../admin", "C-1001/../C-1011", "a/b", "..", "a\\b", "%2e%2e/x"];

/// Stands in no segment of a path, encoded or not: servers differ in what they decode first.
fn is_refused_in_paths(text: &str) -> bool {
    text.contains(['/', '\\']) || text.contains("..")
}

/// A request without its texts: objects, lists and how many clauses they have.
fn shape(value: &Value) -> Value {
    match value {
        Value::String(_) => "?".into(),
        Value::Array(items) if items.iter().all(Value::is_string) => json!(["?"]),
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::Object(members) => members.iter().map(|(key, value)| (key.clone(), shape(value))).collect(),
        other => other.clone(),
    }
}

/// A SOQL query with its literals taken out, and the literals as Salesforce reads them.
fn soql(query: &str) -> (String, Vec<String>) {
    let (mut skeleton, mut literals) = (String::new(), Vec::new());
    let mut rest = query.chars();
    while let Some(c) = rest.next() {
        if c != '\'' {
            skeleton.push(c);
            continue;
        }
        let mut literal = String::new();
        loop {
            match rest.next().unwrap() {
                '\'' => break,
                '\\' => literal.push(rest.next().unwrap()),
                c => literal.push(c),
            }
        }
        skeleton.push('?');
        literals.push(literal);
    }
    // so many spellings, so many literals
    while skeleton.contains("?,") {
        skeleton = skeleton.replace("?,?", "?").replace("?, ?", "?");
    }
    (skeleton, literals)
}

/// What distinguishes a kind of request: where it goes and how it is built, without the values.
fn kind(entry: &Entry) -> (Vendor, String, Vec<String>, Value) {
    let path = match (entry.vendor, entry.path.rsplit_once('/')) {
        (Vendor::Payments, _) => "/customer/?/status".into(),
        (Vendor::Hubspot, Some((folder, address))) if address.contains('@') => format!("{folder}/?"),
        _ => entry.path.clone(),
    };
    let query = entry.query.iter().map(|(name, value)| match name.as_str() {
        "q" => format!("q={}", soql(value).0),
        _ => format!("{name}={value}"),
    });
    (entry.vendor, path, query.collect(), shape(&entry.body))
}

/// Every text of a request that can hold an input.
fn texts(entry: &Entry) -> Vec<String> {
    fn of(value: &Value, out: &mut Vec<String>) {
        match value {
            Value::String(text) => out.push(text.clone()),
            Value::Array(items) => items.iter().for_each(|item| of(item, out)),
            Value::Object(members) => members.values().for_each(|member| of(member, out)),
            _ => {}
        }
    }
    let mut out = vec![entry.path.rsplit('/').next().unwrap().to_owned()];
    of(&entry.body, &mut out);
    for (name, value) in &entry.query {
        match name.as_str() {
            "q" => out.extend(soql(value).1),
            _ => out.push(value.clone()),
        }
    }
    out
}

fn requests(world: &World) -> Vec<Entry> {
    let mut all: Vec<Entry> = Vendor::ALL.into_iter().flat_map(|vendor| world.asked(vendor)).collect();
    all.sort_by_key(|entry| entry.number);
    all
}

async fn world() -> World {
    let overrides = ["misses_per_key", "misses_per_organization", "misses_per_number"];
    let overrides = overrides.map(|limit| match limit {
        "misses_per_key" => ("limits.misses_per_key", "100000".to_owned()),
        "misses_per_organization" => ("limits.misses_per_organization", "100000".to_owned()),
        _ => ("limits.misses_per_number", "100000".to_owned()),
    });
    World::with(Setup { overrides: overrides.into(), ..Setup::default() }).await
}

/// The kinds of requests that well-behaved callers cause.
async fn known_kinds(world: &World) -> Vec<(Vendor, String, Vec<String>, Value)> {
    for number in [world::EVERYWHERE, world::UNKNOWN, world::LEAD, world::BRITISH, world::DUPLICATE] {
        world.door.context("demo-admin", json!({ "phone": number })).await;
    }
    for question in [json!({ "email": "ada.byron@analytical.example" }), json!({ "email": "nobody@example.com" })] {
        world.door.context("demo-admin", question).await;
    }
    world.door.context("demo-admin", json!({ "customer_id": "C-1001" })).await;
    let kinds = requests(world).iter().map(kind).collect();
    world.demo.standins.book().clear();
    kinds
}

#[tokio::test]
async fn a_hostile_customer_id_is_one_value_wherever_it_stands() {
    let world = world().await;
    let known = known_kinds(&world).await;
    for text in HOSTILE.iter().chain(PATHS) {
        world.demo.standins.book().clear();
        let id = text.trim();
        let answer = world.door.context("demo-admin", json!({ "customer_id": text })).await;
        let requests = requests(&world);
        for request in &requests {
            assert!(known.contains(&kind(request)), "{text}: a request like no other: {request:?}");
        }
        let payments = requests.iter().filter(|r| r.vendor == Vendor::Payments);
        let paths: Vec<_> = payments.map(|r| (r.path.clone(), r.query.len())).collect();
        if is_refused_in_paths(id) {
            assert_eq!(paths, [], "{text}");
            assert_eq!(answer["sources"]["payments"]["status"], "skipped", "{text}: {answer}");
        } else {
            assert_eq!(paths, [(format!("/customer/{id}/status"), 0)], "{text}");
        }
        let appointments = requests.iter().find(|r| r.vendor == Vendor::Appointments).unwrap();
        assert_eq!(appointments.body["customer_id"], id, "{text}");
        // the customers database: a parameter, or its statement would fail
        assert_eq!(answer["sources"]["customers"]["status"], "not_found", "{text}: {answer}");
    }
}

#[tokio::test]
async fn a_hostile_address_is_one_literal() {
    let world = world().await;
    let known = known_kinds(&world).await;
    let mut refused = 0;
    let locals = ["o'brien", "a'b'c", "'--", "x'/**/or/**/1=1--", "{secret}", "a+b&c=d", "%27", "$`|^~!#*?", "a/../b"];
    let addresses: Vec<String> = locals.iter().map(|local| format!("{local}@example.com")).collect();
    let all = addresses.iter().map(String::as_str).chain(HOSTILE.iter().copied());
    for address in all {
        world.demo.standins.book().clear();
        let request = world.door.post(CONTEXT).bearer_auth("demo-admin").json(&json!({ "email": address }));
        let answer = request.send().await.unwrap();
        if answer.status() != 200 {
            assert_eq!(answer.status(), 400);
            assert!(requests(&world).is_empty(), "{address}");
            refused += 1;
            continue;
        }
        let requests = requests(&world);
        for vendor in [Vendor::Hubspot, Vendor::Salesforce] {
            let of_vendor = || requests.iter().filter(|r| r.vendor == vendor);
            // HubSpot takes the address in its path
            let refused = vendor == Vendor::Hubspot && is_refused_in_paths(address);
            assert_eq!(of_vendor().count() > 0, !refused, "{address}");
            for request in of_vendor() {
                assert!(known.contains(&kind(request)), "{address}: a request like no other: {request:?}");
                assert_eq!(texts(request).iter().filter(|text| *text == address).count(), 1, "{address}: {request:?}");
            }
        }
    }
    assert_eq!(refused, HOSTILE.len(), "what is no address reaches nobody");
}

/// Everything that a flow can send, in every form it can send it in.
#[tokio::test]
async fn whatever_a_flow_sends_vendors_get_requests_as_ever() {
    let world = world().await;
    let known = known_kinds(&world).await;
    let names = ["From", "To", "ForwardedFrom", "Direction", "CallSid", "StirVerstat", "service_type", "location"];
    let names = names.into_iter().chain(["deadline_ms", "AccountSid", "FlowSid", "organization", "source"]);
    for name in names {
        for (n, text) in HOSTILE.iter().chain(PATHS).enumerate() {
            let from = ["+141555501", &format!("{:02}", n % 50)].concat();
            let mut parameters = vec![("From", from.as_str()), ("To", "+18005550100"), ("CallSid", "CA1")];
            parameters.retain(|(known, _)| *known != name);
            parameters.push((name, *text));
            let request = match n % 3 {
                0 => world.door.post("/api/studio/context").form(&parameters),
                1 => world.door.get("/api/studio/context").query(&parameters),
                _ => {
                    let body: Value = parameters.iter().map(|(k, v)| ((*k).to_owned(), Value::from(*v))).collect();
                    world.door.post("/api/studio/context").json(&body)
                }
            };
            let answer = request.bearer_auth("demo-studio").send().await.unwrap();
            assert_eq!(answer.status(), 200, "{name}={text}");
        }
    }
    let requests = requests(&world);
    assert!(requests.len() > 100, "{}", requests.len());
    for request in &requests {
        assert!(known.contains(&kind(request)), "a request like no other: {request:?}");
        for text in texts(request) {
            let is_ours = HOSTILE.iter().chain(PATHS).any(|hostile| hostile.trim() == text);
            let is_declared = text.chars().all(|c| c.is_ascii_alphanumeric() || " _-,.'".contains(c));
            assert!(!is_ours || request.vendor == Vendor::Inventory && is_declared, "{request:?}");
        }
    }
}
