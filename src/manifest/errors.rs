//! What an HTTP answer means before its records are read: `[[error.<class>]]` rules, then its
//! status.

use http::StatusCode;

use super::accept::Item;
use super::diagnostic::did_you_mean;
use super::expression::{Paths, Slot, Test};
use super::hole::Context;
use super::path::Shape;
use super::scope::Scope;
use super::tree::{Content, Entry, Node, Reader, wrong_type};

/// `[[error.<class>]]` rules of an operation and its vendor, compiled.
#[derive(Debug, Default, PartialEq)]
pub struct ErrorRules {
    rules: Vec<Rule>,
    shape: Shape,
}

/// What an HTTP answer is, before its records are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AnswerClass {
    /// Read the records.
    Success,
    NotFound,
    Duplicate,
    Limited,
    Unauthorized,
    Forbidden,
    Plan,
    Gone,
    Ambiguous,
    Conflict,
    Invalid,
    /// 408, 425.
    Timeout,
    /// 5xx: the vendor is ill.
    ServerError,
}

#[derive(Debug, PartialEq)]
struct Rule {
    class: AnswerClass,
    /// Any of these; none means every status.
    statuses: Vec<u16>,
    /// What stands at a path passes this test.
    condition: Option<(Slot, Test)>,
}

/// In the order in which rules are tried.
const CLASSES: [(&str, AnswerClass); 11] = [
    ("duplicate", AnswerClass::Duplicate),
    ("limited", AnswerClass::Limited),
    ("unauthorized", AnswerClass::Unauthorized),
    ("forbidden", AnswerClass::Forbidden),
    ("plan", AnswerClass::Plan),
    ("not_found", AnswerClass::NotFound),
    ("gone", AnswerClass::Gone),
    ("ambiguous", AnswerClass::Ambiguous),
    ("conflict", AnswerClass::Conflict),
    ("invalid", AnswerClass::Invalid),
    ("retry", AnswerClass::ServerError),
];

impl ErrorRules {
    /// Compiles the `error` table of an operation and, after it, its vendor's.
    pub fn compile(operation: &Reader<'_>, scope: &Scope<'_>) -> Option<ErrorRules> {
        let cx = Context::new(scope, &[]);
        let paths = Paths { cx: &cx, shapes: Default::default() };
        let own = operation.entries("error");
        let vendor = scope.errors.map_or(&[][..], |table| &table.entries);
        let mut rules = Vec::new();
        let mut sound = true;
        for entries in [own, vendor] {
            for entry in entries.iter().filter(|entry| !CLASSES.iter().any(|(word, _)| *word == &*entry.key)) {
                let help = did_you_mean(&entry.key, CLASSES.iter().map(|(word, _)| *word));
                let message = format!("`{}` is not a class of errors", entry.key);
                scope.diagnostics.error_help("unknown-name", entry.key_origin, message, help);
                sound = false;
            }
            for (word, class) in CLASSES {
                for node in entries.iter().filter(|entry| &*entry.key == word).flat_map(tables) {
                    match rule(node, class, &paths) {
                        Some(rule) => rules.push(rule),
                        None => sound = false,
                    }
                }
            }
        }
        let shape = paths.shapes.take().record;
        sound.then_some(Self { rules, shape })
    }

    /// Classifies by the rules, then by status.
    pub fn classify(&self, status: StatusCode, body: &[u8]) -> AnswerClass {
        let applies = |rule: &&Rule| rule.statuses.is_empty() || rule.statuses.contains(&status.as_u16());
        let mut rules = self.rules.iter().filter(applies).peekable();
        if rules.peek().is_none() {
            return by_status(status);
        }
        let text = std::str::from_utf8(body).ok().filter(|text| self.shape.may_match(text));
        let frames = text.and_then(|text| self.shape.walk(text, &[]).ok());
        let root = frames.as_ref().and_then(|frames| frames.root());
        let holds = |rule: &Rule| match &rule.condition {
            None => true,
            Some((slot, test)) => {
                let values = root.map_or(&[][..], |root| root.values(slot.at));
                test.passes(&values.iter().map(Item::from).collect::<Vec<_>>(), &|_| None)
            }
        };
        rules.find(|rule| holds(rule)).map_or_else(|| by_status(status), |rule| rule.class)
    }
}

fn tables(entry: &Entry) -> &[Node] {
    entry.value.as_array().unwrap_or(std::slice::from_ref(&entry.value))
}

fn rule(node: &Node, class: AnswerClass, paths: &Paths<'_>) -> Option<Rule> {
    let reader = Reader::of(node, paths.cx.scope.diagnostics)?;
    let statuses = match reader.node("status") {
        Some(status) => statuses(status, paths)?,
        None => Vec::new(),
    };
    let slot = match reader.node("path") {
        Some(path) => Some(paths.slot(reader.text("path")?, path.origin)?),
        None => None,
    };
    let test = Test::compile(&reader, paths)?;
    reader.finish();
    let condition = match (slot, test) {
        (Some(slot), Some(test)) => Some((slot, test)),
        (None, None) if !statuses.is_empty() => None,
        (Some(_), None) => {
            let help = "add one of equals, in, not_in, exists";
            paths.cx.error("missing-key", node.origin, "this rule does not say what to look for", help);
            return None;
        }
        (None, _) => {
            let help = "give `status`, or `path` with a test";
            paths.cx.error("missing-key", node.origin, "this rule does not say where to look", help);
            return None;
        }
    };
    Some(Rule { class, statuses, condition })
}

/// `404`, `[404, 410]`
fn statuses(node: &Node, paths: &Paths<'_>) -> Option<Vec<u16>> {
    let nodes = node.as_array().unwrap_or(std::slice::from_ref(node));
    let status = |node: &Node| match node.value {
        Content::Int(status) => u16::try_from(status).ok().filter(|status| (200..600).contains(status)),
        _ => None,
    };
    let read = nodes.iter().map(|node| {
        status(node).or_else(|| {
            wrong_type(paths.cx.scope.diagnostics, node, "a status like 404");
            None
        })
    });
    read.collect()
}

fn by_status(status: StatusCode) -> AnswerClass {
    match status.as_u16() {
        204 | 404 => AnswerClass::NotFound,
        200..=299 => AnswerClass::Success,
        300 => AnswerClass::Ambiguous,
        401 => AnswerClass::Unauthorized,
        402 => AnswerClass::Plan,
        403 => AnswerClass::Forbidden,
        408 | 425 => AnswerClass::Timeout,
        409 | 412 => AnswerClass::Conflict,
        410 => AnswerClass::Gone,
        429 => AnswerClass::Limited,
        500.. => AnswerClass::ServerError,
        _ => AnswerClass::Invalid,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::manifest::trial::compile;

    #[test]
    fn rules_then_status() {
        let trial = compile(
            r#"
            get = "/x"
            exact = true
            [[error.invalid]]
            status = [404]
            [[error.limited]]
            path = "error.code"
            in = ["RATE", "SLOW"]
            [[error_of_vendor.not_found]]
            status = [500, 503]
            path = "why"
            equals = "nobody"
            [[error_of_vendor.unauthorized]]
            path = "[0].errorCode"
            equals = "EXPIRED"
            [[error_of_vendor.duplicate]]
            status = [404, 418]
            "#,
        );
        let trial = trial.unwrap();
        let table = [
            (200, "{}", AnswerClass::Success),
            (204, "", AnswerClass::NotFound),
            (404, "", AnswerClass::Invalid),
            (418, "", AnswerClass::Duplicate),
            (200, r#"{"error":{"code":"slow"}}"#, AnswerClass::Limited),
            (400, r#"{"error":{"code":"other"}}"#, AnswerClass::Invalid),
            (400, r#"[{"errorCode":"EXPIRED"}]"#, AnswerClass::Unauthorized),
            (500, r#"{"why":"Nobody"}"#, AnswerClass::NotFound),
            (500, "<html>", AnswerClass::ServerError),
            (400, r#"{"why":"nobody"}"#, AnswerClass::Invalid),
            (401, "", AnswerClass::Unauthorized),
            (402, "", AnswerClass::Plan),
            (403, "", AnswerClass::Forbidden),
            (408, "", AnswerClass::Timeout),
            (409, "", AnswerClass::Conflict),
            (410, "", AnswerClass::Gone),
            (429, "", AnswerClass::Limited),
            (300, "", AnswerClass::Ambiguous),
            (302, "", AnswerClass::Invalid),
            (422, "", AnswerClass::Invalid),
            (503, "", AnswerClass::ServerError),
        ];
        for (status, body, expected) in table {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(trial.errors.classify(status, body.as_bytes()), expected, "{status} {body}");
        }
    }
}
