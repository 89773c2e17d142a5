//! Sources that speak HTTP: sends what the plan rendered, reads what comes back within caps. No
//! redirects, no proxies from the environment, credentials only to the hosts of the manifest.

use std::time::Duration;

use ::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use secrecy::ExposeSecret;

use super::{Call, CallError, Said};
use crate::domain::{Failure, Skip};
use crate::manifest::plan::{self, Auth};
use crate::manifest::reading::AnswerClass;
use crate::manifest::template::Prepared;

/// A client of one source; its connections are its own.
pub struct HttpUpstream {
    client: reqwest::Client,
    auth: HeaderMap,
}

/// The source cannot be asked at all.
#[derive(Debug, thiserror::Error)]
pub enum BadSettings {
    #[error("the HTTP client cannot be made")]
    Client(#[from] reqwest::Error),
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
    #[expect(clippy::disallowed_methods, reason = "the one place where clients are built")]
    pub fn new(settings: &plan::HttpUpstream) -> Result<Self, BadSettings> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .user_agent(concat!("caller-context/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(3))
            .tcp_nodelay(true)
            .tcp_keepalive(Duration::from_secs(30))
            .pool_idle_timeout(Duration::from_secs(90))
            .build()?;
        let mut auth = HeaderMap::new();
        if let Auth::Headers(headers) = &settings.auth {
            for (name, value) in headers {
                let mut value =
                    ::http::HeaderValue::from_str(value.expose_secret()).map_err(|_| BadSettings::Secret)?;
                value.set_sensitive(true);
                auth.insert(name.clone(), value);
            }
        }
        Ok(Self { client, auth })
    }

    /// Sends a rendered request and reads its answer.
    pub async fn ask(&self, call: &Call, prepared: Prepared) -> Result<Said, CallError> {
        let plan::Upstream::Http(settings) = &call.source().upstream else { return Err(Skip::Invalid.into()) };
        if !host_is_allowed(&prepared.url, settings) {
            return Err(Skip::Invalid.into());
        }
        let answer = self.send(prepared, settings.max_answer_bytes).await?;
        read(call, &answer)
    }

    async fn send(&self, prepared: Prepared, max_bytes: usize) -> Result<Answer, CallError> {
        let mut request = reqwest::Request::new(prepared.method, prepared.url);
        *request.headers_mut() = prepared.headers;
        for (name, value) in &self.auth {
            request.headers_mut().insert(name, value.clone());
        }
        *request.body_mut() = prepared.body.map(Into::into);
        let mut response = self.client.execute(request).await.map_err(broke_off)?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let mut body = BytesMut::new();
        // counted after decompression: a small bomb is large here
        while let Some(chunk) = response.chunk().await.map_err(cut_short)? {
            if body.len() + chunk.len() > max_bytes {
                return Err(Failure::Unreadable.into());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, headers, body: body.freeze() })
    }
}

/// The vendor's answer as one of our words.
fn read(call: &Call, answer: &Answer) -> Result<Said, CallError> {
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
    let read = call.reading(|env| operation.record.read(&answer.body, env));
    let mut read = read.map_err(|e| CallError::failed(Failure::Unreadable, e))?;
    read.reading.ambiguous |= ambiguous;
    Ok(super::said(read))
}

fn host_is_allowed(url: &url::Url, settings: &plan::HttpUpstream) -> bool {
    let Some(host) = url.host_str() else { return false };
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

/// Nothing of the answer arrived. The URL is taken out of the error: it holds the number.
fn broke_off(error: reqwest::Error) -> CallError {
    let error = error.without_url();
    if error.is_timeout() && !error.is_connect() {
        return CallError::failed(Failure::Timeout, error);
    }
    if error.is_builder() || error.is_request() && !error.is_connect() && is_unparsable(&error) {
        return CallError::failed(Failure::Unreadable, error);
    }
    CallError::BrokeOff(Some(Box::new(error)))
}

/// hyper could not parse the head of the answer: not a broken connection.
fn is_unparsable(error: &reqwest::Error) -> bool {
    cause::<hyper::Error>(error).is_some_and(hyper::Error::is_parse)
}

/// The head of the answer arrived and its body did not: broken off, or not what its encoding says.
fn cut_short(error: reqwest::Error) -> CallError {
    let error = error.without_url();
    let failure = match cause::<hyper::Error>(&error) {
        Some(_) => Failure::Unreachable,
        None => Failure::Unreadable,
    };
    CallError::failed(failure, error)
}

fn cause<E: std::error::Error + 'static>(error: &reqwest::Error) -> Option<&E> {
    let mut cause = std::error::Error::source(error);
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
