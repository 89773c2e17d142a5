//! What was made of the files: every setting with the place it comes from, and the compiled plan.
//! Values that may be secrets are only ever shown as references.

use std::fmt::Write as _;
use std::time::Duration;

use super::layering::Settings;
use super::load::{Loaded, Texts};
use crate::domain::NameId;
use crate::manifest::diagnostic::{Origin, veiled};
use crate::manifest::graph;
use crate::manifest::plan::{Operation, OperationId, Plan, Rate, Source};
use crate::manifest::tree::{Content, Entry, Node, Table, spoken};

impl Loaded {
    /// The configuration and the compiled plan, for people.
    pub fn explain(&self) -> String {
        let mut out = String::from("Settings\n");
        for entry in self.tree.entries.iter().filter(|entry| &*entry.key != "sources") {
            self.settings_of(&mut out, &entry.key, entry, 2);
        }
        let plan = &self.config.plan;
        for (source, settings) in plan.sources.iter().zip(&self.settings) {
            let _ = writeln!(out, "\nSource {}", source.name);
            self.source(&mut out, source, settings);
            let own = |operation: &Operation| plan.source(operation.source).name == source.name;
            for (_, operation) in plan.operations().filter(|(_, operation)| own(operation)) {
                lookup(&mut out, plan, operation);
            }
        }
        for waves in graph::waves(&plan.operations, &plan.names) {
            let _ = writeln!(out, "\nFrom {}", waves.start);
            for (number, wave) in (1..).zip(&waves.waves) {
                let names: Vec<String> = wave.iter().map(|id| full_name(plan, *id)).collect();
                let _ = writeln!(out, "  {number}. {}", names.join(", "));
            }
        }
        if !self.left_out.is_empty() {
            let _ = writeln!(out, "\nLeft out");
            for source in &self.left_out {
                let _ = writeln!(out, "  {}: {}", source.name, source.why);
            }
        }
        out
    }

    /// `path = value` and where it was written, for every leaf below an entry.
    fn settings_of(&self, out: &mut String, path: &str, entry: &Entry, indent: usize) {
        match entry.value.as_table() {
            Some(table) => {
                for below in &table.entries {
                    self.settings_of(out, &format!("{path}.{}", below.key), below, indent);
                }
            }
            None => self.line(out, indent, &veiled(&format!("{path} = {}", shown(&entry.value))), entry.value.origin),
        }
    }

    fn line(&self, out: &mut String, indent: usize, text: &str, origin: Origin) {
        let _ = writeln!(out, "{:indent$}{text:<56}  {}", "", self.place(origin));
    }

    fn place(&self, origin: Origin) -> String {
        if origin.file == Texts::REFERENCE { "default".into() } else { self.files.position(origin) }
    }

    fn source(&self, out: &mut String, source: &Source, settings: &Settings) {
        let kind = source.kind();
        if !source.connected {
            let _ = writeln!(out, "  not connected");
        }
        for entry in &settings.table.entries {
            self.settings_of(out, &entry.key, entry, 2);
        }
        // Lookups are shown as they were compiled; what is laid on a connector's, as it was written.
        let is_own = matches!(&*source.connector, "http" | "postgres" | "mysql" | "sqlite");
        for (number, layer) in settings.manifest.iter().enumerate() {
            let compiled = |entry: &&Entry| is_own && number == 0 && matches!(&*entry.key, "lookup" | "record");
            for entry in layer.entries.iter().filter(|entry| !compiled(entry)) {
                self.settings_of(out, &entry.key, entry, 2);
            }
        }
        let timeout = ["timeout", kind.as_str()];
        let inherited: [(&str, &[&str], Duration); 4] = [
            ("timeout", &["lookup", timeout[0], timeout[1]], source.timeout),
            ("fresh", &["cache", "fresh"], source.fresh),
            ("keep", &["cache", "keep"], source.keep),
            ("not_found", &["cache", "not_found"], source.not_found),
        ];
        for (key, path, value) in inherited {
            if settings.table.get(key).is_none()
                && let Some(node) = at(&self.tree, path)
            {
                let text = format!("{key} = \"{}\" by {}", spoken(value), path.join("."));
                self.line(out, 2, &text, node.origin);
            }
        }
        let limits = &source.limits;
        let _ = writeln!(out, "  at once {}{}", limits.concurrency, rates("; ", &limits.rate));
        for (name, bucket) in &limits.buckets {
            let _ = writeln!(out, "  bucket {name}{}", rates(" ", bucket));
        }
        if !limits.budget.is_empty() {
            let _ = writeln!(out, "  budget{}", rates(" ", &limits.budget));
        }
        if !limits.rate.is_empty() || !limits.budget.is_empty() {
            let _ = writeln!(out, "  reserve for live calls {}", limits.reserve);
        }
        for learn in &limits.learn {
            let _ = writeln!(out, "  learns {} of {}", learn.words().join(", "), spoken(learn.per));
        }
    }
}

fn lookup(out: &mut String, plan: &Plan, operation: &Operation) {
    let names = |ids: &[NameId]| ids.iter().map(|id| plan.names.text(*id)).collect::<Vec<_>>();
    let needs: Vec<String> = operation.needs.iter().map(|need| names(need).join(" | ")).collect();
    let _ = writeln!(out, "  lookup {}", operation.name);
    let _ = writeln!(out, "    needs {}", needs.join(", "));
    if let Some(before) = operation.fallback_of {
        let _ = writeln!(out, "    only when {} found nobody or did not run", full_name(plan, before));
    }
    let _ = writeln!(out, "    provides {}", names(&operation.provides).join(", "));
    let bucket = operation.bucket.as_ref().map(|name| format!(", bucket {name}")).unwrap_or_default();
    let proof = if operation.identifying() { ", says who it is" } else { "" };
    let cost = if operation.cost > 1 { format!(", costs {}", operation.cost) } else { String::new() };
    let at_once = operation.batch.as_ref().map(|batch| format!(", {} people at once", batch.max)).unwrap_or_default();
    let _ = writeln!(out, "    within {}{bucket}{cost}{proof}{at_once}", spoken(operation.timeout));
}

fn full_name(plan: &Plan, id: OperationId) -> String {
    let operation = plan.operations.get(usize::from(id.0));
    operation.map(|o| format!("{}.{}", plan.source(o.source).name, o.name)).unwrap_or_default()
}

fn at<'a>(table: &'a Table, path: &[&str]) -> Option<&'a Node> {
    let (first, rest) = path.split_first()?;
    let node = table.get(first)?;
    if rest.is_empty() { Some(node) } else { at(node.as_table()?, rest) }
}

fn rates(before: &str, rates: &[Rate]) -> String {
    if rates.is_empty() {
        return String::new();
    }
    let texts: Vec<String> = rates.iter().map(|rate| format!("{} per {}", rate.count, spoken(rate.per))).collect();
    format!("{before}{}", texts.join(", "))
}

fn shown(node: &Node) -> String {
    match &node.value {
        Content::Text(text) if text.contains('\n') => {
            format!("\"{}\"", text.split_whitespace().collect::<Vec<_>>().join(" "))
        }
        Content::Text(text) => format!("\"{text}\""),
        Content::Int(number) => number.to_string(),
        Content::Float(number) => number.to_string(),
        Content::Bool(value) => value.to_string(),
        Content::Date(text) => text.to_string(),
        Content::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        Content::Table(table) => {
            let members = table.entries.iter().map(|entry| format!("{} = {}", entry.key, shown(&entry.value)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
    }
}
