//! Who calls, judged once: the rules of each organization, and a bounded memory of what they said
//! of a call's parameters. The key is every byte that was judged, so the memory saves the reading
//! of numbers and none of the checks.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use equivalent::Equivalent;
use foldhash::HashMap;
use foldhash::fast::RandomState;
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use super::Error;
use crate::config::{self, Config};
use crate::domain::identity::{CallerIdLists, ListError};
use crate::domain::{CallerId, CallerIdRules, Organization, Trust, judge};

/// Calls remembered; a few hundred bytes each.
const REMEMBERED: usize = 16_384;
/// Parameters longer than this together are judged anew each time.
const LONGEST: usize = 512;

/// Who calls, and how far the call is trusted.
#[derive(Debug)]
pub struct Person {
    pub caller: CallerId,
    pub trust: Trust,
}

/// What a call says of its ends, as it came.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Call<'a> {
    pub organization: &'a Organization,
    /// We call: the person is the one who is called.
    pub outbound: bool,
    pub from: Option<&'a str>,
    pub to: Option<&'a str>,
    pub forwarded_from: Option<&'a str>,
    pub stir: Option<&'a str>,
}

#[derive(Clone)]
struct Remembered {
    organization: Organization,
    outbound: bool,
    texts: [Option<Box<str>>; 4],
}

pub struct Callers {
    of: HashMap<Organization, CallerIdRules>,
    /// The rules of organizations that have none of their own.
    any: CallerIdRules,
    judged: Cache<Remembered, Arc<Person>, UnitWeighter, RandomState>,
}

impl Callers {
    /// # Errors
    /// When a configured list cannot be used.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let own = config.organizations.iter().filter_map(|(name, own)| {
            let region = own.default_region.as_deref()?;
            Some(rules(&config.phone, Some(region)).map(|rules| (name.clone(), rules)))
        });
        let (weighter, hasher) = (UnitWeighter, RandomState::default());
        let judged = Cache::with(256, REMEMBERED as u64, weighter, hasher, DefaultLifecycle::default());
        Ok(Self { of: own.collect::<Result<_, _>>()?, any: rules(&config.phone, None)?, judged })
    }

    pub fn rules(&self, organization: &Organization) -> &CallerIdRules {
        self.of.get(organization).unwrap_or(&self.any)
    }

    pub fn judge(&self, call: &Call<'_>) -> Arc<Person> {
        if let Some(person) = self.judged.get(call) {
            return person;
        }
        let person = Arc::new(call.judged(self.rules(call.organization)));
        if call.texts().into_iter().flatten().map(str::len).sum::<usize>() <= LONGEST {
            self.judged.insert(call.kept(), person.clone());
        }
        person
    }

    /// Forgets whatever number rang.
    pub fn forget(&self) {
        self.judged.clear();
    }
}

impl<'a> Call<'a> {
    fn judged(&self, rules: &CallerIdRules) -> Person {
        let Self { from, to, forwarded_from, stir, .. } = *self;
        if self.outbound {
            let caller = judge(to.unwrap_or_default(), from, None, rules);
            let trust = Trust::of(&caller, None);
            return Person { caller, trust };
        }
        let caller = judge(from.unwrap_or_default(), to, forwarded_from, rules);
        let trust = Trust::of(&caller, stir);
        Person { caller, trust }
    }

    fn texts(&self) -> [Option<&'a str>; 4] {
        [self.from, self.to, self.forwarded_from, self.stir]
    }

    fn kept(self) -> Remembered {
        Remembered {
            organization: self.organization.clone(),
            outbound: self.outbound,
            texts: self.texts().map(|text| text.map(Box::from)),
        }
    }
}

impl Remembered {
    fn call(&self) -> Call<'_> {
        let [from, to, forwarded_from, stir] = self.texts.each_ref().map(Option::as_deref);
        Call { organization: &self.organization, outbound: self.outbound, from, to, forwarded_from, stir }
    }
}

impl Hash for Remembered {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.call().hash(state);
    }
}

impl PartialEq for Remembered {
    fn eq(&self, other: &Self) -> bool {
        self.call() == other.call()
    }
}

impl Eq for Remembered {}

impl Equivalent<Remembered> for Call<'_> {
    fn equivalent(&self, key: &Remembered) -> bool {
        *self == key.call()
    }
}

fn rules(phone: &config::PhoneRules, region: Option<&str>) -> Result<CallerIdRules, Error> {
    let built_in = CallerIdLists::default();
    let lists = CallerIdLists {
        default_region: region.or(phone.default_region.as_deref()).map(str::to_owned),
        withheld_words: phone.withheld_words.clone().unwrap_or(built_in.withheld_words),
        withheld_numbers: phone.withheld_numbers.clone().unwrap_or(built_in.withheld_numbers),
        placeholders: phone.placeholders.clone().unwrap_or(built_in.placeholders),
        own_numbers: phone.own_numbers.clone(),
        sip_domains: phone.sip_domains.clone(),
        customers: phone.clients.clone().into_iter().collect(),
    };
    CallerIdRules::new(&lists).map_err(|problems| {
        // `check` lists them all; one is enough to stop.
        Error::Phone(problems.into_iter().next().unwrap_or(ListError::Region))
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a configuration of our own")]
mod tests {
    use super::*;
    use crate::domain::CallerIdStatus;

    #[test]
    fn the_same_number_is_another_call_when_anything_else_differs() {
        let callers = Callers::new(&crate::config::load_str("").unwrap().config).unwrap();
        let (ours, theirs) = (Organization::single(), Organization::parse("theirs").unwrap());
        let number = Some("+14155550142");
        let plain =
            Call { organization: &ours, outbound: false, from: number, to: None, forwarded_from: None, stir: None };
        let first = callers.judge(&plain);
        assert!(Arc::ptr_eq(&first, &callers.judge(&plain)), "judged once");
        let others = [
            Call { organization: &theirs, ..plain },
            Call { outbound: true, from: None, to: number, ..plain },
            Call { to: number, ..plain },
            Call { forwarded_from: Some("+14155550100"), ..plain },
            Call { stir: Some("TN-Validation-Failed-C"), ..plain },
        ];
        for call in &others {
            assert!(!Arc::ptr_eq(&first, &callers.judge(call)));
        }
        assert_eq!(callers.judge(&others[2]).caller.status, CallerIdStatus::Internal, "from itself");
        assert_eq!(callers.judge(&others[4]).trust, Trust::Low);
        callers.forget();
        assert!(!Arc::ptr_eq(&first, &callers.judge(&plain)));
    }

    #[test]
    fn what_is_long_is_not_remembered() {
        let callers = Callers::new(&crate::config::load_str("").unwrap().config).unwrap();
        let (organization, long) = (Organization::single(), "9".repeat(LONGEST + 1));
        let call = Call {
            organization: &organization,
            outbound: false,
            from: Some(&long),
            to: None,
            forwarded_from: None,
            stir: None,
        };
        assert!(!Arc::ptr_eq(&callers.judge(&call), &callers.judge(&call)));
    }
}
