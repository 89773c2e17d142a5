//! `demo`: the gateway and its demo world in one process, on loopback, with keys that anybody may
//! know. Refuses every other address.

use std::net::SocketAddr;
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
    let (clock, tracker) = (Clock::system(), TaskTracker::new());
    let folder = Folder::new()?;
    let customers = folder.0.join("customers.db");
    customers::write(&customers, clock.now()).context("cannot write the demo's customers database")?;
    let standins = Standins::start(clock, &tracker).await.context("cannot start the demo's stand-ins")?;
    let loaded =
        config::load(&layers(&standins, &folder, args.listen)).map_err(|invalid| anyhow::anyhow!("{invalid}"))?;
    logging::install(&loaded.config.logging, |name| std::env::var(name).is_ok_and(|v| v == "true"))?;
    let app = App::start(Arc::new(loaded.config), KeysFrom::Fixed(keys()?), clock).await?;
    println!("{}", invitation(app.address, &standins.control_url()));
    app.run(super::asked_to_stop()).await?;
    Ok(ExitCode::SUCCESS)
}

/// demo.toml, with addresses and secrets where a real configuration has the environment.
fn layers(standins: &Standins, folder: &Folder, listen: SocketAddr) -> Layers {
    let mut layers = Layers::text(demo::CONFIG);
    let path = |file: &str| folder.0.join(file).display().to_string();
    for (name, value) in standins.environment() {
        layers = layers.with(name, &value);
    }
    layers
        .with("DEMO_CUSTOMERS_URL", &format!("sqlite:{}", path("customers.db")))
        .with("CALLER_CONTEXT__SERVER__LISTEN", &listen.to_string())
        .with("CALLER_CONTEXT__STORE__URL", &format!("sqlite:{}", path("store.db")))
        .with("CALLER_CONTEXT__STORE__KEY_FILE", &path("store.key"))
}

fn keys() -> anyhow::Result<Keys> {
    let key = |view: &str| {
        let key = format!("demo-{view}");
        let organization = Organization::single();
        (SecretString::from(key.clone()), Grant { key_id: key.into(), organization, view: view.into() })
    };
    Ok(Keys::fixed(VIEWS.iter().map(|view| key(view)).collect()))
}

/// A folder for the demo's databases, removed with it.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("caller-context-demo-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
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
