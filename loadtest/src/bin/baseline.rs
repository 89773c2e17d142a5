//! What the gateway is compared with: servers that do as little as can be done.
//!
//! `hit` sends from memory what the gateway answered, byte for byte; no key, no cache that ages, no
//! audit, no metrics. `fanout` asks the three sources of the crowd in parallel and sends what they said
//! one after the other; nothing is read, checked or kept.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::{Query, State};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::serve::ListenerExt as _;
use bytes::{Bytes, BytesMut};
use caller_context_loadtest::numbers;
use caller_context_loadtest::wire::Connection;
use clap::{Parser, Subcommand};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::Deserialize;
use tokio::net::TcpListener;

/// As the gateway has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PATH: &str = "/api/studio/context";
const SOURCES: [&str; 3] = ["crm", "customers", "payments"];

#[derive(Parser)]
struct Args {
    #[arg(long)]
    listen: SocketAddr,
    #[command(subcommand)]
    server: Server,
}

#[derive(Subcommand)]
enum Server {
    /// A bare axum server that sends what the gateway answered
    Hit {
        /// The gateway that is asked, once, before this server answers
        #[arg(long)]
        gateway: SocketAddr,
        #[arg(long)]
        key: String,
        #[arg(long, default_value_t = 1_000)]
        numbers: u64,
    },
    /// A bare hyper server that asks the crowd for every request
    Fanout {
        #[arg(long)]
        crowd: SocketAddr,
    },
}

/// The same runtime as the gateway's: as many threads as there are cores to run on.
#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match args.server {
        Server::Hit { gateway, key, numbers } => hit(args.listen, gateway, &key, numbers).await,
        Server::Fanout { crowd } => fanout(args.listen, crowd).await,
    }
}

#[derive(Clone)]
struct Stored {
    headers: HeaderMap,
    body: Bytes,
}

type Answers = Arc<HashMap<String, Stored>>;

#[derive(Deserialize)]
struct Ask {
    #[serde(rename = "From")]
    from: String,
}

async fn hit(listen: SocketAddr, gateway: SocketAddr, key: &str, numbers: u64) -> anyhow::Result<()> {
    let mut connection = Connection::open(gateway).await.context("the gateway does not answer")?;
    let mut answers = HashMap::new();
    for digits in (0..numbers).map(numbers::digits) {
        let request = format!(
            "GET {PATH}?From=%2B{digits}&CallSid=CA{digits} HTTP/1.1\r\nHost: {gateway}\r\nAuthorization: Bearer {key}\r\n\r\n"
        );
        let answer = connection.ask(request.as_bytes()).await?;
        anyhow::ensure!(answer.status == 200, "the gateway answered {}", answer.status);
        let stored = Stored { headers: headers(answer.head)?, body: Bytes::copy_from_slice(answer.body) };
        answers.insert(format!("+{digits}"), stored);
    }
    let app = Router::new().route(PATH, get(from_memory)).with_state(Arc::new(answers));
    let listener = TcpListener::bind(listen).await?.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, app).await?;
    Ok(())
}

async fn from_memory(State(answers): State<Answers>, Query(ask): Query<Ask>) -> impl IntoResponse {
    match answers.get(&ask.from) {
        Some(stored) => Ok((stored.headers.clone(), stored.body.clone())),
        None => Err(StatusCode::NOT_FOUND),
    }
}

/// The headers of an answer, without those that every server adds by itself.
fn headers(head: &[u8]) -> anyhow::Result<HeaderMap> {
    let mut parsed = [httparse::EMPTY_HEADER; 32];
    httparse::Response::new(&mut parsed).parse(head)?;
    let mut headers = HeaderMap::new();
    for header in parsed.iter().filter(|header| !header.name.is_empty()) {
        let name: HeaderName = header.name.parse()?;
        if ![header::CONTENT_LENGTH, header::DATE, header::CONNECTION].contains(&name) {
            headers.insert(name, HeaderValue::from_bytes(header.value)?);
        }
    }
    Ok(headers)
}

type HttpClient = Client<HttpConnector, Empty<Bytes>>;

async fn fanout(listen: SocketAddr, crowd: SocketAddr) -> anyhow::Result<()> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: HttpClient = Client::builder(TokioExecutor::new()).build(connector);
    let listener = TcpListener::bind(listen).await?;
    loop {
        // an error is of one connection, which broke before it was taken
        let Ok((stream, _)) = listener.accept().await else { continue };
        stream.set_nodelay(true)?;
        let client = client.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| ask_all(&client, crowd, request));
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
        });
    }
}

async fn ask_all(
    client: &HttpClient,
    crowd: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let from = form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes());
    let from = from.into_iter().find(|(name, _)| name == "From").map(|(_, from)| from).unwrap_or_default();
    let phone: String = form_urlencoded::byte_serialize(from.as_bytes()).collect();
    let [one, two, three] = SOURCES.map(|source| ask(client, format!("http://{crowd}/{source}?phone={phone}")));
    let mut response = Response::new(Full::default());
    match tokio::try_join!(one, two, three) {
        Ok((one, two, three)) => {
            let mut body = BytesMut::with_capacity(one.len() + two.len() + three.len());
            body.extend([one, two, three].iter().flatten());
            *response.body_mut() = body.freeze().into();
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        Err(_) => *response.status_mut() = StatusCode::BAD_GATEWAY,
    }
    Ok(response)
}

async fn ask(client: &HttpClient, url: String) -> anyhow::Result<Bytes> {
    let answer = client.get(url.parse::<Uri>()?).await?;
    anyhow::ensure!(answer.status() == StatusCode::OK, "{}", answer.status());
    Ok(answer.into_body().collect().await?.to_bytes())
}
