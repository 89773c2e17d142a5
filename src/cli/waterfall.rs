//! A context for people at a terminal: what is known, who said so, and a waterfall of who was
//! asked when. For operators at their own machine: values are shown.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::context::OperationReport;
use crate::domain::{Context, SourceState, Value};
use crate::manifest::plan::Plan;

/// Columns of the bars.
const WIDTH: usize = 40;

/// The whole page.
pub fn page(context: &Context, plan: &Plan, now: Timestamp) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "lookup_status {}    match {}", context.status.as_str(), context.verdict.as_str());
    out.push('\n');
    fields(&mut out, context, plan, now);
    candidates(&mut out, context, plan);
    waterfall(&mut out, context, plan);
    out
}

fn fields(out: &mut String, context: &Context, plan: &Plan, now: Timestamp) {
    let width = context.fields.iter().map(|f| plan.names.text(f.name).len()).max().unwrap_or(0);
    if context.fields.is_empty() {
        out.push_str("nothing is known of this caller\n");
    }
    for field in &context.fields {
        let source = &plan.source(field.source).name;
        let origin = if field.default {
            format!("{source}, configured default")
        } else {
            format!("{source}, {}", age(field.read_at, now))
        };
        let _ = writeln!(out, "{:width$}  {}  ({origin})", plan.names.text(field.name), shown(&field.value));
        for (other, value) in &field.conflicts {
            let _ = writeln!(out, "{:width$}  but {} says {}", "", plan.source(*other).name, shown(value));
        }
    }
    out.push('\n');
}

fn candidates(out: &mut String, context: &Context, plan: &Plan) {
    if context.candidates.is_empty() {
        return;
    }
    out.push_str("several people fit; none is greeted by name:\n");
    for candidate in &context.candidates {
        let values: Vec<_> = candidate
            .values
            .iter()
            .filter(|(name, _)| matches!(plan.names.text(*name), "name" | "company.name" | "email" | "title"))
            .map(|(_, value)| shown(value))
            .collect();
        let _ = writeln!(out, "  {}  ({})", values.join(", "), plan.source(candidate.source).name);
    }
    out.push('\n');
}

fn waterfall(out: &mut String, context: &Context, plan: &Plan) {
    let end = |o: &OperationReport| o.started.zip(o.took).map(|(started, took)| started + took);
    let operations = || context.sources.iter().flat_map(|s| s.operations.iter().map(move |o| (s.source, o)));
    let total = operations().filter_map(|(_, o)| end(o)).max().unwrap_or(Duration::ZERO).max(Duration::from_micros(1));
    let label = |source, o: &OperationReport| format!("{}.{}", plan.source(source).name, o.name);
    let width = operations().map(|(source, o)| label(source, o).len()).max().unwrap_or(0);
    for (source, operation) in operations() {
        let column = |at: Duration| (at.as_secs_f64() / total.as_secs_f64() * WIDTH as f64) as usize;
        let bar = match operation.started.zip(operation.took) {
            Some((started, took)) => {
                let from = column(started).min(WIDTH - 1);
                let to = column(started + took).clamp(from + 1, WIDTH);
                format!("{}{}{}", " ".repeat(from), "█".repeat(to - from), " ".repeat(WIDTH - to))
            }
            None => " ".repeat(WIDTH),
        };
        let took = operation.took.map(|took| format!("{:.1} ms", took.as_secs_f64() * 1_000.0)).unwrap_or_default();
        let _ = writeln!(out, "{:width$}  |{bar}| {took:>10}  {}", label(source, operation), state(&operation.state));
    }
}

fn state(state: &SourceState) -> String {
    match state.reason() {
        Some(reason) => format!("{} ({reason})", state.status()),
        None => state.status().to_owned(),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::List(entries) => format!("[{}]", entries.iter().map(shown).collect::<Vec<_>>().join(", ")),
        Value::Record(members) => {
            let members: Vec<_> = members.iter().filter(|(n, _)| &**n != "id").map(|(_, v)| shown(v)).collect();
            format!("{{{}}}", members.join(", "))
        }
        other => {
            let text = other.to_text().unwrap_or_default();
            text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(120).collect()
        }
    }
}

fn age(read_at: Timestamp, now: Timestamp) -> String {
    match now.duration_since(read_at).as_secs() {
        ..=1 => "just now".into(),
        seconds @ 2..120 => format!("{seconds} s ago"),
        seconds => format!("{} min ago", seconds / 60),
    }
}
