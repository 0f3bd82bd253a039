//! The engine of many deliveries: takes deliveries with a tag, limits how many are in flight, and
//! returns tags with outcomes.
//!
//! A delivery whose endpoint has no free turn waits and does not count towards the limit until it
//! gets its turn. A slow consumer thus delays no other.

mod backlog;
mod operations;
mod state;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::receipt::Receipt;
use super::{DeliverOptions, Dispatcher};
use crate::admission::{RunEntry, Waiter, check_process};
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::options;
use crate::process::{self, Once, own};
use crate::runtime::{self, Driven, Lane, TaskPlace};

use backlog::Place;
pub use operations::Completed;
use state::FanoutState;
pub use state::{FanoutProgress, Outcome};

/// How many deliveries of a run are in flight at once, unless the caller sets a limit.
const CONCURRENCY: usize = 64;

/// One payload for one endpoint, to be delivered with others.
///
/// Cheap to clone; clones share the payload.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use webhook_mtls::{DeliverOptions, Delivery};
/// # use webhook_mtls::testing::Lab;
/// # use webhook_mtls::{EndpointOptions, Pins};
/// # let lab = Lab::start()?;
/// # let acme = lab.consumer("acme")?;
/// # let dispatcher = lab.dispatcher();
/// # let pins = Pins::new([acme.pin()])?;
/// # let endpoint = dispatcher.endpoint("acme", &acme.url(), EndpointOptions::new(Some(pins)))?;
///
/// let deliveries = (0..3).map(|number| {
///     Delivery::new(&endpoint, "{}", DeliverOptions::new().id(format!("evt_{number}")))
/// });
/// let outcomes = dispatcher.deliver_many(deliveries, None)?.blocking();
/// assert_eq!(outcomes.filter(|(_, result)| result.is_ok()).count(), 3);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct Delivery {
    /// The endpoint that receives it.
    pub endpoint: Endpoint,
    /// The payload. Clones of one `Bytes` share it, so a fan-out holds it once.
    pub body: Bytes,
    /// The id, the headers and the limits of this delivery.
    pub options: DeliverOptions,
}

impl Delivery {
    /// Describes a delivery. It starts when a run takes it.
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

/// The engine of a run, for callers with their own loop: each delivery is submitted with a tag, and
/// its outcome is returned with that tag. Dropping it cancels the deliveries in flight.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use webhook_mtls::{DeliverOptions, Delivery, Fanout};
/// # use webhook_mtls::testing::Lab;
/// # use webhook_mtls::{EndpointOptions, Pins};
/// # let lab = Lab::start()?;
/// # let acme = lab.consumer("acme")?;
/// # let dispatcher = lab.dispatcher();
/// # let pins = Pins::new([acme.pin()])?;
/// # let endpoint = dispatcher.endpoint("acme", &acme.url(), EndpointOptions::new(Some(pins)))?;
///
/// let run = Fanout::new(&dispatcher, Some(8))?;
/// for row in [17, 18] {
///     run.submit(Delivery::new(&endpoint, "{}", DeliverOptions::new()), row);
/// }
/// let mut rows = Vec::new();
/// while let Some(outcome) = run.next_within(None)? {
///     let (row, result) = outcome;
///     result?;
///     rows.push(row);
/// }
/// rows.sort_unstable();
/// assert_eq!(rows, [17, 18]);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
///
/// * `S`: what a successful outcome holds: a receipt, or [`Completed`] in a run that takes probes,
///   reloads and the close as well.
pub struct Fanout<T, S = Receipt> {
    dispatcher: Dispatcher,
    process: u32,
    /// The lane that the thread which waits for outcomes drives. `None` if no thread waits.
    waiter_lane: Option<Once<usize>>,
    /// Whether the run refuses what it cannot hold. Other callers ask [`Fanout::has_room`] before they
    /// submit.
    refuses: bool,
    state: Arc<FanoutState<T, S>>,
}

impl<T: Send + 'static> Fanout<T> {
    /// Makes a run with at most `concurrency` deliveries at once (`None`: 64).
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` unless it is 1 to 1 000 000.
    pub fn new(dispatcher: &Dispatcher, concurrency: Option<usize>) -> Result<Self, Error> {
        let concurrency = concurrency.unwrap_or(CONCURRENCY);
        if !(1..=1_000_000).contains(&concurrency) {
            let why = "must be a whole number from 1 to 1000000";
            return Err(options::fault("concurrency", why));
        }
        Ok(Self::with_slots(dispatcher, Some(Arc::new(own::Semaphore::new(concurrency)))))
    }

    /// Makes a run without a limit of its own: each delivery waits for its turn like a single one, and
    /// fails with `overloaded` if too many wait.
    pub fn unbounded(dispatcher: &Dispatcher) -> Self {
        Self::with_slots(dispatcher, None)
    }

    /// Makes a run for a caller that submits without asking [`Fanout::has_room`]. At most as many
    /// deliveries as the dispatcher may have connections are in flight, all others wait in line, and
    /// the total deadline of each starts with its turn. The run holds at most 65 536 deliveries and
    /// untaken outcomes, and 256 MiB of payloads, of which a shared one counts once. Beyond that
    /// [`Fanout::try_submit`] fails.
    pub fn in_line(dispatcher: &Dispatcher) -> Self {
        Self::with_operations_in_line(dispatcher)
    }
}

impl<T: Send + 'static, S: From<Receipt> + Send + 'static> Fanout<T, S> {
    /// Makes a run as [`Fanout::in_line`] does, for operations of other types as well.
    pub fn with_operations_in_line(dispatcher: &Dispatcher) -> Self {
        let slots = own::Semaphore::new(dispatcher.inner.options.max_connections);
        let mut run = Self::with_slots(dispatcher, Some(Arc::new(slots)));
        run.refuses = true;
        run
    }

    fn with_slots(dispatcher: &Dispatcher, slots: Option<Arc<own::Semaphore>>) -> Self {
        Self {
            dispatcher: dispatcher.clone(),
            process: process::id(),
            waiter_lane: None,
            refuses: false,
            state: Arc::new(FanoutState::new(slots)),
        }
    }

    /// Declares that a thread will wait for the outcomes, by [`Fanout::wait`] or
    /// [`Fanout::next_within`], unless the run is [watched](Fanout::watch).
    pub fn waited_for(mut self) -> Self {
        self.waiter_lane = Some(Once::new());
        self
    }

    /// Blocks the calling thread until [`Fanout::poll_changed`] is ready; the thread drives deliveries
    /// meanwhile. Returns `false` if it was interrupted.
    ///
    /// * `wants_room`: also return when the run can take one more delivery.
    /// * `interrupt`: called every 50 ms; returns whether to stop.
    ///
    /// # Errors
    ///
    /// Fails with `internal` if the runtime cannot be started.
    pub fn wait(
        &self,
        wants_room: bool,
        interrupt: &mut dyn FnMut() -> bool,
    ) -> Result<bool, Error> {
        let changed = poll_fn(|context| self.poll_changed(wants_room, context));
        Ok(match self.lane_to_drive()? {
            Some(lane) => runtime::drive_in(&lane, changed, Some(interrupt)).is_some(),
            None => runtime::drive(changed, interrupt).is_some(),
        })
    }

    /// Blocks the calling thread until the next outcome and returns it; the thread drives deliveries
    /// meanwhile. Returns `None` if `limit` passes first (`None`: no limit), or at once if every
    /// delivery has ended.
    ///
    /// # Errors
    ///
    /// Fails with `forked_process`, and with `internal` if the runtime cannot be started.
    pub fn next_within(&self, limit: Option<Duration>) -> Result<Option<Outcome<T, S>>, Error> {
        self.check_process()?;
        // A limit beyond the range of `Instant` is no limit.
        let until = limit.and_then(|limit| Instant::now().checked_add(limit));
        loop {
            if let Some(outcome) = self.try_next() {
                return Ok(Some(outcome));
            }
            // A caller with no time left does not drive, and so must not take the lane from its keeper.
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if self.is_idle() || left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            // Another thread may take the outcome that woke this one.
            let changed = poll_fn(|context| self.poll_changed(false, context));
            let _ = match self.lane_to_drive()? {
                Some(lane) => runtime::drive_in_for(&lane, changed, left),
                None => runtime::drive_for(changed, left),
            };
        }
    }

    /// Returns the lane that the calling thread drives while it waits, if any.
    fn lane_to_drive(&self) -> Result<Option<Arc<Lane>>, Error> {
        let lane = self.waiter_lane.as_ref().and_then(Once::get);
        lane.filter(|_| !runtime::is_inside()).map(|lane| runtime::lane(*lane)).transpose()
    }

    /// Checks that this process made the run. In a child that was forked later, the deliveries belong to
    /// the parent.
    ///
    /// # Errors
    ///
    /// Fails with `forked_process` in such a child.
    pub fn check_process(&self) -> Result<(), Error> {
        check_process(self.process)
    }

    /// Returns whether the run can take one more delivery: fewer than its limit are in flight, fewer
    /// than 1024 wait for a turn, and the payloads of both have fewer than 256 MiB. A shared payload
    /// counts once.
    pub fn has_room(&self) -> bool {
        self.state.has_room()
    }

    /// Starts a delivery. Every failure becomes an outcome, also before the start.
    pub fn submit(&self, delivery: Delivery, tag: T) {
        let place = self.state.backlog.hold(&delivery.body);
        self.start(delivery, tag, place);
    }

    /// Records a delivery that failed before it could be described, as an outcome.
    pub fn fail(&self, endpoint: &Endpoint, error: Error, tag: T) {
        self.state.reserve(tag, false).complete(Err(error.for_consumer(endpoint.consumer())));
    }

    /// * `place_in_backlog`: counts the delivery until it has ended.
    fn start(&self, delivery: Delivery, tag: T, place_in_backlog: Option<Place>) {
        let Delivery { endpoint, body, options } = delivery;
        let completion = self.state.reserve(tag, false);
        // A caller that waits for outcomes of this run must not wait for a delivery that its own thread
        // holds up.
        let waiter = if self.waiter_lane.is_some() { Waiter::Caller } else { Waiter::Unknown };
        let waits = || Box::new(self.state.wait_for_turn()) as Box<dyn Send + Sync>;
        let limit = self.state.limit.as_ref();
        let run = RunEntry { process: self.process, limit, waits: &waits };
        let prepared = self.dispatcher.prepare(&endpoint, body, options, waiter, Some(run));
        let mut attempts = match prepared {
            Ok(attempts) => attempts,
            Err(error) => return completion.complete(Err(error)),
        };
        let place = match attempts.ready(TaskPlace::new) {
            Ok(place) => place,
            Err(error) => return completion.complete(Err(error)),
        };
        let key = completion.key();
        let lane = endpoint.lane();
        let task = async move {
            let outcome = attempts.run().await;
            drop(attempts);
            drop(place_in_backlog);
            completion.complete(outcome.map(S::from));
        };
        let (driven, state) = (self.driver_of(lane), self.state.clone());
        place.start(driven, task, move |running| state.started(key, running));
    }

    /// Returns who drives a delivery in this lane: the thread that waits for outcomes if that is the
    /// lane of the first delivery, otherwise the keeper.
    fn driver_of(&self, lane: usize) -> Driven {
        match &self.waiter_lane {
            Some(waiter_lane)
                if *waiter_lane.get_or_init(|| lane) == lane
                    && self.state.watcher.get().is_none() =>
            {
                Driven::ByOwner
            }
            _ => Driven::ByKeeper,
        }
    }

    /// Starts a delivery as [`Fanout::submit`] does, but fails instead of recording an outcome in a
    /// child forked after the run was made, and if the run holds too much.
    ///
    /// # Errors
    ///
    /// Fails with `forked_process`; with `overloaded` if a run of [`Fanout::in_line`] is full.
    pub fn try_submit(&self, delivery: Delivery, tag: T) -> Result<(), Error> {
        self.check_process()?;
        let backlog = &self.state.backlog;
        let place = if self.refuses {
            Some(backlog.enter(&delivery.body, self.state.unread())?)
        } else {
            backlog.hold(&delivery.body)
        };
        self.start(delivery, tag, place);
        Ok(())
    }

    /// Returns the next outcome if one is ready.
    pub fn try_next(&self) -> Option<Outcome<T, S>> {
        self.state.next_outcome()
    }

    /// Returns all outcomes that are ready.
    pub fn take_finished(&self) -> Vec<Outcome<T, S>> {
        self.state.all_outcomes()
    }

    /// Returns whether an outcome is ready.
    pub fn has_outcome(&self) -> bool {
        self.state.has_outcome()
    }

    /// Returns whether every delivery has ended and no outcome is left.
    pub fn is_idle(&self) -> bool {
        self.state.is_idle()
    }

    /// Is ready if an outcome is ready or every delivery has ended, and with `wants_room` also if the
    /// run can take one more delivery.
    pub fn poll_changed(&self, wants_room: bool, context: &mut Context<'_>) -> Poll<()> {
        self.state.poll_changed(wants_room, context)
    }

    /// Wakes `watcher` from now on when the first unread outcome arrives, or when the run can take a
    /// delivery again. Only the first watcher is used; later calls have no effect.
    pub fn watch(&self, watcher: Waker) {
        self.state.watcher.set(watcher);
    }

    /// Returns how many deliveries have no outcome yet: those in flight and all that wait.
    pub fn unfinished(&self) -> usize {
        self.state.unfinished()
    }

    /// Returns the progress of the run.
    pub fn progress(&self) -> FanoutProgress {
        self.state.progress()
    }

    /// Cancels the deliveries in flight. Outcomes that are ready stay; no further ones are recorded.
    pub fn cancel(&self) {
        // In a forked child, a thread that does not exist may hold the lock, and no task runs.
        if self.process == process::id() {
            self.state.cancel();
        }
    }
}

impl<T, S> Drop for Fanout<T, S> {
    fn drop(&mut self) {
        if self.process == process::id() {
            self.state.cancel();
        }
    }
}

impl<T, S> std::fmt::Debug for Fanout<T, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fanout").field("dispatcher", &self.dispatcher).finish_non_exhaustive()
    }
}
