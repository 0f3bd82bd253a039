//! A limit on something that several owners want at once, such as open sockets: each owner has a
//! line of its own, the lines are served in turn, and while others wait, one owner holds at most a
//! share of the whole. An owner is a customer, however many endpoints it has.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError};

use tokio::sync::oneshot;

use crate::process::{self, own};

/// Of the whole, one owner holds at most a quarter while others wait.
const SHARE: usize = 4;

/// Gives out a bounded number of [`Permit`]s.
pub(crate) struct FairLimit {
    /// A permit that a forked child inherited is its parent's.
    process: u32,
    most: usize,
    share: usize,
    /// Whether the share holds although nobody else waits.
    always: bool,
    state: own::Mutex<State>,
}

#[derive(Default)]
struct State {
    given: usize,
    /// Those that hold a permit or wait for one.
    owners: HashMap<Arc<str>, Owner>,
    /// The owners that wait, the next one first.
    turns: VecDeque<Arc<str>>,
}

#[derive(Default)]
struct Owner {
    held: usize,
    waiting: VecDeque<oneshot::Sender<Permit>>,
}

/// One of a bounded number, given back when this is dropped.
pub(crate) struct Permit {
    limit: Arc<FairLimit>,
    owner: Arc<str>,
}

impl FairLimit {
    /// * `most`: how many permits there are.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Self::made(most, most.div_ceil(SHARE), false)
    }

    /// The same for what cannot be taken back, as a system call that hangs: one owner holds at most
    /// its share, although nobody else waits yet.
    pub(crate) fn with_strict_shares(most: usize) -> Arc<Self> {
        Self::made(most, most.div_ceil(SHARE), true)
    }

    /// No limit in all, but so many permits for each owner.
    pub(crate) fn for_each_owner(share: usize) -> Arc<Self> {
        Self::made(usize::MAX, share, true)
    }

    fn made(most: usize, share: usize, always: bool) -> Arc<Self> {
        Arc::new(Self { process: process::id(), most, share, always, state: own::Mutex::default() })
    }

    /// A permit, if one may be had at once.
    pub(crate) fn try_acquire(self: &Arc<Self>, owner: &Arc<str>) -> Option<Permit> {
        let mut state = self.state();
        if !self.may_have(&state, owner) {
            return None;
        }
        state.take(owner);
        Some(self.permit(owner))
    }

    /// Waits for a permit, behind those of the same owner that wait already.
    pub(crate) async fn acquire(self: &Arc<Self>, owner: &Arc<str>) -> Permit {
        self.line_up(owner).served().await
    }

    /// Joins the line of an owner at once; what is returned waits in it.
    pub(crate) fn line_up<'a>(self: &'a Arc<Self>, owner: &'a Arc<str>) -> Waiting<'a> {
        let (grant, granted) = oneshot::channel();
        let grants = {
            let mut state = self.state();
            if state.waiting_of(owner) == 0 {
                state.turns.push_back(owner.clone());
            }
            state.owners.entry(owner.clone()).or_default().waiting.push_back(grant);
            self.serve(&mut state)
        };
        hand_over(grants);
        Waiting { limit: self, owner, granted }
    }

    /// How many permits are out.
    #[cfg(test)]
    pub(crate) fn given(&self) -> usize {
        self.state().given
    }

    /// Whether all permits are out.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.state().given >= self.most
    }

    /// Whether the owner waits for no other reason than that it holds its share.
    pub(crate) fn is_capped(&self, owner: &Arc<str>) -> bool {
        let state = self.state();
        state.given < self.most && state.waiting_of(owner) > 0
    }

    /// Whether somebody who comes now need not wait.
    fn may_have(&self, state: &State, owner: &Arc<str>) -> bool {
        state.given < self.most && state.waiting_of(owner) == 0 && self.is_below(state, owner)
    }

    fn is_below(&self, state: &State, owner: &Arc<str>) -> bool {
        let held = state.owners.get(owner).map_or(0, |it| it.held);
        let others_wait = state.turns.iter().any(|waiting| waiting != owner);
        held < self.share || !(self.always || others_wait)
    }

    /// Serves the lines in turn, as far as permits go. What is returned is to be handed over without
    /// the lock: who is waked may give a permit back at once.
    fn serve(self: &Arc<Self>, state: &mut State) -> Vec<(oneshot::Sender<Permit>, Permit)> {
        let mut grants = Vec::new();
        let mut passed_over = 0;
        while state.given < self.most && passed_over < state.turns.len() {
            let Some(owner) = state.turns.pop_front() else { break };
            if !self.is_below(state, &owner) {
                state.turns.push_back(owner);
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
                state.turns.push_back(owner);
            }
        }
        grants
    }

    fn permit(self: &Arc<Self>, owner: &Arc<str>) -> Permit {
        Permit { limit: self.clone(), owner: owner.clone() }
    }

    fn state(&self) -> own::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn waiting_of(&self, owner: &Arc<str>) -> usize {
        self.owners.get(owner).map_or(0, |it| it.waiting.len())
    }

    fn take(&mut self, owner: &Arc<str>) {
        self.given += 1;
        self.owners.entry(owner.clone()).or_default().held += 1;
    }

    fn give_back(&mut self, owner: &Arc<str>) {
        self.given -= 1;
        if let Some(it) = self.owners.get_mut(owner) {
            it.held -= 1;
            if it.held == 0 && it.waiting.is_empty() {
                self.owners.remove(owner);
            }
        }
    }

    /// Takes those of an owner that do not wait any more out of its line.
    fn forget_who_left(&mut self, owner: &Arc<str>) {
        let Some(it) = self.owners.get_mut(owner) else { return };
        it.waiting.retain(|grant| !grant.is_closed());
        if it.waiting.is_empty() {
            self.turns.retain(|waiting| waiting != owner);
            if it.held == 0 {
                self.owners.remove(owner);
            }
        }
    }
}

/// One that waits in line, until this is dropped.
pub(crate) struct Waiting<'a> {
    limit: &'a Arc<FairLimit>,
    owner: &'a Arc<str>,
    granted: oneshot::Receiver<Permit>,
}

impl Waiting<'_> {
    pub(crate) async fn served(mut self) -> Permit {
        match (&mut self.granted).await {
            Ok(permit) => permit,
            Err(_) => unreachable!("who is in line is served"),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.granted.is_terminated() || self.limit.process != process::id() {
            return;
        }
        self.granted.close();
        // One that was granted in between is given back.
        drop(self.granted.try_recv());
        let grants = {
            let mut state = self.limit.state();
            state.forget_who_left(self.owner);
            // Whoever does not wait any more keeps nobody to a share.
            self.limit.serve(&mut state)
        };
        hand_over(grants);
    }
}

impl Permit {
    /// Where its owner gets more, if they are free at once.
    pub(crate) fn spare(&self) -> Spare {
        Spare { limit: self.limit.clone(), owner: self.owner.clone() }
    }
}

/// Further permits for an owner that waits for none.
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

/// What nobody takes any more is dropped, and so given back.
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

    /// Joins the line, and is not served at once.
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
    fn one_owner_alone_may_have_all() {
        let (limit, a) = (FairLimit::new(8), owner("a"));
        let held: Vec<Permit> = (0..8).map(|_| limit.try_acquire(&a).unwrap()).collect();
        assert!(limit.try_acquire(&a).is_none() && limit.is_exhausted());
        drop(held);
        assert!(limit.state().owners.is_empty() && limit.state().given == 0);
    }

    #[test]
    fn while_others_wait_an_owner_holds_a_quarter() {
        let (limit, a, b) = (FairLimit::new(8), owner("a"), owner("b"));
        let mut of_a: Vec<Permit> = (0..8).map(|_| limit.try_acquire(&a).unwrap()).collect();
        let mut more_of_a = wait(&limit, &a);
        let mut of_b: Vec<Acquiring<'_>> = (0..3).map(|_| wait(&limit, &b)).collect();
        // What comes back goes to the one that has less than its share.
        let mut got = Vec::new();
        for _ in 0..2 {
            of_a.pop();
            got.push(of_b.iter_mut().find_map(poll).unwrap());
            assert!(poll(&mut more_of_a).is_none());
            drop(of_b.remove(0));
        }
        // Both hold their share or more, and each waits: a reserve for a third is left.
        of_a.truncate(3);
        assert!(poll(&mut more_of_a).is_none() && poll(&mut of_b[0]).is_none());
        assert!(limit.is_capped(&b) && limit.try_acquire(&b).is_none());
        assert!(limit.try_acquire(&owner("c")).is_some());
        // Nobody else waits any more.
        drop(of_b);
        assert!(poll(&mut more_of_a).is_some());
    }

    #[test]
    fn lines_are_served_in_turn_and_each_in_order() {
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
    fn who_leaves_the_line_keeps_nobody_else_waiting() {
        let (limit, a, b) = (FairLimit::new(1), owner("a"), owner("b"));
        let held = limit.try_acquire(&a).unwrap();
        let (first, mut second) = (wait(&limit, &a), wait(&limit, &b));
        drop(first);
        drop(held);
        let got = poll(&mut second).unwrap();
        // Granted, and given up before it was taken.
        let third = wait(&limit, &a);
        drop(got);
        drop(third);
        assert!(limit.try_acquire(&b).is_some());
        drop(second);
        assert!(limit.state().owners.is_empty() && limit.state().turns.is_empty());
    }

    #[test]
    fn a_strict_share_holds_before_anybody_waits() {
        let (limit, a) = (FairLimit::with_strict_shares(8), owner("a"));
        let held: Vec<Permit> = (0..2).map(|_| limit.try_acquire(&a).unwrap()).collect();
        let mut third = wait(&limit, &a);
        assert!(limit.try_acquire(&owner("b")).is_some());
        drop(held);
        assert!(poll(&mut third).is_some());
    }
}
