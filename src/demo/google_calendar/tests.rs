use super::*;
use crate::demo::trial::{read, request, standin};

const BEARER: &str = "Bearer demo-google-calendar-token";
const EVENTS: &str = "/calendars/primary/events";

fn ask(path: &str, query: &[(&str, &str)], stranger: bool) -> (u16, Value) {
    read(&standin::<GoogleCalendar>().answer(&request(BEARER, "GET", path, query, &Value::Null), stranger))
}

fn titles(query: &[(&str, &str)], stranger: bool) -> Vec<String> {
    let (status, answer) = ask(EVENTS, query, stranger);
    assert_eq!(status, 200, "{answer}");
    answer["items"].as_array().unwrap().iter().map(|event| event["summary"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn events_are_found_by_word_and_time() {
    let ada = ("q", "Ada.Byron@analytical.example");
    let (from, until) = (("timeMin", "2026-11-20T12:00:00Z"), ("timeMax", "2026-12-20T12:00:00Z"));
    assert_eq!(titles(&[ada, from, until], false), ["Maintenance visit", "Contract review"]);
    assert_eq!(titles(&[ada, from, until], true).first().unwrap(), "About somebody else");
    assert_eq!(titles(&[("q", "inspection")], false), ["Yearly inspection"]);
    assert_eq!(titles(&[ada, ("maxResults", "1")], false), ["Maintenance visit"]);
    assert!(titles(&[("q", "training")], false).is_empty(), "cancelled");
}

#[test]
fn what_the_documents_forbid_is_refused() {
    let ordered = [("orderBy", "startTime"), ("singleEvents", "true")];
    assert_eq!(ask(EVENTS, &ordered, false).0, 200);
    assert_eq!(ask(EVENTS, &[("orderBy", "startTime")], false).0, 400);
    assert_eq!(ask(EVENTS, &[("timeMin", "2026-11-20")], false).0, 400);
    assert_eq!(ask("/calendars/other/events", &[], false).0, 404);
    let asked = request("Bearer other", "GET", EVENTS, &[], &Value::Null);
    assert_eq!(read(&standin::<GoogleCalendar>().answer(&asked, false)).0, 401);
    assert_eq!(read(&refusal(403)).1["error"]["errors"][0]["reason"], "rateLimitExceeded");
}
