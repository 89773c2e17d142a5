//! An e-mail address in canonical form.

use std::fmt;
use std::sync::Arc;

use super::phone::is_mark;

/// A plausible address, trimmed and in lower case. Never printed by `Debug`.
///
/// The part before the `@` is lower-cased, too: the standard lets a server tell `Ann@` from
/// `ann@`, none that matters does, and CRMs compare without case.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Email {
    address: Arc<str>,
}

impl Email {
    /// Parses an address; `None` when it has no single `@`, no dot in its domain, blanks,
    /// control characters or quotes, a part that is too long (64 and 254 bytes, RFC 5321), or
    /// an IP address for a domain. Marks that nobody sees, which copying brings, are dropped.
    pub fn parse(text: &str) -> Option<Self> {
        // A multiple of the longest, for the marks; what is longer is not worth lower-casing.
        if text.len() > 1024 {
            return None;
        }
        let address: String = text.chars().filter(|c| !is_mark(*c)).flat_map(char::to_lowercase).collect();
        let address = address.trim();
        let (local, domain) = address.split_once('@')?;
        let fits = address.len() <= 254 && (1..=64).contains(&local.len());
        let plausible = local.chars().all(is_local) && is_domain(domain);
        (fits && plausible).then(|| Self { address: address.into() })
    }

    /// An address that was parsed before.
    pub(super) fn of_canonical(address: &str) -> Self {
        Self { address: address.into() }
    }

    pub fn as_str(&self) -> &str {
        &self.address
    }

    pub fn domain(&self) -> &str {
        self.address.split_once('@').map_or("", |(_, domain)| domain)
    }
}

/// What an unquoted address may have (RFC 5322 `atext` and the dot), and letters of any script.
fn is_local(c: char) -> bool {
    match c.is_ascii() {
        true => c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c),
        false => c.is_alphanumeric() || is_accent(c),
    }
}

fn is_domain(domain: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_alphanumeric() || c == '-' || is_accent(c))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let mut labels = domain.rsplit('.');
    let top = labels.next().is_some_and(|top| label(top) && !top.bytes().all(|b| b.is_ascii_digit()));
    let mut rest = labels.peekable();
    top && rest.peek().is_some() && rest.all(label)
}

/// Accents that stand behind their letter, as macOS writes them and lower-casing leaves them.
fn is_accent(c: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&c)
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_one_canonical_form() {
        for (text, expected) in [
            ("Ann.Lee@Example.COM", "ann.lee@example.com"),
            ("  ann@example.com\n", "ann@example.com"),
            ("\u{202a}ann@example.com \u{202c}", "ann@example.com"),
            ("ann\u{200b}@example.com", "ann@example.com"),
            ("ann+tag@sub.example.co.uk", "ann+tag@sub.example.co.uk"),
            ("o'brien@example.com", "o'brien@example.com"),
            ("JÖRG@MÜNCHEN.example", "jörg@münchen.example"),
            ("İ@example.com", "i\u{307}@example.com"),
            ("user@xn--mnchen-3ya.example", "user@xn--mnchen-3ya.example"),
        ] {
            let email = Email::parse(text);
            assert_eq!(email.as_ref().map(Email::as_str), Some(expected), "{text:?}");
            assert_eq!(Email::parse(expected), email, "{text:?} is not stable");
            assert_eq!(email.as_ref().map(Email::domain), expected.split_once('@').map(|(_, domain)| domain));
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long_local = format!("{}@example.com", "a".repeat(65));
        let long_domain = format!("a@{}.com", "b.".repeat(150));
        let long_label = format!("a@{}.com", "b".repeat(64));
        let huge = format!("{}@example.com", "a".repeat(64 * 1024));
        for text in [
            "",
            "@",
            "ann",
            "ann@",
            "@example.com",
            "ann@example",
            "ann@@example.com",
            "ann@b@example.com",
            "ann lee@example.com",
            "ann\r\nBcc: x@example.com",
            "ann\0@example.com",
            "ann@exam\u{7}ple.com",
            "ann@.example.com",
            "ann@example..com",
            "ann@example.com.",
            "ann@-example.com",
            "ann@example-.com",
            "ann@127.0.0.1",
            "ann@[127.0.0.1]",
            "ann@exa_mple.com",
            "\"ann\"@example.com",
            "ann(comment)@example.com",
            "Ann <ann@example.com>",
            "ann@example.com, bob@example.com",
            "ann\\@example.com",
            "ann@example.com/../x",
            "ann@example.com' OR '1'='1",
            "😀@example.com",
            &long_local,
            &long_domain,
            &long_label,
            &huge,
        ] {
            assert!(Email::parse(text).is_none(), "{:?}", text.chars().take(80).collect::<String>());
        }
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Email::parse("ann@example.com")), "Some(Email(..))");
    }
}
