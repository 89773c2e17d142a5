//! The Function against real servers: whatever they do, it calls back with usable attributes.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;

use serde_json::{Value as Json, json};

use crate::answers;
use crate::node;

/// What the server does with a request.
enum Server {
    /// Sends these bytes and closes.
    Says(String),
    /// Sends these bytes and then nothing more.
    Hangs(String),
    /// Nobody listens.
    Refuses,
}

fn response(status: &str, body: &str) -> String {
    let head = "Content-Type: application/json\r\nConnection: close";
    format!("HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Runs the Function once; returns what it called back with, what it logged, and the request.
fn call(test: &str, server: Server, settings: Json, event: Json) -> Option<(Json, String, String)> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut context = json!({
        "CALLER_CONTEXT_URL": format!("http://{}", listener.local_addr().unwrap()),
        "CALLER_CONTEXT_API_KEY": "cc_test_key",
    });
    for (name, value) in settings.as_object().unwrap() {
        context[name] = value.clone();
    }
    let (done, held) = mpsc::channel::<()>();
    let (text, hangs) = match server {
        Server::Says(text) => (Some(text), false),
        Server::Hangs(text) => (Some(text), true),
        Server::Refuses => (None, false),
    };
    // Without anything to say the listener is dropped here, and its port refuses.
    let serving = text.map(|text| {
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let request = request(&mut stream);
            let _gone = stream.write_all(text.as_bytes());
            if hangs {
                // Until the Function has called back.
                let _closed = held.recv();
            }
            request
        })
    });
    let result = node::run(test, "function.mjs", &json!({"context": context, "event": event}));
    drop(done);
    let (called_back, log) = result?;
    let request = serving.map(|thread| thread.join().unwrap()).unwrap_or_default();
    assert_eq!(called_back["error"], Json::Null, "{test}");
    Some((called_back["answer"].clone(), log, request))
}

/// Reads one whole request.
pub fn request(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let n = stream.read(&mut buffer).unwrap();
        read.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8(read.clone()).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            return text;
        }
    }
}

fn event() -> Json {
    json!({
        "request": {"headers": {"host": "functions.example"}, "cookies": {}},
        "From": "+14155550142", "To": "+14155550100", "Direction": "inbound", "CallSid": "CA01", "AccountSid": "AC01",
    })
}

fn pairs(request: &str) -> Vec<(String, String)> {
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    form_urlencoded::parse(body.as_bytes()).into_owned().collect()
}

#[test]
fn hands_on_what_the_gateway_answers() {
    const TEST: &str = "hands_on_what_the_gateway_answers";
    for answer in answers::kinds() {
        let server = Server::Says(response("200 OK", &answer.to_string()));
        let Some((attributes, log, request)) = call(TEST, server, json!({}), event()) else { return };
        assert_eq!(attributes, answer);
        assert_eq!(log, "");
        assert!(request.starts_with("POST /api/studio/context HTTP/1.1\r\n"), "{request}");
        assert!(request.to_ascii_lowercase().contains("\r\nauthorization: bearer cc_test_key\r\n"), "{request}");
        let expected = [
            ("deadline_ms", "2500"),
            ("From", "+14155550142"),
            ("To", "+14155550100"),
            ("Direction", "inbound"),
            ("CallSid", "CA01"),
            ("AccountSid", "AC01"),
        ];
        assert_eq!(pairs(&request), expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
    }
}

#[test]
fn calls_back_with_the_minimal_answer_whatever_goes_wrong() {
    const TEST: &str = "calls_back_with_the_minimal_answer_whatever_goes_wrong";
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"lookup_status\":";
    let html = response("200 OK", "<html>Ann Lee, please log in</html>");
    let redirect = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
    let cases = [
        (Server::Says(response("401 Unauthorized", "{}")), "HTTP 401"),
        (Server::Says(response("500 Internal Server Error", "oh")), "HTTP 500"),
        (Server::Hangs(String::new()), "TimeoutError"),
        (Server::Hangs(half.to_owned()), "TimeoutError"),
        (Server::Says(half.to_owned()), ""),
        (Server::Says(String::new()), ""),
        (Server::Says("\0\0garbage\r\n\r\n".to_owned()), ""),
        (Server::Says(html), "SyntaxError"),
        (Server::Says(response("200 OK", "null")), "not an answer of the gateway"),
        (Server::Says(response("200 OK", "[]")), "not an answer of the gateway"),
        (Server::Says(response("200 OK", "{\"lookup_status\":1}")), "not an answer of the gateway"),
        (Server::Says(redirect.to_owned()), ""),
        (Server::Refuses, "ECONNREFUSED"),
    ];
    let minimal = answers::minimal();
    for (server, reason) in cases {
        let settings = json!({"CALLER_CONTEXT_DEADLINE_MS": "50"});
        let Some((attributes, log, _)) = call(TEST, server, settings, event()) else { return };
        // One word; Node.js has its own for a broken connection, and they change.
        let said = log.strip_prefix("caller-context: ").unwrap_or_else(|| panic!("{reason}: {log}")).trim_end();
        assert!(said == reason || (reason.is_empty() && !said.contains(' ')), "{reason}: {log}");
        let keys = |answer: &Json| answer.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&attributes), keys(&minimal), "{reason}");
        for key in keys(&minimal) {
            // The gateway judged a number and read a clock.
            if !["caller_id_status", "lookup_timestamp", "timestamp"].contains(&key.as_str()) {
                assert_eq!(attributes[&key], minimal[&key], "{reason}: {key}");
            }
        }
    }
}

#[test]
fn calls_back_without_settings_and_with_odd_events() {
    const TEST: &str = "calls_back_without_settings_and_with_odd_events";
    let odd = [
        (json!({"CALLER_CONTEXT_URL": null}), event(), "+14155550142"),
        (json!({"CALLER_CONTEXT_URL": "not a url"}), event(), "+14155550142"),
        (json!({"CALLER_CONTEXT_API_KEY": "two\r\nlines"}), event(), "+14155550142"),
        (json!({}), json!(null), ""),
        (json!({}), json!({"From": ["+1", "+2"], "To": 7, "Direction": {}}), ""),
        (json!({}), json!({"From": "\"}{{ x }}<Say>", "Direction": "inbound"}), ""),
        (json!({}), json!({"From": "+14155550100", "To": "+14155550142", "Direction": "outbound-api"}), "+14155550142"),
    ];
    for (settings, event, number) in odd {
        let Some((attributes, ..)) = call(TEST, Server::Refuses, settings, event) else { return };
        assert_eq!(attributes["lookup_status"], "failed");
        assert_eq!(attributes["phone_number"], number);
        assert!(serde_json::from_str::<Json>(attributes["caller_data"].as_str().unwrap()).is_ok());
    }
}

/// The gateway's deadline and a second for the way stay below the ten that Studio waits.
#[test]
fn passes_on_a_deadline_that_leaves_time_to_answer() {
    const TEST: &str = "passes_on_a_deadline_that_leaves_time_to_answer";
    for (setting, expected) in [
        (json!("1800"), "1800"),
        (json!("600000"), "7500"),
        (json!("Infinity"), "7500"),
        (json!("1"), "50"),
        (json!("99.6"), "100"),
        (json!("-5"), "2500"),
        (json!("soon"), "2500"),
        (json!(""), "2500"),
        (json!(null), "2500"),
    ] {
        let server = Server::Says(response("200 OK", &answers::nobody_found().to_string()));
        let settings = json!({"CALLER_CONTEXT_DEADLINE_MS": setting});
        let Some((_, _, request)) = call(TEST, server, settings, event()) else { return };
        assert!(pairs(&request).contains(&("deadline_ms".into(), expected.into())), "{setting}: {request}");
    }
}
