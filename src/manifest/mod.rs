//! Text to plan: manifests and configuration are read, checked and compiled here, at start-up.
//! No network, no vendor names. At run time only the plan is used.

mod accept;
mod address;
pub mod builtin;
pub mod check;
pub mod compile;
mod convert;
pub mod diagnostic;
mod errors;
mod evaluate;
mod expression;
pub mod graph;
mod hole;
mod language;
pub mod limits;
mod operand;
pub mod pages;
mod parts;
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
