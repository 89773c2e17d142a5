//! What CRMs hold in their phone fields: every spelling, several numbers in one field, labels,
//! spreadsheet damage. Reads them, and says whether a field names a given number.

use std::borrow::Cow;

use rlibphonenumber::Region;
use smallvec::SmallVec;

use super::Phone;
use super::text::{LONGEST, Written, clean, from_spreadsheet, is_spreadsheet};

/// How well a stored text names a number. More exact compares greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Sameness {
    /// The canonical forms are equal; otherwise they are national variants of one subscriber.
    pub exact: bool,
    /// The extensions are equal, or there are none.
    pub extension: bool,
}

pub fn compare(phone: &Phone, text: &str, region: Option<Region>) -> Option<Sameness> {
    if text == phone.e164() {
        return Some(Sameness { exact: true, extension: phone.extension().is_none() });
    }
    numbers(text, region).iter().filter_map(|stored| phone.same_subscriber(stored)).max()
}

/// All numbers of a field. Placeholders are none.
pub fn numbers(text: &str, region: Option<Region>) -> SmallVec<[Phone; 2]> {
    if text.len() > LONGEST {
        return SmallVec::new();
    }
    let mut found = SmallVec::new();
    for line in text.split(['\n', '\r', '\t']) {
        if let Some(line) = clean(line) {
            found.extend(numbers_of_line(line.trim(), region));
        }
    }
    found.retain(|phone: &mut Phone| !phone.is_placeholder());
    found
}

/// One line: one number, or several with something between them. `030/123456` is one, with the
/// area code apart, as Germans write it; `+1 415 555 1212 / 13` is one, and a 13 that only a
/// person can read.
fn numbers_of_line(line: &str, region: Option<Region>) -> SmallVec<[Phone; 2]> {
    let whole = number(line, region);
    if !line.contains(['/', ',', ';', '|', '&', '+']) && !line.contains(" or ") {
        return whole.into_iter().collect();
    }
    let mut parts = Parts { rest: line }.map(|part| number(part, region));
    let first = parts.next().flatten();
    match (first, whole) {
        // The whole has an extension that its first part has lost.
        (Some(first), Some(whole)) if first == whole => std::iter::once(whole).chain(parts.flatten()).collect(),
        (Some(first), whole) if whole.is_none() || first.is_valid() => {
            std::iter::once(first).chain(parts.flatten()).collect()
        }
        (_, Some(whole)) => SmallVec::from_iter([whole]),
        (_, None) => parts.flatten().collect(),
    }
}

/// The parts of a line that may be numbers. A plus begins a new one.
struct Parts<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.rest = self.rest.trim_start_matches(['/', ',', ';', '|', '&', ' ']);
        let rest = self.rest;
        if rest.is_empty() {
            return None;
        }
        let separator = rest.find(['/', ',', ';', '|', '&']);
        let plus = rest.char_indices().skip(1).find(|(_, c)| *c == '+').map(|(at, _)| at);
        let or = rest.find(" or ");
        let end = [separator, plus, or].into_iter().flatten().min().unwrap_or(rest.len());
        // The word goes with the part before it, where it is dropped as a label.
        let next = if Some(end) == or { end + " or ".len() } else { end };
        self.rest = rest.get(next..).unwrap_or_default();
        rest.get(..end)
    }
}

/// One number with whatever people put around it.
fn number(text: &str, region: Option<Region>) -> Option<Phone> {
    let text = text.trim();
    let text = strip_prefix_ignore_case(text, "tel:").unwrap_or(text);
    // Codes that hide or show one's own number, stored with the number to dial.
    let text = ["*67", "*82", "*31#", "#31#"].iter().find_map(|clir| text.strip_prefix(clir)).unwrap_or(text);
    let text = match is_spreadsheet(text) {
        true => Cow::Owned(from_spreadsheet(text)?),
        false => Cow::Borrowed(text),
    };
    let read = |text: &str| Some(Phone::read(&Written::dissect(text.trim())?, region)?.0);
    if let Some(phone) = read(&text) {
        return Some(phone);
    }
    // `Home: 415 555 1212`, `415 555 1212 (home)`
    let unlabelled = text.trim_start_matches(|c: char| c.is_alphabetic() || c.is_whitespace() || ".:".contains(c));
    let letter = unlabelled.find(char::is_alphabetic);
    let before = letter.and_then(|at| unlabelled.get(..at)).unwrap_or(unlabelled);
    read(before.trim_end_matches(['(', ' ', '-'])).or_else(|| read(unlabelled)).or_else(|| read(&vanity(unlabelled)?))
}

/// The digits behind `1-800-FLOWERS`, as letters stand on a keypad. Three letters at least: one
/// or two are typing mistakes.
pub(in crate::domain) fn vanity(text: &str) -> Option<String> {
    let letters = text.chars().filter(char::is_ascii_alphabetic).count();
    let digits_first = text.starts_with(|c: char| c.is_ascii_digit() || c == '+' || c == '(');
    if letters < 3 || !digits_first {
        return None;
    }
    let key = |c: char| match c.to_ascii_lowercase() {
        'a'..='c' => '2',
        'd'..='f' => '3',
        'g'..='i' => '4',
        'j'..='l' => '5',
        'm'..='o' => '6',
        'p'..='s' => '7',
        't'..='v' => '8',
        'w'..='z' => '9',
        other => other,
    };
    Some(text.chars().map(key).collect())
}

fn strip_prefix_ignore_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| text.get(prefix.len()..)).flatten()
}
