//! The stand-in for Twilio Lookup v2: what kind of line a number is, and the name it is registered to.
//! What was not asked for is null.

use jiff::Timestamp;
use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat};
use serde_json::{Value, json};

use super::Vendor;
use super::standin::{Reply, Request, Standin};
use super::world::{PEOPLE, Person};

/// Whose secret it is.
pub const KEY_SID: &str = "SKdemo";
const PACKAGES: [&str; 2] = ["caller_name", "line_type_intelligence"];

pub struct TwilioLookup;

impl Standin for TwilioLookup {
    fn new(_: Timestamp) -> Self {
        Self
    }

    fn answer(&self, request: &Request, _: bool) -> Reply {
        let key = request.basic();
        if key.is_none_or(|(user, secret)| user != KEY_SID || secret != Vendor::TwilioLookup.token()) {
            return refusal(401);
        }
        let path: Vec<&str> = request.segments.iter().map(String::as_str).collect();
        let ("GET", ["v2", "PhoneNumbers", number]) = (request.method.as_str(), path.as_slice()) else {
            return refusal(404);
        };
        let asked: Vec<&str> = request.query("Fields").map(|fields| fields.split(',').collect()).unwrap_or_default();
        if asked.iter().any(|package| !PACKAGES.contains(package)) {
            return refusal(400);
        }
        Reply::json(200, &line(number, &asked))
    }

    fn refusal(&self, status: u16) -> Reply {
        refusal(status)
    }
}

fn line(number: &str, asked: &[&str]) -> Value {
    let parsed = PHONE_NUMBER_UTIL.parse(number, None).ok();
    let national = parsed.as_ref().map(|n| PHONE_NUMBER_UTIL.format(n, PhoneNumberFormat::National).into_owned());
    let american = number.starts_with("+1");
    let has = |person: &&Person| {
        let written = person.numbers(Vendor::TwilioLookup).written(PhoneNumberFormat::E164);
        written.iter().flatten().any(|own| own == number)
    };
    let owner = PEOPLE.iter().find(has).filter(|_| american);
    let name = asked.contains(&"caller_name").then(|| {
        json!({ "caller_name": owner.map(Person::name), "caller_type": owner.map(|_| "CONSUMER"), "error_code": Value::Null })
    });
    let kind = asked.contains(&"line_type_intelligence").then(|| {
        json!({ "mobile_country_code": "310", "mobile_network_code": "456", "carrier_name": "Example Wireless",
            "type": "mobile", "error_code": Value::Null })
    });
    json!({
        "calling_country_code": parsed.is_some().then_some(if american { "1" } else { "44" }),
        "country_code": parsed.is_some().then_some(if american { "US" } else { "GB" }),
        "phone_number": number,
        "national_format": national,
        "valid": parsed.is_some(),
        "validation_errors": if parsed.is_some() { json!([]) } else { json!(["NOT_A_NUMBER"]) },
        "caller_name": name,
        "line_type_intelligence": kind,
        "url": format!("https://lookups.twilio.com/v2/PhoneNumbers/{number}"),
    })
}

/// How Twilio words a refusal.
fn refusal(status: u16) -> Reply {
    let (code, message) = match status {
        400 => (60600, "Invalid parameter: Fields"),
        401 => (20003, "Authenticate"),
        404 => (20404, "The requested resource was not found"),
        429 => (20429, "Too Many Requests"),
        _ => (20500, "Internal Server Error"),
    };
    let more = format!("https://www.twilio.com/docs/errors/{code}");
    Reply::json(status, &json!({ "code": code, "message": message, "more_info": more, "status": status }))
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests;
