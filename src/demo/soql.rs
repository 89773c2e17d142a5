//! A small honest SOQL: enough of the language to run the queries of a caller lookup against records
//! in memory, and to refuse what Salesforce would refuse. Here is the text's grammar; running a query
//! is in `run`. Not offered: aggregates, functions, semi-joins, date words, polymorphism.

mod run;

pub use run::{Org, Record, Table, fields_of};

/// What is wrong with a query, in Salesforce's words.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct SoqlError {
    pub code: &'static str,
    pub message: String,
}

#[derive(Debug, PartialEq)]
pub struct Query {
    select: Vec<Selected>,
    from: String,
    filter: Option<Condition>,
    order: Vec<Order>,
    limit: Option<usize>,
    offset: usize,
}

impl Query {
    pub fn is_from(&self, kind: &str) -> bool {
        self.from.eq_ignore_ascii_case(kind)
    }
}

#[derive(Debug, PartialEq)]
enum Selected {
    /// `Account.Name`
    Path(Vec<String>),
    /// `(SELECT ... FROM Cases)`
    Children(Query),
}

#[derive(Debug, PartialEq)]
enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Compare { path: Vec<String>, operator: Operator, literals: Vec<Literal> },
}

#[derive(Debug, PartialEq, Clone, Copy)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Like,
    In,
    NotIn,
}

#[derive(Debug, PartialEq, Clone)]
enum Literal {
    /// In LIKE patterns, escaped wildcards are [`PERCENT`] and [`UNDERSCORE`].
    Text(String),
    Number(f64),
    Bool(bool),
    Null,
    /// A date or a date-time, as written.
    Time(String),
}

const PERCENT: char = '\u{e000}';
const UNDERSCORE: char = '\u{e001}';

#[derive(Debug, PartialEq)]
struct Order {
    path: Vec<String>,
    descending: bool,
    nulls_last: bool,
}

#[derive(Debug, PartialEq, Clone)]
enum Token {
    /// A name, a keyword, a number or a date.
    Word(String),
    Text(String),
    Sign(&'static str),
}

/// Parses one query.
pub fn parse(text: &str) -> Result<Query, SoqlError> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0 };
    let query = parser.query()?;
    match parser.peek() {
        None => Ok(query),
        Some(_) => Err(parser.unexpected()),
    }
}

fn malformed(column: usize, what: &str) -> SoqlError {
    SoqlError { code: "MALFORMED_QUERY", message: format!("\nERROR at Row:1:Column:{}\n{what}", column + 1) }
}

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, SoqlError> {
    const SIGNS: &[&str] = &["<=", ">=", "!=", "<>", "=", "<", ">", "(", ")", ","];
    let mut out = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let at = text.len() - rest.len();
        let Some(first) = rest.chars().next() else { return Ok(out) };
        if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            out.push((at, Token::Sign(sign)));
            rest = rest.get(sign.len()..).unwrap_or("");
        } else if first == '\'' {
            let (literal, length) = quoted(rest, at)?;
            out.push((at, Token::Text(literal)));
            rest = rest.get(length..).unwrap_or("");
        } else {
            let part = |c: char| c.is_alphanumeric() || "_.:+-".contains(c);
            let length = rest.find(|c| !part(c)).unwrap_or(rest.len());
            if length == 0 {
                return Err(malformed(at, &format!("unexpected token: '{first}'")));
            }
            out.push((at, Token::Word(rest.get(..length).unwrap_or("").to_owned())));
            rest = rest.get(length..).unwrap_or("");
        }
    }
}

/// The text between quotes and its length with them. Only the documented escapes are allowed.
fn quoted(rest: &str, at: usize) -> Result<(String, usize), SoqlError> {
    let mut literal = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((i, c)) = chars.next() {
        match c {
            '\'' => return Ok((literal, i + 1)),
            '\\' => match chars.next().map(|(_, c)| c) {
                Some(c @ ('\'' | '"' | '\\')) => literal.push(c),
                Some('n' | 'N') => literal.push('\n'),
                Some('r' | 'R') => literal.push('\r'),
                Some('t' | 'T') => literal.push('\t'),
                Some('b' | 'B') => literal.push('\u{8}'),
                Some('f' | 'F') => literal.push('\u{c}'),
                Some('%') => literal.push(PERCENT),
                Some('_') => literal.push(UNDERSCORE),
                _ => return Err(malformed(at + i, "Illegal escape sequence in a string literal")),
            },
            c => literal.push(c),
        }
    }
    Err(malformed(at, "Bloc not closed"))
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    at: usize,
}

impl Parser {
    fn query(&mut self) -> Result<Query, SoqlError> {
        self.keyword("SELECT")?;
        let mut select = vec![self.selected()?];
        while self.sign(",") {
            select.push(self.selected()?);
        }
        self.keyword("FROM")?;
        let from = self.name()?;
        let filter = if self.word("WHERE") { Some(self.condition()?) } else { None };
        let mut order = Vec::new();
        if self.word("ORDER") {
            self.keyword("BY")?;
            order.push(self.order()?);
            while self.sign(",") {
                order.push(self.order()?);
            }
        }
        let limit = if self.word("LIMIT") { Some(self.count()?) } else { None };
        let offset = if self.word("OFFSET") { self.count()? } else { 0 };
        Ok(Query { select, from, filter, order, limit, offset })
    }

    fn selected(&mut self) -> Result<Selected, SoqlError> {
        if self.sign("(") {
            let children = self.query()?;
            self.expect(")")?;
            return Ok(Selected::Children(children));
        }
        self.path().map(Selected::Path)
    }

    /// AND and OR may not stand side by side without parentheses.
    fn condition(&mut self) -> Result<Condition, SoqlError> {
        let first = self.term()?;
        let mut terms = vec![first];
        let any = match self.peek() {
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("OR") => true,
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("AND") => false,
            _ => return Ok(terms.remove(0)),
        };
        while self.word(if any { "OR" } else { "AND" }) {
            terms.push(self.term()?);
        }
        match self.peek() {
            Some(Token::Word(word)) if ["AND", "OR"].iter().any(|w| word.eq_ignore_ascii_case(w)) => {
                Err(self.unexpected())
            }
            _ if any => Ok(Condition::Any(terms)),
            _ => Ok(Condition::All(terms)),
        }
    }

    fn term(&mut self) -> Result<Condition, SoqlError> {
        if self.word("NOT") {
            return Ok(Condition::Not(Box::new(self.term()?)));
        }
        if self.sign("(") {
            let condition = self.condition()?;
            self.expect(")")?;
            return Ok(condition);
        }
        let path = self.path()?;
        let operator = self.operator()?;
        let literals = match operator {
            Operator::In | Operator::NotIn => {
                self.expect("(")?;
                let mut literals = vec![self.literal()?];
                while self.sign(",") {
                    literals.push(self.literal()?);
                }
                self.expect(")")?;
                literals
            }
            _ => vec![self.literal()?],
        };
        Ok(Condition::Compare { path, operator, literals })
    }

    fn operator(&mut self) -> Result<Operator, SoqlError> {
        let signs = [
            ("=", Operator::Equal),
            ("!=", Operator::NotEqual),
            ("<>", Operator::NotEqual),
            ("<=", Operator::LessOrEqual),
            ("<", Operator::Less),
            (">=", Operator::GreaterOrEqual),
            (">", Operator::Greater),
        ];
        for (sign, operator) in signs {
            if self.sign(sign) {
                return Ok(operator);
            }
        }
        if self.word("LIKE") {
            return Ok(Operator::Like);
        }
        if self.word("IN") {
            return Ok(Operator::In);
        }
        if self.word("NOT") {
            self.keyword("IN")?;
            return Ok(Operator::NotIn);
        }
        Err(self.unexpected())
    }

    fn literal(&mut self) -> Result<Literal, SoqlError> {
        let literal = match self.peek() {
            Some(Token::Text(text)) => Literal::Text(text.clone()),
            Some(Token::Word(word)) => match word.to_ascii_uppercase().as_str() {
                "TRUE" => Literal::Bool(true),
                "FALSE" => Literal::Bool(false),
                "NULL" => Literal::Null,
                upper => match (upper.parse::<f64>(), is_time(upper)) {
                    (Ok(number), _) if number.is_finite() => Literal::Number(number),
                    (_, true) => Literal::Time(upper.to_owned()),
                    _ => return Err(self.unexpected()),
                },
            },
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        Ok(literal)
    }

    fn order(&mut self) -> Result<Order, SoqlError> {
        let path = self.path()?;
        let descending = self.word("DESC");
        if !descending {
            self.word("ASC");
        }
        let mut nulls_last = false;
        if self.word("NULLS") {
            nulls_last = self.word("LAST");
            if !nulls_last {
                self.keyword("FIRST")?;
            }
        }
        Ok(Order { path, descending, nulls_last })
    }

    fn count(&mut self) -> Result<usize, SoqlError> {
        let count = match self.peek() {
            Some(Token::Word(word)) => word.parse().ok(),
            _ => None,
        };
        let count = count.ok_or_else(|| self.unexpected())?;
        self.at += 1;
        Ok(count)
    }

    fn path(&mut self) -> Result<Vec<String>, SoqlError> {
        let path: Vec<String> = self.name()?.split('.').map(str::to_owned).collect();
        match path.iter().all(|part| !part.is_empty()) {
            true => Ok(path),
            false => Err(self.unexpected()),
        }
    }

    fn name(&mut self) -> Result<String, SoqlError> {
        const RESERVED: &[&str] = &["SELECT", "FROM", "WHERE", "AND", "OR", "NOT", "IN", "LIKE", "ORDER", "LIMIT"];
        match self.peek() {
            Some(Token::Word(word))
                if word.starts_with(|c: char| c.is_ascii_alphabetic())
                    && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.')
                    && !RESERVED.iter().any(|r| word.eq_ignore_ascii_case(r)) =>
            {
                let name = word.clone();
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(_, token)| token)
    }

    /// Takes the word if it comes next.
    fn word(&mut self, wanted: &str) -> bool {
        let is = matches!(self.peek(), Some(Token::Word(word)) if word.eq_ignore_ascii_case(wanted));
        self.at += usize::from(is);
        is
    }

    fn keyword(&mut self, wanted: &str) -> Result<(), SoqlError> {
        if self.word(wanted) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// Takes the sign if it comes next.
    fn sign(&mut self, wanted: &str) -> bool {
        let is = matches!(self.peek(), Some(Token::Sign(sign)) if *sign == wanted);
        self.at += usize::from(is);
        is
    }

    fn expect(&mut self, wanted: &str) -> Result<(), SoqlError> {
        if self.sign(wanted) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn unexpected(&self) -> SoqlError {
        let (column, what) = match self.tokens.get(self.at) {
            Some((column, Token::Word(word))) => (*column, word.as_str()),
            Some((column, Token::Text(_))) => (*column, "a string"),
            Some((column, Token::Sign(sign))) => (*column, *sign),
            None => (self.tokens.last().map_or(0, |(column, _)| *column), "<EOF>"),
        };
        malformed(column, &format!("unexpected token: '{what}'"))
    }
}

/// `2026-11-02` or `2026-11-02T16:40:10Z`
fn is_time(word: &str) -> bool {
    let date = word.split('T').next().unwrap_or("");
    date.parse::<jiff::civil::Date>().is_ok() && (date.len() == word.len() || word.parse::<jiff::Timestamp>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_salesforce_refuses_is_refused() {
        let refused = [
            "",
            "SELECT FROM Contact",
            "SELECT Id Contact",
            "SELECT Id FROM Contact WHERE",
            "SELECT Id FROM Contact WHERE Phone = 'x",
            "SELECT Id FROM Contact WHERE Phone = 'a\\q'",
            "SELECT Id FROM Contact WHERE Phone = \"x\"",
            "SELECT Id FROM Contact WHERE Phone = x",
            "SELECT Id FROM Contact WHERE Phone IN ()",
            "SELECT Id FROM Contact WHERE Phone = '1' AND Phone = '2' OR Phone = '3'",
            "SELECT Id FROM Contact WHERE (Phone = '1'",
            "SELECT Id FROM Contact LIMIT x",
            "SELECT Id FROM Contact LIMIT 5 WHERE Phone = '1'",
            "SELECT Id, FROM Contact",
            "SELECT COUNT() FROM Contact",
            "SELECT Id FROM Contact; DELETE FROM Contact",
            "SELECT Account..Name FROM Contact",
        ];
        for text in refused {
            let error = parse(text).err().map(|e| e.code);
            assert_eq!(error, Some("MALFORMED_QUERY"), "{text}");
        }
    }

    #[test]
    fn a_quote_inside_a_literal_stays_inside() {
        let query = parse(r"SELECT Id FROM Contact WHERE Email = 'o\'neill\\x@example.com' OR Email = '' LIMIT 1");
        let Ok(Query { filter: Some(Condition::Any(terms)), .. }) = query else { panic!("two terms") };
        let literals: Vec<_> = terms
            .iter()
            .map(|term| match term {
                Condition::Compare { literals, .. } => literals.clone(),
                _ => Vec::new(),
            })
            .collect();
        let expected = [r"o'neill\x@example.com", ""].map(|text| vec![Literal::Text(text.into())]);
        assert_eq!(literals, expected);
    }
}
