//! Twilio Lookup's one lookup, and its documented answers. The document shows no refusals.

use caller_context::demo::faults::Fault;
use caller_context::demo::{Vendor, world};
use serde_json::json;

use super::Result;
use super::court::{Case, Contract, Court};

const TWILIO_LOOKUP: Contract = Contract {
    document: "twilio/openapi.yaml",
    standin: Vendor::TwilioLookup,
    config: r#"
        [sources.line]
        connector = "twilio-lookup"
        base_url  = "env:VENDOR_URL"
        secret    = "env:VENDOR_TOKEN"
        timeout   = "30s"
        connection.key_sid = "SKdemo"
        connection.fields  = "line_type_intelligence,caller_name"
        "#,
};

fn cases() -> Vec<Case> {
    let mobile = |caller: Option<&str>| {
        let mut line = json!({ "line.valid": true, "line.type": "mobile", "line.carrier": "Example Wireless" });
        if let (Some(caller), Some(line)) = (caller, line.as_object_mut()) {
            line.insert("line.caller_name".into(), caller.into());
        }
        line
    };
    let (fault, verdict, lookups) = (Fault::None, "none", &["line found"][..]);
    vec![
        Case {
            name: "registered to somebody",
            who: world::EVERYWHERE,
            fault,
            verdict,
            lookups,
            fields: mobile(Some("Ada Byron")),
            requests: &["GET /v2/PhoneNumbers/%2B14155550142"],
        },
        Case {
            name: "abroad, where no names are known",
            who: world::BRITISH,
            fault,
            verdict,
            lookups,
            fields: mobile(None),
            requests: &["GET /v2/PhoneNumbers/%2B442079460958"],
        },
    ]
}

#[tokio::test]
async fn twilio_lookup_requests_and_answers_are_as_documented() -> Result {
    let test = "twilio_lookup_requests_and_answers_are_as_documented";
    let Some(court) = Court::proxy(test, &TWILIO_LOOKUP).await? else { return Ok(()) };
    court.judge(Vendor::TwilioLookup, cases()).await
}

#[tokio::test]
async fn twilio_lookup_documented_answers_are_understood() -> Result {
    let test = "twilio_lookup_documented_answers_are_understood";
    let Some(court) = Court::mock(test, &TWILIO_LOOKUP).await? else { return Ok(()) };
    let number = "+14159929960";
    court
        .understand(&[
            ("code=200, example=fetch", number, "line found", 200),
            ("code=200, example=fetchInvalid", number, "line found", 200),
            ("code=200, example=fetchCallerName", number, "line found", 200),
            ("code=200, example=fetchLineTypeIntelligence", number, "line found", 200),
        ])
        .await
}
