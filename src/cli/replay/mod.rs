//! `replay`: callers asked about again, under the configuration that runs and under a changed one,
//! and what would be told differently, counted per field. Both ask the real sources, from this
//! process; nothing is cached in between, delivered or noted.

mod callers;
mod pace;
mod report;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::tz::TimeZone;
use tokio::time::MissedTickBehavior;
use tokio_util::task::TaskTracker;

use super::ConfigArgs;
use crate::clock::Clock;
use crate::config::{Config, Loaded};
use crate::domain::{CallerIdStatus, Identity, LookupStatus, Match, Organization, Trust};
use crate::http::{self, Callers};
use crate::lookup::{Ask, Engine, Purse};
use crate::store::Database;
use crate::store::audit::AuditLog;
use crate::telemetry::{Metrics, logging};
use crate::view::attributes::{self, Facts};
use crate::view::compare::{FLOW, Told};
use crate::view::{Ceiling, Policy, ViewId, json};
use callers::{Caller, Moment, Period};
use pace::{Pace, PerSecond};
use report::{Allowance, Head, Report};

/// Callers asked about at the same time.
const AT_ONCE: usize = 16;

/// Every source has given up by then.
const PATIENCE: Duration = Duration::from_secs(60);

pub const EXAMPLES: &str = "\
Exit codes: 0 no difference, or none beyond --max-difference; 1 differences; 2 nothing could be compared; 3 there \
was no caller to ask about; 78 a configuration has errors.

Examples:
  caller-context replay --against new.toml
  caller-context replay --against new.toml --calls calls.csv --rate 30/m --view advanced
  caller-context replay --against new.toml --from 2026-11-16 --to 2026-11-19 --limit 500 --json
  caller-context replay --against new.toml --calls calls.csv --max-difference vip_customer=1%";

#[derive(Args)]
pub struct ReplayArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The changed configuration
    #[arg(long, value_name = "FILE")]
    against: PathBuf,
    /// A list of callers instead of the audit log, `-` for standard input: one a line, CSV with a column From
    /// (Twilio's call log), or JSON objects, one a line
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from", "to"])]
    calls: Option<PathBuf>,
    /// The audit log from this day or time on; without it, yesterday's
    #[arg(long, value_name = "DAY", value_parser = Moment::parse)]
    from: Option<Moment>,
    /// To the end of this day, or to this time; without it, until now
    #[arg(long, value_name = "DAY", value_parser = Moment::parse, requires = "from")]
    to: Option<Moment>,
    /// Ask about at most so many callers; of the audit log the latest
    #[arg(long, value_name = "N", default_value_t = usize::MAX, hide_default_value = true)]
    limit: usize,
    /// Callers to ask about at most, like 5/s or 30/m; without it, five a second. Slower where that would take
    /// more than half of what a source may be asked
    #[arg(long, value_name = "RATE", value_parser = PerSecond::parse)]
    rate: Option<PerSecond>,
    #[arg(long, default_value = "default")]
    organization: String,
    /// Whose eyes: `studio` for what a call flow is told, else the view of an agent's key
    #[arg(long, default_value = "studio")]
    view: String,
    /// Answer when a live call would be answered, by the deadline and grace of each configuration. Without it
    /// every source is waited for, so that what is compared is the configurations and not the moment
    #[arg(long)]
    live: bool,
    /// Also print the values that change: personal data, beside a masked caller
    #[arg(long)]
    show_values: bool,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
    /// How many callers may see a field change before it counts as a difference; also for lookup_status and match
    #[arg(long, value_name = "FIELD=PERCENT", value_parser = Allowance::parse)]
    max_difference: Vec<Allowance>,
}

/// What one configuration says of one caller.
struct Said {
    told: Told,
    lookup_status: &'static str,
    verdict: &'static str,
    /// Sources, each with the word for what became of it.
    sources: Vec<(String, String)>,
    /// None when nobody had to be asked.
    took: Option<Duration>,
}

/// A configuration that answers.
struct Side {
    config: Config,
    engine: Engine,
    policy: Policy,
    view: ViewId,
    /// Flat attributes, as a call flow gets them; else an agent's JSON.
    flow: bool,
    callers: Callers,
    organization: Organization,
    clock: Clock,
}

pub async fn run(args: ReplayArgs) -> ExitCode {
    match replay(args).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn replay(args: ReplayArgs) -> anyhow::Result<ExitCode> {
    let before = match super::loaded(&args.config)? {
        Ok(loaded) => loaded,
        Err(code) => return Ok(code),
    };
    let after = match super::loaded(&ConfigArgs { config: Some(args.against.clone()) })? {
        Ok(loaded) => loaded,
        Err(code) => return Ok(code),
    };
    eprint!("{}", after.rendered_warnings());
    logging::install(&before.config.logging, super::is_switched_on)?;
    let Some(organization) = Organization::parse(&args.organization) else {
        anyhow::bail!("an organization's name is 1 to 64 letters of a-z, 0-9 and -")
    };
    let (clock, tracker) = (Clock::system(), TaskTracker::new());
    let callers = args.callers(&before.config, &organization, clock, &tracker).await?;
    if callers.is_empty() {
        eprintln!("there is no caller to ask about: {}", args.callers_from());
        return Ok(ExitCode::from(3));
    }
    let head = Head {
        organization: organization.to_string(),
        view: args.view.clone(),
        before: args.config.config.as_deref().map_or_else(|| "the running configuration".into(), shown),
        after: shown(&args.against),
        callers_from: args.callers_from(),
    };
    let side = |loaded: Loaded| Side::new(loaded.config, &args, &organization, clock, &tracker);
    let (before, after) = (side(before)?, side(after)?);
    args.check_allowances(&before, &after)?;
    let report = compared(&args, callers, &before, &after).await;
    match args.json {
        true => println!("{:#}", report.json(&head)),
        false => print!("{}", report.page(&head)),
    }
    let beyond = report.beyond(&args.max_difference);
    if beyond.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    if !args.max_difference.is_empty() {
        eprintln!("more than is allowed changes: {}", beyond.join(", "));
    }
    Ok(ExitCode::from(1))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

impl ReplayArgs {
    async fn callers(
        &self,
        config: &Config,
        organization: &Organization,
        clock: Clock,
        tracker: &TaskTracker,
    ) -> anyhow::Result<Vec<Caller>> {
        if let Some(path) = &self.calls {
            let text = match path.as_os_str() == "-" {
                true => {
                    let mut text = String::new();
                    std::io::stdin().read_to_string(&mut text).map(|_| text)
                }
                false => std::fs::read_to_string(path),
            };
            let text = text.with_context(|| format!("cannot read {}", shown(path)))?;
            return Ok(callers::distinct(callers::read_list(&text)?, self.limit));
        }
        let period =
            Period::of(self.from, self.to, clock.now(), &TimeZone::system()).context("there is no such day")?;
        let database = Database::open(&config.store, tracker).await.context("cannot open the store")?;
        let audit = AuditLog::start(database, &config.audit, clock, tracker);
        let callers = callers::of_the_log(&audit, organization, period, self.limit).await;
        audit.close().await;
        Ok(callers?)
    }

    fn callers_from(&self) -> String {
        match (&self.calls, self.from) {
            (Some(path), _) if path.as_os_str() == "-" => "from standard input".into(),
            (Some(path), _) => format!("of {}", shown(path)),
            (None, None) => "yesterday's, of the audit log".into(),
            (None, Some(_)) => "of the audit log".into(),
        }
    }

    fn check_allowances(&self, before: &Side, after: &Side) -> anyhow::Result<()> {
        let names = |side: &Side| side.config.plan.names.iter().map(|(_, name)| name.text.clone()).collect::<Vec<_>>();
        let fields = [before, after].map(names).concat();
        let known: Vec<&str> = match before.flow {
            true => FLOW.to_vec(),
            false => fields.iter().map(|name| &**name).collect(),
        };
        Report::unknown(&self.max_difference, &known).map_or(Ok(()), |wrong| Err(anyhow::anyhow!(wrong)))
    }
}

/// Asks about everybody on both sides, at the pace that the sources bear.
async fn compared(args: &ReplayArgs, callers: Vec<Caller>, before: &Side, after: &Side) -> Report {
    let pace = Pace::new(args.rate, [&before.config.plan, &after.config.plan]);
    announce(&pace, callers.len());
    if args.show_values {
        eprintln!("what is printed below holds personal data: keep it where the callers' data may be kept");
    }
    let bar = ProgressBar::with_draw_target(Some(callers.len() as u64), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos} of {len} callers, {eta} left") {
        bar.set_style(style);
    }
    let mut report = Report::new(args.show_values);
    let mut ticks = tokio::time::interval(pace.every());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut waiting, mut running) = (callers.into_iter(), FuturesUnordered::new());
    loop {
        tokio::select! {
            // a tick that is dropped comes again
            _ = ticks.tick(), if running.len() < AT_ONCE && waiting.len() > 0 => running.extend(waiting.next().map(
                async |caller| {
                    // one after the other: their requests go to the same sources
                    let was = before.said(&caller).await;
                    let is = after.said(&caller).await;
                    (caller, was, is)
                },
            )),
            Some((caller, was, is)) = running.next() => {
                report.count(&caller.masked(), &was, &is, before.flow, before.region());
                bar.inc(1);
            }
            else => break,
        }
    }
    bar.finish_and_clear();
    report
}

fn announce(pace: &Pace, callers: usize) {
    let minutes = (callers as f64 / pace.callers_a_second / 60.0).ceil();
    let rate = match pace.callers_a_second {
        rate if rate >= 1.0 => format!("{rate:.1} a second"),
        rate => format!("{:.1} a minute", rate * 60.0),
    };
    let why = pace.by.as_ref().map_or_else(String::new, |(source, rate)| {
        format!(", half of what {source} may be asked ({} per {:?})", rate.count, rate.per)
    });
    eprintln!("asking about {callers} callers under both configurations, {rate}{why}: about {minutes:.0} min");
}

impl Side {
    fn new(
        mut config: Config,
        args: &ReplayArgs,
        organization: &Organization,
        clock: Clock,
        tracker: &TaskTracker,
    ) -> anyhow::Result<Self> {
        let flow = args.view == "studio" || *args.view == *config.studio.view;
        let view: &str = if flow { &config.studio.view } else { &args.view };
        if !config.views.contains_key(view) {
            let known: Vec<_> = config.views.keys().map(|v| &**v).collect();
            anyhow::bail!("there is no view `{view}`; there are {}", known.join(", "));
        }
        if !args.live {
            (config.lookup.deadline, config.lookup.grace) = (PATIENCE, PATIENCE);
        }
        let policy = Policy::new(config.plan.clone(), &config.views);
        let metrics = Metrics::new(&config.plan, config.organizations.keys());
        Ok(Self {
            callers: Callers::new(&config)?,
            engine: Engine::start(&config, clock, tracker.clone(), metrics)?,
            view: policy.find(view),
            policy,
            flow,
            organization: organization.clone(),
            clock,
            config,
        })
    }

    fn region(&self) -> Option<&str> {
        let own = self.config.organizations.get(&self.organization).and_then(|own| own.default_region.as_deref());
        own.or(self.config.phone.default_region.as_deref())
    }

    /// What would be said of the caller, had this configuration been asked.
    async fn said(&self, caller: &Caller) -> Said {
        let (caller_id, identity, trust) = match caller {
            Caller::Call(call) => {
                let person = self.callers.judge(&http::Call {
                    organization: &self.organization,
                    outbound: call.outbound,
                    from: Some(&call.from),
                    to: call.to.as_deref(),
                    forwarded_from: call.forwarded_from.as_deref(),
                    stir: call.stir.as_deref(),
                });
                (person.caller.status, person.caller.identity.clone(), person.trust)
            }
            Caller::Person(identity) => (CallerIdStatus::Ok, Some(identity.clone()), Trust::Normal),
        };
        match identity {
            Some(identity) => self.looked_up(caller_id, identity, trust).await,
            None => self.nobody(caller_id),
        }
    }

    async fn looked_up(&self, caller_id: CallerIdStatus, identity: Identity, trust: Trust) -> Said {
        let ask = Ask {
            organization: self.organization.clone(),
            identity,
            inputs: super::lookup::inputs(&self.config),
            deadline: self.config.lookup.deadline,
            purse: Purse::Operator,
        };
        let from = self.clock.instant();
        let answer = self.engine.answer(&ask).await;
        let took = self.clock.since(from);
        let (context, plan) = (answer.context(), self.policy.plan());
        let ceiling = if self.flow { Ceiling::of_call(trust) } else { Ceiling::Whole };
        let lens = self.policy.lens(self.view, ceiling);
        let told = if self.flow {
            let caller_id_status = caller_id.as_str();
            let facts = Facts { caller_id_status, may_greet: trust.may_greet(), call_burst: answer.burst };
            Told::to_a_flow(&attributes::render(context, lens, plan, facts, &self.config.studio).bytes)
        } else {
            Told::to_an_agent(&json::render(context, lens, plan, caller_id.as_str(), None).bytes)
        };
        let outcome = |report: &crate::domain::SourceReport| {
            let reason = report.state.reason().map(|reason| format!(" ({reason})")).unwrap_or_default();
            (plan.source(report.source).name.to_string(), format!("{}{reason}", report.state.status()))
        };
        Said {
            told: told.unwrap_or_default(),
            lookup_status: lens.status(context).as_str(),
            verdict: context.verdict.as_str(),
            sources: context.sources.iter().map(outcome).collect(),
            took: Some(took),
        }
    }

    fn nobody(&self, caller_id: CallerIdStatus) -> Said {
        let verdict = if caller_id == CallerIdStatus::Withheld { Match::Withheld } else { Match::None };
        Said {
            told: Told::default(),
            lookup_status: LookupStatus::None.as_str(),
            verdict: verdict.as_str(),
            sources: Vec::new(),
            took: None,
        }
    }
}
