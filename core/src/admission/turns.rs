//! Turns: how many deliveries to one endpoint may run at once, and how many may wait.
//!
//! Turns go to deliveries in the order of arrival. They keep a slow consumer from delaying others: its
//! deliveries wait here without a connection until a delivery to the same endpoint ends.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use super::wait_limit::{CountGuard, WaitLimit, overloaded};
use crate::error::{Error, Kind, Scope};
use crate::process::{PerProcess, own};

/// The turns of one endpoint, for as long as the endpoint exists. If the limit changes, waiting
/// deliveries keep their places.
pub(crate) struct Turns {
    limit: AtomicUsize,
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
}

impl Turns {
    /// * `limit`: how many deliveries may run at once.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: AtomicUsize::new(limit), line: PerProcess::new(Line::new(limit)) }
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Ordering::Acquire)
    }

    /// Changes the limit. Running deliveries continue. None starts until fewer than `limit` run.
    pub(crate) fn set_limit(&self, limit: usize) {
        if self.limit.swap(limit, Ordering::AcqRel) != limit {
            self.line().change(|state| state.limit = limit);
        }
    }

    /// Fails all waiting deliveries, now and in the future, with `handle_closed`.
    pub(crate) fn close(&self) {
        self.line().change(|state| state.closed = true);
    }

    /// Returns a turn if one is free and no delivery waits.
    pub(crate) fn try_take(&self) -> Option<Turn> {
        let line = self.line.get_or(|| Line::new(self.limit()));
        let free = line.value.state().take_free();
        free.then(|| Turn { line: line.value.clone() })
    }

    /// Waits for a turn, without a limit on the number of waiting deliveries. Fails with
    /// `handle_closed` once the endpoint was removed.
    pub(crate) async fn take(&self) -> Result<Turn, Error> {
        let mut place = LinePlace { line: self.line(), ticket: None };
        poll_fn(|context| place.poll_turn(context)).await
    }

    /// Waits for a turn. Fails with `overloaded` if too many deliveries wait already, for this endpoint
    /// or in the dispatcher, and with `handle_closed` once the endpoint was removed.
    ///
    /// * `owner`: returns the owner of the endpoint. Called only if the delivery has to wait.
    pub(crate) async fn take_in(
        &self,
        wait_limit: &WaitLimit,
        owner: impl FnOnce() -> Arc<str>,
    ) -> Result<Turn, Error> {
        if let Some(turn) = self.try_take() {
            return Ok(turn);
        }
        let share = wait_limit.share();
        let _here = CountGuard::below(&self.line().bounded, share).ok_or_else(|| {
            overloaded(format!("{share} deliveries to this consumer wait for their turn already"))
                .scoped(Scope::Endpoint)
        })?;
        let _anywhere = wait_limit.enter(&owner())?;
        self.take().await
    }

    fn line(&self) -> Arc<Line> {
        self.line.get_or(|| Line::new(self.limit())).value.clone()
    }
}

impl Line {
    fn new(limit: usize) -> Arc<Self> {
        let state = LineState {
            limit,
            in_use: 0,
            waiting: VecDeque::new(),
            granted: Vec::new(),
            next: 0,
            closed: false,
        };
        Arc::new(Self { state: own::Mutex::new(state), bounded: Arc::default() })
    }

    /// Applies `change`, then grants the turns that are free.
    fn change(&self, change: impl FnOnce(&mut LineState)) {
        let mut state = self.state();
        change(&mut state);
        let woken = state.grant();
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }

    fn state(&self) -> own::MutexGuard<'_, LineState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LineState {
    fn take_free(&mut self) -> bool {
        let free = self.waiting.is_empty() && self.in_use < self.limit && !self.closed;
        self.in_use += usize::from(free);
        free
    }

    fn join(&mut self, waker: &Waker) -> Ticket {
        let ticket = self.next;
        self.next += 1;
        self.waiting.push_back((ticket, waker.clone()));
        ticket
    }

    /// Grants the free turns to the deliveries that have waited longest. Returns their wakers.
    fn grant(&mut self) -> Vec<Waker> {
        let mut woken = Vec::new();
        while self.closed || self.in_use < self.limit {
            let Some((ticket, waker)) = self.waiting.pop_front() else { break };
            if !self.closed {
                self.in_use += 1;
                self.granted.push(ticket);
            }
            woken.push(waker);
        }
        woken
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
        let mut state = self.line.state();
        let Some(ticket) = self.ticket else {
            if state.take_free() {
                drop(state);
                return Poll::Ready(Ok(Turn { line: self.line.clone() }));
            }
            if state.closed {
                return Poll::Ready(Err(removed()));
            }
            self.ticket = Some(state.join(context.waker()));
            return Poll::Pending;
        };
        if state.fetch(ticket) {
            drop(state);
            self.ticket = None;
            return Poll::Ready(Ok(Turn { line: self.line.clone() }));
        }
        let Some(place) = state.place_of(ticket) else { return Poll::Ready(Err(removed())) };
        state.waiting[place].1.clone_from(context.waker());
        Poll::Pending
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
        let turns = Turns::new(1);
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
        let turns = Turns::new(1);
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
        let turns = Turns::new(3);
        let mut held: Vec<Turn> = (0..3).map(|_| turns.try_take().unwrap()).collect();
        let mut waiting = line(&turns, 2);
        turns.set_limit(1);
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
        let turns = Turns::new(1);
        let _held = turns.try_take().unwrap();
        let mut waiting = line(&turns, 3);
        turns.set_limit(3);
        let taken: Vec<_> = waiting.iter_mut().map(look).collect();
        assert_eq!(taken.iter().filter(|turn| turn.is_some()).count(), 2);
        assert_eq!(turns.limit(), 3);
    }

    #[test]
    fn waiting_ends_when_the_line_is_closed() {
        let turns = Turns::new(1);
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
