//! Text to plan: manifests and configuration are read, checked and compiled here, at start-up.
//! No network, no vendor names. At run time only the plan is used.

mod accept;
pub mod builtin;
pub mod check;
pub mod compile;
mod convert;
pub mod diagnostic;
mod errors;
mod expression;
pub mod graph;
mod hole;
mod language;
pub mod pages;
mod path;
pub mod plan;
pub mod reading;
mod record;
mod render;
pub mod scope;
pub mod sql;
pub mod template;
pub mod tree;

#[cfg(test)]
mod trial;
