//! The three flow files: importable in shape, and right in what they ask, say and hand on.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use crate::answers;
use crate::flow::{Call, FILES, Flow, GATEWAY, Keeps, Walk, read, shown, source};
use crate::hostile;

/// Send to Flex takes no more characters of attributes.
const FLEX_MAX: usize = 1024;
/// What TaskRouter is said to take.
const TASK_MAX: usize = 4096;

fn call_from(from: &str) -> Json {
    json!({
        "From": from, "To": "+14155550100", "Direction": "inbound", "AccountSid": "AC01", "CallSid": "CA01",
        "StirVerstat": "TN-Validation-Passed-A",
    })
}

pub fn walk(flow: &Flow, answer: Option<&Json>, keeps: Keeps) -> Walk {
    let call = call_from("+14155550142");
    flow.walk(&Call { call, answer, keeps, key: Some("2"), recording: "recordingComplete" })
}

pub fn attributes(walk: &Walk) -> Json {
    let text = walk.task.as_deref().expect("the call becomes a task");
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// What a task holds beside the context.
fn beside(file: &str) -> Json {
    match file {
        "direct.json" => json!({}),
        "direct-with-options.json" => json!({"option": "2"}),
        _ => json!({
            "type": "voicemail", "from": "+14155550142", "call_sid": "CA01",
            "recording_url": "https://api.twilio.com/Recordings/RE01",
        }),
    }
}

/// What a task must be, made from the answer without any template.
fn expected(file: &str, answer: &Json, keeps: Keeps) -> Json {
    let kept = keeps.kept(answer);
    let mut task = beside(file);
    task["name"] = kept["caller_name"].clone();
    task["vip_customer"] = json!(answer["vip_customer"].as_bool().unwrap().to_string());
    task["lookup_status"] = kept["lookup_status"].clone();
    task["caller_data"] = kept["caller_data"].clone();
    if file == "direct-to-voicemail.json" {
        for key in ["caller_email", "account_status", "last_interaction", "preferred_agent", "appointments"] {
            task[key] = kept[key].clone();
        }
    }
    task
}

fn with_context(file: &str) -> &'static str {
    if file == "direct-to-voicemail.json" { "voicemail_task" } else { "to_agent" }
}

#[test]
fn the_files_have_the_shape_that_studio_imports() {
    const TRIGGERS: &[&str] =
        &["incomingMessage", "incomingCall", "incomingConversationMessage", "incomingRequest", "incomingParent"];
    for file in FILES {
        let flow = read(file);
        assert!(!flow.description.is_empty());
        assert!(flow.flags["allow_concurrent_calls"]);
        let names: BTreeSet<_> = flow.states.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names.len(), flow.states.len(), "{file}: names are unique");
        assert_eq!(flow.state(&flow.initial_state).kind, "trigger");

        let mut reached = BTreeSet::from([flow.initial_state.as_str()]);
        for state in &flow.states {
            for next in state.transitions.iter().filter_map(|t| t.next.as_deref()) {
                assert!(names.contains(next), "{file}: {} leads to {next}", state.name);
                reached.insert(next);
            }
            let (events, properties): (&[&str], &[&str]) = match state.kind.as_str() {
                "trigger" => (TRIGGERS, &[]),
                "make-http-request" => (&["success", "failed"], &["method", "url", "content_type", "parameters"]),
                "split-based-on" => (&["noMatch", "match"], &["input"]),
                "say-play" => (&["audioComplete"], &["say"]),
                "gather-input-on-call" => (&["keypress", "speech", "timeout"], &["say", "number_of_digits"]),
                "record-voicemail" => (&["recordingComplete", "noAudio", "hangup"], &["max_length"]),
                "send-to-flex" => {
                    (&["callComplete", "failedToEnqueue", "callFailure"], &["workflow", "channel", "attributes"])
                }
                other => panic!("{file}: {} is a {other}", state.name),
            };
            assert!(state.transitions.iter().map(|t| &*t.event).eq(events.iter().copied()), "{file}: {}", state.name);
            for property in properties.iter().chain(&["offset"]) {
                assert!(!state.properties[property].is_null(), "{file}: {} has no {property}", state.name);
            }
            for condition in state.transitions.iter().flat_map(|t| &t.conditions) {
                assert_eq!(condition.arguments, [state.text("input")], "{file}: {}", state.name);
            }
            assert!(!state.properties.to_string().contains("{%"), "{file}: {}: outputs only", state.name);
        }
        assert_eq!(reached, names, "{file}: every state is reached");
    }
}

#[test]
fn the_flows_read_only_what_every_answer_has() {
    for file in FILES {
        let text = source(file);
        let keys: BTreeSet<_> =
            shown(&text).filter_map(|path| path.strip_prefix("widgets.caller_context.parsed.")).collect();
        assert!(keys.contains("caller_data"));
        for answer in answers::kinds() {
            let lacking: Vec<_> = keys.iter().filter(|key| answer.get(key).is_none()).collect();
            assert!(lacking.is_empty(), "{file}: {lacking:?} not in {answer}");
        }
    }
}

/// Objects and texts enter by `to_json`. A boolean is shown between quotes, to be the same text
/// whatever Studio made of it; keys pressed are digits.
#[test]
fn texts_enter_attributes_by_to_json() {
    for file in FILES {
        let flow = read(file);
        let texts = flow.states.iter().filter_map(|s| s.attributes());
        for hole in texts.flat_map(|text| text.split("{{").skip(1)).filter_map(|hole| hole.split("}}").next()) {
            let bare = hole.ends_with(".vip_customer") || hole.ends_with(".Digits");
            assert!(bare || hole.ends_with(" | to_json"), "{file}: {hole}");
        }
    }
}

#[test]
fn hostile_names_reach_the_agent_as_values_and_the_caller_as_words() {
    let names = hostile::names();
    assert!(names.len() > 200);
    let flows = FILES.map(|file| (file, read(file)));
    for name in &names {
        let answer = answers::named(name);
        for (file, flow) in &flows {
            for keeps in [Keeps::Types, Keeps::Text] {
                let walk = walk(flow, Some(&answer), keeps);
                assert!(walk.visited.iter().any(|s| s == with_context(file)));
                assert_eq!(attributes(&walk), expected(file, &answer, keeps), "{file} {keeps:?} {name:?}");
                assert_fits(file, &walk);
                for said in &walk.said {
                    let markup = |c: char| "<>&{}\"\\".contains(c) || c.is_control();
                    assert!(!said.contains(markup) && said.chars().count() < 200, "{file}: says {said:?}");
                }
            }
        }
    }
}

fn assert_fits(file: &str, walk: &Walk) {
    let max = if file == "direct-to-voicemail.json" { TASK_MAX } else { FLEX_MAX };
    let size = walk.task.as_deref().unwrap().chars().count();
    assert!(size <= max, "{file}: {size} characters");
}

/// The templates hold by themselves, too: with texts that the gateway would never send.
#[test]
fn attributes_are_right_even_for_texts_as_they_came() {
    const TEXTS: [&str; 6] =
        ["caller_name", "caller_email", "account_status", "last_interaction", "preferred_agent", "caller_data"];
    let flows = FILES.map(|file| (file, read(file)));
    for name in hostile::names() {
        let mut answer = answers::named("Ann Lee");
        for key in TEXTS {
            answer[key] = json!(name);
        }
        answer["appointments"] = json!([{"title": name, "attendees": 3, "online": true, "room": null}]);
        for (file, flow) in &flows {
            for keeps in [Keeps::Types, Keeps::Text] {
                let walk = walk(flow, Some(&answer), keeps);
                assert_eq!(attributes(&walk), expected(file, &answer, keeps), "{file} {keeps:?} {name:?}");
            }
        }
    }
}

#[test]
fn every_kind_of_answer_becomes_a_task_that_fits() {
    let largest = answers::largest();
    assert!(largest["caller_data"].as_str().unwrap().len() > 650, "it is large");
    for answer in answers::kinds() {
        for file in FILES {
            for keeps in [Keeps::Types, Keeps::Text] {
                let walk = walk(&read(file), Some(&answer), keeps);
                assert_eq!(attributes(&walk), expected(file, &answer, keeps), "{file}");
                assert_fits(file, &walk);
            }
        }
    }
}

#[test]
fn nobody_is_greeted_by_name_without_leave() {
    let strangers = [answers::not_to_be_greeted(), answers::nobody_found(), answers::all_failed(), answers::withheld()];
    for file in FILES {
        let flow = read(file);
        for keeps in [Keeps::Types, Keeps::Text] {
            let said = |answer: &Json| walk(&flow, Some(answer), keeps).said.join(" ");
            assert!(said(&answers::named("Ann Lee")).starts_with("Hello Ann Lee."), "{file}");
            for answer in &strangers {
                let said = said(answer);
                assert!(said.starts_with("Hello. "), "{file}: {said}");
                assert!(!said.contains("Ann") && !said.contains("Unknown"), "{file}: {said}");
            }
        }
    }
}

#[test]
fn what_a_template_left_behind_is_nobodys_name() {
    for name in ["undefined", "null", "undefined null", " Null  NULL ", "", "\u{200b}"] {
        let answer = answers::named(name);
        assert_eq!(answer["caller_name"], "Unknown", "{name:?}");
        assert_eq!(answer["greet_by_name"], false, "{name:?}");
    }
}

/// The request failed, or something else answered in the gateway's place.
#[test]
fn a_call_goes_on_without_context() {
    let others = [json!({}), json!({"status": 401, "title": "Unauthorized"}), json!([]), json!("<html>"), json!(null)];
    for file in FILES {
        let flow = read(file);
        let mut task = beside(file);
        task["lookup_status"] = json!("failed");
        task["caller_data"] = answers::minimal()["caller_data"].clone();
        for answer in std::iter::once(None).chain(others.iter().map(Some)) {
            let walk = walk(&flow, answer, Keeps::Types);
            assert_eq!(attributes(&walk), task, "{file} {answer:?}");
            assert!(walk.said[0].starts_with("Hello."));
        }
    }
}

#[test]
fn the_gateway_is_asked_with_the_call_as_it_is() {
    let froms = hostile::names().into_iter().chain(["+14155550142".into(), "anonymous".into()]);
    let flows = FILES.map(|file| (file, read(file)));
    for from in froms {
        for (file, flow) in &flows {
            let call = call_from(&from);
            let call = Call { call, answer: None, keeps: Keeps::Types, key: None, recording: "noAudio" };
            let asked = flow.walk(&call).asked;
            let expected = [
                ("From", from.as_str()),
                ("To", "+14155550100"),
                ("Direction", "inbound"),
                ("CallSid", "CA01"),
                ("AccountSid", "AC01"),
                ("StirVerstat", "TN-Validation-Passed-A"),
                // Only forwarded calls have it.
                ("ForwardedFrom", ""),
                ("FlowSid", "FW0123456789abcdef0123456789abcdef"),
                ("deadline_ms", "2500"),
            ];
            assert_eq!(asked, expected.map(|(k, v)| (k.to_owned(), v.to_owned())), "{file} {from:?}");
        }
    }
    for (file, flow) in &flows {
        let state = flow.states.iter().find(|s| s.kind == "make-http-request").unwrap();
        assert_eq!(state.text("url"), GATEWAY, "{file}");
        // Studio encodes the parameters of a form; a body written by hand would not be.
        assert_eq!(state.text("content_type"), "application/x-www-form-urlencoded;charset=utf-8", "{file}");
        assert!(state.properties["body"].is_null(), "{file}");
        assert!(!state.parameters().iter().any(|(key, _)| *key == "method"), "{file}: Studio refuses this name");
    }
}

#[test]
fn a_menu_knows_a_vip_and_a_silent_caller_still_gets_through() {
    let flow = read("direct-with-options.json");
    let (vip, stranger) = (answers::named("Ann Lee"), answers::nobody_found());
    for (answer, key, menu, option) in [
        (&vip, Some("3"), "vip_menu", "3"),
        (&stranger, Some("1"), "menu", "1"),
        (&vip, None, "vip_menu", ""),
        (&stranger, None, "menu", ""),
    ] {
        for keeps in [Keeps::Types, Keeps::Text] {
            let call = call_from("+14155550142");
            let walk = flow.walk(&Call { call, answer: Some(answer), keeps, key, recording: "" });
            assert!(walk.visited.iter().any(|s| s == menu));
            assert_eq!(attributes(&walk)["option"], option);
        }
    }
}

#[test]
fn a_voicemail_is_a_task_unless_nothing_was_said() {
    let flow = read("direct-to-voicemail.json");
    let answer = answers::named("Ann Lee");
    for (recording, url) in
        [("recordingComplete", Some("https://api.twilio.com/Recordings/RE01")), ("hangup", Some("")), ("noAudio", None)]
    {
        let call = call_from("+14155550142");
        let walk = flow.walk(&Call { call, answer: Some(&answer), keeps: Keeps::Types, key: None, recording });
        let task = walk.task.is_some().then(|| attributes(&walk));
        assert_eq!(task.as_ref().and_then(|t| t["recording_url"].as_str()), url, "{recording}");
    }
    for state in flow.states.iter().filter(|s| s.kind == "make-http-request") {
        // Twilio's own credentials go to Twilio and to nobody else.
        let twilio = state.text("url").starts_with("https://taskrouter.twilio.com/");
        assert_eq!(state.properties["add_twilio_auth"], json!(twilio), "{}", state.name);
    }
}
