//! Text to plan: any text is either a configuration, or problems with their places and pages. One that
//! says `manifest =` is the manifest of a vendor, any other is config.toml.

#![no_main]

use caller_context::config::{Layers, load};
use caller_context::manifest::diagnostic::{Diagnostic, Files, Severity, render};
use caller_context::manifest::pages::page;
use caller_context::manifest::plan::Plan;
use libfuzzer_sys::fuzz_target;

/// Has a source of the vendor whose manifest is read.
const USES: &str = "[phone]\ndefault_region = \"US\"\n[sources.crm]\nconnector = \"acme\"\nsecret = \"env:SET\"\n";
/// Stands for every secret and must not be shown.
const SECRET: &str = "canary-5e7";

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // `file:` is followed, and some files never end
    if text.len() > 16 * 1024 || text.contains("/dev") || text.contains("/proc") {
        return;
    }
    let is_manifest = text.lines().any(|line| line.starts_with("manifest "));
    let layers = if is_manifest { Layers::text(USES).with_manifest("acme", text) } else { Layers::text(text) };
    match load(&layers.with("SET", SECRET)) {
        Ok(loaded) => {
            problems(&loaded.warnings, &loaded.files);
            assert!(loaded.warnings.iter().all(|d| d.severity == Severity::Warning));
            sound(&loaded.config.plan);
        }
        Err(invalid) => {
            problems(&invalid.diagnostics, &invalid.files);
            assert!(invalid.diagnostics.iter().any(|d| d.severity == Severity::Error), "refused without a reason");
            let _ = invalid.to_string();
        }
    }
});

fn problems(diagnostics: &[Diagnostic], files: &Files) {
    for diagnostic in diagnostics {
        assert!(page(diagnostic.code).is_some(), "{} has no page", diagnostic.code);
        let origin = diagnostic.origin.expect("a place");
        let file = files.get(origin.file).expect("a file that was read");
        let (start, end) = (origin.start as usize, origin.end as usize);
        assert!(start <= end, "{}: {start}..{end}", diagnostic.code);
        assert!(end <= file.text.len().max(1), "{}: beyond the end", diagnostic.code);
        let at = |at: usize| at >= file.text.len() || file.text.is_char_boundary(at);
        assert!(at(start) && at(end), "{}: inside of a letter", diagnostic.code);
        let shown = render(diagnostic, files);
        assert!(shown.contains("-->") && shown.contains('^'), "no caret: {shown}");
        assert!(!shown.contains(SECRET));
    }
}

/// What the engine takes for granted of a plan.
fn sound(plan: &Plan) {
    for (id, operation) in plan.operations() {
        assert!(usize::from(operation.source.0) < plan.sources.len());
        assert!(!operation.needs.is_empty() && operation.needs.iter().all(|need| !need.is_empty()));
        let known = operation.inputs.iter().chain(&operation.provides).chain(operation.needs.iter().flatten());
        known.for_each(|name| assert!(usize::from(name.0) < plan.names.len()));
        let mut before = operation.fallback_of;
        for _ in 0..=plan.operations.len() {
            let Some(other) = before else { break };
            assert!(other != id, "a circle of fallbacks");
            before = plan.operations[usize::from(other.0)].fallback_of;
        }
        assert!(before.is_none());
    }
    for source in &plan.sources {
        assert!(source.limits.concurrency > 0 && !source.timeout.is_zero());
        assert!(source.secondary_of.is_none_or(|primary| usize::from(primary.0) < plan.sources.len()));
    }
}
