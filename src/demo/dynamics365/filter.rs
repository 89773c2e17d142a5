//! As much of OData's `$filter` as a caller lookup asks: `eq`, `and`, `or` and brackets. A quote within
//! a text is written twice. Not offered: functions, other comparisons, paths.

use serde_json::Value;

pub enum Filter {
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Equal(String, Literal),
}

#[derive(PartialEq, Clone)]
pub enum Literal {
    Text(String),
    /// A number or a bare GUID.
    Bare(String),
}

#[derive(PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Sign(char),
}

/// Parses a filter; `None` = it is not one.
pub fn parse(text: &str) -> Option<Filter> {
    let mut parser = Parser(tokens(text)?.into_iter().peekable());
    let filter = parser.any()?;
    parser.0.next().is_none().then_some(filter)
}

impl Filter {
    /// Whether the row fits; `None` = it lacks a column.
    pub fn fits(&self, row: &Value) -> Option<bool> {
        let each = |filters: &[Self]| filters.iter().map(|filter| filter.fits(row)).collect::<Option<Vec<bool>>>();
        match self {
            Self::And(all) => Some(each(all)?.into_iter().all(|fits| fits)),
            Self::Or(any) => Some(each(any)?.into_iter().any(|fits| fits)),
            Self::Equal(column, literal) => Some(match (row.get(column)?, literal) {
                (Value::String(kept), Literal::Text(text)) => kept.eq_ignore_ascii_case(text),
                (Value::String(kept), Literal::Bare(guid)) => column.ends_with("_value") && kept == guid,
                (Value::Number(kept), Literal::Bare(number)) => kept.as_i64() == number.parse().ok(),
                _ => false,
            }),
        }
    }
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut out = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => {}
            '(' | ')' => out.push(Token::Sign(c)),
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
            c if c.is_ascii_alphanumeric() || c == '_' => {
                let mut word = String::from(c);
                while let Some(c) = chars.next_if(|c| c.is_ascii_alphanumeric() || "_-".contains(*c)) {
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
    fn any(&mut self) -> Option<Filter> {
        let mut terms = vec![self.all()?];
        while self.word("or") {
            terms.push(self.all()?);
        }
        Some(Filter::Or(terms))
    }

    fn all(&mut self) -> Option<Filter> {
        let mut terms = vec![self.term()?];
        while self.word("and") {
            terms.push(self.term()?);
        }
        Some(Filter::And(terms))
    }

    fn term(&mut self) -> Option<Filter> {
        match self.0.next()? {
            Token::Sign('(') => {
                let filter = self.any()?;
                (self.0.next()? == Token::Sign(')')).then_some(filter)
            }
            Token::Word(column) if self.word("eq") => match self.0.next()? {
                Token::Text(text) => Some(Filter::Equal(column, Literal::Text(text))),
                Token::Word(word) => Some(Filter::Equal(column, Literal::Bare(word))),
                Token::Sign(_) => None,
            },
            _ => None,
        }
    }

    /// Takes the word if it comes next.
    fn word(&mut self, wanted: &str) -> bool {
        self.0.next_if(|token| matches!(token, Token::Word(word) if word == wanted)).is_some()
    }
}
