//! Worst cases that only show with sources behind the gateway; those that a caller ID alone shows
//! are in tests/identity.rs. The numbers are the rows of the same list.

use caller_context::demo::faults::Fault;
use caller_context::demo::{Vendor, world};
use serde_json::{Value, json};

use crate::support::{World, until};

/// Row, caller, what is wrong with the CRM, the match, and whether a name may be said.
const ROWS: [(u32, &str, Fault, &str, bool); 9] = [
    (52, world::SHARED_LINE, Fault::None, "shared_line", false),
    (52, world::AMBIGUOUS, Fault::None, "ambiguous", false),
    (53, world::EVERYWHERE, Fault::None, "unique", true),
    (55, world::DUPLICATE, Fault::None, "unique", true),
    (60, world::HOSTILE, Fault::None, "unique", true),
    (60, world::NAMELESS, Fault::None, "unique", false),
    (61, world::EVERYWHERE, Fault::Html, "unique", true),
    (61, world::UNKNOWN, Fault::Html, "none", false),
    (61, world::UNKNOWN, Fault::Stranger, "none", false),
];

#[tokio::test]
async fn whose_number_it_is() {
    for (row, from, fault, verdict, named) in ROWS {
        let world = World::start().await;
        world.ill(Vendor::Hubspot, fault);
        let answer = world.studio(from).await;
        assert_eq!(answer["match"], verdict, "row {row}: {answer}");
        assert_eq!(answer["caller_name"] != "Unknown", named, "row {row}: {answer}");
        assert!(named || answer["greet_by_name"] == false, "row {row}: {answer}");
        let context = world.context("demo-admin", json!({ "phone": from })).await;
        assert!(context["candidates"].as_array().unwrap().len() <= 10, "row {row}");
    }
}

/// Row 62: a widget asks again for the same call.
#[tokio::test]
async fn row_62_the_same_call_asks_twice() {
    let world = World::start().await;
    let form = [("From", world::EVERYWHERE), ("CallSid", "CA62")];
    let (one, two) = tokio::join!(world.studio_with(&form), world.studio_with(&form));
    assert_eq!(one, two);
    let searches = world.asked(Vendor::Hubspot).iter().filter(|e| e.path.contains("contacts/search")).count();
    assert_eq!(searches, 1);
    let rows = || async {
        let request = world.client.get(world.url("/api/audit?call_sid=CA62")).bearer_auth("demo-admin");
        request.send().await.unwrap().json::<Value>().await.unwrap()
    };
    let count = |page: &Value| -> u64 {
        page["entries"].as_array().unwrap().iter().map(|e| e["count"].as_u64().unwrap()).sum()
    };
    assert_eq!(count(&until(rows, |page| count(page) >= 2).await), 2, "every delivery is counted");
}

/// Row 64: hundreds of calls from one number while the CRM is down burn no quota.
#[tokio::test]
async fn row_64_one_number_in_a_storm() {
    let world = World::start().await;
    world.ill(Vendor::Hubspot, Fault::Status(401));
    assert!(world.studio(world::EVERYWHERE).await["call_burst"].is_null());
    for _ in 0..100 {
        assert_eq!(world.studio(world::EVERYWHERE).await["match"], "unique");
    }
    assert_eq!(world.studio(world::EVERYWHERE).await["call_burst"], true, "the flow may treat it as a storm");
    let searches = world.asked(Vendor::Hubspot).iter().filter(|e| e.path.contains("contacts/search")).count();
    assert!((1..=12).contains(&searches), "{searches} searches in one minute");
}
