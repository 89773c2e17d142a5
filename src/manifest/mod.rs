//! Text to plan: manifests and configuration are read, checked and compiled here, at start-up.
//! No network, no vendor names. At run time only the plan is used.

pub mod builtin;
pub mod check;
pub mod compile;
pub mod diagnostic;
pub mod graph;
pub mod pages;
pub mod plan;
pub mod reading;
pub mod scope;
pub mod sql;
pub mod template;
pub mod tree;
