//! Shared DNS lookups of a process.
//!
//! The system's resolver may block its thread for any time, and a lookup cannot be canceled. So
//! lookups run on threads of their own: no delivery waits for one beyond its deadline, and deliveries
//! to the same host share one. Stuck lookups cannot use up all threads: the endpoints of one owner and the
//! names of one domain each have a limited share, names with silent name servers have few threads of
//! their own, and some threads are for names that were answered before.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use super::lookup_history::LookupHistory;
use super::system;
use crate::admission::fair_limit::{FairLimit, Permit};
use crate::error::{Error, Kind};
use crate::process::{self, own};
use crate::runtime;

/// The most lookups at once, and the additional ones for owners and domains without a stuck lookup, for
/// names that were answered before, and for names whose last lookup was stuck, which have no others. One
/// owner has at most a quarter of each.
const MAX_LOOKUPS: usize = 384;
const RESERVE: usize = 64;
const FOR_ANSWERED: usize = 64;
const FOR_SILENT: usize = 64;

/// The runtime has threads beyond these, for files.
const _: () = assert!(
    MAX_LOOKUPS + RESERVE + FOR_ANSWERED + FOR_SILENT <= runtime::MAX_BLOCKING_THREADS / 4 * 3
);

/// The most lookups at once for names of one domain.
const MAX_PER_DOMAIN: usize = 64;

/// The most stuck lookups at once for one host.
const MAX_PER_HOST: usize = 4;

/// The time after which a lookup counts as stuck. Until then deliveries join it; afterwards another one
/// is started beside it.
const STUCK_AFTER: Duration = Duration::from_secs(5);

/// Returns the addresses of a name, in the order of the resolver.
///
/// * `owner`: the owner whose share of the threads the lookup uses.
///
/// Fails with `host_not_found`, `resolve_failed` or `overloaded`.
pub(super) async fn look_up(name: &str, owner: &Arc<str>) -> Result<Vec<IpAddr>, Error> {
    Resolver::of_this_process().look_up(name, owner).await
}

/// The result of a lookup; `None` while it runs.
type Found = Option<Result<Vec<IpAddr>, Error>>;

type Query = dyn Fn(&str) -> Result<Vec<IpAddr>, Error> + Send + Sync;

struct Resolver {
    /// A forked child has the memory of its parent's lookups, but not their threads.
    process: u32,
    query: Arc<Query>,
    /// Threads, shared by owner.
    threads: Arc<FairLimit>,
    /// Threads of the reserve, shared by owner.
    reserve: Arc<FairLimit>,
    /// Threads for names that were answered before, shared by owner.
    for_answered: Arc<FairLimit>,
    /// Threads for names whose last lookup was stuck, shared by owner.
    for_silent: Arc<FairLimit>,
    history: LookupHistory,
    /// The time after which a lookup counts as stuck.
    stuck_after: Duration,
    /// Threads, shared by domain: mostly the same name servers answer for all names of a domain.
    domains: Arc<FairLimit>,
    hosts: own::Mutex<HashMap<String, HostLookups>>,
}

/// The lookups of one host.
#[derive(Default)]
struct HostLookups {
    running: Vec<Lookup>,
    /// The number of deliveries that wait for a thread.
    waiting: usize,
    /// Tells these deliveries that a lookup has started.
    started: Arc<own::Notify>,
}

struct Lookup {
    started: Instant,
    owner: Arc<str>,
    found: watch::Receiver<Found>,
}

/// The permits that a lookup holds while it runs: for its thread and for its domain.
type Permits = (Permit, Permit);

static RESOLVER: ArcSwapOption<Resolver> = ArcSwapOption::const_empty();

impl Resolver {
    fn new(query: Arc<Query>, stuck_after: Duration) -> Arc<Self> {
        Arc::new(Self {
            process: process::id(),
            query,
            threads: FairLimit::with_strict_shares(MAX_LOOKUPS),
            reserve: FairLimit::with_strict_shares(RESERVE),
            for_answered: FairLimit::with_strict_shares(FOR_ANSWERED),
            for_silent: FairLimit::with_strict_shares(FOR_SILENT),
            history: LookupHistory::default(),
            stuck_after,
            domains: FairLimit::for_each_owner(MAX_PER_DOMAIN),
            hosts: own::Mutex::default(),
        })
    }

    fn of_this_process() -> Arc<Self> {
        let current = RESOLVER.load_full();
        if let Some(resolver) = current.as_ref().filter(|known| known.process == process::id()) {
            return resolver.clone();
        }
        let made = Self::new(Arc::new(system::addresses), STUCK_AFTER);
        let before = RESOLVER.compare_and_swap(&current, Some(made.clone()));
        match &*before {
            Some(theirs) if theirs.process == made.process => theirs.clone(),
            _ => made,
        }
    }

    /// Returns the addresses of a name. Dropping this future does not affect other waiting deliveries.
    async fn look_up(self: &Arc<Self>, name: &str, owner: &Arc<str>) -> Result<Vec<IpAddr>, Error> {
        let mut found = match self.join(name) {
            Some(found) => found,
            None => self.start_or_join(name, owner).await?,
        };
        let found = found.wait_for(Option::is_some).await;
        let ended = || Error::new(Kind::Internal, "a DNS lookup ended without a result");
        found.map_err(|_| ended())?.clone().unwrap_or_else(|| Err(ended()))
    }

    /// Waits for a thread, or until another delivery has started a lookup of the same name.
    async fn start_or_join(
        self: &Arc<Self>,
        name: &str,
        owner: &Arc<str>,
    ) -> Result<watch::Receiver<Found>, Error> {
        if let Some(permits) = self.try_permits(name, owner) {
            return self.start(name, owner, permits);
        }
        let waiting = WaitingForThread::new(self, name);
        loop {
            let begun = waiting.started.notified();
            // Registered before the check, so that no start is missed.
            let mut begun = std::pin::pin!(begun);
            begun.as_mut().enable();
            if let Some(found) = self.join(name) {
                return Ok(found);
            }
            tokio::select! {
                biased;
                () = begun => {}
                permits = self.permits(name, owner) => return self.start(name, owner, permits),
            }
        }
    }

    /// Returns the running lookup of that name, unless it is stuck and another one may start.
    fn join(&self, name: &str) -> Option<watch::Receiver<Found>> {
        self.hosts().get(name).and_then(|lookups| lookups.join(self.stuck_after))
    }

    fn try_permits(&self, name: &str, owner: &Arc<str>) -> Option<Permits> {
        let domain = self.domains.try_acquire(&domain(name))?;
        if self.is_silent(name) {
            return Some((self.for_silent.try_acquire(owner)?, domain));
        }
        let thread = self
            .threads
            .try_acquire(owner)
            .or_else(|| (!self.is_stuck(name, owner)).then(|| self.reserve.try_acquire(owner))?)
            .or_else(|| {
                self.history.is_answered(name).then(|| self.for_answered.try_acquire(owner))?
            })?;
        Some((thread, domain))
    }

    async fn permits(&self, name: &str, owner: &Arc<str>) -> Permits {
        let domain = self.domains.acquire(&domain(name)).await;
        if self.is_silent(name) {
            return (self.for_silent.acquire(owner).await, domain);
        }
        let (stuck, answered) = (self.is_stuck(name, owner), self.history.is_answered(name));
        let thread = tokio::select! {
            biased;
            thread = self.threads.acquire(owner) => thread,
            thread = self.reserve.acquire(owner), if !stuck => thread,
            thread = self.for_answered.acquire(owner), if answered => thread,
        };
        (thread, domain)
    }

    /// Whether a lookup of this name is stuck, or the last one was.
    fn is_silent(&self, name: &str) -> bool {
        let has_stuck = |lookups: &HostLookups| {
            lookups.running.iter().any(|lookup| lookup.is_stuck(self.stuck_after))
        };
        self.history.is_silent(name) || self.hosts().get(name).is_some_and(has_stuck)
    }

    /// Returns whether a lookup of this owner, or of a name of the same domain, is stuck.
    fn is_stuck(&self, name: &str, owner: &Arc<str>) -> bool {
        let domain = domain(name);
        self.hosts().iter().any(|(host, lookups)| {
            let of_domain = self::domain(host) == domain;
            let mut stuck =
                lookups.running.iter().filter(|lookup| lookup.is_stuck(self.stuck_after));
            stuck.any(|lookup| of_domain || lookup.owner == *owner)
        })
    }

    fn start(
        self: &Arc<Self>,
        name: &str,
        owner: &Arc<str>,
        permits: Permits,
    ) -> Result<watch::Receiver<Found>, Error> {
        let handle = runtime::handle()?;
        let (sender, found) = watch::channel(None);
        let started = Instant::now();
        {
            let mut hosts = self.hosts();
            let lookups = hosts.entry(name.to_owned()).or_default();
            // Another thread may have been faster.
            if let Some(found) = lookups.join(self.stuck_after) {
                return Ok(found);
            }
            lookups.running.push(Lookup { started, owner: owner.clone(), found: found.clone() });
            lookups.started.notify_waiters();
        }
        let (resolver, name) = (self.clone(), name.to_owned());
        handle.spawn_blocking(move || {
            let outcome = {
                let _running = RunningLookup { resolver: &resolver, name: &name, started };
                (resolver.query)(&name)
            };
            let in_time = started.elapsed() < resolver.stuck_after;
            resolver.history.record(&name, in_time, outcome.is_ok());
            // The permits are back before a delivery can see the outcome.
            drop(permits);
            let _ = sender.send(Some(outcome));
        });
        Ok(found)
    }

    fn hosts(&self) -> own::MutexGuard<'_, HashMap<String, HostLookups>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lookup {
    fn is_stuck(&self, after: Duration) -> bool {
        self.started.elapsed() >= after
    }
}

impl HostLookups {
    fn join(&self, stuck_after: Duration) -> Option<watch::Receiver<Found>> {
        let youngest = self.running.last()?;
        let join = !youngest.is_stuck(stuck_after) || self.running.len() >= MAX_PER_HOST;
        join.then(|| youngest.found.clone())
    }

    fn is_over(&self) -> bool {
        self.running.is_empty() && self.waiting == 0
    }
}

/// Counts a delivery that waits for a thread, until this is dropped.
struct WaitingForThread<'a> {
    resolver: &'a Resolver,
    name: &'a str,
    started: Arc<own::Notify>,
}

impl<'a> WaitingForThread<'a> {
    fn new(resolver: &'a Resolver, name: &'a str) -> Self {
        let mut hosts = resolver.hosts();
        let lookups = hosts.entry(name.to_owned()).or_default();
        lookups.waiting += 1;
        Self { resolver, name, started: lookups.started.clone() }
    }
}

impl Drop for WaitingForThread<'_> {
    fn drop(&mut self) {
        self.resolver.leave(self.name, |lookups| lookups.waiting -= 1);
    }
}

/// A running lookup. It may be joined until this is dropped, which a panic does as well.
struct RunningLookup<'a> {
    resolver: &'a Resolver,
    name: &'a str,
    started: Instant,
}

impl Drop for RunningLookup<'_> {
    fn drop(&mut self) {
        let started = self.started;
        self.resolver
            .leave(self.name, |lookups| lookups.running.retain(|it| it.started != started));
    }
}

impl Resolver {
    fn leave(&self, name: &str, change: impl FnOnce(&mut HostLookups)) {
        let mut hosts = self.hosts();
        if let Some(lookups) = hosts.get_mut(name) {
            change(lookups);
            if lookups.is_over() {
                hosts.remove(name);
            }
        }
    }
}

/// Returns the domain of a name: its last two labels, or three if the second last is short, as in the
/// registry suffix `co.uk`.
fn domain(name: &str) -> Arc<str> {
    let mut labels = name.rsplit('.').skip(1);
    let short = labels.next().is_some_and(|second| second.len() <= 3);
    let count = if short { 3 } else { 2 };
    match name.rmatch_indices('.').nth(count - 1) {
        Some((dot, _)) => name[dot + 1..].into(),
        None => name.into(),
    }
}

#[cfg(test)]
#[path = "lookup_tests.rs"]
mod tests;
