//! Views: what a reader may see of a context, and its rendering to bytes. Deny by default: a name
//! is shown when its class or itself is in the view, and never when it is unclassified, an id of
//! a source, evidence, or on the `never` list. Applied after the cache, on every read.

pub mod attributes;
pub mod compare;
pub mod json;
pub mod missing;
pub mod schema;
pub mod text;
mod widened;

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "JSON of our own making")]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use foldhash::HashMap;

use crate::config::{Mask, View};
use crate::domain::context::OperationReport;
use crate::domain::field::{Kind, folded, is_never};
use crate::domain::{Class, Context, LookupStatus, NameId, SourceId, SourceReport, SourceState, Trust, Value};
use crate::lookup::merge;
use crate::manifest::plan::{Operation, Plan};

pub use widened::Widened;

/// The view of readers whose own view is not configured; shows nothing unless it is configured.
pub const FALLBACK: &str = "basic";

/// All views of one configuration, compiled. A changed configuration makes another one.
#[derive(Debug)]
pub struct Policy {
    plan: Arc<Plan>,
    views: Vec<Compiled>,
    by_name: HashMap<Arc<str>, ViewId>,
    fallback: ViewId,
}

/// A view's place in its policy.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ViewId(u16);

#[derive(Debug)]
pub struct Compiled {
    pub name: Arc<str>,
    /// May use `explain`, forget people and read the audit log.
    pub admin: bool,
    whole: Lens,
    /// For calls whose origin is in doubt.
    public: Lens,
}

/// How much the call itself may show, whatever the reader's view.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ceiling {
    /// All that the view shows.
    Whole,
    /// Public fields only: the caller id may be forged.
    Public,
}

impl Ceiling {
    /// For a call that is trusted that far.
    pub fn of_call(trust: Trust) -> Self {
        match trust {
            Trust::Low => Self::Public,
            Trust::Normal | Trust::Attested => Self::Whole,
        }
    }
}

/// One view under one ceiling: what it shows of each name and source.
#[derive(Debug)]
pub struct Lens {
    names: Vec<Shown>,
    /// Sources that could contribute something that is shown.
    sources: Vec<bool>,
    /// Operations of these sources that could not.
    hidden: Vec<(SourceId, Arc<str>)>,
    never: Vec<Arc<str>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shown {
    Plain,
    Masked(Mask),
    Hidden(Hidden),
}

/// Why a name is not shown: a matter of the configuration alone, never of the person.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hidden {
    Role,
    Trust,
    Unclassified,
}

impl Hidden {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::Trust => "trust",
            Self::Unclassified => "unclassified",
        }
    }
}

/// An answer's bytes, and what they hold, by name, for the audit log.
#[derive(Debug, Clone)]
pub struct Rendered {
    pub bytes: Bytes,
    pub sources: Arc<[Arc<str>]>,
    pub fields: Arc<[Arc<str>]>,
    /// As the reader may see it.
    pub lookup_status: LookupStatus,
}

impl Rendered {
    fn of(context: &Context, lens: &Lens, plan: &Plan, used: &[(NameId, SourceId)]) -> Self {
        let fields: BTreeSet<NameId> = used.iter().map(|(name, _)| *name).collect();
        let fields = fields.into_iter().map(|name| plan.names.name(name).text.clone()).collect();
        let sources: BTreeSet<SourceId> = used.iter().map(|(_, source)| *source).collect();
        let sources = sources.into_iter().map(|id| plan.source(id).name.clone()).collect();
        Self { bytes: Bytes::new(), sources, fields, lookup_status: lens.status(context) }
    }

    /// What it weighs in a cache, in bytes, roughly.
    pub fn weight(&self) -> usize {
        self.bytes.len() + 16 * (self.sources.len() + self.fields.len()) + 500
    }
}

impl Policy {
    /// Compiles the configured views.
    pub fn new(plan: Arc<Plan>, configured: &BTreeMap<Arc<str>, View>) -> Self {
        let mut views: Vec<_> = configured.iter().map(|(name, view)| compile(name, view, &plan)).collect();
        if !configured.contains_key(FALLBACK) {
            views.push(compile(&FALLBACK.into(), &View::default(), &plan));
        }
        let by_name: HashMap<_, _> = (0..).map(ViewId).zip(&views).map(|(id, v)| (v.name.clone(), id)).collect();
        let fallback = by_name.get(FALLBACK).copied().unwrap_or(ViewId(0));
        Self { plan, views, by_name, fallback }
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The view of that name; `basic` for names that are not configured.
    pub fn find(&self, name: &str) -> ViewId {
        self.by_name.get(name).copied().unwrap_or(self.fallback)
    }

    #[expect(clippy::indexing_slicing, reason = "a ViewId is only made by its Policy")]
    pub fn view(&self, id: ViewId) -> &Compiled {
        &self.views[usize::from(id.0)]
    }

    pub fn lens(&self, id: ViewId, ceiling: Ceiling) -> &Lens {
        let view = self.view(id);
        match ceiling {
            Ceiling::Whole => &view.whole,
            Ceiling::Public => &view.public,
        }
    }
}

fn compile(name: &Arc<str>, view: &View, plan: &Plan) -> Compiled {
    let lens = |ceiling| {
        let mut names = vec![Shown::Hidden(Hidden::Unclassified); plan.names.len()];
        for (id, _) in plan.names.iter() {
            if let Some(name) = names.get_mut(usize::from(id.0)) {
                *name = shown(id, view, ceiling, plan);
            }
        }
        let visible = |id: &NameId| matches!(names.get(usize::from(id.0)), Some(Shown::Plain | Shown::Masked(_)));
        let operation = |o: &&Operation| view.admin || o.provides.iter().any(visible);
        let source = |id| {
            let given = plan.source(id).defaults.iter().any(|(name, _)| visible(name));
            given || plan.operations.iter().filter(|o| o.source == id).any(|o| operation(&o))
        };
        let sources: Vec<_> = plan.source_ids().map(source).collect();
        // Who the caller is shows in the match anyway.
        let hidden = plan.operations.iter().filter(|o| !operation(o) && !o.identifying());
        let hidden = hidden.map(|o| (o.source, o.name.clone())).collect();
        Lens { names, sources, hidden, never: plan.never.clone() }
    };
    Compiled { name: name.clone(), admin: view.admin, whole: lens(Ceiling::Whole), public: lens(Ceiling::Public) }
}

fn shown(id: NameId, view: &View, ceiling: Ceiling, plan: &Plan) -> Shown {
    let name = plan.names.name(id);
    let Kind::Field(class) = name.kind else { return Shown::Hidden(Hidden::Unclassified) };
    let deliverable = matches!(class, Class::Public | Class::Personal | Class::Financial | Class::Sensitive);
    if !deliverable || name.text.split('.').any(|part| never(part, &plan.never)) {
        return Shown::Hidden(Hidden::Unclassified);
    }
    let in_view = view.fields.contains(&id) || view.classes.contains(&class);
    if !in_view || view.hide.contains(&id) {
        return Shown::Hidden(Hidden::Role);
    }
    if ceiling == Ceiling::Public && class != Class::Public {
        return Shown::Hidden(Hidden::Trust);
    }
    match view.masks.iter().find(|(masked, _)| *masked == id) {
        Some((_, mask)) => Shown::Masked(*mask),
        None => Shown::Plain,
    }
}

/// The second line behind the sources, which drop these members before anything else sees them.
fn never(member: &str, configured: &[Arc<str>]) -> bool {
    is_never(member)
        || !configured.is_empty() && {
            let folded = folded(member);
            configured.iter().any(|n| **n == *folded)
        }
}

impl Lens {
    pub fn shown(&self, name: NameId) -> Shown {
        self.names.get(usize::from(name.0)).copied().unwrap_or(Shown::Hidden(Hidden::Unclassified))
    }

    pub fn sees(&self, name: NameId) -> bool {
        !matches!(self.shown(name), Shown::Hidden(_))
    }

    /// Whether the source could contribute anything that is shown.
    pub fn sees_source(&self, source: SourceId) -> bool {
        self.sources.get(usize::from(source.0)).copied().unwrap_or(false)
    }

    pub fn hides_sources(&self) -> bool {
        self.sources.contains(&false)
    }

    /// What is shown of a value under this name: nothing, itself, or what its mask leaves.
    pub fn value(&self, name: NameId, value: &Value) -> Option<Value> {
        let value = match self.shown(name) {
            Shown::Plain => value.clone(),
            Shown::Masked(mask) => text::masked(value, mask),
            Shown::Hidden(_) => return None,
        };
        let value = self.without_never(value);
        (!value.is_missing()).then_some(value)
    }

    fn holds_never(&self, value: &Value) -> bool {
        match value {
            Value::Record(members) => members.iter().any(|(member, _)| never(member, &self.never)),
            Value::List(list) => list.iter().any(|value| self.holds_never(value)),
            _ => false,
        }
    }

    fn without_never(&self, value: Value) -> Value {
        match value {
            Value::Record(members) if self.holds_never(&value) => {
                Value::Record(members.iter().filter(|(m, _)| !never(m, &self.never)).cloned().collect())
            }
            Value::List(list) if list.iter().any(|v| self.holds_never(v)) => {
                Value::List(list.iter().map(|v| self.without_never(v.clone())).collect())
            }
            other => other,
        }
    }

    /// The reports a reader may see: what an operation did that provides nothing visible does not
    /// show in its source's state.
    pub fn reports<'a>(&self, context: &'a Context) -> Vec<Cow<'a, SourceReport>> {
        let seen = context.sources.iter().filter(|r| self.sees_source(r.source));
        seen.map(|report| {
            let shown = |o: &&OperationReport| !self.hidden.iter().any(|(s, n)| *s == report.source && *n == o.name);
            if report.operations.iter().all(|o| shown(&o)) {
                return Cow::Borrowed(report);
            }
            let operations: Vec<_> = report.operations.iter().filter(shown).cloned().collect();
            let states: Vec<_> = operations.iter().map(|o| o.state.clone()).collect();
            let state = merge::summary(&states).unwrap_or(SourceState::NotFound);
            Cow::Owned(SourceReport { state, operations, ..report.clone() })
        })
        .collect()
    }

    /// The lookup status as far as the visible sources go: a hidden one must not show by it.
    pub fn status(&self, context: &Context) -> LookupStatus {
        let hides = self.hides_sources() || !self.hidden.is_empty();
        if !hides || context.status == LookupStatus::None {
            return context.status;
        }
        let reports: Vec<_> = self.reports(context).into_iter().map(Cow::into_owned).collect();
        merge::status(&reports)
    }
}
