//! caller-context: from a phone number to one merged caller context, within the deadline.
//!
//! Arrows point down: `http` -> `view` -> `lookup` -> `source`, `store` -> `config` -> `manifest` -> `domain`. The whole
//! table is in docs/ARCHITECTURE.md, and a test reads it.

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod domain;
pub mod http;
pub mod lookup;
pub mod manifest;
mod meetings;
pub mod recorded;
pub mod reload;
pub mod source;
pub mod store;
pub mod telemetry;
mod tls;
pub mod view;
