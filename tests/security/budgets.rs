//! A key that is right and in the wrong hands: what it can burn, and what it cannot touch.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use caller_context::cli::demo::Setup;
use caller_context::clock::Clock;
use caller_context::demo::{Vendor, world};
use futures_util::StreamExt as _;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};

use crate::support::{STUDIO, World};

const TOKEN: &str = "the-auth-token-of-an-account";

fn setup(overrides: &[(&'static str, &str)]) -> Setup {
    let mut overrides: Vec<_> = overrides.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
    overrides.push(("server.public_url", "https://context.example.com".into()));
    let environment =
        [("TWILIO_ACCOUNT_SID", "ACours0123456789"), ("TWILIO_AUTH_TOKEN", TOKEN)].map(|(n, v)| (n.into(), v.into()));
    let keys = vec![("walker", "default", "studio"), ("bystander", "default", "studio")];
    Setup { overrides, keys, environment: environment.into(), ..Setup::default() }
}

fn is_limited(answer: &Value) -> bool {
    assert_eq!(answer["caller_name"], "Unknown", "{answer}");
    answer["missing"].as_str().unwrap().contains("limited")
}

/// A call that Twilio proves.
async fn verified(world: &World, from: &str) -> Value {
    let form = [("AccountSid", "ACours0123456789"), ("CallSid", "CA1"), ("From", from)];
    let signed: String = form.iter().flat_map(|(name, value)| [*name, *value]).collect();
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(TOKEN.as_bytes()).unwrap();
    mac.update(format!("https://context.example.com{STUDIO}{signed}").as_bytes());
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    let request = world.door.post(STUDIO).header("x-twilio-signature", signature).form(&form);
    request.send().await.unwrap().json().await.unwrap()
}

/// Ten thousand people are asked for with one key. No more lookups reach the sources than the
/// budget grants; the metric names the key; neither another key nor proved calls are touched.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_numbers_stay_within_the_budget_and_harm_nobody() {
    let world = World::with(setup(&[("limits.misses_per_key", "30"), ("limits.misses_per_organization", "90")])).await;
    let (clock, door) = (Clock::system(), &world.door);
    let from = clock.instant();
    let walk = futures_util::stream::iter(0..10_000).map(|n| async move {
        let number = format!("+1646555{n:04}");
        is_limited(&door.studio("walker", &[("From", &number)]).await)
    });
    let walk = async { walk.buffer_unordered(16).fold(0, |limited, is| async move { limited + u32::from(is) }).await };
    let others = async {
        for n in 0..10 {
            let number = format!("+1347555{n:04}");
            assert!(!is_limited(&door.studio("bystander", &[("From", &number)]).await), "{n}");
        }
    };
    let (limited, ()) = tokio::join!(walk, others);
    // what the budget refills while the test runs
    let refilled = clock.since(from).as_secs_f64() / 2.0;
    let looked_up = 10_000 - limited;
    assert!((30..=31 + refilled as u32).contains(&looked_up), "{looked_up} lookups");
    assert_eq!(world.searches(), looked_up as usize + 10, "what was limited reached nobody");
    let of_walker = "caller_context_misses_refused_total{organization=\"default\",purse=\"walker\"} ";
    assert_eq!(door.metric(of_walker).await, f64::from(limited));
    let found = door.studio("bystander", &[("From", world::EVERYWHERE)]).await;
    assert_eq!(found["match"], "unique", "{found}");
}

#[tokio::test]
async fn proved_calls_have_a_reserve_of_their_own() {
    let world = World::with(setup(&[("limits.misses_per_key", "5"), ("limits.misses_per_organization", "5")])).await;
    for n in 0..20 {
        world.door.studio("walker", &[("From", &format!("+1646555{n:04}"))]).await;
    }
    let other = world.door.studio("bystander", &[("From", world::LEAD)]).await;
    assert!(is_limited(&other), "the organization's budget is spent: {other}");
    assert_eq!(verified(&world, world::EVERYWHERE).await["match"], "unique");
}

/// The budget of one person is theirs whatever else a request varies, and proved calls have their own.
#[tokio::test]
async fn a_person_cannot_be_asked_for_again_and_again_by_varying_the_rest() {
    let world = World::with(setup(&[("limits.misses_per_number", "3")])).await;
    for n in 0..20 {
        let location = format!("place {n}");
        world.door.studio("walker", &[("From", world::UNKNOWN), ("location", &location)]).await;
    }
    assert_eq!(world.asked(Vendor::Inventory).len(), 3);
    let before = world.asked(Vendor::Inventory).len();
    verified(&world, world::UNKNOWN).await;
    assert_eq!(world.asked(Vendor::Inventory).len(), before + 1);
}

/// Requests that are refused for the reader's own budget leave everybody else's alone.
#[tokio::test]
async fn a_spent_key_takes_nothing_from_others() {
    let world = World::with(setup(&[("limits.misses_per_key", "1"), ("limits.misses_per_number", "3")])).await;
    world.door.studio("walker", &[("From", world::UNKNOWN)]).await;
    for _ in 0..20 {
        let refused = world.door.studio("walker", &[("From", world::EVERYWHERE)]).await;
        assert!(is_limited(&refused), "{refused}");
    }
    let found = world.door.context("bystander", json!({ "phone": world::EVERYWHERE })).await;
    assert_eq!(found["match"], "unique", "{found}");
}

/// The budget per minute fills again; that of a day does not. One key has its share of it, whoever holds
/// the key, and the others' calls go on.
#[tokio::test]
async fn one_key_does_not_spend_a_source_for_the_day() {
    let budget = [("sources.crm.limits.budget", "[\"60 per 24h\"]"), ("limits.budget_per_key", "0.5")];
    let world = World::with(setup(&budget)).await;
    for n in 0..50 {
        let limited = world.door.studio("walker", &[("From", &format!("+1646555{n:04}"))]).await;
        assert_eq!(limited["missing"].as_str().unwrap().contains("limited"), n >= 30, "{n}: {limited}");
    }
    assert_eq!(world.searches(), 30);
    let found = world.door.context("bystander", json!({ "phone": world::EVERYWHERE })).await;
    assert_eq!(found["sources"]["crm"]["status"], "found", "{found}");
    assert_eq!(verified(&world, world::BRITISH).await["match"], "unique");
}
