//! A fair limit on a shared resource such as open sockets. Each owner has its own line, and the lines are
//! served in round robin. While others wait, one owner holds at most a share of all permits. An owner is a
//! customer with any number of endpoints.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError};

use tokio::sync::oneshot;

use crate::process::{self, own};

/// While others wait, one owner holds at most a quarter of all permits.
const SHARE: usize = 4;

/// Issues a limited number of [`Permit`]s.
pub(crate) struct FairLimit {
    /// A forked child must not return permits that its parent holds.
    process: u32,
    max: usize,
    share: usize,
    /// Whether the share applies even if no other owner waits.
    strict: bool,
    state: own::Mutex<LimitState>,
}

#[derive(Default)]
struct LimitState {
    issued: usize,
    /// The owners that hold a permit or wait for one.
    owners: HashMap<Arc<str>, Owner>,
    /// The waiting owners, the next one first.
    queue: VecDeque<Arc<str>>,
}

#[derive(Default)]
struct Owner {
    held: usize,
    waiting: VecDeque<oneshot::Sender<Permit>>,
}

/// One permit of a [`FairLimit`]. Dropping it returns it.
pub(crate) struct Permit {
    limit: Arc<FairLimit>,
    owner: Arc<str>,
}

impl FairLimit {
    /// * `max`: the number of permits.
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Self::build(max, max.div_ceil(SHARE), false)
    }

    /// Like [`new`](Self::new), for resources that cannot be taken back, such as a system call that hangs:
    /// one owner holds at most its share even if no other owner waits.
    pub(crate) fn with_strict_shares(max: usize) -> Arc<Self> {
        Self::build(max, max.div_ceil(SHARE), true)
    }

    /// Limits each owner to `share` permits, without a limit on all.
    pub(crate) fn for_each_owner(share: usize) -> Arc<Self> {
        Self::build(usize::MAX, share, true)
    }

    fn build(max: usize, share: usize, strict: bool) -> Arc<Self> {
        Arc::new(Self { process: process::id(), max, share, strict, state: own::Mutex::default() })
    }

    /// Returns a permit if one is available to this owner at once.
    pub(crate) fn try_acquire(self: &Arc<Self>, owner: &Arc<str>) -> Option<Permit> {
        let mut state = self.state();
        if !self.is_available(&state, owner) {
            return None;
        }
        state.take(owner);
        Some(self.permit(owner))
    }

    /// Waits for a permit, behind earlier waiters of the same owner.
    pub(crate) async fn acquire(self: &Arc<Self>, owner: &Arc<str>) -> Permit {
        self.line_up(owner).served().await
    }

    /// Joins the line of an owner at once. The returned value waits in it.
    pub(crate) fn line_up<'a>(self: &'a Arc<Self>, owner: &'a Arc<str>) -> Waiter<'a> {
        let (grant, granted) = oneshot::channel();
        let grants = {
            let mut state = self.state();
            if state.waiting_of(owner) == 0 {
                state.queue.push_back(owner.clone());
            }
            state.owners.entry(owner.clone()).or_default().waiting.push_back(grant);
            self.serve(&mut state)
        };
        hand_over(grants);
        Waiter { limit: self, owner, granted }
    }

    /// The number of issued permits.
    pub(crate) fn issued(&self) -> usize {
        self.state().issued
    }

    /// Whether all permits are issued.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.state().issued >= self.max
    }

    /// Whether the owner waits only because it holds its share.
    pub(crate) fn is_capped(&self, owner: &Arc<str>) -> bool {
        let state = self.state();
        state.issued < self.max && state.waiting_of(owner) > 0
    }

    /// Whether a permit is available to this owner without waiting.
    fn is_available(&self, state: &LimitState, owner: &Arc<str>) -> bool {
        state.issued < self.max && state.waiting_of(owner) == 0 && self.is_below_share(state, owner)
    }

    /// Whether the owner may hold one more permit.
    fn is_below_share(&self, state: &LimitState, owner: &Arc<str>) -> bool {
        let held = state.owners.get(owner).map_or(0, |it| it.held);
        let others_wait = state.queue.iter().any(|waiting| waiting != owner);
        held < self.share || !(self.strict || others_wait)
    }

    /// Serves the lines in round robin while permits are left. The caller must send the grants without the
    /// lock: a woken waiter may return its permit at once.
    fn serve(self: &Arc<Self>, state: &mut LimitState) -> Vec<(oneshot::Sender<Permit>, Permit)> {
        let mut grants = Vec::new();
        let mut passed_over = 0;
        while state.issued < self.max && passed_over < state.queue.len() {
            let Some(owner) = state.queue.pop_front() else { break };
            if !self.is_below_share(state, &owner) {
                state.queue.push_back(owner);
                passed_over += 1;
                continue;
            }
            passed_over = 0;
            let grant = state.owners.get_mut(&owner).and_then(|it| it.waiting.pop_front());
            if let Some(grant) = grant.filter(|grant| !grant.is_closed()) {
                state.take(&owner);
                grants.push((grant, self.permit(&owner)));
            }
            if state.waiting_of(&owner) > 0 {
                state.queue.push_back(owner);
            }
        }
        grants
    }

    fn permit(self: &Arc<Self>, owner: &Arc<str>) -> Permit {
        Permit { limit: self.clone(), owner: owner.clone() }
    }

    fn state(&self) -> own::MutexGuard<'_, LimitState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LimitState {
    fn waiting_of(&self, owner: &Arc<str>) -> usize {
        self.owners.get(owner).map_or(0, |it| it.waiting.len())
    }

    fn take(&mut self, owner: &Arc<str>) {
        self.issued += 1;
        self.owners.entry(owner.clone()).or_default().held += 1;
    }

    fn give_back(&mut self, owner: &Arc<str>) {
        self.issued -= 1;
        if let Some(it) = self.owners.get_mut(owner) {
            it.held -= 1;
            if it.held == 0 && it.waiting.is_empty() {
                self.owners.remove(owner);
            }
        }
    }

    /// Removes the canceled waiters of an owner from its line.
    fn remove_canceled(&mut self, owner: &Arc<str>) {
        let Some(it) = self.owners.get_mut(owner) else { return };
        it.waiting.retain(|grant| !grant.is_closed());
        if it.waiting.is_empty() {
            self.queue.retain(|waiting| waiting != owner);
            if it.held == 0 {
                self.owners.remove(owner);
            }
        }
    }
}

/// A waiter in line. Dropping it leaves the line.
pub(crate) struct Waiter<'a> {
    limit: &'a Arc<FairLimit>,
    owner: &'a Arc<str>,
    granted: oneshot::Receiver<Permit>,
}

impl Waiter<'_> {
    pub(crate) async fn served(mut self) -> Permit {
        match (&mut self.granted).await {
            Ok(permit) => permit,
            Err(_) => unreachable!("a waiter in line is served"),
        }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if self.granted.is_terminated() || self.limit.process != process::id() {
            return;
        }
        self.granted.close();
        // A permit that was granted in between is returned.
        drop(self.granted.try_recv());
        let grants = {
            let mut state = self.limit.state();
            state.remove_canceled(self.owner);
            // If this was the last waiter of its owner, the share of the others is no longer enforced.
            self.limit.serve(&mut state)
        };
        hand_over(grants);
    }
}

impl Permit {
    /// A source of further permits for the same owner.
    pub(crate) fn spare(&self) -> Spare {
        Spare { limit: self.limit.clone(), owner: self.owner.clone() }
    }
}

/// A source of further permits for an owner that does not wait for them.
#[derive(Clone)]
pub(crate) struct Spare {
    limit: Arc<FairLimit>,
    owner: Arc<str>,
}

impl Spare {
    pub(crate) fn try_acquire(&self) -> Option<Permit> {
        self.limit.try_acquire(&self.owner)
    }

    pub(crate) fn owner(&self) -> &Arc<str> {
        &self.owner
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.limit.process != process::id() {
            return;
        }
        let grants = {
            let mut state = self.limit.state();
            state.give_back(&self.owner);
            self.limit.serve(&mut state)
        };
        hand_over(grants);
    }
}

/// Sends the grants. A permit whose waiter is gone is dropped, and so returned.
fn hand_over(grants: Vec<(oneshot::Sender<Permit>, Permit)>) {
    for (grant, permit) in grants {
        drop(grant.send(permit));
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    type Acquiring<'a> = Pin<Box<dyn Future<Output = Permit> + 'a>>;

    fn owner(name: &str) -> Arc<str> {
        name.into()
    }

    /// Joins the line, and asserts that no permit is available at once.
    fn wait<'a>(limit: &'a Arc<FairLimit>, owner: &'a Arc<str>) -> Acquiring<'a> {
        let mut acquiring: Acquiring<'a> = Box::pin(limit.acquire(owner));
        assert!(poll(&mut acquiring).is_none());
        acquiring
    }

    fn poll(acquiring: &mut Acquiring<'_>) -> Option<Permit> {
        match acquiring.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(permit) => Some(permit),
            Poll::Pending => None,
        }
    }

    #[test]
    fn one_owner_alone_may_hold_all_permits() {
        let (limit, a) = (FairLimit::new(8), owner("a"));
        let held: Vec<Permit> = (0..8).map(|_| limit.try_acquire(&a).unwrap()).collect();
        assert!(limit.try_acquire(&a).is_none() && limit.is_exhausted());
        drop(held);
        assert!(limit.state().owners.is_empty() && limit.state().issued == 0);
    }

    #[test]
    fn while_others_wait_an_owner_holds_a_quarter() {
        let (limit, a, b) = (FairLimit::new(8), owner("a"), owner("b"));
        let mut of_a: Vec<Permit> = (0..8).map(|_| limit.try_acquire(&a).unwrap()).collect();
        let mut more_of_a = wait(&limit, &a);
        let mut of_b: Vec<Acquiring<'_>> = (0..3).map(|_| wait(&limit, &b)).collect();
        // A returned permit goes to the owner that holds less than its share.
        let mut got = Vec::new();
        for _ in 0..2 {
            of_a.pop();
            got.push(of_b.iter_mut().find_map(poll).unwrap());
            assert!(poll(&mut more_of_a).is_none());
            drop(of_b.remove(0));
        }
        // Both owners hold their share or more, and wait. A reserve for a third owner is left.
        of_a.truncate(3);
        assert!(poll(&mut more_of_a).is_none() && poll(&mut of_b[0]).is_none());
        assert!(limit.is_capped(&b) && limit.try_acquire(&b).is_none());
        assert!(limit.try_acquire(&owner("c")).is_some());
        // No other owner waits any more.
        drop(of_b);
        assert!(poll(&mut more_of_a).is_some());
    }

    #[test]
    fn lines_are_served_in_round_robin_and_each_in_order() {
        let limit = FairLimit::new(1);
        let [a, b, c] = ["a", "b", "c"].map(owner);
        let mut held = Some(limit.try_acquire(&a).unwrap());
        let mut waiting: Vec<Acquiring<'_>> =
            [&a, &a, &a, &b, &b, &c].into_iter().map(|owner| wait(&limit, owner)).collect();
        for next in [0, 3, 5, 1, 4, 2] {
            drop(held.take());
            for place in [0, 3, 5, 1, 4, 2] {
                if place != next {
                    assert!(poll(&mut waiting[place]).is_none(), "{place} instead of {next}");
                }
            }
            held = poll(&mut waiting[next]);
            assert!(held.is_some(), "{next} is next");
            waiting[next] = Box::pin(std::future::pending());
        }
    }

    #[test]
    fn a_waiter_that_leaves_the_line_delays_no_other() {
        let (limit, a, b) = (FairLimit::new(1), owner("a"), owner("b"));
        let held = limit.try_acquire(&a).unwrap();
        let (first, mut second) = (wait(&limit, &a), wait(&limit, &b));
        drop(first);
        drop(held);
        let got = poll(&mut second).unwrap();
        // Granted, and dropped before it was taken.
        let third = wait(&limit, &a);
        drop(got);
        drop(third);
        assert!(limit.try_acquire(&b).is_some());
        drop(second);
        assert!(limit.state().owners.is_empty() && limit.state().queue.is_empty());
    }

    #[test]
    fn a_strict_share_applies_without_waiting_owners() {
        let (limit, a) = (FairLimit::with_strict_shares(8), owner("a"));
        let held: Vec<Permit> = (0..2).map(|_| limit.try_acquire(&a).unwrap()).collect();
        let mut third = wait(&limit, &a);
        assert!(limit.try_acquire(&owner("b")).is_some());
        drop(held);
        assert!(poll(&mut third).is_some());
    }
}
