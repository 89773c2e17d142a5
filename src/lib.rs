//! caller-context: from a phone number to one merged caller context, within the deadline.
//!
//! Arrows point down: `http` -> `lookup` -> `source`, `store` -> `manifest`, `config` -> `domain`.

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod domain;
pub mod http;
pub mod lookup;
pub mod manifest;
pub mod source;
pub mod store;
pub mod telemetry;
mod tls;
pub mod view;
