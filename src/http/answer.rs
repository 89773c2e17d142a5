//! From a question to bytes: ask the engine, look through the reader's view, note the delivery.
//! Bytes of a view are made once per revision of a context.

use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use http::HeaderMap;
use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use super::Edge;
use super::parameters::Parameters;
use crate::config::Input;
use crate::domain::{CallerIdStatus, Identity, LookupStatus, NameId, Organization, Trust, Value};
use crate::lookup::{Answer, Ask, CacheState, Purse};
use crate::store;
use crate::store::audit::Delivery;
use crate::store::keys::Grant;
use crate::telemetry::metrics::Surface;
use crate::telemetry::traces::Parent;
use crate::view::attributes::{self, Facts};
use crate::view::json::{self, Explain};
use crate::view::{Ceiling, Policy, Rendered, ViewId};

/// Who is answered, by credential or by signature.
#[derive(Debug, Clone)]
pub struct Reader {
    /// For the audit log: a key's public id, or `twilio:<AccountSid>`.
    pub id: Arc<str>,
    pub organization: Organization,
    /// The name of the view it reads through.
    pub view: Arc<str>,
    pub purse: Purse,
}

impl From<Grant> for Reader {
    fn from(grant: Grant) -> Self {
        let purse = Purse::Key(grant.key_id.clone());
        Self { id: grant.key_id, organization: grant.organization, view: grant.view, purse }
    }
}

impl Reader {
    fn ask(&self, identity: Identity, question: &Question<'_>) -> Ask {
        Ask {
            organization: self.organization.clone(),
            identity,
            inputs: question.inputs.clone(),
            deadline: question.deadline,
            purse: self.purse.clone(),
        }
    }
}

/// What a reader asked, apart from whom it asked about.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// Whose trace it belongs to, if to any, is in here.
    pub headers: &'a HeaderMap,
    pub inputs: Arc<[(NameId, Value)]>,
    pub deadline: Duration,
    pub call_sid: Option<Arc<str>>,
}

impl Question<'_> {
    fn parent(&self) -> Parent {
        Parent::of(self.headers)
    }
}

/// How an answer looks beside its view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// Flat attributes; the call's trust caps what they hold.
    Studio { caller_id: CallerIdStatus, trust: Trust, burst: bool },
    /// The agents' JSON.
    Context { caller_id: CallerIdStatus },
}

/// What bytes are kept by. A context's revision is unique in the process; the organization is
/// in the key nonetheless.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RenderKey {
    organization: Organization,
    revision: u64,
    view: ViewId,
    shape: Shape,
}

/// Bytes of views, bounded by what they weigh.
pub type RenderedCache = Cache<RenderKey, Arc<Rendered>, Weight, RandomState>;

#[derive(Clone)]
pub struct Weight;

impl Weighter<RenderKey, Arc<Rendered>> for Weight {
    fn weight(&self, _: &RenderKey, rendered: &Arc<Rendered>) -> u64 {
        rendered.weight() as u64
    }
}

pub fn rendered_cache(max_bytes: u64) -> RenderedCache {
    Cache::with(256, max_bytes, Weight, RandomState::default(), DefaultLifecycle::default())
}

/// A parameter that cannot have the value it has.
#[derive(Debug, PartialEq, Eq)]
pub struct Invalid(pub Arc<str>);

/// Declared inputs of a request.
pub struct Inputs {
    /// Sorted by name; defaults where the request says nothing, or what cannot be.
    pub values: Arc<[(NameId, Value)]>,
    pub invalid: Option<Invalid>,
}

impl Shape {
    pub(super) fn ceiling(self) -> Ceiling {
        match self {
            Self::Studio { trust, .. } => Ceiling::of_call(trust),
            Self::Context { .. } => Ceiling::Whole,
        }
    }
}

impl Edge {
    pub(super) async fn ask(&self, reader: &Reader, identity: Identity, question: &Question<'_>) -> Answer {
        let answer = self.engine.answer_within(&reader.ask(identity, question), || question.parent()).await;
        self.log(reader, &answer);
        answer
    }

    /// The same about several people at once, in their order.
    pub(super) async fn ask_together(
        &self,
        reader: &Reader,
        people: impl Iterator<Item = Identity>,
        question: &Question<'_>,
    ) -> Vec<Answer> {
        let asks: Vec<_> = people.map(|identity| reader.ask(identity, question)).collect();
        let answers = self.engine.answer_together(&asks, || question.parent()).await;
        answers.iter().for_each(|answer| self.log(reader, answer));
        answers
    }

    fn log(&self, reader: &Reader, answer: &Answer) {
        if answer.cache != CacheState::Hit && tracing::enabled!(tracing::Level::DEBUG) {
            let caller_ref = self.engine.caller_refs().of(&reader.organization, answer.identity());
            let status = answer.status().as_str();
            tracing::debug!(organization = %reader.organization, caller_ref, status, cache = answer.cache.as_str());
        }
    }

    /// The bytes of an answer for a reader, with the delivery noted.
    ///
    /// # Errors
    /// In strict mode, when the delivery cannot be noted: nothing may be delivered then.
    pub(super) async fn deliver(
        &self,
        reader: &Reader,
        answer: &Answer,
        shape: Shape,
        surface: Surface,
        call_sid: Option<Arc<str>>,
        explain: bool,
    ) -> Result<Arc<Rendered>, store::Error> {
        let policy = &self.policy;
        let view = policy.find(&reader.view);
        let rendered = if explain {
            let explain = Explain { now: self.clock.now(), cache: answer.cache };
            Arc::new(self.render(policy, view, answer, shape, Some(explain)))
        } else {
            self.rendered(policy, view, answer, shape)
        };
        let delivery = Delivery {
            organization: reader.organization.clone(),
            reader: reader.id.clone(),
            view: policy.view(view).name.clone(),
            surface: surface.as_str(),
            identity: Some(answer.identity().clone()),
            call_sid,
            sources: rendered.sources.clone(),
            fields: rendered.fields.clone(),
            lookup_status: rendered.lookup_status.as_str(),
        };
        self.note(delivery).await?;
        Ok(rendered)
    }

    pub(super) async fn note(&self, delivery: Delivery) -> Result<(), store::Error> {
        if self.config.audit.strict {
            return self.audit.record_strict(delivery).await;
        }
        self.audit.record(delivery);
        Ok(())
    }

    fn rendered(&self, policy: &Policy, view: ViewId, answer: &Answer, shape: Shape) -> Arc<Rendered> {
        let key = RenderKey { organization: answer.organization().clone(), revision: answer.revision(), view, shape };
        if let Some(rendered) = self.rendered.get(&key) {
            self.metrics.rendered_hit.increment(1);
            return rendered;
        }
        self.metrics.rendered_miss.increment(1);
        let rendered = Arc::new(self.render(policy, view, answer, shape, None));
        self.rendered.insert(key, rendered.clone());
        rendered
    }

    pub(super) fn render(
        &self,
        policy: &Policy,
        view: ViewId,
        answer: &Answer,
        shape: Shape,
        explain: Option<Explain>,
    ) -> Rendered {
        let lens = policy.lens(view, shape.ceiling());
        let (context, plan) = (answer.context(), policy.plan());
        match shape {
            Shape::Studio { caller_id, trust, burst } => {
                let facts =
                    Facts { caller_id_status: caller_id.as_str(), may_greet: trust.may_greet(), call_burst: burst };
                attributes::render(context, lens, plan, facts, &self.config.studio)
            }
            Shape::Context { caller_id } => json::render(context, lens, plan, caller_id.as_str(), explain),
        }
    }

    /// Counts an answer.
    pub(super) fn answered(
        &self,
        organization: &Organization,
        surface: Surface,
        status: LookupStatus,
        started: tokio::time::Instant,
    ) {
        self.metrics.answered(organization, surface, status, self.clock.since(started));
    }

    /// How long the answer may wait: as the request says, within the configured bounds.
    pub(super) fn deadline(&self, parameters: &Parameters<'_>) -> Result<Duration, Invalid> {
        const NAME: &str = "deadline_ms";
        let rules = &self.config.lookup;
        let Some(text) = parameters.get(NAME) else { return Ok(rules.deadline) };
        let asked = text.trim().parse().map_err(|_| Invalid(NAME.into()))?;
        Ok(Duration::from_millis(asked).clamp(rules.deadline_min, rules.deadline_max))
    }

    /// Declared inputs as the request gives them, or their defaults.
    pub(super) fn inputs(&self, parameters: &Parameters<'_>) -> Inputs {
        let declared = &self.config.inputs;
        if declared.iter().all(|input| parameters.get(&input.text).is_none()) {
            return Inputs { values: self.defaults.clone(), invalid: None };
        }
        let mut invalid = None;
        let mut values = Vec::with_capacity(declared.len());
        for input in declared {
            let given = parameters.get(&input.text).map(str::trim);
            let value = match given.filter(|text| fits(input, text)) {
                Some(text) => Some(Arc::from(text)),
                None => input.default.clone(),
            };
            if given.is_some_and(|text| !fits(input, text)) {
                invalid = Some(Invalid(input.text.clone()));
            }
            values.extend(value.map(|text| (input.name, Value::Text(text))));
        }
        values.sort_unstable_by_key(|(name, _)| *name);
        Inputs { values: values.into(), invalid }
    }
}

pub fn default_inputs(declared: &[Input]) -> Arc<[(NameId, Value)]> {
    let default = |input: &Input| Some((input.name, Value::Text(input.default.clone()?)));
    let mut values: Vec<_> = declared.iter().filter_map(default).collect();
    values.sort_unstable_by_key(|(name, _)| *name);
    values.into()
}

fn fits(input: &Input, text: &str) -> bool {
    text.chars().count() <= input.max_chars
        && text.chars().all(|c| c.is_ascii_alphanumeric() || input.extra_letters.contains(c))
}

/// A call's sid, if it looks like an id at all: it goes into the audit log as it is, and a number
/// must not.
pub fn call_sid(text: Option<&str>) -> Option<Arc<str>> {
    let text = text?.trim();
    let letters = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let fits = (1..=64).contains(&text.len()) && letters && text.bytes().any(|b| b.is_ascii_alphabetic());
    fits.then(|| text.into())
}
