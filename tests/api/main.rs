//! The whole gateway against the demo world, over sockets: what a Studio flow, an agent's desktop
//! and an operator see.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

mod arrivals;
mod cache;
mod faults;
mod live_call;
mod meetings;
mod overload;
mod people;
mod readers;
mod rows;
