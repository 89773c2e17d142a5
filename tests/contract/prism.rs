//! Prism as a child process: between us and an upstream (`proxy`), or answering itself with the
//! examples of a vendor's document (`mock`). It judges each request and each answer.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio_util::task::TaskTracker;

use super::Result;

/// What Prism said last, for whoever has to find out why it died.
const LINES_KEPT: usize = 40;

/// A Prism that listens; dropping it ends it.
pub struct Prism {
    pub url: String,
    lines: Arc<Mutex<VecDeque<String>>>,
    _child: Child,
}

impl Prism {
    /// What is missing to start one, and what to do about it.
    pub fn missing() -> Option<String> {
        if std::process::Command::new("node").arg("--version").output().is_err() {
            return Some("Node.js; run ./test".into());
        }
        (!script().is_file()).then(|| "Prism; run tests/contract/install".into())
    }

    /// Judges by `document`, in front of `upstream` or alone. Returns when it listens.
    pub async fn start(document: &Path, upstream: Option<&str>, tracker: &TaskTracker) -> Result<Self> {
        let mut command = Command::new("node");
        command.arg(script()).arg(if upstream.is_some() { "proxy" } else { "mock" });
        // Port 0: the system gives a free one, and Prism says which.
        command.args(["--errors", "--host", "127.0.0.1", "--port", "0"]).arg(document).args(upstream);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let mut output = BufReader::new(child.stdout.take().ok_or("Prism has no output")?).lines();
        let listening = tokio::time::timeout(Duration::from_secs(120), listening(&mut output)).await;
        let url = listening.map_err(|_| "Prism did not start within two minutes")??;
        let lines = Arc::default();
        tracker.spawn(keep(output, Arc::clone(&lines)));
        Ok(Self { url, lines, _child: child })
    }

    /// Its last lines: which operations it saw, and what it disliked.
    pub fn said(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(|line| format!("    {line}\n")).collect()
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract/node_modules/@stoplight/prism-cli/dist/index.js")
}

/// The address in the line that says it listens.
async fn listening(output: &mut Lines<BufReader<ChildStdout>>) -> Result<String> {
    let mut said = String::new();
    while let Some(line) = output.next_line().await? {
        if let Some((_, address)) = line.split_once("Prism is listening on ") {
            return Ok(address.trim().to_owned());
        }
        said += &line;
        said.push('\n');
    }
    Err(format!("Prism ended before it listened:\n{said}").into())
}

/// Reads on, or Prism would stop at a full pipe.
async fn keep(mut output: Lines<BufReader<ChildStdout>>, lines: Arc<Mutex<VecDeque<String>>>) {
    while let Ok(Some(line)) = output.next_line().await {
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LINES_KEPT {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}
