//! SQL statements with named parameters (`:phone`, `:phone__national`, `:phones`), compiled to the
//! placeholders of each engine. Values never become part of the text.

use std::fmt::Write as _;
use std::sync::Arc;

use super::diagnostic::Diagnostics;
use super::plan::SqlEngine;
use super::template::{Env, PhoneUse};
use super::tree::Node;
use crate::domain::{NameId, Names, Phone, Skip, Spelling, Value, canonical};

const PHONE: NameId = canonical("phone");

/// A statement and what to bind, in order.
#[derive(Debug, Default)]
pub struct Statement {
    /// The text around the parameters: one piece more than there are parameters.
    pieces: Vec<Arc<str>>,
    parameters: Vec<Parameter>,
    /// PostgreSQL: `$1` and whole lists. The others: `?`, one per element.
    numbered: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Parameter {
    name: NameId,
    /// For phones: the spelling to bind.
    spelling: Option<Spelling>,
    /// `:phones`: every spelling and variant, in an `IN (...)` or `= ANY(...)`.
    list: bool,
}

/// The names a statement may use as parameters.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    pub names: &'a Names,
    /// The operation's needs, every alternative of them, as written in the file. `phone` brings
    /// `phones` with it.
    pub needs: &'a [(Arc<str>, NameId)],
}

/// A statement with its values, ready for its engine. Holds personal data: never log it.
#[derive(Clone, Debug)]
pub struct Bound {
    /// With the engine's placeholders, one per value.
    pub text: Arc<str>,
    /// `None` is NULL. Lists occur for PostgreSQL only.
    pub values: Vec<Option<Value>>,
}

impl Statement {
    /// Compiles the text of an operation's `sql`. Problems are `hole-in-sql`, `sql-parameter`,
    /// `sql-statements`, `sql-writes`, `unknown-name`, `unknown-conversion`, `conversion-type`.
    pub fn compile(_node: &Node, _engine: SqlEngine, _scope: Scope<'_>, _diagnostics: &Diagnostics) -> Option<Self> {
        None
    }

    /// Puts the values in. `:phone` is the first of `env.phones` in `env.spelling`; `:phones` are
    /// all of them in each of `spellings` (E.164 when there are none).
    pub fn bind(&self, env: &Env<'_>, spellings: &[Spelling]) -> Result<Bound, Skip> {
        let mut text = String::new();
        let mut values = Vec::with_capacity(self.parameters.len());
        for (i, piece) in self.pieces.iter().enumerate() {
            text.push_str(piece);
            let Some(parameter) = self.parameters.get(i) else { break };
            let value = parameter.value(env, spellings);
            if self.numbered {
                values.push(value);
                let _ = write!(text, "${}", values.len());
                continue;
            }
            match value {
                Some(Value::List(items)) if !items.is_empty() => {
                    // Few lengths of list mean few prepared statements.
                    let room = items.len().next_power_of_two();
                    let last = items.last();
                    values.extend(
                        items.iter().chain(std::iter::repeat_n(last, room - items.len()).flatten()).cloned().map(Some),
                    );
                    text.push_str(&vec!["?"; room].join(", "));
                }
                other => {
                    values.push(other.filter(|v| !matches!(v, Value::List(_))));
                    text.push('?');
                }
            }
        }
        Ok(Bound { text: text.into(), values })
    }

    /// Whether it is to be asked once per spelling, or once for all.
    pub fn phone_use(&self) -> PhoneUse {
        let phones = || self.parameters.iter().filter(|p| p.name == PHONE);
        match (phones().any(|p| p.list), phones().any(|p| !p.list)) {
            (_, true) => PhoneUse::One,
            (true, false) => PhoneUse::Many,
            (false, false) => PhoneUse::None,
        }
    }

    /// The names it binds.
    pub fn inputs(&self) -> impl Iterator<Item = NameId> + '_ {
        self.parameters.iter().map(|p| p.name)
    }
}

impl Parameter {
    fn value(&self, env: &Env<'_>, spellings: &[Spelling]) -> Option<Value> {
        if self.name != PHONE {
            return (env.get)(self.name).cloned();
        }
        if !self.list {
            let spelling = self.spelling.or(env.spelling).unwrap_or(Spelling::E164);
            return env.phones.first().map(|phone| Value::text(spelled(phone, spelling)));
        }
        let one = [self.spelling.unwrap_or(Spelling::E164)];
        let spellings = if self.spelling.is_some() || spellings.is_empty() { &one } else { spellings };
        let mut all: Vec<Value> = Vec::new();
        for phone in env.phones {
            for spelling in spellings {
                let value = Value::text(spelled(phone, *spelling));
                if !all.contains(&value) {
                    all.push(value);
                }
            }
        }
        Some(Value::List(all.into()))
    }
}

fn spelled(phone: &Phone, spelling: Spelling) -> &str {
    match spelling {
        Spelling::Digits => phone.e164().trim_start_matches('+'),
        _ => phone.e164(),
    }
}
