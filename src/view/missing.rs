//! Why a name has no value: one word, the same for every person in the same situation.

use std::borrow::Cow;

use super::{Lens, Shown};
use crate::domain::{Context, Match, NameId, Skip, SourceState};
use crate::manifest::plan::{Operation, Plan};

/// The reason a name is absent from what the lens shows of a context: `role`, `trust` or
/// `unclassified` by configuration, else the most telling end among the operations that could
/// have provided it; `not_connected` when none could.
pub fn reason(name: NameId, lens: &Lens, context: &Context, plan: &Plan) -> Cow<'static, str> {
    if let Shown::Hidden(hidden) = lens.shown(name) {
        return hidden.as_str().into();
    }
    let providers = plan.operations.iter().filter(|o| o.provides.contains(&name));
    let worst = providers.filter_map(|o| state(o, context)).max_by_key(|s| weight(s));
    let uncertain = matches!(context.verdict, Match::Ambiguous | Match::SharedLine);
    match worst {
        None => "not_connected".into(),
        Some(state) if weight(state) < LACKS && uncertain => "ambiguous".into(),
        Some(SourceState::Found | SourceState::NotFound) => "not_found".into(),
        Some(SourceState::Pending) => "pending".into(),
        Some(state) => state.reason().unwrap_or_default().into(),
    }
}

/// How the operation ended, or its source where the operation has no report of its own.
fn state<'a>(operation: &Operation, context: &'a Context) -> Option<&'a SourceState> {
    let report = context.sources.iter().find(|r| r.source == operation.source)?;
    let own = report.operations.iter().find(|o| o.name == operation.name);
    Some(own.map_or(&report.state, |o| &o.state))
}

/// From here on a source lacks that should have answered; below it the person does.
const LACKS: u8 = 3;

/// An operation without its inputs tells less than one that asked and found nothing.
fn weight(state: &SourceState) -> u8 {
    match state {
        SourceState::Pending => 5,
        SourceState::Failed(_) => 4,
        SourceState::Skipped(Skip::Needs(_) | Skip::Ambiguous | Skip::Withheld) => 0,
        SourceState::Skipped(_) => LACKS,
        SourceState::NotFound => 2,
        SourceState::Found => 1,
    }
}
