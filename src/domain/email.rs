//! An e-mail address in canonical form.

use std::fmt;
use std::sync::Arc;

/// A plausible address, trimmed and lower-cased. Never printed by `Debug`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Email {
    address: Arc<str>,
}

impl Email {
    /// Parses an address; `None` when it has no single `@`, no dot in its domain, blanks or
    /// control characters, or more than 254 characters (RFC 5321).
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (local, domain) = text.split_once('@')?;
        let clean = |c: char| !c.is_whitespace() && !c.is_control() && !"<>()[],;:\\\"@".contains(c);
        let fits = text.len() <= 254
            && (1..=64).contains(&local.len())
            && domain.contains('.')
            && !domain.starts_with('.')
            && !domain.ends_with('.')
            && local.chars().all(clean)
            && domain.chars().all(|c| c.is_alphanumeric() || c == '.' || c == '-');
        fits.then(|| Self { address: text.to_lowercase().into() })
    }

    pub fn as_str(&self) -> &str {
        &self.address
    }

    pub fn domain(&self) -> &str {
        self.address.split_once('@').map_or("", |(_, domain)| domain)
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(..)")
    }
}
