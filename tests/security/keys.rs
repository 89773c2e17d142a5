//! Keys from the real store: good from when they are made until they expire or are revoked, without
//! a restart, and refused alike.

use std::sync::Arc;

use bytes::Bytes;
use caller_context::app::{App, KeysFrom};
use caller_context::clock::Clock;
use caller_context::domain::Organization;
use caller_context::store::{Database, keys};
use http::{HeaderMap, StatusCode};
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret as _;
use tokio_util::task::TaskTracker;

use crate::support::{Door, STUDIO, configuration, cryptography, loaded, until};

/// Waiting for a key to be noticed takes many tries with it.
const CONFIG: &str = "[sources.none]\nconnector = \"sqlite\"\nurl = \"sqlite:/nowhere\"\n\
    [sources.none.lookup.one]\nneeds = [\"phone\"]\nsql = \"SELECT name FROM people WHERE phone IN (:phones)\"\n\
    exact = true\nprovides.name = \"name\"\n[limits]\nwrong_keys_per_peer = 10000\n";

/// Everything of an answer that a client could tell apart.
async fn answer(door: &Door, key: &str) -> (StatusCode, HeaderMap, Bytes) {
    let request = door.get(STUDIO).query(&[("From", "anonymous")]).bearer_auth(key);
    let answer = request.send().await.unwrap();
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    headers.remove("date");
    (status, headers, answer.bytes().await.unwrap())
}

#[tokio::test]
async fn keys_end_without_a_restart_and_are_refused_like_unknown_ones() {
    cryptography();
    let folder = tempfile::tempdir().unwrap();
    let config = loaded(&configuration(CONFIG, folder.path()));
    let store = Database::open(&config.store, &TaskTracker::new()).await.unwrap();
    let start: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    let key = async |expires: Option<SignedDuration>| {
        let expires = expires.map(|after| start + after);
        let made = keys::create(&store, &Organization::single(), "studio", start, expires).await.unwrap();
        (made.id, made.key.expose_secret().to_owned())
    };
    let (kept, (id, revoked)) = (key(None).await.1, key(None).await);
    let expired = key(Some(SignedDuration::from_secs(6))).await.1;

    let clock = Clock::starting_at(start);
    let app = App::start(Arc::clone(&config), KeysFrom::Store, clock).await.unwrap();
    let door = Door::to(app.address);
    for key in [&kept, &revoked, &expired] {
        assert_eq!(answer(&door, key).await.0, StatusCode::OK);
    }
    assert!(keys::revoke(&store, &id, clock.now()).await.unwrap());
    for key in [&revoked, &expired] {
        until(|| answer(&door, key), |answer| answer.0 == StatusCode::UNAUTHORIZED).await;
    }
    let unknown = answer(&door, "0123456789abcdef.unknown").await;
    assert_eq!(unknown.0, StatusCode::UNAUTHORIZED);
    for key in [&revoked, &expired] {
        assert_eq!(answer(&door, key).await, unknown);
    }
    assert_eq!(answer(&door, &kept).await.0, StatusCode::OK, "the others are not touched");
    let made_later = key(None).await.1;
    until(|| answer(&door, &made_later), |answer| answer.0 == StatusCode::OK).await;
    app.shutdown().await;
}
