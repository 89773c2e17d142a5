//! What one policy shows more than another: said when a reload puts it in force.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Ceiling, Policy, Shown};
use crate::config::Mask;

/// A view through which more is seen than before.
#[derive(Debug, PartialEq, Eq)]
pub struct Widened {
    pub view: Arc<str>,
    /// Names that are shown, or masked less, and were not before.
    pub fields: Vec<Arc<str>>,
    /// Its readers became administrators.
    pub admin: bool,
}

impl Policy {
    /// The views, of this policy or only of the earlier one, whose readers see more than under the
    /// earlier one. A reader whose view is gone reads through the fallback.
    pub fn wider_than(&self, earlier: &Self) -> Vec<Widened> {
        let views: BTreeSet<&Arc<str>> = self.by_name.keys().chain(earlier.by_name.keys()).collect();
        views.into_iter().filter_map(|view| self.widened(view, earlier, view)).collect()
    }

    /// What somebody sees more who read through `before` of the earlier policy and reads through
    /// `view` of this one.
    pub fn widened(&self, view: &Arc<str>, earlier: &Self, before: &str) -> Option<Widened> {
        let (id, earlier_id) = (self.find(view), earlier.find(before));
        let mut fields = Vec::new();
        for (name, field) in self.plan.names.iter() {
            let more = [Ceiling::Whole, Ceiling::Public].into_iter().any(|ceiling| {
                let now = self.lens(id, ceiling).shown(name);
                let then = earlier.plan.names.get(&field.text);
                let then = then.map_or(NOTHING, |then| rank(earlier.lens(earlier_id, ceiling).shown(then)));
                rank(now).0 > then.0 || rank(now).0 == then.0 && rank(now).1 != then.1
            });
            if more {
                fields.push(field.text.clone());
            }
        }
        let admin = self.view(id).admin && !earlier.view(earlier_id).admin;
        (admin || !fields.is_empty()).then(|| Widened { view: view.clone(), fields, admin })
    }
}

const NOTHING: (u8, Option<Mask>) = (0, None);

/// How much is shown; two masks that hide different parts are both more than the other.
fn rank(shown: Shown) -> (u8, Option<Mask>) {
    match shown {
        Shown::Hidden(_) => NOTHING,
        Shown::Masked(Mask::Full) => (1, None),
        Shown::Masked(mask) => (2, Some(mask)),
        Shown::Plain => (3, None),
    }
}
