//! The place of one delivery in a run, which limits how many of its deliveries are in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::OwnedSemaphorePermit;

use super::turns::{Turn, Turns};
use crate::error::{Error, Kind};
use crate::process::own;

/// The limit of a run, as its deliveries see it.
#[derive(Clone)]
pub(crate) struct RunLimit {
    /// One permit for each delivery that may be in flight.
    pub(crate) slots: Arc<own::Semaphore>,
    /// The caller has canceled the run.
    pub(crate) canceled: Arc<AtomicBool>,
}

/// The place of one delivery. A delivery without a turn of its endpoint does not use up the limit.
pub(crate) struct RunPlace {
    limit: RunLimit,
    // Released in this order.
    turn: Option<Turn>,
    slot: Option<OwnedSemaphorePermit>,
    /// Counts the delivery among those of the run that wait for a turn.
    waiting: Option<Box<dyn Send + Sync>>,
}

impl RunPlace {
    /// Takes a free turn and a free slot, so that deliveries start in the order of their submission.
    ///
    /// * `waits`: returns a guard that counts the delivery as waiting. Called only if no turn is free.
    pub(super) fn take(
        limit: RunLimit,
        turns: &Turns,
        waits: impl FnOnce() -> Box<dyn Send + Sync>,
    ) -> Self {
        let turn = turns.try_take();
        let slot = turn.as_ref().and_then(|_| limit.slots.clone().try_acquire_owned().ok());
        let waiting = turn.is_none().then(waits);
        Self { limit, turn, slot, waiting }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.slot.is_some()
    }

    /// Waits for a turn unless the delivery has one, then for a slot.
    ///
    /// Fails with `handle_closed` once the endpoint was removed, and with `canceled` if the run was
    /// canceled.
    pub(super) async fn wait(&mut self, turns: &Turns) -> Result<(), Error> {
        if self.turn.is_none() {
            self.turn = Some(turns.take().await?);
        }
        self.waiting = None;
        if self.slot.is_none() {
            self.slot = self.limit.slots.clone().acquire_owned().await.ok();
        }
        // A canceled task releases its slot to the next task, which must stop too.
        if self.limit.canceled.load(Ordering::Acquire) {
            return Err(Error::new(Kind::Canceled, "canceled with its run at stage admit"));
        }
        Ok(())
    }
}
