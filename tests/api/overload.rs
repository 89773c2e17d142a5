//! Twice as much as there is room for: who is known is answered as ever, what nobody waits for is left
//! out first, and no source is asked for more than it may be.

use caller_context::cli::demo::Setup;
use caller_context::demo::faults::Fault;
use caller_context::demo::{Vendor, world};
use futures_util::future::join_all;

use crate::support::{World, until};

const KNOWN: [&str; 4] = [world::EVERYWHERE, world::BRITISH, world::GERMAN, world::ODD_SPELLING];
/// Calls that the CRM takes at once, and refreshes among them.
const ROOM: usize = 4;
const REFRESHES: usize = 2;

fn searches(world: &World) -> usize {
    world.asked(Vendor::Hubspot).iter().filter(|e| e.path.contains("contacts/search")).count()
}

#[tokio::test]
async fn known_callers_are_answered_and_refreshes_go_first() {
    let overrides = vec![
        ("cache.fresh", "1ms".to_owned()),
        ("lookup.refreshes", REFRESHES.to_string()),
        ("sources.crm.limits.concurrency", ROOM.to_string()),
        ("sources.crm.timeout", "30s".to_owned()),
    ];
    let world = World::with(Setup { overrides, ..Setup::default() }).await;
    for known in KNOWN {
        assert_eq!(world.studio(known).await["match"], "unique");
    }
    let searched = searches(&world);
    world.ill(Vendor::Hubspot, Fault::Hang);

    // everybody known calls 30 times, all at once: all are answered with what is kept
    let calls = (0..30).flat_map(|_| KNOWN).map(|known| world.studio(known));
    for answer in join_all(calls).await {
        assert_eq!(
            (answer["match"].as_str(), answer["lookup_status"].as_str()),
            (Some("unique"), Some("stale")),
            "{answer}"
        );
    }
    let shed = 30 * KNOWN.len() - REFRESHES;
    let line = format!("caller_context_refreshes_shed_total {shed}");
    assert_eq!(world.metric("caller_context_refreshes_shed_total ").await, [line], "all but what there is room for");
    until(|| async { searches(&world) }, |now| *now == searched + REFRESHES).await;

    // twice as many strangers as there is room: each is answered at its deadline, by the other sources
    let strangers = (0..2 * ROOM).map(|n| format!("+1646555{n:04}"));
    let gateway = &world;
    let calls =
        strangers.map(|from| async move { gateway.studio_with(&[("From", &from), ("deadline_ms", "200")]).await });
    for answer in join_all(calls).await {
        assert_eq!(answer["lookup_status"], "partial", "{answer}");
    }
    until(|| async { searches(&world) }, |now| *now == searched + ROOM).await;
    // and whoever is known still is
    let calls = KNOWN.map(|known| world.studio(known));
    assert!(join_all(calls).await.iter().all(|answer| answer["match"] == "unique"));
    assert_eq!(searches(&world), searched + ROOM, "not one more than the CRM takes");
    let held = world.demo.app.engine().held().await;
    assert_eq!(held.refreshes, REFRESHES, "{held:?}");
    assert!(held.flights <= (REFRESHES + 2 * ROOM) * 2, "those that wait and what they wait for: {held:?}");
}
