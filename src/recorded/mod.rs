//! Recorded cases of connectors: a manifest is run against a vendor on loopback that answers from
//! recordings, and what is asked and read is compared. The format is in connectors/tests/README.md.

mod case;
mod vendor;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;
use tower::retry::budget::TpsBudget;

use crate::clock::Clock;
use crate::config::{Config, Layers, Loaded, load};
use crate::domain::field::Kind;
use crate::domain::identity::CustomerId;
use crate::domain::{Email, Failure, Identity, NameId, Organization, Phone, Value};
use crate::lookup::{Ask, Engine, Purse};
use crate::manifest::plan::{Operation, OperationId, Plan};
use crate::manifest::reading::ReadEnv;
use crate::source::quota::Quota;
use crate::source::{Account, Call, CallError, Said, Source, Upstream};
use crate::telemetry::metrics::Metrics;

pub use case::Case;
use case::same_value;
use vendor::Vendor;

/// The source that a case makes of its manifest.
const SOURCE: &str = "own";

/// A vendor that answers from recordings; one case after the other.
pub struct Bench {
    vendor: Vendor,
}

impl Bench {
    /// Listens on loopback for as long as its runtime lives.
    ///
    /// # Errors
    /// When nothing can listen there.
    pub async fn start() -> io::Result<Self> {
        Ok(Self { vendor: Vendor::start().await? })
    }

    /// Runs one case of a manifest.
    ///
    /// # Errors
    /// What differs from the recording.
    pub async fn judge(&self, vendor: &str, manifest: &str, case: &Case) -> Result<(), String> {
        // As it is used: everything about its address is checked.
        loaded(vendor, manifest, case, None)?;
        // As it is tried: the same requests, sent to our vendor.
        let loaded = loaded(vendor, manifest, case, Some(&self.vendor.address()))?;
        self.vendor.expect(case);
        match (&case.lookup, case.identity()) {
            (Some(lookup), _) => self.one(&loaded.config, case, lookup).await?,
            (None, Some(identity)) => self.whole(&loaded.config, case, identity).await?,
            (None, None) => {}
        }
        self.vendor.verdict()?;
        admits(&loaded.config.plan, case)
    }

    /// One lookup alone.
    async fn one(&self, config: &Config, case: &Case, lookup: &str) -> Result<(), String> {
        let plan = &config.plan;
        let (id, operation) = operation(plan, lookup)?;
        let identity = case.identity().unwrap_or(Identity::CustomerId(CustomerId("nobody".into())));
        let mut values = Vec::new();
        for (name, value) in &case.inputs {
            values.push((name_id(plan, name)?, Value::text(value)));
        }
        values.extend(match &identity {
            Identity::Phone(phone) => Some((name_id(plan, "phone")?, Value::Phone(phone.clone()))),
            Identity::Email(email) => Some((name_id(plan, "email")?, Value::Email(email.clone()))),
            Identity::CustomerId(_) => None,
        });
        let emails: Arc<[Email]> = case.emails.iter().filter_map(|email| Email::parse(email)).collect();
        if let Some(first) = emails.first() {
            values.push((name_id(plan, "email")?, Value::Email(first.clone())));
        }
        let missing = operation.needs.iter().find(|need| !need.iter().any(|n| values.iter().any(|(v, _)| v == n)));
        if let Some(need) = missing {
            let reason = format!("needs_{}", need.iter().map(|n| plan.names.text(*n)).collect::<Vec<_>>().join("_"));
            return case.compare_outcome("skipped", Some(&reason));
        }
        let phones: Arc<[Phone]> = match &identity {
            Identity::Phone(phone) => phone.variants().into_iter().collect(),
            _ => Arc::from([]),
        };
        let (values, account, attempts) = (values.into(), Account::Live, Default::default());
        let call = Call {
            plan: plan.clone(),
            operation: id,
            table: None,
            identity,
            emails,
            phones,
            values,
            account,
            attempts,
        };
        let (settings, tracker) = (plan.source(operation.source), TaskTracker::new());
        let upstream = Upstream::new(settings, &tracker).map_err(|e| e.to_string())?;
        // nothing is asked twice
        let retries = Arc::new(TpsBudget::new(Duration::from_secs(1), 0, 0.0));
        let (clock, quota) = (Clock::system(), Arc::new(quota(plan, operation)));
        let source = Arc::new(Source::new(settings, upstream, quota.clone(), retries, tracker, clock));
        let said = source.call(&call).await;
        case.compare_quota(&quota.standings())?;
        let (outcome, reason, reading) = match said {
            Ok(Said::Found(reading)) => ("found", None, Some(reading)),
            Ok(Said::NotFound) => ("not_found", None, None),
            Ok(Said::Each(each)) => {
                let ids = each.iter().map(|said| match said {
                    Said::Found(reading) => reading.hits.iter().map(|hit| hit_id(plan, &hit.values)).collect(),
                    Said::NotFound | Said::Each(_) => Vec::new(),
                });
                case.compare_people(&call.emails.iter().map(|email| email.as_str().to_owned()).zip(ids).collect())?;
                ("found", None, None)
            }
            Err(CallError::Failed(failure, _)) => {
                if let Failure::Limited { retry_after } = failure {
                    case.compare_retry_after(retry_after)?;
                }
                ("failed", Some(failure.to_string()), None)
            }
            Err(CallError::BrokeOff(_)) => ("failed", Some("unreachable".into()), None),
            Err(CallError::Skipped(skip)) => ("skipped", Some(skip.to_string()), None),
        };
        case.compare_outcome(outcome, reason.as_deref())?;
        let Some(reading) = reading else { return Ok(()) };
        case.compare_fields(&named(plan, reading.values.iter()))?;
        if let Some(hits) = &case.hits {
            let found: Vec<String> = reading.hits.iter().map(|hit| hit_id(plan, &hit.values)).collect();
            if found != *hits {
                return Err(format!("hits are {found:?}, expected {hits:?}"));
            }
        }
        self.compare_unreadable(&call, case)
    }

    /// Reads the last answer again, for the count that a reading does not carry.
    fn compare_unreadable(&self, call: &Call, case: &Case) -> Result<(), String> {
        let Some(last) = case.exchanges.last() else { return Ok(()) };
        let env = ReadEnv {
            identity: &call.identity,
            get: &|name| call.get(name),
            source: call.source(),
            tables: &|_, _| None,
            never: &[],
        };
        let read = call.operation().record.read(last.response.as_bytes(), &env);
        let unreadable = read.map_or(0, |read| read.unreadable_fields);
        if unreadable != case.unreadable_fields {
            return Err(format!("{unreadable} fields are unreadable, expected {}", case.unreadable_fields));
        }
        Ok(())
    }

    /// The whole manifest, from the identity.
    async fn whole(&self, config: &Config, case: &Case, identity: Identity) -> Result<(), String> {
        let clock = Clock::system();
        let organization = Organization::single();
        let metrics = Metrics::new(&config.plan, [&organization]);
        let tracker = TaskTracker::new();
        let engine = Engine::start(config, clock, tracker, metrics).map_err(|e| e.to_string())?;
        let ask = Ask {
            organization,
            identity,
            inputs: Arc::from([]),
            deadline: Duration::from_secs(9),
            purse: Purse::Operator,
        };
        let context = engine.answer(&ask).await.context().clone();
        let operations = context.sources.iter().flat_map(|source| &source.operations);
        let outcomes: Vec<(String, String, Option<String>)> =
            operations.map(|o| (o.name.to_string(), o.state.status().to_owned(), o.state.reason())).collect();
        case.compare_outcomes(&outcomes)?;
        let fields = context.fields.iter().map(|field| (field.name, field.value.clone()));
        let all: Vec<(NameId, Value)> = fields.chain(context.ids.iter().cloned()).collect();
        case.compare_fields(&named(&config.plan, all.iter()))
    }
}

fn loaded(vendor: &str, manifest: &str, case: &Case, address: Option<&str>) -> Result<Loaded, String> {
    let mut text = format!("[sources.{SOURCE}]\nconnector = \"{vendor}\"\nsecret = \"env:CASE_SECRET\"\n");
    if let Some(address) = address {
        text.push_str(&format!("base_url = \"{address}\"\n"));
    }
    text.push_str(&format!("connection = {}\n", case.connection()));
    if let Some((token, grant)) = tokens(manifest, case) {
        text.push_str("client_id = \"test-client\"\n");
        if grant == "refresh_token" {
            text.push_str("refresh_token = \"env:CASE_SECRET\"\n");
        }
        if let Some(address) = address {
            text.push_str(&format!("auth.oauth.token = \"{address}{token}\"\n"));
        }
    }
    let layers = Layers::text(&text).with("CASE_SECRET", "test-secret").with_manifest(vendor, manifest);
    load(&layers).map_err(|invalid| invalid.to_string())
}

/// Where a case's manifest has its tokens from, without the host, and for which grant.
fn tokens(manifest: &str, case: &Case) -> Option<(String, String)> {
    let manifest: toml::Table = manifest.parse().ok()?;
    let auth = manifest.get("auth")?.as_table()?;
    let picked = case.auth().or_else(|| auth.keys().next().map(String::as_str));
    let oauth = auth.get("oauth").filter(|_| picked == Some("oauth"))?;
    let text = |key| oauth.get(key).and_then(toml::Value::as_str).unwrap_or_default();
    let address = text("token").split_once("://").map_or(text("token"), |(_, rest)| rest);
    let path = address.find('/').and_then(|at| address.get(at..)).unwrap_or_default();
    Some((path.to_owned(), text("grant").to_owned()))
}

/// How many calls each of the `[[admits]]` lets through while time stands still.
fn admits(plan: &Plan, case: &Case) -> Result<(), String> {
    for (lookup, calls) in &case.admits {
        let (_, operation) = operation(plan, lookup)?;
        let (quota, bucket) = (quota(plan, operation), operation.bucket.as_deref());
        let started = (0..calls + 1).filter(|_| quota.take(bucket, operation.cost, &Account::Live).is_some()).count();
        if started != *calls {
            return Err(format!("{started} calls of {lookup} or more start at once, expected {calls}"));
        }
    }
    Ok(())
}

fn quota(plan: &Plan, operation: &Operation) -> Quota {
    Quota::new(SOURCE.into(), &plan.source(operation.source).limits, Clock::system(), Arc::default(), None)
}

fn operation<'a>(plan: &'a Plan, lookup: &str) -> Result<(OperationId, &'a Operation), String> {
    plan.operations().find(|(_, o)| &*o.name == lookup).ok_or_else(|| format!("there is no lookup {lookup}"))
}

/// `own.x` of the manifest is `<source>.x` in the plan.
fn name_id(plan: &Plan, name: &str) -> Result<NameId, String> {
    let full = name.strip_prefix("own.").map_or_else(|| name.to_owned(), |own| format!("{SOURCE}.{own}"));
    plan.names.get(&full).ok_or_else(|| format!("the plan knows no {name}"))
}

fn named<'a>(plan: &Plan, values: impl Iterator<Item = &'a (NameId, Value)>) -> Vec<(String, Value)> {
    let name = |id: NameId| match &plan.names.name(id).kind {
        Kind::Own { .. } => plan.names.text(id).replacen(&format!("{SOURCE}."), "own.", 1),
        _ => plan.names.text(id).to_owned(),
    };
    values.map(|(id, value)| (name(*id), value.clone())).collect()
}

fn hit_id(plan: &Plan, values: &[(NameId, Value)]) -> String {
    let own = named(plan, values.iter());
    let of = |wanted: &dyn Fn(&str) -> bool| own.iter().find(|(name, _)| wanted(name)).map(|(_, value)| value.clone());
    let id = of(&|name| name == "own.contact_id").or_else(|| of(&|name| name.starts_with("own.")));
    id.and_then(|id| id.to_text().map(|text| text.into_owned())).unwrap_or_default()
}

impl Case {
    fn identity(&self) -> Option<Identity> {
        let phone = |text: &String| Phone::parse(text, None).map(Identity::Phone);
        let email = |text: &String| Email::parse(text).map(Identity::Email);
        let customer = |text: &String| Some(Identity::CustomerId(CustomerId(text.as_str().into())));
        self.phone
            .as_ref()
            .and_then(phone)
            .or_else(|| self.email.as_ref().and_then(email))
            .or_else(|| self.customer_id.as_ref().and_then(customer))
    }

    fn compare_fields(&self, found: &[(String, Value)]) -> Result<(), String> {
        let Some(expected) = &self.fields else { return Ok(()) };
        for (name, value) in expected {
            match found.iter().find(|(known, _)| known == name) {
                None => return Err(format!("{name} is missing")),
                Some((_, read)) if !same_value(value, read) => {
                    let read = serde_json::to_string(read).unwrap_or_default();
                    return Err(format!("{name} is {read}, expected {value}"));
                }
                Some(_) => {}
            }
        }
        match found.iter().find(|(name, _)| !expected.contains_key(name)) {
            Some((name, _)) => Err(format!("{name} is read, but not expected")),
            None => Ok(()),
        }
    }
}
