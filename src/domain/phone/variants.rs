//! National rewrites and variants: where one subscriber is written as two numbers, because a
//! numbering plan changed or a network wants another form. Works on E.164 texts.

use smallvec::SmallVec;

/// The canonical form of a number that is written in a form of the past, or in one network's
/// form. Happens before the gate: the library calls these forms impossible.
pub fn rewrite(e164: &str) -> Option<String> {
    if let Some(national) = e164.strip_prefix("+52") {
        // Mexico dropped the mobile prefixes in 2019; WhatsApp and old address books keep them.
        let number = ["1", "01", "044", "045"]
            .iter()
            .find_map(|prefix| national.strip_prefix(prefix).filter(|number| number.len() == 10))?;
        return Some(format!("+52{number}"));
    }
    let old = e164.strip_prefix("+225").filter(|national| national.len() == 8)?;
    Some(format!("+225{}{old}", ivorian_prefix(old)?))
}

/// The other forms under which the subscriber of a canonical number may be stored.
pub fn others(e164: &str) -> SmallVec<[String; 1]> {
    let other = match e164.get(..3) {
        Some("+52") => tail(e164, 3, 10).map(|number| format!("+521{number}")),
        Some("+55") => brazil(e164),
        Some("+54") => argentina(e164),
        Some("+22") => tail(e164, 6, 8)
            .filter(|old| e164.get(4..6) == ivorian_prefix(old) && e164.starts_with("+225"))
            .map(|old| format!("+225{old}")),
        _ => None,
    };
    other.into_iter().collect()
}

/// Whether two different canonical numbers are one subscriber.
pub fn same_subscriber(a: &str, b: &str) -> bool {
    others(a).iter().any(|other| other == b)
}

/// Mobile numbers got a ninth digit, a 9 in front, between 2012 and 2016; carriers and WhatsApp
/// still send both forms. Numbers whose eight digits begin with 2 to 5 are landlines: with a 9
/// in front they would be somebody else.
fn brazil(e164: &str) -> Option<String> {
    // No area code has a zero; `90` is how collect calls are dialled.
    let area = e164.get(3..5).filter(|area| !area.contains('0'))?;
    let (number, other) = match tail(e164, 5, 8) {
        Some(number) => (number, format!("+55{area}9{number}")),
        None => {
            let number = tail(e164, 6, 8).filter(|_| e164.get(5..6) == Some("9"))?;
            (number, format!("+55{area}{number}"))
        }
    };
    (!number.starts_with(['2', '3', '4', '5'])).then_some(other)
}

/// Calls to mobile numbers from abroad take a 9 after the country code; caller IDs and address
/// books come with it and without it. The ten digits after it are one subscriber's.
fn argentina(e164: &str) -> Option<String> {
    match tail(e164, 4, 10).filter(|_| e164.get(3..4) == Some("9")) {
        Some(number) => Some(format!("+54{number}")),
        None => tail(e164, 3, 10).map(|number| format!("+549{number}")),
    }
}

/// Côte d'Ivoire went from eight digits to ten on 31 January 2021 by two digits in front that
/// name the operator, which the old number tells: on mobile numbers by its second digit, on
/// landlines (2x, 3x) by its third.
fn ivorian_prefix(old: &str) -> Option<&'static str> {
    let digit = |at: usize| old.as_bytes().get(at).copied();
    Some(match (digit(0)?, digit(1)?, digit(2)?) {
        (b'2' | b'3', _, b'8') => "21",
        (b'2' | b'3', _, b'0') => "25",
        (b'2' | b'3', _, _) => "27",
        (b'0' | b'4'..=b'9', b'4'..=b'6', _) => "05",
        (b'0' | b'4'..=b'9', b'7'..=b'9', _) => "07",
        (b'0' | b'4'..=b'9', b'0'..=b'3', _) => "01",
        _ => return None,
    })
}

/// What follows the first `from` bytes, if it has `len` digits.
fn tail(e164: &str, from: usize, len: usize) -> Option<&str> {
    e164.get(from..).filter(|tail| tail.len() == len)
}
