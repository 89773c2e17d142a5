//! `lookup`: one caller, looked up by this process alone, shown whole. Needs no key: whoever can
//! read the configuration's secrets can ask the sources anyway.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio_util::task::TaskTracker;

use super::{ConfigArgs, waterfall};
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::identity::CustomerId;
use crate::domain::{Email, Identity, LookupStatus, Match, Organization, Phone, SourceState, Value};
use crate::lookup::{Ask, Engine, Purse};
use crate::manifest::diagnostic::did_you_mean;
use crate::telemetry::{Metrics, logging};

pub const EXAMPLES: &str = "\
Exit codes: 0 somebody; 1 no source could say; 3 nobody knows this person; 78 the configuration has errors.
DEBUG_CRM=true in the environment says more of why a source failed.

Examples:
  caller-context lookup +14155550142
  caller-context lookup ann@example.com --deadline 5s
  caller-context lookup customer:4711 --organization acme --config config.toml";

#[derive(Args)]
pub struct LookupArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// A phone number (+14155550142), an e-mail address, or customer:<id>
    who: String,
    /// How long to wait; without it, the configured deadline
    #[arg(long, value_name = "DURATION", value_parser = super::parse_duration)]
    deadline: Option<Duration>,
    #[arg(long, default_value = "default")]
    organization: String,
}

/// With `only`, of all sources this one alone is asked.
pub async fn run(args: LookupArgs, only: Option<&str>) -> anyhow::Result<ExitCode> {
    let loaded = match super::loaded(&args.config)? {
        Ok(loaded) => loaded,
        Err(code) => return Ok(code),
    };
    let mut config = loaded.config;
    if let Some(only) = only {
        leave_out_all_but(&mut config, only)?;
    }
    logging::install(&config.logging, super::is_switched_on)?;
    let Some(identity) = identity(&args.who, &config) else {
        anyhow::bail!(
            "this is neither a possible phone number nor an e-mail address; a customer id is written customer:<id>"
        )
    };
    let Some(organization) = Organization::parse(&args.organization) else {
        anyhow::bail!("an organization's name is 1 to 64 letters of a-z, 0-9 and -")
    };
    let (clock, tracker) = (Clock::system(), TaskTracker::new());
    let metrics = Metrics::new(&config.plan, config.organizations.keys());
    let engine = Engine::start(&config, clock, tracker, metrics)?;
    let ask = Ask {
        organization,
        identity,
        inputs: inputs(&config),
        deadline: args.deadline.unwrap_or(config.lookup.deadline),
        purse: Purse::Operator,
    };
    let answer = engine.answer(&ask).await;
    print!("{}", waterfall::page(answer.context(), &config.plan, clock.now()));
    if answer.context().sources.iter().any(|s| matches!(s.state, SourceState::Failed(_))) {
        eprintln!("DEBUG_CRM=true says more of why a source failed");
    }
    let nobody = matches!(answer.context().verdict, Match::None) && answer.context().fields.is_empty();
    Ok(match answer.status() {
        LookupStatus::Failed => ExitCode::FAILURE,
        _ if nobody => ExitCode::from(3),
        _ => ExitCode::SUCCESS,
    })
}

fn leave_out_all_but(config: &mut Config, only: &str) -> anyhow::Result<()> {
    let plan = Arc::get_mut(&mut config.plan).context("the plan is in use")?;
    let known: Vec<_> = plan.sources.iter().map(|source| source.name.clone()).collect();
    if !known.iter().any(|name| **name == *only) {
        let hint = did_you_mean(only, known.iter().map(|name| &**name)).unwrap_or_default();
        anyhow::bail!("no source of the configuration is called `{only}`; {hint}");
    }
    plan.sources.iter_mut().filter(|source| *source.name != *only).for_each(|source| source.connected = false);
    Ok(())
}

fn identity(who: &str, config: &Config) -> Option<Identity> {
    if let Some(id) = who.strip_prefix("customer:") {
        return Some(Identity::CustomerId(CustomerId(id.into())));
    }
    if who.contains('@') {
        return Email::parse(who).map(Identity::Email);
    }
    Phone::parse(who, config.phone.default_region.as_deref()).map(Identity::Phone)
}

/// What a request says beside the person, when it says nothing.
pub fn inputs(config: &Config) -> Arc<[(crate::domain::NameId, Value)]> {
    config.inputs.iter().filter_map(|i| Some((i.name, Value::Text(i.default.clone()?)))).collect()
}
