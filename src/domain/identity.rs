//! Who calls, as far as the number says: a phone, an e-mail or a customer id, or why there is
//! none. The judging of a call's parameters is in `identity/judge.rs`, its lists in
//! `identity/rules.rs`; every odd input stands in the table test, `tests/identity.rs`.

mod judge;
mod rules;

use std::fmt;
use std::sync::Arc;

use super::{Email, Phone};

pub use judge::judge;
pub use rules::{CallerIdLists, CallerIdRules, ListError};

/// What a lookup starts from. Part of every cache key.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Identity {
    Phone(Phone),
    Email(Email),
    CustomerId(CustomerId),
}

/// A customer id given by a reader of the agent API, or by the operator's map of client
/// identities. Never printed by `Debug`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CustomerId(pub Arc<str>);

impl fmt::Debug for CustomerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomerId(..)")
    }
}

/// What the parameters of a call say about who calls. Belongs to the call and is never stored
/// with the person. `Debug` shows nothing of the input.
#[derive(Clone, PartialEq, Eq)]
pub struct CallerId {
    pub status: CallerIdStatus,
    /// Set when the status is `ok`, and for `internal` callers whom the operator has mapped to
    /// a customer. Without it nothing is looked up and no key is made.
    pub identity: Option<Identity>,
    pub channel: Channel,
    pub flags: Flags,
    /// Why, for diagnostics.
    pub reason: Reason,
    /// The variable that a flow did not fill in (`widgets.greet.From`), when the reason is
    /// [`Reason::NotRendered`] and it looks like one.
    pub variable: Option<Arc<str>>,
}

/// The word of the answers' `caller_id_status`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CallerIdStatus {
    Ok,
    /// The caller does not show a number, or shows one that nobody has.
    Withheld,
    /// The flow sent none.
    Missing,
    /// One of ours: an agent, an extension, our own number.
    Internal,
    /// A short code, an emergency number, a name of a sender.
    Service,
    /// An address of another kind.
    NotANumber,
    Invalid,
}

impl CallerIdStatus {
    pub const ALL: [Self; 7] =
        [Self::Ok, Self::Withheld, Self::Missing, Self::Internal, Self::Service, Self::NotANumber, Self::Invalid];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Withheld => "withheld",
            Self::Missing => "missing",
            Self::Internal => "internal",
            Self::Service => "service",
            Self::NotANumber => "not_a_number",
            Self::Invalid => "invalid",
        }
    }
}

/// How the call came in. Says which key space an address belongs to: ids of messengers are
/// never phones.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Channel {
    Pstn,
    /// An app with the vendor's SDK; the identity is whatever the app chose.
    Client,
    Sip,
    /// Its numbers are verified by the channel.
    Whatsapp,
    Messenger,
    Rcs,
    Apple,
    Instagram,
    /// A scheme we do not know.
    Other,
}

impl Channel {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pstn => "pstn",
            Self::Client => "client",
            Self::Sip => "sip",
            Self::Whatsapp => "whatsapp",
            Self::Messenger => "messenger",
            Self::Rcs => "rcs",
            Self::Apple => "apple",
            Self::Instagram => "instagram",
            Self::Other => "other",
        }
    }
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub struct Flags {
    /// The text was broken on its way (a lost or doubled plus, double encoding) and was mended.
    pub repaired: bool,
    /// The country was not written; it was guessed or taken from the default region.
    pub assumed: bool,
    /// Looks like somebody pretending to have a number.
    pub suspicious: bool,
    /// A number typed to fill a field.
    pub placeholder: bool,
    /// The call was forwarded to us.
    pub diverted: bool,
    /// The leg of an agent.
    pub agent: bool,
}

/// Why a caller ID was judged as it was: a closed set, fit for logs and metric labels.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reason {
    Number,
    Mapped,
    Empty,
    NotRendered,
    TooLong,
    NotText,
    ControlCharacter,
    WithheldWord,
    WithheldNumber,
    Placeholder,
    CalledItself,
    OwnNumber,
    ForwardingNumber,
    Agent,
    Extension,
    ClientIdentity,
    PretendsToBeANumber,
    UntrustedDomain,
    SipAddress,
    ChannelId,
    UnknownScheme,
    ShortCode,
    StarCode,
    SenderName,
    Letters,
    Impossible,
}

impl Reason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Mapped => "mapped",
            Self::Empty => "empty",
            Self::NotRendered => "not_rendered",
            Self::TooLong => "too_long",
            Self::NotText => "not_text",
            Self::ControlCharacter => "control_character",
            Self::WithheldWord => "withheld_word",
            Self::WithheldNumber => "withheld_number",
            Self::Placeholder => "placeholder",
            Self::CalledItself => "called_itself",
            Self::OwnNumber => "own_number",
            Self::ForwardingNumber => "forwarding_number",
            Self::Agent => "agent",
            Self::Extension => "extension",
            Self::ClientIdentity => "client_identity",
            Self::PretendsToBeANumber => "pretends_to_be_a_number",
            Self::UntrustedDomain => "untrusted_domain",
            Self::SipAddress => "sip_address",
            Self::ChannelId => "channel_id",
            Self::UnknownScheme => "unknown_scheme",
            Self::ShortCode => "short_code",
            Self::StarCode => "star_code",
            Self::SenderName => "sender_name",
            Self::Letters => "letters",
            Self::Impossible => "impossible",
        }
    }
}

impl CallerId {
    /// The phone to look up, where there is one.
    pub fn phone(&self) -> Option<&Phone> {
        match &self.identity {
            Some(Identity::Phone(phone)) => Some(phone),
            _ => None,
        }
    }
}

impl fmt::Debug for CallerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, identity, channel, flags, reason, variable: _ } = self;
        let mut debug = f.debug_struct("CallerId");
        debug.field("status", status).field("identity", identity).field("channel", channel);
        debug.field("flags", flags).field("reason", reason).finish_non_exhaustive()
    }
}
