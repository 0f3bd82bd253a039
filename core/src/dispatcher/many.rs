//! Many deliveries at once: a bounded number under way, outcomes as they finish.
//!
//! A run pulls. It asks for another delivery only while fewer than `concurrency` are under way, so
//! what is not yet wanted is not yet made. A delivery whose consumer has no turn left is put aside
//! and counts for nothing until its turn comes; that is how a slow consumer holds up nobody else.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_core::Stream;
use slab::Slab;
use tokio::task::AbortHandle;

use super::receipt::Receipt;
use super::{Call, DeliverOptions, Dispatcher};
use crate::endpoint::Endpoint;
use crate::error::{Error, Kind};
use crate::options;
use crate::process::{self, Lock, Locked, Once, own};
use crate::runtime::{self, Driven, Lane};

/// How many deliveries are under way at once unless a run says otherwise.
const CONCURRENCY: usize = 64;

/// How many deliveries of one run may be put aside. Beyond it the run waits for a turn of theirs
/// before it asks for more: memory stays bounded, and nothing is refused for being many.
const ASIDE: usize = 1024;

/// One payload for one endpoint, to be delivered with others.
///
/// Cheap to clone; clones share the payload.
#[derive(Clone)]
pub struct Delivery {
    /// Where it goes.
    pub endpoint: Endpoint,
    /// The payload. Clones of one `Bytes` share it, so a fan-out holds it once.
    pub body: Bytes,
    /// What goes with it.
    pub options: DeliverOptions,
}

impl Delivery {
    /// A delivery to be made.
    pub fn new(endpoint: &Endpoint, body: impl Into<Bytes>, options: DeliverOptions) -> Self {
        Self { endpoint: endpoint.clone(), body: body.into(), options }
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The payload stays out of logs.
        f.debug_struct("Delivery")
            .field("endpoint", &self.endpoint)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .field("options", &self.options)
            .finish()
    }
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// How many have ended, those that failed included.
    pub done: u64,
    /// How many have failed.
    pub failed: u64,
    /// How many are under way.
    pub in_flight: usize,
    /// How many wait for a turn of their consumer.
    pub waiting: usize,
}

/// What became of one delivery of many: the delivery, and its receipt or error.
pub type Outcome<T = Delivery> = (T, Result<Receipt, Error>);

/// The outcomes of a run, in the order in which they finish. Dropping it cancels what is under way.
///
/// Made by [`Dispatcher::deliver_many`].
pub struct Outcomes<I> {
    source: Option<I>,
    fanout: Fanout<Delivery>,
}

impl<I> Outcomes<I> {
    /// How far the run has come.
    pub fn progress(&self) -> Progress {
        self.fanout.progress()
    }
}

impl<I: Iterator<Item = Delivery>> Outcomes<I> {
    /// The same for a thread that waits: an iterator that blocks, and drives deliveries meanwhile.
    ///
    /// To be asked for before the first outcome is.
    pub fn blocking(self) -> BlockingOutcomes<I> {
        let Self { source, fanout } = self;
        BlockingOutcomes { outcomes: Self { source, fanout: fanout.waited_for() } }
    }

    /// Submits what there is room for.
    fn fill(&mut self) {
        while let Some(deliveries) = &mut self.source
            && self.fanout.has_room()
        {
            match deliveries.next() {
                Some(delivery) => self.fanout.submit(delivery.clone(), delivery),
                None => self.source = None,
            }
        }
    }
}

impl<I: Iterator<Item = Delivery> + Unpin> Outcomes<I> {
    /// The next outcome; `None` when all have been given.
    pub async fn next(&mut self) -> Option<Outcome> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl<I: Iterator<Item = Delivery> + Unpin> Stream for Outcomes<I> {
    type Item = Outcome;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Outcome>> {
        loop {
            self.fill();
            let Self { source, fanout } = &mut *self;
            if let Some(outcome) = fanout.try_next() {
                return Poll::Ready(Some(outcome));
            }
            if fanout.is_idle() {
                return Poll::Ready(None);
            }
            if fanout.poll_changed(source.is_some(), context).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

/// The outcomes of a run for a thread that waits, in the order in which they finish. Dropping it
/// cancels what is under way.
///
/// Made by [`Outcomes::blocking`].
pub struct BlockingOutcomes<I> {
    outcomes: Outcomes<I>,
}

impl<I> BlockingOutcomes<I> {
    /// How far the run has come.
    pub fn progress(&self) -> Progress {
        self.outcomes.progress()
    }
}

impl<I: Iterator<Item = Delivery>> Iterator for BlockingOutcomes<I> {
    type Item = Outcome;

    fn next(&mut self) -> Option<Outcome> {
        loop {
            self.outcomes.fill();
            let Outcomes { source, fanout } = &self.outcomes;
            if let Some(outcome) = fanout.try_next() {
                return Some(outcome);
            }
            if fanout.is_idle() {
                return None;
            }
            // It fails where the runtime does not start, and then each delivery has said so.
            let _ = fanout.wait(source.is_some(), &mut || false);
        }
    }
}

/// The engine of a run, for those who bring a loop of their own: deliveries go in with a tag, tags
/// come out with outcomes. Dropping it cancels what is under way.
pub struct Fanout<T> {
    dispatcher: Dispatcher,
    process: u32,
    /// The lane that whoever waits for outcomes drives; there is none where nobody waits on a thread.
    home: Option<Once<usize>>,
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    /// How many outcomes may lie unread before no further delivery is wanted.
    most_unread: usize,
    unread: AtomicUsize,
    /// `None` where the caller bounds nothing and a delivery waits in the endpoint's own line.
    slots: Option<Arc<own::Semaphore>>,
    waiting: AtomicUsize,
    closed: AtomicBool,
    watcher: Once<Waker>,
    state: Lock<State<T>>,
}

struct State<T> {
    progress: Progress,
    finished: VecDeque<Outcome<T>>,
    /// The tasks under way; a place is empty while its task is about to start.
    tasks: Slab<Option<AbortHandle>>,
    waiters: Vec<Waker>,
}

impl Dispatcher {
    /// Delivers many: `concurrency` at once (64 where it is `None`), outcomes as they finish.
    ///
    /// Deliveries are taken from `deliveries` as they are wanted. The total deadline of each starts
    /// with its turn, so that none fails for those before it. A fault of a delivery is its outcome
    /// and ends nothing else.
    ///
    /// Fails with `option_invalid` unless `concurrency` is 1 to 1 000 000.
    pub fn deliver_many<I>(
        &self,
        deliveries: I,
        concurrency: Option<usize>,
    ) -> Result<Outcomes<I::IntoIter>, Error>
    where
        I: IntoIterator<Item = Delivery>,
    {
        let fanout = Fanout::new(self, concurrency)?;
        Ok(Outcomes { source: Some(deliveries.into_iter()), fanout })
    }
}

impl<T: Send + 'static> Fanout<T> {
    /// A run of at most `concurrency` deliveries at once; 64 where it is `None`.
    ///
    /// Fails with `option_invalid` unless it is 1 to 1 000 000.
    pub fn new(dispatcher: &Dispatcher, concurrency: Option<usize>) -> Result<Self, Error> {
        let concurrency = concurrency.unwrap_or(CONCURRENCY);
        if !(1..=1_000_000).contains(&concurrency) {
            let why = "must be a whole number from 1 to 1000000";
            return Err(options::fault("concurrency", why));
        }
        Ok(Self::over(dispatcher, Some(Arc::new(own::Semaphore::new(concurrency)))))
    }

    /// A run that bounds nothing itself: deliveries wait for their turn like any other, and are
    /// `overloaded` where too many do.
    pub fn unbounded(dispatcher: &Dispatcher) -> Self {
        Self::over(dispatcher, None)
    }

    fn over(dispatcher: &Dispatcher, slots: Option<Arc<own::Semaphore>>) -> Self {
        let state = State {
            progress: Progress::default(),
            finished: VecDeque::new(),
            tasks: Slab::new(),
            waiters: Vec::new(),
        };
        let most_unread =
            slots.as_ref().map_or(usize::MAX, |slots| own::Semaphore::available_permits(slots));
        let shared = Shared {
            most_unread,
            unread: AtomicUsize::new(0),
            slots,
            waiting: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            watcher: Once::new(),
            state: Lock::new(state),
        };
        let (dispatcher, process) = (dispatcher.clone(), process::id());
        Self { dispatcher, process, home: None, shared: Arc::new(shared) }
    }

    /// A run whose outcomes are waited for on a thread, by [`Fanout::wait`] or
    /// [`Fanout::next_within`], unless it is [watched](Fanout::watch).
    pub fn waited_for(mut self) -> Self {
        self.home = Some(Once::new());
        self
    }

    /// Waits on the calling thread, which blocks and drives deliveries meanwhile, for what
    /// [`Fanout::poll_changed`] tells.
    ///
    /// * `interrupt`: asked every 50 ms whether to stop. `false` if it said so.
    ///
    /// Fails with `internal` if the runtime cannot be started.
    pub fn wait(&self, hungry: bool, interrupt: &mut dyn FnMut() -> bool) -> Result<bool, Error> {
        let changed = poll_fn(|context| self.poll_changed(hungry, context));
        Ok(match self.driven()? {
            Some(lane) => runtime::drive_in(&lane, changed, Some(interrupt)).is_some(),
            None => runtime::drive(changed, interrupt).is_some(),
        })
    }

    /// The next outcome, for which the calling thread waits and drives deliveries meanwhile. `None` if
    /// none came within `limit` (`None` waits for ever), and at once if nothing is under way.
    ///
    /// Fails with `forked_process`, and with `internal` if the runtime cannot be started.
    pub fn next_within(&self, limit: Option<Duration>) -> Result<Option<Outcome<T>>, Error> {
        self.check_process()?;
        // What lies beyond the clock is never.
        let until = limit.and_then(|limit| Instant::now().checked_add(limit));
        loop {
            if let Some(outcome) = self.try_next() {
                return Ok(Some(outcome));
            }
            // Whoever only looks does not drive, and so must not take the lane from its keeper.
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if self.is_idle() || left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            // Another thread may take what this one was woken for.
            let changed = poll_fn(|context| self.poll_changed(false, context));
            let _ = match self.driven()? {
                Some(lane) => runtime::drive_in_for(&lane, changed, left),
                None => runtime::drive_for(changed, left),
            };
        }
    }

    /// The lane that whoever waits on this thread drives.
    fn driven(&self) -> Result<Option<Arc<Lane>>, Error> {
        let home = self.home.as_ref().and_then(Once::get).filter(|_| !runtime::is_inside());
        home.map(|home| runtime::lane(*home)).transpose()
    }

    /// Fails with `forked_process` in a process that has forked since: what is under way is the
    /// parent's.
    pub fn check_process(&self) -> Result<(), Error> {
        if self.process == process::id() {
            return Ok(());
        }
        Err(Error::new(Kind::ForkedProcess, "these deliveries belong to the process that forked"))
    }

    /// Whether one more delivery is wanted.
    pub fn has_room(&self) -> bool {
        let free = |slots: &Arc<own::Semaphore>| slots.available_permits() > 0;
        !self.shared.closed.load(Ordering::Acquire)
            && self.shared.slots.as_ref().is_none_or(free)
            && self.shared.waiting.load(Ordering::Acquire) < ASIDE
            && self.shared.unread.load(Ordering::Acquire) < self.shared.most_unread
    }

    /// Starts a delivery. Whatever becomes of it is an outcome.
    pub fn submit(&self, delivery: Delivery, tag: T) {
        let Delivery { endpoint, body, options } = delivery;
        let seat = self.shared.seat(tag);
        let prepared = self.check_process().and_then(|()| {
            // What waits for outcomes of this run is to wait for nothing that it holds up itself.
            if self.home.is_some() {
                self.dispatcher.check_reentry(&endpoint)?;
            }
            self.dispatcher.prepare(&endpoint, body, options)
        });
        let call = match prepared {
            Ok(call) => Call { patient: self.shared.slots.is_some(), ..call },
            Err(error) => return seat.leave(Err(error.for_consumer(endpoint.consumer()))),
        };
        let place = seat.place;
        let slots = self.shared.slots.clone();
        let lane = endpoint.lane();
        // Who gets a turn at once is under way at once: the order of arrival is that of submission.
        let turn = slots.as_ref().and_then(|_| call.endpoint.turns().try_take());
        let slot = turn.as_ref().and(slots.as_ref());
        let slot = slot.and_then(|slots| slots.clone().try_acquire_owned().ok());
        let aside = slots.as_ref().filter(|_| turn.is_none()).map(|_| self.shared.aside());
        let task = async move {
            let (mut turn, mut slot) = (turn, slot);
            if let Some(slots) = slots {
                if turn.is_none() {
                    turn = match call.endpoint.turns().take().await {
                        Ok(turn) => Some(turn),
                        Err(error) => {
                            let error = error.for_consumer(endpoint.consumer());
                            drop(call);
                            return seat.leave(Err(error));
                        }
                    };
                }
                drop(aside);
                if slot.is_none() {
                    slot = slots.acquire_owned().await.ok();
                }
                // The end of one that was cut gives its turn to the next, which is to be cut too.
                if seat.shared.closed.load(Ordering::Acquire) {
                    return;
                }
            }
            let outcome = call.run(turn).await;
            drop(call);
            drop(slot);
            seat.leave(outcome.map_err(|error| error.for_consumer(endpoint.consumer())));
        };
        let driven = match &self.home {
            Some(home)
                if *home.get_or_init(|| lane) == lane && self.shared.watcher.get().is_none() =>
            {
                Driven::ByOwner
            }
            _ => Driven::ByKeeper,
        };
        let shared = self.shared.clone();
        // Where none can be started, dropping the task has left its seat with an outcome.
        let _ = runtime::start(lane, driven, task, move |running| shared.started(place, running));
    }

    /// The same, but a process that has forked since is no outcome.
    ///
    /// Fails with `forked_process`.
    pub fn try_submit(&self, delivery: Delivery, tag: T) -> Result<(), Error> {
        self.check_process()?;
        self.submit(delivery, tag);
        Ok(())
    }

    /// An outcome, if one is there.
    pub fn try_next(&self) -> Option<Outcome<T>> {
        let outcome = self.shared.state().finished.pop_front()?;
        self.shared.unread.fetch_sub(1, Ordering::AcqRel);
        Some(outcome)
    }

    /// All outcomes that are there.
    pub fn take_finished(&self) -> Vec<Outcome<T>> {
        let finished = std::mem::take(&mut self.shared.state().finished);
        self.shared.unread.fetch_sub(finished.len(), Ordering::AcqRel);
        finished.into()
    }

    /// Whether an outcome is there.
    pub fn has_outcome(&self) -> bool {
        !self.shared.state().finished.is_empty()
    }

    /// Whether nothing is under way and no outcome is left.
    pub fn is_idle(&self) -> bool {
        let state = self.shared.state();
        state.finished.is_empty() && state.tasks.is_empty()
    }

    /// Ready when there is an outcome, or nothing under way, or if `hungry` room for one more.
    pub fn poll_changed(&self, hungry: bool, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.shared.state();
        let idle = state.tasks.is_empty();
        if idle || !state.finished.is_empty() || (hungry && self.has_room()) {
            return Poll::Ready(());
        }
        if !state.waiters.iter().any(|waiter| waiter.will_wake(context.waker())) {
            state.waiters.push(context.waker().clone());
        }
        Poll::Pending
    }

    /// Wakes `watcher` from now on whenever the first outcome arrives, or room appears. A second one is
    /// not heard.
    pub fn watch(&self, watcher: Waker) {
        self.shared.watcher.set(watcher);
    }

    /// How far the run has come.
    pub fn progress(&self) -> Progress {
        let state = self.shared.state();
        let tasks = state.tasks.len();
        let in_flight = match &self.shared.slots {
            // A task that has given back its place may not have left its outcome yet; one that was
            // canceled is gone, and may not have given back its place yet.
            Some(slots) => {
                self.shared.most_unread.saturating_sub(slots.available_permits()).min(tasks)
            }
            None => tasks,
        };
        let waiting = self.shared.waiting.load(Ordering::Acquire).min(tasks - in_flight);
        Progress { in_flight, waiting, ..state.progress }
    }

    /// Cancels what is under way. Outcomes that are there stay; no further ones come.
    pub fn cancel(&self) {
        // Elsewhere its lock may be held by a thread that does not exist, and its tasks do not run.
        if self.process == process::id() {
            self.shared.cancel();
        }
    }
}

impl<T> Drop for Fanout<T> {
    fn drop(&mut self) {
        if self.process == process::id() {
            self.shared.cancel();
        }
    }
}

impl<T> Shared<T> {
    fn seat(self: &Arc<Self>, tag: T) -> Seat<T> {
        let mut state = self.state();
        let place = (!self.closed.load(Ordering::Acquire)).then(|| state.tasks.insert(None));
        Seat { shared: self.clone(), place, tag: Some(tag) }
    }

    fn aside(self: &Arc<Self>) -> Aside<T> {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        Aside(self.clone())
    }

    fn started(&self, place: Option<usize>, task: AbortHandle) {
        let mut state = self.state();
        match place {
            Some(place) if !self.closed.load(Ordering::Acquire) => {
                state.tasks[place] = Some(task);
            }
            _ => {
                drop(state);
                task.abort();
            }
        }
    }

    fn end(&self, place: Option<usize>, tag: T, outcome: Result<Receipt, Error>) {
        let mut state = self.state();
        // Of what was canceled nobody waits for the outcome.
        let Some(place) = place.filter(|_| !self.closed.load(Ordering::Acquire)) else { return };
        state.tasks.remove(place);
        state.progress.done += 1;
        state.progress.failed += u64::from(outcome.is_err());
        state.finished.push_back((tag, outcome));
        self.unread.fetch_add(1, Ordering::AcqRel);
        // The first one wakes; whoever comes takes the others along.
        let first = state.finished.len() == 1;
        self.wake(state, first);
    }

    fn wake(&self, mut state: Locked<'_, State<T>>, watcher: bool) {
        let waiters = std::mem::take(&mut state.waiters);
        drop(state);
        waiters.into_iter().for_each(Waker::wake);
        self.watcher.get().filter(|_| watcher).into_iter().for_each(Waker::wake_by_ref);
    }

    fn cancel(&self) {
        let mut state = self.state();
        self.closed.store(true, Ordering::Release);
        let tasks = std::mem::take(&mut state.tasks);
        self.wake(state, true);
        tasks.into_iter().filter_map(|(_, task)| task).for_each(|task| task.abort());
    }

    fn state(&self) -> Locked<'_, State<T>> {
        self.state.lock()
    }
}

/// The place of one outcome. Dropped without one, because a panic took the task that was to bring it,
/// it gets `internal`: whoever waits must not wait for ever.
struct Seat<T> {
    shared: Arc<Shared<T>>,
    /// `None` in a run that was canceled before.
    place: Option<usize>,
    tag: Option<T>,
}

impl<T> Seat<T> {
    fn leave(mut self, outcome: Result<Receipt, Error>) {
        if let Some(tag) = self.tag.take() {
            self.shared.end(self.place, tag, outcome);
        }
    }
}

impl<T> Drop for Seat<T> {
    fn drop(&mut self) {
        if let Some(tag) = self.tag.take() {
            self.shared.end(self.place, tag, Err(Error::caught_panic()));
        }
    }
}

/// A delivery that was put aside, until its turn has come.
struct Aside<T>(Arc<Shared<T>>);

impl<T> Drop for Aside<T> {
    fn drop(&mut self) {
        if self.0.waiting.fetch_sub(1, Ordering::AcqRel) == ASIDE {
            self.0.wake(self.0.state(), true);
        }
    }
}

impl<T> std::fmt::Debug for Fanout<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fanout").field("dispatcher", &self.dispatcher).finish_non_exhaustive()
    }
}

impl<I> std::fmt::Debug for BlockingOutcomes<I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockingOutcomes").field("outcomes", &self.outcomes).finish()
    }
}

impl<I> std::fmt::Debug for Outcomes<I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outcomes").field("fanout", &self.fanout).finish_non_exhaustive()
    }
}
