//! Reloads a dispatcher's material: watches its files, puts changed files into use, and emits events
//! about rotation and expiry.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::fallback::RetiredIdentities;
use super::{Dispatcher, DispatcherOptions, Endpoint, Inner};
use crate::clock;
use crate::endpoint::Generation;
use crate::error::Error;
use crate::event::{Event, EventName, EventQueue, Listeners};
use crate::material::expiry::{Expiry, Lifetime, Lifetimes, Warnings, expiries};
use crate::material::identity::Identity;
use crate::material::source::Source;
use crate::material::trust::Trust;
use crate::material::watch::{CheckReason, Watch, Watched};
use crate::process::{self, Lock, PerProcess, own};
use crate::runtime::Task;

/// The idle connections of replaced generations are closed over this time, so that many endpoints do
/// not all make handshakes at once.
const CLOSE_IDLE_OVER: Duration = Duration::from_secs(2);

/// How long a delivery waits for an overdue check of the files.
const MAX_OVERDUE_WAIT: Duration = Duration::from_secs(1);

/// The watched files of a dispatcher, its event listeners, and the state of its warnings.
pub(super) struct MaterialReload {
    pub(super) watch: Watch,
    /// Keeps the files of the dispatcher's own identity and trust watched.
    _watched: [Option<Watched>; 2],
    pub(super) listeners: Listeners,
    pub(super) retired: RetiredIdentities,
    warnings: Lock<Warnings>,
    /// Held during an overdue check, so that one delivery makes it and the others wait.
    overdue_check: PerProcess<own::AsyncMutex<()>>,
}

impl MaterialReload {
    pub(super) fn new(options: &DispatcherOptions) -> Self {
        let watch = Watch::new(options.reload);
        let identity = options.identity.as_ref().and_then(|it| watch.watch_identity(it));
        let trust = options.trust.as_ref().and_then(|it| watch.watch_trust(it));
        Self {
            watch,
            _watched: [identity, trust],
            listeners: Listeners::default(),
            retired: RetiredIdentities::default(),
            warnings: Lock::default(),
            overdue_check: PerProcess::default(),
        }
    }
}

impl Dispatcher {
    /// Checks all watched files now and puts changed ones into use. Returns the events of this check,
    /// which listeners receive as well. An unusable file is an event `rotation_failed`, and the former
    /// material stays in use; it is returned each time, as long as the file is unusable. Circuits that are
    /// open admit a trial at once, because something was repaired.
    ///
    /// # Errors
    ///
    /// Fails with `handle_closed`.
    pub fn reload(&self) -> impl Future<Output = Result<Vec<Event>, Error>> + Send + 'static {
        let open = self.check_open();
        let inner = self.inner.clone();
        async move {
            open?;
            inner.all_endpoints().iter().for_each(Endpoint::reset_circuit);
            let task = Task::start(async move {
                tokio::task::spawn_blocking(move || inner.check_files(CheckReason::OnDemand)).await
            })?;
            task.output().await?.map_err(|_| Error::caught_panic())
        }
    }

    /// Returns when our chains, anchors, intermediates and CRLs expire, and each consumer's certificate
    /// as last seen. The one with the smallest remaining share of its lifetime comes first.
    ///
    /// # Errors
    ///
    /// Fails with `clock_implausible`.
    pub fn expiries(&self) -> Result<Vec<Expiry>, Error> {
        let now = clock::now()?;
        Ok(expiries(self.inner.lifetimes(), now))
    }

    /// Registers a callback for every event from now on, and starts to check the files and expiry dates
    /// if no delivery has. It is called for one event at a time, on a
    /// thread of the runtime. It may block; a panic in it is caught.
    pub fn on_event(&self, callback: impl Fn(&Event) + Send + Sync + 'static) {
        self.inner.reload.listeners.callback(Box::new(callback));
        self.inner.watch_files();
    }

    /// Returns a queue that receives every event from now on, and starts to check the files and expiry
    /// dates if no delivery has.
    pub fn events(&self) -> EventQueue {
        let queue = self.inner.reload.listeners.queue();
        self.inner.watch_files();
        queue
    }
}

impl Inner {
    pub(super) fn next_generation(&self) -> u64 {
        self.generations.fetch_add(1, Ordering::Relaxed)
    }

    /// Starts to poll the files, once in each process, if there are files or listeners.
    pub(super) fn watch_files(self: &Arc<Self>) {
        let MaterialReload { watch, listeners, .. } = &self.reload;
        let unneeded = watch.is_empty() && listeners.is_empty();
        if unneeded || watch.pause().is_none() || !watch.claim_polling() {
            return;
        }
        if let Ok(task) = Task::start_beside(poll_files(Arc::downgrade(self))) {
            task.detach();
        }
    }

    /// Checks the files before a delivery if the last check is long ago: the first delivery of a forked
    /// child must not present a certificate that its parent read days ago.
    pub(super) async fn catch_up(self: &Arc<Self>) {
        if !self.reload.watch.is_overdue() {
            return;
        }
        let check = async {
            let overdue_check = self.reload.overdue_check.get();
            let _guard = overdue_check.value.lock().await;
            if !self.reload.watch.is_overdue() {
                return;
            }
            let inner = self.clone();
            let _ =
                tokio::task::spawn_blocking(move || inner.check_files(CheckReason::Overdue)).await;
        };
        // The limit covers a file system that hangs, and a delivery that holds the lock but is held up
        // by a signal handler. Neither may delay every other delivery.
        if tokio::time::timeout(MAX_OVERDUE_WAIT, check).await.is_err() {
            self.reload.watch.mark_checked();
        }
    }

    /// Checks the files and puts changed ones into use; blocks. Returns no events if another check runs
    /// and this one was only polled.
    fn check_files(&self, reason: CheckReason) -> Vec<Event> {
        let Some(noticed) = self.reload.watch.check(reason) else { return Vec::new() };
        let rotated = self.renew_endpoints();
        let mut events: Vec<Event> = noticed
            .into_iter()
            .map(|(source, event)| match rotated.get(&source) {
                _ if event.name() != EventName::Rotated => event,
                Some(consumers) => {
                    let event = event.with("endpoints", consumers.len());
                    match &consumers[..] {
                        [only] => event.of_consumer(only),
                        _ => event,
                    }
                }
                None => event.with("endpoints", 0),
            })
            .collect();
        let MaterialReload { warnings, watch, .. } = &self.reload;
        let (lifetimes, first) = (self.lifetimes(), self.options.expiry_warning);
        let due = warnings.lock().due(&lifetimes, first, |source| watch.rotations(source));
        events.extend(due);
        events.extend(self.pin_warnings(&events));
        self.emit(&events);
        events
    }

    /// Emits an event if too many idle connections were closed to make room for others.
    pub(super) fn report_closings(&self) {
        if let Some(closed) = self.connection_limit.closings_to_report() {
            let thrashed = Event::new(EventName::ConnectionsThrashed).with("closed", closed);
            self.emit(&[thrashed.with("max_connections", self.options.max_connections)]);
        }
    }

    /// Emits events to the listeners.
    pub(super) fn emit(&self, events: &[Event]) {
        for event in events {
            self.emit_one(event);
        }
    }

    /// Returns an event for each consumer whose pins lack the next key, among the consumers in the
    /// `expiry` events of `emitted`.
    fn pin_warnings(&self, emitted: &[Event]) -> Vec<Event> {
        let consumers = emitted
            .iter()
            .filter(|event| event.name() == EventName::Expiry)
            .filter_map(Event::consumer);
        let endpoints: Vec<Endpoint> = {
            let known = self.endpoints.lock();
            consumers.filter_map(|consumer| known.get(consumer).cloned()).collect()
        };
        endpoints.iter().flat_map(Endpoint::pin_warnings).collect()
    }

    /// Gives each endpoint a new generation if its files have changed. Returns the consumers that each
    /// file concerns.
    fn renew_endpoints(&self) -> HashMap<Arc<Source>, Vec<String>> {
        let number = || self.next_generation();
        let mut consumers: HashMap<Arc<Source>, Vec<String>> = HashMap::new();
        for endpoint in self.all_endpoints() {
            if let Some(former) =
                endpoint.renew(&number, &self.connection_limit, &self.reload.watch)
            {
                for source in former.sources() {
                    let concerned = consumers.entry(source.clone()).or_default();
                    concerned.push(endpoint.consumer().to_owned());
                }
                close_idle(former);
            }
        }
        consumers
    }

    pub(super) fn lifetimes(&self) -> Lifetimes {
        let MaterialReload { watch, .. } = &self.reload;
        let mut lifetimes = Lifetimes::new();
        let mut seen = HashSet::new();
        let mut identity = |identity: &Identity| {
            if seen.insert(identity.digest()) {
                lifetimes.extend(Lifetime::of_identity(identity));
            }
        };
        let endpoints = self.all_endpoints();
        let generations: Vec<Arc<Generation>> =
            endpoints.iter().map(Endpoint::generation).collect();
        self.options.identity.iter().for_each(|default| identity(&watch.identity(default)));
        for generation in &generations {
            identity(generation.identity());
        }
        let mut trust = |trust: &Trust| {
            if seen.insert(trust.digest()) {
                lifetimes.extend(Lifetime::of_trust(trust));
            }
        };
        self.options.trust.iter().for_each(|default| trust(&watch.trust(default)));
        for generation in &generations {
            trust(generation.trust());
        }
        let peers = endpoints.iter().filter_map(Endpoint::peer_lifetime);
        lifetimes.extend(peers.map(|lifetime| (lifetime, None)));
        lifetimes
    }

    pub(super) fn all_endpoints(&self) -> Vec<Endpoint> {
        self.endpoints.lock().values().cloned().collect()
    }
}

/// Checks the files periodically, until the dispatcher is dropped or closed.
async fn poll_files(dispatcher: Weak<Inner>) {
    loop {
        let pause = dispatcher.upgrade().and_then(|inner| inner.reload.watch.pause());
        let Some(pause) = pause else { return };
        tokio::time::sleep(pause).await;
        let Some(inner) = dispatcher.upgrade() else { return };
        if inner.is_closed() {
            return;
        }
        // Wait for the check to end: checks must not accumulate while a file system hangs.
        let _ = tokio::task::spawn_blocking(move || inner.check_files(CheckReason::Polled)).await;
    }
}

/// Closes the idle connections of a replaced generation, after a delay that differs between
/// generations.
fn close_idle(former: Arc<Generation>) {
    let delay = CLOSE_IDLE_OVER.mul_f64(process::random_fraction());
    let closing = Task::start(async move {
        tokio::time::sleep(delay).await;
        former.close_idle();
    });
    if let Ok(task) = closing {
        task.detach();
    }
}

#[cfg(feature = "testing")]
#[cfg(test)]
mod tests {
    use std::fs;

    use crate::endpoint::EndpointOptions;
    use crate::material::trust::Trust;
    use crate::testing::Lab;

    const URL: &str = "https://127.0.0.1:9/";

    #[test]
    fn the_files_of_a_removed_endpoint_are_no_longer_watched() {
        let lab = Lab::start().unwrap();
        let files = std::env::temp_dir().join(format!("forgotten-{}", std::process::id()));
        lab.write_files(&files).unwrap();
        let dispatcher = lab.dispatcher();
        let watch = &dispatcher.inner.reload.watch;
        let trust = |number: usize| {
            let path = files.join(format!("ca-{number}.pem"));
            fs::copy(files.join("ca.pem"), &path).unwrap();
            Trust::from_files(path, None, None).unwrap()
        };
        let make = |consumer: &str, trust: Trust| {
            let options = EndpointOptions::new(None).trust(trust);
            dispatcher.endpoint(consumer, URL, options).unwrap()
        };
        for number in 0..100 {
            drop(make("removed", trust(number)));
            assert_eq!(watch.len(), 1);
            dispatcher.remove("removed");
            assert!(watch.is_empty());
        }
        // The handle of a removed endpoint does not keep its files watched.
        let held = make("held", trust(0));
        let others = [make("one", trust(1)), make("two", trust(1))];
        assert_eq!(watch.len(), 2);
        dispatcher.remove("held");
        assert_eq!((watch.len(), held.consumer()), (1, "held"));
        // An endpoint with new files does not keep its former files watched.
        make("one", trust(2));
        assert_eq!(watch.len(), 2);
        make("two", trust(2));
        assert_eq!(watch.len(), 1);
        drop(others);
        assert_eq!(watch.len(), 1, "the dispatcher keeps the endpoints");
        dispatcher.remove("one");
        dispatcher.remove("two");
        assert!(watch.is_empty());
        fs::remove_dir_all(files).unwrap();
    }
}
