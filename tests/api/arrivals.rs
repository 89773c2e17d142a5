//! Sources answer in any order; what becomes of the answers is the same.

use std::time::Duration;

use caller_context::cli::demo::Setup;
use caller_context::demo::{Vendor, world};
use serde_json::{Value, json};

use crate::support::World;

/// Whatever does not tell of times.
fn said(answer: &Value) -> Value {
    let keys = ["match", "lookup_status", "candidates", "fields", "missing"];
    let mut said: Value = keys.iter().map(|key| ((*key).to_owned(), answer[*key].clone())).collect();
    let sources = answer["provenance"].as_object().unwrap().iter();
    said["of"] = sources.map(|(name, of)| (name.clone(), json!([of["source"], of["conflicts"]]))).collect();
    said
}

#[tokio::test]
async fn the_order_of_arrival_changes_nothing() {
    // the answer waits for everybody
    let overrides = vec![("lookup.grace", "5s".to_owned()), ("lookup.deadline", "9s".to_owned())];
    let world = World::with(Setup { overrides, ..Setup::default() }).await;
    let orders = [[0, 40, 80], [0, 80, 40], [40, 0, 80], [40, 80, 0], [80, 0, 40], [80, 40, 0]];
    for caller in [world::EVERYWHERE, world::AMBIGUOUS, world::SHARED_LINE, world::DUPLICATE, world::LEAD] {
        let mut first = None;
        for order in orders {
            for (vendor, latency) in [Vendor::Hubspot, Vendor::Salesforce, Vendor::Payments].into_iter().zip(order) {
                world.slow(vendor, Duration::from_millis(latency));
            }
            let question = json!({ "phone": caller, "explain": true });
            let said = said(&world.context("demo-admin", question).await);
            assert_eq!(*first.get_or_insert(said.clone()), said, "{caller}, {order:?}");
            world.forget(&format!("phone={}", caller.replace('+', "%2B"))).await;
        }
    }
}
