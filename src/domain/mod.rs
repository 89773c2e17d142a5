//! Pure types of the trade. Imports nothing of this crate; does no I/O, reads no clock.

pub mod context;
pub mod email;
pub mod field;
pub mod identity;
pub mod organization;
pub mod outcome;
pub mod packed;
pub mod phone;
pub mod reading;
pub mod spent;
pub mod stir;
pub mod value;

pub use context::{CacheState, Context, LookupStatus, Match, SourceId, SourceReport, SourceState};
pub use email::Email;
pub use field::{Class, NameId, Names, Type, canonical};
pub use identity::{CallerId, CallerIdRules, CallerIdStatus, Channel, CustomerId, Identity, judge};
pub use organization::Organization;
pub use outcome::{Failure, Outcome, Skip};
pub use packed::Packed;
pub use phone::{Phone, Sameness, Spelling};
pub use reading::{Hit, Reading, Timed};
pub use spent::Spent;
pub use stir::{Attestation, Trust};
pub use value::Value;
