//! Query languages: a value becomes one complete, escaped literal, quotes included. A language is
//! a row here with vectors below; nothing else in the gateway writes a quote.

use std::fmt::Write as _;

use super::diagnostic::Origin;
use super::hole::{Context, Piece, Template};
use super::template::Env;
use crate::domain::{Skip, Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Coql,
    Odata,
    Soql,
    StripeSearch,
    Sysparm,
    ZendeskSearch,
}

const WORDS: &[(&str, Language)] = &[
    ("coql", Language::Coql),
    ("odata", Language::Odata),
    ("soql", Language::Soql),
    ("stripe_search", Language::StripeSearch),
    ("sysparm", Language::Sysparm),
    ("zendesk_search", Language::ZendeskSearch),
];

/// Functions of OData in which some signs are wildcards.
const PATTERNS: &[&str] = &["contains(", "startswith(", "endswith("];

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

    /// Whether a list may stand in it. Elsewhere each value has a clause of its own.
    fn has_lists(self) -> bool {
        matches!(self, Self::Coql | Self::Soql | Self::Sysparm)
    }

    /// Appends a value as a literal; a list as literals with commas.
    fn literal(self, value: &Value, out: &mut String) -> Result<(), Skip> {
        match value {
            Value::Int(number) => write!(out, "{number}").map_err(|_| Skip::Invalid),
            Value::Decimal(number) => write!(out, "{number}").map_err(|_| Skip::Invalid),
            Value::Bool(value) => write!(out, "{value}").map_err(|_| Skip::Invalid),
            Value::Date(date) => write!(out, "{date}").map_err(|_| Skip::Invalid),
            Value::Time(time) => write!(out, "{time}").map_err(|_| Skip::Invalid),
            Value::List(list) if self.has_lists() => {
                for (at, item) in list.iter().enumerate() {
                    if matches!(item, Value::List(_)) {
                        return Err(Skip::Invalid);
                    }
                    out.push_str(if at == 0 { "" } else { "," });
                    self.literal(item, out)?;
                }
                Ok(())
            }
            Value::List(_) | Value::Record(_) => Err(Skip::Invalid),
            Value::Text(text) | Value::Url(text) => self.text(text, out),
            Value::Phone(phone) => self.text(phone.e164(), out),
            Value::Email(email) => self.text(email.as_str(), out),
        }
    }

    fn text(self, text: &str, out: &mut String) -> Result<(), Skip> {
        if text.contains(char::is_control) {
            return Err(Skip::Invalid);
        }
        let (quote, escaped, escape) = match self {
            Self::Soql | Self::StripeSearch => ('\'', &['\\', '\''][..], '\\'),
            // a quote is written twice; of a backslash nothing is promised
            Self::Coql if text.contains('\\') => return Err(Skip::Invalid),
            Self::Coql => ('\'', &['\''][..], '\''),
            // behind a star there are no quotes, and digits need none
            Self::ZendeskSearch if text.bytes().all(|b| b.is_ascii_digit()) => return bare(text, out),
            Self::ZendeskSearch => ('"', &['\\', '"'][..], '\\'),
            Self::Odata => {
                let open = PATTERNS.iter().filter_map(|function| out.rfind(function)).max();
                let inside = open.is_some_and(|at| !out.get(at..).unwrap_or_default().contains(')'));
                if inside && text.contains(['%', '_', '[', ']']) {
                    return Err(Skip::Invalid);
                }
                ('\'', &['\''][..], '\'')
            }
            Self::Sysparm => return bare(text, out),
        };
        out.push(quote);
        for c in text.chars() {
            if escaped.contains(&c) {
                out.push(escape);
            }
            out.push(c);
        }
        out.push(quote);
        Ok(())
    }
}

/// Nothing is escaped in such a query: what would end the value, or be run as a script, is refused.
fn bare(text: &str, out: &mut String) -> Result<(), Skip> {
    if text.contains(['^', ',']) || text.to_lowercase().contains("javascript:") {
        return Err(Skip::Invalid);
    }
    out.push_str(text);
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
            sound &= match language.has_lists() || hole.select().is_some() {
                true => hole.check_time(cx),
                false => hole.check_scalar(cx),
            };
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
            Value::Text(guid) if hole.is_guid() => {
                out.push_str(guid);
                Ok(())
            }
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
    let looks = ["SELECT ", "select ", "$filter"].iter().any(|word| text.contains(word))
        || matches!(key, "$filter" | "select_query" | "sysparm_query");
    match template.holes().next() {
        Some(hole) if looks => {
            let help = "declare its language: `{ soql = \"…\" }`; then values become literals";
            cx.error("undeclared-language", hole.origin, "this hole stands in the text of a query language", help);
            false
        }
        _ => true,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::manifest::trial::{compile, phone};

    /// The query of an operation that is sent for this id.
    fn sent(operation: &str, id: Value) -> String {
        let trial = compile(operation).unwrap().with("phone", Value::Phone(phone("+14155550142"))).with("own.id", id);
        match trial.render() {
            Ok(prepared) => prepared.url.query_pairs().next().unwrap().1.into_owned(),
            Err(skip) => format!("skipped: {skip}"),
        }
    }

    /// What each language makes of texts that would end a literal too early, or mean something in it.
    #[test]
    fn literals() {
        let table = [
            ("soql", "o'hara\\", r"A='o\'hara\\'"),
            ("coql", "o'hara", "A='o''hara'"),
            ("coql", "' or Id is not null or A = '", "A=''' or Id is not null or A = '''"),
            ("coql", "\\' or Id is not null or A = '", "skipped: invalid"),
            ("odata", "o'hara\\", r"A='o''hara\'"),
            ("odata", "a_b%[c]", "A='a_b%[c]'"),
            ("odata", "' or 1 eq 1 or A eq '", "A=''' or 1 eq 1 or A eq '''"),
            ("stripe_search", "o'hara\"\\", r#"A='o\'hara"\\'"#),
            ("stripe_search", "' OR email:'x", r"A='\' OR email:\'x'"),
            ("zendesk_search", "o'hara\"\\", r#"A="o'hara\"\\""#),
            ("zendesk_search", "x\" role:\"admin", r#"A="x\" role:\"admin""#),
            ("sysparm", "o'hara\" x", "A=o'hara\" x"),
            ("sysparm", "a^ORactive=true", "skipped: invalid"),
            ("sysparm", "a,b", "skipped: invalid"),
            ("sysparm", "JavaScript:gs.getUserID()", "skipped: invalid"),
            ("soql", "a\u{7}", "skipped: invalid"),
            ("coql", "a\nb", "skipped: invalid"),
            ("odata", "a\tb", "skipped: invalid"),
            ("stripe_search", "a\u{85}b", "skipped: invalid"),
            ("zendesk_search", "a\rb", "skipped: invalid"),
            ("sysparm", "a\nb", "skipped: invalid"),
        ];
        for (language, value, expected) in table {
            let text = format!("needs = ['own.id']\nget = '/q'\nquery.q = {{ {language} = 'A={{own.id}}' }}");
            assert_eq!(sent(&text, Value::text(value)), expected, "{language} with {value:?}");
        }
    }

    #[test]
    fn patterns_guids_and_lists() {
        let guid = "8b1a9953-c461-11ee-a506-0242ac120002";
        let table = [
            ("odata = 'contains(a,{own.id}) or b eq 1'", "5550142", "contains(a,'5550142') or b eq 1"),
            ("odata = 'contains(a,{own.id})'", "a_b", "skipped: invalid"),
            ("odata = 'startswith(a,{own.id})'", "100%", "skipped: invalid"),
            ("odata = 'endswith(a,{own.id})'", "[a]", "skipped: invalid"),
            ("odata = 'contains(a,1) and b eq {own.id}'", "a_b", "contains(a,1) and b eq 'a_b'"),
            ("odata = 'b eq {own.id|guid}'", guid, "b eq 8b1a9953-c461-11ee-a506-0242ac120002"),
            ("odata = 'b eq {own.id|guid}'", "1 or 1 eq 1", "skipped: invalid"),
            ("odata = 'b eq {own.id|guid}'", "8b1a9953-c461-11ee-a506-0242ac12000g", "skipped: invalid"),
            ("soql = 'A IN ({phones})'", "-", "A IN ('+14155550142','(415) 555-0142')"),
            ("coql = 'a in ({phones})'", "-", "a in ('+14155550142','(415) 555-0142')"),
            ("sysparm = 'aIN{phones}'", "-", "aIN+14155550142,(415) 555-0142"),
            ("odata = 'a eq {phone|national}'", "-", "a eq '4155550142'"),
            (
                "zendesk_search = 'phone:{phone} phone:{phone|national}'",
                "-",
                r#"phone:"+14155550142" phone:4155550142"#,
            ),
            ("stripe_search = 'phone:{phone}'", "-", "phone:'+14155550142'"),
        ];
        for (query, value, expected) in table {
            let spellings = if query.contains("{phones}") { "spellings = ['e164', 'national_format']\n" } else { "" };
            let text = format!("needs = ['own.id', 'phone']\nget = '/q'\n{spellings}query.q = {{ {query} }}");
            assert_eq!(sent(&text, Value::text(value)), expected, "{value}");
        }
        let number = "needs = ['own.id']\nget = '/q'\nquery.q = { zendesk_search = 'requester:{own.id}' }";
        assert_eq!(sent(number, Value::Int(7)), "requester:7");
    }
}
