//! Whose turn it is: how many deliveries may be under way to one consumer, and how many may wait.
//!
//! Turns are given in the order of arrival. They bound what a slow consumer takes from the others:
//! its deliveries wait here, each without a connection, until one of their own has ended.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::error::{Error, Kind, Scope};
use crate::process::{self, PerProcess, own};

/// Of all that may wait in a dispatcher, the deliveries of one owner take at most a quarter.
const SHARE: usize = 4;

/// The turns of one endpoint: one line for as long as the endpoint exists. Its limit may change, and
/// waiting deliveries keep their places.
pub(crate) struct Turns {
    limit: AtomicUsize,
    line: PerProcess<Arc<Line>>,
}

struct Line {
    state: own::Mutex<State>,
    /// How many deliveries wait in [`Turns::take_in`], which bounds them.
    bounded: Arc<AtomicUsize>,
}

struct State {
    limit: usize,
    /// How many turns are out. More than `limit` only after the limit was lowered, until as many
    /// have ended.
    out: usize,
    /// The deliveries that wait, in the order of arrival; tickets ascend.
    waiting: VecDeque<(Ticket, Waker)>,
    /// Deliveries that were given a turn and have not fetched it. Those turns are out.
    granted: Vec<Ticket>,
    next: Ticket,
    closed: bool,
}

type Ticket = u64;

/// One delivery's turn; it ends when this is dropped.
pub(crate) struct Turn {
    line: Arc<Line>,
}

/// A place in the line. Dropped before its turn was fetched, it leaves the line.
struct Place {
    line: Arc<Line>,
    ticket: Option<Ticket>,
}

impl Turns {
    /// * `limit`: how many deliveries may be under way at once.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: AtomicUsize::new(limit), line: PerProcess::new(Line::new(limit)) }
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Ordering::Acquire)
    }

    /// Changes the limit. Deliveries that run go on; none starts until fewer than `limit` run.
    pub(crate) fn set_limit(&self, limit: usize) {
        if self.limit.swap(limit, Ordering::AcqRel) != limit {
            self.line().change(|state| state.limit = limit);
        }
    }

    /// Ends all waiting, now and in the future, with `handle_closed`.
    pub(crate) fn close(&self) {
        self.line().change(|state| state.closed = true);
    }

    /// A turn, if one is free and no delivery waits.
    pub(crate) fn try_take(&self) -> Option<Turn> {
        let line = self.line.get_or(|| Line::new(self.limit()));
        let free = line.value.state().take_free();
        free.then(|| Turn { line: line.value.clone() })
    }

    /// Waits for a turn, however many wait already. Fails with `handle_closed` once the endpoint was
    /// removed.
    pub(crate) async fn take(&self) -> Result<Turn, Error> {
        let mut place = Place { line: self.line(), ticket: None };
        poll_fn(|context| place.poll_turn(context)).await
    }

    /// Waits for a turn. Fails with `overloaded` if too many wait already, here or anywhere in the
    /// dispatcher, and with `handle_closed` once the endpoint was removed.
    ///
    /// * `owner`: gives the owner of the endpoint, if the delivery has to wait.
    pub(crate) async fn take_in(
        &self,
        room: &Room,
        owner: impl FnOnce() -> Arc<str>,
    ) -> Result<Turn, Error> {
        if let Some(turn) = self.try_take() {
            return Ok(turn);
        }
        let share = room.most.div_ceil(SHARE);
        let _here = Waiting::below(&self.line().bounded, share).ok_or_else(|| {
            overloaded(format!("{share} deliveries to this consumer wait for their turn already"))
                .scoped(Scope::Endpoint)
        })?;
        let _anywhere = room.enter(&owner())?;
        self.take().await
    }

    fn line(&self) -> Arc<Line> {
        self.line.get_or(|| Line::new(self.limit())).value.clone()
    }
}

impl Line {
    fn new(limit: usize) -> Arc<Self> {
        let state = State {
            limit,
            out: 0,
            waiting: VecDeque::new(),
            granted: Vec::new(),
            next: 0,
            closed: false,
        };
        Arc::new(Self { state: own::Mutex::new(state), bounded: Arc::default() })
    }

    /// Changes something, and gives out the turns that are free then.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        let woken = state.give();
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }

    fn state(&self) -> own::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_free(&mut self) -> bool {
        let free = self.waiting.is_empty() && self.out < self.limit && !self.closed;
        self.out += usize::from(free);
        free
    }

    fn join(&mut self, waker: &Waker) -> Ticket {
        let ticket = self.next;
        self.next += 1;
        self.waiting.push_back((ticket, waker.clone()));
        ticket
    }

    /// Gives the free turns to the deliveries that wait longest. Returns their wakers.
    fn give(&mut self) -> Vec<Waker> {
        let mut woken = Vec::new();
        while self.closed || self.out < self.limit {
            let Some((ticket, waker)) = self.waiting.pop_front() else { break };
            if !self.closed {
                self.out += 1;
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
        self.line.change(|state| state.out -= 1);
    }
}

impl Place {
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

impl Drop for Place {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        self.line.change(|state| {
            if let Some(place) = state.place_of(ticket) {
                state.waiting.remove(place);
            } else if state.fetch(ticket) {
                state.out -= 1;
            }
        });
    }
}

/// What a delivery fails with that has not started when its endpoint is removed.
pub(crate) fn removed() -> Error {
    Error::new(Kind::HandleClosed, "the endpoint was removed")
}

/// How many deliveries of one dispatcher may wait.
pub(crate) struct Room {
    most: usize,
    inside: PerProcess<Arc<Inside>>,
}

/// The deliveries that wait, by the owner of their endpoints.
#[derive(Default)]
struct Inside {
    owners: own::Mutex<HashMap<Arc<str>, usize>>,
    count: Arc<AtomicUsize>,
}

impl Room {
    /// * `most`: how many.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, inside: PerProcess::default() }
    }

    /// Waits as long as the returned value is kept. Fails with `overloaded` if too many deliveries
    /// wait, of this owner or in all.
    pub(crate) fn enter(&self, owner: &Arc<str>) -> Result<Entered, Error> {
        let inside = self.inside.get().value.clone();
        let waiting = Waiting::below(&inside.count, self.most).ok_or_else(|| {
            overloaded(format!("{} deliveries of this dispatcher wait already", self.most))
        })?;
        let share = self.most.div_ceil(SHARE);
        {
            let mut owners = inside.owners.lock().unwrap_or_else(PoisonError::into_inner);
            let own = owners.entry(owner.clone()).or_default();
            if *own >= share {
                let message = format!("{share} deliveries of this endpoint's owner wait already");
                return Err(overloaded(message).scoped(Scope::Endpoint));
            }
            *own += 1;
        }
        let process = process::id();
        Ok(Entered { process, inside, owner: owner.clone(), _waiting: waiting })
    }
}

/// One delivery that waits on behalf of an owner, until this is dropped.
pub(crate) struct Entered {
    process: u32,
    inside: Arc<Inside>,
    owner: Arc<str>,
    _waiting: Waiting,
}

impl Drop for Entered {
    fn drop(&mut self) {
        // A forked child may have inherited it locked.
        if self.process != process::id() {
            return;
        }
        let mut owners = self.inside.owners.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = owners.get_mut(&self.owner) {
            *own -= 1;
            if *own == 0 {
                owners.remove(&self.owner);
            }
        }
    }
}

/// One delivery that waits, until this is dropped.
struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    fn below(count: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let counted = |waiting: usize| (waiting < most).then_some(waiting + 1);
        count.fetch_update(Ordering::AcqRel, Ordering::Acquire, counted).ok()?;
        Some(Self(count.clone()))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn overloaded(message: String) -> Error {
    Error::new(Kind::Overloaded, message)
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;

    use super::*;
    use crate::error::Sent;

    type Waits<'a> = Pin<Box<dyn Future<Output = Result<Turn, Error>> + 'a>>;

    /// So many that wait in line.
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
    fn turns_come_in_the_order_of_arrival() {
        let turns = Turns::new(1);
        let held = turns.try_take().unwrap();
        let mut waiting = line(&turns, 4);
        // A delivery that leaves gives up its own place alone.
        drop(waiting.remove(1));
        drop(held);
        for place in 0..3 {
            for later in &mut waiting[place + 1..] {
                assert!(look(later).is_none());
            }
            assert!(turns.try_take().is_none(), "nobody overtakes");
            drop(look(&mut waiting[place]).unwrap().unwrap());
        }
        assert!(turns.try_take().is_some());
    }

    #[test]
    fn a_turn_that_was_given_and_not_fetched_goes_to_the_next() {
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
    fn a_lowered_limit_holds_for_those_who_wait_already() {
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
    fn a_raised_limit_lets_those_start_who_wait_already() {
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

    #[test]
    fn room_is_for_as_many_as_it_says_and_a_quarter_for_one_owner() {
        let room = Room::new(8);
        let owners: Vec<Arc<str>> = ["a", "b", "c", "d", "e"].map(Arc::from).to_vec();
        let refused = |owner: &Arc<str>| room.enter(owner).err().map(|it| (it.kind(), it.scope()));
        let mut inside = Vec::new();
        for owner in &owners[..4] {
            inside.extend((0..2).map(|_| room.enter(owner).unwrap()));
            let of_owner = Some((Kind::Overloaded, Scope::Endpoint));
            assert!(inside.len() == 8 || refused(owner) == of_owner);
        }
        assert_eq!(refused(&owners[4]), Some((Kind::Overloaded, Scope::Process)));
        inside.pop();
        assert_eq!(refused(&owners[0]), Some((Kind::Overloaded, Scope::Endpoint)));
        assert!(room.enter(&owners[4]).is_ok());
        drop(inside);
        assert!(room.inside.get().value.owners.lock().unwrap().is_empty());
        assert_eq!(room.inside.get().value.count.load(Ordering::Relaxed), 0);
    }
}
