//! A phone rings: what the flow is told.

use caller_context::demo::{self, Vendor, world};
use serde_json::{Value, json};

use crate::support::World;

#[tokio::test]
async fn a_known_caller_brings_everything() {
    let world = World::start().await;
    let answer = world.studio(world::EVERYWHERE).await;
    assert_eq!(answer["lookup_status"], "complete", "{answer}");
    assert_eq!(answer["match"], "unique");
    assert_eq!(answer["caller_id_status"], "ok");
    assert_eq!(answer["vip_customer"], true);
    for published in ["caller_name", "caller_email", "account_status", "last_interaction", "preferred_agent"] {
        assert!(answer[published].as_str().is_some_and(|text| !text.is_empty()), "{published}: {answer}");
    }
    assert_ne!(answer["caller_name"], "Unknown");
    assert_eq!(answer["greet_by_name"], true);
    assert!(answer["payment_info"].is_object() && !answer["appointments"].as_array().unwrap().is_empty(), "{answer}");
    let data: Value = serde_json::from_str(answer["caller_data"].as_str().unwrap()).unwrap();
    let keys: Vec<_> = data.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["name", "account_id", "status", "last_contact", "recent_orders"]);
    for order in data["recent_orders"].as_array().unwrap() {
        assert_eq!(order.as_object().unwrap().keys().collect::<Vec<_>>(), ["id", "description", "date"]);
    }
    for vendor in Vendor::ALL.into_iter().filter(|vendor| is_asked_in_the_demo(*vendor)) {
        assert!(!world.asked(vendor).is_empty(), "{} was not asked", vendor.as_str());
    }
}

/// There are stand-ins for more vendors than the demo has sources for.
fn is_asked_in_the_demo(vendor: Vendor) -> bool {
    demo::CONFIG.contains(&format!("DEMO_{}_URL", vendor.as_str().to_uppercase()))
}

#[tokio::test]
async fn a_stranger_is_unknown_with_reasons() {
    let world = World::start().await;
    let answer = world.studio(world::UNKNOWN).await;
    assert_eq!(answer["lookup_status"], "complete");
    assert_eq!(answer["match"], "none");
    assert_eq!(answer["caller_name"], "Unknown");
    assert_eq!((&answer["caller_email"], &answer["vip_customer"]), (&json!(""), &json!(false)));
    assert_eq!(answer["payment_info"], Value::Null);
    assert_eq!(answer["appointments"], json!([]));
    let missing = answer["missing"].as_str().unwrap();
    assert!(missing.contains("vip_customer:not_found"), "{missing}");
    assert!(world.asked(Vendor::Payments).is_empty(), "nobody's payments are asked for");
}

#[tokio::test]
async fn a_withheld_number_asks_nobody() {
    let world = World::start().await;
    for from in [world::WITHHELD, "+266696687", "", "{{trigger.call.From}}", "client:agent_40example_2Ecom", "+12345"] {
        let answer = world.studio(from).await;
        assert_eq!((&answer["lookup_status"], &answer["caller_name"]), (&json!("none"), &json!("Unknown")), "{from}");
        assert_ne!(answer["caller_id_status"], "ok", "{from}");
        assert_eq!(answer["greet_by_name"], false);
    }
    for vendor in Vendor::ALL {
        assert!(world.asked(vendor).is_empty(), "{} was asked", vendor.as_str());
    }
}

#[tokio::test]
async fn an_outbound_call_is_about_the_one_who_is_called() {
    let world = World::start().await;
    let form = [("From", "+14155550100"), ("To", world::EVERYWHERE), ("Direction", "outbound-api")];
    assert_eq!(world.studio_with(&form).await["match"], "unique");
}

#[tokio::test]
async fn get_post_form_and_json_are_one_question() {
    let world = World::start().await;
    let posted = world.studio(world::EVERYWHERE).await;
    let url = world.url(&format!("/api/studio/context?From={}", world::EVERYWHERE.replace('+', "%2B")));
    let got = world.client.get(url).bearer_auth("demo-studio").send().await.unwrap();
    assert_eq!(got.json::<Value>().await.unwrap(), posted);
    let request = world.client.post(world.url("/api/studio/context")).bearer_auth("demo-studio");
    let json = request.json(&json!({ "From": world::EVERYWHERE })).send().await.unwrap();
    assert_eq!(json.json::<Value>().await.unwrap(), posted);
    // a plus that a query string turned into a blank
    let url = world.url(&format!("/api/studio/context?From={}", world::EVERYWHERE));
    let lost_plus = world.client.get(url).bearer_auth("demo-studio").send().await.unwrap();
    assert_eq!(lost_plus.json::<Value>().await.unwrap()["caller_name"], posted["caller_name"]);
}

#[tokio::test]
async fn a_failed_attestation_is_not_greeted_nor_told_personal_things() {
    let world = World::start().await;
    let ask = async |stir: &str| world.studio_with(&[("From", world::EVERYWHERE), ("StirVerstat", stir)]).await;
    let attested = ask("TN-Validation-Passed-A").await;
    assert_eq!(attested["greet_by_name"], true);
    for low in ["TN-Validation-Failed-A", "TN-Validation-Passed-A-Diverted"] {
        let answer = ask(low).await;
        assert_eq!((&answer["greet_by_name"], &answer["caller_name"]), (&json!(false), &json!("Unknown")), "{low}");
        assert_eq!((&answer["payment_info"], &answer["caller_email"]), (&Value::Null, &json!("")), "{low}");
        let bytes = answer.to_string();
        assert!(!bytes.contains(attested["caller_name"].as_str().unwrap()), "{low}: {bytes}");
    }
    assert_eq!(ask("").await["greet_by_name"], true, "no verdict is the normal case");
}

#[tokio::test]
async fn request_inputs_reach_their_source_and_no_other_text_does() {
    let world = World::start().await;
    let form = [("From", world::EVERYWHERE), ("service_type", "repair"), ("location", "uptown")];
    world.studio_with(&form).await;
    let asked = world.asked(Vendor::Inventory);
    assert!(asked.iter().any(|entry| format!("{:?}", entry.body).contains("uptown")), "{asked:?}");
    world.studio_with(&[("From", world::EVERYWHERE), ("location", "up\"}, {\"x\": \"town")]).await;
    let bodies = format!("{:?}", world.asked(Vendor::Inventory));
    assert!(!bodies.contains("{\\\"x"), "{bodies}");
}
