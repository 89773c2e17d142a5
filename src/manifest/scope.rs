//! What names mean while the operations of one source are compiled: the vocabulary, the source's
//! own names, its connection variables, and the tables that operations refer to.

use std::cell::RefCell;
use std::sync::Arc;

use smallvec::SmallVec;

use super::diagnostic::{Diagnostics, Files, Origin, did_you_mean};
use super::template::Maps;
use super::tree::Table;
use crate::domain::field::Kind;
use crate::domain::{NameId, Names, Type};

/// Names of which one must be there.
pub type Need = SmallVec<[NameId; 2]>;

/// One source's surroundings. Everything is merged already; defaults are filled in.
pub struct Scope<'a> {
    /// The source's name: `own.x` is interned as `<source>.x`.
    pub source: &'a str,
    /// The names of all sources.
    pub sources: &'a [Arc<str>],
    /// The file in which other sources may be named (`crm.contact_id`); a manifest must not.
    pub config_file: Option<u16>,
    /// Canonical fields, operators' fields and declared inputs are interned before.
    pub names: &'a RefCell<Names>,
    pub files: &'a Files,
    pub diagnostics: &'a Diagnostics,
    pub variables: &'a [Variable],
    pub maps: &'a Maps,
    /// `[table]`, by name.
    pub tables: Option<&'a Table>,
    /// What `{version}` stands for.
    pub version: Option<&'a str>,
    /// A template; references are resolved. Without one nothing that is sent can be compiled.
    pub base_url: Option<(&'a str, Origin)>,
    /// `[headers]`, sent with every request.
    pub headers: Option<&'a Table>,
    /// `[record]`, by name.
    pub records: Option<&'a Table>,
    /// `[error]`, by class.
    pub errors: Option<&'a Table>,
}

/// A variable of the connection. Its values are in `plan::Source::variables`.
#[derive(Debug, Clone)]
pub struct Variable {
    pub text: Arc<str>,
    pub id: NameId,
    /// It is required or has a default.
    pub always: bool,
}

impl Scope<'_> {
    /// A name as operations write it. `own.x` is made when new; anything else must be known.
    pub fn name(&self, text: &str, origin: Origin) -> Option<NameId> {
        if let Some(own) = text.strip_prefix("own.") {
            return Some(self.own(self.source, own));
        }
        if let Some(variable) = self.variable(text) {
            return Some(variable.id);
        }
        if let Some((source, rest)) = text.split_once('.')
            && self.sources.iter().any(|s| &**s == source)
        {
            if self.config_file == Some(origin.file) {
                return Some(self.own(source, rest));
            }
            self.diagnostics.error_help(
                "foreign-name",
                origin,
                format!("`{text}` belongs to the source `{source}`; a manifest names only its own ids"),
                Some(format!("write `own.{rest}`, or set this in config.toml")),
            );
            return None;
        }
        let names = self.names.borrow();
        let known = names.get(text).filter(|id| matches!(names.name(*id).kind, Kind::Field(_) | Kind::Input));
        if known.is_none() {
            let candidates = names
                .iter()
                .filter(|(_, name)| matches!(name.kind, Kind::Field(_) | Kind::Input))
                .map(|(_, name)| &*name.text)
                .chain(self.variables.iter().map(|v| &*v.text));
            self.diagnostics.error_help(
                "unknown-name",
                origin,
                format!("`{text}` is not a field, an input or a variable of this connection"),
                did_you_mean(text, candidates),
            );
        }
        known
    }

    /// `"a"` or `"a | b"`: the names of which one must be there.
    pub fn need(&self, text: &str, origin: Origin) -> Option<Need> {
        text.split('|').map(|name| self.name(name.trim(), origin)).collect()
    }

    /// The `[map.<name>]` of that name.
    pub fn map(&self, name: &str, origin: Origin) -> Option<Arc<str>> {
        let known = self.maps.maps.keys();
        if let Some(found) = known.clone().find(|known| &***known == name) {
            return Some(Arc::clone(found));
        }
        let help = did_you_mean(name, known.map(|known| &**known));
        self.diagnostics.error_help("unknown-name", origin, format!("there is no `[map.{name}]`"), help);
        None
    }

    /// The `[table.<name>]` of that name.
    pub fn table(&self, name: &str, origin: Origin) -> Option<Arc<str>> {
        let known = self.tables.map_or(&[][..], |tables| &tables.entries).iter().map(|entry| &entry.key);
        if let Some(found) = known.clone().find(|known| &***known == name) {
            return Some(Arc::clone(found));
        }
        let help = did_you_mean(name, known.map(|known| &**known));
        self.diagnostics.error_help("unknown-name", origin, format!("there is no `[table.{name}]`"), help);
        None
    }

    /// The variable of the connection that is called so.
    pub fn variable(&self, text: &str) -> Option<&Variable> {
        self.variables.iter().find(|v| &*v.text == text)
    }

    pub(super) fn own(&self, source: &str, name: &str) -> NameId {
        let text = format!("{source}.{name}");
        self.names.borrow_mut().intern(&text, Type::Any, Kind::Own { source: source.into() })
    }
}
