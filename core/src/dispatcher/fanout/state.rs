//! The state that a [`Fanout`](super::Fanout) shares with the tasks of its deliveries.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use slab::Slab;
use tokio::task::AbortHandle;

use super::backlog::Backlog;
use super::{Delivery, Receipt};
use crate::admission::RunLimit;
use crate::error::Error;
use crate::process::{Lock, Locked, Once, own};

/// How many deliveries of one run may wait for a turn. At this limit, the run asks for no more
/// deliveries until one of them gets its turn: memory stays bounded, and no delivery is refused.
const MAX_WAITING: usize = 1024;

/// The progress of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FanoutProgress {
    /// How many deliveries have ended, including the failed ones.
    pub done: u64,
    /// How many deliveries have failed.
    pub failed: u64,
    /// How many deliveries are in flight.
    pub in_flight: usize,
    /// How many deliveries wait for a turn of their endpoint.
    pub waiting: usize,
}

/// A delivery of a run, and its receipt or error.
pub type Outcome<T = Delivery, S = Receipt> = (T, Result<S, Error>);

pub(super) struct FanoutState<T, S> {
    /// With this many unread outcomes, the run asks for no further delivery.
    max_unread: usize,
    unread: AtomicUsize,
    /// `None` if the caller enforces its own limit. A delivery then waits for a turn and a connection
    /// like a single one.
    pub(super) limit: Option<RunLimit>,
    /// The payloads that the run holds.
    pub(super) backlog: Arc<Backlog>,
    waiting: AtomicUsize,
    canceled: Arc<AtomicBool>,
    pub(super) watcher: Once<Waker>,
    locked: Lock<LockedState<T, S>>,
}

struct LockedState<T, S> {
    progress: FanoutProgress,
    finished: VecDeque<Outcome<T, S>>,
    /// The tasks that run. An entry is `None` until its task has started.
    tasks: Slab<Option<AbortHandle>>,
    /// How many of the tasks close the dispatcher.
    closing: usize,
    wakers: Vec<Waker>,
}

impl<T, S> FanoutState<T, S> {
    /// * `slots`: one for each delivery that may run at once; `None` if the caller enforces its own
    ///   limit.
    pub(super) fn new(slots: Option<Arc<own::Semaphore>>) -> Self {
        let locked = LockedState {
            progress: FanoutProgress::default(),
            finished: VecDeque::new(),
            tasks: Slab::new(),
            closing: 0,
            wakers: Vec::new(),
        };
        let max_unread =
            slots.as_ref().map_or(usize::MAX, |slots| own::Semaphore::available_permits(slots));
        let canceled = Arc::new(AtomicBool::new(false));
        Self {
            max_unread,
            unread: AtomicUsize::new(0),
            limit: slots.map(|slots| RunLimit { slots, canceled: canceled.clone() }),
            backlog: Arc::default(),
            waiting: AtomicUsize::new(0),
            canceled,
            watcher: Once::new(),
            locked: Lock::new(locked),
        }
    }

    /// Whether the run can take one more delivery.
    pub(super) fn has_room(&self) -> bool {
        let free = |limit: &RunLimit| limit.slots.available_permits() > 0;
        !self.is_canceled()
            && self.limit.as_ref().is_none_or(free)
            && self.backlog.has_room()
            && self.waiting.load(Ordering::Acquire) < MAX_WAITING
            && self.unread.load(Ordering::Acquire) < self.max_unread
    }

    fn is_canceled(&self) -> bool {
        self.canceled.load(Ordering::Acquire)
    }

    /// Reserves the slot in which the outcome of one delivery or operation is recorded.
    ///
    /// * `closes`: whether it closes the dispatcher.
    pub(super) fn reserve(self: &Arc<Self>, tag: T, closes: bool) -> CompletionSlot<T, S> {
        let mut state = self.lock();
        let key = (!self.is_canceled()).then(|| state.tasks.insert(None));
        state.closing += usize::from(closes);
        CompletionSlot { state: self.clone(), key, closes, tag: Some(tag) }
    }

    /// Counts a delivery as waiting for its turn until the guard is dropped.
    pub(super) fn wait_for_turn(self: &Arc<Self>) -> WaitingForTurn<T, S> {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        WaitingForTurn(self.clone())
    }

    /// Records the handle of a task that has started; aborts the task if the run was canceled.
    pub(super) fn started(&self, key: Option<usize>, task: AbortHandle) {
        let mut state = self.lock();
        match key {
            Some(key) if !self.is_canceled() => state.tasks[key] = Some(task),
            _ => {
                drop(state);
                task.abort();
            }
        }
    }

    fn complete(&self, key: Option<usize>, closes: bool, tag: T, outcome: Result<S, Error>) {
        let mut state = self.lock();
        state.closing -= usize::from(closes);
        // A canceled run returns no further outcomes.
        let Some(key) = key.filter(|_| !self.is_canceled()) else { return };
        state.tasks.remove(key);
        state.progress.done += 1;
        state.progress.failed += u64::from(outcome.is_err());
        state.finished.push_back((tag, outcome));
        self.unread.fetch_add(1, Ordering::AcqRel);
        // Only the first outcome wakes the watcher, which then takes all outcomes at once.
        let first = state.finished.len() == 1;
        self.wake(state, first);
    }

    pub(super) fn next_outcome(&self) -> Option<Outcome<T, S>> {
        let outcome = self.lock().finished.pop_front()?;
        self.unread.fetch_sub(1, Ordering::AcqRel);
        Some(outcome)
    }

    pub(super) fn all_outcomes(&self) -> Vec<Outcome<T, S>> {
        let finished = std::mem::take(&mut self.lock().finished);
        self.unread.fetch_sub(finished.len(), Ordering::AcqRel);
        finished.into()
    }

    pub(super) fn has_outcome(&self) -> bool {
        !self.lock().finished.is_empty()
    }

    pub(super) fn is_idle(&self) -> bool {
        let state = self.lock();
        state.finished.is_empty() && state.tasks.is_empty()
    }

    pub(super) fn poll_changed(&self, wants_room: bool, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        let idle = state.tasks.is_empty();
        if idle || !state.finished.is_empty() || (wants_room && self.has_room()) {
            return Poll::Ready(());
        }
        if !state.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            state.wakers.push(context.waker().clone());
        }
        Poll::Pending
    }

    /// Is ready once all tasks have ended but those that close the dispatcher.
    pub(super) fn poll_others_ended(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.tasks.len() <= state.closing {
            return Poll::Ready(());
        }
        state.wakers.push(context.waker().clone());
        Poll::Pending
    }

    /// How many outcomes the caller has not taken.
    pub(super) fn unread(&self) -> usize {
        self.unread.load(Ordering::Acquire)
    }

    /// How many deliveries have no outcome yet.
    pub(super) fn unfinished(&self) -> usize {
        self.lock().tasks.len()
    }

    pub(super) fn progress(&self) -> FanoutProgress {
        let state = self.lock();
        let tasks = state.tasks.len();
        let in_flight = match &self.limit {
            // The number of taken slots and the number of tasks can differ for a moment: a task
            // releases its slot before it records its outcome, and a canceled task is removed before
            // it releases its slot.
            Some(limit) => {
                self.max_unread.saturating_sub(limit.slots.available_permits()).min(tasks)
            }
            None => tasks,
        };
        let waiting = self.waiting.load(Ordering::Acquire).min(tasks - in_flight);
        FanoutProgress { in_flight, waiting, ..state.progress }
    }

    pub(super) fn cancel(&self) {
        let mut state = self.lock();
        self.canceled.store(true, Ordering::Release);
        let tasks = std::mem::take(&mut state.tasks);
        self.wake(state, true);
        tasks.into_iter().filter_map(|(_, task)| task).for_each(|task| task.abort());
    }

    /// Wakes all tasks that wait, and the watcher if `watcher` says so, after releasing the lock.
    fn wake(&self, mut state: Locked<'_, LockedState<T, S>>, watcher: bool) {
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        self.watcher.get().filter(|_| watcher).into_iter().for_each(Waker::wake_by_ref);
    }

    fn lock(&self) -> Locked<'_, LockedState<T, S>> {
        self.locked.lock()
    }
}

/// The slot for the outcome of one delivery. If it is dropped without an outcome (its task panicked
/// or did not start), the outcome is `internal`, so that the caller does not wait forever.
pub(super) struct CompletionSlot<T, S> {
    state: Arc<FanoutState<T, S>>,
    /// The key of the task. `None` if the run was canceled before.
    key: Option<usize>,
    closes: bool,
    tag: Option<T>,
}

impl<T, S> CompletionSlot<T, S> {
    pub(super) fn key(&self) -> Option<usize> {
        self.key
    }

    pub(super) fn complete(mut self, outcome: Result<S, Error>) {
        if let Some(tag) = self.tag.take() {
            self.state.complete(self.key, self.closes, tag, outcome);
        }
    }
}

impl<T, S> Drop for CompletionSlot<T, S> {
    fn drop(&mut self) {
        if let Some(tag) = self.tag.take() {
            self.state.complete(self.key, self.closes, tag, Err(Error::caught_panic()));
        }
    }
}

/// Counts one delivery that waits for a turn of its endpoint.
pub(super) struct WaitingForTurn<T, S>(Arc<FanoutState<T, S>>);

impl<T, S> Drop for WaitingForTurn<T, S> {
    fn drop(&mut self) {
        if self.0.waiting.fetch_sub(1, Ordering::AcqRel) == MAX_WAITING {
            self.0.wake(self.0.lock(), true);
        }
    }
}
