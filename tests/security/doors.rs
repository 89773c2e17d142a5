//! Nothing is open by omission: what a gateway refuses to start with, and what every answer carries.

use std::net::Ipv4Addr;

use caller_context::cli::demo::Setup;
use caller_context::demo::world;
use http::StatusCode;
use serde_json::json;

use crate::process::run;
use crate::support::{CONTEXT, Door, ELSEWHERE, STUDIO, World, client, configuration};

/// Starts `serve` with this under `[server]`; what it says when it does not.
async fn serve(server: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    let config = configuration("", folder.path()).replace("listen = \"127.0.0.1:0\"", server);
    let source = "[sources.none]\nconnector = \"sqlite\"\nurl = \"sqlite:/nowhere\"\n[sources.none.lookup.one]\n\
                  needs = [\"phone\"]\nsql = \"SELECT name FROM people WHERE phone IN (:phones)\"\nexact = true\n\
                  provides.name = \"name\"\n";
    std::fs::write(&file, config + source).unwrap();
    let file = file.to_str().unwrap();
    let ended = run(&["serve", "--config", file], &[]).await;
    assert!(ended.stdout.is_empty());
    (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
}

#[tokio::test]
async fn serve_does_not_start_without_a_key_or_in_the_open() {
    let (code, said) = serve("listen = \"127.0.0.1:0\"").await;
    assert_eq!(code, Some(1));
    assert!(said.contains("keys new"), "{said}");
    for open in ["0.0.0.0:0", "[::]:0", "203.0.113.7:8080"] {
        let (code, said) = serve(&format!("listen = \"{open}\"")).await;
        assert_eq!(code, Some(78), "{said}");
        assert!(said.contains("open-listener") && said.contains("trusted_proxies"), "{said}");
    }
}

#[tokio::test]
async fn the_demo_answers_this_machine_only() {
    for open in ["0.0.0.0:0", "[::]:0", "203.0.113.7:8080"] {
        let ended = run(&["demo", "--listen", open], &[]).await;
        assert_eq!(ended.status.code(), Some(1));
        assert!(ended.stdout.is_empty() && String::from_utf8_lossy(&ended.stderr).contains("loopback"));
    }
}

#[tokio::test]
async fn no_answer_may_be_stored() {
    let setup = Setup { overrides: vec![("limits.wrong_keys_per_peer", "1".into())], ..Setup::default() };
    let world = World::with(setup).await;
    let door = &world.door;
    let key = |request: reqwest::RequestBuilder| request.bearer_auth("demo-admin");
    let preflight = door.client.request(reqwest::Method::OPTIONS, door.url(CONTEXT));
    let preflight = preflight.header("origin", "https://x.example").header("access-control-request-method", "POST");
    let big = "x".repeat(3_000_000);
    let requests = [
        (200, key(door.post(STUDIO).form(&[("From", world::EVERYWHERE)]))),
        (200, key(door.get(CONTEXT).query(&[("phone", world::EVERYWHERE)]))),
        (200, key(door.client.delete(door.url(CONTEXT)).query(&[("phone", world::EVERYWHERE)]))),
        (200, key(door.get("/api/audit"))),
        (200, door.get("/healthz")),
        (200, door.get("/readyz")),
        (200, door.get("/metrics")),
        (200, door.get("/docs/errors/forbidden")),
        (200, preflight),
        (400, key(door.post(CONTEXT).json(&json!({})))),
        (401, door.post(STUDIO)),
        (403, door.get("/api/audit").bearer_auth("demo-basic")),
        (401, door.get("/api/audit").bearer_auth("wrong")),
        (404, door.get("/nowhere")),
        (404, door.get("/docs/errors/nowhere")),
        (405, door.client.put(door.url(STUDIO))),
        (405, door.client.put(door.url(CONTEXT))),
        (413, key(door.post(CONTEXT)).body(big)),
        (429, door.get(STUDIO).bearer_auth("wrong")),
    ];
    for (status, request) in requests {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
        assert_eq!(answer.headers()["cache-control"], "no-store", "{status}");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff", "{status}");
    }
}

/// Wrong keys are counted by who sent them; who that is only a proxy that is named may say.
#[tokio::test]
async fn forwarded_addresses_count_from_named_proxies_only() {
    for (proxies, limited) in [("[]", true), ("[\"127.0.0.2\"]", true), ("[\"127.0.0.1\"]", false)] {
        let overrides =
            vec![("limits.wrong_keys_per_peer", "3".into()), ("server.trusted_proxies", proxies.to_owned())];
        let world = World::with(Setup { overrides, ..Setup::default() }).await;
        let mut last = StatusCode::OK;
        for n in 0..5 {
            let request =
                world.door.get(STUDIO).bearer_auth("wrong").header("x-forwarded-for", format!("198.51.100.{n}"));
            last = request.send().await.unwrap().status();
        }
        assert_eq!(last == StatusCode::TOO_MANY_REQUESTS, limited, "{proxies}");
        let elsewhere = Door { address: world.demo.app.address, client: client(ELSEWHERE) };
        let right = elsewhere.get(STUDIO).bearer_auth("demo-studio").send().await.unwrap();
        assert_eq!(right.status(), StatusCode::OK, "{proxies}");
    }
    assert_eq!(ELSEWHERE, Some(Ipv4Addr::new(127, 0, 0, 2).into()));
}
