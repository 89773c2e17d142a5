//! For tests: a stand-in asked without a socket.

use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use serde_json::Value;

use super::standin::{Reply, Request, Standin};

const NOW: &str = "2026-11-20T12:00:00Z";

/// The stand-in of a vendor, with records of a day that does not pass.
#[expect(clippy::unwrap_used, reason = "a time written here")]
pub(super) fn standin<S: Standin>() -> S {
    S::new(NOW.parse().unwrap())
}

/// A request with these credentials and, unless it is null, this JSON body.
#[expect(clippy::unwrap_used, reason = "texts written in a test")]
pub(super) fn request(credentials: &str, method: &str, path: &str, query: &[(&str, &str)], body: &Value) -> Request {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, credentials.parse().unwrap());
    if !body.is_null() {
        headers.insert(CONTENT_TYPE, "application/json".parse().unwrap());
    }
    Request {
        method: method.parse().unwrap(),
        segments: path.split('/').filter(|s| !s.is_empty()).map(str::to_owned).collect(),
        query: query.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
        headers,
        body: if body.is_null() { Default::default() } else { body.to_string().into() },
        at: NOW.parse().unwrap(),
    }
}

/// Status and JSON of an answer; null where it has none.
pub(super) fn read(reply: &Reply) -> (u16, Value) {
    (reply.status.as_u16(), serde_json::from_slice(&reply.body).unwrap_or(Value::Null))
}
