//! The graph of operations: who feeds whom. What no caller can ever reach is an error here, so that
//! the engine can simply start whatever has its needs on the table.

use std::collections::BTreeSet;

use super::compile::{Compiled, STARTS};
use super::diagnostic::{Diagnostics, did_you_mean};
use super::plan::{Operation, OperationId};
use super::scope::Need;
use crate::domain::field::Kind;
use crate::domain::{NameId, Names, canonical};

/// The operations that a start sets in motion, wave by wave: those of a wave need something that
/// the one before provides. The engine does not wait for waves; people read them.
pub struct Waves {
    /// `phone`, `email` or `customer_id`.
    pub start: &'static str,
    pub waves: Vec<Vec<OperationId>>,
}

/// The waves from each start, leaving out starts that set nothing in motion.
pub fn waves(operations: &[Operation], names: &Names) -> Vec<Waves> {
    let from = |(start, id): (&'static str, NameId)| {
        let waves = closure(operations, names, &[id]).0;
        (!waves.is_empty()).then_some(Waves { start, waves })
    };
    STARTS.into_iter().filter_map(from).collect()
}

/// Checks the operations of all sources together.
pub fn check(compiled: &[Compiled], names: &Names, diagnostics: &Diagnostics) {
    fallbacks(compiled, diagnostics);
    reachable(compiled, names, diagnostics);
    for lookup in compiled {
        unverified(lookup, names, diagnostics);
    }
}

/// Which operations run from these names, and everything they put on the table.
fn closure<'a>(
    operations: impl IntoIterator<Item = &'a Operation>,
    names: &Names,
    starts: &[NameId],
) -> (Vec<Vec<OperationId>>, BTreeSet<NameId>) {
    // Request inputs may always be there, and so are the values of a connection.
    let given = names.iter().filter(|(_, name)| matches!(name.kind, Kind::Input | Kind::BuiltIn)).map(|(id, _)| id);
    let mut table: BTreeSet<NameId> = given.chain(starts.iter().copied()).collect();
    let operations: Vec<&Operation> = operations.into_iter().collect();
    let mut waiting: Vec<OperationId> = (0..).map(OperationId).take(operations.len()).collect();
    let mut waves: Vec<Vec<OperationId>> = Vec::new();
    let operation = |id: &OperationId| operations.get(usize::from(id.0)).copied();
    loop {
        let has_needs = |o: &Operation| o.needs.iter().all(|need| is_met(need, &table));
        // A fallback waits for what it falls back on, unless that cannot run itself.
        let may_start = |o: &Operation| {
            o.fallback_of.is_none_or(|before| {
                waves.iter().flatten().any(|ran| *ran == before) || !operation(&before).is_some_and(has_needs)
            })
        };
        let is_ready = |id: &OperationId| operation(id).is_some_and(|o| has_needs(o) && may_start(o));
        let (ready, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_ready);
        if ready.is_empty() {
            return (waves, table);
        }
        table.extend(ready.iter().filter_map(operation).flat_map(|o| o.provides.iter().copied()));
        waves.push(ready);
        waiting = rest;
    }
}

fn is_met(need: &Need, table: &BTreeSet<NameId>) -> bool {
    need.iter().any(|name| table.contains(name))
}

/// What no start reaches is told with the link that is missing.
fn reachable(compiled: &[Compiled], names: &Names, diagnostics: &Diagnostics) {
    let starts = STARTS.map(|(_, id)| id);
    let (waves, table) = closure(compiled.iter().map(|c| &c.operation), names, &starts);
    let ran: BTreeSet<OperationId> = waves.into_iter().flatten().collect();
    let unreached = (0..).map(OperationId).zip(compiled).filter(|(id, _)| !ran.contains(id));
    for (_, lookup) in unreached {
        let operation = &lookup.operation;
        for (need, origin) in operation.needs.iter().zip(&lookup.needs).filter(|(need, _)| !is_met(need, &table)) {
            let wanted: Vec<&str> = need.iter().map(|id| names.text(*id)).collect();
            let wanted = wanted.join(" | ");
            let providers: Vec<&str> = compiled
                .iter()
                .filter(|other| other.operation.provides.iter().any(|name| need.contains(name)))
                .map(|other| &*other.operation.name)
                .collect();
            let problem = format!("no caller can reach the lookup `{}`: nothing provides `{wanted}`", operation.name);
            let help = if providers.is_empty() {
                let provided = compiled.iter().flat_map(|other| &other.operation.provides).map(|id| names.text(*id));
                did_you_mean(&wanted, provided)
                    .or_else(|| Some("a lookup that starts from phone, email or customer_id must provide it".into()))
            } else {
                Some(format!("only `{}` would, and no caller can reach that either", providers.join("`, `")))
            };
            diagnostics.error_help("unreachable", *origin, problem, help);
        }
    }
}

fn fallbacks(compiled: &[Compiled], diagnostics: &Diagnostics) {
    for (id, lookup) in (0..).map(OperationId).zip(compiled) {
        let mut at = lookup.operation.fallback_of;
        for _ in 0..compiled.len() {
            let Some(next) = at else { break };
            if next == id {
                let problem = format!("`{}` is a fallback of itself, over others", lookup.operation.name);
                diagnostics.error("fallback-cycle", lookup.origin, problem);
                break;
            }
            at = compiled.get(usize::from(next.0)).and_then(|next| next.operation.fallback_of);
        }
    }
}

/// Vendors' searches return strangers. A lookup by number or e-mail must say what proves a hit; one
/// that starts from nothing of the person can tell nothing of the person.
fn unverified(lookup: &Compiled, names: &Names, diagnostics: &Diagnostics) {
    let by_person = [canonical("phone"), canonical("email")];
    let operation = &lookup.operation;
    let mut needs = operation.needs.iter().flatten();
    let searches = needs.clone().any(|name| by_person.contains(name))
        || needs.all(|name| matches!(names.name(*name).kind, Kind::Input | Kind::BuiltIn));
    if !searches || lookup.exact || operation.identifying() {
        return;
    }
    let is_evidence = |text: &str| text.starts_with("line.") || text == "shared_line" || text == "service.available";
    let of_person = |id: &&NameId| match names.name(**id).kind {
        Kind::Field(_) => !is_evidence(names.text(**id)),
        Kind::Own { .. } => true,
        Kind::Input | Kind::BuiltIn => false,
    };
    if let Some(field) = operation.provides.iter().find(of_person) {
        diagnostics.error_help(
            "unverified-search",
            lookup.origin,
            format!("`{}` gives `{}` of whoever the search returns", operation.name, names.text(*field)),
            "name the paths that prove a hit in `phones` or `emails`; `exact = true` if only exact matches come back"
                .to_owned(),
        );
    }
}
