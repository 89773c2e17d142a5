//! Before a meeting: everybody who takes part, by e-mail; and that somebody who also phones is asked
//! for once.

use std::collections::BTreeMap;
use std::time::Duration;

use caller_context::cli::demo::Setup;
use caller_context::clock::Clock;
use caller_context::demo::faults::Fault;
use caller_context::demo::{Vendor, world};
use serde_json::{Value, json};

use crate::support::{World, state_of, until};

const ADA: &str = "ada.byron@analytical.example";
const DANA: &str = "dana.whitfield@example.org";
/// Twice in one CRM, under one address.
const CARLA: &str = "carla.mendes@example.org";
const GRACE: &str = "grace.rep@example.com";

/// An answer waits for everybody, however busy the machine is.
async fn patient() -> World {
    World::with(Setup { overrides: vec![("lookup.grace", "9s".into())], ..Setup::default() }).await
}

fn kinds(told: &Value) -> Vec<&str> {
    told["talking_points"].as_array().unwrap().iter().map(|point| point["kind"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn everybody_is_answered_for_in_order() {
    let world = patient().await;
    let told =
        world.meeting("demo-advanced", &[ADA, GRACE, "nobody@example.net", "", "odd", "ADA.Byron@Analytical.example "]);
    let told = told.await;
    let seen: Vec<_> = told
        .iter()
        .map(|t| {
            let word = |pointer: &str| t.pointer(pointer).and_then(Value::as_str).unwrap_or("-");
            (t["positions"].to_string(), word("/context/identity/status"), word("/context/match"), word("/email"))
        })
        .collect();
    let expected = [
        ("[0,5]".to_owned(), "ok", "unique", ADA),
        ("[1]".into(), "internal", "none", GRACE),
        ("[2]".into(), "ok", "none", "nobody@example.net"),
        ("[3]".into(), "missing", "none", "-"),
        ("[4]".into(), "invalid", "none", "-"),
    ];
    assert_eq!(seen, expected);
    for (n, status) in ["complete", "none", "complete", "none", "none"].into_iter().enumerate() {
        assert_eq!(told[n]["context"]["lookup_status"], status, "{}", told[n]);
    }
    let ada = &told[0];
    assert_eq!(ada["last_interaction"]["ago"], "2 weeks ago", "{ada}");
    let points = ["last_interaction", "open_deals", "company_size", "open_tickets", "open_balance", "next_appointment"];
    assert_eq!(kinds(ada), points);
    let fields = &ada["context"]["fields"];
    assert_eq!((&fields["title"], &fields["company"]["size"]), (&json!("Head of Operations"), &json!(250)));
    assert!(fields["deals"][0]["stage"].is_string() && fields["deals"][0]["amount"].is_number(), "{fields}");
    assert_eq!(ada["talking_points"][2]["text"], "Company size: 250 employees");
    for nobody in &told[1..] {
        assert_eq!(nobody["talking_points"], json!([]), "{nobody}");
    }
    let asked = format!("{:?}", Vendor::ALL.map(|vendor| world.asked(vendor)));
    assert!(!asked.contains("grace"), "our own are not looked up");
}

#[tokio::test]
async fn a_person_is_answered_for_like_anybody_an_agent_asks_about() {
    let world = patient().await;
    for key in ["demo-basic", "demo-advanced"] {
        let [told] = &world.meeting(key, &[ADA]).await[..] else { panic!("one participant") };
        assert_eq!(told["context"], world.context(key, json!({ "email": ADA })).await);
    }
    let twice = world.meeting("demo-advanced", &[CARLA]).await;
    assert_eq!(twice[0]["context"], world.context("demo-advanced", json!({ "email": CARLA })).await);
}

#[tokio::test]
async fn what_a_view_hides_makes_no_talking_point() {
    let more = "[views.masked]\nextends = \"advanced\"\nmask = { last_contact = \"full\", deals = \"full\" }\n\
                hide = [\"company.size\"]\n";
    let keys = vec![("masked", "default", "masked")];
    let overrides = vec![("lookup.grace", "9s".into())];
    let world = World::with(Setup { more: more.into(), keys, overrides, ..Setup::default() }).await;
    world.meeting("demo-admin", &[ADA]).await;
    let basic = &world.meeting("demo-basic", &[ADA]).await[0];
    assert_eq!((kinds(basic), &basic["last_interaction"]), (vec![], &Value::Null), "{basic}");
    assert_eq!(basic["context"]["fields"]["name"], "Ada Byron");
    let masked = &world.meeting("masked", &[ADA]).await[0];
    assert_eq!(kinds(masked), ["open_tickets", "open_balance", "next_appointment"], "{masked}");
    assert!(masked["last_interaction"].is_null());
}

#[tokio::test]
async fn a_slow_source_costs_its_own_data_within_one_deadline() {
    let world = World::start().await;
    world.ill(Vendor::Salesforce, Fault::Hang);
    let from = Clock::system();
    let started = from.instant();
    let question = json!({ "participants": [ADA, DANA, CARLA, "nobody@example.net"], "deadline_ms": 2_000 });
    let request = world.client.post(world.url("/api/meetings/context")).bearer_auth("demo-admin").json(&question);
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    let took = from.since(started);
    assert!(took < Duration::from_millis(4_000), "four people under one deadline: {took:?}");
    for told in answer["participants"].as_array().unwrap() {
        assert_eq!(state_of(&told["context"], "salesforce").0, "pending", "{told}");
        assert_eq!(told["context"]["lookup_status"], "partial");
    }
    assert_eq!(answer["participants"][0]["context"]["match"], "unique");
}

/// What a person costs is counted in the stand-ins' books: requests by their path, without ids.
fn books(world: &World) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for vendor in Vendor::ALL {
        for entry in world.asked(vendor) {
            let query = format!("{:?}", entry);
            let what = match entry.path.as_str() {
                path if path.contains("/contacts/search") => "search",
                path if path.ends_with("/contacts/batch/read") => "contacts",
                path if path.contains("/contacts/") => "contact",
                path if path.contains("/companies/") => "company",
                path if path.contains("/deals/") => "deals",
                path if path.contains("/tickets/") => "tickets",
                path if path.contains("/owners/") => "owner",
                path if path.ends_with("/query") && query.contains("Opportunities") => "open_items",
                path if path.ends_with("/query") && query.contains("Email IN (") => "people",
                path if path.ends_with("/query") => "person",
                _ => vendor.as_str(),
            };
            *counts.entry(what.to_owned()).or_default() += 1;
        }
    }
    counts
}

/// What is keyed by a vendor's ids, by a number or by the customer id.
const SHARED: [&str; 7] = ["company", "deals", "tickets", "owner", "open_items", "payments", "appointments"];

#[tokio::test]
async fn who_phoned_and_takes_part_is_one_person() {
    let world = patient().await;
    world.studio(world::EVERYWHERE).await;
    let phoned = books(&world);
    for what in SHARED {
        assert_eq!(phoned.get(what), Some(&1), "{what}: {phoned:?}");
    }
    let told = world.meeting("demo-admin", &[ADA]).await;
    assert_eq!(told[0]["context"]["fields"]["customer_id"], "C-1001", "{told:?}");
    assert_eq!(told[0]["context"]["fields"]["orders"].as_array().unwrap().len(), 2, "out of the database");
    let met = books(&world);
    for what in SHARED.into_iter().chain(["search"]) {
        assert_eq!(met[what], phoned[what], "{what} was asked for again: {met:?}");
    }
    assert_eq!(met["contact"], 1, "by the address, which nobody had asked for: {met:?}");
    world.meeting("demo-admin", &[ADA]).await;
    assert_eq!(books(&world), met);
}

#[tokio::test]
async fn who_took_part_and_phones_is_one_person() {
    let world = patient().await;
    world.meeting("demo-admin", &[ADA]).await;
    let met = books(&world);
    world.studio(world::EVERYWHERE).await;
    let phoned = books(&world);
    for what in SHARED.into_iter().chain(["contact"]) {
        assert_eq!((phoned[what], phoned[what]), (1, met[what]), "{what} was asked for again: {phoned:?}");
    }
    assert_eq!(phoned["search"], 1);
}

#[tokio::test]
async fn those_who_ask_at_the_same_time_ask_once() {
    let world = patient().await;
    for vendor in [Vendor::Hubspot, Vendor::Salesforce] {
        world.slow(vendor, Duration::from_millis(50));
    }
    let (met, again, phoned) = tokio::join!(
        world.meeting("demo-admin", &[ADA, ADA]),
        world.meeting("demo-basic", &[ADA]),
        world.studio(world::EVERYWHERE),
    );
    assert_eq!((met.len(), again.len(), &phoned["match"]), (1, 1, &json!("unique")));
    let books = books(&world);
    for what in SHARED.into_iter().chain(["search", "contact"]) {
        assert_eq!(books[what], 1, "{what}: {books:?}");
    }
}

#[tokio::test]
async fn colleagues_share_what_is_their_companys() {
    let world = patient().await;
    let office = ["nia@northwind.example", "theo@northwind.example", "mei@northwind.example", "jo@northwind.example"];
    let told = world.meeting("demo-admin", &office).await;
    assert!(told.iter().all(|t| t["context"]["fields"]["company"]["size"] == 18), "{told:?}");
    let books = books(&world);
    assert_eq!((books["contacts"], books["people"], books["company"], books["deals"]), (1, 1, 1, 4), "{books:?}");
}

/// Who is asked for together is in one request, and whoever is asked for already is not in it.
#[tokio::test]
async fn people_are_asked_for_together_and_each_of_them_once() {
    let world = patient().await;
    for vendor in [Vendor::Hubspot, Vendor::Salesforce] {
        world.slow(vendor, Duration::from_millis(300));
    }
    let strangers = ["a@nowhere.example", "b@nowhere.example", "c@nowhere.example"];
    let meetings = async {
        until(async || world.asked(Vendor::Hubspot).len(), |asked| *asked > 0).await;
        let people = ([strangers[0], strangers[1], DANA], [strangers[1], ADA, strangers[2], CARLA]);
        tokio::join!(world.meeting("demo-admin", &people.0), world.meeting("demo-admin", &people.1))
    };
    let (alone, (first, second)) = tokio::join!(world.context("demo-admin", json!({ "email": ADA })), meetings);
    assert_eq!(second[1]["context"], alone);
    let verdicts: Vec<_> = first.iter().chain(&second).map(|told| told["context"]["match"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["none", "none", "unique", "none", "unique", "none", "unique"]);
    let asked = |vendor, together: &str| {
        let entries = world.asked(vendor).into_iter();
        entries.map(|entry| format!("{entry:?}")).filter(|text| text.contains(together)).collect::<Vec<_>>()
    };
    for (vendor, together) in [(Vendor::Hubspot, "batch/read"), (Vendor::Salesforce, "Email IN (")] {
        let requests = asked(vendor, together);
        assert_eq!(requests.len(), 2, "one for each meeting: {requests:?}");
        for address in strangers.iter().chain([&DANA, &CARLA]) {
            let times = asked(vendor, address).len();
            assert_eq!(times, 1, "{} was asked for {address} {times} times", vendor.as_str());
        }
        assert!(requests.iter().all(|request| !request.contains(ADA)), "somebody asks for her already: {requests:?}");
    }
}

/// One request for all of them is one that can fail: then it says so of each, and nobody else.
#[tokio::test]
async fn a_failed_batch_is_everybodys_reason() {
    let world = patient().await;
    world.ill(Vendor::Hubspot, Fault::Status(500));
    let told = world.meeting("demo-admin", &[ADA, DANA, "nobody@example.net"]).await;
    for one in &told {
        assert_eq!(state_of(&one["context"], "crm"), ("failed".into(), "unreachable".into()), "{one}");
        assert_eq!(state_of(&one["context"], "salesforce").0 == "found", one["email"] != "nobody@example.net", "{one}");
    }
    world.ill(Vendor::Hubspot, Fault::None);
    let healed = world.meeting("demo-admin", &[ADA, DANA]).await;
    assert!(
        healed.iter().all(|one| state_of(&one["context"], "crm").0 == "found"),
        "failures are not kept: {healed:?}"
    );
}

/// Whoever is forgotten by one of their ways is forgotten by all of them.
#[tokio::test]
async fn forgetting_reaches_the_call_and_the_meeting() {
    let number = world::EVERYWHERE.replace('+', "%2B");
    for query in [format!("phone={number}"), format!("email={}", ADA.replace('@', "%40")), "customer_id=C-1001".into()]
    {
        let world = patient().await;
        world.studio(world::EVERYWHERE).await;
        world.meeting("demo-admin", &[ADA]).await;
        let before = books(&world);
        assert_eq!(world.forget(&query).await, 200);
        world.meeting("demo-admin", &[ADA]).await;
        world.studio(world::EVERYWHERE).await;
        let after = books(&world);
        for what in SHARED.into_iter().chain(["search", "contact"]) {
            assert_eq!(after[what], before[what] + 1, "{query}: {what} was still there: {after:?}");
        }
    }
}

#[tokio::test]
async fn every_participant_has_an_audit_row_of_the_session() {
    let world = World::start().await;
    let question = json!({ "participants": [ADA, GRACE, "nobody@example.net", "odd"], "session_id": "session-7" });
    let request = world.client.post(world.url("/api/meetings/context")).bearer_auth("demo-basic").json(&question);
    assert_eq!(request.send().await.unwrap().status(), 200);
    let rows = || async {
        let request = world.client.get(world.url("/api/audit?call_sid=session-7")).bearer_auth("demo-admin");
        request.send().await.unwrap().json::<Value>().await.unwrap()["entries"].as_array().unwrap().clone()
    };
    let rows = until(rows, |rows| rows.len() >= 2).await;
    let mut seen: Vec<_> = rows.iter().map(|row| row["caller"].as_str().unwrap()).collect();
    seen.sort_unstable();
    assert_eq!(seen, [ADA, "nobody@example.net"], "who was not looked up was not told of");
    let ada = rows.iter().find(|row| row["caller"] == ADA).unwrap();
    assert_eq!(
        (&ada["surface"], &ada["view"], &ada["caller_kind"]),
        (&json!("meetings"), &json!("basic"), &json!("email"))
    );
    let mut fields: Vec<_> = ada["fields"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["email", "first_name", "last_name", "name", "phone"]);
    let answers = world.metric("caller_context_answers_total{").await;
    let of_meetings = answers.iter().filter(|line| line.contains("surface=\"meetings\""));
    let count: f64 = of_meetings.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum();
    assert_eq!(count, 4.0, "{answers:?}");
}

#[tokio::test]
async fn problems_name_what_is_wrong() {
    let world =
        World::with(Setup { overrides: vec![("meetings.participants_max", "3".into())], ..Setup::default() }).await;
    let ask = |question: Value| {
        let request = world.client.post(world.url("/api/meetings/context")).bearer_auth("demo-admin").json(&question);
        async {
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
        }
    };
    for (question, code, parameter) in [
        (json!({ "participants": vec!["a@b.example"; 4] }), "too-many-participants", "participants"),
        (json!({ "participants": [] }), "invalid-parameter", "participants"),
        (json!({}), "invalid-parameter", "participants"),
        (json!({ "participants": [ADA], "deadline_ms": "soon" }), "invalid-parameter", "deadline_ms"),
        (json!({ "participants": [ADA], "location": "x\"y" }), "invalid-parameter", "location"),
    ] {
        let (status, problem) = ask(question.clone()).await;
        assert_eq!(
            (status, &problem["code"], &problem["parameter"]),
            (400, &json!(code), &json!(parameter)),
            "{question}"
        );
    }
    let (status, told) = ask(json!({ "participants": [null, { "email": ADA }, "\u{0}\"<{{x}}>"] })).await;
    let statuses = told["participants"].as_array().unwrap().iter().map(|t| &t["context"]["identity"]["status"]);
    assert_eq!(
        json!([status, statuses.collect::<Vec<_>>()]),
        json!([200, ["missing", "missing", "invalid"]]),
        "{told}"
    );
    assert!(!told.to_string().contains('<'), "{told}");
}

/// Each organization has its own people; domains below a named one count, look-alikes do not.
#[tokio::test]
async fn own_people_are_an_organizations_own() {
    let more = "[organizations.other]\nown_domains = [\"Analytical.example\"]\n";
    let keys = vec![("other", "other", "basic")];
    let world = World::with(Setup { more: more.into(), keys, ..Setup::default() }).await;
    let status = async |key: &str, address: &str| {
        world.meeting(key, &[address]).await[0]["context"]["identity"]["status"].as_str().unwrap().to_owned()
    };
    for (key, address, expected) in [
        ("demo-basic", GRACE, "internal"),
        ("demo-basic", "grace@eu.example.com", "internal"),
        ("demo-basic", "grace@notexample.com", "ok"),
        ("demo-basic", ADA, "ok"),
        ("other", ADA, "internal"),
        ("other", GRACE, "ok"),
    ] {
        assert_eq!(status(key, address).await, expected, "{key} {address}");
    }
}
