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

#[expect(clippy::disallowed_methods, reason = "it asks ourselves, not a source")]
pub async fn run(args: HealthArgs) -> anyhow::Result<ExitCode> {
    let client =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(args.timeout);
    let (client, url) = match args.url {
        Some(url) => (client, url),
        None => match super::loaded(&args.config)? {
            Ok(loaded) => {
                let server = &loaded.config.server;
                let scheme = if server.tls.is_some() { "https" } else { "http" };
                // the certificate is for the public name; nothing secret is sent, and only to this machine
                let client = client.tls_danger_accept_invalid_certs(true);
                (client, format!("{scheme}://{}/readyz", reachable(server.listen)))
            }
            Err(code) => return Ok(code),
        },
    };
    let answer = client.build()?.get(&url).send().await?;
    let (status, body) = (answer.status(), answer.text().await?);
    println!("{status} {}", body.trim());
    Ok(if status.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
