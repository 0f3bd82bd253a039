//! From a host to its addresses. The system's resolver blocks a thread for as long as it likes, and
//! nothing can call it back. So look-ups are kept apart from deliveries: no delivery waits for one
//! beyond its own deadline, many deliveries share one, and those that are stuck cannot take all the
//! threads, neither by one owner's endpoints nor by one domain's names.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use super::{Egress, Host, Url, system};
use crate::admission::fair_limit::{FairLimit, Permit};
use crate::error::{Error, Kind};
use crate::process::{self, own};
use crate::runtime;

/// How many look-ups run at once, and how many more for owners and domains of which no look-up is
/// stuck; together half of the threads that the runtime has for such work. One owner has at most a
/// quarter of either.
const MOST_LOOK_UPS: usize = 192;
const RESERVE: usize = 64;

/// How many of them may be for names of one domain.
const MOST_PER_DOMAIN: usize = (MOST_LOOK_UPS + RESERVE) / 4;

/// How many of them may be for one host, where they are stuck.
const MOST_PER_HOST: usize = 4;

/// How long a look-up is joined before another one is tried beside it; it is stuck then.
const JOINED_FOR: Duration = Duration::from_secs(5);

/// More addresses than these are not tried.
const MOST_ADDRESSES: usize = 16;

/// The addresses of the URL's host that may be connected to, in the order of the resolver
/// (RFC 6724); never an empty list.
///
/// * `owner`: on whose behalf; bounds what one of them takes of the look-ups.
///
/// Fails with `host_not_found`, `resolve_failed`, `egress_denied` or `overloaded`.
pub(crate) async fn resolve(
    url: &Url,
    egress: &Egress,
    owner: &Arc<str>,
) -> Result<Vec<SocketAddr>, Error> {
    let found: Vec<IpAddr> = match &url.host {
        Host::Ip(address) => vec![*address],
        Host::Dns(name) => Resolver::of_this_process().look_up(name, owner).await?,
    };
    let mut allowed = Vec::with_capacity(found.len());
    let mut refusal = None;
    for address in found {
        match egress.check(address) {
            Ok(()) => allowed.push(SocketAddr::new(address, url.port)),
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    allowed.truncate(MOST_ADDRESSES);
    if !allowed.is_empty() {
        return Ok(allowed);
    }
    Err(refusal.unwrap_or_else(|| {
        Error::new(Kind::HostNotFound, format!("the host {} has no address", url.authority()))
            .noting("host", url.authority().to_owned())
    }))
}

/// What came of a look-up; `None` while it runs.
type Found = Option<Result<Vec<IpAddr>, Error>>;

type Ask = dyn Fn(&str) -> Result<Vec<IpAddr>, Error> + Send + Sync;

struct Resolver {
    /// A forked child has the memory of its parent's look-ups, but not the threads that make them.
    process: u32,
    ask: Arc<Ask>,
    /// By owner.
    threads: Arc<FairLimit>,
    /// By owner.
    reserve: Arc<FairLimit>,
    /// By domain: names below one are mostly answered by the same name servers.
    domains: Arc<FairLimit>,
    hosts: own::Mutex<HashMap<String, Look>>,
}

/// What is done about one host.
#[derive(Default)]
struct Look {
    running: Vec<LookUp>,
    /// How many wait for a thread, and what tells them that a look-up has begun.
    waiting: usize,
    begun: Arc<own::Notify>,
}

struct LookUp {
    started: Instant,
    owner: Arc<str>,
    found: watch::Receiver<Found>,
}

/// What a look-up holds while it runs.
type Permits = (Permit, Permit);

static RESOLVER: ArcSwapOption<Resolver> = ArcSwapOption::const_empty();

impl Resolver {
    fn new(ask: Arc<Ask>) -> Arc<Self> {
        Arc::new(Self {
            process: process::id(),
            ask,
            threads: FairLimit::with_strict_shares(MOST_LOOK_UPS),
            reserve: FairLimit::with_strict_shares(RESERVE),
            domains: FairLimit::for_each_owner(MOST_PER_DOMAIN),
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

    /// The addresses of a name. Who stops waiting stops nobody else.
    async fn look_up(self: &Arc<Self>, name: &str, owner: &Arc<str>) -> Result<Vec<IpAddr>, Error> {
        let mut found = match self.joined(name) {
            Some(found) => found,
            None => self.start_or_join(name, owner).await?,
        };
        let found = found.wait_for(Option::is_some).await;
        let stopped = || Error::new(Kind::Internal, "a look-up ended without a result");
        found.map_err(|_| stopped())?.clone().unwrap_or_else(|| Err(stopped()))
    }

    /// Waits for a thread, or until somebody else has begun to look the same name up.
    async fn start_or_join(
        self: &Arc<Self>,
        name: &str,
        owner: &Arc<str>,
    ) -> Result<watch::Receiver<Found>, Error> {
        if let Some(permits) = self.try_admit(name, owner) {
            return self.start(name, owner, permits);
        }
        let waiting = WaitingForThread::new(self, name);
        loop {
            let begun = waiting.begun.notified();
            // Registered before the look, so that none is missed.
            let mut begun = std::pin::pin!(begun);
            begun.as_mut().enable();
            if let Some(found) = self.joined(name) {
                return Ok(found);
            }
            tokio::select! {
                biased;
                () = begun => {}
                permits = self.admit(name, owner) => return self.start(name, owner, permits),
            }
        }
    }

    /// A look-up of that name which runs already and is not stuck, or beside which no other may run.
    fn joined(&self, name: &str) -> Option<watch::Receiver<Found>> {
        self.hosts().get(name).and_then(Look::joined)
    }

    fn try_admit(&self, name: &str, owner: &Arc<str>) -> Option<Permits> {
        let domain = self.domains.try_acquire(&domain(name))?;
        let thread = self.threads.try_acquire(owner).or_else(|| {
            if self.is_stuck(name, owner) { None } else { self.reserve.try_acquire(owner) }
        })?;
        Some((thread, domain))
    }

    async fn admit(&self, name: &str, owner: &Arc<str>) -> Permits {
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

    /// Whether a look-up of this owner, or of a name of the same domain, is stuck.
    fn is_stuck(&self, name: &str, owner: &Arc<str>) -> bool {
        let domain = domain(name);
        self.hosts().iter().any(|(host, look)| {
            let stuck = |it: &LookUp| it.started.elapsed() >= JOINED_FOR;
            let of_domain = self::domain(host) == domain;
            look.running.iter().any(|it| stuck(it) && (of_domain || it.owner == *owner))
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
            let look = hosts.entry(name.to_owned()).or_default();
            // Somebody may have been faster.
            if let Some(found) = look.joined() {
                return Ok(found);
            }
            look.running.push(LookUp { started, owner: owner.clone(), found: found.clone() });
            look.begun.notify_waiters();
        }
        let (resolver, name) = (self.clone(), name.to_owned());
        handle.spawn_blocking(move || {
            let outcome = {
                let _running = Running { resolver: &resolver, name: &name, started };
                (resolver.ask)(&name)
            };
            let _ = sender.send(Some(outcome));
            drop(permits);
        });
        Ok(found)
    }

    fn hosts(&self) -> own::MutexGuard<'_, HashMap<String, Look>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Look {
    fn joined(&self) -> Option<watch::Receiver<Found>> {
        let youngest = self.running.last()?;
        let join = youngest.started.elapsed() < JOINED_FOR || self.running.len() >= MOST_PER_HOST;
        join.then(|| youngest.found.clone())
    }

    fn is_over(&self) -> bool {
        self.running.is_empty() && self.waiting == 0
    }
}

/// One that waits for a thread, until this is dropped.
struct WaitingForThread<'a> {
    resolver: &'a Resolver,
    name: &'a str,
    begun: Arc<own::Notify>,
}

impl<'a> WaitingForThread<'a> {
    fn new(resolver: &'a Resolver, name: &'a str) -> Self {
        let mut hosts = resolver.hosts();
        let look = hosts.entry(name.to_owned()).or_default();
        look.waiting += 1;
        Self { resolver, name, begun: look.begun.clone() }
    }
}

impl Drop for WaitingForThread<'_> {
    fn drop(&mut self) {
        self.resolver.leave(self.name, |look| look.waiting -= 1);
    }
}

/// One look-up that runs; it may be joined until this is dropped, be it by a panic.
struct Running<'a> {
    resolver: &'a Resolver,
    name: &'a str,
    started: Instant,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let started = self.started;
        self.resolver.leave(self.name, |look| look.running.retain(|it| it.started != started));
    }
}

impl Resolver {
    fn leave(&self, name: &str, change: impl FnOnce(&mut Look)) {
        let mut hosts = self.hosts();
        if let Some(look) = hosts.get_mut(name) {
            change(look);
            if look.is_over() {
                hosts.remove(name);
            }
        }
    }
}

/// Below what a name's neighbors are: its last two labels, or three where the second last is one of
/// the short ones that registries have (`co.uk`).
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

    /// A resolver that is stuck on every name but one until it is released.
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

    /// Look-ups that begin on behalf of an owner, and are not waited for.
    fn begin(
        resolver: &Arc<Resolver>,
        name: &str,
        of: &str,
    ) -> runtime::Task<Result<Vec<IpAddr>, Error>> {
        let (resolver, name, of) = (resolver.clone(), name.to_owned(), owner(of));
        runtime::Task::start(async move { resolver.look_up(&name, &of).await }).unwrap()
    }

    /// Until so many look-ups have begun.
    fn until_asked(stuck: &Stuck, count: usize) {
        let until = Instant::now() + Duration::from_secs(20);
        while stuck.asked.load(Ordering::SeqCst) < count {
            assert!(Instant::now() < until, "{:?} of {count}", stuck.asked);
            std::thread::yield_now();
        }
    }

    #[test]
    fn stuck_look_ups_of_one_owner_stop_neither_another_owner_nor_an_address() {
        let stuck = stuck();
        let resolver = stuck.resolver();
        let waiting: Vec<_> =
            (0..400).map(|n| begin(&resolver, &format!("stuck-{n}.example"), "evil")).collect();
        // A quarter of the threads, and of the reserve.
        until_asked(&stuck, (MOST_LOOK_UPS + RESERVE) / 4);
        let found = wait(resolver.look_up("well.example", &owner("honest"))).unwrap();
        assert_eq!(found, [IpAddr::from([192, 0, 2, 1])]);
        let url = Url::parse("https://192.0.2.7/").unwrap();
        let egress = Egress::public().allow(["192.0.2.0/24"]).unwrap();
        let addresses = wait(resolve(&url, &egress, &owner("evil"))).unwrap();
        assert_eq!(addresses, [([192, 0, 2, 7], 443).into()]);
        assert_eq!(stuck.asked.load(Ordering::SeqCst), (MOST_LOOK_UPS + RESERVE) / 4 + 1);
        stuck.release();
        for task in waiting {
            wait(task.output()).unwrap().unwrap();
        }
        assert!(resolver.hosts().is_empty());
        assert_eq!(resolver.threads.issued() + resolver.reserve.issued(), 0);
        assert_eq!(resolver.domains.issued(), 0);
    }

    #[test]
    fn names_of_one_domain_are_bounded_whoever_asks_for_them() {
        let stuck = stuck();
        let resolver = stuck.resolver();
        let waiting: Vec<_> = (0..100)
            .map(|n| begin(&resolver, &format!("h{n}.silent.example"), &format!("owner-{n}")))
            .collect();
        until_asked(&stuck, MOST_PER_DOMAIN);
        wait(resolver.look_up("well.example", &owner("owner-1"))).unwrap();
        assert_eq!(stuck.asked.load(Ordering::SeqCst), MOST_PER_DOMAIN + 1);
        stuck.release();
        for task in waiting {
            wait(task.output()).unwrap().unwrap();
        }
    }

    #[test]
    fn many_owners_of_many_domains_leave_a_reserve_to_those_that_are_well() {
        let stuck = stuck();
        let resolver = stuck.resolver();
        let names: Vec<String> =
            (0..MOST_LOOK_UPS).map(|n| format!("h.stuck-{n}.example")).collect();
        let waiting: Vec<_> = (0..MOST_LOOK_UPS)
            .map(|n| begin(&resolver, &names[n], &format!("owner-{}", n % 8)))
            .collect();
        until_asked(&stuck, MOST_LOOK_UPS);
        // They are stuck now.
        for look in resolver.hosts().values_mut().flat_map(|look| &mut look.running) {
            look.started = look.started.checked_sub(JOINED_FOR).unwrap();
        }
        let more: Vec<_> =
            (0..8).map(|n| begin(&resolver, "h.new.example", &format!("owner-{n}"))).collect();
        wait(resolver.look_up("well.example", &owner("honest"))).unwrap();
        assert_eq!(stuck.asked.load(Ordering::SeqCst), MOST_LOOK_UPS + 1);
        stuck.release();
        for task in waiting.into_iter().chain(more) {
            wait(task.output()).unwrap().unwrap();
        }
    }

    #[test]
    fn who_stops_waiting_is_free_at_once_and_the_others_share_one_look_up() {
        let stuck = stuck();
        let resolver = stuck.resolver();
        let waiting: Vec<_> =
            (0..100).map(|n| begin(&resolver, "acme.example", &format!("owner-{n}"))).collect();
        // The deadline of a delivery: the look-up goes on, the delivery does not wait for it.
        let of = owner("late");
        assert!(runtime::drive(resolver.look_up("acme.example", &of), || true).is_none());
        stuck.release();
        for task in waiting {
            wait(task.output()).unwrap().unwrap();
        }
        assert_eq!(stuck.asked.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn who_waits_for_a_thread_joins_a_look_up_of_the_same_name() {
        let stuck = stuck();
        let resolver = stuck.resolver();
        let evil: Vec<_> =
            (0..64).map(|n| begin(&resolver, &format!("stuck-{n}.example"), "evil")).collect();
        until_asked(&stuck, 64);
        // It is at its share, and would wait until the end for a thread of its own.
        let joining = begin(&resolver, "well.example", "evil");
        while resolver.hosts().get("well.example").is_none_or(|look| look.waiting == 0) {
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
    fn neighbors_are_told_by_the_labels_that_a_registry_does_not_sell() {
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
