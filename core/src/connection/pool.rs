//! Idle connections: a [`Pool`] holds those of one generation of one endpoint, and a [`ConnectionLimit`]
//! limits all sockets of a dispatcher.
//!
//! A pool is dropped with its generation. The limit issues a permit for each socket: idle, in use or being
//! opened. The permit returns when the descriptor is closed. If no permit is left, the limit closes the
//! connection that has been idle longest, of any endpoint, and serves the waiting owners in round robin.

use std::cmp::Ordering as Order;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::Connection;
use super::closings::Closings;
use super::idle_waker::IdleWaker;
use crate::admission::WaitLimit;
use crate::admission::fair_limit::{FairLimit, Permit};
use crate::error::Error;
use crate::process::{PerProcess, own};
use crate::runtime::{self, Task};

/// Servers close idle connections after 60 seconds or more. Closing earlier avoids a race with them.
const MAX_IDLE: Duration = Duration::from_secs(50);

/// A connection keeps the address that its host had when it was opened. This limits how long it ignores a
/// change of DNS or the draining of a server.
const MAX_AGE: Duration = Duration::from_secs(3600);

/// The idle connections of one generation. The one used last is taken first.
pub(crate) struct Pool {
    connection_limit: Arc<ConnectionLimit>,
    owner: Arc<str>,
    idle: PerProcess<Arc<IdleList>>,
}

type IdleList = own::Mutex<Vec<Box<Connection>>>;

impl Pool {
    pub(crate) fn new(connection_limit: &Arc<ConnectionLimit>, owner: &Arc<str>) -> Self {
        Self {
            connection_limit: connection_limit.clone(),
            owner: owner.clone(),
            idle: PerProcess::default(),
        }
    }

    /// Takes a connection that is open, within its idle time and age, and valid at `now` (Unix seconds).
    pub(crate) fn take(&self, now: i64) -> Option<Box<Connection>> {
        let list = self.idle.get();
        // Declared before the lock, so that the connections are closed after its release.
        let mut unusable = Vec::new();
        let mut idle = lock(&list.value);
        while let Some(mut connection) = idle.pop() {
            if is_usable(&connection, Instant::now())
                && connection.is_valid_at(now)
                && connection.resume()
            {
                return Some(connection);
            }
            unusable.push(connection);
        }
        None
    }

    /// Keeps a connection for reuse if it is open. Closes the oldest connections above `max`.
    ///
    /// * `serves`: whether the pool's generation still serves, checked under the lock. The generation
    ///   changes this before it calls [`Pool::clear`], so no connection enters the pool after the last
    ///   clear.
    pub(crate) fn put(
        &self,
        mut connection: Box<Connection>,
        max: usize,
        serves: impl FnOnce() -> bool,
    ) {
        let since = connection.idle_since();
        if !is_usable(&connection, since) {
            return;
        }
        let list = self.idle.get();
        let fresh = connection.idle_waker().pool().is_none();
        let idle_waker = Arc::downgrade(connection.idle_waker());
        let mut idle = lock(&list.value);
        let pool = || PoolRef { list: Arc::downgrade(&list.value) };
        if !serves() || !connection.rest(pool) {
            return;
        }
        idle.push(connection);
        // More than one if the limit was lowered meanwhile.
        let surplus = idle.len().saturating_sub(max);
        let surplus = (surplus > 0).then(|| idle.drain(..surplus).collect::<Vec<_>>());
        drop(idle);
        drop(surplus);
        if fresh {
            self.connection_limit.add_entry(IdleEntry {
                since,
                idle_waker,
                owner: self.owner.clone(),
            });
        }
        self.connection_limit.yield_to_waiting(&self.owner);
    }

    /// Returns the number of idle connections.
    pub(crate) fn idle_count(&self) -> usize {
        lock(&self.idle.get().value).len()
    }

    /// Closes the idle connections.
    pub(crate) fn clear(&self) {
        let closed = std::mem::take(&mut *lock(&self.idle.get().value));
        drop(closed);
    }
}

fn is_usable(connection: &Connection, now: Instant) -> bool {
    connection.is_open()
        && now.saturating_duration_since(connection.idle_since()) < MAX_IDLE
        && now.saturating_duration_since(connection.opened()) < MAX_AGE
}

/// A weak reference to the list that holds a connection while it is idle.
pub(super) struct PoolRef {
    list: Weak<IdleList>,
}

impl PoolRef {
    /// Reads from an idle connection that has an event, and drops it if it has ended.
    pub(super) fn check(&self, idle_waker: &Arc<IdleWaker>) {
        let (list, idle_waker) = (self.list.clone(), idle_waker.clone());
        // Not in this call: the caller of a waker may hold any lock.
        runtime::afterwards(move || {
            let Some(list) = list.upgrade() else { return };
            let mut idle = lock(&list);
            // If it is not in the list, a delivery has taken it and reads the event itself.
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

/// The limit on the connections of all endpoints of one dispatcher.
pub(crate) struct ConnectionLimit {
    max: usize,
    state: PerProcess<Arc<LimitState>>,
}

struct LimitState {
    permits: Arc<FairLimit>,
    waiting: AtomicUsize,
    /// The connections that have been idle, by the start of that idle time. Deliveries do not update it:
    /// the entry is corrected when it is checked.
    listed: own::Mutex<BinaryHeap<IdleEntry>>,
    sweeping: AtomicBool,
    closings: Closings,
}

/// An entry for a connection that has been idle since `since` at the earliest.
struct IdleEntry {
    since: Instant,
    idle_waker: Weak<IdleWaker>,
    owner: Arc<str>,
}

impl ConnectionLimit {
    /// * `max`: how many sockets may be open at once.
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, state: PerProcess::new(LimitState::new(max)) })
    }

    /// Waits for a permit for one more socket. Owners are served in round robin, each in the order of
    /// arrival. Closes the connection that has been idle longest if all permits are issued. Fails with
    /// `overloaded` if too many deliveries wait.
    ///
    /// * `wait_limit`: the limit on waiting deliveries; `None` if the caller enforces its own limit.
    pub(crate) async fn permit(
        &self,
        owner: &Arc<str>,
        wait_limit: Option<&WaitLimit>,
    ) -> Result<Permit, Error> {
        let state = self.state();
        if let Some(permit) = state.permits.try_acquire(owner) {
            return Ok(permit);
        }
        let _waiter = wait_limit.map(|wait_limit| wait_limit.enter(owner)).transpose()?;
        // Count before evicting: a connection that becomes idle after the eviction then sees the waiter
        // and yields.
        let _waiting = CountGuard::new(&state.waiting);
        let waiting = state.permits.line_up(owner);
        drop(state.connection_to_close(owner));
        Ok(waiting.served().await)
    }

    /// Returns, once, how many idle connections were closed to make room within a minute, if they are
    /// at least as many as may be open.
    pub(crate) fn closings_to_report(&self) -> Option<usize> {
        self.state.get_or(|| LimitState::new(self.max)).value.closings.to_report()
    }

    /// Returns the number of open sockets, with those that are being opened.
    pub(crate) fn open_count(&self) -> usize {
        self.state().permits.issued()
    }

    fn state(&self) -> Arc<LimitState> {
        self.state.get_or(|| LimitState::new(self.max)).value.clone()
    }

    fn add_entry(&self, connection: IdleEntry) {
        let state = self.state();
        let mut listed = lock(&state.listed);
        // Otherwise the entries of closed connections would stay until their idle time ends.
        if listed.len() > 2 * self.max {
            listed.retain(|listed| listed.idle_waker.strong_count() > 0);
        }
        listed.push(connection);
        drop(listed);
        if !state.sweeping.swap(true, Ordering::AcqRel) {
            sweep(&state);
        }
    }

    fn yield_to_waiting(&self, owner: &Arc<str>) {
        let state = self.state.get_or(|| LimitState::new(self.max));
        if state.value.waiting.load(Ordering::SeqCst) > 0 {
            drop(state.value.connection_to_close(owner));
        }
    }
}

impl LimitState {
    fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            permits: FairLimit::new(max),
            waiting: AtomicUsize::new(0),
            listed: own::Mutex::default(),
            sweeping: AtomicBool::new(false),
            closings: Closings::new(max),
        })
    }

    /// Takes the connection to close for a waiting owner: the one that has been idle longest if all permits
    /// are issued, or the longest idle of the owner's own if the owner waits only because of its share.
    fn connection_to_close(&self, owner: &Arc<str>) -> Option<Box<Connection>> {
        if self.permits.is_exhausted() {
            let now = Instant::now();
            return self.longest_idle(now).inspect(|_| self.closings.count(now));
        }
        if !self.permits.is_capped(owner) {
            return None;
        }
        let listed = lock(&self.listed);
        let mut own: Vec<&IdleEntry> = listed.iter().filter(|it| it.owner == *owner).collect();
        own.sort_by_key(|listed| listed.since);
        own.into_iter().find_map(|listed| match listed.check() {
            EntryState::Idle(connection) => Some(connection),
            EntryState::Used(_) | EntryState::Gone => None,
        })
    }

    /// Takes the connection that has been idle longest out of its pool, if it has been idle since `by`.
    fn longest_idle(&self, by: Instant) -> Option<Box<Connection>> {
        let mut listed = lock(&self.listed);
        while let Some(mut longest) = listed.peek_mut() {
            if longest.since > by {
                break;
            }
            match longest.check() {
                EntryState::Used(since) => longest.since = since,
                EntryState::Gone => drop(PeekMut::pop(longest)),
                EntryState::Idle(connection) => {
                    PeekMut::pop(longest);
                    return Some(connection);
                }
            }
        }
        None
    }

    /// Closes the connections that have been idle too long. Returns when to check again, or `None` if no
    /// entry is left.
    fn expire(&self) -> Option<Instant> {
        if let Some(by) = Instant::now().checked_sub(MAX_IDLE) {
            while self.longest_idle(by).is_some() {}
        }
        lock(&self.listed).peek().map(|longest| longest.since + MAX_IDLE)
    }
}

/// The state of the connection behind an entry.
enum EntryState {
    /// It stayed idle, and is now taken out of its pool.
    Idle(Box<Connection>),
    /// It was used since, at least until this instant.
    Used(Instant),
    /// It is closed, or its pool was dropped.
    Gone,
}

impl IdleEntry {
    fn check(&self) -> EntryState {
        let Some(idle_waker) = self.idle_waker.upgrade() else { return EntryState::Gone };
        let Some(list) = idle_waker.pool().and_then(|pool| pool.list.upgrade()) else {
            return EntryState::Gone;
        };
        let mut idle = lock(&list);
        let Some(place) = place_of(&idle, &idle_waker) else {
            return EntryState::Used(Instant::now());
        };
        let since = idle[place].idle_since();
        if since > self.since {
            EntryState::Used(since)
        } else {
            EntryState::Idle(idle.remove(place))
        }
    }
}

impl Ord for IdleEntry {
    /// The entry that has been idle longest is the greatest.
    fn cmp(&self, other: &Self) -> Order {
        other.since.cmp(&self.since)
    }
}

impl PartialOrd for IdleEntry {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl PartialEq for IdleEntry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Order::Equal
    }
}

impl Eq for IdleEntry {}

/// Starts the task that closes idle connections in time. It ends when no entry is left.
fn sweep(state: &Arc<LimitState>) {
    let weak = Arc::downgrade(state);
    let sweeping = Task::start(async move {
        while let Some(state) = weak.upgrade() {
            let due = state.expire().or_else(|| {
                state.sweeping.store(false, Ordering::Release);
                // An entry that was added in between has seen the flag still set, and started no task.
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
        // Without this task they are closed when a delivery takes them.
        Err(_) => state.sweeping.store(false, Ordering::Release),
    }
}

/// Adds one to a counter until it is dropped.
struct CountGuard<'a>(&'a AtomicUsize);

impl<'a> CountGuard<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for CountGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn lock<T>(mutex: &own::Mutex<T>) -> own::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
