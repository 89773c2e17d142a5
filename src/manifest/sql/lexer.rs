//! Splits SQL into what matters to parameters: what is text, what is a name, what is a comment.
//! Knows the three engines' quoting and nothing of their grammar.

use crate::manifest::plan::SqlEngine;

/// A stretch of the statement. All tokens together are the whole text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Token<'t> {
    pub kind: Kind,
    pub text: &'t str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Word,
    /// `:name`; the text includes the colon.
    Parameter,
    /// A string literal.
    Text,
    /// A quoted identifier.
    Name,
    Number,
    /// A placeholder of the engine itself: `$1`, `?`, `@name`.
    Placeholder,
    Symbol,
    /// White space and comments.
    Blank,
    /// A comment that MySQL and MariaDB execute: `/*! ... */`.
    Executable,
    /// A quote or comment that does not end.
    Unclosed,
}

pub fn lex(sql: &str, engine: SqlEngine) -> Vec<Token<'_>> {
    let mut tokens: Vec<Token<'_>> = Vec::new();
    let mut rest = sql;
    while !rest.is_empty() {
        let escapes = escapes_follow(&tokens, engine);
        let (kind, length) = next(rest, engine, escapes);
        let (text, after) = rest.split_at_checked(length.max(1)).unwrap_or((rest, ""));
        tokens.push(Token { kind, text });
        rest = after;
    }
    tokens
}

/// Whether a backslash escapes in the literal that starts here: always in MySQL, after `E` in
/// PostgreSQL.
fn escapes_follow(before: &[Token<'_>], engine: SqlEngine) -> bool {
    match engine {
        SqlEngine::Mysql => true,
        SqlEngine::Sqlite => false,
        SqlEngine::Postgres => before.last().is_some_and(|t| t.kind == Kind::Word && t.text.eq_ignore_ascii_case("e")),
    }
}

/// The kind of the first token of `rest` and its length in bytes.
fn next(rest: &str, engine: SqlEngine, escapes: bool) -> (Kind, usize) {
    use SqlEngine::{Mysql, Postgres, Sqlite};
    let mut chars = rest.chars();
    let Some(first) = chars.next() else { return (Kind::Blank, 0) };
    let second = chars.next();
    let width = first.len_utf8();
    match first {
        c if c.is_whitespace() => (Kind::Blank, length_while(rest, char::is_whitespace)),
        // MySQL wants a blank after the dashes: `5--3` is arithmetic there
        '-' if rest.starts_with("--")
            && (engine != Mysql || rest.chars().nth(2).is_none_or(|c| c.is_whitespace() || c.is_control())) =>
        {
            (Kind::Blank, line(rest))
        }
        '#' if engine == Mysql => (Kind::Blank, line(rest)),
        '/' if second == Some('*') => comment(rest, engine),
        '\'' => quoted(rest, '\'', escapes, Kind::Text),
        '"' if engine == Mysql => quoted(rest, '"', true, Kind::Text),
        '"' => quoted(rest, '"', false, Kind::Name),
        '`' if engine != Postgres => quoted(rest, '`', false, Kind::Name),
        '[' if engine == Sqlite => match rest.find(']') {
            Some(end) => (Kind::Name, end + 1),
            None => (Kind::Unclosed, rest.len()),
        },
        '$' if engine == Postgres => dollar(rest),
        '$' | '@' if engine == Sqlite => (Kind::Placeholder, 1 + length_while(rest.get(1..).unwrap_or(""), in_word)),
        '?' if engine != Postgres => (Kind::Placeholder, 1 + length_while(rest.get(1..).unwrap_or(""), in_word)),
        ':' if rest.starts_with("::") || rest.starts_with(":=") => (Kind::Symbol, 2),
        ':' if second.is_some_and(starts_word) => (Kind::Parameter, 1 + parameter(rest.get(1..).unwrap_or(""))),
        c if c.is_ascii_digit() => (Kind::Number, length_while(rest, |c| in_word(c) || c == '.')),
        c if starts_word(c) => (Kind::Word, length_while(rest, |c| in_word(c) || c == '$')),
        _ => (Kind::Symbol, width),
    }
}

fn starts_word(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn in_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn length_while(text: &str, accept: impl Fn(char) -> bool) -> usize {
    text.find(|c| !accept(c)).unwrap_or(text.len())
}

fn line(rest: &str) -> usize {
    rest.find('\n').map_or(rest.len(), |end| end + 1)
}

/// `name`, `call.started_at`: dots only between words.
fn parameter(text: &str) -> usize {
    let mut length = length_while(text, in_word);
    while let Some(after) = text.get(length..).and_then(|t| t.strip_prefix('.'))
        && after.starts_with(starts_word)
    {
        length += 1 + length_while(after, in_word);
    }
    length
}

/// A literal whose quote is doubled to stand in it.
fn quoted(rest: &str, quote: char, escapes: bool, kind: Kind) -> (Kind, usize) {
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && escapes {
            chars.next();
        } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return (kind, at + 1);
        }
    }
    (Kind::Unclosed, rest.len())
}

/// `/* ... */`, nested in PostgreSQL only.
fn comment(rest: &str, engine: SqlEngine) -> (Kind, usize) {
    let runs = engine == SqlEngine::Mysql && (rest.starts_with("/*!") || rest.starts_with("/*M!"));
    let kind = if runs { Kind::Executable } else { Kind::Blank };
    let (mut depth, mut at) = (1_usize, 2_usize);
    while let Some(inside) = rest.get(at..) {
        let Some(slash) = inside.find(['*', '/']) else { break };
        let here = inside.get(slash..).unwrap_or("");
        at += slash;
        if here.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return (kind, at);
            }
        } else if engine == SqlEngine::Postgres && here.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else {
            at += 1;
        }
    }
    (Kind::Unclosed, rest.len())
}

/// `$1`, `$$ ... $$`, `$tag$ ... $tag$`.
fn dollar(rest: &str) -> (Kind, usize) {
    let after = rest.get(1..).unwrap_or("");
    if after.starts_with(|c: char| c.is_ascii_digit()) {
        return (Kind::Placeholder, 1 + length_while(after, |c| c.is_ascii_digit()));
    }
    let tag = length_while(after, in_word);
    if !after.get(tag..).is_some_and(|t| t.starts_with('$')) {
        return (Kind::Symbol, 1);
    }
    let mark = rest.get(..tag + 2).unwrap_or(rest);
    match rest.get(mark.len()..).and_then(|body| body.find(mark)) {
        Some(end) => (Kind::Text, mark.len() + end + mark.len()),
        None => (Kind::Unclosed, rest.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Kind::{Blank, Executable, Name, Number, Parameter, Placeholder, Symbol, Text, Unclosed, Word};
    use SqlEngine::{Mysql, Postgres, Sqlite};

    #[test]
    fn quotes_comments_and_casts_of_each_engine() {
        for (engine, sql, kinds) in [
            (Postgres, "a::text", &[Word, Symbol, Word][..]),
            (Postgres, ":a::text", &[Parameter, Symbol, Word]),
            (Postgres, ":call.started_at.", &[Parameter, Symbol]),
            (Postgres, "'it''s :a'", &[Text]),
            (Postgres, r"'\' :a", &[Text, Blank, Parameter]),
            (Postgres, r"E'\' :a'", &[Word, Text]),
            (Postgres, r#""a"":b""#, &[Name]),
            (Postgres, "$$ :a ' $$", &[Text]),
            (Postgres, "$x$ :a $$ $x$", &[Text]),
            (Postgres, "a$b$c", &[Word]),
            (Postgres, "$1", &[Placeholder]),
            (Postgres, "/* /* :a */ ' */:b", &[Blank, Parameter]),
            (Postgres, "-- :a '\n:b", &[Blank, Parameter]),
            (Postgres, "a ? 'b'", &[Word, Blank, Symbol, Blank, Text]),
            (Postgres, "x[1:2]", &[Word, Symbol, Number, Symbol, Number, Symbol]),
            (Postgres, "'open", &[Unclosed]),
            (Postgres, "$$open", &[Unclosed]),
            (Postgres, "/* /* */", &[Unclosed]),
            (Mysql, r"'\' :a'", &[Text]),
            (Mysql, r#""\" :a""#, &[Text]),
            (Mysql, "`:a`", &[Name]),
            (Mysql, "# :a '\n:b", &[Blank, Parameter]),
            (Mysql, "5--3", &[Number, Symbol, Symbol, Number]),
            (Mysql, "5-- 3", &[Number, Blank]),
            (Mysql, "@x := 1", &[Symbol, Word, Blank, Symbol, Blank, Number]),
            (Mysql, "/*! x */", &[Executable]),
            (Mysql, "/*M! x */", &[Executable]),
            (Mysql, "/* /* */ :a", &[Blank, Blank, Parameter]),
            (Mysql, "?", &[Placeholder]),
            (Sqlite, "[a :b]", &[Name]),
            (Sqlite, "?1 @a $b", &[Placeholder, Blank, Placeholder, Blank, Placeholder]),
            (Sqlite, "\"a\" `b`", &[Name, Blank, Name]),
            (Sqlite, "[open", &[Unclosed]),
            (Sqlite, "'é':a", &[Text, Parameter]),
        ] {
            let tokens = lex(sql, engine);
            assert_eq!(tokens.iter().map(|t| t.kind).collect::<Vec<_>>(), kinds, "{engine:?} {sql}");
            assert_eq!(tokens.iter().map(|t| t.text).collect::<String>(), sql);
        }
    }
}
