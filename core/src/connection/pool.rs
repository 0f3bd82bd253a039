//! Connections that are kept: those of one generation of one endpoint in a [`Pool`], and what all
//! pools of a dispatcher may hold together in a [`Budget`].
//!
//! A pool dies with its generation. The budget gives out a permit for each socket, idle, in use or
//! being opened, and gets it back when the descriptor is closed. Where none is left, the connection
//! that has been idle longest is closed, whoever's it is, and owners are served in turn.

use std::cmp::Ordering as Order;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::Connection;
use super::idle_waker::IdleWaker;
use crate::admission::Room;
use crate::admission::fair_limit::{FairLimit, Permit};
use crate::error::Error;
use crate::process::{PerProcess, own};
use crate::runtime::{self, Task};

/// Servers close idle connections after 60 seconds and more: to be earlier avoids the race.
const LONGEST_IDLE: Duration = Duration::from_secs(50);

/// A connection stays at the address that its host once had. An hour bounds for how long a change of
/// DNS, or a machine that shall be drained, is not seen.
const LONGEST_AGE: Duration = Duration::from_secs(3600);

/// The idle connections of one generation, the one used last on top.
pub(crate) struct Pool {
    budget: Arc<Budget>,
    owner: Arc<str>,
    idle: PerProcess<Arc<Rack>>,
}

type Rack = own::Mutex<Vec<Box<Connection>>>;

impl Pool {
    pub(crate) fn new(budget: &Arc<Budget>, owner: &Arc<str>) -> Self {
        Self { budget: budget.clone(), owner: owner.clone(), idle: PerProcess::default() }
    }

    /// A connection that is open, fresh enough, and valid at this instant (Unix seconds).
    pub(crate) fn take(&self, now: i64) -> Option<Box<Connection>> {
        let rack = self.idle.get();
        // Dropped after the lock.
        let mut spent = Vec::new();
        let mut idle = lock(&rack.value);
        while let Some(mut connection) = idle.pop() {
            if is_fit(&connection, Instant::now())
                && connection.is_valid_at(now)
                && connection.resume()
            {
                return Some(connection);
            }
            spent.push(connection);
        }
        None
    }

    /// Keeps a connection for later, unless it is of no use or `most` are kept already.
    ///
    /// * `wanted`: whether this pool still serves. A change of that precedes [`Pool::clear`], so that
    ///   nothing is put into a pool after it was cleared for good.
    pub(crate) fn put(
        &self,
        mut connection: Box<Connection>,
        most: usize,
        wanted: impl FnOnce() -> bool,
    ) {
        let since = connection.idle_since();
        if !is_fit(&connection, since) {
            return;
        }
        let rack = self.idle.get();
        let fresh = connection.idle_waker().pool().is_none();
        let idle_waker = Arc::downgrade(connection.idle_waker());
        let mut idle = lock(&rack.value);
        let pool = || PoolRef { rack: Arc::downgrade(&rack.value) };
        if !wanted() || !connection.rest(pool) {
            return;
        }
        idle.push(connection);
        // More than one where the limit was lowered meanwhile.
        let surplus = idle.len().saturating_sub(most);
        let surplus = (surplus > 0).then(|| idle.drain(..surplus).collect::<Vec<_>>());
        drop(idle);
        drop(surplus);
        if fresh {
            self.budget.enlist(Listed { since, idle_waker, owner: self.owner.clone() });
        }
        self.budget.yield_to_waiting(&self.owner);
    }

    /// Closes what is idle.
    pub(crate) fn clear(&self) {
        let closed = std::mem::take(&mut *lock(&self.idle.get().value));
        drop(closed);
    }
}

fn is_fit(connection: &Connection, now: Instant) -> bool {
    connection.is_open()
        && now.saturating_duration_since(connection.idle_since()) < LONGEST_IDLE
        && now.saturating_duration_since(connection.opened()) < LONGEST_AGE
}

/// Where a connection lies while it is idle.
pub(super) struct PoolRef {
    rack: Weak<Rack>,
}

impl PoolRef {
    /// Looks at an idle connection on which something happened, and drops it if it has ended.
    pub(super) fn look(&self, idle_waker: &Arc<IdleWaker>) {
        let (rack, idle_waker) = (self.rack.clone(), idle_waker.clone());
        // Not here: whoever rings the bell may be in the midst of anything.
        runtime::afterwards(move || {
            let Some(rack) = rack.upgrade() else { return };
            let mut idle = lock(&rack);
            // If it is not there, it was taken, and its delivery looks.
            let Some(place) = place_of(&idle, &idle_waker) else { return };
            let open = idle[place].is_quiet();
            let ended = (!open).then(|| idle.remove(place));
            drop(idle);
            drop(ended);
        });
    }
}

fn place_of(idle: &[Box<Connection>], idle_waker: &Arc<IdleWaker>) -> Option<usize> {
    idle.iter().position(|connection| Arc::ptr_eq(connection.idle_waker(), idle_waker))
}

/// The connections of all endpoints of one dispatcher.
pub(crate) struct Budget {
    most: usize,
    state: PerProcess<Arc<State>>,
}

struct State {
    permits: Arc<FairLimit>,
    waiting: AtomicUsize,
    /// The connections that have been idle, by when each of them was when it was last looked at here:
    /// no delivery moves them.
    listed: own::Mutex<BinaryHeap<Listed>>,
    sweeping: AtomicBool,
}

/// A connection that has not been idle for longer than since an instant.
struct Listed {
    since: Instant,
    idle_waker: Weak<IdleWaker>,
    owner: Arc<str>,
}

impl Budget {
    /// * `most`: how many sockets may be open at once.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, state: PerProcess::new(State::new(most)) })
    }

    /// A permit for one more socket. Owners are served in turn, each in the order of arrival. Closes
    /// the connection that has been idle longest if all permits are out. Fails with `overloaded` if
    /// there is no room to wait.
    ///
    /// * `room`: where to wait; `None` for who is bounded elsewhere.
    pub(crate) async fn permit(
        &self,
        owner: &Arc<str>,
        room: Option<&Room>,
    ) -> Result<Permit, Error> {
        let state = self.state();
        if let Some(permit) = state.permits.try_acquire(owner) {
            return Ok(permit);
        }
        let _room = room.map(|room| room.enter(owner)).transpose()?;
        // In this order: whoever becomes idle after the eviction sees that somebody waits.
        let _waiting = Counted::new(&state.waiting);
        let waiting = state.permits.line_up(owner);
        drop(state.surplus(owner));
        Ok(waiting.served().await)
    }

    fn state(&self) -> Arc<State> {
        self.state.get_or(|| State::new(self.most)).value.clone()
    }

    fn enlist(&self, connection: Listed) {
        let state = self.state();
        let mut listed = lock(&state.listed);
        // Those that are gone would else lie here until their time is over.
        if listed.len() > 2 * self.most {
            listed.retain(|listed| listed.idle_waker.strong_count() > 0);
        }
        listed.push(connection);
        drop(listed);
        if !state.sweeping.swap(true, Ordering::AcqRel) {
            sweep(&state);
        }
    }

    fn yield_to_waiting(&self, owner: &Arc<str>) {
        let state = self.state.get_or(|| State::new(self.most));
        if state.value.waiting.load(Ordering::SeqCst) > 0 {
            drop(state.value.surplus(owner));
        }
    }
}

impl State {
    fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            permits: FairLimit::new(most),
            waiting: AtomicUsize::new(0),
            listed: own::Mutex::default(),
            sweeping: AtomicBool::new(false),
        })
    }

    /// The connection that makes room: where all permits are out, the one that has been idle longest;
    /// where others keep this owner to its share, the longest idle of its own.
    fn surplus(&self, owner: &Arc<str>) -> Option<Box<Connection>> {
        if self.permits.is_exhausted() {
            return self.longest_idle(Instant::now());
        }
        if !self.permits.is_capped(owner) {
            return None;
        }
        let listed = lock(&self.listed);
        let mut own: Vec<&Listed> = listed.iter().filter(|it| it.owner == *owner).collect();
        own.sort_by_key(|listed| listed.since);
        own.into_iter().find_map(|listed| match listed.look() {
            Seen::Idle(connection) => Some(connection),
            Seen::Used(_) | Seen::Gone => None,
        })
    }

    /// Takes the connection that has been idle longest out of its pool, if it has been so since `by`.
    fn longest_idle(&self, by: Instant) -> Option<Box<Connection>> {
        let mut listed = lock(&self.listed);
        while let Some(mut longest) = listed.peek_mut() {
            if longest.since > by {
                break;
            }
            match longest.look() {
                Seen::Used(since) => longest.since = since,
                Seen::Gone => drop(PeekMut::pop(longest)),
                Seen::Idle(connection) => {
                    PeekMut::pop(longest);
                    return Some(connection);
                }
            }
        }
        None
    }

    /// Closes what has been idle too long; when to look again, if there is anything left.
    fn expire(&self) -> Option<Instant> {
        if let Some(by) = Instant::now().checked_sub(LONGEST_IDLE) {
            while self.longest_idle(by).is_some() {}
        }
        lock(&self.listed).peek().map(|longest| longest.since + LONGEST_IDLE)
    }
}

/// What became of a connection that was listed.
enum Seen {
    /// It has lain idle, and is taken out of its pool.
    Idle(Box<Connection>),
    /// It was in use since, until this instant.
    Used(Instant),
    Gone,
}

impl Listed {
    fn look(&self) -> Seen {
        let Some(idle_waker) = self.idle_waker.upgrade() else { return Seen::Gone };
        let Some(rack) = idle_waker.pool().and_then(|pool| pool.rack.upgrade()) else {
            return Seen::Gone;
        };
        let mut idle = lock(&rack);
        let Some(place) = place_of(&idle, &idle_waker) else { return Seen::Used(Instant::now()) };
        let since = idle[place].idle_since();
        if since > self.since { Seen::Used(since) } else { Seen::Idle(idle.remove(place)) }
    }
}

impl Ord for Listed {
    /// The longest idle is the greatest.
    fn cmp(&self, other: &Self) -> Order {
        other.since.cmp(&self.since)
    }
}

impl PartialOrd for Listed {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Listed {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Order::Equal
    }
}

impl Eq for Listed {}

/// Closes idle connections in time, as long as there are any.
fn sweep(state: &Arc<State>) {
    let weak = Arc::downgrade(state);
    let sweeping = Task::start(async move {
        while let Some(state) = weak.upgrade() {
            let due = state.expire().or_else(|| {
                state.sweeping.store(false, Ordering::Release);
                // One that was listed in between has found the sweeper at work.
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

fn lock<T>(mutex: &own::Mutex<T>) -> own::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
