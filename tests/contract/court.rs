//! Gateway, recorder, Prism and stand-in in one row, and the two questions put to them: did both
//! sides keep to the document, and are the documented answers understood?

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use caller_context::clock::Clock;
use caller_context::config::{Config, Layers, load};
use caller_context::demo::faults::Fault;
use caller_context::demo::{Standins, Vendor};
use caller_context::domain::{Email, Identity, Organization, Phone};
use caller_context::lookup::{Ask, Engine, Purse};
use caller_context::telemetry::Metrics;
use caller_context::telemetry::traces::Parent;
use serde_json::{Map, Value, json};
use tokio_util::task::TaskTracker;

use super::prism::Prism;
use super::recorder::{Exchange, Recorder};
use super::{Result, document, skip};

/// A connector with the limits and lookups of its manifest, and its vendor's document.
pub struct Contract {
    pub document: &'static str,
    pub standin: Vendor,
    /// Its one source; calls may take their time, Prism does too.
    pub config: &'static str,
}

pub const ADA: &str = "ada.byron@analytical.example";
/// With letters that a query or a path must not take as they are.
pub const NOBODY: &str = "o'hara+x@analytical.example";

/// The gateway, the recorder, Prism and, behind a proxying Prism, the stand-ins.
pub struct Court {
    config: Config,
    standins: Standins,
    recorder: Recorder,
    prism: Prism,
    clock: Clock,
    tracker: TaskTracker,
}

impl Court {
    /// Prism between the gateway and the stand-in.
    pub async fn proxy(test: &str, contract: &Contract) -> Result<Option<Self>> {
        Self::open(test, contract, true).await
    }

    /// Prism instead of a stand-in: it answers what the document shows.
    pub async fn mock(test: &str, contract: &Contract) -> Result<Option<Self>> {
        Self::open(test, contract, false).await
    }

    async fn open(test: &str, contract: &Contract, proxy: bool) -> Result<Option<Self>> {
        let Some(document) = document(test, contract.document)? else { return Ok(None) };
        if let Some(missing) = Prism::missing() {
            return skip(test, &missing);
        }
        let _ = rustls::crypto::ring::default_provider().install_default();
        let tracker = TaskTracker::new();
        // Time stands still while the stand-ins date their records, so that they are of whole seconds.
        tokio::time::pause();
        let clock = Clock::starting_at("2026-11-20T12:00:00Z".parse()?);
        let standins = Standins::start(clock, &tracker).await?;
        tokio::time::resume();
        let upstream = proxy.then(|| standins.url(contract.standin));
        let prism = Prism::start(&document, upstream.as_deref(), &tracker).await?;
        let recorder = Recorder::start(&prism.url, &tracker).await?;
        let layers = Layers::text(contract.config)
            .with("VENDOR_URL", &recorder.url)
            .with("VENDOR_TOKEN", contract.standin.token())
            .with("CALLER_CONTEXT__PHONE__DEFAULT_REGION", "US");
        let config = load(&layers)?.config;
        Ok(Some(Self { config, standins, recorder, prism, clock, tracker }))
    }

    fn engine(&self) -> Result<Engine> {
        let metrics = Metrics::new(&self.config.plan, []);
        Ok(Engine::start(&self.config, self.clock, self.tracker.clone(), metrics)?)
    }

    /// Looks several people up together: how sure it is of each, and the requests of these lookups,
    /// sorted, none of which may break the document.
    pub async fn together(&self, who: &[&str], lookups: &[&str]) -> Result<(Vec<&'static str>, Vec<String>)> {
        let asks = who.iter().map(|who| about(who)).collect::<Result<Vec<_>>>()?;
        let answers = self.engine()?.answer_together(&asks, Parent::default).await;
        let exchanges = self.recorder.take();
        assert_eq!(violations("together", &exchanges), "", "Prism said last:\n{}", self.prism.said());
        let requests = exchanges.into_iter().map(|exchange| exchange.request);
        let mut requests: Vec<_> = requests.filter(|r| lookups.iter().any(|part| r.contains(part))).collect();
        requests.sort_unstable();
        Ok((answers.iter().map(|answer| answer.context().verdict.as_str()).collect(), requests))
    }

    /// Looks somebody up with an engine of its own: nothing cached, no quota used.
    async fn ask(&self, who: &str) -> Result<Seen> {
        let context = self.engine()?.answer(&about(who)?).await.context().clone();
        let names = &self.config.plan.names;
        let lookups = context.sources.iter().flat_map(|source| &source.operations).map(|operation| {
            let word = operation.state.reason().unwrap_or_else(|| operation.state.status().to_owned());
            format!("{} {word}", operation.name)
        });
        let mut lookups: Vec<_> = lookups.collect();
        lookups.sort_unstable();
        Ok(Seen {
            verdict: context.verdict.as_str(),
            lookups,
            fields: context.fields.iter().map(|f| (names.text(f.name).to_owned(), json!(f.value))).collect(),
            exchanges: self.recorder.take(),
        })
    }
}

/// The question about a number or an address.
fn about(who: &str) -> Result<Ask> {
    let identity = match who.contains('@') {
        true => Email::parse(who).map(Identity::Email),
        false => Phone::parse(who, None).map(Identity::Phone),
    };
    Ok(Ask {
        organization: Organization::single(),
        identity: identity.ok_or("not an identity")?,
        inputs: Arc::default(),
        deadline: Duration::from_secs(60),
        purse: Purse::Operator,
    })
}

/// Somebody to look up while the stand-in has a fault, and what must become of it.
pub struct Case {
    pub name: &'static str,
    pub who: &'static str,
    pub fault: Fault,
    /// How sure it is who calls.
    pub verdict: &'static str,
    /// Lookup and the word it ended with, sorted; those that nobody needed are not there.
    pub lookups: &'static [&'static str],
    pub fields: Value,
    /// Method and path of every request, sorted.
    pub requests: &'static [&'static str],
}

/// What became of one look-up.
struct Seen {
    verdict: &'static str,
    lookups: Vec<String>,
    fields: Map<String, Value>,
    exchanges: Vec<Exchange>,
}

impl Court {
    /// Every case must end as expected, by exactly the expected requests, with no violation on
    /// either side. All problems are shown at once.
    pub async fn judge(&self, vendor: Vendor, cases: Vec<Case>) -> Result {
        let mut problems = String::new();
        for case in cases {
            self.standins.set(vendor, case.fault.into());
            let seen = self.ask(case.who).await?;
            problems += &differences(&case, &seen);
            problems += &violations(case.name, &seen.exchanges);
        }
        assert!(problems.is_empty(), "{problems}\nPrism said last:\n{}", self.prism.said());
        Ok(())
    }

    /// Each documented answer must end a lookup with its word: answer preferred, whom to look up,
    /// lookup and word, status of every answer.
    pub async fn understand(&self, answers: &[(&'static str, &str, &str, u16)]) -> Result {
        let mut problems = String::new();
        for (preferred, who, lookup, status) in answers {
            self.recorder.prefer(preferred);
            let seen = self.ask(who).await?;
            if !seen.lookups.iter().any(|seen| seen == lookup) {
                problems += &format!("\n{preferred}: no {lookup}, but {:?}\n", seen.lookups);
            }
            for exchange in seen.exchanges.iter().filter(|exchange| exchange.status != *status) {
                problems += &format!("\n{preferred}: {} was answered {}\n", exchange.request, exchange.status);
            }
            problems += &violations(preferred, &seen.exchanges);
        }
        assert!(problems.is_empty(), "{problems}\nPrism said last:\n{}", self.prism.said());
        Ok(())
    }

    /// Sends one request past the gateway, as it stands.
    #[expect(clippy::disallowed_methods, reason = "a plain client that asks Prism, none of the gateway's")]
    async fn send(&self, vendor: Vendor, path: &str, body: Value) -> Result<Exchange> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let request = client.post(format!("{}{path}", self.recorder.url)).bearer_auth(vendor.token());
        request.json(&body).send().await?.bytes().await?;
        self.recorder.take().pop().ok_or_else(|| "the recorder saw nothing".into())
    }
}

/// What is not as expected, as lines.
fn differences(case: &Case, seen: &Seen) -> String {
    let name = case.name;
    let mut lines = String::new();
    if seen.verdict != case.verdict {
        lines += &format!("\n{name}: match is {}, not {}\n", seen.verdict, case.verdict);
    }
    if seen.lookups != case.lookups {
        lines += &format!("\n{name}: lookups ended {:#?}, not {:#?}\n", seen.lookups, case.lookups);
    }
    let mut requests: Vec<_> = seen.exchanges.iter().map(|exchange| exchange.request.as_str()).collect();
    requests.sort_unstable();
    if requests != case.requests {
        lines += &format!("\n{name}: requests were {requests:#?}, not {:#?}\n", case.requests);
    }
    let nothing = Map::new();
    let expected = case.fields.as_object().unwrap_or(&nothing);
    let names: BTreeSet<&String> = expected.keys().chain(seen.fields.keys()).collect();
    for field in names {
        let (expected, seen) = (expected.get(field), seen.fields.get(field));
        if expected != seen {
            lines += &format!("\n{name}: {field} is {seen:?}, not {expected:?}\n");
        }
    }
    lines
}

/// The exchanges that broke the document, as lines; none judged is a problem too.
fn violations(case: &str, exchanges: &[Exchange]) -> String {
    let line = |exchange: &Exchange| {
        let violations = exchange.violations.as_ref()?;
        Some(format!("\n{case}: {} ({}): {violations}\n", exchange.request, exchange.status))
    };
    match exchanges {
        [] => format!("\n{case}: no exchange was judged\n"),
        exchanges => exchanges.iter().filter_map(line).collect(),
    }
}

#[tokio::test]
async fn prism_objects_to_either_side() -> Result {
    let Some(court) = Court::proxy("prism_objects_to_either_side", &super::hubspot::HUBSPOT).await? else {
        return Ok(());
    };
    let send = |path: &'static str, body: Value| court.send(Vendor::Hubspot, path, body);
    let search = "/crm/objects/2026-09/contacts/search";
    let good = send(search, json!({ "limit": 1 })).await?;
    assert_eq!((good.status.as_u16(), good.violations), (200, None));
    for (what, path, body) in [
        ("a body that is not documented", search, json!({ "limit": "one" })),
        ("a path that is not documented", "/crm/objects/2026-09/contacts/serach", json!({ "limit": 1 })),
    ] {
        assert!(send(path, body).await?.violations.is_some(), "{what}");
    }
    for fault in [Fault::Garbage, Fault::Html, Fault::Status(500)] {
        court.standins.set(Vendor::Hubspot, fault.into());
        assert!(send(search, json!({ "limit": 1 })).await?.violations.is_some(), "{fault:?}");
    }
    Ok(())
}
