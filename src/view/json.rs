//! A context as an agent's desktop reads it: fields as nested objects, a status and reason per
//! source, and for `explain` where every value came from.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::attributes::time;
use super::missing::reason;
use super::{Lens, Rendered, Shown};
use crate::domain::context::{Candidate, Field, OperationReport};
use crate::domain::field::Kind;
use crate::domain::{Context, NameId, SourceId, SourceReport, SourceState, Value};
use crate::lookup::CacheState;
use crate::manifest::plan::Plan;

/// What `explain` adds to an answer.
#[derive(Clone, Copy, Debug)]
pub struct Explain {
    pub now: Timestamp,
    pub cache: CacheState,
}

/// The context as JSON through a lens.
pub fn render(
    context: &Context,
    lens: &Lens,
    plan: &Plan,
    identity_status: &'static str,
    explain: Option<Explain>,
) -> Rendered {
    let page = Page { context, lens, plan, identity_status, explain };
    let bytes = serde_json::to_vec(&page).unwrap_or_default().into();
    let fields = context.fields.iter().filter(|f| page.value(f).is_some()).map(|f| (f.name, f.source));
    let candidates = context.candidates.iter().flat_map(|c| c.values.iter().map(|(name, _)| (*name, c.source)));
    let used: Vec<_> = fields.chain(candidates.filter(|(name, _)| lens.sees(*name))).collect();
    Rendered { bytes, ..Rendered::of(context, lens, plan, &used) }
}

struct Page<'a> {
    context: &'a Context,
    lens: &'a Lens,
    plan: &'a Plan,
    identity_status: &'static str,
    explain: Option<Explain>,
}

impl Page<'_> {
    fn value(&self, field: &Field) -> Option<Value> {
        self.lens.value(field.name, &field.value)
    }

    fn source_name(&self, id: SourceId) -> &str {
        &self.plan.source(id).name
    }

    fn fields(&self) -> Tree<'_> {
        let values = self.context.fields.iter().filter_map(|f| Some((f.name, self.value(f)?)));
        Tree::of(values.map(|(name, value)| (self.plan.names.text(name), value)))
    }

    /// Visible names that some source could have given and none did, with the reason.
    fn missing(&self) -> Vec<(&str, String)> {
        let provided: BTreeSet<NameId> = self.plan.operations.iter().flat_map(|o| o.provides.iter().copied()).collect();
        let absent = provided.into_iter().filter(|name| {
            let there = self.context.field(*name).is_some_and(|f| self.value(f).is_some());
            self.lens.sees(*name) && !there
        });
        absent
            .map(|name| {
                let why = reason(name, self.lens, self.context, self.plan);
                (self.plan.names.text(name), why.into_owned())
            })
            .collect()
    }
}

impl Serialize for Page<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let context = self.context;
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("identity", &Pairs(&[("status", self.identity_status)]))?;
        map.serialize_entry("lookup_status", self.lens.status(context).as_str())?;
        map.serialize_entry("lookup_timestamp", &time(context.assembled_at))?;
        map.serialize_entry("match", context.verdict.as_str())?;
        let candidates: Vec<_> = context.candidates.iter().map(|c| self.candidate(c)).collect();
        map.serialize_entry("candidates", &candidates)?;
        map.serialize_entry("fields", &self.fields())?;
        map.serialize_entry("missing", &Object(self.missing()))?;
        map.serialize_entry("sources", &Sources(self))?;
        if let Some(explain) = self.explain {
            map.serialize_entry("cache", explain.cache.as_str())?;
            map.serialize_entry("provenance", &Object(self.provenance(explain.now)))?;
            map.serialize_entry("unclassified", &self.unclassified())?;
        }
        map.end()
    }
}

impl Page<'_> {
    fn candidate(&self, candidate: &Candidate) -> Tree<'_> {
        let source = self
            .lens
            .sees_source(candidate.source)
            .then(|| ("source", Value::text(self.source_name(candidate.source))));
        let values = candidate.values.iter().filter_map(|(name, value)| {
            let value = self.lens.value(*name, value)?;
            Some((self.plan.names.text(*name), value))
        });
        Tree::of(source.into_iter().chain(values))
    }

    fn provenance(&self, now: Timestamp) -> Vec<(&str, Provenance<'_>)> {
        let visible = self.context.fields.iter().filter(|f| self.value(f).is_some());
        visible.map(|field| (self.plan.names.text(field.name), Provenance { page: self, field, now })).collect()
    }

    /// Names of what is in the context and delivered to nobody; never their values.
    fn unclassified(&self) -> Vec<&str> {
        let hidden = |f: &&Field| matches!(self.lens.shown(f.name), Shown::Hidden(super::Hidden::Unclassified));
        let field = |f: &&Field| matches!(self.plan.names.name(f.name).kind, Kind::Field(_));
        let names = self.context.fields.iter().filter(hidden).filter(field);
        names.map(|f| self.plan.names.text(f.name)).collect()
    }
}

struct Provenance<'a> {
    page: &'a Page<'a>,
    field: &'a Field,
    now: Timestamp,
}

impl Serialize for Provenance<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let (page, field) = (self.page, self.field);
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("source", page.source_name(field.source))?;
        map.serialize_entry("read_at", &time(field.read_at))?;
        map.serialize_entry("age_ms", &self.now.duration_since(field.read_at).as_millis().max(0))?;
        if field.default {
            map.serialize_entry("default", &true)?;
        }
        let conflicts: Vec<_> = field
            .conflicts
            .iter()
            .filter_map(|(source, value)| {
                let value = page.lens.value(field.name, value)?;
                Some(Object(vec![("source", Value::text(page.source_name(*source))), ("value", value)]))
            })
            .collect();
        if !conflicts.is_empty() {
            map.serialize_entry("conflicts", &conflicts)?;
        }
        map.end()
    }
}

/// A status and reason per source. What the view cannot see is one `withheld`, whatever it did,
/// and whether or not it did anything.
struct Sources<'a>(&'a Page<'a>);

impl Serialize for Sources<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let page = self.0;
        let mut map = s.serialize_map(None)?;
        for report in page.lens.reports(page.context) {
            let report = Report { report: &report, explain: page.explain.is_some() };
            map.serialize_entry(page.source_name(report.report.source), &report)?;
        }
        if page.lens.hides_sources() {
            map.serialize_entry("withheld", &Pairs(&[("status", "withheld")]))?;
        }
        map.end()
    }
}

struct Report<'a> {
    report: &'a SourceReport,
    explain: bool,
}

impl Serialize for Report<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let report = self.report;
        let mut map = s.serialize_map(None)?;
        state(&mut map, &report.state)?;
        if report.stale {
            map.serialize_entry("stale", &true)?;
        }
        if self.explain {
            if let Some(read_at) = report.read_at {
                map.serialize_entry("read_at", &time(read_at))?;
            }
            if let Some(took) = report.took {
                map.serialize_entry("took_ms", &milliseconds(took))?;
            }
            let operations: Vec<_> = report.operations.iter().map(Operation).collect();
            map.serialize_entry("operations", &operations)?;
        }
        map.end()
    }
}

struct Operation<'a>(&'a OperationReport);

impl Serialize for Operation<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("name", &self.0.name)?;
        state(&mut map, &self.0.state)?;
        if let Some(started) = self.0.started {
            map.serialize_entry("started_ms", &milliseconds(started))?;
        }
        if let Some(took) = self.0.took {
            map.serialize_entry("took_ms", &milliseconds(took))?;
        }
        map.end()
    }
}

fn state<M: SerializeMap>(map: &mut M, state: &SourceState) -> Result<(), M::Error> {
    map.serialize_entry("status", state.status())?;
    match state.reason() {
        Some(reason) => map.serialize_entry("reason", &reason),
        None => Ok(()),
    }
}

fn milliseconds(duration: std::time::Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

struct Pairs<'a>(&'a [(&'a str, &'a str)]);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.0.iter().copied())
    }
}

struct Object<'a, V>(Vec<(&'a str, V)>);

impl<V: Serialize> Serialize for Object<'_, V> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// Values under dotted names, as objects in objects.
#[derive(Default)]
struct Tree<'a> {
    children: Vec<(&'a str, Node<'a>)>,
}

enum Node<'a> {
    Leaf(Value),
    Branch(Tree<'a>),
}

impl<'a> Tree<'a> {
    fn of(values: impl Iterator<Item = (&'a str, Value)>) -> Self {
        let mut tree = Self::default();
        for (name, value) in values {
            tree.insert(name, value);
        }
        tree
    }

    /// A name that runs through another's value (`x` and `x.y`) stays as it is, dots and all.
    fn insert(&mut self, name: &'a str, value: Value) {
        let Some((head, rest)) = name.split_once('.') else {
            self.children.push((name, Node::Leaf(value)));
            return;
        };
        match self.children.iter_mut().find(|(child, _)| *child == head) {
            Some((_, Node::Branch(branch))) => branch.insert(rest, value),
            Some((_, Node::Leaf(_))) => self.children.push((name, Node::Leaf(value))),
            None => {
                let mut branch = Tree::default();
                branch.insert(rest, value);
                self.children.push((head, Node::Branch(branch)));
            }
        }
    }
}

impl Serialize for Tree<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.children.iter().map(|(name, node)| (name, node)))
    }
}

impl Serialize for Node<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Leaf(value) => value.serialize(s),
            Self::Branch(tree) => tree.serialize(s),
        }
    }
}
