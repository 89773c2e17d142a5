//! The three lines that set a Function side by side with the gateway: the Function answers as ever,
//! whatever the gateway does, and what it answered has left when the invocation ends.

use std::net::TcpListener;

use serde_json::{Value as Json, json};

use crate::function::request;
use crate::node;

fn attributes() -> Json {
    json!({ "caller_name": "Ann Lee", "caller_email": "", "vip_customer": true, "crm_id": "42" })
}

/// Runs the Function once; what it called back with, and what it logged.
fn call(test: &str, context: &Json, event: &Json, connected: bool) -> Option<(Json, String)> {
    let input = json!({ "context": context, "event": event, "attributes": attributes(), "connected": connected });
    let (called_back, log) = node::run(test, "side-by-side.mjs", &input)?;
    assert_eq!(called_back, json!({ "error": null, "answer": attributes() }), "{test}");
    Some((called_back, log))
}

#[test]
fn the_answer_has_left_when_the_invocation_ends() {
    const TEST: &str = "the_answer_has_left_when_the_invocation_ends";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let context = json!({ "CALLER_CONTEXT_URL": url, "CALLER_CONTEXT_API_KEY": "cc_test_key" });
    let event = json!({
        "request": { "headers": {} }, "From": "+14155550142", "To": "+14155550100", "Direction": "inbound",
        "CallSid": "CA01", "StirVerstat": "TN-Validation-Passed-A", "Digits": "4111111111111111", "FlowSid": 7,
    });
    let Some((_, log)) = call(TEST, &context, &event, true) else { return };
    assert_eq!(log, "");
    // the process is gone; what it had sent waits here
    let (mut stream, _) = listener.accept().unwrap();
    let request = request(&mut stream);
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /api/studio/compare HTTP/1.1\r\n"), "{head}");
    assert!(head.to_ascii_lowercase().contains("\r\nauthorization: bearer cc_test_key\r\n"), "{head}");
    let mut body: Json = serde_json::from_str(body).unwrap();
    assert!(body["took_ms"].as_u64().is_some_and(|ms| ms < 20_000), "{body}");
    body.as_object_mut().unwrap().remove("took_ms");
    let expected = json!({
        "answer": attributes(), "From": "+14155550142", "To": "+14155550100", "Direction": "inbound",
        "CallSid": "CA01", "StirVerstat": "TN-Validation-Passed-A",
    });
    assert_eq!(body, expected, "what the gateway judges by, and nothing else of the call");
}

#[test]
fn the_call_goes_on_whatever_the_gateway_does() {
    const TEST: &str = "the_call_goes_on_whatever_the_gateway_does";
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // its queue takes the connection, and nobody ever reads
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = |address| format!("http://{address}");
    let contexts = [
        json!({ "CALLER_CONTEXT_URL": url(nobody), "CALLER_CONTEXT_API_KEY": "k" }),
        json!({ "CALLER_CONTEXT_URL": url(deaf.local_addr().unwrap()), "CALLER_CONTEXT_API_KEY": "k" }),
        json!({ "CALLER_CONTEXT_URL": "https://gateway.invalid", "CALLER_CONTEXT_API_KEY": "k" }),
        json!({ "CALLER_CONTEXT_URL": "not a url", "CALLER_CONTEXT_API_KEY": "k" }),
        json!({ "CALLER_CONTEXT_URL": "ftp://127.0.0.1/", "CALLER_CONTEXT_API_KEY": "k" }),
        json!({ "CALLER_CONTEXT_URL": url(nobody), "CALLER_CONTEXT_API_KEY": "two\r\nlines" }),
        json!({}),
        json!(null),
    ];
    for context in contexts {
        for event in [json!({ "From": "+14155550142" }), json!(null), json!({ "From": ["+1"], "To": {} })] {
            let Some((_, log)) = call(TEST, &context, &event, false) else { return };
            assert!(log.is_empty() || log.starts_with("side by side: ") && !log.contains("4155550142"), "{log}");
            assert!(!log.contains("Ann Lee"), "{log}");
        }
    }
}

#[test]
fn a_share_of_the_calls_is_that_share_and_stays_the_same() {
    const TEST: &str = "a_share_of_the_calls_is_that_share_and_stays_the_same";
    let sids: Vec<String> = (0..256).map(|n| format!("CA0123456789abcdef0123456789ab{n:02x}ff")).collect();
    let taken = |percent: Json| {
        let (taken, _) = node::run(TEST, "share.mjs", &json!({ "percent": percent, "sids": sids }))?;
        Some(taken.as_array().unwrap().clone())
    };
    for (percent, expected) in
        [("0", 0), ("25", 64), ("50", 128), ("99.9", 255), ("100", 256), ("", 0), ("all", 0), ("-5", 0), ("1000", 256)]
    {
        let Some(taken) = taken(json!(percent)) else { return };
        assert_eq!(taken.len(), expected, "{percent}");
    }
    let (quarter, half) = (taken(json!("25")).unwrap(), taken(json!("50")).unwrap());
    assert!(quarter.iter().all(|sid| half.contains(sid)), "nobody comes back when the share grows");
    let odd = json!({ "percent": "50", "sids": [null, 7, "", "CAxyz", { "a": 1 }] });
    // whatever is no sid stays with the Function
    assert_eq!(node::run(TEST, "share.mjs", &odd).unwrap().0, json!([]));
}
