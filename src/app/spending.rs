//! Keeps what is spent of the sources' long budgets in the store, behind the calls: no call waits for
//! it. What is claimed ahead is what a process that is killed may have spent unseen.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::Spent;
use crate::http::Current;
use crate::lookup::Engine;
use crate::store::{self, Database, spent};

/// Between attempts while the store fails.
const RETRY: Duration = Duration::from_secs(5);
/// Others are heard of this often, if calls are made at all.
const LISTEN: Duration = Duration::from_secs(15);
/// No exchange takes longer: a store that hangs has failed.
const ATTEMPT: Duration = Duration::from_secs(4);

/// One life of this gateway, as the store knows it.
pub struct Spending {
    database: Database,
    life: String,
    clock: Clock,
}

impl Spending {
    /// What earlier lives and other gateways spent is known to the engine from now on.
    pub async fn begin(database: Database, engine: &Engine, clock: Clock) -> Result<Self, store::Error> {
        let spending = Self { database, life: uuid::Uuid::now_v7().to_string(), clock };
        spending.exchange(engine, Vec::new()).await?;
        Ok(spending)
    }

    /// Claims what calls will spend until `stop`, then says what they did.
    pub async fn keep(self, current: Arc<Current>, stop: CancellationToken) {
        let engine = || current.get().edge.engine().clone();
        let unclaimed = engine().unclaimed();
        let (mut failing, mut claimed) = (false, false);
        loop {
            tokio::select! {
                // dropping any of these loses nothing
                () = unclaimed.notified() => claimed = true,
                () = tokio::time::sleep(if failing { RETRY } else { LISTEN }), if claimed => {}
                () = stop.cancelled() => break,
            }
            let said = self.exchange(&engine(), engine().claim(false)).await;
            match (&said, failing) {
                (Err(error), false) => {
                    let reason = error.reason();
                    tracing::warn!(reason, %error, "what is spent of the sources' budgets is kept in memory only");
                }
                (Ok(()), true) => tracing::info!("what is spent of the sources' budgets is kept again"),
                _ => {}
            }
            failing = said.is_err();
        }
        if claimed && let Err(error) = self.exchange(&engine(), engine().claim(true)).await {
            tracing::warn!(reason = error.reason(), %error, "a little more counts as spent than was");
        }
    }

    async fn exchange(&self, engine: &Engine, own: Vec<Spent>) -> Result<(), store::Error> {
        let exchanged = spent::exchange(&self.database, &self.life, own, self.clock.now());
        let others = tokio::time::timeout(ATTEMPT, exchanged).await.unwrap_or(Err(store::Error::Slow))?;
        engine.hear_of(&others);
        Ok(())
    }
}
