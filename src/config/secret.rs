//! Values by reference: `env:NAME` and `file:path`. A secret may only be given so; other values may.
//! The environment is handed in, never read here.

use std::collections::BTreeMap;
use std::path::Path;

use secrecy::SecretString;

use super::made_from::Reading;
use crate::manifest::diagnostic::{Diagnostics, Origin};
use crate::manifest::tree::{Node, wrong_type};

/// Looks references up.
#[derive(Clone, Copy)]
pub(super) struct References<'a> {
    pub environment: &'a BTreeMap<String, String>,
    /// Where relative paths start.
    pub folder: &'a Path,
    pub reading: &'a Reading,
    pub diagnostics: &'a Diagnostics,
}

/// What a value by reference came to.
pub(super) enum Resolved<T> {
    Given(T),
    /// The variable or file is not there; says which.
    Unset(String),
    /// Reported.
    Wrong,
}

impl<T> Resolved<T> {
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Resolved<U> {
        match self {
            Self::Given(value) => Resolved::Given(f(value)),
            Self::Unset(name) => Resolved::Unset(name),
            Self::Wrong => Resolved::Wrong,
        }
    }
}

impl References<'_> {
    /// A secret; written out instead of named it is refused.
    pub fn secret(&self, node: &Node) -> Resolved<SecretString> {
        if let Some(text) = node.as_text()
            && !is_reference(text)
        {
            self.diagnostics.error_help(
                "secret-by-value",
                node.origin,
                "a secret is written out here",
                "name it instead: \"env:NAME\" for an environment variable, \"file:path\" for a file".to_owned(),
            );
            return Resolved::Wrong;
        }
        self.text(node).map(SecretString::from)
    }

    /// A text, as written or by reference.
    pub fn text(&self, node: &Node) -> Resolved<String> {
        let Some(text) = node.as_text() else {
            wrong_type(self.diagnostics, node, "a text");
            return Resolved::Wrong;
        };
        if let Some(name) = text.strip_prefix("env:") {
            return match self.environment.get(name.trim()).map(|value| value.trim()) {
                Some(value) if !value.is_empty() => Resolved::Given(value.to_owned()),
                _ => Resolved::Unset(format!("the environment variable {}", name.trim())),
            };
        }
        if let Some(path) = text.strip_prefix("file:") {
            return self.file(path.trim(), node.origin);
        }
        Resolved::Given(text.to_owned())
    }

    fn file(&self, path: &str, origin: Origin) -> Resolved<String> {
        let path = self.folder.join(path);
        let text = std::fs::read_to_string(&path);
        self.reading.borrow_mut().add_file(&path, text.as_deref().ok());
        if writable_by_others(&path) {
            refuse_writable(self.diagnostics, origin, &path);
            return Resolved::Wrong;
        }
        match text {
            Ok(text) if !text.trim().is_empty() => Resolved::Given(text.trim().to_owned()),
            _ => Resolved::Unset(format!("the file {}", path.display())),
        }
    }
}

pub(super) fn is_reference(text: &str) -> bool {
    text.starts_with("env:") || text.starts_with("file:")
}

/// The variable that an `env:` reference names.
pub(super) fn variable(text: &str) -> Option<&str> {
    text.strip_prefix("env:").map(str::trim)
}

/// Whoever may write a configuration decides where credentials go, so nobody else may.
pub(super) fn writable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o002 != 0)
}

pub(super) fn refuse_writable(diagnostics: &Diagnostics, origin: Origin, path: &Path) {
    diagnostics.error_help(
        "writable-by-others",
        origin,
        format!("{} can be written by every user of this machine", path.display()),
        format!("chmod o-w {}", path.display()),
    );
}
