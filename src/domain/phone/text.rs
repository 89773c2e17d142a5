//! From a text as written to its digits: Unicode to ASCII, marks dropped, the extension cut
//! off. Knows no countries.

use std::borrow::Cow;

use rlibphonenumber::PHONE_NUMBER_UTIL;

/// More than any number with its extension, a name and a SIP address around it.
pub const LONGEST: usize = 256;

/// A text taken apart.
#[derive(Clone, PartialEq, Eq)]
pub struct Written<'a> {
    /// All digits before the extension, ASCII.
    pub digits: String,
    pub extension: Option<&'a str>,
    pub plus: bool,
    /// The text began with a blank where a plus belongs: `+` in a query string decodes to one.
    pub lost_plus: bool,
    /// Where in `digits` a second plus stood.
    pub doubled: Option<usize>,
    /// The first digits stood in brackets, as area codes do.
    pub bracket: bool,
}

impl<'a> Written<'a> {
    /// Takes a cleaned text apart; `None` when there is anything in it that numbers are not
    /// written with, or no digit.
    pub fn dissect(text: &'a str) -> Option<Self> {
        let (number, extension) = split_extension(text.trim_end());
        if is_spreadsheet(number.trim()) {
            return None;
        }
        let mut written = Self {
            digits: String::with_capacity(number.len()),
            extension,
            plus: false,
            lost_plus: number.starts_with(' '),
            doubled: None,
            bracket: number.trim_start().starts_with('('),
        };
        for c in number.trim().chars() {
            match c {
                '0'..='9' => written.digits.push(c),
                '+' if written.digits.is_empty() => written.plus = true,
                '+' if written.doubled.is_none() => written.doubled = Some(written.digits.len()),
                ' ' | '-' | '.' | '(' | ')' | '[' | ']' | '/' => {}
                _ => return None,
            }
        }
        // `+ (0) 44` has a bracket, too, but no area code in it.
        written.bracket &= !written.plus;
        written.lost_plus &= !written.plus;
        (!written.digits.is_empty()).then_some(written)
    }
}

/// Digits of every script to ASCII, wide forms to ASCII, dashes to `-`, blanks to one kind,
/// marks that nobody sees dropped, the end trimmed. Keeps a blank at the beginning: it may have
/// been a plus. `None` when there is a control character within: nobody dials one.
pub fn clean(text: &str) -> Option<Cow<'_, str>> {
    let text = text.trim_end();
    let text = text.trim_start_matches(|c: char| c.is_whitespace() && c != ' ' && c != '\u{a0}');
    if text.is_ascii() {
        return (!text.bytes().any(|b| b.is_ascii_control())).then_some(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_control() => return None,
            c if c.is_ascii() => out.push(c),
            c if is_mark(c) => {}
            c if c.is_whitespace() => out.push(' '),
            '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{30fc}' => out.push('-'),
            // Fullwidth ASCII, Japanese input methods write it.
            '\u{ff01}'..='\u{ff5e}' => out.extend(char::from_u32(u32::from(c) - 0xfee0)),
            c if c.is_numeric() => {
                let digit = PHONE_NUMBER_UTIL.normalize_digits_only(c.encode_utf8(&mut [0; 4]) as &str);
                if digit.is_empty() {
                    out.push(c);
                }
                out.push_str(&digit);
            }
            c => out.push(c),
        }
    }
    out.truncate(out.trim_end().len());
    Some(Cow::Owned(out))
}

/// Direction marks, joiners, byte order marks, soft hyphens: what copying from a mail brings.
pub fn is_mark(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fe00}'..='\u{fe0f}')
}

/// Cuts off an extension: `x123`, `;ext=123`, ` ext. 123`, `,,123#`. Read from the end, so that
/// nothing but digits may follow the word.
fn split_extension(text: &str) -> (&str, Option<&str>) {
    const WORDS: [&str; 5] = ["extension", "extn", "ext", "доб", "x"];
    let whole = (text, None);
    let tail = text.trim_end_matches(['#', ' ']);
    let Some(start) = tail.rfind(|c: char| !c.is_ascii_digit()).map(|i| i + last_len(tail, i)) else { return whole };
    let (before, digits) = tail.split_at(start);
    if digits.is_empty() {
        return whole;
    }
    let before = before.trim_end_matches([' ', '.', ':', '=']);
    let lower = before.to_lowercase();
    let by_word = WORDS.iter().find_map(|word| lower.ends_with(word).then_some(word.len()));
    // After a comma, a semicolon or a hash six digits at most: seven may be a second number.
    let by_sign = (digits.len() <= 6 && before.ends_with([',', ';', '#'])).then_some(1);
    let Some(cut) = by_word.filter(|_| digits.len() <= 7).or(by_sign) else { return whole };
    let Some(number) = before.len().checked_sub(cut).and_then(|end| before.get(..end)) else { return whole };
    let number = number.trim_end_matches([' ', ',', ';', '-', '.']);
    match number.bytes().filter(u8::is_ascii_digit).count() {
        5.. => (number, Some(digits)),
        _ => whole,
    }
}

fn last_len(text: &str, at: usize) -> usize {
    text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8)
}

/// What a spreadsheet makes of a number: `14155551212.0`, `1.4155551212E+10`. Reading its
/// digits as they stand would give another number.
pub fn is_spreadsheet(text: &str) -> bool {
    let float = |zeros: &str| !zeros.is_empty() && zeros.len() <= 2 && zeros.bytes().all(|b| b == b'0');
    let scientific = || text.bytes().any(|b| b.eq_ignore_ascii_case(&b'e'));
    match text.split_once('.') {
        Some((whole, rest)) if whole.trim_start_matches('+').bytes().all(|b| b.is_ascii_digit()) => {
            (whole.len() >= 7 && float(rest)) || scientific()
        }
        _ => false,
    }
}

/// The digits that a spreadsheet's form stands for, where none were lost to rounding.
pub fn from_spreadsheet(text: &str) -> Option<String> {
    let (whole, rest) = text.split_once('.')?;
    let Some((fraction, exponent)) = rest.split_once(['e', 'E']) else {
        return is_spreadsheet(text).then(|| whole.to_owned());
    };
    let exponent: usize = exponent.trim_start_matches('+').parse().ok()?;
    let digits = [whole.trim_start_matches('+'), fraction].concat();
    // Fewer digits than the exponent says were rounded away; more are no whole number.
    let exact = whole.trim_start_matches('+').len() == 1 && fraction.len() == exponent;
    (exact && digits.bytes().all(|b| b.is_ascii_digit())).then_some(digits)
}

/// One digit throughout, or digits that count up or down, seven or more.
pub fn is_filler(digits: &str) -> bool {
    let digits = digits.as_bytes();
    let all = |step: u8| digits.windows(2).all(|pair| matches!(pair, [a, b] if (a - b'0' + step) % 10 == (b - b'0')));
    digits.len() >= 7 && digits.iter().all(u8::is_ascii_digit) && (all(0) || all(1) || all(9))
}
