//! Limits how many deliveries may wait, in one dispatcher and of one owner.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};

use crate::error::{Error, Kind, Scope};
use crate::process::{self, PerProcess, own};

/// The deliveries of one owner take at most a quarter of the places to wait.
const SHARE: usize = 4;

/// How many deliveries of one dispatcher may wait.
pub(crate) struct WaitLimit {
    max: usize,
    waiters: PerProcess<Arc<Waiters>>,
}

/// The waiting deliveries, by the owner of their endpoints.
#[derive(Default)]
struct Waiters {
    owners: own::Mutex<HashMap<Arc<str>, usize>>,
    count: Arc<AtomicUsize>,
}

impl WaitLimit {
    /// * `max`: the maximum number of waiting deliveries.
    pub(crate) fn new(max: usize) -> Self {
        Self { max, waiters: PerProcess::default() }
    }

    /// Returns how many deliveries wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiters.get().value.count.load(Ordering::Relaxed)
    }

    /// The maximum for one owner, and for one endpoint.
    pub(super) fn share(&self) -> usize {
        self.max.div_ceil(SHARE)
    }

    /// Counts a waiting delivery until the returned value is dropped. Fails with `overloaded` if too
    /// many deliveries wait, of this owner or of the dispatcher.
    pub(crate) fn enter(&self, owner: &Arc<str>) -> Result<Waiter, Error> {
        let waiters = self.waiters.get().value.clone();
        let count = CountGuard::below(&waiters.count, self.max).ok_or_else(|| {
            overloaded(format!("{} deliveries of this dispatcher wait already", self.max))
        })?;
        let share = self.share();
        {
            let mut owners = waiters.owners.lock().unwrap_or_else(PoisonError::into_inner);
            let own = owners.entry(owner.clone()).or_default();
            if *own >= share {
                let message = format!("{share} deliveries of this endpoint's owner wait already");
                return Err(overloaded(message).scoped(Scope::Endpoint));
            }
            *own += 1;
        }
        let process = process::id();
        Ok(Waiter { process, waiters, owner: owner.clone(), _count: count })
    }
}

/// One waiting delivery of an owner, until this is dropped.
pub(crate) struct Waiter {
    process: u32,
    waiters: Arc<Waiters>,
    owner: Arc<str>,
    _count: CountGuard,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        // A forked child may have inherited the mutex locked.
        if self.process != process::id() {
            return;
        }
        let mut owners = self.waiters.owners.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = owners.get_mut(&self.owner) {
            *own -= 1;
            if *own == 0 {
                owners.remove(&self.owner);
            }
        }
    }
}

/// Adds one to a counter until it is dropped.
pub(super) struct CountGuard(Arc<AtomicUsize>);

impl CountGuard {
    /// Returns `None` if the counter has reached `max`.
    pub(super) fn below(count: &Arc<AtomicUsize>, max: usize) -> Option<Self> {
        let counted = |waiting: usize| (waiting < max).then_some(waiting + 1);
        count.fetch_update(Ordering::AcqRel, Ordering::Acquire, counted).ok()?;
        Some(Self(count.clone()))
    }
}

impl Drop for CountGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

pub(super) fn overloaded(message: String) -> Error {
    Error::new(Kind::Overloaded, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_deliveries_and_those_of_one_owner_are_limited() {
        let limit = WaitLimit::new(8);
        let owners: Vec<Arc<str>> = ["a", "b", "c", "d", "e"].map(Arc::from).to_vec();
        let refused = |owner: &Arc<str>| limit.enter(owner).err().map(|it| (it.kind(), it.scope()));
        let mut waiters = Vec::new();
        for owner in &owners[..4] {
            waiters.extend((0..2).map(|_| limit.enter(owner).unwrap()));
            let of_owner = Some((Kind::Overloaded, Scope::Endpoint));
            assert!(waiters.len() == 8 || refused(owner) == of_owner);
        }
        assert_eq!(refused(&owners[4]), Some((Kind::Overloaded, Scope::Process)));
        waiters.pop();
        assert_eq!(refused(&owners[0]), Some((Kind::Overloaded, Scope::Endpoint)));
        assert!(limit.enter(&owners[4]).is_ok());
        drop(waiters);
        assert!(limit.waiters.get().value.owners.lock().unwrap().is_empty());
        assert_eq!(limit.waiters.get().value.count.load(Ordering::Relaxed), 0);
    }
}
