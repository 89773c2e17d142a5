//! The stand-in for an inventory API: `POST /availability` with a kind of service, a place and a day.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::json;

use super::Vendor;
use super::standin::{Reply, Request, Standin, plain_refusal};

/// What can be had, and where.
const OFFERED: &[(&str, &[&str])] = &[("repair", &["downtown", "harbor"]), ("installation", &["downtown"])];

#[derive(Deserialize)]
struct Question {
    service_type: String,
    location: String,
    date: Date,
}

pub struct Inventory;

impl Standin for Inventory {
    fn new(_: Timestamp) -> Self {
        Self
    }

    fn answer(&self, request: &Request, _: bool) -> Reply {
        if !request.authorized(Vendor::Inventory) {
            return plain_refusal(401);
        }
        if request.method != "POST" || request.path() != "/availability" {
            return plain_refusal(404);
        }
        let Ok(question) = serde_json::from_slice::<Question>(&request.body) else { return plain_refusal(400) };
        let offered = |(service, places): &(&str, &[&str])| {
            *service == question.service_type && places.contains(&question.location.as_str())
        };
        let answer = json!({
            "service_type": question.service_type,
            "location": question.location,
            "date": question.date.to_string(),
            "available": OFFERED.iter().any(offered),
        });
        Reply::json(200, &answer)
    }
}
