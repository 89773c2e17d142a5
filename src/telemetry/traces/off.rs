//! Traces of a build without the feature `otlp`: nothing, at no cost.

use http::HeaderMap;

use super::Error;

/// Nothing is traced.
pub struct Traces;

/// Nobody's trace.
#[derive(Debug, Clone, Default)]
pub struct Parent(());

#[derive(Debug, Clone, Default)]
pub struct AssemblySpan(());

#[derive(Debug)]
pub struct CallSpan;

impl Traces {
    /// Warns when traces were asked for that this build cannot make.
    ///
    /// # Errors
    /// None in this build.
    pub fn from_environment() -> Result<Self, Error> {
        if super::endpoint(super::variable).is_some() {
            tracing::warn!("OTEL_EXPORTER_OTLP_ENDPOINT is set, but this is a build without the feature `otlp`");
        }
        Ok(Self)
    }

    /// There is nothing to send.
    pub async fn flush(self) {}
}

impl Parent {
    pub fn of(_: &HeaderMap) -> Self {
        Self(())
    }
}

impl AssemblySpan {
    pub fn begin(_: &super::Origin, _: &str, _: impl FnOnce() -> String) -> Self {
        Self(())
    }

    pub fn call(&self, _: &str, _: &str, _: &'static str) -> CallSpan {
        CallSpan
    }

    pub fn end(&self, _: &'static str, _: &'static str) {}
}

impl CallSpan {
    pub fn end(&mut self, _: &'static str, _: Option<&'static str>, _: u8) {}
}
