//! The load generator: a constant rate of arrivals (open loop), or as much as a number of
//! connections can carry (closed loop). In the open loop the latency of a request is counted from the
//! moment it was due, so that a stall is charged to every request it delays.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use caller_context_loadtest::wire::Connection;
use caller_context_loadtest::{cpu, numbers};
use clap::Parser;
use http::Uri;
use memchr::memmem::Finder;
use serde::Serialize;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

/// Longer than any deadline that the gateway takes.
const PATIENCE: Duration = Duration::from_secs(15);

/// Asks a server who calls, over and over, and says how it answered.
#[derive(Parser)]
struct Args {
    /// What to ask; `{digits}` is replaced by a number, without its plus
    url: String,
    /// Sent as `Authorization: Bearer <key>`
    #[arg(long)]
    key: Option<String>,
    /// Requests due per second; without it each connection asks again as soon as it is answered
    #[arg(long)]
    rate: Option<f64>,
    #[arg(long, default_value_t = 16)]
    connections: usize,
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Ends after so many requests, if that is sooner
    #[arg(long, default_value_t = u64::MAX)]
    requests: u64,
    /// Index of the first number
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// How many numbers are asked about, in turn
    #[arg(long, default_value_t = 1_000)]
    numbers: u64,
    /// Asks about each number once before anything is counted
    #[arg(long)]
    warm: bool,
    /// An answer without this text counts as an error
    #[arg(long, default_value = "")]
    expect: String,
    /// Also says what share of all requests was answered within so many milliseconds
    #[arg(long, value_name = "MS")]
    within: Option<f64>,
    /// The process whose CPU time is divided by the requests, its children included
    #[arg(long)]
    pid: Option<u32>,
    /// One line of JSON; times in microseconds
    #[arg(long)]
    json: bool,
}

/// What all connections know.
struct Target {
    address: SocketAddr,
    /// The request, cut where a number stands in it.
    head: Vec<String>,
    expect: Finder<'static>,
    first: u64,
    numbers: u64,
}

/// Which request is next, and when it was due.
enum Tickets {
    Paced(Mutex<mpsc::UnboundedReceiver<(u64, Instant)>>),
    AtOnce { next: AtomicU64, last: u64, end: Instant },
}

#[derive(Default)]
struct Seen {
    /// Of answers that were right.
    latencies: Vec<Duration>,
    errors: u64,
    body_bytes: usize,
}

#[derive(Serialize)]
struct Report {
    requests: u64,
    errors: u64,
    seconds: f64,
    per_second: f64,
    body_bytes: usize,
    p50_us: f64,
    p90_us: f64,
    p99_us: f64,
    p999_us: f64,
    max_us: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    within: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_us: Option<f64>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let target = Arc::new(Target::new(&args)?);
    let mut connections = Vec::new();
    for _ in 0..args.connections {
        connections.push(target.connect().await?);
    }
    if args.warm {
        let all = Tickets::at_once(args.numbers, Duration::from_secs(600));
        connections = run(&target, connections, all).await?.0;
    }
    let cpu_before = args.pid.map(cpu::of).transpose()?;
    let start = Instant::now();
    let duration = Duration::from_secs_f64(args.seconds);
    let tickets = match args.rate {
        Some(rate) => Tickets::paced(rate, ((rate * args.seconds) as u64).min(args.requests), start),
        None => Tickets::at_once(args.requests, duration),
    };
    let (_, seen) = run(&target, connections, tickets).await?;
    let elapsed = start.elapsed();
    let cpu = match (args.pid, cpu_before) {
        (Some(pid), Some(before)) => Some(cpu::of(pid)? - before),
        _ => None,
    };
    let report = Report::new(seen, elapsed, cpu, args.within);
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        report.print();
    }
    Ok(())
}

impl Target {
    fn new(args: &Args) -> anyhow::Result<Self> {
        let uri: Uri = args.url.replace("{digits}", "DIGITS").parse().context("not an address")?;
        let authority = uri.authority().context("an address begins with http:// and a host")?;
        let port = authority.port_u16().unwrap_or(80);
        let address = (authority.host(), port).to_socket_addrs()?.next().context("a host without an address")?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let key = args.key.as_ref().map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
        let head = format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\n{key}\r\n");
        Ok(Self {
            address,
            head: head.split("DIGITS").map(str::to_owned).collect(),
            expect: Finder::new(&args.expect).into_owned(),
            first: args.first,
            numbers: args.numbers.max(1),
        })
    }

    async fn connect(&self) -> anyhow::Result<Connection> {
        let connection = Connection::open(self.address).await;
        connection.with_context(|| format!("{} does not take connections", self.address))
    }

    fn write_request(&self, number: u64, into: &mut Vec<u8>) {
        into.clear();
        let digits = numbers::digits(self.first + number % self.numbers);
        for (i, piece) in self.head.iter().enumerate() {
            into.extend_from_slice(if i == 0 { b"" } else { digits.as_bytes() });
            into.extend_from_slice(piece.as_bytes());
        }
    }

    fn is_right(&self, status: u16, body: &[u8]) -> bool {
        status == 200 && self.expect.find(body).is_some()
    }
}

impl Tickets {
    fn at_once(requests: u64, duration: Duration) -> Self {
        Self::AtOnce { next: AtomicU64::new(0), last: requests, end: Instant::now() + duration }
    }

    /// A thread keeps the time: the timers of the runtime know milliseconds only.
    fn paced(rate: f64, requests: u64, start: Instant) -> Self {
        let (due, tickets) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for request in 0..requests {
                let at = start + Duration::from_secs_f64(request as f64 / rate);
                std::thread::sleep(at.saturating_duration_since(Instant::now()));
                if due.send((request, at)).is_err() {
                    return;
                }
            }
        });
        Self::Paced(Mutex::new(tickets))
    }

    async fn next(&self) -> Option<(u64, Instant)> {
        match self {
            Self::Paced(tickets) => tickets.lock().await.recv().await,
            Self::AtOnce { next, last, end } => {
                let now = Instant::now();
                let number = next.fetch_add(1, Ordering::Relaxed);
                (number < *last && now < *end).then_some((number, now))
            }
        }
    }
}

/// Works the tickets off; the connections come back.
async fn run(
    target: &Arc<Target>,
    connections: Vec<Connection>,
    tickets: Tickets,
) -> anyhow::Result<(Vec<Connection>, Seen)> {
    let tickets = Arc::new(tickets);
    let mut tasks = JoinSet::new();
    for connection in connections {
        tasks.spawn(work(target.clone(), connection, tickets.clone()));
    }
    let (mut connections, mut all) = (Vec::new(), Seen::default());
    while let Some(done) = tasks.join_next().await {
        let (connection, seen) = done??;
        connections.push(connection);
        all.latencies.extend(seen.latencies);
        all.errors += seen.errors;
        all.body_bytes = all.body_bytes.max(seen.body_bytes);
    }
    Ok((connections, all))
}

async fn work(
    target: Arc<Target>,
    mut connection: Connection,
    tickets: Arc<Tickets>,
) -> anyhow::Result<(Connection, Seen)> {
    let (mut seen, mut request) = (Seen::default(), Vec::new());
    while let Some((number, due)) = tickets.next().await {
        if connection.is_closed() {
            connection = target.connect().await?;
        }
        target.write_request(number, &mut request);
        match ask(&mut connection, &request).await {
            Ok((status, body)) if target.is_right(status, body) => {
                seen.latencies.push(due.elapsed());
                seen.body_bytes = seen.body_bytes.max(body.len());
            }
            Ok(_) => seen.errors += 1,
            Err(_) => {
                seen.errors += 1;
                connection = target.connect().await?;
            }
        }
    }
    Ok((connection, seen))
}

async fn ask<'a>(connection: &'a mut Connection, request: &[u8]) -> io::Result<(u16, &'a [u8])> {
    let answer = tokio::time::timeout(PATIENCE, connection.ask(request)).await??;
    Ok((answer.status, answer.body))
}

impl Report {
    fn new(seen: Seen, elapsed: Duration, cpu: Option<Duration>, within: Option<f64>) -> Self {
        let Seen { mut latencies, errors, body_bytes } = seen;
        latencies.sort_unstable();
        let answered = latencies.len() as u64;
        let requests = answered + errors;
        // the smallest latency that this share of the answers did not exceed
        let at = |share: f64| {
            let rank = ((latencies.len() as f64 * share).ceil() as usize).clamp(1, latencies.len().max(1));
            latencies.get(rank - 1).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e6)
        };
        let within = within.map(|ms| {
            let limit = Duration::from_secs_f64(ms / 1e3);
            latencies.partition_point(|latency| *latency <= limit) as f64 / requests as f64
        });
        Self {
            requests,
            errors,
            seconds: elapsed.as_secs_f64(),
            per_second: requests as f64 / elapsed.as_secs_f64(),
            body_bytes,
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: at(1.0),
            within,
            cpu_us: cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / requests as f64),
        }
    }

    fn print(&self) {
        let Self { requests, errors, per_second, body_bytes, p50_us, p90_us, p99_us, p999_us, max_us, .. } = self;
        println!("{requests} requests, {errors} errors, {per_second:.0} per second, bodies of {body_bytes} bytes");
        println!(
            "latency us: median {p50_us:.0}, p90 {p90_us:.0}, p99 {p99_us:.0}, p99.9 {p999_us:.0}, max {max_us:.0}"
        );
        if let Some(within) = self.within {
            println!("answered in time: {:.3} %", within * 100.0);
        }
        if let Some(cpu) = self.cpu_us {
            println!("CPU: {cpu:.2} us per request");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_ranks_of_right_answers_and_shares_are_of_all_requests() {
        let latencies = (1..=100).map(Duration::from_millis).rev().collect();
        let seen = Seen { latencies, errors: 100, body_bytes: 1 };
        let report = Report::new(seen, Duration::from_secs(1), None, Some(50.0));
        assert_eq!((report.p50_us, report.p99_us, report.max_us), (50_000.0, 99_000.0, 100_000.0));
        assert_eq!((report.requests, report.within), (200, Some(0.25)));
    }

    #[tokio::test]
    async fn a_late_start_is_charged_to_the_request() {
        let due = Instant::now() - Duration::from_secs(1);
        let tickets = Tickets::paced(10.0, 3, due);
        for number in 0..3 {
            let (request, at) = tickets.next().await.unwrap();
            assert_eq!(request, number);
            assert_eq!(at, due + Duration::from_secs_f64(number as f64 / 10.0));
        }
        assert!(tickets.next().await.is_none());
    }
}
