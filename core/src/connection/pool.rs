//! Connections that are kept: those of one generation of one endpoint in a [`Pool`], and what all
//! pools of a dispatcher may hold together in a [`Budget`].
//!
//! A pool dies with its generation. The budget gives out a permit for each open connection, idle or
//! in use, and gets it back when the descriptor is closed. Where none is left, the connection that
//! has been idle longest is closed, whoever's it is, and whoever wants one waits in the order of
//! arrival.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Connection, Room};
use crate::error::Error;
use crate::process::PerProcess;
use crate::runtime::Task;

/// Servers close idle connections after 60 seconds and more: to be earlier avoids the race.
const LONGEST_IDLE: Duration = Duration::from_secs(50);

/// A connection stays at the address that its host once had. An hour bounds for how long a change of
/// DNS, or a machine that shall be drained, is not seen.
const LONGEST_AGE: Duration = Duration::from_secs(3600);

/// The idle connections of one generation, the one used last on top.
pub(crate) struct Pool {
    budget: Arc<Budget>,
    idle: PerProcess<Arc<Rack>>,
}

type Rack = Mutex<Vec<Kept>>;

struct Kept {
    number: u64,
    connection: Box<Connection>,
}

impl Pool {
    pub(crate) fn new(budget: &Arc<Budget>) -> Self {
        Self { budget: budget.clone(), idle: PerProcess::default() }
    }

    /// A connection that is open, fresh enough, and valid at this instant (Unix seconds).
    pub(crate) fn take(&self, now: i64) -> Option<Box<Connection>> {
        let rack = self.idle.get();
        let mut kept = lock(&rack.value);
        let taken = loop {
            let Some(Kept { number, connection }) = kept.pop() else { break None };
            self.budget.forget(number);
            if is_fit(&connection, Instant::now()) && connection.is_valid_at(now) {
                break Some(connection);
            }
        };
        drop(kept);
        taken
    }

    /// Keeps a connection for later, unless it is of no use or `most` are kept already.
    pub(crate) fn put(&self, connection: Box<Connection>, most: usize) {
        let since = connection.idle_since();
        if !is_fit(&connection, since) {
            return;
        }
        let rack = self.idle.get();
        // The rack is locked before the budget's list, here and everywhere.
        let mut kept = lock(&rack.value);
        let number = self.budget.remember(&rack.value, since);
        kept.push(Kept { number, connection });
        let surplus = if kept.len() > most { Some(kept.remove(0)) } else { None };
        if let Some(surplus) = &surplus {
            self.budget.forget(surplus.number);
        }
        drop(kept);
        self.budget.yield_to_waiting();
    }

    /// Closes what is idle.
    pub(crate) fn clear(&self) {
        let closed = std::mem::take(&mut *lock(&self.idle.get().value));
        for kept in &closed {
            self.budget.forget(kept.number);
        }
    }
}

fn is_fit(connection: &Connection, now: Instant) -> bool {
    connection.is_open()
        && now.saturating_duration_since(connection.idle_since()) < LONGEST_IDLE
        && now.saturating_duration_since(connection.opened()) < LONGEST_AGE
}

/// The connections of all endpoints of one dispatcher.
pub(crate) struct Budget {
    most: usize,
    state: PerProcess<Arc<State>>,
}

struct State {
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    numbers: AtomicU64,
    /// Idle connections by the order in which they became idle.
    idle: Mutex<BTreeMap<u64, (Instant, Weak<Rack>)>>,
    sweeping: AtomicBool,
}

/// Held by an open connection until its descriptor is closed.
pub(crate) type Permit = OwnedSemaphorePermit;

impl Budget {
    /// * `most`: how many connections may be open at once.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, state: PerProcess::new(State::new(most)) })
    }

    /// A permit for one more connection, in the order of arrival. Closes the connection that has been
    /// idle longest if all permits are out. Fails with `overloaded` if there is no room to wait.
    ///
    /// * `room`: where to wait; `None` for who is bounded elsewhere.
    pub(crate) async fn permit(&self, room: Option<&Room>) -> Result<Permit, Error> {
        let state = self.state();
        if let Ok(permit) = state.permits.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let _room = room.map(Room::enter).transpose()?;
        // In this order: whoever becomes idle after the eviction sees that somebody waits.
        let _waiting = Counted::new(&state.waiting);
        state.evict();
        let permits = state.permits.clone();
        Ok(permits.acquire_owned().await.unwrap_or_else(|_| unreachable!("it is never closed")))
    }

    fn state(&self) -> Arc<State> {
        self.state.get_or(|| State::new(self.most)).value.clone()
    }

    fn remember(&self, rack: &Arc<Rack>, since: Instant) -> u64 {
        let state = self.state();
        let number = state.numbers.fetch_add(1, Ordering::Relaxed);
        lock(&state.idle).insert(number, (since, Arc::downgrade(rack)));
        if !state.sweeping.swap(true, Ordering::AcqRel) {
            sweep(&state);
        }
        number
    }

    fn forget(&self, number: u64) {
        lock(&self.state().idle).remove(&number);
    }

    fn yield_to_waiting(&self) {
        let state = self.state();
        if state.waiting.load(Ordering::SeqCst) > 0 {
            state.evict();
        }
    }
}

impl State {
    fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            permits: Arc::new(Semaphore::new(most)),
            waiting: AtomicUsize::new(0),
            numbers: AtomicU64::new(0),
            idle: Mutex::default(),
            sweeping: AtomicBool::new(false),
        })
    }

    /// Closes the connection that has been idle longest.
    fn evict(&self) {
        loop {
            let Some((number, (_, rack))) = lock(&self.idle).pop_first() else { return };
            // Otherwise it was taken, or closed, at this very moment.
            if close(&rack, number) {
                return;
            }
        }
    }

    /// Closes what has been idle too long; when to look again, if there is anything left.
    fn expire(&self) -> Option<Instant> {
        loop {
            let mut idle = lock(&self.idle);
            let oldest = idle.first_entry()?;
            let due = oldest.get().0 + LONGEST_IDLE;
            if due > Instant::now() {
                return Some(due);
            }
            let (number, (_, rack)) = oldest.remove_entry();
            drop(idle);
            close(&rack, number);
        }
    }
}

fn close(rack: &Weak<Rack>, number: u64) -> bool {
    let Some(rack) = rack.upgrade() else { return false };
    let mut kept = lock(&rack);
    let place = kept.iter().position(|kept| kept.number == number);
    let closed = place.map(|place| kept.remove(place));
    drop(kept);
    closed.is_some()
}

/// Closes idle connections in time, as long as there are any.
fn sweep(state: &Arc<State>) {
    let weak = Arc::downgrade(state);
    let sweeping = Task::start(async move {
        while let Some(state) = weak.upgrade() {
            let due = state.expire().or_else(|| {
                state.sweeping.store(false, Ordering::Release);
                // One that became idle in between has found the sweeper at work.
                let left = state.expire()?;
                if state.sweeping.swap(true, Ordering::AcqRel) { None } else { Some(left) }
            });
            drop(state);
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => return,
            }
        }
    });
    match sweeping {
        Ok(task) => task.detach(),
        // Without a sweeper they are closed when they are looked at.
        Err(_) => state.sweeping.store(false, Ordering::Release),
    }
}

/// One more, until it is dropped.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
