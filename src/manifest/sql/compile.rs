//! From the text of a statement to its pieces and parameters, with everything that is wrong in it.

use super::lexer::{Kind, Token, lex};
use super::{PHONE, Parameter, Statement};
use crate::domain::{NameId, Type};
use crate::manifest::convert::{spelling, spelling_words};
use crate::manifest::diagnostic::did_you_mean;
use crate::manifest::plan::SqlEngine;
use crate::manifest::scope::{Need, Scope};
use crate::manifest::tree::Node;

/// Words that change data or lock it, wherever they stand in a `SELECT` or `WITH`.
const WRITES: [&str; 5] = ["INSERT", "UPDATE", "DELETE", "MERGE", "INTO"];

/// A name that parameters may use, as written in the statement.
struct Covered {
    text: String,
    id: NameId,
}

pub struct Compiler<'a> {
    node: &'a Node,
    engine: SqlEngine,
    scope: &'a Scope<'a>,
    covered: Vec<Covered>,
}

impl<'a> Compiler<'a> {
    pub fn new(node: &'a Node, engine: SqlEngine, needs: &[Need], scope: &'a Scope<'a>) -> Self {
        Self { node, engine, scope, covered: covered(needs, scope) }
    }

    pub fn compile(&self, sql: &str) -> Option<Statement> {
        let tokens = lex(sql, self.engine);
        // tokens that mean something, with their places among all
        let solid: Vec<(usize, Token<'_>)> =
            tokens.iter().copied().enumerate().filter(|(_, t)| t.kind != Kind::Blank).collect();
        let good = [self.check_tokens(&solid), self.check_single(&solid), self.check_reads(&solid)];
        let mut texts: Vec<&str> = tokens.iter().map(|t| t.text).collect();
        let mut parameters = Vec::new();
        let mut complete = good == [true; 3];
        for (i, (place, token)) in solid.iter().enumerate() {
            if token.kind == Kind::Symbol && token.text == ";" {
                set(&mut texts, *place, "");
            }
            if token.kind != Kind::Parameter {
                continue;
            }
            let neighbours = |at: Option<usize>| at.and_then(|at| tokens.get(at)).is_some_and(|t| glues(t.kind));
            if neighbours(place.checked_sub(1)) || neighbours(place.checked_add(1)) {
                self.wrong(
                    "sql-parameter",
                    format!("text is glued to `{}`", token.text),
                    "put a blank or an operator between them",
                );
                complete = false;
            }
            let Some(parameter) = self.parameter(token.text) else {
                complete = false;
                continue;
            };
            if parameter.list && !self.place_list(&solid, i, &mut texts) {
                complete = false;
            }
            if !parameter.list && is(&solid, i.checked_sub(2), "ANY") {
                let message = format!("`{}` is one value; `ANY` takes a list", token.text);
                self.wrong("sql-parameter", message, "compare it with `=`");
                complete = false;
            }
            parameters.push((*place, parameter));
        }
        complete.then(|| self.assemble(&texts, &parameters))
    }

    fn assemble(&self, texts: &[&str], parameters: &[(usize, Parameter)]) -> Statement {
        let mut pieces = Vec::new();
        let mut start = 0;
        for end in parameters.iter().map(|(place, _)| *place).chain([texts.len()]) {
            pieces.push(texts.get(start..end).unwrap_or_default().concat().into());
            start = end + 1;
        }
        let parameters: Vec<Parameter> = parameters.iter().map(|(_, p)| *p).collect();
        let mut names: Vec<NameId> = parameters.iter().map(|p| p.name).collect();
        names.retain(|name| !self.scope.variables.iter().any(|v| v.id == *name));
        names.sort_unstable();
        names.dedup();
        Statement { pieces, parameters, names, numbered: self.engine == SqlEngine::Postgres }
    }

    /// What must not occur, whatever it stands beside.
    fn check_tokens(&self, solid: &[(usize, Token<'_>)]) -> bool {
        let mut good = true;
        let mut wrong = |code, message: String, help: &str| {
            self.wrong(code, message, help);
            good = false;
        };
        for (_, token) in solid {
            match token.kind {
                Kind::Symbol if matches!(token.text, "{" | "}") => {
                    wrong("hole-in-sql", "SQL has no holes".into(), "write a parameter: `:phone`, `:email`");
                }
                Kind::Text => {
                    if let Some(name) = self.hole_in(token.text) {
                        wrong("hole-in-sql", format!("`{{{name}}}` in a quoted text is text"), "write a parameter");
                    }
                    if let Some(name) = self.parameter_in(token.text) {
                        let help = "take it out of the quotes; join texts with `||` or `concat`";
                        wrong("sql-parameter", format!("`:{name}` in quotes is text, not a parameter"), help);
                    }
                }
                Kind::Placeholder => {
                    wrong(
                        "sql-parameter",
                        format!("`{}` has no name", token.text),
                        "write parameters by name: `:phone`",
                    );
                }
                Kind::Executable => {
                    wrong(
                        "sql-writes",
                        "a comment that is executed cannot be checked".into(),
                        "write it without the comment",
                    );
                }
                Kind::Unclosed => wrong("sql-statements", "a quote or comment does not end".into(), "close it"),
                _ => {}
            }
        }
        good
    }

    fn check_single(&self, solid: &[(usize, Token<'_>)]) -> bool {
        let end = solid.iter().position(|(_, t)| t.kind == Kind::Symbol && t.text == ";").unwrap_or(solid.len());
        if end == 0 {
            self.wrong("sql-statements", "there is no statement".into(), "write one SELECT");
            return false;
        }
        let single = end + 1 >= solid.len();
        if !single {
            self.wrong("sql-statements", "more than one statement".into(), "make each an operation of its own");
        }
        single
    }

    fn check_reads(&self, solid: &[(usize, Token<'_>)]) -> bool {
        let opening = solid.iter().map(|(_, t)| t).find(|t| t.text != "(" && t.text != ";");
        let Some(first) = opening else { return true };
        if !["SELECT", "WITH"].iter().any(|word| first.text.eq_ignore_ascii_case(word)) {
            self.wrong("sql-writes", "a lookup only reads".into(), "start with SELECT or WITH");
            return false;
        }
        for (i, (_, token)) in solid.iter().enumerate() {
            let writes = token.kind == Kind::Word && WRITES.iter().any(|w| token.text.eq_ignore_ascii_case(w));
            // `t.update` is a column, `insert(...)` a function
            if writes && !is(solid, i.checked_sub(1), ".") && !is(solid, i.checked_add(1), "(") {
                let message = format!("`{}` writes or locks, a lookup only reads", token.text);
                self.wrong("sql-writes", message, "a column of that name goes in quotes");
                return false;
            }
        }
        true
    }

    /// `:name` or `:name__conversion`.
    fn parameter(&self, written: &str) -> Option<Parameter> {
        let written = written.trim_start_matches(':');
        let (text, conversion) = match written.rsplit_once("__") {
            Some((name, conversion)) if self.find(written).is_none() => (name, Some(conversion)),
            _ => (written, None),
        };
        let Some(found) = self.find(text) else {
            if self.scope.name(text, self.node.origin).is_some() {
                let message = format!("`:{text}` is not among the operation's needs");
                self.wrong("hole-not-needed", message, "add it to `needs`");
            }
            return None;
        };
        let ty = self.scope.names.borrow().name(found.id).ty;
        let of_phones = matches!(ty, Type::Phone | Type::PhoneList);
        let list = matches!(ty, Type::TextList | Type::EmailList | Type::PhoneList)
            || (found.id == PHONE && found.text == "phones");
        if matches!(ty, Type::Records(_)) {
            self.wrong("sql-parameter", format!("`:{text}` is a list of records"), "bind a field that is a value");
            return None;
        }
        let spelling = match conversion {
            None => None,
            Some(word) => {
                let Some(spelling) = spelling(word) else {
                    let help = did_you_mean(word, spelling_words());
                    let message = format!("`{word}` is not a conversion that parameters have");
                    self.scope.diagnostics.error_help("unknown-conversion", self.node.origin, message, help);
                    return None;
                };
                if !of_phones {
                    self.wrong("conversion-type", format!("`:{text}` is no phone"), "leave the conversion away");
                    return None;
                }
                Some(spelling)
            }
        };
        Some(Parameter { name: found.id, spelling, list })
    }

    /// Checks that the list at `i` stands in `IN (...)` or `= ANY(...)`, and writes the form that
    /// the engine has: arrays are PostgreSQL's, the others get an element each.
    fn place_list(&self, solid: &[(usize, Token<'_>)], i: usize, texts: &mut [&str]) -> bool {
        let place = |back: usize| i.checked_sub(back).and_then(|at| solid.get(at)).map(|(place, _)| *place);
        let alone = is(solid, i.checked_sub(1), "(") && is(solid, i.checked_add(1), ")");
        let in_list = alone && is(solid, i.checked_sub(2), "IN") && !is(solid, i.checked_sub(3), "NOT");
        let any = alone && is(solid, i.checked_sub(2), "ANY") && is(solid, i.checked_sub(3), "=");
        if !in_list && !any {
            let name = solid.get(i).map_or("", |(_, t)| t.text);
            let message = format!("`{name}` is a list");
            self.wrong("sql-parameter", message, "a list stands alone in `IN (...)` or `= ANY(...)`");
            return false;
        }
        match (self.engine, place(2), place(3)) {
            (SqlEngine::Postgres, Some(word), _) if in_list => set(texts, word, "= ANY"),
            (SqlEngine::Mysql | SqlEngine::Sqlite, Some(word), Some(equals)) if any => {
                set(texts, word, "IN");
                set(texts, equals, " ");
            }
            _ => {}
        }
        true
    }

    fn find(&self, text: &str) -> Option<&Covered> {
        self.covered.iter().find(|c| c.text == text)
    }

    /// A template's hole in a quoted text: `'{phone}'`. Other braces are JSON or arrays.
    fn hole_in<'t>(&self, text: &'t str) -> Option<&'t str> {
        text.split('{').skip(1).find_map(|after| {
            let name = word(after);
            let ends = after.get(name.len()..).is_some_and(|rest| rest.starts_with(['}', '|', '?', ' ']));
            (ends && self.find(name).is_some()).then_some(name)
        })
    }

    /// A parameter in a quoted text: `'%:phone%'`. Other colons are times or text.
    fn parameter_in<'t>(&self, text: &'t str) -> Option<&'t str> {
        text.split(':').skip(1).map(word).find(|name| {
            let bare = name.rsplit_once("__").map_or(*name, |(bare, _)| bare);
            self.find(name).or_else(|| self.find(bare)).is_some()
        })
    }

    fn wrong(&self, code: &'static str, message: String, help: &str) {
        self.scope.diagnostics.error_help(code, self.node.origin, message, Some(help.to_owned()));
    }
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '.').unwrap_or(text.len());
    text.get(..end).unwrap_or("").trim_end_matches('.')
}

fn glues(kind: Kind) -> bool {
    matches!(kind, Kind::Word | Kind::Text | Kind::Name | Kind::Number | Kind::Parameter | Kind::Placeholder)
}

fn is(solid: &[(usize, Token<'_>)], at: Option<usize>, text: &str) -> bool {
    at.and_then(|at| solid.get(at)).is_some_and(|(_, t)| t.text.eq_ignore_ascii_case(text))
}

fn set<'t>(texts: &mut [&'t str], place: usize, text: &'t str) {
    if let Some(slot) = texts.get_mut(place) {
        *slot = text;
    }
}

fn covered(needs: &[Need], scope: &Scope<'_>) -> Vec<Covered> {
    let names = scope.names.borrow();
    let own = format!("{}.", scope.source);
    let mut all = Vec::new();
    for id in needs.iter().flatten().copied() {
        let text = names.text(id);
        if let Some(rest) = text.strip_prefix(&own) {
            all.push(Covered { text: format!("own.{rest}"), id });
        }
        if id == PHONE {
            all.push(Covered { text: "phones".into(), id });
        }
        all.push(Covered { text: text.into(), id });
    }
    all.extend(scope.variables.iter().filter(|v| v.always).map(|v| Covered { text: (*v.text).into(), id: v.id }));
    all
}
