//! Reference data of a vendor: when it is asked for, and what becomes of lookups without it.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use caller_context::clock::Clock;
use caller_context::config::{Layers, load};
use caller_context::demo::{Standins, Vendor, world};
use caller_context::domain::{Identity, Organization, Phone};
use caller_context::lookup::{Ask, Engine, Purse};
use caller_context::telemetry::Metrics;
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

/// Nothing is kept of a person, so that every question reaches the vendor.
const CONFIG: &str = r#"
[sources.crm]
connector = "pipedrive"
base_url  = "env:DEMO_PIPEDRIVE_URL"
secret    = "env:DEMO_PIPEDRIVE_TOKEN"
fresh     = "0s"
keep      = "0s"
limits    = { rate = ["1000 per 1s"] }
connection.company_domain = "example"
lookup    = { company = false, last_contact = false, owner = false, person = false }
"#;

struct World {
    standins: Standins,
    engine: Engine,
}

impl World {
    async fn start(more: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (tracker, clock) = (TaskTracker::new(), Clock::starting_at("2026-11-20T12:00:00Z".parse().unwrap()));
        let standins = Standins::start(clock, &tracker).await.unwrap();
        let mut layers = Layers::text(&format!("{CONFIG}{more}")).with("CALLER_CONTEXT__PHONE__DEFAULT_REGION", "US");
        layers.environment.extend(standins.environment());
        let config = load(&layers).unwrap().config;
        let metrics = Metrics::new(&config.plan, []);
        let engine = Engine::start(&config, clock, tracker, metrics).unwrap();
        Self { standins, engine }
    }

    /// The stages of the caller's deals.
    async fn stages(&self) -> Vec<Value> {
        let ask = Ask {
            organization: Organization::single(),
            identity: Identity::Phone(Phone::parse(world::EVERYWHERE, None).unwrap()),
            inputs: Arc::default(),
            deadline: Duration::from_secs(9),
            purse: Purse::Operator,
        };
        let answer = self.engine.answer(&ask).await;
        let context = answer.context();
        let deals = context.fields.iter().map(|field| json!(field.value)).find(Value::is_array).unwrap();
        deals.as_array().unwrap().iter().map(|deal| deal["stage"].clone()).collect()
    }

    /// How often the table was asked for.
    fn asked(&self) -> usize {
        self.standins
            .requests(Vendor::Pipedrive)
            .iter()
            .filter(|entry| ["/api/v2/stages", "/api/v2/nowhere"].contains(&&*entry.path))
            .count()
    }
}

const NAMES: [&str; 2] = ["Negotiations started", "Qualified"];
const NUMBERS: [&str; 2] = ["4", "1"];

#[tokio::test(start_paused = true)]
async fn a_table_is_loaded_once_and_again_behind_when_it_is_old() {
    let world = World::start("").await;
    assert_eq!(world.asked(), 0, "nothing is loaded that nobody needs");
    let (first, second) = tokio::join!(world.stages(), world.stages());
    assert_eq!((first, second, world.asked()), (NAMES.map(Value::from).to_vec(), NAMES.map(Value::from).to_vec(), 1));
    tokio::time::advance(Duration::from_secs(3_500)).await;
    world.stages().await;
    assert_eq!(world.asked(), 1);
    tokio::time::advance(Duration::from_secs(200)).await;
    assert_eq!(world.stages().await, NAMES);
    while world.asked() < 2 {
        tokio::task::yield_now().await;
    }
    world.stages().await;
    assert_eq!(world.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn without_its_table_a_lookup_finds_what_it_can() {
    let world = World::start("table.stages.get = \"/api/v2/nowhere\"").await;
    assert_eq!((world.stages().await, world.asked()), (NUMBERS.map(Value::from).to_vec(), 1));
    assert_eq!((world.stages().await, world.asked()), (NUMBERS.map(Value::from).to_vec(), 1), "not at every call");
    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!((world.stages().await, world.asked()), (NUMBERS.map(Value::from).to_vec(), 2));
}
