//! `health`: one question to a gateway that runs, for containers and supervisors that have no other
//! means of asking.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::ConfigArgs;

pub const EXAMPLES: &str = "\
Exit codes: 0 well; 1 not well, or nobody answers; 78 the configuration has errors.

Examples:
  caller-context health
  caller-context health --config /etc/caller-context/config.toml
  caller-context health --url http://127.0.0.1:9000/healthz --timeout 1s";

#[derive(Args)]
pub struct HealthArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// What to ask; without it, /readyz where the configuration listens, on this machine
    #[arg(long)]
    url: Option<String>,
    /// How long to wait for the answer
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = super::parse_duration)]
    timeout: Duration,
}

pub async fn run(args: HealthArgs) -> anyhow::Result<ExitCode> {
    let url = match args.url {
        Some(url) => url,
        None => match super::loaded(&args.config)? {
            Ok(loaded) => format!("http://{}/readyz", reachable(loaded.config.server.listen)),
            Err(code) => return Ok(code),
        },
    };
    let (status, body) = ask(&url, args.timeout).await?;
    println!("{status} {}", body.trim());
    Ok(if status.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[expect(clippy::disallowed_methods, reason = "it asks ourselves, not a source")]
async fn ask(url: &str, timeout: Duration) -> anyhow::Result<(http::StatusCode, String)> {
    let client =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(timeout).build()?;
    let answer = client.get(url).send().await?;
    Ok((answer.status(), answer.text().await?))
}

/// "Every address" is an address to listen on, not one to ask.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
