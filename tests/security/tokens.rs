//! Access tokens: fetched once for all, renewed when the vendor no longer takes them, and never asked for in a
//! storm.

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde_json::{Value, json as value};

use crate::support::{Asked, Gateway, Vendor, json};

const SOURCES: &str = r#"
[sources.crm]
connector = "http"
base_url  = "VENDOR"
client_id = "gateway & sons"
secret    = "file:SECRET"
[sources.crm.auth.oauth]
token  = "VENDOR/token"
grant  = "client_credentials"
scopes = ["read", "offline"]
[sources.crm.lookup.person]
needs       = ["phone"]
get         = "/people"
query.phone = "{phone}"
records     = "people"
phones      = ["phone"]
[sources.crm.lookup.person.provides]
name = "name"
"#;

async fn gateway(vendor: &Vendor, more: impl Fn(String) -> String) -> (Gateway, tempfile::NamedTempFile) {
    let mut secret = tempfile::NamedTempFile::new().unwrap();
    secret.write_all(b"open=sesame&x").unwrap();
    let sources = SOURCES.replace("VENDOR", &vendor.url).replace("SECRET", secret.path().to_str().unwrap());
    (Gateway::start(&more(sources), &[("admin", "default", "admin")]).await, secret)
}

fn found(asked: &Asked) -> axum::response::Response {
    json(value!({ "people": [{ "phone": asked.query("phone"), "name": "Ann" }] }))
}

fn form(asked: &Asked) -> Vec<(String, String)> {
    form_urlencoded::parse(asked.text.as_bytes()).into_owned().collect()
}

async fn name(gateway: &Gateway, n: usize) -> Value {
    let phone = format!("+1415555{n:04}");
    gateway.door.context("admin", value!({ "phone": phone })).await["fields"]["name"].clone()
}

#[tokio::test]
async fn one_token_is_fetched_for_all() {
    let vendor = Vendor::start(|asked| match asked.path() {
        "/token" => json(value!({ "access_token": "first", "token_type": "Bearer", "expires_in": 3600 })),
        _ => found(asked),
    });
    let vendor = vendor.await;
    let (gateway, _secret) = gateway(&vendor, |sources| sources).await;
    let names = futures_util::future::join_all((0..6).map(|n| name(&gateway, n))).await;
    assert!(names.iter().all(|name| name.to_string().contains("Ann")), "{names:?}");
    let asked = vendor.asked();
    let (tokens, others): (Vec<_>, Vec<_>) = asked.iter().partition(|asked| asked.path() == "/token");
    assert_eq!(tokens.len(), 1);
    let pairs = [
        ("grant_type", "client_credentials"),
        ("client_id", "gateway & sons"),
        ("client_secret", "open=sesame&x"),
        ("scope", "read offline"),
    ];
    assert_eq!(form(tokens[0]), pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(tokens[0].authorization, None);
    assert_eq!(others.len(), 6);
    assert!(others.iter().all(|asked| asked.authorization.as_deref() == Some("Bearer first")));
}

#[tokio::test]
async fn a_token_that_is_no_longer_taken_is_renewed_once() {
    let given = AtomicUsize::new(0);
    let vendor = Vendor::start(move |asked| match asked.path() {
        "/token" => {
            let number = given.fetch_add(1, Ordering::Relaxed);
            json(value!({ "access_token": format!("token-{number}"), "refresh_token": format!("refresh-{number}") }))
        }
        _ if asked.authorization.as_deref() == Some("Bearer token-0") => StatusCode::UNAUTHORIZED.into_response(),
        _ => found(asked),
    });
    let vendor = vendor.await;
    let (gateway, _secret) = gateway(&vendor, |sources| {
        let refreshing = sources.replace("client_credentials\"", "refresh_token\"\nclient_auth = \"basic\"");
        let secret = sources.split("secret    = ").nth(1).unwrap().lines().next().unwrap().to_owned();
        refreshing.replace("client_id =", &format!("refresh_token = {secret}\nclient_id ="))
    })
    .await;
    for n in 0..2 {
        assert!(name(&gateway, n).await.to_string().contains("Ann"));
    }
    let asked = vendor.asked();
    let path_and_word: Vec<_> =
        asked.iter().map(|asked| (asked.path(), asked.authorization.clone().unwrap_or_default())).collect();
    // RFC 6749, 2.3.1: both parts are form-encoded before they are joined
    let basic = "Basic Z2F0ZXdheSslMjYrc29uczpvcGVuJTNEc2VzYW1lJTI2eA==";
    let expected = [
        ("/token", basic),
        ("/people", "Bearer token-0"),
        ("/token", basic),
        ("/people", "Bearer token-1"),
        ("/people", "Bearer token-1"),
    ];
    assert_eq!(path_and_word, expected.map(|(path, word)| (path, word.to_owned())));
    let refreshed_with = |n: usize| form(&asked[n]).into_iter().find(|(name, _)| name == "refresh_token").unwrap().1;
    assert_eq!(refreshed_with(0), "open=sesame&x", "the one that was configured");
    assert_eq!(refreshed_with(2), "refresh-0", "the newest that the vendor gave");
}

#[tokio::test]
async fn a_vendor_that_takes_no_token_is_not_asked_for_one_each_time() {
    let vendor = Vendor::start(|asked| match asked.path() {
        "/token" => json(value!({ "access_token": "any", "expires_in": 3600 })),
        _ => StatusCode::UNAUTHORIZED.into_response(),
    });
    let vendor = vendor.await;
    let (gateway, _secret) = gateway(&vendor, |sources| sources).await;
    for n in 0..4 {
        let answer = gateway.door.context("admin", value!({ "phone": format!("+1415555{n:04}") })).await;
        assert!(answer.to_string().contains("rejected"), "{answer}");
    }
    let asked = vendor.asked();
    let tokens = asked.iter().filter(|asked| asked.path() == "/token").count();
    assert_eq!((tokens, asked.len() - tokens), (2, 5), "one renewal, and one question more because of it");
}

#[tokio::test]
async fn refused_credentials_are_not_tried_again_at_once() {
    let vendor = Vendor::start(|asked| match asked.path() {
        "/token" => (StatusCode::BAD_REQUEST, json(value!({ "error": "invalid_client" }))).into_response(),
        _ => found(asked),
    });
    let vendor = vendor.await;
    let (gateway, _secret) = gateway(&vendor, |sources| sources).await;
    for n in 0..3 {
        let answer = gateway.door.context("admin", value!({ "phone": format!("+1415555{n:04}") })).await;
        assert!(answer.to_string().contains("rejected"), "{answer}");
    }
    assert_eq!(vendor.asked().len(), 1, "one question about a token, and none without");
}

#[tokio::test]
async fn an_answer_without_a_token_is_none() {
    let vendor = Vendor::start(|asked| match asked.path() {
        "/token" => json(value!({ "error": "invalid_grant", "secret": "open=sesame&x" })),
        _ => found(asked),
    });
    let vendor = vendor.await;
    let (gateway, _secret) = gateway(&vendor, |sources| sources).await;
    let answer = gateway.door.context("admin", value!({ "phone": "+14155550001", "explain": true })).await.to_string();
    assert!(answer.contains("unreadable") && !answer.contains("sesame"), "{answer}");
}
