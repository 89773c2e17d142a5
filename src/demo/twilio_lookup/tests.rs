use super::*;
use crate::demo::trial::{read, request, standin};

/// SKdemo:demo-twilio-lookup-token
const KEY: &str = "Basic U0tkZW1vOmRlbW8tdHdpbGlvLWxvb2t1cC10b2tlbg==";

fn get(number: &str, fields: &[(&str, &str)]) -> (u16, Value) {
    let asked = request(KEY, "GET", &format!("/v2/PhoneNumbers/{number}"), fields, &Value::Null);
    read(&standin::<TwilioLookup>().answer(&asked, false))
}

#[test]
fn what_was_not_asked_for_is_null() {
    let (_, bare) = get("+14155550142", &[]);
    assert_eq!((&bare["line_type_intelligence"], &bare["caller_name"]), (&Value::Null, &Value::Null));
    let (_, full) = get("+14155550142", &[("Fields", "line_type_intelligence,caller_name")]);
    assert_eq!(full["line_type_intelligence"]["type"], "mobile");
    assert_eq!(full["caller_name"]["caller_name"], "Ada Byron");
    let (_, british) = get("+442079460958", &[("Fields", "caller_name")]);
    assert_eq!(british["caller_name"]["caller_name"], Value::Null);
}

#[test]
fn impossible_numbers_are_answered_and_wrong_requests_are_not() {
    assert_eq!(get("nobody", &[]).1["valid"], false);
    assert_eq!(get("+14155550142", &[("Fields", "shoe_size")]).0, 400);
    let other = request("Bearer demo-twilio-lookup-token", "GET", "/v2/PhoneNumbers/+1", &[], &Value::Null);
    assert_eq!(read(&standin::<TwilioLookup>().answer(&other, false)).0, 401);
    let other = request(KEY, "GET", "/v1/PhoneNumbers/+1", &[], &Value::Null);
    assert_eq!(read(&standin::<TwilioLookup>().answer(&other, false)).0, 404);
}
