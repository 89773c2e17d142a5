//! caller-context: from a phone number to one merged caller context, within the deadline.

pub mod clock;
pub mod domain;
pub mod manifest;
