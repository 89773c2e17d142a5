//! Whose number is it: several people, one office, one person in several systems.

use caller_context::demo::faults::Fault;
use caller_context::demo::{Vendor, world};
use serde_json::json;

use crate::support::World;

#[tokio::test]
async fn several_people_are_never_narrowed_to_one() {
    let world = World::start().await;
    let first = world.studio(world::AMBIGUOUS).await;
    assert_eq!((&first["match"], &first["caller_name"]), (&json!("ambiguous"), &json!("Unknown")), "{first}");
    assert_eq!(first["greet_by_name"], false);
    let answer = world.context("demo-admin", json!({ "phone": world::AMBIGUOUS })).await;
    let names = |answer: &serde_json::Value| format!("{:?}", answer["candidates"]);
    assert!(answer["candidates"].as_array().unwrap().len() >= 2, "{answer}");
    world.forget("phone=%2B12125550123").await;
    let again = world.context("demo-admin", json!({ "phone": world::AMBIGUOUS })).await;
    assert_eq!(names(&again), names(&answer), "the order is the same every time");
    assert!(world.asked(Vendor::Payments).is_empty(), "nobody's payments are asked for");
}

#[tokio::test]
async fn an_office_shows_its_company_and_greets_nobody() {
    let world = World::start().await;
    let answer = world.studio(world::SHARED_LINE).await;
    assert_eq!((&answer["match"], &answer["caller_name"]), (&json!("shared_line"), &json!("Unknown")), "{answer}");
    let context = world.context("demo-admin", json!({ "phone": world::SHARED_LINE })).await;
    assert!(context["fields"]["company"]["name"].is_string(), "{context}");
    assert!(context["fields"]["name"].is_null(), "{context}");
}

#[tokio::test]
async fn one_person_in_three_systems_is_one_person() {
    let world = World::start().await;
    let context = world.context("demo-admin", json!({ "phone": world::EVERYWHERE, "explain": true })).await;
    assert_eq!(context["match"], "unique", "{context}");
    for source in ["crm", "salesforce", "customers"] {
        assert_eq!(crate::support::state_of(&context, source).0, "found", "{source}");
    }
}

#[tokio::test]
async fn a_duplicate_record_is_the_same_person() {
    let world = World::start().await;
    assert_eq!(world.studio(world::DUPLICATE).await["match"], "unique");
}

#[tokio::test]
async fn odd_spellings_and_other_countries_are_found() {
    let world = World::start().await;
    for number in [world::ODD_SPELLING, world::BRAZILIAN, world::BRITISH, world::GERMAN] {
        let answer = world.studio(number).await;
        assert_eq!(answer["match"], "unique", "{number}: {answer}");
    }
}

#[tokio::test]
async fn a_stranger_in_first_place_is_not_taken_for_the_caller() {
    let world = World::start().await;
    for vendor in [Vendor::Hubspot, Vendor::Salesforce] {
        world.ill(vendor, Fault::Stranger);
    }
    let answer = world.studio(world::EVERYWHERE).await;
    assert_eq!(answer["match"], "unique");
    assert!(!answer.to_string().contains(world::STRANGER.last), "{answer}");
    let unknown = world.studio(world::UNKNOWN).await;
    assert_eq!((&unknown["match"], &unknown["caller_name"]), (&json!("none"), &json!("Unknown")), "{unknown}");
}

#[tokio::test]
async fn the_same_person_is_found_by_email_and_by_customer_id() {
    let world = World::start().await;
    let by_phone = world.context("demo-admin", json!({ "phone": world::EVERYWHERE })).await;
    let email = by_phone["fields"]["email"].as_str().unwrap();
    let by_email = world.context("demo-admin", json!({ "email": email })).await;
    assert_eq!(
        (&by_email["match"], &by_email["fields"]["name"]),
        (&json!("unique"), &by_phone["fields"]["name"]),
        "{by_email}"
    );
}
