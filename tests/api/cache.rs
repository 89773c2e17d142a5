//! What is kept, for how long, and how it goes.

use caller_context::cli::demo::Setup;
use caller_context::demo::faults::Fault;
use caller_context::demo::{Vendor, world};
use serde_json::json;

use crate::support::{World, state_of, until};

fn searches(world: &World) -> usize {
    world.asked(Vendor::Hubspot).iter().filter(|e| e.path.contains("contacts/search")).count()
}

#[tokio::test]
async fn a_second_call_asks_nobody() {
    let world = World::start().await;
    let first = world.studio(world::EVERYWHERE).await;
    let asked: usize = Vendor::ALL.iter().map(|v| world.asked(*v).len()).sum();
    assert_eq!(world.studio(world::EVERYWHERE).await, first);
    assert_eq!(Vendor::ALL.iter().map(|v| world.asked(*v).len()).sum::<usize>(), asked);
}

#[tokio::test]
async fn five_hundred_at_once_are_one_lookup() {
    let world = World::start().await;
    world.slow(Vendor::Hubspot, std::time::Duration::from_millis(200));
    let callers = (0..500).map(|_| world.studio(world::EVERYWHERE));
    let answers = futures_util::future::join_all(callers).await;
    assert!(answers.iter().all(|a| a["match"] == "unique"));
    assert_eq!(searches(&world), 1);
    for vendor in [Vendor::Payments, Vendor::Appointments, Vendor::Inventory] {
        assert_eq!(world.asked(vendor).len(), 1, "{}", vendor.as_str());
    }
}

#[tokio::test]
async fn a_caller_who_hangs_up_cancels_nothing() {
    let world = World::start().await;
    world.slow(Vendor::Hubspot, std::time::Duration::from_millis(200));
    let leader = tokio::time::timeout(std::time::Duration::from_millis(50), world.studio(world::EVERYWHERE));
    assert!(leader.await.is_err(), "the leader hung up");
    assert_eq!(world.studio(world::EVERYWHERE).await["match"], "unique");
    assert_eq!(searches(&world), 1, "the follower joined what the leader had started");
}

#[tokio::test]
async fn stale_answers_go_out_at_once_and_are_refreshed_behind() {
    let overrides = vec![("cache.fresh", "1ms".to_owned())];
    let world = World::with(Setup { overrides, ..Setup::default() }).await;
    world.studio(world::EVERYWHERE).await;
    let before = searches(&world);
    let stale = world.studio(world::EVERYWHERE).await;
    assert_eq!((&stale["lookup_status"], &stale["match"]), (&json!("stale"), &json!("unique")), "{stale}");
    until(|| async { searches(&world) }, |now| *now > before).await;
}

#[tokio::test]
async fn refreshes_leave_the_reserve_of_a_budget_to_those_who_wait() {
    let budget = ("sources.payments.limits.budget", "[\"5 per 24h\"]".to_owned());
    let overrides = vec![("cache.fresh", "1ms".to_owned()), budget];
    let world = World::with(Setup { overrides, ..Setup::default() }).await;
    let asked = || world.asked(Vendor::Payments).len();
    let limited = "caller_context_source_outcomes_total{organization=\"default\",source=\"payments\",\
                   operation=\"status\",outcome=\"skipped\",reason=\"limited\"}";
    let refreshed = async || {
        world.studio(world::EVERYWHERE).await;
        world.metric(limited).await
    };
    until(refreshed, |limited| !limited.is_empty()).await;
    assert_eq!(asked(), 4, "one call that somebody waited for, three refreshes");
    for expected in [5, 5] {
        world.forget("phone=%2B14155550142").await;
        world.studio(world::EVERYWHERE).await;
        assert_eq!(asked(), expected);
    }
    let health: serde_json::Value = world.client.get(world.url("/readyz")).send().await.unwrap().json().await.unwrap();
    let sources = health["sources"].as_array().unwrap();
    let payments = sources.iter().find(|source| source["name"] == "payments").unwrap();
    let budget = json!({ "window": "1d", "limit": 5, "remaining": 0, "dry_in_seconds": 0 });
    assert_eq!(payments["budgets"], json!([budget]));
    let shown = "caller_context_quota_remaining{source=\"payments\",window=\"1d\"}";
    assert_eq!(world.metric(shown).await, [format!("{shown} 0")]);
}

#[tokio::test]
async fn refreshes_are_left_out_before_live_calls_are() {
    let overrides = vec![("cache.fresh", "1ms".to_owned()), ("lookup.refreshes", "1".into())];
    let world = World::with(Setup { overrides, ..Setup::default() }).await;
    for known in [world::EVERYWHERE, world::BRITISH] {
        world.studio(known).await;
    }
    world.ill(Vendor::Hubspot, Fault::Hang);
    let before = searches(&world);
    assert_eq!(world.studio(world::EVERYWHERE).await["lookup_status"], "stale");
    until(|| async { searches(&world) }, |now| *now == before + 1).await;
    assert_eq!(world.studio(world::BRITISH).await["lookup_status"], "stale");
    let live = world.studio_with(&[("From", world::GERMAN), ("deadline_ms", "1500")]).await;
    assert_eq!(live["lookup_status"], "partial", "a live call is asked for though it hangs: {live}");
    assert_eq!(searches(&world), before + 2, "one refresh, one live call; the other refresh was left out");
    assert_eq!(world.metric("caller_context_refreshes_shed_total ").await, ["caller_context_refreshes_shed_total 1"]);
}

#[tokio::test]
async fn a_source_that_fails_leaves_its_old_reading_marked() {
    let overrides = vec![("cache.fresh", "1ms".to_owned()), ("sources.crm.timeout", "300ms".into())];
    let world = World::with(Setup { overrides, ..Setup::default() }).await;
    let title = |answer: &serde_json::Value| answer["fields"]["title"].clone();
    let before = world.context("demo-admin", json!({ "phone": world::EVERYWHERE })).await;
    world.ill(Vendor::Hubspot, Fault::Status(500));
    world.ill(Vendor::Salesforce, Fault::Status(500));
    // asks behind the answer, and fails there
    let asked = world.asked(Vendor::Hubspot).len();
    world.context("demo-admin", json!({ "phone": world::EVERYWHERE })).await;
    until(|| async { world.asked(Vendor::Hubspot).len() }, |now| *now > asked).await;
    let after = world.context("demo-admin", json!({ "phone": world::EVERYWHERE })).await;
    assert_eq!(after["lookup_status"], "stale", "{after}");
    assert_eq!(title(&after), title(&before), "better an old title than none");
    assert_eq!(state_of(&after, "crm").0, "found");
}

#[tokio::test]
async fn failures_are_not_kept() {
    let world = World::start().await;
    world.ill(Vendor::Hubspot, Fault::Status(500));
    assert_eq!(world.source(json!({ "phone": world::EVERYWHERE }), "crm").await.1, "unreachable");
    world.ill(Vendor::Hubspot, Fault::None);
    // the crm is essential in the demo: the next call asks again before it is answered
    assert_eq!(world.source(json!({ "phone": world::EVERYWHERE }), "crm").await.0, "found");
}

#[tokio::test]
async fn a_failed_source_that_is_not_essential_is_asked_again_behind() {
    let overrides = vec![("lookup.retry_failed_after", "100ms".to_owned())];
    let world = World::with(Setup { overrides, ..Setup::default() }).await;
    world.ill(Vendor::Payments, Fault::Status(500));
    assert_eq!(world.source(json!({ "phone": world::EVERYWHERE }), "payments").await.1, "unreachable");
    let before = searches(&world);
    world.ill(Vendor::Payments, Fault::None);
    let healed = until(|| world.source(json!({ "phone": world::EVERYWHERE }), "payments"), |state| state.0 == "found");
    healed.await;
    assert_eq!(searches(&world), before, "only the source that failed was asked again");
}

#[tokio::test]
async fn forgetting_by_any_identifier_drops_the_person_everywhere() {
    let world = World::start().await;
    let by_phone = world.context("demo-admin", json!({ "phone": world::EVERYWHERE })).await;
    let email = by_phone["fields"]["email"].as_str().unwrap().to_owned();
    let before = searches(&world);
    assert_eq!(world.forget(&format!("email={}", email.replace('@', "%40"))).await, 200);
    world.studio(world::EVERYWHERE).await;
    assert_eq!(searches(&world), before + 1, "the context under the phone went too");
}

#[tokio::test]
async fn a_lookup_in_flight_does_not_bring_back_who_was_forgotten() {
    let world = World::start().await;
    world.slow(Vendor::Salesforce, std::time::Duration::from_millis(2_000));
    world.studio_with(&[("From", world::EVERYWHERE), ("deadline_ms", "1500")]).await;
    assert_eq!(world.forget("phone=%2B14155550142").await, 200);
    world.studio(world::EVERYWHERE).await;
    assert_eq!(searches(&world), 2, "what had arrived before is not used, nor is the old flight joined");
    let in_flight = async || world.metric("caller_context_source_in_flight").await;
    until(in_flight, |lines| lines.iter().all(|line| line.ends_with(" 0"))).await;
    world.studio(world::EVERYWHERE).await;
    assert_eq!(searches(&world), 2, "what was asked since is kept");
}

#[tokio::test]
async fn forgetting_one_person_leaves_those_who_share_an_owner() {
    let world = World::start().await;
    world.studio(world::EVERYWHERE).await;
    world.studio(world::BRAZILIAN).await; // the same agent owns both
    assert_eq!(world.forget("phone=%2B14155550142").await, 200);
    let before = searches(&world);
    world.studio(world::BRAZILIAN).await;
    assert_eq!(searches(&world), before);
}

#[tokio::test]
async fn a_candidate_of_an_ambiguous_number_can_be_forgotten() {
    let world = World::start().await;
    let answer = world.context("demo-admin", json!({ "phone": world::AMBIGUOUS })).await;
    let email = answer["candidates"][0]["email"].as_str().unwrap().replace('@', "%40");
    let before = searches(&world);
    assert_eq!(world.forget(&format!("email={email}")).await, 200);
    world.studio(world::AMBIGUOUS).await;
    assert_eq!(searches(&world), before + 1);
}

#[tokio::test]
async fn a_source_that_stays_ill_is_not_asked_behind_every_answer() {
    let overrides = vec![("cache.fresh", "1ms".to_owned()), ("lookup.retry_failed_after", "10m".into())];
    let world = World::with(Setup { overrides, ..Setup::default() }).await;
    world.studio(world::EVERYWHERE).await;
    world.ill(Vendor::Hubspot, Fault::Status(400));
    let before = searches(&world);
    let stale = || world.context("demo-admin", json!({ "phone": world::EVERYWHERE }));
    until(stale, |_| searches(&world) > before).await;
    until(
        async || world.metric("caller_context_source_in_flight").await,
        |lines| lines.iter().all(|line| line.ends_with(" 0")),
    )
    .await;
    for _ in 0..20 {
        assert_eq!(stale().await["lookup_status"], "stale");
    }
    assert_eq!(searches(&world), before + 1);
}

#[tokio::test]
async fn organizations_do_not_share_a_context() {
    let keys = vec![("key-of-a", "a", "studio"), ("key-of-b", "b", "studio")];
    let world = World::with(Setup { keys, ..Setup::default() }).await;
    for (key, lookups) in [("key-of-a", 1), ("key-of-b", 2), ("key-of-a", 2), ("key-of-b", 2)] {
        let request = world.client.post(world.url("/api/studio/context")).bearer_auth(key);
        request.form(&[("From", world::EVERYWHERE)]).send().await.unwrap();
        assert_eq!(searches(&world), lookups, "{key}");
    }
}
