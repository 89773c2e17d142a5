//! Who may see what, who is refused, and what is written down about it.

use caller_context::cli::demo::Setup;
use caller_context::demo::{Vendor, world};
use serde_json::{Value, json};

use crate::support::{World, until};

#[tokio::test]
async fn a_small_role_sees_little_even_after_an_administrator_looked() {
    let world = World::start().await;
    let all = world.context("demo-admin", json!({ "phone": world::EVERYWHERE })).await;
    let little = world.context("demo-basic", json!({ "phone": world::EVERYWHERE })).await;
    assert!(all["fields"]["payment"].is_object() && all["fields"]["deals"].is_array(), "{all}");
    assert_eq!(little["fields"]["name"], all["fields"]["name"]);
    for hidden in ["payment", "deals", "orders", "vip", "account_status"] {
        assert!(little["fields"][hidden].is_null(), "{hidden}: {little}");
    }
}

#[tokio::test]
async fn explanations_are_for_administrators() {
    let world = World::start().await;
    let why = world.context("demo-admin", json!({ "phone": world::EVERYWHERE, "explain": true })).await;
    assert!(why.to_string().contains("contact_by_phone"), "{why}");
    let ask = json!({ "phone": world::EVERYWHERE, "explain": true });
    let request = world.client.post(world.url("/api/context")).bearer_auth("demo-advanced").json(&ask);
    let answer = request.send().await.unwrap();
    assert!(!answer.text().await.unwrap().contains("contact_by_phone"));
}

#[tokio::test]
async fn every_delivery_is_in_the_audit_log() {
    let world = World::start().await;
    let forms: Vec<_> = (0..20).map(|call| format!("CA{call}")).collect();
    for call in &forms {
        world.studio_with(&[("From", world::EVERYWHERE), ("CallSid", call)]).await;
    }
    world.context("demo-basic", json!({ "phone": world::EVERYWHERE })).await;
    let rows = || async {
        let request = world.client.get(world.url("/api/audit")).bearer_auth("demo-admin");
        request.send().await.unwrap().json::<Value>().await.unwrap()
    };
    let total = |page: &Value| -> u64 {
        page["entries"].as_array().unwrap().iter().map(|e| e["count"].as_u64().unwrap()).sum()
    };
    let page = until(rows, |page| total(page) >= 21).await;
    assert_eq!(total(&page), 21, "{page}");
    let refused = world.client.get(world.url("/api/audit")).bearer_auth("demo-advanced").send().await.unwrap();
    assert_eq!(refused.status(), 403);
}

#[tokio::test]
async fn a_key_that_walks_through_numbers_runs_out_of_its_own_budget() {
    let overrides = vec![("limits.misses_per_key", "20".to_owned())];
    let keys = vec![("walker", "default", "studio")];
    let world = World::with(Setup { overrides, keys, ..Setup::default() }).await;
    let ask = async |key: &str, from: &str| {
        let request = world.client.post(world.url("/api/studio/context")).bearer_auth(key);
        request.form(&[("From", from)]).send().await.unwrap().json::<Value>().await.unwrap()
    };
    let mut refused = 0;
    for n in 0..60 {
        let answer = ask("walker", &format!("+1415555{:04}", 1000 + n)).await;
        assert_eq!(answer["caller_name"], "Unknown");
        refused += u32::from(answer["missing"].as_str().unwrap().contains("limited"));
    }
    let searches = world.asked(Vendor::Hubspot).iter().filter(|e| e.path.contains("contacts/search")).count();
    assert!((20..=25).contains(&searches), "{searches} searches");
    assert!(refused >= 35, "{refused} refused");
    assert_eq!(ask("demo-studio", world::EVERYWHERE).await["match"], "unique", "another key is not touched");
}

#[tokio::test]
async fn a_hostile_name_is_harmless_text() {
    let world = World::start().await;
    let answer = world.studio(world::HOSTILE).await;
    assert_eq!(answer["match"], "unique", "{answer}");
    for (key, value) in answer.as_object().unwrap() {
        let Some(text) = value.as_str().filter(|_| key != "caller_data") else { continue };
        let bad = |c: char| c.is_control() || "\"\\<>&".contains(c);
        assert!(!text.contains(bad) && !text.contains("{{") && !text.contains("{%"), "{key}: {text}");
    }
}
