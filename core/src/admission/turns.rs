//! Turns: how many deliveries to one endpoint may run at once, how many may start in a second, and how many
//! may wait.
//!
//! Turns go to deliveries in the order of arrival. They keep a slow consumer from delaying others: its
//! deliveries wait here without a connection until a delivery to the same endpoint ends, and until the rate
//! of the endpoint lets another one start.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use tokio::time::{Sleep, sleep_until};

use super::rate::{Bucket, Rate};
use super::wait_limit::{CountGuard, WaitLimit, overloaded};
use crate::error::{Error, Kind, Retry, Scope, cause, saturating_millis};
use crate::process::{PerProcess, own};
use crate::runtime::poll_due;

/// How many deliveries to one endpoint may run at once, and start in a second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TurnLimits {
    pub(crate) concurrency: usize,
    pub(crate) rate: Option<Rate>,
}

/// The turns of one endpoint, for as long as the endpoint exists. If a limit changes, waiting
/// deliveries keep their places.
pub(crate) struct Turns {
    limit: AtomicUsize,
    /// The bits of the rate. 0: none.
    rate: AtomicU64,
    line: PerProcess<Arc<Line>>,
}

struct Line {
    state: own::Mutex<LineState>,
    /// How many deliveries wait in [`Turns::take_in`], which limits them.
    bounded: Arc<AtomicUsize>,
}

struct LineState {
    limit: usize,
    /// How many turns are in use. This exceeds `limit` only after the limit was lowered, until enough
    /// turns have ended.
    in_use: usize,
    /// The waiting deliveries in the order of arrival. Tickets ascend.
    waiting: VecDeque<(Ticket, Waker)>,
    /// Deliveries that were granted a turn and have not fetched it. Those turns count as in use.
    granted: Vec<Ticket>,
    next: Ticket,
    closed: bool,
    /// `None` without a rate.
    bucket: Option<Box<Bucket>>,
}

type Ticket = u64;

/// One delivery's turn. Dropping it passes the turn on.
pub(crate) struct Turn {
    line: Arc<Line>,
}

/// A place in the line. Dropping it before the turn was fetched leaves the line.
struct LinePlace {
    line: Arc<Line>,
    ticket: Option<Ticket>,
    /// Wakes the delivery when its token is due.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Turns {
    pub(crate) fn new(limits: TurnLimits) -> Self {
        Self {
            limit: AtomicUsize::new(limits.concurrency),
            rate: AtomicU64::new(bits(limits.rate)),
            line: PerProcess::new(Line::new(limits)),
        }
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Ordering::Acquire)
    }

    /// Changes the limits. Running deliveries continue. None starts until fewer than `concurrency` run.
    pub(crate) fn set_limits(&self, limits: TurnLimits) {
        let TurnLimits { concurrency, rate } = limits;
        let limit_before = self.limit.swap(concurrency, Ordering::AcqRel);
        let rate_before = self.rate.swap(bits(rate), Ordering::AcqRel);
        if (limit_before, rate_before) != (concurrency, bits(rate)) {
            self.line().change(|state| {
                state.limit = concurrency;
                state.set_rate(rate);
            });
        }
    }

    /// Returns the token of a delivery that had a turn and did not start.
    pub(crate) fn return_token(&self) {
        self.line().change(LineState::give_back);
    }

    /// The limits, for the line of a process that was forked.
    fn limits(&self) -> TurnLimits {
        let rate = f64::from_bits(self.rate.load(Ordering::Acquire));
        TurnLimits { concurrency: self.limit(), rate: Rate::new(rate).ok() }
    }

    /// Fails all waiting deliveries, now and in the future, with `handle_closed`.
    pub(crate) fn close(&self) {
        self.line().change(|state| state.closed = true);
    }

    /// Returns a turn if one is free and no delivery waits.
    pub(crate) fn try_take(&self) -> Option<Turn> {
        let line = self.line.get_or(|| Line::new(self.limits()));
        let free = line.value.state().take_free();
        free.then(|| Turn { line: line.value.clone() })
    }

    /// Waits for a turn, without a limit on the number of waiting deliveries. Fails with
    /// `handle_closed` once the endpoint was removed.
    pub(crate) async fn take(&self) -> Result<Turn, Error> {
        let mut place = LinePlace { line: self.line(), ticket: None, timer: None };
        poll_fn(|context| place.poll_turn(context)).await
    }

    /// Waits for a turn. Fails with `overloaded` if too many deliveries wait already, for this endpoint
    /// or in the dispatcher, or if the rate lets this one start only after its deadline, and with
    /// `handle_closed` once the endpoint was removed.
    ///
    /// * `by`: the deadline.
    /// * `owner`: returns the owner of the endpoint. Called only if the delivery has to wait.
    pub(crate) async fn take_in(
        &self,
        wait_limit: &WaitLimit,
        by: Instant,
        owner: impl FnOnce() -> Arc<str>,
    ) -> Result<Turn, Error> {
        if let Some(turn) = self.try_take() {
            return Ok(turn);
        }
        let (share, line) = (wait_limit.share(), self.line());
        line.state().check_rate(by)?;
        let _here = CountGuard::below(&line.bounded, share).ok_or_else(|| {
            overloaded(format!("{share} deliveries to this consumer wait for their turn already"))
                .scoped(Scope::Endpoint)
        })?;
        let _anywhere = wait_limit.enter(&owner())?;
        self.take().await
    }

    fn line(&self) -> Arc<Line> {
        self.line.get_or(|| Line::new(self.limits())).value.clone()
    }
}

/// The bits of a rate; 0 for none.
fn bits(rate: Option<Rate>) -> u64 {
    rate.map_or(0, |rate| rate.per_second().to_bits())
}

impl Line {
    fn new(limits: TurnLimits) -> Arc<Self> {
        let state = LineState {
            limit: limits.concurrency,
            in_use: 0,
            waiting: VecDeque::new(),
            granted: Vec::new(),
            next: 0,
            closed: false,
            bucket: limits.rate.map(|rate| Box::new(Bucket::new(rate, Instant::now()))),
        };
        Arc::new(Self { state: own::Mutex::new(state), bounded: Arc::default() })
    }

    /// Applies `change`, then grants the turns that are free.
    fn change(&self, change: impl FnOnce(&mut LineState)) {
        let mut state = self.state();
        change(&mut state);
        let now = state.now();
        let mut woken = state.grant(now);
        woken.extend(state.first_timed());
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }

    fn state(&self) -> own::MutexGuard<'_, LineState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LineState {
    fn take_free(&mut self) -> bool {
        let free = self.waiting.is_empty()
            && self.in_use < self.limit
            && !self.closed
            && self.take_token(self.now());
        self.in_use += usize::from(free);
        free
    }

    fn join(&mut self, waker: &Waker) -> Ticket {
        let ticket = self.next;
        self.next += 1;
        self.waiting.push_back((ticket, waker.clone()));
        ticket
    }

    /// Grants the free turns to the deliveries that have waited longest, as far as the rate allows. Returns
    /// their wakers.
    ///
    /// * `now`: of [`LineState::now`].
    fn grant(&mut self, now: Option<Instant>) -> Vec<Waker> {
        let mut woken = Vec::new();
        while self.closed || self.in_use < self.limit {
            if self.waiting.is_empty() || !self.closed && !self.take_token(now) {
                break;
            }
            let Some((ticket, waker)) = self.waiting.pop_front() else { break };
            if !self.closed {
                self.in_use += 1;
                self.granted.push(ticket);
            }
            woken.push(waker);
        }
        woken
    }

    /// The time, for the rate. Without one, no call reads the clock.
    fn now(&self) -> Option<Instant> {
        self.bucket.as_ref().map(|_| Instant::now())
    }

    /// Takes a token. Without a rate, there is always one.
    fn take_token(&mut self, now: Option<Instant>) -> bool {
        match (&mut self.bucket, now) {
            (Some(bucket), Some(now)) => bucket.take(now),
            _ => true,
        }
    }

    fn give_back(&mut self) {
        if let Some(bucket) = &mut self.bucket {
            bucket.give_back();
        }
    }

    fn set_rate(&mut self, rate: Option<Rate>) {
        let now = Instant::now();
        match (&mut self.bucket, rate) {
            (Some(bucket), Some(rate)) if bucket.rate() != rate => bucket.set_rate(rate, now),
            (None, Some(rate)) => self.bucket = Some(Box::new(Bucket::new(rate, now))),
            (_, None) => self.bucket = None,
            _ => {}
        }
    }

    /// Fails with `overloaded` if the rate lets one more delivery start only after `by`.
    fn check_rate(&self, by: Instant) -> Result<(), Error> {
        let Some(bucket) = self.bucket.as_ref().filter(|_| !self.closed) else { return Ok(()) };
        let (now, ahead) = (Instant::now(), self.waiting.len());
        let (wait, left) = (bucket.wait(ahead, now), by.saturating_duration_since(now));
        if wait <= left {
            return Ok(());
        }
        let rate = bucket.rate().per_second();
        let [wait_ms, left_ms] = [wait, left].map(saturating_millis);
        let message = format!(
            "the rate of this endpoint, {rate} a second, lets this delivery start in {wait_ms} ms, after \
             its deadline in {left_ms} ms; {ahead} deliveries wait already"
        );
        Err(overloaded(message)
            .scoped(Scope::Endpoint)
            .caused(&cause::RATE_AWAITED, &[])
            .retried(Retry::Later, Some(wait)))
    }

    /// Returns when the delivery at this place in line gets its token. `None` if it does not wait for one: a
    /// turn must end first.
    fn due(&self, place: usize, now: Option<Instant>) -> Option<Instant> {
        let (bucket, now) = (self.bucket.as_ref()?, now?);
        let wait = bucket.wait(place, now);
        (!wait.is_zero()).then(|| now.checked_add(wait)).flatten()
    }

    /// Returns the waker of the first in line if there is a rate: its token is due at another time.
    fn first_timed(&self) -> Option<Waker> {
        let first = self.waiting.front().filter(|_| self.bucket.is_some());
        first.map(|(_, waker)| waker.clone())
    }

    fn fetch(&mut self, ticket: Ticket) -> bool {
        let place = self.granted.iter().position(|granted| *granted == ticket);
        place.map(|place| self.granted.swap_remove(place)).is_some()
    }

    fn place_of(&self, ticket: Ticket) -> Option<usize> {
        self.waiting.binary_search_by_key(&ticket, |(ticket, _)| *ticket).ok()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.line.change(|state| state.in_use -= 1);
    }
}

impl LinePlace {
    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<Result<Turn, Error>> {
        loop {
            let due = match self.poll_place(context) {
                Ok(ended) => return Poll::Ready(ended),
                Err(due) => due,
            };
            let Some(due) = due else {
                self.timer = None;
                return Poll::Pending;
            };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due.into())));
            if timer.deadline() != due.into() {
                timer.as_mut().reset(due.into());
            }
            if poll_due(timer.as_mut(), || due, context).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Returns the turn or the failure. If the delivery waits, returns when its token is due.
    fn poll_place(
        &mut self,
        context: &mut Context<'_>,
    ) -> Result<Result<Turn, Error>, Option<Instant>> {
        let mut state = self.line.state();
        let now = state.now();
        let ticket = match self.ticket {
            Some(ticket) => ticket,
            None if state.take_free() => {
                drop(state);
                return Ok(Ok(Turn { line: self.line.clone() }));
            }
            None if state.closed => return Ok(Err(removed())),
            None => *self.ticket.insert(state.join(context.waker())),
        };
        if now.is_some() {
            // Tokens may be due.
            let mut woken = state.grant(now);
            if !woken.is_empty() {
                woken.extend(state.first_timed());
            }
            drop(state);
            woken.into_iter().for_each(Waker::wake);
            state = self.line.state();
        }
        if state.fetch(ticket) {
            drop(state);
            self.ticket = None;
            return Ok(Ok(Turn { line: self.line.clone() }));
        }
        let Some(place) = state.place_of(ticket) else { return Ok(Err(removed())) };
        state.waiting[place].1.clone_from(context.waker());
        Err(state.due(place, now))
    }
}

impl Drop for LinePlace {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        self.line.change(|state| {
            if let Some(place) = state.place_of(ticket) {
                state.waiting.remove(place);
            } else if state.fetch(ticket) {
                state.in_use -= 1;
                state.give_back();
            }
        });
    }
}

/// The error of a delivery that has not started when its endpoint is removed.
pub(crate) fn removed() -> Error {
    Error::new(Kind::HandleClosed, "the endpoint was removed")
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;

    use super::*;
    use crate::error::Sent;

    fn limited(concurrency: usize) -> TurnLimits {
        TurnLimits { concurrency, rate: None }
    }

    type Waits<'a> = Pin<Box<dyn Future<Output = Result<Turn, Error>> + 'a>>;

    /// `count` deliveries that wait in line.
    fn line(turns: &Turns, count: usize) -> Vec<Waits<'_>> {
        let mut waiting: Vec<Waits<'_>> = (0..count).map(|_| Box::pin(turns.take()) as _).collect();
        for waits in &mut waiting {
            assert!(look(waits).is_none());
        }
        waiting
    }

    fn look(waits: &mut Waits<'_>) -> Option<Result<Turn, Error>> {
        match waits.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Some(turn),
            Poll::Pending => None,
        }
    }

    #[test]
    fn turns_are_granted_in_the_order_of_arrival() {
        let turns = Turns::new(limited(1));
        let held = turns.try_take().unwrap();
        let mut waiting = line(&turns, 4);
        // A delivery that leaves gives up only its own place.
        drop(waiting.remove(1));
        drop(held);
        for place in 0..3 {
            for later in &mut waiting[place + 1..] {
                assert!(look(later).is_none());
            }
            assert!(turns.try_take().is_none(), "no delivery overtakes another");
            drop(look(&mut waiting[place]).unwrap().unwrap());
        }
        assert!(turns.try_take().is_some());
    }

    #[test]
    fn a_turn_that_was_granted_and_not_fetched_goes_to_the_next() {
        let turns = Turns::new(limited(1));
        let held = turns.try_take().unwrap();
        let mut waiting = line(&turns, 2);
        drop(held);
        drop(waiting.remove(0));
        drop(look(&mut waiting[0]).unwrap().unwrap());
        drop(waiting);
        assert!(turns.try_take().is_some());
    }

    #[test]
    fn a_lowered_limit_applies_to_waiting_deliveries() {
        let turns = Turns::new(limited(3));
        let mut held: Vec<Turn> = (0..3).map(|_| turns.try_take().unwrap()).collect();
        let mut waiting = line(&turns, 2);
        turns.set_limits(limited(1));
        for _ in 0..2 {
            held.pop();
            assert!(waiting.iter_mut().all(|waits| look(waits).is_none()));
            assert!(turns.try_take().is_none());
        }
        held.pop();
        let first = look(&mut waiting[0]).unwrap().unwrap();
        assert!(look(&mut waiting[1]).is_none());
        drop(first);
        assert!(look(&mut waiting[1]).is_some());
    }

    #[test]
    fn a_raised_limit_starts_waiting_deliveries() {
        let turns = Turns::new(limited(1));
        let _held = turns.try_take().unwrap();
        let mut waiting = line(&turns, 3);
        turns.set_limits(limited(3));
        let taken: Vec<_> = waiting.iter_mut().map(look).collect();
        assert_eq!(taken.iter().filter(|turn| turn.is_some()).count(), 2);
        assert_eq!(turns.limit(), 3);
    }

    #[test]
    fn waiting_ends_when_the_line_is_closed() {
        let turns = Turns::new(limited(1));
        let _held = turns.try_take().unwrap();
        let mut waiting = line(&turns, 2);
        turns.close();
        for waits in &mut waiting {
            let refused = look(waits).unwrap().err().unwrap();
            assert_eq!((refused.kind(), refused.sent()), (Kind::HandleClosed, Sent::Nothing));
        }
        let mut late: Waits<'_> = Box::pin(turns.take());
        assert!(look(&mut late).unwrap().is_err());
    }
}
