//! Numbers as CRMs hold them, spellings and national variants, by the row number of the list of
//! worst-case inputs. A failure names its row. Callers are judged in `identity.rs`.
#![expect(clippy::expect_used, reason = "tests")]

use caller_context::domain::{Phone, Spelling};
use proptest::prelude::*;

/// Row, caller, what the CRM holds, where the CRM is at home, how well that names the caller:
/// `same`, `variant` or `no`, with `x` where the extensions differ.
const STORED: &[(u32, &str, &str, &str, &str)] = &[
    (12, "+14155551212", "+14155551212", "", "same"),
    (12, "+14155551212", "+1 415-555-1213", "", "no"),
    (12, "+14155551212", "", "US", "no"),
    (15, "+14155551212", "14155551212", "", "same"),
    (15, "+442079460958", "442079460958", "US", "same"),
    (16, "+14155551212", "(415) 555-1212", "US", "same"),
    (16, "+14155551212", "415.555.1212", "US", "same"),
    (16, "+14155551212", "(415) 555-1212", "", "no"),
    (16, "+14155551212", "555-1212", "US", "no"),
    (17, "+442079460958", "0044 20 7946 0958", "", "same"),
    (18, "+442079460958", "+0044 20 7946 0958", "", "same"),
    (20, "+442079460958", "+44 (0)20 7946 0958", "", "same"),
    (20, "+442079460958", "020 7946 0958", "GB", "same"),
    (20, "+442079460958", "020 7946 0958", "US", "no"),
    (21, "+390612345678", "06 1234 5678", "IT", "same"),
    (21, "+390612345678", "+39 6 1234 5678", "", "no"),
    (22, "+5511912345678", "+55 11 1234-5678", "", "variant"),
    (22, "+551187654321", "(11) 98765-4321", "BR", "variant"),
    (22, "+5511932345678", "+55 11 3234-5678", "", "no"),
    (22, "+551132345678", "+55 11 93234-5678", "", "no"),
    (22, "+5511987654321", "+55 21 8765-4321", "", "no"),
    (23, "+525512345678", "+5215512345678", "", "same"),
    (23, "+525512345678", "521 55 1234 5678", "MX", "same"),
    (23, "+525512345678", "+52 044 55 1234 5678", "", "same"),
    (24, "+5491123456789", "+54 11 2345-6789", "", "variant"),
    (24, "+541123456789", "011 15 2345-6789", "AR", "variant"),
    (24, "+541123456789", "+54 11 2345-6780", "", "no"),
    (25, "+2250707070707", "+225 07 07 07 07", "", "same"),
    (25, "+2250507070707", "+225 07 07 07 07", "", "no"),
    (25, "+2252720212345", "20 21 23 45", "CI", "same"),
    (26, "+14155551212", "+14155551212x123", "", "same x"),
    (26, "+14155551212", "(415) 555-1212 ext. 123", "US", "same x"),
    (26, "+14155551212", "+1 415 555 1212,,123#", "", "same x"),
    (26, "+14155551212", "+14155551212123", "", "no"),
    (27, "+14155551212", "+1 415 555 1212 / 13", "", "same"),
    (27, "+14155551213", "+14155551212 / +14155551213", "", "same"),
    (27, "+14155551213", "+14155551212, +14155551213", "", "same"),
    (27, "+14155551213", "+14155551212 +14155551213", "", "same"),
    (27, "+14155551213", "415-555-1212; 415-555-1213", "US", "same"),
    (27, "+14155551213", "415-555-1212 or 415-555-1213", "US", "same"),
    (27, "+14155551213", "Home: 415-555-1212\nMobile: 415-555-1213", "US", "same"),
    (27, "+14155551213", "+14155551212 / 13", "", "no"),
    (27, "+4930123456", "030/123456", "DE", "same"),
    (27, "+49123456", "030/123456", "DE", "no"),
    (27, "+14155551212", "415 555 1212 (home)", "US", "same"),
    (27, "+14155551212", "Tel. +1 415 555 1212", "", "same"),
    (28, "+14155551212", "14155551212.0", "US", "same"),
    (28, "+14155551212", "1.4155551212E+10", "", "same"),
    (28, "+14155551212", "4.155551212E+09", "US", "same"),
    (28, "+14155551212", "4.4155551212e9", "US", "no"),
    (28, "+14155550000", "1.415555E+10", "US", "no"),
    (28, "+141555512120", "14155551212.0", "", "no"),
    (29, "+14155551212", "tel:+1-415-555-1212", "", "same"),
    (39, "+14155551212", "*67 (415) 555-1212", "US", "same"),
    (39, "+4930123456", "#31#030123456", "DE", "same"),
    (42, "+14155551212", "+1141555512129999", "", "no"),
    (42, "+14155551212", "0014155551212999", "", "no"),
    (44, "+14155551212", "0000000000", "US", "no"),
    (45, "+442079460958", "+٤٤٢٠٧٩٤٦٠٩٥٨", "", "same"),
    (46, "+14155551212", "\u{202a}+1 (415) 555\u{2011}1212\u{202c} \n", "", "same"),
    (46, "+14155551212", "+14155551212 ", "", "same"),
    (47, "+14155551212", "+1415555l212", "", "no"),
    (47, "+14155551212", "📞 +14155551212", "", "same"),
    (49, "+18003569377", "1-800-FLOWERS", "US", "same"),
    (49, "+18003569377", "+1 800 FLOWERS", "", "same"),
];

#[test]
fn stored_texts_are_compared() {
    let wrong: Vec<String> = STORED
        .iter()
        .filter_map(|(row, caller, stored, region, expected)| {
            let phone = Phone::parse(caller, None);
            let sameness = phone.as_ref().and_then(|phone| phone.compare(stored, Some(*region)));
            let got = match sameness {
                None => "no",
                Some(same) if same.exact && same.extension => "same",
                Some(same) if same.exact => "same x",
                Some(same) if same.extension => "variant",
                Some(_) => "variant x",
            };
            (got != *expected).then(|| format!("row {row}, {caller} in {stored:?} ({region}): {got}, not {expected}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn row_26_extensions_rank_and_do_not_tell_numbers_apart() {
    let plain = Phone::parse("+14155551212", None).expect("a number");
    let extended = Phone::parse_stored("+14155551212 ext. 123", None).expect("a number");
    assert_eq!(plain, extended);
    assert_eq!(extended.extension(), Some("123"));
    assert!(extended.compare("+14155551212x123", None) > extended.compare("+14155551212", None));
    let set: std::collections::HashSet<Phone> = [plain, extended].into();
    assert_eq!(set.len(), 1);
}

#[test]
fn row_44_placeholders_are_no_numbers_on_the_side_of_the_crm() {
    for text in ["0000000000", "1111111111", "1234567890", "+10000000000", "9999999999", "(555) 555-5555"] {
        assert_eq!(Phone::parse_stored(text, Some("US")), None, "row 44, {text}");
        assert_eq!(Phone::parse(text, Some("US")), None, "row 44, {text}");
    }
}

#[test]
fn rows_22_to_25_variants_are_searched_as_well() {
    for (row, phone, expected) in [
        (12, "+14155551212", vec!["+14155551212"]),
        (22, "+5511912345678", vec!["+5511912345678", "+551112345678"]),
        (22, "+551187654321", vec!["+551187654321", "+5511987654321"]),
        (22, "+551132345678", vec!["+551132345678"]),
        (22, "+5511932345678", vec!["+5511932345678"]),
        (23, "+5215512345678", vec!["+525512345678", "+5215512345678"]),
        (24, "+5491123456789", vec!["+5491123456789", "+541123456789"]),
        (24, "+541123456789", vec!["+541123456789", "+5491123456789"]),
        (25, "+22507070707", vec!["+2250707070707", "+22507070707"]),
        (25, "+22520212345", vec!["+2252720212345", "+22520212345"]),
        (25, "+2250740123456", vec!["+2250740123456"]),
    ] {
        let variants = Phone::parse(phone, None).expect("a number").variants();
        assert_eq!(variants.iter().map(Phone::e164).collect::<Vec<_>>(), expected, "row {row}, {phone}");
    }
}

#[test]
fn spellings() {
    let spell = |phone: &str| {
        let phone = Phone::parse(phone, None).expect("a number");
        let all = [Spelling::E164, Spelling::National, Spelling::NationalFormat, Spelling::Digits];
        let all = all.into_iter().chain([Spelling::Last10, Spelling::Last7]);
        all.map(|spelling| phone.spell(spelling)).collect::<Vec<_>>().join(" | ")
    };
    for (phone, expected) in [
        ("+14155551212", "+14155551212 | 4155551212 | (415) 555-1212 | 14155551212 | 4155551212 | 5551212"),
        ("+442079460958", "+442079460958 | 2079460958 | 020 7946 0958 | 442079460958 | 2079460958 | 9460958"),
        ("+390612345678", "+390612345678 | 0612345678 | 06 1234 5678 | 390612345678 | 0612345678 | 2345678"),
        ("+80012345678", "+80012345678 | 12345678 | 1234 5678 | 80012345678 | 0012345678 | 2345678"),
        ("+6834002", "+6834002 | 4002 | 4002 | 6834002 | 6834002 | 6834002"),
    ] {
        assert_eq!(spell(phone), expected);
    }
}

#[test]
fn rows_40_and_41_regions_come_from_the_whole_number() {
    for (row, phone, region, code, valid) in [
        (40, "+80012345678", "001", 800, true),
        (40, "+8821612345678", "001", 882, true),
        (41, "+12423651234", "BS", 1, true),
        (41, "+77012345678", "KZ", 7, true),
        (41, "+74951234567", "RU", 7, true),
        (12, "+15161234567", "US", 1, false),
        (12, "+442079460958", "GB", 44, true),
    ] {
        let phone = Phone::parse(phone, None).expect("a number");
        assert_eq!((phone.region(), phone.country_code(), phone.is_valid()), (region, code, valid), "row {row}");
    }
}

#[test]
fn warming_knows_every_region_and_minds_no_nonsense() {
    caller_context::domain::phone::warm(&["US", "de", "001", "", "ZZ", "USA", "🇩🇪"]);
}

proptest! {
    /// What a vendor stores in any of our spellings is recognised again.
    #[test]
    fn every_spelling_of_a_valid_number_compares_equal(digits in "[1-9][0-9]{6,14}") {
        let Some(phone) = Phone::parse(&format!("+{digits}"), None).filter(Phone::is_valid) else { return Ok(()) };
        let region = phone.region().to_owned();
        for spelling in [Spelling::E164, Spelling::NationalFormat, Spelling::Digits] {
            // Short ones without a plus are rather national numbers, `55 900…` in Brazil too.
            // What belongs to no country has no national form; Gabon's old one begins as the
            // new one does, and `011 15…` in Buenos Aires is rather a mobile.
            match spelling {
                Spelling::Digits if phone.e164().len() < 12 || region == "BR" => continue,
                Spelling::NationalFormat if ["001", "GA", "AR"].contains(&region.as_str()) => continue,
                _ => {}
            }
            let text = phone.spell(spelling);
            let same = phone.compare(&text, Some(&region));
            prop_assert!(same.is_some_and(|same| same.exact), "{:?} {} is not {} in {}", spelling, text, digits, region);
        }
    }

    /// Being the same subscriber goes both ways and never reaches a third number.
    #[test]
    fn variants_are_mutual(phone in "\\+(52|521|54|549|55|55119|225|22507)[0-9]{8,11}") {
        let Some(phone) = Phone::parse(&phone, None) else { return Ok(()) };
        for other in phone.variants() {
            prop_assert!(phone.compare(other.e164(), None).is_some());
            if let Some(other) = Phone::parse(other.e164(), None) {
                prop_assert!(other.same_subscriber(&phone).is_some());
                prop_assert!(other.variants().contains(&phone));
                prop_assert_eq!(other.variants().len(), phone.variants().len());
            }
        }
        prop_assert!(phone.variants().len() <= 2);
    }
}
