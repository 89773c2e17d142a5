//! Sources that speak HTTP: sends what the plan rendered, reads what comes back within caps. No
//! redirects, no proxies from the environment, credentials only to the hosts of the manifest. By
//! hyper's own client: every miss pays for what stands between it and the wire. Access tokens are
//! fetched here too, by whoever needs one first.

use std::error::Error as StdError;
use std::io::{self, Read as _};
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use arc_swap::ArcSwapOption;
use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use super::quota::Quota;
use super::tables::Tables;
use super::{Call, CallError, Said};
use crate::domain::{Failure, Skip};
use crate::manifest::plan::{self, Auth, OAuth};
use crate::manifest::reading::AnswerClass;
use crate::manifest::template::Prepared;
use crate::tls;

const USER_AGENT: &str = concat!("caller-context/", env!("CARGO_PKG_VERSION"));

/// A client of one source; its connections are its own.
pub struct HttpUpstream {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// Sent with every request, whatever it says itself.
    headers: HeaderMap,
    tokens: Option<Tokens>,
}

/// The access token of one source.
#[derive(Default)]
struct Tokens {
    current: ArcSwapOption<Token>,
    /// One fetches it, others wait.
    turn: Mutex<Renewal>,
}

#[derive(Default)]
struct Renewal {
    /// The vendor's newest refresh token, where it gives another one each time.
    refresh_token: Option<SecretString>,
    /// The vendor refused our credentials: it is not asked again before.
    refused_until: Option<Timestamp>,
    /// A token was renewed because it was refused: if the next one is refused too, it is not the token.
    renewed_until: Option<Timestamp>,
}

struct Token {
    bearer: HeaderValue,
    /// None: as long as the vendor takes it.
    until: Option<Timestamp>,
}

impl Tokens {
    /// Takes a refused token away, unless somebody else has. `false`: the one before it was refused as well.
    async fn give_up(&self, refused: &Arc<Token>, now: Timestamp) -> bool {
        let mut turn = self.turn.lock().await;
        let is_current = self.current.load().as_ref().is_some_and(|current| Arc::ptr_eq(current, refused));
        if !is_current {
            return true;
        }
        if turn.renewed_until.is_some_and(|until| now < until) {
            return false;
        }
        turn.renewed_until = now.checked_add(REFUSED_FOR).ok();
        self.current.store(None);
        true
    }
}

/// Of a token's life: what is on its way must arrive before its end.
const TOKEN_MARGIN: SignedDuration = SignedDuration::from_secs(60);
/// After refused credentials.
const REFUSED_FOR: SignedDuration = SignedDuration::from_secs(30);
/// A token's answer is small.
const TOKEN_ANSWER_MAX: usize = 64 << 10;

#[derive(serde::Deserialize)]
struct TokenAnswer {
    access_token: SecretString,
    expires_in: Option<f64>,
    refresh_token: Option<SecretString>,
}

/// The source cannot be asked at all.
#[derive(Debug, thiserror::Error)]
pub enum BadSettings {
    #[error("the certificates that this machine trusts cannot be used")]
    Roots(#[from] rustls::Error),
    #[error("its secret holds letters that cannot stand in a header")]
    Secret,
}

/// An answer within the caps.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl HttpUpstream {
    pub fn new(settings: &plan::HttpUpstream) -> Result<Self, BadSettings> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(Duration::from_secs(3)));
        tcp.set_keepalive(Some(Duration::from_secs(30)));
        tcp.set_nodelay(true);
        let tls = HttpsConnectorBuilder::new().with_tls_config(tls::trusting_the_machine()?);
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(90))
            .build(tls.https_or_http().enable_http1().enable_http2().wrap_connector(tcp));
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        if let Auth::Headers(auth) = &settings.auth {
            for (name, value) in auth {
                let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| BadSettings::Secret)?;
                value.set_sensitive(true);
                headers.insert(name.clone(), value);
            }
        }
        let tokens = matches!(settings.auth, Auth::OAuth(_)).then(Tokens::default);
        Ok(Self { client, headers, tokens })
    }

    /// Sends a rendered request and reads its answer; what it says of limits is the quota's.
    pub async fn ask(
        &self,
        call: &Call,
        tables: &Tables,
        prepared: Prepared,
        quota: &Quota,
        now: Timestamp,
    ) -> Result<Said, CallError> {
        let plan::Upstream::Http(settings) = &call.source().upstream else { return Err(Skip::Invalid.into()) };
        if !host_is_allowed(&prepared.url, settings) {
            return Err(Skip::Invalid.into());
        }
        let request = self.request(prepared)?;
        let answer = self.answer(settings, request, now).await?;
        quota.learn(&answer.headers, call.operation().cost);
        read(call, tables, &answer)
    }

    async fn answer(
        &self,
        settings: &plan::HttpUpstream,
        request: Request<Full<Bytes>>,
        now: Timestamp,
    ) -> Result<Answer, CallError> {
        let (Auth::OAuth(oauth), Some(tokens)) = (&settings.auth, &self.tokens) else {
            return self.send(request, settings.max_answer_bytes).await;
        };
        let token = self.token(tokens, oauth, now).await?;
        let answer = self.send(bearing(&token, request.clone()), settings.max_answer_bytes).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        // it may have ended before its time; once, with another one
        if !tokens.give_up(&token, now).await {
            return Ok(answer);
        }
        let token = self.token(tokens, oauth, now).await?;
        self.send(bearing(&token, request), settings.max_answer_bytes).await
    }

    async fn token(&self, tokens: &Tokens, oauth: &OAuth, now: Timestamp) -> Result<Arc<Token>, CallError> {
        let good = || tokens.current.load_full().filter(|token| token.until.is_none_or(|until| now < until));
        if let Some(token) = good() {
            return Ok(token);
        }
        let mut turn = tokens.turn.lock().await;
        if let Some(token) = good() {
            return Ok(token);
        }
        if turn.refused_until.is_some_and(|until| now < until) {
            return Err(Failure::Rejected.into());
        }
        let request = token_request(oauth, turn.refresh_token.as_ref()).ok_or(Skip::Invalid)?;
        let answer = self.send(request, TOKEN_ANSWER_MAX).await?;
        match answer.status.as_u16() {
            200..300 => {}
            429 => return Err(Failure::Limited { retry_after: retry_after(&answer.headers) }.into()),
            500.. => return Err(Failure::Unreachable.into()),
            _ => {
                turn.refused_until = now.checked_add(REFUSED_FOR).ok();
                return Err(Failure::Rejected.into());
            }
        }
        // an answer without a token is none, whatever its status; its text may quote a secret
        let given: TokenAnswer = serde_json::from_slice(&answer.body).map_err(|_| Failure::Unreadable)?;
        let bearer = format!("{} {}", oauth.scheme, given.access_token.expose_secret());
        let mut bearer = HeaderValue::try_from(bearer).map_err(|_| Failure::Unreadable)?;
        bearer.set_sensitive(true);
        let life = given.expires_in.and_then(|seconds| SignedDuration::try_from_secs_f64(seconds).ok());
        let until = life.and_then(|life| now.checked_add(life.max(TOKEN_MARGIN * 2) - TOKEN_MARGIN).ok());
        let token = Arc::new(Token { bearer, until });
        tokens.current.store(Some(token.clone()));
        if given.refresh_token.is_some() {
            turn.refresh_token = given.refresh_token;
        }
        Ok(token)
    }

    fn request(&self, prepared: Prepared) -> Result<Request<Full<Bytes>>, CallError> {
        let mut request = Request::new(Full::new(prepared.body.unwrap_or_default()));
        *request.method_mut() = prepared.method;
        *request.uri_mut() = prepared.url.as_str().parse().map_err(|_| Skip::Invalid)?;
        *request.headers_mut() = prepared.headers;
        Ok(request)
    }

    async fn send(&self, mut request: Request<Full<Bytes>>, max_bytes: usize) -> Result<Answer, CallError> {
        for (name, value) in &self.headers {
            request.headers_mut().insert(name, value.clone());
        }
        let (head, body) = self.client.request(request).await.map_err(broke_off)?.into_parts();
        let mut body = collect(body, max_bytes).await?;
        if head.headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding == "gzip") {
            body = unzipped(&body, max_bytes)?;
        }
        Ok(Answer { status: head.status, headers: head.headers, body })
    }
}

/// `refresh_token` instead of the one that was configured.
fn token_request(oauth: &OAuth, refresh_token: Option<&SecretString>) -> Option<Request<Full<Bytes>>> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in &oauth.form {
        let value = refresh_token.filter(|_| *name == "refresh_token").unwrap_or(value);
        form.append_pair(name, value.expose_secret());
    }
    let request = Request::post(oauth.token.as_str())
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::ACCEPT, "application/json");
    let request = match &oauth.basic {
        Some(basic) => request.header(header::AUTHORIZATION, format!("Basic {}", basic.expose_secret())),
        None => request,
    };
    request.body(Full::new(Bytes::from(form.finish()))).ok()
}

fn bearing(token: &Token, mut request: Request<Full<Bytes>>) -> Request<Full<Bytes>> {
    request.headers_mut().insert(header::AUTHORIZATION, token.bearer.clone());
    request
}

async fn collect(mut body: Incoming, max_bytes: usize) -> Result<Bytes, CallError> {
    let mut whole = Bytes::new();
    let mut more = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(cut_short)?.into_data() else { continue };
        if whole.len() + more.len() + data.len() > max_bytes {
            return Err(Failure::Unreadable.into());
        }
        // one piece nearly always, which is not copied
        if whole.is_empty() && more.is_empty() {
            whole = data;
        } else {
            more.extend_from_slice(&std::mem::take(&mut whole));
            more.extend_from_slice(&data);
        }
    }
    Ok(if more.is_empty() { whole } else { more.freeze() })
}

/// Counted as it comes out: a small bomb is large here.
fn unzipped(body: &[u8], max_bytes: usize) -> Result<Bytes, CallError> {
    let mut plain = Vec::new();
    let limit = u64::try_from(max_bytes).unwrap_or(u64::MAX).saturating_add(1);
    let read = MultiGzDecoder::new(body).take(limit).read_to_end(&mut plain);
    read.map_err(|error| CallError::failed(Failure::Unreadable, error))?;
    if plain.len() > max_bytes {
        return Err(Failure::Unreadable.into());
    }
    Ok(plain.into())
}

/// The vendor's answer as one of our words.
fn read(call: &Call, tables: &Tables, answer: &Answer) -> Result<Said, CallError> {
    let operation = call.operation();
    let class = operation.errors.classify(answer.status, &answer.body);
    let ambiguous = match class {
        AnswerClass::Success => false,
        AnswerClass::Ambiguous => true,
        AnswerClass::NotFound | AnswerClass::Gone => return Ok(Said::NotFound),
        AnswerClass::Limited => return Err(Failure::Limited { retry_after: retry_after(&answer.headers) }.into()),
        AnswerClass::Timeout => return Err(Failure::Timeout.into()),
        AnswerClass::ServerError if answer.status == StatusCode::SERVICE_UNAVAILABLE => {
            return Err(CallError::BrokeOff(None));
        }
        AnswerClass::ServerError => return Err(Failure::Unreachable.into()),
        AnswerClass::Unauthorized
        | AnswerClass::Forbidden
        | AnswerClass::Plan
        | AnswerClass::Invalid
        | AnswerClass::Conflict
        | AnswerClass::Duplicate => return Err(Failure::Rejected.into()),
    };
    if answer.status == StatusCode::NO_CONTENT || answer.body.is_empty() && answer.status != StatusCode::OK {
        return Ok(Said::NotFound);
    }
    if !says_json(&answer.headers) {
        return Err(Failure::Unreadable.into()); // a login page, most often
    }
    if let Some(batch) = call.batch() {
        let each =
            call.read_each(batch, tables, &answer.body).map_err(|e| CallError::failed(Failure::Unreadable, e))?;
        return Ok(Said::Each(each.into_iter().map(super::said).collect()));
    }
    let read = call.reading(tables, |env| operation.record.read(&answer.body, env));
    let mut read = read.map_err(|e| CallError::failed(Failure::Unreadable, e))?;
    read.reading.ambiguous |= ambiguous;
    Ok(super::said(read))
}

fn host_is_allowed(url: &url::Url, settings: &plan::HttpUpstream) -> bool {
    let Some(host) = url.host_str().filter(|_| url.username().is_empty()) else { return false };
    let secure = url.scheme() == "https" || settings.allow_private || is_loopback(host);
    secure && settings.hosts.iter().any(|pattern| host_matches(pattern, host))
}

fn host_matches(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(suffix) => host.strip_suffix(suffix).is_some_and(|sub| sub.len() > 1 && sub.ends_with('.')),
        None => pattern.eq_ignore_ascii_case(host),
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn says_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return true };
    let essence = value.to_str().unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json") || essence == "text/json"
}

/// Seconds only; vendors that send a date are asked again when our own window opens.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Nothing of the answer arrived.
fn broke_off(error: legacy::Error) -> CallError {
    if !error.is_connect() {
        if cause::<io::Error>(&error).is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            return CallError::failed(Failure::Timeout, error);
        }
        // the head of the answer could not be parsed: not a broken connection
        if cause::<hyper::Error>(&error).is_some_and(hyper::Error::is_parse) {
            return CallError::failed(Failure::Unreadable, error);
        }
    }
    CallError::BrokeOff(Some(Box::new(error)))
}

/// The head of the answer arrived and its body did not.
fn cut_short(error: hyper::Error) -> CallError {
    CallError::failed(Failure::Unreachable, error)
}

fn cause<'e, E: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e E> {
    let mut cause = error.source();
    while let Some(next) = cause {
        if let Some(found) = next.downcast_ref() {
            return Some(found);
        }
        cause = next.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_is_a_whole_label_at_least() {
        for (pattern, host, allowed) in [
            ("api.example.com", "api.example.com", true),
            ("api.example.com", "evil-api.example.com", false),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("*.example.com", "evilexample.com", false),
            ("*.example.com", "a.example.com.evil.net", false),
        ] {
            assert_eq!(host_matches(pattern, host), allowed, "{pattern} {host}");
        }
    }
}
