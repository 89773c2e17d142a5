//! What vendors answered, as recorded in connectors/tests, with the plan that reads it. Both kinds of
//! benches use it.

use std::time::Duration;

use caller_context::config::{self, Config, Layers};
use caller_context::domain::{Identity, Outcome, Phone};
use caller_context::lookup::merge::{Ended, Facts, Merged, Progress};
use caller_context::manifest::plan::Operation;
use caller_context::manifest::reading::{Read, ReadEnv};

/// Operations of one person's lookup, with the file of the recorded exchange.
const CASES: [(&str, &str, &str); 6] = [
    ("hubspot", "contact_by_phone", include_str!("../../connectors/tests/hubspot/phone_hit.toml")),
    ("hubspot", "company", include_str!("../../connectors/tests/hubspot/company.toml")),
    ("hubspot", "deals", include_str!("../../connectors/tests/hubspot/deals.toml")),
    ("hubspot", "tickets", include_str!("../../connectors/tests/hubspot/tickets.toml")),
    ("hubspot", "owner", include_str!("../../connectors/tests/hubspot/owner.toml")),
    ("salesforce", "contact_by_phone", include_str!("../../connectors/tests/salesforce/phone_hit.toml")),
];
const CALLER: &str = "+14155550142";

/// A configuration with two CRMs, and what they answered about one caller.
pub struct Recorded {
    config: Config,
    identity: Identity,
    answers: Vec<Answer>,
    progress: Vec<Progress>,
}

struct Answer {
    /// In the plan.
    operation: usize,
    body: String,
}

impl Recorded {
    pub fn new() -> Self {
        let layers = Layers::text("[phone]\ndefault_region = \"US\"")
            .with("HUBSPOT_ACCESS_TOKEN", "test-secret")
            .with("SALESFORCE_ACCESS_TOKEN", "test-secret")
            .with("SALESFORCE_INSTANCE_URL", "https://example.my.salesforce.com");
        let config = config::load(&layers).unwrap().config;
        let place = |source: &str, name: &str| {
            let is_it = |o: &Operation| {
                *o.name == *name && config.plan.sources.get(usize::from(o.source.0)).unwrap().name.as_ref() == source
            };
            config.plan.operations.iter().position(is_it).unwrap()
        };
        let answers = CASES.map(|(source, name, case)| {
            let case: toml::Table = case.parse().unwrap();
            // before it, a table may have been asked for
            let exchange = case.get("exchange").unwrap().as_array().unwrap().last().unwrap();
            let body = exchange.get("response").unwrap().as_str().unwrap();
            Answer { operation: place(source, name), body: body.into() }
        });
        let identity = Identity::Phone(Phone::parse(CALLER, None).unwrap());
        let progress = vec![Progress::NotAsked; config.plan.operations.len()];
        let mut recorded = Self { config, identity, answers: answers.into(), progress };
        for index in 0..recorded.answers.len() {
            let operation = recorded.answers.get(index).unwrap().operation;
            let read = recorded.read(index);
            assert!(read.found && read.unreadable_fields == 0);
            *recorded.progress.get_mut(operation).unwrap() = Progress::Ended(Ended {
                outcome: Outcome::Found(read.reading.into()),
                read_at: "2026-11-20T12:30:00Z".parse().unwrap(),
                stale: false,
                started: Some(Duration::ZERO),
                took: Some(Duration::from_millis(20)),
            });
        }
        recorded
    }

    /// An answer of [`CASES`], from its text to a reading.
    pub fn read(&self, case: usize) -> Read {
        let Answer { operation, body } = self.answers.get(case).unwrap();
        let plan = &self.config.plan;
        let operation = plan.operations.get(*operation).unwrap();
        let source = plan.sources.get(usize::from(operation.source.0)).unwrap();
        let env =
            ReadEnv { identity: &self.identity, get: &|_| None, source, tables: &|_, _| None, never: &plan.never };
        operation.record.read(body.as_bytes(), &env).unwrap()
    }

    /// All answers, read before, in one context.
    pub fn merged(&self) -> Merged {
        Facts { plan: &self.config.plan, merge: &self.config.merge, progress: &self.progress }.merged()
    }
}
