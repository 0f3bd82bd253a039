//! Stuck lookups, and who may still look up names.

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::task::Poll;

use super::*;
use crate::net::{Egress, Url, resolve};

/// The most lookups of one owner.
const SHARE: usize = (MAX_LOOKUPS + RESERVE) / 4;

/// A resolver that is stuck on every name except one until it is released.
struct Stuck {
    released: Mutex<bool>,
    changed: Condvar,
    asked: AtomicUsize,
}

impl Stuck {
    fn resolver(self: &Arc<Self>) -> Arc<Resolver> {
        self.resolver_with(STUCK_AFTER)
    }

    fn resolver_with(self: &Arc<Self>, stuck_after: Duration) -> Arc<Resolver> {
        let stuck = self.clone();
        let query = move |name: &str| {
            stuck.asked.fetch_add(1, Ordering::SeqCst);
            if name != "well.example" {
                let released = stuck.released.lock().unwrap();
                drop(stuck.changed.wait_while(released, |released| !*released).unwrap());
            }
            Ok(vec![[192, 0, 2, 1].into()])
        };
        Resolver::new(Arc::new(query), stuck_after)
    }

    fn release(&self) {
        self.set_released(true);
    }

    fn set_released(&self, released: bool) {
        *self.released.lock().unwrap() = released;
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
    until_asked(&stuck, SHARE);
    let found = wait(resolver.look_up("well.example", &owner("honest"))).unwrap();
    assert_eq!(found, [IpAddr::from([192, 0, 2, 1])]);
    let url = Url::parse("https://192.0.2.7/").unwrap();
    let egress = Egress::public().allow(["192.0.2.0/24"]).unwrap();
    let addresses = wait(resolve(&url, &egress, &owner("evil"))).unwrap();
    assert_eq!(addresses, [([192, 0, 2, 7], 443).into()]);
    assert_eq!(stuck.asked.load(Ordering::SeqCst), SHARE + 1);
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

/// Begins lookups of as many names, each of another domain and owner.
fn begin_many(
    resolver: &Arc<Resolver>,
    count: usize,
) -> Vec<runtime::Task<Result<Vec<IpAddr>, Error>>> {
    let begin = |n| begin(resolver, &format!("h.silent-{n}.example"), &format!("owner-{n}"));
    (0..count).map(begin).collect()
}

fn end(stuck: &Stuck, waiting: Vec<runtime::Task<Result<Vec<IpAddr>, Error>>>) {
    stuck.release();
    for task in waiting {
        wait(task.output()).unwrap().unwrap();
    }
}

#[test]
fn three_hundred_silent_name_servers_leave_threads_for_new_names() {
    let stuck = stuck();
    let resolver = stuck.resolver();
    let waiting = begin_many(&resolver, 300);
    until_asked(&stuck, 300);
    wait(resolver.look_up("well.example", &owner("honest"))).unwrap();
    assert_eq!(stuck.asked.load(Ordering::SeqCst), 301);
    end(&stuck, waiting);
}

#[test]
fn any_number_of_silent_name_servers_leaves_threads_for_names_that_were_answered() {
    let stuck = stuck();
    let resolver = stuck.resolver();
    wait(resolver.look_up("well.example", &owner("honest"))).unwrap();
    let waiting = begin_many(&resolver, 1000);
    until_asked(&stuck, 1 + MAX_LOOKUPS + RESERVE);
    wait(resolver.look_up("well.example", &owner("honest"))).unwrap();
    assert_eq!(stuck.asked.load(Ordering::SeqCst), 1 + MAX_LOOKUPS + RESERVE + 1);
    end(&stuck, waiting);
}

#[test]
fn names_that_were_silent_use_only_their_own_threads() {
    let stuck = stuck();
    // Every lookup counts as stuck.
    let resolver = stuck.resolver_with(Duration::ZERO);
    let waiting = begin_many(&resolver, 100);
    until_asked(&stuck, 100);
    end(&stuck, waiting);
    stuck.set_released(false);
    let waiting = begin_many(&resolver, 100);
    until_asked(&stuck, 100 + FOR_SILENT);
    assert_eq!(resolver.for_silent.issued(), FOR_SILENT);
    assert_eq!(resolver.threads.issued() + resolver.reserve.issued(), 0);
    end(&stuck, waiting);
    assert_eq!(resolver.for_silent.issued(), 0);
}

#[test]
fn a_canceled_wait_ends_at_once_and_the_others_share_one_lookup() {
    let stuck = stuck();
    // However slow the machine is, no lookup counts as stuck.
    let resolver = stuck.resolver_with(Duration::MAX);
    let owners: Vec<_> = (0..100).map(|n| owner(&format!("owner-{n}"))).collect();
    let mut waiting: Vec<_> =
        owners.iter().map(|of| Box::pin(resolver.look_up("acme.example", of))).collect();
    // Each has joined before the lookup ends.
    wait(poll_fn(|context| {
        assert!(waiting.iter_mut().all(|one| one.as_mut().poll(context).is_pending()));
        Poll::Ready(())
    }));
    // A deadline ends the wait of its delivery, and the lookup continues.
    let of = owner("late");
    assert!(runtime::drive(resolver.look_up("acme.example", &of), || true).is_none());
    stuck.release();
    for one in waiting {
        wait(one).unwrap();
    }
    assert_eq!(stuck.asked.load(Ordering::SeqCst), 1);
}

#[test]
fn a_delivery_that_waits_for_a_thread_joins_a_lookup_of_the_same_name() {
    let stuck = stuck();
    let resolver = stuck.resolver();
    let evil: Vec<_> =
        (0..SHARE).map(|n| begin(&resolver, &format!("stuck-{n}.example"), "evil")).collect();
    until_asked(&stuck, SHARE);
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
