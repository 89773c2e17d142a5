//! People who are asked about together, those of a meeting: what a source answers for several at
//! once waits until everybody's first questions are known, and goes out in one request. Each
//! person's question is a flight of its own, so whoever else asks about them joins it.

use std::sync::{Arc, Mutex, PoisonError};

use smallvec::SmallVec;
use tokio::runtime::Handle;

use super::Shared;
use super::assembly::{Asked, Landed, read};
use super::cache::Epoch;
use super::flight::{Flight, Lead, Role};
use super::readings::ReadingId;
use crate::domain::Identity;
use crate::source::Call;

type Flying = (ReadingId, Epoch);
type Leading = Lead<Flying, Option<Landed>>;

/// The questions of those who are asked about together.
struct Gathering {
    shared: Arc<Shared>,
    runtime: Handle,
    questions: Mutex<Vec<Question>>,
}

/// One person's question, and the duty to answer it.
struct Question {
    asked: Asked,
    lead: Leading,
}

/// One person's place among them. When the last is given up, the questions go out.
pub(super) struct Seat(Arc<Gathering>);

impl Seat {
    /// As many seats as there are people.
    pub(super) fn several(shared: &Arc<Shared>, people: usize) -> Vec<Self> {
        let (shared, runtime, questions) = (shared.clone(), Handle::current(), Mutex::default());
        let gathering = Arc::new(Gathering { shared, runtime, questions });
        (0..people).map(|_| Self(gathering.clone())).collect()
    }

    /// The duty to answer a question; none where somebody has it already.
    pub(super) fn lead(&self, flying: Flying) -> Option<Leading> {
        match self.0.shared.reading_flights.join_or_lead(flying) {
            Role::Follower(_) => None,
            Role::Leader(lead) => Some(lead),
        }
    }

    /// Keeps a question until the others are known too.
    pub(super) fn ask(&self, asked: Asked, lead: Leading) -> Arc<Flight<Option<Landed>>> {
        let flight = lead.flight().clone();
        self.0.questions.lock().unwrap_or_else(PoisonError::into_inner).push(Question { asked, lead });
        flight
    }
}

impl Drop for Gathering {
    fn drop(&mut self) {
        let mut rest = std::mem::take(self.questions.get_mut().unwrap_or_else(PoisonError::into_inner));
        while let Some(first) = rest.first() {
            let (id, account) = (first.asked.call.operation, first.asked.call.account.clone());
            let mut room = first.asked.call.operation().batch.as_ref().map_or(1, |batch| batch.max);
            let batch = rest.extract_if(.., |question| {
                let call = &question.asked.call;
                let fits = room > 0 && call.operation == id && call.account == account;
                room -= usize::from(fits);
                fits
            });
            let batch: Vec<_> = batch.collect();
            self.shared.tracker.spawn_on(answer(self.shared.clone(), batch), &self.runtime);
        }
    }
}

/// Asks about several people in one request; about one as about anybody.
async fn answer(shared: Arc<Shared>, questions: Vec<Question>) {
    let people: SmallVec<[&Asked; 1]> = questions.iter().map(|question| &question.asked).collect();
    let landed = match people.as_slice() {
        [one] => read(&shared, &one.call, &people).await,
        [first, ..] => read(&shared, &call_of_several(first, &people), &people).await,
        [] => return,
    };
    for (question, landed) in questions.iter().zip(landed) {
        question.lead.flight().with(|state| *state = Some(landed));
    }
}

/// One call for all of them. It has no input of its own: whatever it sends of people are their
/// addresses.
fn call_of_several(first: &Asked, people: &[&Asked]) -> Call {
    let email = |asked: &&Asked| match &asked.call.identity {
        Identity::Email(email) => Some(email.clone()),
        Identity::Phone(_) | Identity::CustomerId(_) => None,
    };
    Call {
        plan: first.call.plan.clone(),
        operation: first.call.operation,
        table: None,
        identity: first.call.identity.clone(),
        emails: people.iter().filter_map(email).collect(),
        phones: Arc::default(),
        values: Arc::default(),
        account: first.call.account.clone(),
        attempts: Default::default(),
    }
}
