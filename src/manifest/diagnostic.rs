//! What is wrong with a configuration or manifest: a code, the place, what was expected and what
//! to try. All problems of a run are collected and printed together.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::sync::Arc;

/// A place in one of the files that were read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub struct Origin {
    pub file: u16,
    pub start: u32,
    pub end: u32,
}

/// The files that were read, in order of layers: built-in first, config.toml last.
#[derive(Debug, Default, Clone)]
pub struct Files {
    files: Vec<File>,
}

#[derive(Clone)]
pub struct File {
    /// As shown to people: a path, or `built-in hubspot.toml`.
    pub name: Arc<str>,
    pub text: Arc<str>,
}

/// Only the name: a text may hold what its author should have kept out of it.
impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("File").field(&self.name).finish()
    }
}

impl Files {
    /// Takes a file in; its number stands in every [`Origin`] of it.
    pub fn add(&mut self, name: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> u16 {
        self.files.push(File { name: name.into(), text: text.into() });
        u16::try_from(self.files.len() - 1).unwrap_or(u16::MAX)
    }

    /// The file of that number.
    pub fn get(&self, file: u16) -> Option<&File> {
        self.files.get(usize::from(file))
    }

    /// `name:line:column` of an origin; lines and columns count from 1.
    pub fn position(&self, origin: Origin) -> String {
        let Some(file) = self.get(origin.file) else { return "unknown file".into() };
        let (line, column) = line_and_column(&file.text, origin.start);
        format!("{}:{line}:{column}", file.name)
    }
}

fn line_and_column(text: &str, at: u32) -> (usize, usize) {
    let before = text.get(..(at as usize).min(text.len())).unwrap_or("");
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub enum Severity {
    Error,
    Warning,
}

/// One problem. The message never repeats a secret's value.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    pub severity: Severity,
    /// A word like `unknown-key`; each has a page in docs/diagnostics.
    pub code: &'static str,
    pub origin: Option<Origin>,
    /// What is wrong, naming the offender.
    pub message: String,
    /// What to try.
    pub help: Option<String>,
}

/// The problems found so far. Shared by reference while files are read.
#[derive(Debug, Default)]
pub struct Diagnostics {
    list: RefCell<Vec<Diagnostic>>,
}

impl Diagnostics {
    /// Adds an error.
    pub fn error(&self, code: &'static str, origin: Origin, message: impl Into<String>) {
        self.add(Severity::Error, code, Some(origin), message.into(), None);
    }

    /// Adds an error with what to try.
    pub fn error_help(
        &self,
        code: &'static str,
        origin: Origin,
        message: impl Into<String>,
        help: impl Into<Option<String>>,
    ) {
        self.add(Severity::Error, code, Some(origin), message.into(), help.into());
    }

    /// Adds a warning: the configuration works all the same.
    pub fn warning(
        &self,
        code: &'static str,
        origin: Origin,
        message: impl Into<String>,
        help: impl Into<Option<String>>,
    ) {
        self.add(Severity::Warning, code, Some(origin), message.into(), help.into());
    }

    /// Adds a problem, once: layers are read more than once.
    pub fn add(
        &self,
        severity: Severity,
        code: &'static str,
        origin: Option<Origin>,
        message: String,
        help: Option<String>,
    ) {
        let found = Diagnostic { severity, code, origin, message, help };
        let mut list = self.list.borrow_mut();
        if !list.contains(&found) {
            list.push(found);
        }
    }

    /// Whether anything was found that is more than a warning.
    pub fn has_errors(&self) -> bool {
        self.list.borrow().iter().any(|d| d.severity == Severity::Error)
    }

    /// All problems, in the order of files and lines.
    pub fn into_list(self) -> Vec<Diagnostic> {
        let mut list = self.list.into_inner();
        list.sort_by_key(|d| d.origin);
        list
    }
}

/// A diagnostic as people read it: place, message, the line with a caret, help.
pub fn render(diagnostic: &Diagnostic, files: &Files) -> String {
    let mut out = String::new();
    let word = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let _ = writeln!(out, "{word}[{}]: {}", diagnostic.code, diagnostic.message);
    if let Some(origin) = diagnostic.origin
        && let Some(file) = files.get(origin.file)
    {
        let (line_number, column) = line_and_column(&file.text, origin.start);
        let line = veiled(file.text.lines().nth(line_number - 1).unwrap_or(""));
        let room = line.chars().count().saturating_sub(column - 1).max(1);
        let width = (origin.end.saturating_sub(origin.start) as usize).clamp(1, room);
        let gutter = line_number.to_string();
        let pad = " ".repeat(gutter.len());
        let _ = writeln!(out, "{pad}--> {}:{line_number}:{column}", file.name);
        let _ = writeln!(out, "{pad} |\n{gutter} | {line}");
        let _ = writeln!(out, "{pad} | {}{}", " ".repeat(column - 1), "^".repeat(width));
        if let Some(help) = &diagnostic.help {
            let _ = writeln!(out, "{pad} = help: {help}");
        }
    } else if let Some(help) = &diagnostic.help {
        let _ = writeln!(out, "  = help: {help}");
    }
    out
}

/// The line with whatever may be a secret written out replaced by asterisks, letter by letter so
/// that the caret still fits: the values of members that sound like credentials (unless they are
/// references), and the user part of addresses.
pub(crate) fn veiled(line: &str) -> String {
    const CREDENTIALS: &[&str] = &["secret", "token", "passw", "authorization", "apikey", "credential", "key"];
    let mut out: Vec<char> = line.chars().collect();
    let folded: Vec<char> = out.iter().map(char::to_ascii_lowercase).collect();
    let mut veil = |from: usize, to: usize| {
        for letter in out.iter_mut().take(to).skip(from).filter(|c| c.is_alphanumeric() || "-_+/.".contains(**c)) {
            *letter = '*';
        }
    };
    for (at, _) in folded.iter().enumerate().filter(|(_, c)| **c == '=') {
        let before: String = folded.iter().take(at).collect();
        let key = before.trim_end().trim_end_matches(['"', '\'']);
        let key = key.rsplit([' ', ',', '{', '"', '\'']).next().unwrap_or("").replace(['_', '-'], "");
        let last = key.rsplit('.').next().unwrap_or("");
        if !CREDENTIALS.iter().any(|word| if *word == "key" { last == *word } else { key.contains(word) }) {
            continue;
        }
        let value: String = folded.iter().skip(at + 1).collect();
        let value = value.trim_start().trim_start_matches(['"', '\'']);
        if !(value.starts_with("env:") || value.starts_with("file:")) {
            veil(at + 1, folded.len());
        }
    }
    let text: String = folded.iter().collect();
    if let Some((scheme, rest)) = text.split_once("://")
        && let Some((user, _)) = rest.rsplit_once('@')
    {
        let start = scheme.chars().count() + 3;
        veil(start, start + user.chars().count());
    }
    out.into_iter().collect()
}

/// "did you mean `x`?", else all that is known.
pub fn suggest<'a>(word: &str, known: impl Iterator<Item = &'a str> + Clone) -> Option<String> {
    did_you_mean(word, known.clone()).or_else(|| Some(format!("known: {}", known.collect::<Vec<_>>().join(", "))))
}

/// "did you mean `x`?" for the nearest of `known`, if one is near enough to be a slip.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    known
        .into_iter()
        .map(|k| (strsim::damerau_levenshtein(word, k), k))
        .filter(|(distance, k)| *distance <= (k.len().max(word.len()) / 3).max(1))
        .min()
        .map(|(_, k)| format!("did you mean `{k}`?"))
}
