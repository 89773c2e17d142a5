//! What a call costs, step by step, without sockets of our own: judging the caller, a hit, reading
//! a vendor's answer, rendering a request. `cargo bench`.

#![expect(clippy::unwrap_used, reason = "a bench may stop at the first surprise")]

mod recorded;

use std::hint::black_box;
use std::time::Duration;

use caller_context::cli::demo::{Demo, Setup};
use caller_context::clock::Clock;
use caller_context::demo::world;
use caller_context::domain::identity::{CallerIdLists, CallerIdRules};
use caller_context::domain::{Identity, LookupStatus, Organization, Phone, judge};
use caller_context::lookup::{Ask, CacheState, Purse};
use criterion::{Criterion, criterion_group, criterion_main};
use recorded::Recorded;
use tokio::runtime::Runtime;

fn ask(number: &str) -> Ask {
    Ask {
        organization: Organization::single(),
        identity: Identity::Phone(Phone::parse(number, None).unwrap()),
        inputs: [].into(),
        deadline: Duration::from_secs(2),
        purse: Purse::Operator,
    }
}

fn normalise(c: &mut Criterion) {
    let lists = CallerIdLists { default_region: Some("US".into()), ..CallerIdLists::default() };
    let rules = CallerIdRules::new(&lists).unwrap();
    for (name, from) in [("E.164", "+14155550142"), ("as people write it", "(415) 555-0142"), ("withheld", "anonymous")]
    {
        c.bench_function(&format!("normalise/{name}"), |b| b.iter(|| judge(black_box(from), None, None, &rules)));
    }
}

fn lookup(c: &mut Criterion) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = Runtime::new().unwrap();
    // one number, looked up as fast as it goes: neither our budgets nor the vendor's window are the matter
    let overrides = vec![
        ("limits.misses_per_number", "1000000".to_owned()),
        ("sources.crm.limits.rate", "[\"1000000 per 1s\"]".into()),
        ("sources.crm.limits.bucket.search", "[\"1000000 per 1s\"]".into()),
    ];
    let setup = Setup { overrides, ..Setup::default() };
    let demo = runtime.block_on(Demo::start(setup, Clock::system())).unwrap();
    let engine = demo.app.engine();
    let known = ask(world::EVERYWHERE);
    runtime.block_on(engine.answer(&known));
    c.bench_function("lookup/hit", |b| {
        b.to_async(&runtime).iter(|| async {
            let answer = engine.answer(black_box(&known)).await;
            assert_eq!(answer.cache, CacheState::Hit);
            answer
        });
    });
    // eleven operations over loopback, their parsing, verification and merge included
    c.bench_function("lookup/miss, all sources of the demo", |b| {
        b.to_async(&runtime).iter(|| async {
            engine.forget(&known.organization, &known.identity).await;
            let answer = engine.answer(black_box(&known)).await;
            assert_eq!(answer.status(), LookupStatus::Complete);
            answer
        });
    });
}

/// The pure steps of a miss, over what vendors are recorded to answer.
fn reading(c: &mut Criterion) {
    let recorded = Recorded::new();
    c.bench_function("mapping/HubSpot, a contact", |b| b.iter(|| recorded.read(black_box(0))));
    c.bench_function("merge/HubSpot and Salesforce, six readings", |b| b.iter(|| black_box(&recorded).merged()));
}

criterion_group!(benches, normalise, reading, lookup);
criterion_main!(benches);
