//! The demo world with its configuration in files, for the binary to read.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::Arc;

use caller_context::app::{App, KeysFrom};
use caller_context::clock::Clock;
use caller_context::config::{Layers, load};
use caller_context::demo::{CONFIG, Standins, customers};
use caller_context::domain::Organization;
use caller_context::store::keys::{Grant, Keys};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio_util::task::TaskTracker;

pub struct World {
    pub standins: Standins,
    folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

/// How the binary ended, and what it said.
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("no JSON: {}{}", self.stdout, self.stderr))
    }
}

impl World {
    pub async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::system());
        let people = folder.path().join("customers.db");
        customers::write(&people, clock.now()).unwrap();
        let standins = Standins::start(clock, &TaskTracker::new()).await.unwrap();
        let mut environment = standins.environment();
        environment.push(("DEMO_CUSTOMERS_URL".into(), format!("sqlite:{}", people.display())));
        let world = Self { standins, folder, environment };
        world.write("config.toml", |demo| demo);
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the demo's configuration, changed.
    pub fn write(&self, name: &str, change: impl FnOnce(String) -> String) {
        let (store, key) = (self.path("store.db"), self.path("store.key"));
        let ours = format!(
            "\n[server]\nlisten = \"127.0.0.1:0\"\n[store]\nurl = \"sqlite:{}\"\nkey_file = \"{}\"\n",
            store.display(),
            key.display()
        );
        std::fs::write(self.path(name), change(CONFIG.to_owned()) + &ours).unwrap();
    }

    /// The binary with config.toml, and with nothing of this process's environment.
    pub async fn run(&self, arguments: &[&str], input: &str) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_caller-context"));
        command.args(arguments).current_dir(self.folder.path()).env_clear().envs(self.environment.iter().cloned());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        // who refuses its arguments does not read its input
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes()).await;
        let Output { status, stdout, stderr } = child.wait_with_output().await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ended { code: status.code().unwrap(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// What config.toml says now.
    pub fn layers(&self) -> Layers {
        Layers::read(Some(&self.path("config.toml")), self.environment.iter().cloned()).unwrap()
    }

    /// A gateway with config.toml, for as long as the test wants; its key is `key` for the view
    /// `admin`.
    pub async fn serve(&self) -> App {
        let config = load(&self.layers()).unwrap_or_else(|invalid| panic!("{invalid}")).config;
        let grant = Grant { key_id: "key".into(), organization: Organization::single(), view: "admin".into() };
        let keys = Keys::fixed(vec![("key".into(), grant)]);
        App::start(Arc::new(config), KeysFrom::Fixed(keys), Clock::system()).await.unwrap()
    }
}
