//! SQL statements with named parameters (`:phone`, `:phone__national`, `:phones`), compiled to the
//! placeholders of each engine. Values never become part of the text.

use std::sync::Arc;

use crate::domain::{NameId, Spelling};

/// A statement and what to bind, in order.
#[derive(Debug, Default)]
pub struct Statement {
    /// With the engine's placeholders.
    pub text: Arc<str>,
    pub parameters: Vec<Parameter>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    pub name: NameId,
    /// For phones: the spelling to bind.
    pub spelling: Option<Spelling>,
    /// `:phones`: every spelling and variant, in an `IN (...)` or `= ANY(...)`.
    pub list: bool,
}
