//! A database server of a test's own, to be stopped and started again. Made as `./test` makes those
//! that tests share.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use caller_context::manifest::plan::SqlEngine;

use crate::database::{Failed, Result, execute, until};

/// Debian's; PostgreSQL refuses root.
const NOBODY: u32 = 65_534;

pub struct Server {
    engine: SqlEngine,
    port: u16,
    /// Beyond what every server is started with.
    settings: Vec<String>,
    process: Child,
    folder: tempfile::TempDir,
}

impl Server {
    /// A server that answers, or none and SKIPPED where the tests' own servers are missing too.
    pub async fn start(engine: SqlEngine, test: &str, settings: &[&str]) -> Result<Option<Self>> {
        if std::env::var_os("TEST_POSTGRES_URL").is_none() {
            if std::env::var_os("TEST_REQUIRE_DATABASES").is_some() {
                return Err(format!("{test} needs the programs of database servers").into());
            }
            writeln!(std::io::stderr(), "SKIPPED: {test} needs the programs of database servers; run ./test")?;
            return Ok(None);
        }
        let folder = tempfile::Builder::new().prefix("server").tempdir()?;
        let port = free_port()?;
        let settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
        initialize(engine, folder.path())?;
        let process = spawn(engine, folder.path(), port, &settings)?;
        let server = Self { engine, port, settings, process, folder };
        server.answers().await?;
        Ok(Some(server))
    }

    /// Of the server's administrator.
    pub fn url(&self) -> String {
        match self.engine {
            SqlEngine::Postgres => format!("postgres://postgres@{}/postgres", self.address()),
            _ => format!("mysql://root@{}/mysql", self.address()),
        }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub async fn execute(&self, sql: &str) -> Result {
        execute(self.engine, &self.url(), sql).await
    }

    /// At once, as if the machine failed; gone when this returns.
    pub fn stop(&mut self) -> Result {
        let signal = if self.engine == SqlEngine::Postgres { "-QUIT" } else { "-KILL" };
        Command::new("kill").args([signal, &self.process.id().to_string()]).status()?;
        self.process.wait()?;
        Ok(())
    }

    /// With the same data on the same port.
    pub async fn start_again(&mut self) -> Result {
        self.process = spawn(self.engine, self.folder.path(), self.port, &self.settings)?;
        self.answers().await
    }

    async fn answers(&self) -> Result {
        until("the server answers", async || Ok(self.execute("SELECT 1").await.is_ok())).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

/// Below the range that the system gives to outgoing connections, so that nothing takes it while the
/// server is down.
fn free_port() -> Result<u16> {
    let mut candidates = (0..200).map(|_| 20_000 + rand::random::<u16>() % 12_000);
    let free = candidates.find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.ok_or_else(|| "no free port".into())
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|us| std::os::unix::fs::MetadataExt::uid(&us) == 0)
}

fn postgres_folder() -> Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let folders = versions.map(|version| version.path().join("bin")).filter(|bin| bin.join("postgres").exists());
    let mut others = ["/usr/local/pgsql/bin", "/usr/bin", "/usr/local/bin"].map(PathBuf::from).into_iter();
    let found = folders.max().or_else(|| others.find(|bin| bin.join("postgres").exists()));
    found.ok_or_else(|| "PostgreSQL's programs are not where they are looked for".into())
}

fn quiet(program: impl AsRef<std::ffi::OsStr>, folder: &Path) -> Result<Command> {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("log"))?;
    let mut command = Command::new(program);
    command.current_dir("/").env("PATH", "/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/bin");
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Ok(command)
}

fn initialize(engine: SqlEngine, folder: &Path) -> Result {
    let data = folder.join("data");
    let mut command = match engine {
        SqlEngine::Postgres => {
            let mut command = quiet(postgres_folder()?.join("initdb"), folder)?;
            command.arg("-D").arg(data);
            command.args([
                "-U",
                "postgres",
                "-A",
                "trust",
                "--no-sync",
                "--no-instructions",
                "-E",
                "UTF8",
                "--locale=C",
            ]);
            if is_root() {
                std::os::unix::fs::chown(folder, Some(NOBODY), Some(NOBODY))?;
                command.uid(NOBODY).gid(NOBODY);
            }
            command
        }
        _ => {
            let mut command = quiet("mariadb-install-db", folder)?;
            command.arg("--no-defaults").arg(format!("--datadir={}", data.display()));
            command.args(["--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-log-file-size=8M"]);
            command.args(is_root().then_some("--user=root"));
            command
        }
    };
    match command.status()?.success() {
        true => Ok(()),
        false => Err(Failed::from(std::fs::read_to_string(folder.join("log"))?)),
    }
}

fn spawn(engine: SqlEngine, folder: &Path, port: u16, settings: &[String]) -> Result<Child> {
    let data = folder.join("data");
    let mut command = match engine {
        SqlEngine::Postgres => {
            let mut command = quiet(postgres_folder()?.join("postgres"), folder)?;
            command.arg("-D").arg(data).arg("-k").arg(folder).args(["-h", "127.0.0.1", "-p", &port.to_string()]);
            for setting in ["fsync=off", "full_page_writes=off", "shared_buffers=16MB"] {
                command.args(["-c", setting]);
            }
            settings.iter().for_each(|setting| {
                command.args(["-c", setting]);
            });
            if is_root() {
                command.uid(NOBODY).gid(NOBODY);
            }
            command
        }
        _ => {
            let mut command = quiet("mariadbd", folder)?;
            command.arg("--no-defaults").arg(format!("--datadir={}", data.display())).arg(format!("--port={port}"));
            command.arg(format!("--socket={}", folder.join("socket").display()));
            command.args(["--bind-address=127.0.0.1", "--skip-name-resolve", "--innodb-buffer-pool-size=16M"]);
            command.args(["--innodb-log-file-size=8M", "--skip-log-bin", "--performance-schema=OFF"]);
            command.args(is_root().then_some("--user=root"));
            command.args(settings.iter().map(|setting| format!("--{setting}")));
            command
        }
    };
    Ok(command.spawn()?)
}
