//! What a caller or a CRM says of itself, judged: whatever the bytes, no panic, and what is taken
//! for a number or an address is one, in its only form.
//!
//! Input: the region, the dialled number and the forwarding line, a line each, then the caller.

#![no_main]

use std::sync::LazyLock;

use caller_context::domain::identity::CallerIdLists;
use caller_context::domain::{CallerId, CallerIdRules, CallerIdStatus, Email, Identity, Phone, Spelling, judge};
use libfuzzer_sys::fuzz_target;

const REGIONS: [&str; 8] = ["US", "DE", "GB", "BR", "MX", "AR", "CI", "IT"];
const SPELLINGS: [Spelling; 6] =
    [Spelling::E164, Spelling::National, Spelling::NationalFormat, Spelling::Digits, Spelling::Last10, Spelling::Last7];

/// Those without a region first, then of each region.
static RULES: LazyLock<Vec<CallerIdRules>> = LazyLock::new(|| {
    let regions = std::iter::once(None).chain(REGIONS.map(Some));
    regions
        .map(|region| {
            let lists = CallerIdLists {
                default_region: region.map(str::to_owned),
                own_numbers: vec!["+14155550100".into()],
                sip_domains: vec!["pbx.example".into()],
                customers: vec![("alice-of-acme".into(), "C-1".into()), ("messenger:1000555".into(), "C-3".into())],
                ..CallerIdLists::default()
            };
            CallerIdRules::new(&lists).expect("the lists are right")
        })
        .collect()
});

fuzz_target!(|data: &[u8]| {
    let mut lines = data.splitn(4, |byte| *byte == b'\n');
    let region = lines.next().unwrap_or_default();
    let region = REGIONS.into_iter().find(|known| known.as_bytes() == region);
    let place = region.map_or(0, |region| 1 + REGIONS.iter().position(|known| *known == region).unwrap_or(0));
    let rules = &RULES[place];
    let text = |line: Option<&[u8]>| line.map(|line| String::from_utf8_lossy(line).into_owned());
    let (to, forwarded) = (text(lines.next()), text(lines.next()));
    let from = lines.next().unwrap_or_default();

    let caller = judge(from, to.as_deref(), forwarded.as_deref(), rules);
    judged(&caller, rules);
    let again = judge(from, to.as_deref(), forwarded.as_deref(), rules);
    assert!(caller == again, "the same text is judged twice and differently");
    let shown = format!("{caller:?}");
    assert!(digits(&shown) == 0, "Debug shows digits: {shown}");

    let Ok(from) = std::str::from_utf8(from) else { return };
    if let Some(email) = Email::parse(from) {
        assert_eq!(Email::parse(email.as_str()).as_ref(), Some(&email), "an address is its own form");
        assert!(!email.as_str().chars().any(|c| c.is_control() || c.is_whitespace() || "\"<>,;:()[]\\".contains(c)));
        assert!(email.as_str().matches('@').count() == 1 && email.as_str().len() <= 254);
    }
    for phone in Phone::parse(from, region).iter().chain(&Phone::all_stored(from, region)) {
        number(phone);
        let sameness = phone.compare(phone.e164(), region).expect("a number is itself");
        assert!(sameness.exact);
    }
    if let Some(first) = Phone::parse_stored(from, region) {
        assert!(first.compare(from, region).is_some(), "a field names the number that is read from it");
    }
});

fn judged(caller: &CallerId, rules: &CallerIdRules) {
    assert_eq!(caller.status == CallerIdStatus::Ok, caller.phone().is_some() || mapped(caller, CallerIdStatus::Ok));
    assert!(caller.identity.is_none() || caller.phone().is_some() || mapped(caller, caller.status));
    if let Some(variable) = &caller.variable {
        assert!(variable.len() <= 64 && digits(variable) <= 4 && !variable.chars().any(char::is_control));
    }
    let Some(phone) = caller.phone() else { return };
    number(phone);
    let again = judge(phone.e164(), None, None, rules);
    assert_eq!(again.status, CallerIdStatus::Ok, "a judged number is judged {}", again.reason.as_str());
    assert!(again.phone() == Some(phone), "a judged number becomes another");
}

fn mapped(caller: &CallerId, status: CallerIdStatus) -> bool {
    let may_be_mapped = matches!(status, CallerIdStatus::Ok | CallerIdStatus::Internal);
    caller.status == status && may_be_mapped && matches!(caller.identity, Some(Identity::CustomerId(_)))
}

/// E.164 in every way, and so are its variants; spellings are what people dial.
fn number(phone: &Phone) {
    for variant in phone.variants() {
        let digits = variant.e164().strip_prefix('+').expect("a plus");
        assert!((7..=16).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()), "E.164");
        assert!(!digits.starts_with('0'));
        assert!(phone.same_subscriber(&variant).is_some(), "a variant is the same subscriber");
    }
    assert_eq!(Phone::parse(phone.e164(), None).as_ref(), Some(phone), "a number is its own form");
    for spelling in SPELLINGS {
        let text = phone.spell(spelling);
        assert!(!text.is_empty() && !text.chars().any(char::is_control), "{spelling:?}");
        assert!(spelling == Spelling::NationalFormat || text.bytes().all(|b| b.is_ascii_digit() || b == b'+'));
    }
    assert!(phone.extension().is_none_or(|digits| digits.bytes().all(|b| b.is_ascii_digit())));
}

fn digits(text: &str) -> usize {
    text.bytes().filter(u8::is_ascii_digit).count()
}
