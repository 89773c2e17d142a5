//! The stand-in for a payment API: `GET /customer/{customer_id}/status`.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use super::Vendor;
use super::standin::{Reply, Request, Standin, plain_refusal};
use super::world::{self, PEOPLE, Payment};

#[derive(Serialize)]
struct Status<'a> {
    customer_id: &'a str,
    /// A number with its own digits: 129.50, not 129.5.
    outstanding_balance: Option<Box<RawValue>>,
    currency: &'static str,
    last_payment: String,
    payment_method: &'static str,
    auto_pay_enabled: bool,
}

pub struct Payments;

impl Standin for Payments {
    fn new(_: Timestamp) -> Self {
        Self
    }

    fn answer(&self, request: &Request, _: bool) -> Reply {
        if !request.authorized(Vendor::Payments) {
            return plain_refusal(401);
        }
        let path: Vec<&str> = request.segments.iter().map(String::as_str).collect();
        let ("GET", ["customer", customer_id, "status"]) = (request.method.as_str(), path.as_slice()) else {
            return plain_refusal(404);
        };
        let customer = PEOPLE.iter().find(|p| !p.customer_id.is_empty() && p.customer_id == *customer_id);
        let Some(payment) = customer.and_then(|p| p.payment) else { return plain_refusal(404) };
        Reply::json(200, &status(customer_id, &payment, request.at))
    }
}

fn status<'a>(customer_id: &'a str, payment: &Payment, now: Timestamp) -> Status<'a> {
    Status {
        customer_id,
        outstanding_balance: RawValue::from_string(payment.outstanding.to_owned()).ok(),
        currency: "USD",
        last_payment: world::day(now, -payment.last).strftime("%Y-%m-%d").to_string(),
        payment_method: payment.method,
        auto_pay_enabled: payment.auto_pay,
    }
}
