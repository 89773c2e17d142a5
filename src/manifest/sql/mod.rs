//! SQL statements with named parameters (`:phone`, `:phone__national`, `:phones`), compiled to the
//! placeholders of each engine. Values never become part of the text.

mod compile;
mod lexer;

use std::fmt::Write as _;
use std::sync::Arc;

use compile::Compiler;

use super::plan::SqlEngine;
use super::scope::{Need, Scope};
use super::template::{Env, PhoneUse};
use super::tree::{Node, wrong_type};
use crate::domain::{NameId, Phone, Spelling, Value, canonical};

const PHONE: NameId = canonical("phone");

/// A statement and what to bind, in order.
#[derive(Debug, Default, PartialEq)]
pub struct Statement {
    /// The text around the parameters: one piece more than there are parameters.
    pieces: Vec<Arc<str>>,
    parameters: Vec<Parameter>,
    names: Vec<NameId>,
    /// PostgreSQL: `$1` and whole lists. The others: `?`, one per element.
    numbered: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Parameter {
    name: NameId,
    /// For phones: the spelling to bind.
    spelling: Option<Spelling>,
    /// `:phones` and fields that are lists, in an `IN (...)` or `= ANY(...)`.
    list: bool,
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
    /// Compiles the text of an operation's `sql`. `None` when something is wrong; what, is in the
    /// diagnostics.
    pub fn compile(node: &Node, engine: SqlEngine, needs: &[Need], scope: &Scope<'_>) -> Option<Self> {
        let Some(sql) = node.as_text() else {
            wrong_type(scope.diagnostics, node, "a text");
            return None;
        };
        Compiler::new(node, engine, needs, scope).compile(sql)
    }

    /// Puts the values in. `:phone` is the first of `env.phones` in `env.spelling`; `:phones` are
    /// all of them in each of `spellings` (E.164 when there are none).
    pub fn bind(&self, env: &Env<'_>, spellings: &[Spelling]) -> Bound {
        let mut text = String::new();
        let mut values = Vec::with_capacity(self.parameters.len());
        for (i, piece) in self.pieces.iter().enumerate() {
            text.push_str(piece);
            let Some(parameter) = self.parameters.get(i) else { break };
            let value = parameter.value(env, spellings);
            match value {
                _ if self.numbered => {
                    values.push(value);
                    let _ = write!(text, "${}", values.len());
                }
                Some(Value::List(items)) if !items.is_empty() => {
                    // padded with the last one: few lengths of list mean few prepared statements
                    let room = items.len().next_power_of_two();
                    let padding = std::iter::repeat_n(items.last(), room - items.len()).flatten();
                    values.extend(items.iter().chain(padding).cloned().map(Some));
                    text.push_str(&vec!["?"; room].join(", "));
                }
                other => {
                    values.push(other.filter(|value| !matches!(value, Value::List(_))));
                    text.push('?');
                }
            }
        }
        Bound { text: text.into(), values }
    }

    /// Whether it is to be asked once per spelling and variant of the number, or once for all.
    pub fn phone_use(&self) -> PhoneUse {
        let phones = || self.parameters.iter().filter(|p| p.name == PHONE);
        match (phones().any(|p| p.list), phones().any(|p| !p.list)) {
            (_, true) => PhoneUse::One,
            (true, false) => PhoneUse::Many,
            (false, false) => PhoneUse::None,
        }
    }

    /// The names it binds, the variables of the connection left out.
    pub fn names(&self) -> &[NameId] {
        &self.names
    }
}

impl Parameter {
    fn value(&self, env: &Env<'_>, spellings: &[Spelling]) -> Option<Value> {
        if self.name != PHONE {
            let variable = || env.source.variables.iter().find(|(name, _)| *name == self.name).map(|(_, v)| v);
            return match ((env.get)(self.name).or_else(variable)?, self.spelling) {
                (Value::Phone(phone), Some(spelling)) => Some(spelled(phone, spelling)),
                (Value::List(items), Some(spelling)) => {
                    let spell = |item: &Value| match item {
                        Value::Phone(phone) => spelled(phone, spelling),
                        other => other.clone(),
                    };
                    Some(Value::List(items.iter().map(spell).collect()))
                }
                (value, _) => Some(value.clone()),
            };
        }
        if !self.list {
            let spelling = self.spelling.or(env.spelling).unwrap_or(Spelling::E164);
            return env.phones.first().map(|phone| spelled(phone, spelling));
        }
        let one = [self.spelling.unwrap_or(Spelling::E164)];
        let spellings = if self.spelling.is_some() || spellings.is_empty() { &one } else { spellings };
        let mut all: Vec<Value> = Vec::new();
        for phone in env.phones {
            for spelling in spellings {
                let value = spelled(phone, *spelling);
                if !all.contains(&value) {
                    all.push(value);
                }
            }
        }
        Some(Value::List(all.into()))
    }
}

fn spelled(phone: &Phone, spelling: Spelling) -> Value {
    Value::text(phone.spell(spelling))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::domain::Names;
    use crate::manifest::diagnostic::{Diagnostics, Files, Origin};
    use crate::manifest::template::Maps;
    use crate::manifest::tree::Content;
    use SqlEngine::{Mysql, Postgres, Sqlite};

    const NEEDS: [&str; 4] = ["phone | email", "customer_id", "own.contact_id", "tags"];

    fn compile(engine: SqlEngine, sql: &str) -> Result<Statement, Vec<&'static str>> {
        let diagnostics = Diagnostics::default();
        let (names, files, maps) = (RefCell::new(Names::default()), Files::default(), Maps::default());
        let sources = ["db".into(), "crm".into()];
        let scope = Scope {
            source: "db",
            sources: &sources,
            config_file: Some(0),
            names: &names,
            files: &files,
            diagnostics: &diagnostics,
            variables: &[],
            tables: None,
            maps: &maps,
            version: None,
            base_url: None,
            headers: None,
            records: None,
            errors: None,
        };
        let origin = Origin { file: 0, start: 0, end: 1 };
        let needs: Vec<Need> = NEEDS.iter().filter_map(|need| scope.need(need, origin)).collect();
        let node = Node { value: Content::Text(sql.into()), origin };
        let statement = Statement::compile(&node, engine, &needs, &scope);
        let mut codes: Vec<_> = diagnostics.into_list().iter().map(|d| d.code).collect();
        codes.dedup();
        match statement {
            Some(statement) if codes.is_empty() => Ok(statement),
            _ => Err(codes),
        }
    }

    #[test]
    fn what_cannot_be_compiled_says_why() {
        for (engine, sql, code) in [
            (Postgres, "SELECT {phone}", "hole-in-sql"),
            (Postgres, "SELECT '{phone}'", "hole-in-sql"),
            (Postgres, "SELECT '{phone|national}'", "hole-in-sql"),
            (Postgres, "SELECT 1 WHERE a = ':phone'", "sql-parameter"),
            (Mysql, "SELECT 1 WHERE a LIKE \"%:phone__last7\"", "sql-parameter"),
            (Postgres, "SELECT x:phone", "sql-parameter"),
            (Postgres, "SELECT 'x':phone", "sql-parameter"),
            (Postgres, "SELECT :phone'x'", "sql-parameter"),
            (Postgres, "SELECT :phone:email", "sql-parameter"),
            (Postgres, "SELECT a WHERE b = $1", "sql-parameter"),
            (Mysql, "SELECT a WHERE b = ?", "sql-parameter"),
            (Sqlite, "SELECT a WHERE b = @phone", "sql-parameter"),
            (Postgres, "SELECT 1 WHERE a = :phones", "sql-parameter"),
            (Postgres, "SELECT 1 WHERE a IN (:phones, '1')", "sql-parameter"),
            (Postgres, "SELECT 1 WHERE a NOT IN (:phones)", "sql-parameter"),
            (Postgres, "SELECT 1 WHERE a <> ANY(:phones)", "sql-parameter"),
            (Postgres, "SELECT 1 WHERE a = ANY(:phone)", "sql-parameter"),
            (Postgres, "SELECT 1 WHERE a = :tags", "sql-parameter"),
            (Postgres, "SELECT 1; SELECT 2", "sql-statements"),
            (Postgres, "SELECT 1;;", "sql-statements"),
            (Postgres, "", "sql-statements"),
            (Postgres, " ; ", "sql-statements"),
            (Postgres, "-- nothing", "sql-statements"),
            (Postgres, "SELECT 'open", "sql-statements"),
            (Postgres, "UPDATE t SET a = 1", "sql-writes"),
            (Postgres, "(DELETE FROM t)", "sql-writes"),
            (Postgres, "WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x", "sql-writes"),
            (Postgres, "SELECT * INTO copy FROM t", "sql-writes"),
            (Postgres, "SELECT * FROM t FOR UPDATE", "sql-writes"),
            (Mysql, "SELECT 1 /*! INTO OUTFILE 'x' */", "sql-writes"),
            (Postgres, "CALL f(:phone)", "sql-writes"),
            (Postgres, "SELECT :fone", "unknown-name"),
            (Postgres, "SELECT :vip", "hole-not-needed"),
            (Postgres, "SELECT :phone__natonal", "unknown-conversion"),
            (Postgres, "SELECT :email__national", "conversion-type"),
        ] {
            let found = compile(engine, sql).err().unwrap_or_default();
            assert_eq!(found, [code], "{sql}");
        }
    }

    #[test]
    fn placeholders_are_those_of_the_engine() {
        for (engine, sql, pieces, use_) in [
            (Postgres, "SELECT :email::text;", &["SELECT ", "::text"][..], PhoneUse::None),
            (
                Postgres,
                "SELECT 1 WHERE a=:phone OR b=:phone__national",
                &["SELECT 1 WHERE a=", " OR b=", ""],
                PhoneUse::One,
            ),
            (Postgres, "SELECT 1 WHERE a IN (:phones)", &["SELECT 1 WHERE a = ANY (", ")"], PhoneUse::Many),
            (Postgres, "SELECT 1 WHERE a = ANY(:phones)", &["SELECT 1 WHERE a = ANY(", ")"], PhoneUse::Many),
            (Mysql, "SELECT 1 WHERE a IN (:phones)", &["SELECT 1 WHERE a IN (", ")"], PhoneUse::Many),
            (Mysql, "SELECT 1 WHERE a = any(:phones)", &["SELECT 1 WHERE a   IN(", ")"], PhoneUse::Many),
            (Sqlite, "SELECT 1 WHERE a in (:tags)", &["SELECT 1 WHERE a in (", ")"], PhoneUse::None),
            (Sqlite, "SELECT 1 WHERE a = :own.contact_id", &["SELECT 1 WHERE a = ", ""], PhoneUse::None),
            (Sqlite, "SELECT 1 WHERE a = :db.contact_id", &["SELECT 1 WHERE a = ", ""], PhoneUse::None),
            (
                Postgres,
                "SELECT '{}'::jsonb, '{a,b}', '12:30'",
                &["SELECT '{}'::jsonb, '{a,b}', '12:30'"],
                PhoneUse::None,
            ),
            (
                Postgres,
                "SELECT t.update, \"delete\" /* :phone */",
                &["SELECT t.update, \"delete\" /* :phone */"],
                PhoneUse::None,
            ),
            (Mysql, "SELECT insert(a, 1, 1, :email)", &["SELECT insert(a, 1, 1, ", ")"], PhoneUse::None),
        ] {
            let statement = compile(engine, sql).unwrap_or_else(|codes| panic!("{sql}: {codes:?}"));
            assert_eq!(statement.pieces.iter().map(|p| &**p).collect::<Vec<_>>(), pieces, "{sql}");
            assert_eq!(statement.phone_use(), use_, "{sql}");
        }
    }

    #[test]
    fn the_names_bound_are_the_operations_inputs() -> Result<(), Vec<&'static str>> {
        let statement = compile(Postgres, "SELECT 1 WHERE a=:phone OR b=:email OR c=:email")?;
        assert_eq!(statement.names(), [canonical("email"), PHONE]);
        Ok(())
    }
}
