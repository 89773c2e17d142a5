//! The tenant. Nothing that is stored, cached, counted or limited is without one.

use std::fmt;
use std::sync::Arc;

/// The name of an organization: 1 to 64 of `a-z 0-9 -`, parsed once at the edge.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Organization(Arc<str>);

impl Organization {
    /// Parses a name; `None` when it is not 1 to 64 letters of `a-z 0-9 -`.
    pub fn parse(name: &str) -> Option<Self> {
        let shape = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let fits = (1..=64).contains(&name.len()) && name.bytes().all(shape);
        fits.then(|| Self(name.into()))
    }

    /// The organization of a gateway that serves only one.
    pub fn single() -> Self {
        Self("default".into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Organization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Organization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
