//! A phone number in canonical form, its spellings and its national variants. How a caller's
//! text is judged is in `identity`; what a CRM stored is read in `phone/stored.rs`.
//!
//! The numbering plans are those of `rlibphonenumber`. The gate is its "possible", not its
//! "valid": its metadata calls `+1 516 123 4567` invalid, and such numbers do call.

mod stored;
mod text;
mod variants;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use rlibphonenumber::{NumberLengthType, PHONE_NUMBER_UTIL, PhoneNumberFormat, Region, RegionStr};
use smallvec::SmallVec;

pub use stored::Sameness;
pub(super) use stored::vanity;
pub(super) use text::{LONGEST, Written, clean, is_filler, is_mark};

/// E.164 allows fifteen digits; the library lets longer German numbers through.
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// A possible phone number in canonical form (E.164, with `+`). Equal when the canonical form
/// is: the extension is carried beside it and only ranks candidates. Cheap to clone. Never
/// printed by `Debug`.
#[derive(Clone)]
pub struct Phone {
    e164: Arc<str>,
    extension: Option<Arc<str>>,
    region: RegionStr,
    country_code: u16,
    valid: bool,
}

/// How a vendor stores a number; a template renders one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Spelling {
    /// `+14155550142`
    E164,
    /// `4155550142`: national significant digits, no trunk prefix
    National,
    /// `(415) 555-0142`: as people of that country write it
    NationalFormat,
    /// `14155550142`: E.164 without the plus
    Digits,
    Last10,
    Last7,
}

impl Spelling {
    /// Whether a number spelt so can be read without knowing its country.
    pub fn says_the_country(self) -> bool {
        matches!(self, Self::E164 | Self::Digits)
    }
}

/// What had to be done to a text before it was a number.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(super) struct Liberties {
    /// Something was broken on the way: a doubled plus, a plus before an international prefix.
    pub repaired: bool,
    /// The country was not written; it was guessed or taken from the default region.
    pub assumed: bool,
}

impl Phone {
    /// Reads one number as people and systems write it; a number without a country is read in
    /// `region` (`US`, any case). `None` when the text is no possible number, is ambiguous
    /// between two, or is a placeholder such as ten zeros.
    ///
    /// Letters are refused here: vanity spellings are real only where somebody typed them
    /// ([`Phone::parse_stored`]).
    pub fn parse(text: &str, region: Option<&str>) -> Option<Self> {
        let text = clean(text).filter(|text| text.len() <= LONGEST)?;
        let (phone, _) = Self::read(&Written::dissect(&text)?, region_of(region))?;
        (!phone.is_placeholder()).then_some(phone)
    }

    /// The first number that a field of a CRM holds. More lenient than [`Phone::parse`]:
    /// several numbers in one field, labels, spreadsheet damage and vanity letters are read.
    pub fn parse_stored(text: &str, region: Option<&str>) -> Option<Self> {
        stored::numbers(text, region_of(region)).into_iter().next()
    }

    /// All numbers that a field of a CRM holds, in order.
    pub fn all_stored(text: &str, region: Option<&str>) -> SmallVec<[Self; 2]> {
        stored::numbers(text, region_of(region))
    }

    /// Whether `text`, the content of a CRM field, names this number, and how exactly.
    /// `region` is where the CRM's national spellings are at home. `None` means that it does
    /// not, or that nobody can tell; then the record is not a hit.
    pub fn compare(&self, text: &str, region: Option<&str>) -> Option<Sameness> {
        stored::compare(self, text, region_of(region))
    }

    /// Whether both name the same subscriber: the same number, or national variants of it.
    pub fn same_subscriber(&self, other: &Self) -> Option<Sameness> {
        let exact = match self == other {
            true => true,
            false if variants::same_subscriber(&self.e164, &other.e164) => false,
            false => return None,
        };
        Some(Sameness { exact, extension: self.extension == other.extension })
    }

    /// The canonical form, `+14155550142`.
    pub fn e164(&self) -> &str {
        &self.e164
    }

    /// The extension's digits, where one was written.
    pub fn extension(&self) -> Option<&str> {
        self.extension.as_deref()
    }

    /// The country calling code: 1, 44, 800.
    pub fn country_code(&self) -> u16 {
        self.country_code
    }

    /// The country (`US`, `KZ`), told from the whole number where several share a calling code;
    /// `001` for numbers of no country: international freephone, satellites.
    pub fn region(&self) -> &str {
        self.region.as_str()
    }

    /// Whether the numbering plan has such a number: a sign of quality, never a gate.
    pub fn is_valid(&self) -> bool {
        self.valid
    }

    pub fn spell(&self, spelling: Spelling) -> String {
        match spelling {
            Spelling::E164 => self.e164.to_string(),
            Spelling::National => self.national().to_owned(),
            Spelling::NationalFormat => self.national_format(),
            Spelling::Digits => self.digits().to_owned(),
            Spelling::Last10 => last(self.digits(), 10).to_owned(),
            Spelling::Last7 => last(self.digits(), 7).to_owned(),
        }
    }

    /// The number itself, then the other forms under which its subscriber may be stored
    /// (Brazil's ninth digit, Mexico's 521, Argentina's 549, old numbers of Côte d'Ivoire).
    ///
    /// These are for searching. Some are forms that nobody can call, so the variants after the
    /// first are never an identity; [`Phone::compare`] decides which hits count.
    pub fn variants(&self) -> SmallVec<[Self; 2]> {
        let mut all = SmallVec::from_iter([self.clone()]);
        all.extend(variants::others(&self.e164).into_iter().map(|e164| Self {
            e164: e164.into(),
            valid: false,
            ..self.clone()
        }));
        all
    }

    /// What a phone was, from its parts: of a reading that is kept packed. `None` for a region
    /// that nobody knows.
    pub(super) fn of_canonical(
        e164: &str,
        extension: Option<&str>,
        region: &str,
        country_code: u16,
        valid: bool,
    ) -> Option<Self> {
        let region = Region::from_code(region).ok()?.as_region_str();
        Some(Self { e164: e164.into(), extension: extension.map(Arc::from), region, country_code, valid })
    }

    /// The number that `text` spells, if it is this one in canonical form: what reading the text
    /// would give, without reading it.
    pub fn spelt(&self, text: &str) -> Option<Self> {
        (text == self.e164()).then(|| Self { extension: None, ..self.clone() })
    }

    /// `+14155550142` without the plus.
    fn digits(&self) -> &str {
        self.e164.strip_prefix('+').unwrap_or(&self.e164)
    }

    fn national(&self) -> &str {
        let code = match self.country_code {
            0..10 => 1,
            10..100 => 2,
            _ => 3,
        };
        self.digits().get(code..).unwrap_or_default()
    }

    fn national_format(&self) -> String {
        match PHONE_NUMBER_UTIL.parse(&*self.e164, None) {
            Ok(number) => PHONE_NUMBER_UTIL.format(&number, PhoneNumberFormat::National).into_owned(),
            Err(_) => self.national().to_owned(),
        }
    }

    /// A number typed to fill a field: one digit throughout, or digits counting up or down,
    /// and no such number in the numbering plan (`+47 22 22 22 22` is a real one).
    pub(super) fn is_placeholder(&self) -> bool {
        !self.valid && (text::is_filler(self.national()) || text::is_filler(self.digits()))
    }

    /// Reads what a text spells. The answer depends on nothing but the text and the region.
    pub(super) fn read(written: &Written<'_>, region: Option<Region>) -> Option<(Self, Liberties)> {
        let (phone, liberties) = read_digits(written, region)?;
        Some((Self { extension: written.extension.map(Arc::from), ..phone }, liberties))
    }
}

/// The reading of the digits, without the extension.
fn read_digits(written: &Written<'_>, region: Option<Region>) -> Option<(Phone, Liberties)> {
    const AS_IS: Liberties = Liberties { repaired: false, assumed: false };
    const REPAIRED: Liberties = Liberties { repaired: true, assumed: false };
    const ASSUMED: Liberties = Liberties { repaired: false, assumed: true };

    let digits = written.digits.as_str();
    // A flow put a country code before a number that had one: `+1+1415…`. Read as what follows
    // the second plus, unless the two parts also make a number together.
    if let Some(prefix) = written.doubled {
        let rest = digits.get(prefix..).unwrap_or_default();
        return match (international(rest).filter(|_| prefix <= 3), international(digits)) {
            (Some(rest), Some(both)) if rest != both => None,
            (Some(phone), _) | (None, Some(phone)) => Some((phone, REPAIRED)),
            (None, None) => None,
        };
    }
    // No country code starts with 0, so what follows a plus and a zero was an international
    // prefix (`+0044…`, `+01144…`).
    let after_idd = digits.strip_prefix("00").or_else(|| digits.strip_prefix("011"));
    if written.plus {
        return match after_idd {
            Some(rest) => international(rest).map(|phone| (phone, REPAIRED)),
            None => international(digits).map(|phone| (phone, AS_IS)),
        };
    }
    let national = || region.and_then(|region| canonical(digits, Some(region)));
    if digits.starts_with('0') {
        // `011` is also Sheffield's 0114 and Buenos Aires' 011: the region's own reading goes
        // first, but a valid number beats a merely possible one.
        let idd = after_idd.and_then(international);
        return match (national(), idd) {
            (Some(phone), Some(idd)) if !phone.valid && idd.valid => Some((idd, AS_IS)),
            (Some(phone), _) => Some((phone, ASSUMED)),
            (None, idd) => idd.map(|phone| (phone, AS_IS)),
        };
    }
    if written.lost_plus
        && let Some(phone) = international(digits)
    {
        return Some((phone, REPAIRED));
    }
    // Ten digits from nowhere are as likely North American as international, and an area code
    // in brackets is national everywhere: nobody can tell.
    if region.is_none() && (written.bracket || digits.len() == 10) {
        return None;
    }
    let nanp = region.is_some_and(|region| PHONE_NUMBER_UTIL.is_nanpa_country(region));
    // No plus and no prefix: international, then national. But ten digits in North America are
    // national whatever else they might be (`516 123 4567` would be a valid number of Peru), and
    // what is valid either way is national where people write it so: with an area code in
    // brackets, with ten digits or fewer that do not begin with their own country's code, or as
    // the country's format has it (`8 (481) …` in Russia is not Vietnam). `44 20 7946 0958` in
    // Germany is none of these.
    let national_first = |phone: &Phone, abroad: &Phone| {
        written.bracket
            || (digits.len() <= 10 && phone.country_code != abroad.country_code)
            || phone.national_format().bytes().filter(u8::is_ascii_digit).eq(digits.bytes())
    };
    let phone = match (national(), international(digits)) {
        (Some(national), Some(_)) if nanp && digits.len() == 10 => national,
        (Some(national), Some(abroad)) if national.valid => match abroad.valid && !national_first(&national, &abroad) {
            true => abroad,
            false => national,
        },
        (_, Some(abroad)) => abroad,
        (national, None) => national?,
    };
    Some((phone, ASSUMED))
}

/// Reads digits that begin with a country code.
fn international(digits: &str) -> Option<Phone> {
    // Longer texts than any country's longest form with a trunk prefix are not worth a parse.
    (DIGITS.start() <= &digits.len() && digits.len() <= 20).then_some(())?;
    let mut text = String::with_capacity(digits.len() + 1);
    text.push('+');
    text.push_str(digits);
    canonical(&text, None)
}

/// The canonical form of what the library reads, after the national rewrites: the form that
/// reads as itself. The library drops one trunk zero at a time, so `+49 (00)30…` takes two
/// rounds, and a form that is not stable would be two keys for one person.
fn canonical(text: &str, region: Option<Region>) -> Option<Phone> {
    let mut number = PHONE_NUMBER_UTIL.parse(text, region).ok()?;
    let mut seen = text.to_owned();
    for _ in 0..4 {
        let e164 = PHONE_NUMBER_UTIL.format(&number, PhoneNumberFormat::E164).into_owned();
        let e164 = variants::rewrite(&e164).unwrap_or(e164);
        if e164 == seen {
            let possible = PHONE_NUMBER_UTIL.is_possible_number_with_reason(&number);
            let fits = possible == Ok(NumberLengthType::IsPossible) && DIGITS.contains(&(e164.len() - 1));
            return fits.then(|| of_number(&number, &e164));
        }
        number = PHONE_NUMBER_UTIL.parse(&e164, None).ok()?;
        seen = e164;
    }
    None
}

fn of_number(number: &rlibphonenumber::PhoneNumber, e164: &str) -> Phone {
    let own = PHONE_NUMBER_UTIL.get_region_for_number(number);
    let region = own.or_else(|| PHONE_NUMBER_UTIL.get_region_for_country_code(number.country_code));
    Phone {
        e164: e164.into(),
        extension: None,
        region: region.unwrap_or(Region::World).as_region_str(),
        country_code: u16::try_from(number.country_code).unwrap_or_default(),
        valid: own.is_some_and(|region| PHONE_NUMBER_UTIL.is_valid_number_for_region(number, region)),
    }
}

/// The library's region of a code such as `us`; `None` for codes it has no numbering plan of.
pub(super) fn region_of(code: Option<&str>) -> Option<Region> {
    let region = Region::from_code(code?.trim()).ok()?;
    PHONE_NUMBER_UTIL.get_country_code_for_region(region).map(|_| region)
}

fn last(digits: &str, count: usize) -> &str {
    digits.get(digits.len().saturating_sub(count)..).unwrap_or(digits)
}

/// Makes the library compile what it needs for these countries (10 ms for the first number of
/// a process, a few for the first of each country), so that no caller waits for it. Called at
/// start; unknown codes are ignored.
pub fn warm(regions: &[&str]) {
    for region in regions.iter().filter_map(|code| region_of(Some(code))) {
        let Ok(example) = PHONE_NUMBER_UTIL.get_example_number(region) else { continue };
        let e164 = PHONE_NUMBER_UTIL.format(&example, PhoneNumberFormat::E164);
        if let Some(phone) = Phone::parse(&e164, None) {
            Phone::parse(&phone.spell(Spelling::NationalFormat), Some(phone.region()));
        }
    }
}

impl PartialEq for Phone {
    fn eq(&self, other: &Self) -> bool {
        self.e164 == other.e164
    }
}

impl Eq for Phone {}

impl Hash for Phone {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.e164.hash(state);
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phone(..)")
    }
}
