//! Readings in few bytes. What is kept of a person is kept so, and unpacked when it is used: a value
//! costs its own bytes and three more, not an allocation. Only this process reads what it packed.

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;

use super::field::NameId;
use super::reading::{Hit, Reading};
use super::value::Value;
use super::{Email, Phone};

/// A reading as bytes.
#[derive(Clone)]
pub struct Packed(Box<[u8]>);

const TEXT: u8 = 0;
const INT: u8 = 1;
const DECIMAL: u8 = 2;
const FALSE: u8 = 3;
const TRUE: u8 = 4;
const TIME: u8 = 5;
const DATE: u8 = 6;
const PHONE: u8 = 7;
const EMAIL: u8 = 8;
const URL: u8 = 9;
const LIST: u8 = 10;
const RECORD: u8 = 11;

impl Packed {
    pub fn new(reading: &Reading) -> Self {
        let mut out = Writer(Vec::with_capacity(256));
        out.pairs(&reading.values);
        out.number(u64::from(reading.unreadable_fields) << 1 | u64::from(reading.ambiguous));
        out.length(reading.hits.len());
        for hit in &reading.hits {
            // the best hit's values are the reading's, nearly always: said once
            let same = reading.values.get(..hit.values.len()).is_some_and(|first| first == hit.values);
            out.number((hit.values.len() as u64) << 2 | u64::from(same) << 1 | u64::from(hit.extension_matches));
            if !same {
                out.pairs(&hit.values);
            }
            out.length(hit.phones.len());
            hit.phones.iter().for_each(|phone| out.phone(phone));
            out.length(hit.emails.len());
            hit.emails.iter().for_each(|email| out.text(email.as_str()));
        }
        Self(out.0.into_boxed_slice())
    }

    /// The reading again.
    pub fn reading(&self) -> Reading {
        let unpacked = Reader(&self.0).reading();
        debug_assert!(unpacked.is_some(), "what was packed can be read");
        unpacked.unwrap_or_default()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

struct Writer(Vec<u8>);

impl Writer {
    /// Seven bits a byte, the lowest first.
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    /// Small numbers are short, whatever their sign.
    fn signed(&mut self, number: i64) {
        self.number(((number << 1) ^ (number >> 63)) as u64);
    }

    fn length(&mut self, length: usize) {
        self.number(length as u64);
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn pairs(&mut self, values: &[(NameId, Value)]) {
        self.length(values.len());
        for (name, value) in values {
            self.number(u64::from(name.0));
            self.value(value);
        }
    }

    fn phone(&mut self, phone: &Phone) {
        self.text(phone.e164());
        self.text(phone.region());
        let extension = phone.extension();
        let code = u64::from(phone.country_code());
        self.number(code << 2 | u64::from(extension.is_some()) << 1 | u64::from(phone.is_valid()));
        if let Some(extension) = extension {
            self.text(extension);
        }
    }

    fn value(&mut self, value: &Value) {
        let mut tag = |tag| self.0.push(tag);
        match value {
            Value::Text(text) => {
                tag(TEXT);
                self.text(text);
            }
            Value::Int(number) => {
                tag(INT);
                self.signed(*number);
            }
            Value::Decimal(decimal) => {
                tag(DECIMAL);
                self.0.extend_from_slice(&decimal.serialize());
            }
            Value::Bool(false) => tag(FALSE),
            Value::Bool(true) => tag(TRUE),
            Value::Time(time) => {
                tag(TIME);
                self.signed(time.as_second());
                self.signed(time.subsec_nanosecond().into());
            }
            Value::Date(date) => {
                tag(DATE);
                self.signed(date.year().into());
                self.0.extend_from_slice(&[date.month() as u8, date.day() as u8]);
            }
            Value::Phone(phone) => {
                tag(PHONE);
                self.phone(phone);
            }
            Value::Email(email) => {
                tag(EMAIL);
                self.text(email.as_str());
            }
            Value::Url(url) => {
                tag(URL);
                self.text(url);
            }
            Value::List(values) => {
                tag(LIST);
                self.length(values.len());
                values.iter().for_each(|value| self.value(value));
            }
            Value::Record(members) => {
                tag(RECORD);
                self.length(members.len());
                for (name, value) in members.iter() {
                    self.text(name);
                    self.value(value);
                }
            }
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.length()?;
        std::str::from_utf8(self.bytes(length)?).ok()
    }

    fn pairs(&mut self) -> Option<Vec<(NameId, Value)>> {
        let length = self.length()?;
        (0..length).map(|_| Some((NameId(u16::try_from(self.number()?).ok()?), self.value()?))).collect()
    }

    fn phone(&mut self) -> Option<Phone> {
        let (e164, region) = (self.text()?, self.text()?);
        let number = self.number()?;
        let extension = if number & 2 != 0 { Some(self.text()?) } else { None };
        Phone::of_canonical(e164, extension, region, u16::try_from(number >> 2).ok()?, number & 1 != 0)
    }

    fn value(&mut self) -> Option<Value> {
        Some(match self.byte()? {
            TEXT => Value::Text(self.text()?.into()),
            INT => Value::Int(self.signed()?),
            DECIMAL => Value::Decimal(Decimal::deserialize(self.bytes(16)?.try_into().ok()?)),
            FALSE => Value::Bool(false),
            TRUE => Value::Bool(true),
            TIME => {
                let (second, nanosecond) = (self.signed()?, self.signed()?);
                Value::Time(Timestamp::new(second, i32::try_from(nanosecond).ok()?).ok()?)
            }
            DATE => {
                let year = i16::try_from(self.signed()?).ok()?;
                Value::Date(Date::new(year, self.byte()? as i8, self.byte()? as i8).ok()?)
            }
            PHONE => Value::Phone(self.phone()?),
            EMAIL => Value::Email(Email::of_canonical(self.text()?)),
            URL => Value::Url(self.text()?.into()),
            LIST => {
                let length = self.length()?;
                Value::List((0..length).map(|_| self.value()).collect::<Option<Vec<_>>>()?.into())
            }
            RECORD => {
                let length = self.length()?;
                let members = (0..length).map(|_| Some((self.text()?.into(), self.value()?)));
                Value::Record(members.collect::<Option<Vec<_>>>()?.into())
            }
            _ => return None,
        })
    }

    fn reading(&mut self) -> Option<Reading> {
        let values = self.pairs()?;
        let number = self.number()?;
        let (unreadable_fields, ambiguous) = (u32::try_from(number >> 1).ok()?, number & 1 != 0);
        let length = self.length()?;
        let hits = (0..length).map(|_| self.hit(&values)).collect::<Option<_>>()?;
        Some(Reading { values, hits, ambiguous, unreadable_fields })
    }

    fn hit(&mut self, of_reading: &[(NameId, Value)]) -> Option<Hit> {
        let number = self.number()?;
        let values = match number & 2 != 0 {
            true => of_reading.get(..usize::try_from(number >> 2).ok()?)?.to_vec(),
            false => self.pairs()?,
        };
        let length = self.length()?;
        let phones = (0..length).map(|_| self.phone()).collect::<Option<_>>()?;
        let length = self.length()?;
        let emails = (0..length).map(|_| Some(Email::of_canonical(self.text()?))).collect::<Option<_>>()?;
        Some(Hit { values, phones, emails, extension_matches: number & 1 != 0 })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        let phone = prop::sample::select(vec!["+14155550142", "+442079460958 ext. 12", "+4930123456", "+80012345678"]);
        let plain = prop_oneof![
            ".*".prop_map(Value::text),
            any::<i64>().prop_map(Value::Int),
            any::<[u8; 12]>().prop_map(|b| Value::Decimal(Decimal::from_i128_with_scale(
                i128::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], 0, 0, 0, 0, 0, 0]),
                u32::from(b[10] % 28)
            ))),
            Just(Value::Decimal("-0.00".parse().unwrap())),
            any::<bool>().prop_map(Value::Bool),
            (-9_000_000_000_000_i64..9_000_000_000_000, -999_i32..999).prop_map(|(ms, ns)| Value::Time(
                Timestamp::from_nanosecond(i128::from(ms) * 1_000_000 + i128::from(ns)).unwrap()
            )),
            (-9999_i16..=9999, 1_i8..=12, 1_i8..=28).prop_map(|(y, m, d)| Value::Date(Date::new(y, m, d).unwrap())),
            phone.prop_map(|text| Value::Phone(Phone::parse_stored(text, None).unwrap())),
            "[a-z]{1,9}@[a-z]{1,9}\\.example".prop_map(|text| Value::Email(Email::parse(&text).unwrap())),
            "https://[a-z]{1,9}\\.example/[a-z]{0,9}".prop_map(|text| Value::Url(text.into())),
        ];
        plain.prop_recursive(3, 24, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(|l| Value::List(l.into())),
                prop::collection::vec(("[a-z]{0,9}", inner), 0..6).prop_map(|members| {
                    Value::Record(members.into_iter().map(|(name, value)| (name.into(), value)).collect())
                }),
            ]
        })
    }

    fn pairs() -> impl Strategy<Value = Vec<(NameId, Value)>> {
        prop::collection::vec((any::<u16>().prop_map(NameId), value()), 0..6)
    }

    fn phones(values: &[(NameId, Value)]) -> Vec<Phone> {
        let phones = values.iter().filter_map(|(_, v)| if let Value::Phone(p) = v { Some(p.clone()) } else { None });
        phones.collect()
    }

    fn parts(reading: &Reading) -> Vec<String> {
        let phone = |p: &Phone| {
            format!("{} {:?} {} {} {}", p.e164(), p.extension(), p.region(), p.country_code(), p.is_valid())
        };
        let of = |hit: &Hit| {
            let emails: Vec<_> = hit.emails.iter().map(|e| e.as_str()).collect();
            let phones: Vec<_> = hit.phones.iter().map(phone).collect();
            format!("{} {phones:?} {emails:?}", hit.extension_matches)
        };
        reading.hits.iter().map(of).chain(phones(&reading.values).iter().map(phone)).collect()
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_out_as_it_was(
            values in pairs(), other in pairs(), extension in any::<bool>(), ambiguous in any::<bool>(),
            unreadable_fields in any::<u32>(), shared in 0_usize..6,
        ) {
            let best = values.get(..shared.min(values.len())).unwrap_or_default().to_vec();
            let hits = [best, other].map(|values| Hit {
                phones: phones(&values),
                emails: vec![Email::parse("ann@example.com").unwrap()],
                values,
                extension_matches: extension,
            });
            let reading = Reading { values, hits: hits.into(), ambiguous, unreadable_fields };
            let again = Packed::new(&reading).reading();
            prop_assert!(again.values == reading.values);
            prop_assert!(again.hits.iter().zip(&reading.hits).all(|(a, b)| a.values == b.values));
            prop_assert_eq!(parts(&again), parts(&reading));
            prop_assert_eq!((again.ambiguous, again.unreadable_fields), (ambiguous, unreadable_fields));
        }
    }

    #[test]
    fn a_cut_is_no_reading() {
        let values = vec![(NameId(3), Value::text("Ann Lee")), (NameId(4), Value::Int(-7))];
        let packed = Packed::new(&Reading { values, ..Reading::default() });
        assert_eq!(packed.len(), 1 + 2 + 8 + 3 + 2);
        for end in 0..packed.len() {
            assert!(Reader(packed.0.get(..end).unwrap()).reading().is_none(), "{end}");
        }
    }
}
