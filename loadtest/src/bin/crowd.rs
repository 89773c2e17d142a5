//! The crowd: three sources over HTTP that know an invented person for every number there is, each
//! with a latency of its own, and that can be told to hang. What a person is follows from the
//! digits of the number, so nothing is stored.
//!
//! The three records of a person are about 1.6 KB together, the gateway's Studio answer is about 1.5 KB.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Parser;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

/// Serves `GET /<source>?phone=%2B<digits>` for the sources crm, customers and payments;
/// `PUT` and `DELETE /hang/<source>` make one hang and heal it; `GET /calls` counts calls of each and
/// the bytes of all records.
#[derive(Parser)]
struct Args {
    #[arg(long, default_value = "127.0.0.1:18081")]
    listen: SocketAddr,
    /// Milliseconds that crm, customers and payments take
    #[arg(long, num_args = 3, default_values_t = [20.0, 5.0, 30.0])]
    latency: Vec<f64>,
}

/// What a source says of a person.
type Record = fn(&Person) -> String;

const SOURCES: [(&str, Record); 3] =
    [("crm", Person::contact), ("customers", Person::customer), ("payments", Person::payments)];

struct Source {
    name: &'static str,
    record: Record,
    latency: Duration,
    /// Wakes who waits, in the order they came: all wait equally long.
    waits: mpsc::Sender<(Instant, oneshot::Sender<()>)>,
    calls: AtomicU64,
    /// Of all records that were sent.
    bytes: AtomicU64,
    hangs: watch::Sender<bool>,
}

struct Person {
    phone: String,
    /// Differs for every number and looks like nothing.
    seed: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let latencies = args.latency.iter().map(|ms| Duration::from_secs_f64(ms / 1e3));
    let sources = SOURCES.iter().zip(latencies).map(|((name, record), latency)| Source::new(name, *record, latency));
    let sources: Arc<[Source]> = sources.collect();
    let listener = TcpListener::bind(args.listen).await?;
    loop {
        // an error is of one connection, which broke before it was taken
        let Ok((stream, _)) = listener.accept().await else { continue };
        stream.set_nodelay(true)?;
        let sources = sources.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answer(&sources, request));
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
        });
    }
}

async fn answer(sources: &[Source], request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut path = request.uri().path().split('/').skip(1);
    let (first, second) = (path.next().unwrap_or_default(), path.next());
    if first == "calls" {
        let calls = sources.iter().map(|s| format!("\"{}\":{},", s.name, s.calls.load(Ordering::Relaxed)));
        let bytes: u64 = sources.iter().map(|s| s.bytes.load(Ordering::Relaxed)).sum();
        return Ok(json(StatusCode::OK, format!("{{{}\"bytes\":{bytes}}}", calls.collect::<String>())));
    }
    let named = if first == "hang" { second.unwrap_or_default() } else { first };
    let Some(source) = sources.iter().find(|source| source.name == named) else {
        return Ok(json(StatusCode::NOT_FOUND, "{}".into()));
    };
    if first == "hang" {
        source.hangs.send_replace(*request.method() == Method::PUT);
        return Ok(json(StatusCode::OK, "{}".into()));
    }
    let query = request.uri().query().unwrap_or_default();
    let phone = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "phone");
    let Some((_, phone)) = phone else {
        return Ok(json(StatusCode::BAD_REQUEST, "{}".into()));
    };
    source.take_its_time().await;
    let record = (source.record)(&Person::new(&phone));
    source.bytes.fetch_add(record.len() as u64, Ordering::Relaxed);
    Ok(json(StatusCode::OK, record))
}

fn json(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

impl Source {
    /// A thread keeps the time: the timers of the runtime know milliseconds only.
    fn new(name: &'static str, record: Record, latency: Duration) -> Self {
        let (waits, waiting) = mpsc::channel::<(Instant, oneshot::Sender<()>)>();
        std::thread::spawn(move || {
            while let Ok((until, wake)) = waiting.recv() {
                std::thread::sleep(until.saturating_duration_since(Instant::now()));
                let _ = wake.send(()); // who waited may have hung up
            }
        });
        let (calls, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { name, record, latency, waits, calls, bytes, hangs: watch::Sender::new(false) }
    }

    async fn take_its_time(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let (wake, woken) = oneshot::channel();
        if self.waits.send((Instant::now() + self.latency, wake)).is_ok() {
            let _ = woken.await;
        }
        let _ = self.hangs.subscribe().wait_for(|hangs| !hangs).await;
    }
}

impl Person {
    fn new(phone: &str) -> Self {
        let digits = phone.bytes().filter(u8::is_ascii_digit);
        let number = digits.fold(0_u64, |number, digit| number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')));
        // splitmix64
        let mut seed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
        seed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        seed = (seed ^ (seed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self { phone: phone.to_owned(), seed: seed ^ (seed >> 31) }
    }

    fn one_of<'a>(&self, turn: u32, words: &[&'a str]) -> &'a str {
        let index = self.seed.rotate_right(turn) % words.len() as u64;
        words.get(index as usize).copied().unwrap_or_default()
    }

    fn first_name(&self) -> &'static str {
        self.one_of(3, &["Ada", "Bela", "Carmen", "Dmitri", "Elin", "Farid", "Grete", "Hugo", "Ines", "Jonas"])
    }

    fn last_name(&self) -> &'static str {
        self.one_of(11, &["Abel", "Bergmann", "Castellanos", "Dahl", "Eriksen", "Fontaine", "Grant", "Holub"])
    }

    fn day(&self, turn: u32) -> u64 {
        1 + self.seed.rotate_right(turn) % 28
    }

    fn contact(&self) -> String {
        let (first, last) = (self.first_name(), self.last_name());
        let company = self.one_of(19, &["Northwind Traders", "Example Logistics", "Contoso Marine", "Fabrikam Glass"]);
        let agent = self.one_of(23, &["agent-17", "agent-23", "agent-42"]);
        let owner = self.one_of(29, &["Olga Owner", "Peter Partner", "Quinn Quota"]);
        format!(
            r#"{{"results":[{{"id":"{id:016x}","firstname":"{first}","lastname":"{last}","email":"{mail}.{id:x}@example.com","phone":"{phone}","company":"{company}","title":"Head of Operations","vip":{vip},"preferred_agent":"{agent}","language":"en-US","owner":{{"name":"{owner}"}},"last_contact":"2026-10-{day:02}T09:30:00Z","created_at":"2021-03-{day:02}T12:00:00Z","source":"referral","lifecycle":"customer"}}]}}"#,
            id = self.seed,
            mail = first.to_ascii_lowercase(),
            phone = self.phone,
            vip = self.seed.is_multiple_of(10),
            day = self.day(31),
        )
    }

    fn customer(&self) -> String {
        let status = self.one_of(37, &["active", "active", "active", "suspended"]);
        let number = self.seed % 10_000_000;
        let mut orders = String::new();
        for order in 0..3_u32 {
            let what = self.one_of(
                41 + order,
                &[
                    "Annual maintenance plan",
                    "Replacement filter set",
                    "Installation, two rooms",
                    "Spare remote control",
                ],
            );
            let comma = if order == 0 { "" } else { "," };
            let _ = write!(
                orders,
                r#"{comma}{{"id":"SO-{number:07}-{order}","description":"{what}","date":"2026-0{month}-{day:02}","amount":"{amount}.50","status":"shipped"}}"#,
                month = 9 - order,
                day = self.day(43 + order),
                amount = 20 + self.seed.rotate_right(order) % 900,
            );
        }
        format!(
            r#"{{"id":"{number}","account_id":"ACC-{number:07}","status":"{status}","phone":"{phone}","orders":[{orders}]}}"#,
            phone = self.phone,
        )
    }

    fn payments(&self) -> String {
        let method = self.one_of(47, &["card", "transfer", "direct_debit"]);
        let number = self.seed % 10_000_000;
        let mut visits = String::new();
        for visit in 0..4_u32 {
            let what = self.one_of(51 + visit, &["Boiler inspection", "Meter replacement", "Advice on site"]);
            let comma = if visit == 0 { "" } else { "," };
            let _ = write!(
                visits,
                r#"{comma}{{"id":"AP-{number:07}-{visit}","title":"{what}","starts_at":"2026-12-{day:02}T10:00:00Z","ends_at":"2026-12-{day:02}T10:45:00Z","status":"confirmed"}}"#,
                day = self.day(53 + visit),
            );
        }
        format!(
            r#"{{"phone":"{phone}","outstanding_balance":"{balance}.25","currency":"USD","last_payment":"2026-10-{day:02}T00:00:00Z","payment_method":"{method}","auto_pay_enabled":true,"appointments":[{visits}]}}"#,
            phone = self.phone,
            balance = self.seed.rotate_right(7) % 500,
            day = self.day(59),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_always_the_same_person_and_every_record_is_json() {
        let (one, again, other) =
            (Person::new("+12015550000"), Person::new("+12015550000"), Person::new("+12015550001"));
        for (_, record) in SOURCES {
            let text = record(&one);
            assert_eq!(text, record(&again));
            assert_ne!(text, record(&other));
            serde_json::from_str::<serde_json::Value>(&text).unwrap();
        }
        let together: usize = SOURCES.iter().map(|(_, record)| record(&one).len()).sum();
        assert!((1_300..1_900).contains(&together), "{together}");
    }
}
