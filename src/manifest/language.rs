//! Query languages: a value becomes one complete, escaped literal, quotes included. A language is
//! a row here with vectors below; nothing else in the gateway writes a quote.

use std::fmt::Write as _;

use super::diagnostic::Origin;
use super::hole::{Context, Piece, Template};
use super::template::Env;
use crate::domain::{Skip, Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    /// Of Salesforce.
    Soql,
}

const WORDS: &[(&str, Language)] = &[("soql", Language::Soql)];

/// A text in a query language.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Query {
    pub language: Language,
    pub template: Template,
}

impl Language {
    pub fn parse(word: &str) -> Option<Self> {
        WORDS.iter().find(|(known, _)| *known == word).map(|(_, language)| *language)
    }

    pub fn words() -> impl Iterator<Item = &'static str> + Clone {
        WORDS.iter().map(|(word, _)| *word)
    }

    /// Appends a value as a literal; a list as literals with commas.
    fn literal(self, value: &Value, out: &mut String) -> Result<(), Skip> {
        match value {
            Value::Int(number) => write!(out, "{number}").map_err(|_| Skip::Invalid),
            Value::Decimal(number) => write!(out, "{number}").map_err(|_| Skip::Invalid),
            Value::Bool(value) => write!(out, "{value}").map_err(|_| Skip::Invalid),
            Value::Date(date) => write!(out, "{date}").map_err(|_| Skip::Invalid),
            Value::Time(time) => write!(out, "{time}").map_err(|_| Skip::Invalid),
            Value::List(list) => {
                for (at, item) in list.iter().enumerate() {
                    if matches!(item, Value::List(_)) {
                        return Err(Skip::Invalid);
                    }
                    out.push_str(if at == 0 { "" } else { "," });
                    self.literal(item, out)?;
                }
                Ok(())
            }
            Value::Record(_) => Err(Skip::Invalid),
            Value::Text(text) | Value::Url(text) => quoted(text, out),
            Value::Phone(phone) => quoted(phone.e164(), out),
            Value::Email(email) => quoted(email.as_str(), out),
        }
    }
}

fn quoted(text: &str, out: &mut String) -> Result<(), Skip> {
    out.push('\'');
    for c in text.chars() {
        match c {
            '\\' | '\'' => out.extend(['\\', c]),
            c if c.is_control() => return Err(Skip::Invalid),
            c => out.push(c),
        }
    }
    out.push('\'');
    Ok(())
}

impl Query {
    pub fn compile(language: Language, text: &str, origin: Origin, cx: &Context<'_>) -> Option<Self> {
        let mut template = Template::compile(text, origin, cx)?;
        let mut sound = true;
        let quotes = ['\'', '"'];
        for at in 0..template.pieces.len() {
            let Some(Piece::Hole(hole)) = template.pieces.get(at) else { continue };
            let text_at = |at: usize| match template.pieces.get(at) {
                Some(Piece::Text(text)) => &**text,
                _ => "",
            };
            let before = at.checked_sub(1).map_or("", text_at);
            if before.ends_with(quotes) || text_at(at + 1).starts_with(quotes) {
                let help = "take the quotes away: the hole becomes a complete literal";
                cx.error("quoted-hole", hole.origin, "this hole stands in quotes of its own", help);
                sound = false;
            }
            sound &= hole.check_time(cx);
        }
        // names of members are no values: they stand bare, and only plain ones do
        for piece in &mut template.pieces {
            let Piece::Hole(hole) = piece else { continue };
            let Some(Value::List(names)) = hole.select() else { continue };
            let names: Vec<_> = names.iter().filter_map(Value::to_text).collect();
            let plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'));
            if let Some(odd) = names.iter().find(|name| !plain(name)) {
                cx.error("hole-syntax", hole.origin, format!("`{odd}` cannot be asked for in this language"), "");
                sound = false;
            }
            *piece = Piece::Text(names.join(", ").into());
        }
        fold(&mut template);
        sound.then_some(Self { language, template })
    }

    /// Appends the text. `false`: an optional value is missing.
    pub fn render(&self, env: &Env<'_>, out: &mut String) -> Result<bool, Skip> {
        self.template.fill(env, out, &|hole, value, out| match value {
            value if !hole.is_phone() => self.language.literal(value, out),
            // a country's own way to write a number may hold signs that mean something here
            Value::List(spellings) => {
                let plain = spellings.iter().filter(|s| s.to_text().is_some_and(|s| is_plain_phone(&s))).cloned();
                let plain = Value::List(plain.collect());
                if plain.is_missing() { Err(Skip::Invalid) } else { self.language.literal(&plain, out) }
            }
            Value::Email(_) => self.language.literal(value, out),
            value => match value.to_text() {
                Some(text) if is_plain_phone(&text) => self.language.literal(value, out),
                _ => Err(Skip::Invalid),
            },
        })
    }
}

fn is_plain_phone(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_digit() || matches!(c, '+' | '(' | ')' | '-' | ' '))
}

/// White space of the author becomes one blank, outside of quotes.
fn fold(template: &mut Template) {
    let mut quoted = false;
    let mut blank = true;
    for piece in &mut template.pieces {
        let Piece::Text(text) = piece else {
            blank = false;
            continue;
        };
        let mut folded = String::with_capacity(text.len());
        for c in text.chars() {
            quoted ^= c == '\'';
            if c.is_whitespace() && !quoted {
                folded.push_str(if blank { "" } else { " " });
                blank = true;
            } else {
                folded.push(c);
                blank = false;
            }
        }
        *text = folded.into();
    }
    if let Some(Piece::Text(last)) = template.pieces.last_mut() {
        *last = last.trim_end().into();
    }
}

/// A text with holes that reads like a query and is not declared as one.
pub(super) fn check_undeclared(key: &str, text: &str, template: &Template, cx: &Context<'_>) -> bool {
    let looks = text.contains("SELECT ") || text.contains("$filter") || matches!(key, "$filter" | "sysparm_query");
    match template.holes().next() {
        Some(hole) if looks => {
            let help = "declare its language: `{ soql = \"…\" }`; then values become literals";
            cx.error("undeclared-language", hole.origin, "this hole stands in the text of a query language", help);
            false
        }
        _ => true,
    }
}
