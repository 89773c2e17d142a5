//! The lists by which callers are judged, as the operator set them, made ready once at start.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use rlibphonenumber::Region;

use super::CustomerId;
use crate::domain::Phone;
use crate::domain::phone::region_of;

/// The lists as an operator writes them. The default has what carriers and exchanges send.
#[derive(Clone)]
pub struct CallerIdLists {
    /// Where numbers without a country code are at home: `US`, `DE`. The country of the dialled
    /// number goes before it.
    pub default_region: Option<String>,
    /// Compared without case, blanks and punctuation: `No Caller ID` and `no-caller-id` are one.
    pub withheld_words: Vec<String>,
    /// Digits, compared as written and with a 1 in front.
    pub withheld_numbers: Vec<String>,
    /// Digits, compared likewise. Numbers of one digit throughout and digits that count up or
    /// down need not be listed unless the numbering plan has them.
    pub placeholders: Vec<String>,
    /// Our own numbers and the mobiles of agents; calls from them are internal.
    pub own_numbers: Vec<String>,
    /// SIP domains whose user part is a number that can be believed: our own trunks.
    pub sip_domains: Vec<String>,
    /// Client identity to customer id: `alice`, `client:alice`, `sip:alice@example.com`,
    /// `messenger:1000`.
    pub customers: Vec<(String, String)>,
}

impl Default for CallerIdLists {
    fn default() -> Self {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Self {
            default_region: None,
            withheld_words: texts(&[
                "anonymous",
                "restricted",
                "unavailable",
                "unknown",
                "unknown caller",
                "unknown number",
                "private",
                "private caller",
                "private number",
                "blocked",
                "blocked number",
                "withheld",
                "number withheld",
                "no caller id",
                "no number",
                "caller id unavailable",
                "out of area",
                "hidden",
                "asterisk",
            ]),
            // ANONYMOUS, RESTRICTED, BLOCKED, UNKNOWN and UNAVAILABLE as letters stand on a
            // keypad, which is how Twilio spells them where a number must be. RESTRICTED with
            // a 1 in front is a real number in Austin, Texas: with this list its owner cannot
            // be looked up.
            withheld_numbers: texts(&["266696687", "7378742833", "2562533", "8656696", "86282452253", "0000123456"]),
            placeholders: texts(&["0000000000", "1111111111", "1234567890", "9999999999"]),
            own_numbers: Vec::new(),
            sip_domains: Vec::new(),
            customers: Vec::new(),
        }
    }
}

/// What is wrong with a list. Says where, never what: the entry may be somebody's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    #[error("the default region is no country with a numbering plan; write two letters, such as US")]
    Region,
    #[error("entry {0} of the withheld words has no letter")]
    WithheldWord(usize),
    #[error("entry {0} of the withheld numbers is not written in digits")]
    WithheldNumber(usize),
    #[error("entry {0} of the placeholders is not written in digits")]
    Placeholder(usize),
    #[error("entry {0} of our own numbers is no possible phone number")]
    OwnNumber(usize),
    #[error("entry {0} of the SIP domains is no host name or address")]
    SipDomain(usize),
    #[error("entry {0} of the client identities is empty on one side")]
    Customer(usize),
}

/// The lists, ready for judging. Built once from the configuration.
pub struct CallerIdRules {
    pub(super) region: Option<Region>,
    withheld_words: HashSet<String>,
    withheld_numbers: HashSet<String>,
    placeholders: HashSet<String>,
    own_numbers: HashSet<Phone>,
    sip_domains: HashSet<String>,
    customers: HashMap<String, CustomerId>,
}

impl CallerIdRules {
    /// Checks all lists; every problem is reported, with the entry's place counted from 0.
    pub fn new(lists: &CallerIdLists) -> Result<Self, Vec<ListError>> {
        let mut problems = Vec::new();
        let region = region_of(lists.default_region.as_deref());
        if lists.default_region.is_some() && region.is_none() {
            problems.push(ListError::Region);
        }
        let mut each = |list: &[String], read: &dyn Fn(&str) -> Option<String>, problem: fn(usize) -> ListError| {
            let mut set = HashSet::new();
            for (at, entry) in list.iter().enumerate() {
                match read(entry) {
                    Some(entry) => drop(set.insert(entry)),
                    None => problems.push(problem(at)),
                }
            }
            set
        };
        let withheld_words = each(&lists.withheld_words, &|word| letters(word), ListError::WithheldWord);
        let withheld_numbers = each(&lists.withheld_numbers, &digits, ListError::WithheldNumber);
        let placeholders = each(&lists.placeholders, &digits, ListError::Placeholder);
        let sip_domains = each(&lists.sip_domains, &|domain| host(domain), ListError::SipDomain);

        let mut own_numbers = HashSet::new();
        for (at, number) in lists.own_numbers.iter().enumerate() {
            match Phone::parse(number, lists.default_region.as_deref()) {
                Some(phone) => drop(own_numbers.insert(phone)),
                None => problems.push(ListError::OwnNumber(at)),
            }
        }
        let mut customers = HashMap::new();
        for (at, (address, customer)) in lists.customers.iter().enumerate() {
            let (address, customer) = (address.trim(), customer.trim());
            let (scheme, body) = address.split_once(':').unwrap_or(("client", address));
            if body.is_empty() || customer.is_empty() {
                problems.push(ListError::Customer(at));
                continue;
            }
            customers.insert(customer_key(scheme, body), CustomerId(Arc::from(customer)));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self { region, withheld_words, withheld_numbers, placeholders, own_numbers, sip_domains, customers })
    }

    pub(super) fn is_withheld_word(&self, text: &str) -> bool {
        letters(text).is_some_and(|word| self.withheld_words.contains(&word))
    }

    /// `digits` without plus. Numbers to be withheld are recognised before and after a country
    /// code was put in front of them.
    pub(super) fn is_withheld_number(&self, digits: &str) -> bool {
        listed(&self.withheld_numbers, digits)
    }

    pub(super) fn is_placeholder(&self, digits: &str) -> bool {
        listed(&self.placeholders, digits)
    }

    pub(super) fn is_own(&self, phone: &Phone) -> bool {
        self.own_numbers.contains(phone)
    }

    pub(super) fn trusts_domain(&self, domain: &str) -> bool {
        host(domain).is_some_and(|domain| self.sip_domains.contains(&domain))
    }

    pub(super) fn customer(&self, scheme: &str, body: &str) -> Option<&CustomerId> {
        if self.customers.is_empty() {
            return None;
        }
        self.customers.get(&customer_key(scheme, body))
    }
}

impl Default for CallerIdRules {
    fn default() -> Self {
        // The default lists have no problem (a test says so); an empty rule set would only
        // withhold less.
        Self::new(&CallerIdLists::default()).unwrap_or_else(|_| Self {
            region: None,
            withheld_words: HashSet::new(),
            withheld_numbers: HashSet::new(),
            placeholders: HashSet::new(),
            own_numbers: HashSet::new(),
            sip_domains: HashSet::new(),
            customers: HashMap::new(),
        })
    }
}

impl fmt::Debug for CallerIdLists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallerIdLists(..)")
    }
}

impl fmt::Debug for CallerIdRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallerIdRules(..)")
    }
}

fn listed(list: &HashSet<String>, digits: &str) -> bool {
    list.contains(digits) || digits.strip_prefix('1').is_some_and(|rest| list.contains(rest))
}

fn letters(text: &str) -> Option<String> {
    let word: String = text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    word.contains(char::is_alphabetic).then_some(word)
}

fn digits(text: &str) -> Option<String> {
    let plain = text.chars().all(|c| c.is_ascii_digit() || "+ -.()".contains(c));
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    (plain && digits.len() >= 3).then_some(digits)
}

/// A host name or address without its port, in lower case.
pub(super) fn host(text: &str) -> Option<String> {
    let text = text.trim();
    let bare = match text.strip_prefix('[') {
        Some(v6) => v6.split_once(']')?.0,
        None => text.rsplit_once(':').map_or(text, |(host, _)| host),
    };
    let host = bare.trim_end_matches('.').to_ascii_lowercase();
    let clean = host.chars().all(|c| c.is_ascii_alphanumeric() || ".-:_".contains(c));
    (clean && !host.is_empty()).then_some(host)
}

/// SIP addresses are compared without case, the ids of apps as they are.
fn customer_key(scheme: &str, body: &str) -> String {
    match scheme.to_ascii_lowercase().as_str() {
        "sip" | "sips" => format!("sip:{}", body.to_ascii_lowercase()),
        scheme => format!("{scheme}:{body}"),
    }
}
