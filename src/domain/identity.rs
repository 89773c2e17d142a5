//! Who calls, as far as the number says: a phone, an e-mail or a customer id, or why there is
//! none. The order of the steps and every odd input stand in the table test beside this file.

use std::sync::Arc;

use super::{Email, Phone};

/// What a lookup starts from. Part of every cache key.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Identity {
    Phone(Phone),
    Email(Email),
    CustomerId(CustomerId),
}

/// A customer id given by a reader of the agent API. Never printed by `Debug`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CustomerId(pub Arc<str>);

impl std::fmt::Debug for CustomerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CustomerId(..)")
    }
}
