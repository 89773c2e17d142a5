//! What can go wrong with a live call, proved over sockets: the whole gateway, the demo world, vendors
//! of the tests' own, and the real binary. docs/SECURITY.md says which test proves what.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

mod budgets;
mod document;
mod doors;
mod exhaustion;
mod fields;
mod inputs;
mod keys;
mod killed;
mod leaks;
mod meetings;
mod process;
mod reload;
mod tenants;
mod tls;
mod tokens;
mod vendors;
