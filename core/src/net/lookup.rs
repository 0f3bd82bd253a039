//! Shared DNS lookups of a process.
//!
//! The system's resolver may block its thread for any time, and a lookup cannot be canceled. So
//! lookups run on threads of their own: no delivery waits for one beyond its deadline, and deliveries
//! to the same host share one. Stuck lookups cannot use up all threads, because the endpoints of one
//! owner and the names of one domain each have a limited share.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use super::system;
use crate::admission::fair_limit::{FairLimit, Permit};
use crate::error::{Error, Kind};
use crate::process::{self, own};
use crate::runtime;

/// The most lookups at once, and the additional ones for owners and domains without a stuck lookup.
/// Together they are half of the runtime's threads for blocking work. One owner has at most a quarter
/// of either.
const MAX_LOOKUPS: usize = 192;
const RESERVE: usize = 64;

/// The most lookups at once for names of one domain.
const MAX_PER_DOMAIN: usize = (MAX_LOOKUPS + RESERVE) / 4;

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
    fn new(query: Arc<Query>) -> Arc<Self> {
        Arc::new(Self {
            process: process::id(),
            query,
            threads: FairLimit::with_strict_shares(MAX_LOOKUPS),
            reserve: FairLimit::with_strict_shares(RESERVE),
            domains: FairLimit::for_each_owner(MAX_PER_DOMAIN),
            hosts: own::Mutex::default(),
        })
    }

    fn of_this_process() -> Arc<Self> {
        let current = RESOLVER.load_full();
        if let Some(resolver) = current.as_ref().filter(|known| known.process == process::id()) {
            return resolver.clone();
        }
        let made = Self::new(Arc::new(system::addresses));
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
        self.hosts().get(name).and_then(HostLookups::join)
    }

    fn try_permits(&self, name: &str, owner: &Arc<str>) -> Option<Permits> {
        let domain = self.domains.try_acquire(&domain(name))?;
        let thread = self.threads.try_acquire(owner).or_else(|| {
            if self.is_stuck(name, owner) { None } else { self.reserve.try_acquire(owner) }
        })?;
        Some((thread, domain))
    }

    async fn permits(&self, name: &str, owner: &Arc<str>) -> Permits {
        let domain = self.domains.acquire(&domain(name)).await;
        if self.is_stuck(name, owner) {
            return (self.threads.acquire(owner).await, domain);
        }
        let thread = tokio::select! {
            biased;
            thread = self.threads.acquire(owner) => thread,
            thread = self.reserve.acquire(owner) => thread,
        };
        (thread, domain)
    }

    /// Returns whether a lookup of this owner, or of a name of the same domain, is stuck.
    fn is_stuck(&self, name: &str, owner: &Arc<str>) -> bool {
        let domain = domain(name);
        self.hosts().iter().any(|(host, lookups)| {
            let stuck = |it: &Lookup| it.started.elapsed() >= STUCK_AFTER;
            let of_domain = self::domain(host) == domain;
            lookups.running.iter().any(|it| stuck(it) && (of_domain || it.owner == *owner))
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
            if let Some(found) = lookups.join() {
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

impl HostLookups {
    fn join(&self) -> Option<watch::Receiver<Found>> {
        let youngest = self.running.last()?;
        let join = youngest.started.elapsed() < STUCK_AFTER || self.running.len() >= MAX_PER_HOST;
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
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Condvar, Mutex};

    use super::*;
    use crate::net::{Egress, Url, resolve};

    /// A resolver that is stuck on every name except one until it is released.
    struct Stuck {
        released: Mutex<bool>,
        changed: Condvar,
        asked: AtomicUsize,
    }

    impl Stuck {
        fn resolver(self: &Arc<Self>) -> Arc<Resolver> {
            let stuck = self.clone();
            Resolver::new(Arc::new(move |name| {
                stuck.asked.fetch_add(1, Ordering::SeqCst);
                if name != "well.example" {
                    let released = stuck.released.lock().unwrap();
                    drop(stuck.changed.wait_while(released, |released| !*released).unwrap());
                }
                Ok(vec![[192, 0, 2, 1].into()])
            }))
        }

        fn release(&self) {
            *self.released.lock().unwrap() = true;
            self.changed.notify_all();
        }
    }

    fn stuck() -> Arc<Stuck> {
        Arc::new(Stuck {
            released: Mutex::new(false),
            changed: Condvar::new(),
            asked: AtomicUsize::new(0),
        })
    }

    fn wait<T>(work: impl Future<Output = T>) -> T {
        runtime::drive(work, || false).unwrap()
    }

    fn owner(name: &str) -> Arc<str> {
        name.into()
    }

    /// Starts a lookup for an owner, and does not wait for it.
    fn begin(
        resolver: &Arc<Resolver>,
        name: &str,
        of: &str,
    ) -> runtime::Task<Result<Vec<IpAddr>, Error>> {
        let (resolver, name, of) = (resolver.clone(), name.to_owned(), owner(of));
        runtime::Task::start(async move { resolver.look_up(&name, &of).await }).unwrap()
    }

    /// Waits until `count` lookups have started.
    fn until_asked(stuck: &Stuck, count: usize) {
        let until = Instant::now() + Duration::from_secs(20);
        while stuck.asked.load(Ordering::SeqCst) < count {
            assert!(Instant::now() < until, "{:?} of {count}", stuck.asked);
            std::thread::yield_now();
        }
    }

    #[test]
    fn stuck_lookups_of_one_owner_delay_neither_another_owner_nor_an_address() {
        let stuck = stuck();
        let resolver = stuck.resolver();
        let waiting: Vec<_> =
            (0..400).map(|n| begin(&resolver, &format!("stuck-{n}.example"), "evil")).collect();
        // A quarter of the threads, and of the reserve.
        until_asked(&stuck, (MAX_LOOKUPS + RESERVE) / 4);
        let found = wait(resolver.look_up("well.example", &owner("honest"))).unwrap();
        assert_eq!(found, [IpAddr::from([192, 0, 2, 1])]);
        let url = Url::parse("https://192.0.2.7/").unwrap();
        let egress = Egress::public().allow(["192.0.2.0/24"]).unwrap();
        let addresses = wait(resolve(&url, &egress, &owner("evil"))).unwrap();
        assert_eq!(addresses, [([192, 0, 2, 7], 443).into()]);
        assert_eq!(stuck.asked.load(Ordering::SeqCst), (MAX_LOOKUPS + RESERVE) / 4 + 1);
        stuck.release();
        for task in waiting {
            wait(task.output()).unwrap().unwrap();
        }
        assert!(resolver.hosts().is_empty());
        assert_eq!(resolver.threads.issued() + resolver.reserve.issued(), 0);
        assert_eq!(resolver.domains.issued(), 0);
    }

    #[test]
    fn lookups_of_one_domain_are_limited_for_all_owners_together() {
        let stuck = stuck();
        let resolver = stuck.resolver();
        let waiting: Vec<_> = (0..100)
            .map(|n| begin(&resolver, &format!("h{n}.silent.example"), &format!("owner-{n}")))
            .collect();
        until_asked(&stuck, MAX_PER_DOMAIN);
        wait(resolver.look_up("well.example", &owner("owner-1"))).unwrap();
        assert_eq!(stuck.asked.load(Ordering::SeqCst), MAX_PER_DOMAIN + 1);
        stuck.release();
        for task in waiting {
            wait(task.output()).unwrap().unwrap();
        }
    }

    #[test]
    fn stuck_lookups_of_many_owners_leave_a_reserve_for_others() {
        let stuck = stuck();
        let resolver = stuck.resolver();
        let names: Vec<String> = (0..MAX_LOOKUPS).map(|n| format!("h.stuck-{n}.example")).collect();
        let waiting: Vec<_> = (0..MAX_LOOKUPS)
            .map(|n| begin(&resolver, &names[n], &format!("owner-{}", n % 8)))
            .collect();
        until_asked(&stuck, MAX_LOOKUPS);
        // Makes them stuck.
        for lookups in resolver.hosts().values_mut().flat_map(|lookups| &mut lookups.running) {
            lookups.started = lookups.started.checked_sub(STUCK_AFTER).unwrap();
        }
        let more: Vec<_> =
            (0..8).map(|n| begin(&resolver, "h.new.example", &format!("owner-{n}"))).collect();
        wait(resolver.look_up("well.example", &owner("honest"))).unwrap();
        assert_eq!(stuck.asked.load(Ordering::SeqCst), MAX_LOOKUPS + 1);
        stuck.release();
        for task in waiting.into_iter().chain(more) {
            wait(task.output()).unwrap().unwrap();
        }
    }

    #[test]
    fn a_canceled_wait_ends_at_once_and_the_others_share_one_lookup() {
        let stuck = stuck();
        let resolver = stuck.resolver();
        let waiting: Vec<_> =
            (0..100).map(|n| begin(&resolver, "acme.example", &format!("owner-{n}"))).collect();
        // A deadline ends the wait of its delivery, and the lookup continues.
        let of = owner("late");
        assert!(runtime::drive(resolver.look_up("acme.example", &of), || true).is_none());
        stuck.release();
        for task in waiting {
            wait(task.output()).unwrap().unwrap();
        }
        assert_eq!(stuck.asked.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_delivery_that_waits_for_a_thread_joins_a_lookup_of_the_same_name() {
        let stuck = stuck();
        let resolver = stuck.resolver();
        let evil: Vec<_> =
            (0..64).map(|n| begin(&resolver, &format!("stuck-{n}.example"), "evil")).collect();
        until_asked(&stuck, 64);
        // The owner has used its share, and would wait to the end for another thread.
        let joining = begin(&resolver, "well.example", "evil");
        while resolver.hosts().get("well.example").is_none_or(|lookups| lookups.waiting == 0) {
            std::thread::yield_now();
        }
        wait(resolver.look_up("well.example", &owner("honest"))).unwrap();
        stuck.release();
        for task in evil.into_iter().chain([joining]) {
            wait(task.output()).unwrap().unwrap();
        }
        assert!(resolver.hosts().is_empty());
    }

    #[test]
    fn a_domain_has_one_label_more_than_the_registry_suffix() {
        for (name, below) in [
            ("localhost", "localhost"),
            ("acme.example", "acme.example"),
            ("h1.hooks.acme.example", "acme.example"),
            ("a.acme.co.uk", "acme.co.uk"),
            ("co.uk", "co.uk"),
        ] {
            assert_eq!(&*domain(name), below);
        }
    }
}
