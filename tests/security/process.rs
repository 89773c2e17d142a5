//! The real binary as a process: started, listened to, killed.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};

use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use crate::support::{Door, configuration, spawn, until};

/// A gateway in a process of its own. It dies with the test.
pub struct Process {
    pub door: Door,
    child: Child,
    stdout: Captured,
    stderr: Captured,
}

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    fn from(mut pipe: impl tokio::io::AsyncRead + Unpin + Send + 'static) -> Self {
        let captured = Self::default();
        let into = captured.clone();
        spawn(async move {
            let mut bytes = [0; 8192];
            while let Ok(read @ 1..) = pipe.read(&mut bytes).await {
                into.0.lock().unwrap().extend_from_slice(&bytes[..read]);
            }
        });
        captured
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

/// The binary without anything of this process's environment but what it must have.
pub fn binary(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_caller-context"));
    command.args(arguments).env_clear().envs(environment.iter().copied()).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs a verb to its end.
pub async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    binary(arguments, environment).output().await.unwrap()
}

impl Process {
    /// Starts it and waits until it says where it answers.
    pub async fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = binary(arguments, environment);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = Captured::from(child.stdout.take().unwrap());
        let stderr = Captured::from(child.stderr.take().unwrap());
        let said = || async { announced(&stdout.text()).or_else(|| announced(&stderr.text())) };
        let address = until(said, Option::is_some).await.unwrap();
        Self { door: Door::to(address), child, stdout, stderr }
    }

    /// `serve` with this configuration and, made by the verb for it, a key for each view.
    pub async fn serve<const N: usize>(
        folder: &Path,
        more: &str,
        views: [&str; N],
        environment: &[(&str, &str)],
    ) -> (Self, [String; N]) {
        let file = folder.join("config.toml");
        std::fs::write(&file, configuration(more, folder)).unwrap();
        let file = file.to_str().unwrap();
        let mut keys = [const { String::new() }; N];
        for (key, view) in keys.iter_mut().zip(views) {
            let made = run(&["keys", "new", "--config", file, "--view", view], environment).await;
            *key = String::from_utf8(made.stdout).unwrap().trim().to_owned();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
        (Self::start(&["serve", "--config", file], environment).await, keys)
    }

    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Sends it a signal: `HUP`, `TERM`.
    pub fn signal(&self, name: &str) {
        let process = self.child.id().unwrap().to_string();
        let sent = std::process::Command::new("kill").args(["-s", name, &process]).status().unwrap();
        assert!(sent.success());
    }

    /// SIGKILL, and gone when this returns.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }
}

/// The demo says "demo on http://<address>", serve logs its address as JSON.
fn announced(text: &str) -> Option<SocketAddr> {
    let after = |mark: &str| text.split_once(mark).map(|(_, rest)| rest);
    let rest = after("demo on http://").or_else(|| after("\"address\":\""))?;
    let end = rest.find(|c: char| c == '"' || c.is_whitespace())?;
    rest.get(..end)?.parse().ok()
}
