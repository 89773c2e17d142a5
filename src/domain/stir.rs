//! How far a call is trusted: what the carriers attest (STIR/SHAKEN), the channel, and whether
//! it was forwarded. A judgement of one call: nothing of it is kept with the person.

use super::identity::{CallerId, CallerIdStatus, Channel, Identity};

/// What Twilio's `StirVerstat` says of one call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Attestation {
    /// A: the carrier knows the caller and that the number is theirs.
    Full,
    /// B: the carrier knows the caller, not the number.
    Partial,
    /// C: the carrier knows where the call entered its network, nothing else.
    Gateway,
    /// Signed by who forwarded the call; says nothing about the first caller.
    Diverted,
    /// There was a signature and it does not hold.
    Failed,
}

impl Attestation {
    /// Reads the value by its parts: `TN-Validation-Passed-A`, `…-Failed-C-Diverted`,
    /// `…-Passed-B-Passthrough`. `None` is no verdict: absent (the normal case outside North
    /// America), `No-TN-Validation`, `NULL`, and values newer than this code, unless one of
    /// their parts speaks against the call.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let rest =
            text.get(..PREFIX.len()).filter(|head| head.eq_ignore_ascii_case(PREFIX)).and(text.get(PREFIX.len()..))?;
        let mut level = None;
        let (mut passed, mut diverted, mut unknown) = (false, false, false);
        for part in rest.split('-') {
            match part.to_ascii_lowercase().as_str() {
                "failed" => return Some(Self::Failed),
                "passed" => passed = true,
                "a" => level = Some(Self::Full),
                "b" => level = Some(Self::Partial),
                "c" => level = Some(Self::Gateway),
                "diverted" => diverted = true,
                // The signature was handed on as it was, and was verified like any other.
                "passthrough" => {}
                _ => unknown = true,
            }
        }
        match level.filter(|_| passed && !unknown) {
            _ if diverted => Some(Self::Diverted),
            verdict => verdict,
        }
    }
}

const PREFIX: &str = "TN-Validation-";

/// How far a call is trusted; caps what is shown and said. Ordered, low to high.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Trust {
    /// Failed or diverted attestation, an identity that its owner chose, a number that names
    /// no country: anybody could be calling.
    Low,
    /// Not attested, or not fully, and nothing speaks against it.
    Normal,
    /// The carrier or the channel vouches for the number.
    Attested,
}

impl Trust {
    /// `stir` is the call's `StirVerstat`, as it came.
    pub fn of(caller: &CallerId, stir: Option<&str>) -> Self {
        let phone = match &caller.identity {
            Some(Identity::Phone(phone)) if caller.status == CallerIdStatus::Ok => phone,
            _ => return Self::Low,
        };
        if caller.flags.suspicious || caller.flags.diverted || phone.region() == "001" {
            return Self::Low;
        }
        match (caller.channel, stir.and_then(Attestation::parse)) {
            (_, Some(Attestation::Failed | Attestation::Diverted)) => Self::Low,
            // WhatsApp has verified the number by itself.
            (Channel::Whatsapp, _) | (_, Some(Attestation::Full)) => Self::Attested,
            (_, Some(Attestation::Partial | Attestation::Gateway) | None) => Self::Normal,
        }
    }

    /// Whether a caller may be greeted by name, if the match allows it.
    pub fn may_greet(self) -> bool {
        self > Self::Low
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::Attested => "attested",
        }
    }
}
