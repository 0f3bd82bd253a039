//! From a host to its addresses. The system's resolver blocks a thread for as long as it likes, so
//! look-ups are kept apart from deliveries: nobody waits for one longer than he wants to, many
//! deliveries share one, and those that are stuck cannot take all the threads.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::{Egress, Host, Url};
use crate::error::{Error, Kind};
use crate::process::{self, own};
use crate::runtime;

/// How many look-ups run at once; half of the threads that the runtime has for such work.
const MOST_LOOK_UPS: usize = 256;

/// How many of them may be for one host, where they are stuck.
const MOST_PER_HOST: usize = 4;

/// How long a look-up is joined before another one is tried beside it.
const JOINED_FOR: Duration = Duration::from_secs(5);

/// More addresses than these are not tried.
const MOST_ADDRESSES: usize = 16;

/// The addresses of the URL's host that may be connected to, in the order of the resolver
/// (RFC 6724); never an empty list.
///
/// Fails with `host_not_found`, `resolve_failed` or `egress_denied`.
pub(crate) async fn resolve(url: &Url, egress: &Egress) -> Result<Vec<SocketAddr>, Error> {
    let found: Vec<IpAddr> = match &url.host {
        Host::Ip(address) => vec![*address],
        Host::Dns(name) => Resolver::of_this_process().look_up(name).await?,
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

type Ask = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

struct Resolver {
    /// A forked child has the memory of its parent's look-ups, but not the threads that make them.
    process: u32,
    ask: Arc<Ask>,
    threads: Arc<own::Semaphore>,
    running: own::Mutex<HashMap<String, Vec<LookUp>>>,
}

struct LookUp {
    started: Instant,
    found: watch::Receiver<Found>,
}

static RESOLVER: ArcSwapOption<Resolver> = ArcSwapOption::const_empty();

impl Resolver {
    fn new(ask: Arc<Ask>) -> Arc<Self> {
        Arc::new(Self {
            process: process::id(),
            ask,
            threads: Arc::new(own::Semaphore::new(MOST_LOOK_UPS)),
            running: own::Mutex::default(),
        })
    }

    fn of_this_process() -> Arc<Self> {
        let current = RESOLVER.load_full();
        if let Some(resolver) = current.as_ref().filter(|known| known.process == process::id()) {
            return resolver.clone();
        }
        let made = Self::new(Arc::new(system));
        let before = RESOLVER.compare_and_swap(&current, Some(made.clone()));
        match &*before {
            Some(theirs) if theirs.process == made.process => theirs.clone(),
            _ => made,
        }
    }

    /// The addresses of a name. Whoever stops waiting stops nobody else.
    async fn look_up(self: &Arc<Self>, name: &str) -> Result<Vec<IpAddr>, Error> {
        let mut found = self.join(name)?;
        let found = found.wait_for(Option::is_some).await;
        let stopped = || Error::new(Kind::Internal, "a look-up ended without a result");
        found.map_err(|_| stopped())?.clone().unwrap_or_else(|| Err(stopped()))
    }

    /// A look-up of that name which runs already, or a new one.
    fn join(self: &Arc<Self>, name: &str) -> Result<watch::Receiver<Found>, Error> {
        let handle = runtime::handle()?;
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let of_host = running.entry(name.to_owned()).or_default();
        if let Some(youngest) = of_host.last()
            && (youngest.started.elapsed() < JOINED_FOR || of_host.len() >= MOST_PER_HOST)
        {
            return Ok(youngest.found.clone());
        }
        let (sender, found) = watch::channel(None);
        let started = Instant::now();
        of_host.push(LookUp { started, found: found.clone() });
        drop(running);
        let (resolver, name) = (self.clone(), name.to_owned());
        let look_up = move |_thread: OwnedSemaphorePermit| {
            let outcome = {
                let _running = Running { resolver: &resolver, name: &name, started };
                (resolver.ask)(&name).map_err(|error| resolve_fault(&name, &error))
            };
            let _ = sender.send(Some(outcome));
        };
        // Where a thread is free, no task has to be woken for it.
        if let Ok(thread) = self.threads.clone().try_acquire_owned() {
            handle.spawn_blocking(move || look_up(thread));
        } else {
            let threads = self.threads.clone();
            handle.spawn(async move {
                // Closed by nobody.
                if let Ok(thread) = threads.acquire_owned().await {
                    tokio::task::spawn_blocking(move || look_up(thread));
                }
            });
        }
        Ok(found)
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
        let mut running = self.resolver.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_host) = running.get_mut(self.name) {
            of_host.retain(|look_up| look_up.started != self.started);
            if of_host.is_empty() {
                running.remove(self.name);
            }
        }
    }
}

fn system(name: &str) -> io::Result<Vec<IpAddr>> {
    // The port is of no matter to the resolver.
    Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

/// Whether the name is unknown or the resolver unwell stands only in the text of the error.
fn resolve_fault(name: &str, error: &io::Error) -> Error {
    let text = error.to_string();
    let kind = if text.contains("not known") || text.contains("No address associated") {
        Kind::HostNotFound
    } else {
        Kind::ResolveFailed
    };
    let message = match kind {
        Kind::HostNotFound => format!("the host {name} is unknown to the resolver"),
        _ => format!("the host {name} could not be looked up: {text}"),
    };
    Error::new(kind, message).noting("host", name)
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

    #[test]
    fn a_hundred_stuck_look_ups_stop_neither_another_host_nor_an_address() {
        let stuck = stuck();
        let resolver = stuck.resolver();
        let waiting: Vec<_> =
            (0..100).map(|n| resolver.join(&format!("stuck-{n}.example")).unwrap()).collect();
        let found = wait(resolver.look_up("well.example")).unwrap();
        assert_eq!(found, [IpAddr::from([192, 0, 2, 1])]);
        let url = Url::parse("https://192.0.2.7/").unwrap();
        let egress = Egress::public().allow(["192.0.2.0/24"]).unwrap();
        assert_eq!(wait(resolve(&url, &egress)).unwrap(), [([192, 0, 2, 7], 443).into()]);
        assert!(waiting.iter().all(|found| found.borrow().is_none()), "still stuck");
        stuck.release();
        for mut found in waiting {
            assert!(wait(found.wait_for(Option::is_some)).unwrap().as_ref().unwrap().is_ok());
        }
        assert!(resolver.running.lock().unwrap().is_empty());
    }

    #[test]
    fn whoever_stops_waiting_is_free_at_once_and_the_others_share_one_look_up() {
        let stuck = stuck();
        let resolver = stuck.resolver();
        let waiting: Vec<_> = (0..100).map(|_| resolver.join("acme.example").unwrap()).collect();
        // The deadline of a delivery: the look-up goes on, the delivery does not wait for it.
        assert!(runtime::drive(resolver.look_up("acme.example"), || true).is_none());
        stuck.release();
        for mut found in waiting {
            assert!(wait(found.wait_for(Option::is_some)).unwrap().as_ref().unwrap().is_ok());
        }
        assert_eq!(stuck.asked.load(Ordering::SeqCst), 1);
    }
}
