//! Traces: what happened behind one answer, for a collector that speaks OTLP. One span for each
//! assembly, one below it for each call of a source. Spans hold what is named here and nothing else:
//! configured names, words of `domain::outcome`, and the keyed reference to the caller; no number, no
//! address, no value, no URL. That is why spans are made here by hand and not of whatever any crate
//! logs.
//!
//! Without the feature `otlp` everything here is empty. Answers from the cache never come here.

#[cfg(feature = "otlp")]
mod otlp;
#[cfg(feature = "otlp")]
pub use otlp::{AssemblySpan, CallSpan, Parent, Traces};

#[cfg(not(feature = "otlp"))]
mod off;
#[cfg(not(feature = "otlp"))]
pub use off::{AssemblySpan, CallSpan, Parent, Traces};

/// Why an assembly runs.
pub enum Origin {
    /// Somebody waits for it, maybe within a trace of their own.
    Miss(Parent),
    /// It renews what was answered from the cache.
    Refresh,
}

/// Traces were asked for and cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the variables OTEL_EXPORTER_OTLP_... cannot be used: {0}")]
    Settings(String),
    #[error("the client for the collector cannot be made")]
    Client(#[from] reqwest::Error),
}

/// Where the environment says that traces go, unless it says that none are wanted.
fn endpoint(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let off = variable("OTEL_SDK_DISABLED").is_some_and(|text| text.trim().eq_ignore_ascii_case("true"))
        || variable("OTEL_TRACES_EXPORTER").is_some_and(|text| text.trim() == "none");
    let named = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    let endpoint = named.into_iter().find_map(|name| variable(name).filter(|text| !text.trim().is_empty()));
    endpoint.filter(|_| !off)
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_are_on_when_an_endpoint_is_named_and_nothing_says_no() {
        let of = |set: &[(&str, &str)]| {
            let set: Vec<_> = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            endpoint(|name| set.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()))
        };
        let (all, traces) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[(all, " ")]), None);
        assert_eq!(of(&[(all, "http://a")]).as_deref(), Some("http://a"));
        assert_eq!(of(&[(all, "http://a"), (traces, "http://b")]).as_deref(), Some("http://b"));
        assert_eq!(of(&[(all, "http://a"), ("OTEL_SDK_DISABLED", "True")]), None);
        assert_eq!(of(&[(all, "http://a"), ("OTEL_TRACES_EXPORTER", "none")]), None);
    }
}
