//! As much of COQL as a caller lookup asks: fields of one module, conditions in pairs, a limit. A
//! quote within a text is written twice. Not offered: joins in conditions, order, aggregates.

use serde_json::Value;

pub struct Query {
    pub select: Vec<String>,
    pub module: String,
    filter: Condition,
    pub limit: usize,
}

enum Condition {
    And(Box<[Condition; 2]>),
    Or(Box<[Condition; 2]>),
    In(String, Vec<String>),
}

#[derive(PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Sign(char),
}

/// Parses one query; `None` = it is not one.
pub fn parse(text: &str) -> Option<Query> {
    let mut parser = Parser(tokens(text)?.into_iter().peekable());
    parser.keyword("select")?;
    let mut select = vec![parser.name()?];
    while parser.sign(',') {
        select.push(parser.name()?);
    }
    parser.keyword("from")?;
    let module = parser.name()?;
    parser.keyword("where")?;
    let filter = parser.condition()?;
    let limit = match parser.0.peek() {
        None => 200,
        Some(_) => {
            parser.keyword("limit")?;
            parser.name()?.parse().ok().filter(|n| (1..=2000).contains(n))?
        }
    };
    parser.0.next().is_none().then_some(Query { select, module, filter, limit })
}

impl Query {
    pub fn fits(&self, record: &Value) -> bool {
        self.filter.fits(record)
    }

    /// Every field it names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let mut names: Vec<&str> = self.select.iter().map(String::as_str).collect();
        self.filter.names(&mut names);
        names.into_iter()
    }
}

impl Condition {
    fn fits(&self, record: &Value) -> bool {
        match self {
            Self::And(both) => both.iter().all(|one| one.fits(record)),
            Self::Or(both) => both.iter().any(|one| one.fits(record)),
            Self::In(field, texts) => {
                let kept = record.get(field).and_then(Value::as_str);
                kept.is_some_and(|kept| texts.iter().any(|text| text.eq_ignore_ascii_case(kept)))
            }
        }
    }

    fn names<'q>(&'q self, names: &mut Vec<&'q str>) {
        match self {
            Self::And(both) | Self::Or(both) => both.iter().for_each(|one| one.names(names)),
            Self::In(field, _) => names.push(field),
        }
    }
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut out = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => {}
            '(' | ')' | ',' | '=' => out.push(Token::Sign(c)),
            '\'' => {
                let mut literal = String::new();
                loop {
                    match chars.next()? {
                        '\'' if chars.next_if_eq(&'\'').is_none() => break,
                        c => literal.push(c),
                    }
                }
                out.push(Token::Text(literal));
            }
            c if c.is_ascii_alphanumeric() => {
                let mut word = String::from(c);
                while let Some(c) = chars.next_if(|c| c.is_ascii_alphanumeric() || "_.".contains(*c)) {
                    word.push(c);
                }
                out.push(Token::Word(word));
            }
            _ => return None,
        }
    }
    Some(out)
}

struct Parser(std::iter::Peekable<std::vec::IntoIter<Token>>);

impl Parser {
    /// One condition or a pair; a third needs brackets.
    fn condition(&mut self) -> Option<Condition> {
        let first = self.term()?;
        let and = self.word("and");
        if !and && !self.word("or") {
            return Some(first);
        }
        let both = Box::new([first, self.term()?]);
        Some(if and { Condition::And(both) } else { Condition::Or(both) })
    }

    fn term(&mut self) -> Option<Condition> {
        if self.sign('(') {
            let condition = self.condition()?;
            return self.sign(')').then_some(condition);
        }
        let field = self.name()?;
        if self.sign('=') {
            return Some(Condition::In(field, vec![self.text()?]));
        }
        self.keyword("in")?;
        if !self.sign('(') {
            return None;
        }
        let mut texts = vec![self.text()?];
        while self.sign(',') {
            texts.push(self.text()?);
        }
        (self.sign(')') && texts.len() <= 50).then_some(Condition::In(field, texts))
    }

    fn name(&mut self) -> Option<String> {
        match self.0.next()? {
            Token::Word(word) => Some(word),
            _ => None,
        }
    }

    fn text(&mut self) -> Option<String> {
        match self.0.next()? {
            Token::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Takes the word if it comes next.
    fn word(&mut self, wanted: &str) -> bool {
        self.0.next_if(|token| matches!(token, Token::Word(word) if word.eq_ignore_ascii_case(wanted))).is_some()
    }

    fn keyword(&mut self, wanted: &str) -> Option<()> {
        self.word(wanted).then_some(())
    }

    /// Takes the sign if it comes next.
    fn sign(&mut self, wanted: char) -> bool {
        self.0.next_if_eq(&Token::Sign(wanted)).is_some()
    }
}
