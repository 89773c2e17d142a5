//! `demo`: the gateway and its demo world in one process, on loopback, with keys that anybody may
//! know. Refuses every other address.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use secrecy::SecretString;
use tokio_util::task::TaskTracker;

use crate::app::{App, KeysFrom};
use crate::clock::Clock;
use crate::config::{self, Layers};
use crate::demo::{self, Standins, customers, world};
use crate::domain::Organization;
use crate::store::keys::{Grant, Keys};
use crate::telemetry::logging;
use crate::telemetry::traces::Traces;

#[derive(Args)]
pub struct DemoArgs {
    /// Where to answer; loopback only
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
}

/// Views that have a demo key, named `demo-<view>`.
const VIEWS: [&str; 4] = ["studio", "basic", "advanced", "admin"];

pub async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(args.listen.ip().is_loopback(), "the demo's keys are public: it listens on loopback only");
    let clock = Clock::system();
    let logs = config::load(&logging_only()).map_err(|invalid| anyhow::anyhow!("{invalid}"))?.config.logging;
    logging::install(&logs, super::is_switched_on)?;
    let traces = Traces::from_environment()?;
    let demo = Demo::start(Setup { listen: args.listen, ..Setup::default() }, clock).await?;
    println!("{}", invitation(demo.app.address, &demo.standins.control_url()));
    demo.app.run(super::asked_to_stop()).await;
    traces.flush().await;
    Ok(ExitCode::SUCCESS)
}

/// The gateway and its demo world, running. Tests and load tests use the same.
pub struct Demo {
    pub app: App,
    pub standins: Standins,
    _folder: Folder,
}

/// What may differ from the demo as it is shipped.
pub struct Setup {
    pub listen: SocketAddr,
    /// More TOML, after demo.toml.
    pub more: String,
    /// Keys of the configuration by path (`sources.crm.timeout`), with their values.
    pub overrides: Vec<(&'static str, String)>,
    /// More variables for `env:` references.
    pub environment: Vec<(String, String)>,
    /// Beside the demo's keys: key, organization, view.
    pub keys: Vec<(&'static str, &'static str, &'static str)>,
}

impl Default for Setup {
    fn default() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { listen, more: String::new(), overrides: Vec::new(), environment: Vec::new(), keys: Vec::new() }
    }
}

impl Demo {
    pub async fn start(setup: Setup, clock: Clock) -> anyhow::Result<Self> {
        let tracker = TaskTracker::new();
        let folder = Folder::new()?;
        customers::write(&folder.path("customers.db"), clock.now()).context("cannot write the demo's customers")?;
        let standins = Standins::start(clock, &tracker).await.context("cannot start the demo's stand-ins")?;
        let layers = layers(&standins, &folder, &setup);
        let loaded = config::load(&layers).map_err(|invalid| anyhow::anyhow!("{invalid}"))?;
        let app = App::start(Arc::new(loaded.config), KeysFrom::Fixed(keys(&setup)?), clock).await?;
        Ok(Self { app, standins, _folder: folder })
    }
}

/// Of the environment the demo takes how it logs, and nothing else: it needs no configuration, and
/// must not ask anybody's real sources.
fn logging_only() -> Layers {
    let of_logging = super::environment().filter(|(name, _)| name.starts_with("CALLER_CONTEXT__LOGGING__"));
    of_logging.fold(Layers::text(""), |layers, (name, value)| layers.with(&name, &value))
}

/// demo.toml, with addresses and secrets where a real configuration has the environment.
fn layers(standins: &Standins, folder: &Folder, setup: &Setup) -> Layers {
    let mut layers = Layers::text(&format!("{}\n{}", demo::CONFIG, setup.more));
    let sqlite = |file: &str| format!("sqlite:{}", folder.path(file).display());
    for (name, value) in standins.environment() {
        layers = layers.with(&name, &value);
    }
    for (name, value) in &setup.environment {
        layers = layers.with(name, value);
    }
    let ours = [
        ("server.listen", setup.listen.to_string()),
        ("store.url", sqlite("store.db")),
        ("store.key_file", folder.path("store.key").display().to_string()),
    ];
    for (key, value) in ours.iter().chain(&setup.overrides) {
        layers = layers.with(&format!("CALLER_CONTEXT__{}", key.replace('.', "__").to_uppercase()), value);
    }
    layers.with("DEMO_CUSTOMERS_URL", &sqlite("customers.db"))
}

fn keys(setup: &Setup) -> anyhow::Result<Keys> {
    let of_demo = VIEWS.iter().map(|view| (format!("demo-{view}"), "default", *view));
    let of_setup = setup.keys.iter().map(|(key, organization, view)| ((*key).to_owned(), *organization, *view));
    let mut keys = Vec::new();
    for (key, organization, view) in of_demo.chain(of_setup) {
        let organization = Organization::parse(organization).context("not the name of an organization")?;
        let grant = Grant { key_id: key.as_str().into(), organization, view: view.into() };
        keys.push((SecretString::from(key), grant));
    }
    Ok(Keys::fixed(keys))
}

/// A folder for the demo's databases, removed with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("caller-context-demo-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn invitation(address: SocketAddr, control: &str) -> String {
    let callers = [
        (world::EVERYWHERE, "known everywhere"),
        (world::AMBIGUOUS, "several people at several companies: ambiguous"),
        (world::SHARED_LINE, "the main number of an office: shared_line"),
        (world::ODD_SPELLING, "stored in an odd spelling"),
        (world::UNKNOWN, "known to nobody"),
        (world::WITHHELD, "withheld: nobody is asked"),
    ];
    let callers: String = callers.iter().map(|(number, what)| format!("  {number:<14} {what}\n")).collect();
    let (everywhere, encoded) = (world::EVERYWHERE, world::EVERYWHERE.replace('+', "%2B"));
    format!(
        "\
caller-context demo on http://{address}  (Ctrl-C ends it)

Callers
{callers}
Keys: demo-studio  demo-basic  demo-advanced  demo-admin

A Studio flow asks:
  curl -s -u x:demo-studio 'http://{address}/api/studio/context' -d From={encoded} -d CallSid=CA1 -d deadline_ms=2000

An agent's desktop asks, and an administrator asks why:
  curl -s -H 'Authorization: Bearer demo-basic' -H 'Content-Type: application/json' \\
    'http://{address}/api/context' -d '{{\"phone\":\"{everywhere}\"}}'
  curl -s -H 'Authorization: Bearer demo-admin' 'http://{address}/api/context?phone={encoded}&explain=true'

Before a meeting, by e-mail: a customer, one of our own, a stranger:
  curl -s -H 'Authorization: Bearer demo-advanced' 'http://{address}/api/meetings/context' \\
    -d participants=ada.byron@analytical.example -d participants=grace.rep@example.com -d participants=nobody@example.net

Make a source ill (slow hang reset 429 500 garbage ...), forget the caller, ask again; then heal it:
  curl -s '{control}/_faults' -H 'Content-Type: application/json' -d '{{\"source\":\"hubspot\",\"fault\":\"hang\"}}'
  curl -s -X DELETE -H 'Authorization: Bearer demo-admin' 'http://{address}/api/context?phone={encoded}'
  curl -s '{control}/_faults' -H 'Content-Type: application/json' -d '{{\"source\":\"hubspot\",\"fault\":\"none\"}}'

Who was told what, what the sources were asked, and the figures:
  curl -s -H 'Authorization: Bearer demo-admin' 'http://{address}/api/audit'
  curl -s '{control}/_book'
  curl -s 'http://{address}/metrics'
"
    )
}
