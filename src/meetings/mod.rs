//! Before a meeting: who of those who take part is to be looked up, and what is worth saying of
//! them. Pure: whoever asks looks people up, and shows them through a view like everybody else.

mod points;
mod words;

use std::sync::Arc;

use crate::domain::{CallerIdStatus, Email};

pub use points::{LastInteraction, Point};

/// Somebody who takes part, once, however often the question names them.
#[derive(Debug, PartialEq, Eq)]
pub struct Participant {
    /// Where in the question they stand, from 0.
    pub positions: Vec<usize>,
    /// None where what stands there is no address.
    pub email: Option<Email>,
    /// `ok`: to be looked up. `internal`: one of our own people. `missing` or `invalid`: no address.
    pub status: CallerIdStatus,
}

impl Participant {
    /// Whom to look up.
    pub fn guest(&self) -> Option<&Email> {
        self.email.as_ref().filter(|_| self.status == CallerIdStatus::Ok)
    }
}

/// Those whom a question names, in its order. Who has an address at one of our own domains, or
/// below one, is one of us.
pub fn participants(given: &[&str], own_domains: &[Arc<str>]) -> Vec<Participant> {
    let mut all: Vec<Participant> = Vec::new();
    for (position, text) in given.iter().enumerate() {
        let email = Email::parse(text);
        if email.is_some()
            && let Some(known) = all.iter_mut().find(|p| p.email == email)
        {
            known.positions.push(position);
            continue;
        }
        let status = match &email {
            Some(email) if is_own(email, own_domains) => CallerIdStatus::Internal,
            Some(_) => CallerIdStatus::Ok,
            None if text.trim().is_empty() => CallerIdStatus::Missing,
            None => CallerIdStatus::Invalid,
        };
        all.push(Participant { positions: vec![position], email, status });
    }
    all
}

fn is_own(email: &Email, own_domains: &[Arc<str>]) -> bool {
    own_domains.iter().any(|own| {
        let below = email.domain().strip_suffix(&**own);
        below.is_some_and(|below| below.is_empty() || below.ends_with('.'))
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "the table's own texts")]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_there_once_with_a_status() {
        let given = [
            "ada@analytical.example",
            "Grace.Rep@Example.COM",
            " ADA@analytical.example\n",
            "",
            "x@eu.example.com",
            "x@notexample.com",
            "Ada <ada@analytical.example>",
            " \t",
            "no address",
        ];
        let found = participants(&given, &["example.com".into()]);
        let seen: Vec<_> = found.iter().map(|p| (p.positions.as_slice(), p.status.as_str())).collect();
        let expected: [(&[usize], &str); 8] = [
            (&[0, 2], "ok"),
            (&[1], "internal"),
            (&[3], "missing"),
            (&[4], "internal"),
            (&[5], "ok"),
            (&[6], "invalid"),
            (&[7], "missing"),
            (&[8], "invalid"),
        ];
        assert_eq!(seen, expected);
        assert_eq!(found.first().unwrap().email.as_ref().unwrap().as_str(), "ada@analytical.example");
        assert!(participants(&given, &[]).iter().all(|p| p.status != CallerIdStatus::Internal));
    }
}
