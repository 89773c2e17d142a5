//! From the parameters of a call to a [`CallerId`]. The order is the point: the scheme is cut
//! off before anything is read as a number (an app may call itself `client:+1415…`), and the
//! words and numbers of withheld callers are recognised before the country quirks and the
//! gate, because some of them pass as numbers.

use std::borrow::Cow;
use std::sync::Arc;

use percent_encoding::percent_decode_str;

use super::{CallerId, CallerIdRules, CallerIdStatus, Channel, Flags, Identity, Reason, rules};
use crate::domain::Phone;
use crate::domain::phone::{LONGEST, Written, clean, is_filler, region_of, vanity};
use crate::domain::value::text_is_missing;

/// Judges who calls. `from` is the parameter as it came, `to` the dialled number (it lends its
/// country to national spellings, and a call from itself is ours), `forwarded_from` who
/// forwarded the call to us. Never fails and never panics, whatever the bytes.
pub fn judge(
    from: impl AsRef<[u8]>,
    to: Option<&str>,
    forwarded_from: Option<&str>,
    rules: &CallerIdRules,
) -> CallerId {
    let call = Call { rules, to, channel: Channel::Pstn, flags: Flags::default() };
    let mut caller = call.judge_bytes(from.as_ref());
    let Some(forwarded_from) = forwarded_from.filter(|text| !is_nothing(text)) else { return caller };
    caller.flags.diverted = true;
    // Some carriers put the forwarding line where the caller belongs. Who really calls is not
    // known then, and the owner of that line must not be shown instead.
    if caller.phone().is_some_and(|phone| phone_of(forwarded_from, rules).as_ref() == Some(phone)) {
        caller = CallerId { identity: None, status: CallerIdStatus::Internal, ..caller };
        caller.reason = Reason::ForwardingNumber;
    }
    caller
}

/// What is known of the call while its caller is judged.
struct Call<'a> {
    rules: &'a CallerIdRules,
    to: Option<&'a str>,
    channel: Channel,
    flags: Flags,
}

impl Call<'_> {
    fn judge_bytes(mut self, from: &[u8]) -> CallerId {
        use CallerIdStatus::{Invalid, Missing};
        if from.len() > LONGEST {
            return self.nobody(Invalid, Reason::TooLong);
        }
        let Ok(text) = std::str::from_utf8(from) else { return self.nobody(Invalid, Reason::NotText) };
        let text = match decode_once(text) {
            Some(Cow::Borrowed(text)) => Cow::Borrowed(text),
            Some(decoded) => {
                self.flags.repaired = true;
                decoded
            }
            None => return self.nobody(Invalid, Reason::NotText),
        };
        if text.contains("{{") || text.contains("{%") {
            let caller = self.nobody(Missing, Reason::NotRendered);
            return CallerId { variable: variable_of(&text), ..caller };
        }
        let Some(text) = clean(&text) else { return self.nobody(Invalid, Reason::ControlCharacter) };
        self.judge_text(in_angle_brackets(&text).unwrap_or(&text))
    }

    fn judge_text(mut self, text: &str) -> CallerId {
        let (scheme, body) = split_scheme(text);
        let scheme = scheme.to_ascii_lowercase();
        self.channel = match scheme.as_str() {
            "" | "tel" => Channel::Pstn,
            "client" => Channel::Client,
            "sip" | "sips" => Channel::Sip,
            "whatsapp" => Channel::Whatsapp,
            "messenger" => Channel::Messenger,
            "rcs" => Channel::Rcs,
            "apple" => Channel::Apple,
            "instagram" => Channel::Instagram,
            _ => Channel::Other,
        };
        if is_nothing(body) {
            return self.nobody(CallerIdStatus::Missing, Reason::Empty);
        }
        if self.rules.is_withheld_word(body) {
            return self.nobody(CallerIdStatus::Withheld, Reason::WithheldWord);
        }
        match self.channel {
            Channel::Pstn if scheme.is_empty() => self.number(body),
            Channel::Pstn | Channel::Whatsapp => self.tel(body),
            Channel::Client => self.client(body),
            Channel::Sip => self.sip(body),
            Channel::Messenger | Channel::Rcs | Channel::Apple | Channel::Instagram => {
                self.mapped_or(&scheme, body, CallerIdStatus::Ok, CallerIdStatus::NotANumber, Reason::ChannelId)
            }
            Channel::Other => self.nobody(CallerIdStatus::NotANumber, Reason::UnknownScheme),
        }
    }

    /// A text that should be a number.
    fn number(mut self, text: &str) -> CallerId {
        use CallerIdStatus::{Internal, Invalid, Ok, Service, Withheld};
        if text.trim_start().starts_with(['*', '#']) {
            let dialled = text.chars().all(|c| c.is_ascii_digit() || "*#+ -".contains(c));
            return match dialled && text.contains(|c: char| c.is_ascii_digit()) {
                true => self.nobody(Service, Reason::StarCode),
                false => self.nobody(Invalid, Reason::Impossible),
            };
        }
        let Some(written) = Written::dissect(text) else { return self.not_a_number(text.trim()) };
        let digits = written.digits.as_str();
        if self.rules.is_withheld_number(digits) {
            return self.nobody(Withheld, Reason::WithheldNumber);
        }
        if self.rules.is_placeholder(digits) {
            return self.placeholder();
        }
        // Short codes, emergency numbers and extensions. Six digits are a whole number in a
        // few small countries.
        if matches!((written.plus, digits.len()), (false, 3..=5) | (true, 5..=6)) {
            return self.nobody(Service, Reason::ShortCode);
        }
        let region = match written.plus {
            true => None,
            false => self.to.and_then(region_of_dialled).or(self.rules.region),
        };
        let (phone, liberties) = match Phone::read(&written, region) {
            Some((phone, _)) if digits.len() == 6 && !phone.is_valid() => {
                return self.nobody(Service, Reason::ShortCode);
            }
            Some(read) => read,
            None if digits.len() == 6 => return self.nobody(Service, Reason::ShortCode),
            None if is_filler(digits) && digits.len() <= 15 => return self.placeholder(),
            None => return self.nobody(Invalid, Reason::Impossible),
        };
        self.flags.repaired |= liberties.repaired;
        self.flags.assumed |= liberties.assumed;
        let canonical = phone.e164().trim_start_matches('+');
        if self.rules.is_withheld_number(canonical) {
            return self.nobody(Withheld, Reason::WithheldNumber);
        }
        if self.rules.is_placeholder(canonical) || phone.is_placeholder() {
            return self.placeholder();
        }
        if self.to.is_some_and(|to| is_same_number(&phone, to, self.rules)) {
            return self.nobody(Internal, Reason::CalledItself);
        }
        if self.rules.is_own(&phone) {
            return self.nobody(Internal, Reason::OwnNumber);
        }
        CallerId { identity: Some(Identity::Phone(phone)), ..self.nobody(Ok, Reason::Number) }
    }

    /// A text with something in it that numbers are not written with.
    fn not_a_number(mut self, text: &str) -> CallerId {
        let letters = text.chars().filter(char::is_ascii_alphabetic).count();
        let others = text.chars().filter(char::is_ascii_digit).count();
        // GSM allows senders eleven characters.
        let sender = text.chars().count() <= 11
            && letters > others
            && text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || " -_.&".contains(c));
        if sender {
            return self.nobody(CallerIdStatus::Service, Reason::SenderName);
        }
        // No network sends letters on a keypad: somebody made this up.
        let spelled = vanity(text).is_some_and(|text| Written::dissect(&text).is_some());
        if spelled {
            self.flags.suspicious = true;
            return self.nobody(CallerIdStatus::NotANumber, Reason::Letters);
        }
        let reason = if text.contains(char::is_alphabetic) { Reason::Letters } else { Reason::Impossible };
        self.nobody(CallerIdStatus::Invalid, reason)
    }

    /// What stands behind `tel:` (RFC 3966), also as the user of a SIP address.
    fn tel(self, body: &str) -> CallerId {
        let (number, parameters) = body.split_once(';').unwrap_or((body, ""));
        let parameter = |name: &str| {
            let mut all = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
            all.find(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
        };
        let extension = parameter("ext").map(|digits| format!(";ext={digits}")).unwrap_or_default();
        let context = parameter("phone-context").unwrap_or_default();
        let global = number.trim_start().starts_with('+');
        if !global && context.starts_with('+') {
            return self.number(&format!("{context}{number}{extension}"));
        }
        let local = Written::dissect(number).is_some_and(|written| written.digits.len() <= 6);
        if !global && !context.is_empty() && local {
            return self.nobody(CallerIdStatus::Internal, Reason::Extension);
        }
        self.number(&format!("{number}{extension}"))
    }

    /// An identity that an app has chosen for itself; anybody with a token for the app can be
    /// anyone, so it is never read as a number.
    fn client(mut self, body: &str) -> CallerId {
        // Flex encodes an agent's worker name: `agent_40example_2Ecom`.
        if body.contains("_40") || body.contains("_2E") {
            self.flags.agent = true;
            return self.nobody(CallerIdStatus::Internal, Reason::Agent);
        }
        let number = Written::dissect(body).is_some_and(|written| written.plus || written.digits.len() >= 7);
        if !number {
            let internal = CallerIdStatus::Internal;
            return self.mapped_or("client", body, internal, internal, Reason::ClientIdentity);
        }
        self.flags.suspicious = true;
        let (mapped, otherwise) = (CallerIdStatus::Internal, CallerIdStatus::NotANumber);
        self.mapped_or("client", body, mapped, otherwise, Reason::PretendsToBeANumber)
    }

    /// `user@host;parameters`. The user part is free text, so it is a number only where the
    /// host is one of our trunks; `user=phone` alone proves nothing, the sender writes it.
    /// The host is compared and never called.
    fn sip(self, body: &str) -> CallerId {
        use CallerIdStatus::{Internal, NotANumber, Withheld};
        let body = body.split_once('?').map_or(body, |(address, _)| address);
        let Some((user, rest)) = body.rsplit_once('@') else {
            return self.nobody(NotANumber, Reason::SipAddress);
        };
        let user = user.trim();
        let name = user.split([';', ':']).next().unwrap_or(user);
        let Some(host) = rules::host(rest.split(';').next().unwrap_or(rest)) else {
            return self.nobody(NotANumber, Reason::SipAddress);
        };
        if self.rules.is_withheld_word(name) || host == "anonymous.invalid" {
            return self.nobody(Withheld, Reason::WithheldWord);
        }
        let Some(written) = Written::dissect(name) else {
            let address = format!("{name}@{host}");
            return self.mapped_or("sip", &address, Internal, Internal, Reason::SipAddress);
        };
        if self.rules.is_withheld_number(&written.digits) {
            return self.nobody(Withheld, Reason::WithheldNumber);
        }
        if !written.plus && written.digits.len() <= 6 {
            let address = format!("{name}@{host}");
            return self.mapped_or("sip", &address, Internal, Internal, Reason::Extension);
        }
        if !self.rules.trusts_domain(&host) {
            return self.nobody(NotANumber, Reason::UntrustedDomain);
        }
        match user.split_once(';') {
            Some((_, parameters)) => self.tel(&format!("{name};{parameters}")),
            None => self.tel(name),
        }
    }

    /// A customer where the operator has said so, otherwise nobody.
    fn mapped_or(
        self,
        scheme: &str,
        body: &str,
        mapped: CallerIdStatus,
        otherwise: CallerIdStatus,
        reason: Reason,
    ) -> CallerId {
        match self.rules.customer(scheme, body.trim()).cloned() {
            Some(id) => CallerId { identity: Some(Identity::CustomerId(id)), ..self.nobody(mapped, Reason::Mapped) },
            None => self.nobody(otherwise, reason),
        }
    }

    fn placeholder(mut self) -> CallerId {
        self.flags.placeholder = true;
        self.nobody(CallerIdStatus::Withheld, Reason::Placeholder)
    }

    fn nobody(&self, status: CallerIdStatus, reason: Reason) -> CallerId {
        CallerId { status, identity: None, channel: self.channel, flags: self.flags, reason, variable: None }
    }
}

/// Empty, or what broken templates leave behind.
fn is_nothing(text: &str) -> bool {
    let text = text.trim();
    let nothing = ["none", "nil", "nan", "(null)", "0", "[object Object]"];
    text_is_missing(text)
        || nothing.iter().any(|word| text.eq_ignore_ascii_case(word))
        || text.trim_matches(['+', '-', '_', '.', ' ']).is_empty()
}

/// Decodes `%2B1415…` once: a flow that encodes what is encoded already. `None` when that gives
/// no text.
fn decode_once(text: &str) -> Option<Cow<'_, str>> {
    let encoded = text.as_bytes().windows(3).any(|window| match window {
        [b'%', high, low] => high.is_ascii_hexdigit() && low.is_ascii_hexdigit(),
        _ => false,
    });
    match encoded {
        true => percent_decode_str(text).decode_utf8().ok(),
        false => Some(Cow::Borrowed(text)),
    }
}

/// The variable inside `{{…}}`, if it is one and could not be a number.
fn variable_of(text: &str) -> Option<Arc<str>> {
    let (_, rest) = text.split_once("{{")?;
    let (expression, _) = rest.split_once("}}")?;
    let name = expression.split('|').next()?.trim();
    let digits = name.bytes().filter(u8::is_ascii_digit).count();
    let looks_like_one = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.len() <= 64
        && digits <= 4
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    looks_like_one.then(|| Arc::from(name))
}

/// The address of `"Bob" <sip:…>`. The name before it is whatever the caller typed and goes no
/// further.
fn in_angle_brackets(text: &str) -> Option<&str> {
    let mut rest = text.trim_start();
    if let Some(quoted) = rest.strip_prefix('"') {
        let mut escaped = false;
        let end = quoted.find(|c| {
            let closes = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            closes
        })?;
        rest = quoted.get(end + 1..)?;
    }
    let (_, inner) = rest.split_once('<')?;
    let (inner, _) = inner.split_once('>')?;
    let inner = inner.trim();
    let address = inner.starts_with(|c: char| c == '+' || c.is_ascii_digit()) || !split_scheme(inner).0.is_empty();
    address.then_some(inner)
}

/// Splits `scheme:body`. What has an `@` and no scheme is a SIP address.
fn split_scheme(text: &str) -> (&str, &str) {
    if let Some((scheme, body)) = text.split_once(':') {
        let scheme = scheme.trim();
        let named = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c));
        if named {
            return (scheme, body);
        }
    }
    if text.contains('@') { ("sip", text) } else { ("", text) }
}

/// The country of the dialled number, where it is written with its country code.
fn region_of_dialled(to: &str) -> Option<rlibphonenumber::Region> {
    let (_, number) = split_scheme(to);
    let phone = number.trim().starts_with('+').then(|| Phone::parse(number, None)).flatten()?;
    region_of(Some(phone.region()))
}

fn is_same_number(phone: &Phone, other: &str, rules: &CallerIdRules) -> bool {
    let canonical = other.strip_prefix('+').is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    match canonical {
        // As Twilio sends it; not worth reading a second number for every call.
        true => other == phone.e164(),
        false => phone_of(other, rules).as_ref() == Some(phone),
    }
}

fn phone_of(text: &str, rules: &CallerIdRules) -> Option<Phone> {
    let text = clean(text)?;
    let (_, number) = split_scheme(&text);
    let number = number.split(['@', ';']).next()?;
    Phone::read(&Written::dissect(number)?, rules.region).map(|(phone, _)| phone)
}
