//! The shipped examples do what they promise: the Studio flows with answers as the gateway
//! renders them, the Function against servers that misbehave, and the caller panel that agents
//! have today. What needs Node.js is skipped by name without it; `tests/node/run` insists on it.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod answers;
mod flow;
mod flows;
mod function;
mod hostile;
mod node;
mod panel;
mod side_by_side;
