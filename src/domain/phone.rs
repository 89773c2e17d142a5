//! A phone number in canonical form, its spellings and its national variants.

use std::fmt;
use std::sync::Arc;

/// A possible phone number in canonical form (E.164, with `+`). Never printed by `Debug`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Phone {
    e164: Arc<str>,
}

impl Phone {
    /// The canonical form, `+14155550142`.
    pub fn e164(&self) -> &str {
        &self.e164
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phone(..)")
    }
}

/// How a vendor stores a number; a template renders one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Spelling {
    /// `+14155550142`
    E164,
    /// `4155550142`: national significant digits, no trunk prefix
    National,
    /// `(415) 555-0142`: as people of that country write it
    NationalFormat,
    /// `14155550142`: E.164 without the plus
    Digits,
    Last10,
    Last7,
}
