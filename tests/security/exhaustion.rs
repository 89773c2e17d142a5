//! Connections, bodies and people without end: live calls are answered, and nothing grows without
//! bound. Slow headers, bodies that never come and busy connections are in tests/edge.rs.

use caller_context::cli::demo::Setup;
use caller_context::demo::world;
use http::StatusCode;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Door, STUDIO, World, until};

fn setup(overrides: &[(&'static str, &str)]) -> Setup {
    let overrides = overrides.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
    Setup { overrides, ..Setup::default() }
}

/// Three thousand connections come and say nothing, half a request, or nothing more after one; new
/// calls are answered all the time, and no more connections are open than configured.
#[tokio::test]
async fn thousands_of_idle_connections_leave_room_for_a_call() {
    let setup = setup(&[("server.max_connections", "100"), ("server.header_timeout", "60s")]);
    let world = World::with(setup).await;
    let address = world.demo.app.address;
    let mut held = std::collections::VecDeque::new();
    for n in 0..3_000 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let said: &[u8] = match n % 4 {
            0 => b"",
            1 => b"POST /api/studio/context HTTP/1.1\r\nhost: x\r\nx-slow: ",
            2 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            _ => b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n",
        };
        // it may have been cut already
        let _ = stream.write_all(said).await;
        held.push_back(stream);
        if held.len() > 150 {
            held.pop_front();
        }
        if n % 250 == 249 {
            // on a connection of its own, as a new caller's
            let answer = Door::to(address).studio("demo-studio", &[("From", world::EVERYWHERE)]).await;
            assert_eq!(answer["match"], "unique", "after {n}: {answer}");
            let open = Door::to(address).metric("caller_context_connections ").await;
            assert!(open <= 100.0, "{open} open");
        }
    }
}

/// A body of a megabyte costs the flow nothing, and the connection goes on.
#[tokio::test]
async fn a_megabyte_is_read_past_and_the_call_answered() {
    let world = World::start().await;
    let body = format!("From=%2B14155550142&padding={}", "x".repeat(1_000_000));
    let request = world.door.post(STUDIO).basic_auth("x", Some("demo-studio"));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.json::<Value>().await.unwrap()["caller_name"], "Unknown");
    assert_eq!(world.door.studio("demo-studio", &[("From", world::EVERYWHERE)]).await["match"], "unique");
}

/// Without end, or larger than anything we read past: the connection is closed.
#[tokio::test]
async fn endless_heads_and_bodies_are_cut() {
    let world = World::start().await;
    let head = |length: &str| {
        format!("POST {STUDIO} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer demo-studio\r\n{length}\r\n\r\n")
    };
    let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
    let endless = [
        ("a path", "GET /".to_owned(), "x".repeat(0x4000)),
        ("headers", "GET / HTTP/1.1\r\n".into(), format!("x-more: {}\r\n", "x".repeat(0x400))),
        ("chunks", head("transfer-encoding: chunked"), chunk),
        ("a body", head("content-length: 100000000000"), "x".repeat(0x4000)),
    ];
    for (what, begin, more) in endless {
        let (mut read, mut write) = TcpStream::connect(world.demo.app.address).await.unwrap().into_split();
        let writing = async {
            let mut written = 0;
            write.write_all(begin.as_bytes()).await.unwrap();
            while write.write_all(more.as_bytes()).await.is_ok() {
                written += more.len();
                assert!(written < 200_000_000, "{what} is read for ever");
            }
        };
        let reading = async {
            let mut answer = Vec::new();
            let _ = read.read_to_end(&mut answer).await; // or reset
        };
        tokio::join!(writing, reading);
    }
    assert_eq!(world.door.studio("demo-studio", &[("From", world::EVERYWHERE)]).await["match"], "unique");
}

/// More people than the cache has room for, asked for in several views.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_is_bounded_by_bytes() {
    let world = World::with(setup(&[
        ("cache.contexts_max", "1MiB"),
        ("cache.rendered_max", "1MiB"),
        ("limits.misses_per_key", "100000"),
        ("limits.misses_per_organization", "100000"),
        ("sources.crm.limits.rate", "[]"),
    ]))
    .await;
    for n in 0..1_000 {
        world.door.studio("demo-studio", &[("From", &format!("+1646555{n:04}")), ("deadline_ms", "50")]).await;
    }
    let bytes = || world.door.metric("caller_context_cache_bytes ");
    let full = 512.0 * 1024.0..=1024.0 * 1024.0;
    until(bytes, |bytes| full.contains(bytes)).await;
    let people = world.door.metric("caller_context_cache_contexts ").await;
    assert!(people < 900.0, "{people} people");
}
