//! The verbs. Parsing of arguments, printing for people, exit codes; no logic of the product.

mod connectors;
pub mod demo;
mod health;
mod lookup;
mod man;
mod notify;
mod replay;
mod waterfall;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, CommandFactory, Parser, Subcommand};
use secrecy::{ExposeSecret as _, SecretString};

use crate::app::{App, KeysFrom};
use crate::clock::Clock;
use crate::config::{self, Config, Layers, Loaded};
use crate::domain::Organization;
use crate::manifest::diagnostic::did_you_mean;
use crate::manifest::pages;
use crate::store::audit::{AuditLog, Chain};
use crate::store::keys::Added;
use crate::store::{Database, keys};
use crate::telemetry::logging;
use crate::telemetry::traces::Traces;

const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   failed; `health`: not healthy; `audit`: the log was changed; `replay`: there are differences
  2   wrong arguments; `replay`: nothing could be compared
  3   `lookup` found nobody; `replay`: there was no caller to ask about
  78  the configuration has errors; starting again will not help

Examples:
  caller-context demo
  caller-context check --config config.toml
  caller-context keys new --view studio
  caller-context serve --config config.toml";

const DEMO_EXAMPLES: &str = "\
Examples:
  caller-context demo
  caller-context demo --listen 127.0.0.1:9000";

const SERVE_EXAMPLES: &str = "\
TERM and Ctrl-C end it: answers that are being made are finished first. A supervisor that sets NOTIFY_SOCKET is told
when it answers and when it stops. Exit code 78: the configuration has errors.

Examples:
  caller-context serve
  caller-context serve --config /etc/caller-context/config.toml
  CALLER_CONTEXT__SERVER__LISTEN=127.0.0.1:9000 caller-context serve";

const CHECK_EXAMPLES: &str = "\
Exit codes: 0 it can be served; 78 it has errors, all of which are shown.

Examples:
  caller-context check
  caller-context check --config /etc/caller-context/config.toml
  caller-context check --explain unknown-key";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  caller-context explain
  caller-context explain --config config.toml";

const KEYS_EXAMPLES: &str = "\
Examples:
  caller-context keys new --view studio
  caller-context keys new --view basic --organization acme --expires-in 90d
  caller-context keys list
  caller-context keys revoke 4f1c09aa27be6d35

Where secrets are handed to containers rather than written down by hand, make a key first and add it wherever the
gateway starts; adding it again changes nothing:
  caller-context keys generate
  caller-context keys add --view studio --key file:/run/secrets/studio-key";

const AUDIT_EXAMPLES: &str = "\
Exit codes: 0 every row is as it was written; 1 one was changed, or the store cannot be read.

Examples:
  caller-context audit
  caller-context audit --organization acme --config config.toml";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  caller-context completions bash";

/// Who is calling? One merged caller context from CRMs, databases and APIs, within the deadline.
#[derive(Parser)]
#[command(name = "caller-context", version, after_help = EXIT_CODES, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Serve a demo world of invented people on loopback; nothing else is needed
    #[command(after_help = DEMO_EXAMPLES)]
    Demo(demo::DemoArgs),
    /// Serve: the real thing
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(ConfigArgs),
    /// Find all problems of the configuration and its manifests at once
    #[command(after_help = CHECK_EXAMPLES)]
    Check {
        #[command(flatten)]
        config: ConfigArgs,
        /// Say what a code means and what to do, instead
        #[arg(long, value_name = "CODE")]
        explain: Option<String>,
    },
    /// Look one caller up and show who said what, and when
    #[command(after_help = lookup::EXAMPLES)]
    Lookup(lookup::LookupArgs),
    /// Ask about yesterday's callers, or a list, under a changed configuration, and count what would differ
    #[command(after_help = replay::EXAMPLES)]
    Replay(replay::ReplayArgs),
    /// Show the compiled plan: operations, needs, waves, limits, and where each setting is from
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(ConfigArgs),
    /// Show the connectors that can be used; begin, check and try one of your own
    #[command(after_help = connectors::EXAMPLES)]
    Connectors {
        #[command(subcommand)]
        verb: connectors::ConnectorsVerb,
    },
    /// Make, list and revoke API keys
    #[command(after_help = KEYS_EXAMPLES)]
    Keys {
        #[command(subcommand)]
        verb: KeysVerb,
    },
    /// Ask a gateway that runs whether it is well
    #[command(after_help = health::EXAMPLES)]
    Health(health::HealthArgs),
    /// Prove that no row of the audit log was changed or taken away
    #[command(after_help = AUDIT_EXAMPLES)]
    Audit {
        #[command(flatten)]
        config: ConfigArgs,
        #[arg(long, default_value = "default")]
        organization: String,
    },
    /// Print completions for a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions { shell: clap_complete::Shell },
    /// Print the manual page, or write one for each verb
    #[command(after_help = man::EXAMPLES)]
    Man(man::ManArgs),
}

#[derive(Args)]
struct ConfigArgs {
    /// The configuration; without it, ./config.toml if there is one, else the built-in reference
    #[arg(long, short, env = "CALLER_CONTEXT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Subcommand)]
enum KeysVerb {
    /// Make a key and print it, once
    New {
        #[command(flatten)]
        config: ConfigArgs,
        /// What the key may see: studio, basic, advanced, admin, or a view of your own
        #[arg(long)]
        view: String,
        #[arg(long, default_value = "default")]
        organization: String,
        /// How long it is good for, like 90d; without it, until it is revoked
        #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
        expires_in: Option<Duration>,
    },
    /// Print a key without storing it; `add` stores it
    Generate,
    /// Store a key that `generate` made. A key that is there already stays as it is
    Add {
        #[command(flatten)]
        config: ConfigArgs,
        /// What the key may see: studio, basic, advanced, admin, or a view of your own
        #[arg(long)]
        view: String,
        #[arg(long, default_value = "default")]
        organization: String,
        /// Where the key is: env:NAME or file:path
        #[arg(long, value_name = "REFERENCE")]
        key: String,
    },
    /// List keys: ids, views, organizations, when they end; never the keys themselves
    List(ConfigArgs),
    /// Make a key useless, within about a second
    Revoke {
        #[command(flatten)]
        config: ConfigArgs,
        /// The public id, the part of the key before the dot
        id: String,
    },
}

/// Runs the verb that the arguments name.
pub async fn run() -> ExitCode {
    match act(Cli::parse().verb).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn act(verb: Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::Demo(args) => demo::run(args).await,
        Verb::Serve(args) => serve(&args).await,
        Verb::Check { explain: Some(code), .. } => Ok(explain_code(&code)),
        Verb::Check { config, explain: None } => Ok(check(&config)),
        Verb::Lookup(args) => lookup::run(args, None).await,
        Verb::Replay(args) => Ok(replay::run(args).await),
        Verb::Explain(args) => Ok(match loaded(&args)? {
            Ok(loaded) => {
                print!("{}", loaded.explain());
                ExitCode::SUCCESS
            }
            Err(code) => code,
        }),
        Verb::Connectors { verb } => connectors::run(verb).await,
        Verb::Keys { verb } => keys(verb).await,
        Verb::Health(args) => health::run(args).await,
        Verb::Audit { config, organization } => verify_audit(&config, &organization).await,
        Verb::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "caller-context", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        Verb::Man(args) => man::run(&args, Cli::command()),
    }
}

/// The configuration as `serve` would use it; its problems are printed.
fn loaded(args: &ConfigArgs) -> anyhow::Result<Result<Loaded, ExitCode>> {
    let layers = layers(args.config.as_deref())?;
    Ok(match config::load(&layers) {
        Ok(loaded) => Ok(loaded),
        Err(invalid) => {
            eprintln!("{invalid}");
            Err(ExitCode::from(78)) // EX_CONFIG
        }
    })
}

/// What the configuration is made of.
fn layers(path: Option<&Path>) -> Result<Layers, config::Unreadable> {
    let beside = Path::new("config.toml");
    Layers::read(path.or_else(|| beside.exists().then_some(beside)), environment())
}

/// What is not text cannot be a name or a value of ours.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// `DEBUG_CRM` and the like, as the published names are set.
fn is_switched_on(name: &str) -> bool {
    std::env::var(name).is_ok_and(|value| value == "true" || value == "1")
}

fn check(args: &ConfigArgs) -> ExitCode {
    match loaded(args) {
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(78)
        }
        Ok(Err(code)) => code,
        Ok(Ok(loaded)) => {
            print!("{}", loaded.rendered_warnings());
            for source in &loaded.left_out {
                println!("source `{}` is not used: {}", source.name, source.why);
            }
            let plan = &loaded.config.plan;
            println!("ok: {} sources, {} operations", plan.sources.len(), plan.operations.len());
            ExitCode::SUCCESS
        }
    }
}

fn explain_code(code: &str) -> ExitCode {
    match pages::page(code) {
        Some(page) => {
            print!("{page}");
            ExitCode::SUCCESS
        }
        None => {
            let known = pages::PAGES.iter().map(|(code, _)| *code);
            let hint = did_you_mean(code, known).unwrap_or_default();
            eprintln!("error: no diagnostic has the code `{code}`; {hint}");
            ExitCode::from(2)
        }
    }
}

async fn serve(args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    let loaded = match loaded(args)? {
        Ok(loaded) => loaded,
        Err(code) => return Ok(code),
    };
    logging::install(&loaded.config.logging, is_switched_on)?;
    for warning in &loaded.warnings {
        tracing::warn!(code = warning.code, "{}", warning.message);
    }
    for source in &loaded.left_out {
        tracing::info!(source = &*source.name, why = source.why, "source not used");
    }
    let traces = Traces::from_environment()?;
    let app = App::start(Arc::new(loaded.config), KeysFrom::Store, Clock::system()).await?;
    let path = args.config.clone();
    app.follow(Box::new(move || layers(path.as_deref())), loaded.made_from);
    tracing::info!(address = %app.address, "answering");
    notify::supervisor("READY=1");
    let stopping = async {
        asked_to_stop().await;
        notify::supervisor("STOPPING=1");
    };
    app.run(stopping).await;
    traces.flush().await;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Ctrl-C, or the TERM that supervisors send.
async fn asked_to_stop() {
    let interrupt = tokio::signal::ctrl_c();
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        // either is the end; nothing is lost by dropping the other
        _ = interrupt => {}
        () = terminate => {}
    }
}

async fn keys(verb: KeysVerb) -> anyhow::Result<ExitCode> {
    let args = match &verb {
        KeysVerb::Generate => {
            println!("{}", keys::generate().expose_secret());
            return Ok(ExitCode::SUCCESS);
        }
        KeysVerb::New { config, .. }
        | KeysVerb::Add { config, .. }
        | KeysVerb::List(config)
        | KeysVerb::Revoke { config, .. } => config,
    };
    let loaded = match loaded(args)? {
        Ok(loaded) => loaded,
        Err(code) => return Ok(code),
    };
    let tracker = tokio_util::task::TaskTracker::new();
    let database = Database::open(&loaded.config.store, &tracker).await.context("cannot open the store")?;
    let now = Clock::system().now();
    match verb {
        KeysVerb::New { view, organization, expires_in, .. } => {
            let organization = organization_of_key(&organization, &view, &loaded.config)?;
            let expires = expires_in.map(|after| now.checked_add(after)).transpose()?;
            let made = keys::create(&database, &organization, &view, now, expires).await?;
            eprintln!("Shown once; keep it where secrets are kept. Its public id is {}.", made.id);
            println!("{}", made.key.expose_secret());
        }
        KeysVerb::Add { view, organization, key, .. } => {
            let organization = organization_of_key(&organization, &view, &loaded.config)?;
            let key = referred_to(&key)?;
            match keys::add(&database, &organization, &view, &key, now).await? {
                Added::New(id) => eprintln!("added; its public id is {id}"),
                Added::Known(id) => eprintln!("{id} is there already and stays as it is"),
                Added::Revoked(id) => eprintln!("warning: {id} was revoked and stays so; generate another key"),
            }
        }
        KeysVerb::Generate => {} // needs no store: done above
        KeysVerb::List(_) => {
            for key in keys::list(&database).await? {
                let state = match (key.revoked_at, key.expires_at) {
                    (Some(at), _) => format!("revoked {at:.0}"),
                    (None, Some(at)) if at <= now => format!("expired {at:.0}"),
                    (None, Some(at)) => format!("good until {at:.0}"),
                    (None, None) => "good until revoked".into(),
                };
                println!("{}  {}  {}  {state}", key.grant.key_id, key.grant.organization, key.grant.view);
            }
        }
        KeysVerb::Revoke { id, .. } => {
            if !keys::revoke(&database, &id, now).await? {
                anyhow::bail!("there is no key with this id that is still good");
            }
            eprintln!("revoked; gateways refuse it within about a second");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn organization_of_key(organization: &str, view: &str, config: &Config) -> anyhow::Result<Organization> {
    let organization =
        Organization::parse(organization).context("an organization's name is 1 to 64 letters of a-z, 0-9 and -")?;
    if !config.views.contains_key(view) {
        let known: Vec<_> = config.views.keys().map(|v| &**v).collect();
        anyhow::bail!("there is no view `{view}`; there are {}", known.join(", "));
    }
    Ok(organization)
}

/// A secret named on the command line; written out there, everybody on the machine could read it.
fn referred_to(reference: &str) -> anyhow::Result<SecretString> {
    let text = match (reference.strip_prefix("env:"), reference.strip_prefix("file:")) {
        (Some(name), _) => {
            std::env::var(name).with_context(|| format!("the environment variable {name} is not set"))?
        }
        (_, Some(path)) => std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?,
        _ => anyhow::bail!("name where the key is: env:NAME or file:path"),
    };
    Ok(text.trim().into())
}

async fn verify_audit(args: &ConfigArgs, organization: &str) -> anyhow::Result<ExitCode> {
    let loaded = match loaded(args)? {
        Ok(loaded) => loaded,
        Err(code) => return Ok(code),
    };
    let Some(organization) = Organization::parse(organization) else {
        anyhow::bail!("an organization's name is 1 to 64 letters of a-z, 0-9 and -")
    };
    let tracker = tokio_util::task::TaskTracker::new();
    let database = Database::open(&loaded.config.store, &tracker).await.context("cannot open the store")?;
    let audit = AuditLog::start(database, &loaded.config.audit, Clock::system(), &tracker);
    let chain = audit.verify(&organization).await?;
    audit.close().await;
    Ok(match chain {
        Chain::Whole { rows } => {
            println!("whole: {rows} rows, each as it was written");
            ExitCode::SUCCESS
        }
        Chain::Broken { number } => {
            println!("broken: row {number} was changed, or one before it is missing");
            ExitCode::FAILURE
        }
    })
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    crate::manifest::tree::duration(text).ok_or_else(|| "a number with its unit, like 90d or 12h".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verbs(command: &clap::Command) -> Vec<clap::Command> {
        command.get_subcommands().flat_map(|verb| std::iter::once(verb.clone()).chain(verbs(verb))).collect()
    }

    #[test]
    fn every_verb_teaches_by_examples_that_can_be_typed() {
        let cli = Cli::command();
        assert!(cli.get_after_help().is_some_and(|text| text.to_string().contains("Exit codes:")));
        for verb in cli.get_subcommands().cloned().chain([cli.clone()]) {
            let after = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples: Vec<&str> =
                after.lines().filter(|line| line.starts_with("  ") && line.contains("caller-context ")).collect();
            assert!(!examples.is_empty(), "{} has no examples", verb.get_name());
            for example in examples {
                let words = example.split_whitespace().skip_while(|word| word.contains('=') && !word.starts_with('-'));
                let typed = words.take_while(|word| *word != ">").map(|word| word.trim_matches('\''));
                if let Err(error) = Cli::try_parse_from(typed) {
                    panic!("{example}: {error}");
                }
            }
        }
        for verb in verbs(&cli) {
            assert!(verb.get_about().is_some(), "{} says nothing", verb.get_name());
        }
    }
}
