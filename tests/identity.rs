//! Every odd caller ID we know of, by the row number of the list of worst-case inputs. What CRMs
//! hold is in `phone.rs`; rows that concern whole contexts, views or write-back are tested where
//! those live. A failure names its row.
#![expect(clippy::expect_used, clippy::panic, reason = "tests")]

use caller_context::domain::identity::{CallerIdLists, Identity, ListError, Reason};
use caller_context::domain::{Attestation, CallerId, CallerIdRules, CallerIdStatus, Phone, Spelling, Trust, judge};
use proptest::prelude::*;

fn rules(region: &str) -> CallerIdRules {
    let lists = CallerIdLists {
        default_region: (!region.is_empty()).then(|| region.to_owned()),
        own_numbers: vec!["+14155550100".into(), "+44 20 7946 0100".into()],
        sip_domains: vec!["pbx.example".into(), "10.0.0.5".into()],
        customers: [
            ("alice-of-acme", "C-1"),
            ("sip:bob@example.com", "C-2"),
            ("messenger:1000555", "C-3"),
            ("client:+14155550177", "C-4"),
        ]
        .map(|(address, customer)| (address.to_owned(), customer.to_owned()))
        .to_vec(),
        ..CallerIdLists::default()
    };
    CallerIdRules::new(&lists).expect("the lists are right")
}

/// `ok +14155551212 x123 via whatsapp repaired`
fn describe(caller: &CallerId) -> String {
    let mut words = vec![caller.status.as_str().to_owned()];
    match &caller.identity {
        Some(Identity::Phone(phone)) => {
            words.push(phone.e164().to_owned());
            words.extend(phone.extension().map(|extension| format!("x{extension}")));
        }
        Some(Identity::CustomerId(id)) => words.push(id.0.to_string()),
        Some(Identity::Email(email)) => words.push(email.as_str().to_owned()),
        None => {}
    }
    if caller.channel.as_str() != "pstn" {
        words.push(format!("via {}", caller.channel.as_str()));
    }
    let flags = [
        (caller.flags.repaired, "repaired"),
        (caller.flags.assumed, "assumed"),
        (caller.flags.suspicious, "suspicious"),
        (caller.flags.placeholder, "placeholder"),
        (caller.flags.diverted, "diverted"),
        (caller.flags.agent, "agent"),
    ];
    words.extend(flags.iter().filter(|(set, _)| *set).map(|(_, name)| (*name).to_owned()));
    words.join(" ")
}

/// Row, default region, `From`, what comes of it.
const CALLERS: &[(u32, &str, &str, &str)] = &[
    (1, "US", "anonymous", "withheld"),
    (1, "US", "Anonymous", "withheld"),
    (1, "US", "ANONYMOUS", "withheld"),
    (1, "US", "  anonymous ", "withheld"),
    (2, "US", "+266696687", "withheld"),
    (2, "US", "266696687", "withheld"),
    (3, "US", "Restricted", "withheld"),
    (3, "US", "RESTRICTED", "withheld"),
    (4, "US", "+7378742833", "withheld"),
    (4, "RU", "7378742833", "withheld"),
    (5, "US", "+17378742833", "withheld"),
    (5, "US", "7378742833", "withheld"),
    (5, "US", "(737) 874-2833", "withheld"),
    (5, "GB", "001 737 874 2833", "withheld assumed"),
    (5, "IN", "+917378742833", "ok +917378742833"),
    (6, "US", "+2562533", "withheld"),
    (6, "US", "2562533", "withheld"),
    (7, "US", "+8656696", "withheld"),
    (8, "US", "+86282452253", "withheld"),
    (8, "US", "86282452253", "withheld"),
    (9, "US", "Unavailable", "withheld"),
    (9, "US", "Unknown", "withheld"),
    (9, "US", "Private", "withheld"),
    (9, "US", "Blocked", "withheld"),
    (9, "US", "Withheld", "withheld"),
    (9, "US", "No Caller ID", "withheld"),
    (9, "US", "Out-Of-Area", "withheld"),
    (9, "US", "<unknown>", "withheld"),
    (9, "US", "asterisk", "withheld"),
    (9, "US", "0000123456", "withheld"),
    (9, "US", "+10000123456", "withheld"),
    (10, "US", "", "missing"),
    (10, "US", "   ", "missing"),
    (10, "US", "\n", "missing"),
    (10, "US", "null", "missing"),
    (10, "US", "undefined", "missing"),
    (10, "US", "none", "missing"),
    (10, "US", "None", "missing"),
    (10, "US", "-", "missing"),
    (10, "US", "0", "missing"),
    (10, "US", "+", "missing"),
    (10, "US", "\u{200b}", "missing"),
    (10, "US", "tel:", "missing"),
    (10, "US", "whatsapp:undefined", "missing via whatsapp"),
    (10, "US", "client:", "missing via client"),
    (11, "US", "{{trigger.call.From}}", "missing"),
    (11, "US", "{{ widgets.greet_1.From | default: '' }}", "missing"),
    (11, "US", "%7B%7Btrigger.call.From%7D%7D", "missing repaired"),
    (11, "US", "{% if x %}", "missing"),
    (12, "US", "+14155551212", "ok +14155551212"),
    (12, "", "+14155551212", "ok +14155551212"),
    (12, "", "+442079460958", "ok +442079460958"),
    (13, "US", " 14155551212", "ok +14155551212 repaired"),
    (13, "", " 442079460958", "ok +442079460958 repaired"),
    (13, "US", "%2014155551212", "ok +14155551212 repaired"),
    (13, "GB", " 5161234567", "ok +5161234567 repaired"),
    (13, "US", "whatsapp: 5511912345678", "ok +5511912345678 via whatsapp repaired"),
    (14, "US", "%2B14155551212", "ok +14155551212 repaired"),
    (14, "US", "whatsapp%3A%2B5511912345678", "ok +5511912345678 via whatsapp repaired"),
    (14, "US", "%252B14155551212", "invalid repaired"),
    (14, "US", "%ff%fe", "invalid"),
    (15, "US", "14155551212", "ok +14155551212 assumed"),
    (15, "", "14155551212", "ok +14155551212 assumed"),
    (15, "GB", "14155551212", "ok +14155551212 assumed"),
    (15, "DE", "14155551212", "ok +14155551212 assumed"),
    (15, "US", "442079460958", "ok +442079460958 assumed"),
    (15, "DE", "442079460958", "ok +442079460958 assumed"),
    (15, "US", "5161234567", "ok +15161234567 assumed"),
    (15, "", "5161234567", "invalid"),
    (15, "DE", "15112345678", "ok +4915112345678 assumed"),
    (15, "RU", "84951234567", "ok +74951234567 assumed"),
    (15, "RU", "4951234567", "ok +74951234567 assumed"),
    (15, "IN", "6281234567", "ok +916281234567 assumed"),
    (15, "CN", "15123456789", "ok +8615123456789 assumed"),
    (15, "BR", "51987654321", "ok +5551987654321 assumed"),
    (15, "MX", "4920100000", "ok +524920100000 assumed"),
    (15, "ES", "34612345678", "ok +34612345678 assumed"),
    (15, "IT", "393331234567", "ok +393331234567 assumed"),
    (16, "US", "(516) 123-4567", "ok +15161234567 assumed"),
    (16, "US", "516.123.4567", "ok +15161234567 assumed"),
    (16, "GB", "(020) 7946 0958", "ok +442079460958 assumed"),
    (16, "ES", "612 345 678", "ok +34612345678 assumed"),
    (16, "NO", "22 22 22 22", "ok +4722222222 assumed"),
    (16, "", "(516) 123-4567", "invalid"),
    (16, "US", "555-1212", "invalid"),
    (17, "GB", "0044 20 7946 0958", "ok +442079460958 assumed"),
    (17, "US", "0044 20 7946 0958", "ok +442079460958"),
    (17, "", "0044 20 7946 0958", "ok +442079460958"),
    (17, "US", "011 44 20 7946 0958", "ok +442079460958 assumed"),
    (17, "GB", "011 44 20 7946 0958", "ok +442079460958"),
    (17, "DE", "011 44 20 7946 0958", "ok +442079460958"),
    (17, "DE", "001 516 123 4567", "ok +15161234567 assumed"),
    (17, "US", "001 516 123 4567", "ok +15161234567"),
    (17, "GB", "0114 201 2345", "ok +441142012345 assumed"),
    (18, "", "+0044 20 7946 0958", "ok +442079460958 repaired"),
    (18, "US", "+01144 20 7946 0958", "ok +442079460958 repaired"),
    (18, "GB", "+020 7946 0958", "invalid"),
    (19, "", "+1+14155551212", "ok +14155551212 repaired"),
    (19, "", "++14155551212", "ok +14155551212"),
    (19, "US", "+1+442079460958", "ok +442079460958 repaired"),
    (19, "US", "+1+4155551212", "ok +14155551212 repaired"),
    (19, "US", "+14155551212+14155551213", "invalid"),
    (20, "", "+44 (0)20 7946 0958", "ok +442079460958"),
    (20, "", "+49(0)30 123456", "ok +4930123456"),
    (20, "", "+44 (00)20 7946 0958", "ok +442079460958"),
    (21, "IT", "06 1234 5678", "ok +390612345678 assumed"),
    (21, "", "+39 06 1234 5678", "ok +390612345678"),
    (21, "", "+39 (0)6 1234 5678", "ok +390612345678"),
    (21, "GB", "020 7946 0958", "ok +442079460958 assumed"),
    (22, "", "+5511912345678", "ok +5511912345678"),
    (22, "", "+551112345678", "ok +551112345678"),
    (22, "", "+551187654321", "ok +551187654321"),
    (22, "", "+551132345678", "ok +551132345678"),
    (23, "", "+5215512345678", "ok +525512345678"),
    (23, "", "+525512345678", "ok +525512345678"),
    (23, "", "whatsapp:+5215512345678", "ok +525512345678 via whatsapp"),
    (23, "MX", "5215512345678", "ok +525512345678 assumed"),
    (23, "MX", "044 55 1234 5678", "ok +525512345678 assumed"),
    (24, "", "+5491123456789", "ok +5491123456789"),
    (24, "", "+541123456789", "ok +541123456789"),
    (24, "AR", "011 15 2345-6789", "ok +5491123456789 assumed"),
    (25, "", "+22507070707", "ok +2250707070707"),
    (25, "", "+2250707070707", "ok +2250707070707"),
    (25, "CI", "07070707", "ok +2250707070707 assumed"),
    (26, "", "+14155551212x123", "ok +14155551212 x123"),
    (26, "", "+14155551212;ext=123", "ok +14155551212 x123"),
    (26, "", "+14155551212 ext. 123", "ok +14155551212 x123"),
    (26, "", "+14155551212,,123#", "ok +14155551212 x123"),
    (26, "", "+1 415 555 1212 #123", "ok +14155551212 x123"),
    (26, "US", "(415) 555-1212 Extension 7", "ok +14155551212 x7 assumed"),
    (27, "", "+1 415 555 1212 / 13", "invalid"),
    (27, "", "+14155551212, +14155551213", "invalid"),
    (28, "US", "14155551212.0", "invalid"),
    (28, "DE", "14155551212.0", "invalid"),
    (28, "US", "4.4155551212e9", "invalid"),
    (28, "US", "1.4155551212E+10", "invalid"),
    (29, "", "tel:+1-415-555-1212;ext=5", "ok +14155551212 x5"),
    (29, "", "tel:+14155551212;phone-context=", "ok +14155551212"),
    (29, "", "tel:+14155551212;phone-context=example.com", "ok +14155551212"),
    (29, "", "TEL:555-1212;phone-context=+1415", "ok +14155551212"),
    (29, "US", "tel:4155551212", "ok +14155551212 assumed"),
    (30, "US", "tel:7042;phone-context=example.com", "internal"),
    (31, "US", "client:alice", "internal via client"),
    (31, "US", "client:alice-of-acme", "internal C-1 via client"),
    (31, "US", "client:Alice-Of-Acme", "internal via client"),
    (32, "US", "client:+14155551212", "not_a_number via client suspicious"),
    (32, "US", "client:14155551212", "not_a_number via client suspicious"),
    (32, "US", "CLIENT:+14155551212", "not_a_number via client suspicious"),
    (32, "US", "client:Anonymous", "withheld via client"),
    (32, "US", "client:+14155550177", "internal C-4 via client suspicious"),
    (33, "US", "client:agent_40example_2Ecom", "internal via client agent"),
    (34, "US", "sip:+14155551212@pbx.example;user=phone", "ok +14155551212 via sip"),
    (34, "US", "sips:+14155551212@pbx.example", "ok +14155551212 via sip"),
    (34, "US", "sip:+14155551212@PBX.example:5061;transport=tls", "ok +14155551212 via sip"),
    (34, "US", "sip:4155551212@pbx.example", "ok +14155551212 via sip assumed"),
    (34, "US", "sip:+14155551212;ext=5@pbx.example", "ok +14155551212 x5 via sip"),
    (34, "US", "sip:+14155551212@evil.example;user=phone", "not_a_number via sip"),
    (34, "US", "sip:+14155551212@pbx.example.evil.example", "not_a_number via sip"),
    (34, "US", "sip:+14155551212@evil.example@pbx.example", "internal via sip"),
    (34, "US", "+14155551212@evil.example", "not_a_number via sip"),
    (35, "US", "sip:alice@example.com", "internal via sip"),
    (35, "US", "sip:Bob@Example.com;transport=udp", "internal C-2 via sip"),
    (35, "US", "sip:1001@10.0.0.5", "internal via sip"),
    (35, "US", "sip:pbx.example", "not_a_number via sip"),
    (35, "US", "sip:anonymous@anonymous.invalid", "withheld via sip"),
    (36, "US", "\"Bob\" <sip:+14155551212@pbx.example>", "ok +14155551212 via sip"),
    (36, "US", "\"Bob\" <sip:bob2@evil.example>", "internal via sip"),
    (36, "US", "Bob <tel:+14155551212>", "ok +14155551212"),
    (36, "US", "\"a\\\"<tel:+14155559999>\" <tel:+14155551212>", "ok +14155551212"),
    (36, "US", "<sip:+14155551212@pbx.example>;party=calling;privacy=full", "ok +14155551212 via sip"),
    (36, "US", "\"unclosed <tel:+14155551212>", "invalid"),
    (36, "US", "<script>alert(1)</script>", "invalid"),
    (37, "", "whatsapp:+5511912345678", "ok +5511912345678 via whatsapp"),
    (37, "", "WhatsApp:+14155551212", "ok +14155551212 via whatsapp"),
    (37, "US", "messenger:100012345678901", "not_a_number via messenger"),
    (37, "US", "messenger:14155551212", "not_a_number via messenger"),
    (37, "US", "messenger:1000555", "ok C-3 via messenger"),
    (37, "US", "rcs:+14155551212", "not_a_number via rcs"),
    (37, "US", "apple:urn:mbid:abc", "not_a_number via apple"),
    (37, "US", "instagram:1000555", "not_a_number via instagram"),
    (37, "US", "skype:+14155551212", "not_a_number via other"),
    (38, "US", "+12345", "service"),
    (38, "US", "12345", "service"),
    (38, "DE", "12345", "service"),
    (38, "US", "262966", "service"),
    (38, "AD", "312345", "ok +376312345 assumed"),
    (38, "US", "MyBank", "service"),
    (38, "US", "My Bank 24", "service"),
    (39, "US", "911", "service"),
    (39, "DE", "112", "service"),
    (39, "GB", "999", "service"),
    (39, "AU", "000", "service"),
    (39, "US", "*67 4155551212", "service"),
    (39, "US", "*674155551212", "service"),
    (39, "DE", "#31#030123456", "service"),
    (39, "US", "**21*4155551212#", "service"),
    (39, "DE", "+49112", "service"),
    (40, "", "+800 12345678", "ok +80012345678"),
    (40, "", "+8821612345678", "ok +8821612345678"),
    (40, "", "+883510012345678", "ok +883510012345678"),
    (40, "", "+979123456789", "ok +979123456789"),
    (41, "", "+12423651234", "ok +12423651234"),
    (41, "", "+77012345678", "ok +77012345678"),
    (42, "US", "+141555512123456789", "invalid"),
    (42, "US", "+1234567890123456", "invalid"),
    (42, "US", "141555512123456789", "invalid"),
    (42, "DE", "+4930123456789012", "invalid"),
    (43, "US", "+123", "invalid"),
    (43, "US", "+1415555121", "invalid"),
    (43, "US", "41555512", "invalid"),
    (44, "US", "0000000000", "withheld placeholder"),
    (44, "US", "1111111111", "withheld placeholder"),
    (44, "US", "1234567890", "withheld placeholder"),
    (44, "US", "+10000000000", "withheld placeholder"),
    (44, "US", "+0000000000", "withheld placeholder"),
    (44, "US", "9999999999", "withheld placeholder"),
    (44, "US", "+15555555555", "withheld placeholder"),
    (44, "DE", "0000000", "withheld placeholder"),
    (44, "", "+441234567890", "ok +441234567890"),
    (45, "", "+٤٤٢٠٧٩٤٦٠٩٥٨", "ok +442079460958"),
    (45, "", "＋４４２０７９４６０９５８", "ok +442079460958"),
    (45, "", "+४४२०७९४६०९५८", "ok +442079460958"),
    (45, "", "+𝟒𝟒𝟐𝟎𝟕𝟗𝟒𝟔𝟎𝟗𝟓𝟖", "ok +442079460958"),
    (45, "US", "（４１５）５５５－１２１２", "ok +14155551212 assumed"),
    (46, "", "\u{202a}+14155551212\u{202c}", "ok +14155551212"),
    (46, "", "+1\u{a0}415\u{200b}555\u{2011}1212\n", "ok +14155551212"),
    (46, "", "+14155551212   ", "ok +14155551212"),
    (46, "", "\u{feff}+14155551212\r\n", "ok +14155551212"),
    (47, "US", "📞+14155551212", "invalid"),
    (47, "US", "O14155551212", "invalid"),
    (47, "US", "+1415555l212", "invalid"),
    (47, "US", "+1415555121О", "invalid"),
    (47, "US", "+14155551212\0", "invalid"),
    (47, "US", "+1415\r\nX-Evil: 1", "invalid"),
    (47, "US", "+1415555\u{7}1212", "invalid"),
    (48, "US", "' OR Phone LIKE '%", "invalid"),
    (48, "US", "{", "invalid"),
    (48, "US", "\\", "invalid"),
    (48, "US", "*", "invalid"),
    (48, "US", "?", "invalid"),
    (48, "US", "+1415555%", "invalid"),
    (48, "US", "+1415*", "invalid"),
    (49, "US", "1-800-FLOWERS", "not_a_number suspicious"),
    (49, "US", "+1 (800) FLOWERS", "not_a_number suspicious"),
    (50, "US", "+14155550100", "internal"),
    (50, "US", "(415) 555-0100", "internal assumed"),
    (50, "US", "+442079460100", "internal"),
];

#[test]
fn callers_are_judged() {
    let wrong: Vec<String> = CALLERS
        .iter()
        .filter_map(|(row, region, from, expected)| {
            let got = describe(&judge(from, None, None, &rules(region)));
            (got != *expected).then(|| format!("row {row}, region {region:?}, {from:?}: {got:?}, not {expected:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn row_5_operators_can_free_the_number_in_austin_and_add_their_own() {
    let mut lists = CallerIdLists::default();
    lists.withheld_numbers.retain(|number| number != "7378742833");
    lists.withheld_numbers.push("415-555-0199".into());
    lists.withheld_words.push("Geheim".into());
    let rules = CallerIdRules::new(&lists).expect("right");
    assert_eq!(describe(&judge("+17378742833", None, None, &rules)), "ok +17378742833");
    assert_eq!(describe(&judge("+14155550199", None, None, &rules)), "withheld");
    assert_eq!(describe(&judge("GEHEIM", None, None, &rules)), "withheld");
}

#[test]
fn row_11_the_variable_that_was_not_filled_in_is_named() {
    let variable = |from: &str| judge(from, None, None, &rules("US")).variable;
    assert_eq!(variable("{{trigger.call.From}}").as_deref(), Some("trigger.call.From"));
    assert_eq!(variable("%7B%7B widgets.greet_1.From | to_json %7D%7D").as_deref(), Some("widgets.greet_1.From"));
    assert_eq!(variable("{{+14155551212}}"), None);
    assert_eq!(variable("{{n14155551212}}"), None);
}

#[test]
fn row_16_national_numbers_are_read_in_the_country_of_the_dialled_number() {
    let case = |from: &str, to: &str, region: &str| describe(&judge(from, Some(to), None, &rules(region)));
    assert_eq!(case("020 7946 0958", "+442079460000", "US"), "ok +442079460958 assumed");
    assert_eq!(case("(516) 123-4567", "+15165550000", "GB"), "ok +15161234567 assumed");
    assert_eq!(case("020 7946 0958", "020 7946 0000", "GB"), "ok +442079460958 assumed");
    assert_eq!(case("020 7946 0958", "client:alice", "GB"), "ok +442079460958 assumed");
}

#[test]
fn rows_47_and_42_bytes_that_are_no_text_and_texts_that_are_too_long() {
    let rules = rules("US");
    for bytes in
        [vec![0xff, 0xfe], vec![b'+', 0xa0, b'1'], vec![b'1'; 64 * 1024], "+1415555".repeat(9_000).into_bytes()]
    {
        let caller = judge(&bytes, None, None, &rules);
        assert_eq!(describe(&caller), "invalid");
    }
    assert_eq!(judge(vec![b' '; 300], None, None, &rules).reason, Reason::TooLong);
}

#[test]
fn row_50_a_call_from_the_dialled_number_is_ours() {
    let rules = rules("US");
    for (from, to) in [
        ("+14155551212", "+14155551212"),
        ("(415) 555-1212", "+14155551212"),
        ("+14155551212", " 14155551212"),
        ("+14155551212", "tel:+1-415-555-1212"),
        ("+525512345678", "whatsapp:+5215512345678"),
    ] {
        let caller = judge(from, Some(to), None, &rules);
        assert_eq!((caller.status, caller.identity), (CallerIdStatus::Internal, None), "row 50, {from:?} to {to:?}");
    }
    assert_eq!(judge("+14155551212", Some("+14155551213"), None, &rules).status, CallerIdStatus::Ok);
    assert_eq!(judge("+14155551212", Some(""), None, &rules).status, CallerIdStatus::Ok);
}

#[test]
fn row_51_forwarded_calls_are_flagged_and_the_forwarding_line_is_not_the_caller() {
    let rules = rules("US");
    let case = |forwarded: &str| describe(&judge("+14155551212", Some("+14155550000"), Some(forwarded), &rules));
    assert_eq!(case("+14155559999"), "ok +14155551212 diverted");
    assert_eq!(case("+14155551212"), "internal diverted");
    assert_eq!(case("tel:+1-415-555-1212"), "internal diverted");
    assert_eq!(case(""), "ok +14155551212");
    assert_eq!(case("undefined"), "ok +14155551212");
    let withheld = judge("anonymous", None, Some("+14155559999"), &rules);
    assert_eq!(describe(&withheld), "withheld diverted");
}

#[test]
fn rows_57_and_58_attestation_is_read_by_its_parts() {
    use Attestation::{Diverted, Failed, Full, Gateway, Partial};
    for (text, expected) in [
        ("TN-Validation-Passed-A", Some(Full)),
        ("tn-validation-passed-a", Some(Full)),
        (" TN-Validation-Passed-B ", Some(Partial)),
        ("TN-Validation-Passed-C", Some(Gateway)),
        ("TN-Validation-Passed-A-Passthrough", Some(Full)),
        ("TN-Validation-Passed-B-Passthrough", Some(Partial)),
        ("TN-Validation-Passed-A-Diverted", Some(Diverted)),
        ("TN-Validation-Passed-B-Diverted", Some(Diverted)),
        ("TN-Validation-Failed", Some(Failed)),
        ("TN-Validation-Failed-A", Some(Failed)),
        ("TN-Validation-Failed-C-Diverted", Some(Failed)),
        ("TN-Validation-Failed-B-Passthrough", Some(Failed)),
        ("TN-Validation-Failed-Z-New", Some(Failed)),
        ("TN-Validation-Passed-D", None),
        ("TN-Validation-Passed-A-New", None),
        ("TN-Validation-Passed-A-New-Diverted", Some(Diverted)),
        ("TN-Validation-Passed", None),
        ("TN-Validation-A", None),
        ("TN-Validation-", None),
        ("No-TN-Validation", None),
        ("No-TN-Validation-Failed", None),
        ("NULL", None),
        ("", None),
        ("🎉🎉🎉🎉🎉🎉", None),
    ] {
        assert_eq!(Attestation::parse(text), expected, "row 58, {text:?}");
    }
}

#[test]
fn rows_57_40_37_and_51_trust() {
    use Trust::{Attested, Low, Normal};
    let rules = rules("US");
    for (row, from, forwarded, stir, expected) in [
        (57, "+14155551212", None, Some("TN-Validation-Passed-A"), Attested),
        (57, "+14155551212", None, Some("TN-Validation-Passed-B"), Normal),
        (57, "+14155551212", None, Some("TN-Validation-Passed-C"), Normal),
        (57, "+14155551212", None, None, Normal),
        (57, "+14155551212", None, Some("NULL"), Normal),
        (57, "+14155551212", None, Some("No-TN-Validation"), Normal),
        (57, "+14155551212", None, Some("TN-Validation-Failed-A"), Low),
        (51, "+14155551212", None, Some("TN-Validation-Passed-A-Diverted"), Low),
        (51, "+14155551212", Some("+14155559999"), Some("TN-Validation-Passed-A"), Low),
        (40, "+80012345678", None, Some("TN-Validation-Passed-A"), Low),
        (37, "whatsapp:+14155551212", None, None, Attested),
        (37, "whatsapp:+14155551212", None, Some("TN-Validation-Failed"), Low),
        (37, "messenger:1000555", None, Some("TN-Validation-Passed-A"), Low),
        (31, "client:alice-of-acme", None, Some("TN-Validation-Passed-A"), Low),
        (32, "client:+14155551212", None, Some("TN-Validation-Passed-A"), Low),
        (34, "sip:+14155551212@pbx.example", None, None, Normal),
        (34, "sip:+14155551212@evil.example", None, Some("TN-Validation-Passed-A"), Low),
        (1, "anonymous", None, Some("TN-Validation-Passed-A"), Low),
    ] {
        let trust = Trust::of(&judge(from, None, forwarded, &rules), stir);
        assert_eq!(trust, expected, "row {row}, {from}, {stir:?}");
        assert_eq!(trust.may_greet(), expected != Low);
    }
}

#[test]
fn lists_with_mistakes_name_every_entry_and_show_none() {
    let lists = CallerIdLists {
        default_region: Some("XX".into()),
        withheld_words: vec!["ok".into(), "123".into()],
        withheld_numbers: vec!["12ab".into()],
        placeholders: vec!["0".into()],
        own_numbers: vec!["+14155551212".into(), "12".into()],
        sip_domains: vec!["a b".into()],
        customers: vec![("client:".into(), "C".into()), ("alice".into(), " ".into())],
    };
    let Err(problems) = CallerIdRules::new(&lists) else { panic!("accepted") };
    use ListError::{Customer, OwnNumber, Placeholder, Region, SipDomain, WithheldNumber, WithheldWord};
    let expected = [
        Region,
        WithheldWord(1),
        WithheldNumber(0),
        Placeholder(0),
        SipDomain(0),
        OwnNumber(1),
        Customer(0),
        Customer(1),
    ];
    assert_eq!(problems, expected);
    assert!(!format!("{lists:?} {:?}", rules("US")).contains(|c: char| c.is_ascii_digit()));
    assert!(CallerIdRules::new(&CallerIdLists::default()).is_ok());
}

/// Texts near to numbers: whole random bytes seldom get past the first check.
fn near_numbers() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[0-9]{1,12}",
        2 => "\\+[0-9]{1,16}",
        1 => prop::sample::select(vec![
            "+", "00", "011", " ", "(0)", "(", ")", "-", "/", ".", ",", ";", "x", "ext", ";ext=", "#", "*", "client:",
            "sip:", "tel:", "whatsapp:", "@pbx.example", "%2B", "%", "<", ">", "\"", "{{", "}}", "\u{202a}", "٤", "e9",
            ".0", "\u{a0}", "\n", "\0", "phone-context=+1",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn check(from: &[u8], region: &str) {
    let rules = rules(region);
    let text = std::str::from_utf8(from).ok();
    let caller = judge(from, text, None, &rules);
    assert!(!format!("{caller:?}").contains(|c: char| c.is_ascii_digit()), "Debug shows digits");
    let caller = judge(from, None, text, &rules);
    assert!(!format!("{caller:?}").contains(|c: char| c.is_ascii_digit()), "Debug shows digits");
    let caller = judge(from, None, None, &rules);
    assert!(!format!("{caller:?}").contains(|c: char| c.is_ascii_digit()), "Debug shows digits");
    if caller.status != CallerIdStatus::Ok && caller.status != CallerIdStatus::Internal {
        assert_eq!(caller.identity, None);
    }
    if matches!(caller.status, CallerIdStatus::Withheld | CallerIdStatus::Missing) {
        assert_eq!(caller.identity, None, "a key was made of nothing");
    }
    let Some(phone) = caller.phone() else { return };
    assert_eq!(caller.status, CallerIdStatus::Ok);
    let digits = phone.e164().strip_prefix('+').expect("a plus");
    assert!((7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()));
    // Canonical means that it reads as itself, here and everywhere.
    let again = judge(phone.e164(), None, None, &rules);
    assert_eq!(again.phone().map(Phone::e164), Some(phone.e164()));
    assert_eq!(Phone::parse(phone.e164(), Some(region)).as_ref(), Some(phone));
    assert!(phone.compare(phone.e164(), None).is_some());
    for spelling in [Spelling::NationalFormat, Spelling::Digits, Spelling::National, Spelling::Last7] {
        assert!(!phone.spell(spelling).is_empty());
    }
    for variant in phone.variants() {
        assert!(phone.compare(variant.e164(), None).is_some(), "a variant that is not the same subscriber");
    }
}

proptest! {
    #[test]
    fn judging_never_panics_and_its_numbers_are_canonical(from in near_numbers(), region in "(US|GB|DE|IT|BR|MX|AR|CI|)") {
        check(from.as_bytes(), &region);
        for phone in Phone::all_stored(&from, Some(&region)) {
            prop_assert_eq!(Phone::parse(phone.e164(), None), Some(phone));
        }
    }

    #[test]
    fn e164_reads_as_itself_or_not_at_all(digits in "[1-9][0-9]{5,16}") {
        check(format!("+{digits}").as_bytes(), "");
        check(digits.as_bytes(), "DE");
    }

    #[test]
    fn any_text(from in ".{0,80}", to in ".{0,40}") {
        check(from.as_bytes(), "US");
        judge(&from, Some(&to), Some(&to), &rules("US"));
        Phone::all_stored(&from, Some(&to));
    }

    #[test]
    fn attestation_of_any_text(text in "(TN-Validation-)?(.|-A|-Passed|-Diverted){0,6}") {
        let _ = Attestation::parse(&text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_bytes(from in prop::collection::vec(any::<u8>(), 0..70_000)) {
        check(&from, "US");
        check(from.get(..from.len().min(100)).unwrap_or_default(), "US");
    }
}
