//! Rotation of a dispatcher's material: its files are watched, what they hold anew is swapped in, and
//! what an operator should hear about is told.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::fallback::Retired;
use super::{Dispatcher, DispatcherOptions, Endpoint, Inner};
use crate::clock;
use crate::endpoint::Generation;
use crate::error::Error;
use crate::event::{Event, EventName, EventQueue, Listeners};
use crate::material::expiry::{Expiry, Lifetime, Lifetimes, Warnings, expiries};
use crate::material::identity::Identity;
use crate::material::source::Source;
use crate::material::trust::Trust;
use crate::material::watch::{Because, Watch, Watched};
use crate::process::{Lock, PerProcess, own};
use crate::runtime::Task;

/// Over how long the idle connections of replaced generations are closed, so that many endpoints do
/// not all shake hands at once.
const JITTER: Duration = Duration::from_secs(2);

/// How long a delivery waits for files that nobody has looked at for too long.
const LONGEST_CATCHING_UP: Duration = Duration::from_secs(1);

/// What a dispatcher keeps for rotating its material.
pub(super) struct Rotation {
    pub(super) watch: Watch,
    /// The files of the dispatcher's own material.
    _watched: [Option<Watched>; 2],
    pub(super) listeners: Listeners,
    pub(super) retired: Retired,
    warnings: Lock<Warnings>,
    catching_up: PerProcess<own::AsyncMutex<()>>,
}

impl Rotation {
    pub(super) fn new(options: &DispatcherOptions) -> Self {
        let watch = Watch::new(options.reload);
        let identity = options.identity.as_ref().and_then(|it| watch.watch_identity(it));
        let trust = options.trust.as_ref().and_then(|it| watch.watch_trust(it));
        Self {
            watch,
            _watched: [identity, trust],
            listeners: Listeners::default(),
            retired: Retired::default(),
            warnings: Lock::default(),
            catching_up: PerProcess::default(),
        }
    }
}

impl Dispatcher {
    /// Looks at all watched files now, and puts into use what they hold anew. Returns what there is
    /// to tell, which listeners hear as well; an unusable file is an event `rotation_failed`, and the
    /// former material stays in use.
    ///
    /// Fails with `handle_closed`.
    pub fn reload(&self) -> impl Future<Output = Result<Vec<Event>, Error>> + Send + 'static {
        let open = self.check_open();
        let inner = self.inner.clone();
        async move {
            open?;
            let task = Task::start(async move {
                tokio::task::spawn_blocking(move || inner.check(Because::Asked)).await
            })?;
            task.output().await?.map_err(|_| Error::caught_panic())
        }
    }

    /// What expires, soonest by its share of lifetime first: our chains, anchors, intermediates, CRLs,
    /// and each consumer's certificate as last seen.
    ///
    /// Fails with `clock_implausible`: without the time nothing can be said.
    pub fn expiries(&self) -> Result<Vec<Expiry>, Error> {
        let now = clock::now()?;
        Ok(expiries(self.inner.lifetimes(), now))
    }

    /// Has every event from now on handed to a callback, one after the other, on a thread of the
    /// runtime. It may block; a panic in it is caught.
    pub fn on_event(&self, callback: impl Fn(&Event) + Send + Sync + 'static) {
        self.inner.rotation.listeners.callback(Box::new(callback));
    }

    /// Every event from now on, to be taken one by one.
    pub fn events(&self) -> EventQueue {
        self.inner.rotation.listeners.queue()
    }
}

impl Inner {
    pub(super) fn next_generation(&self) -> u64 {
        self.generations.fetch_add(1, Ordering::Relaxed)
    }

    /// Begins to look at files from time to time, once in each process, if there is a reason to.
    pub(super) fn watch_files(self: &Arc<Self>) {
        let Rotation { watch, listeners, .. } = &self.rotation;
        let nobody = watch.is_empty() && listeners.is_empty();
        if nobody || watch.pause().is_none() || !watch.begins() {
            return;
        }
        if let Ok(task) = Task::start_beside(poll(Arc::downgrade(self))) {
            task.detach();
        }
    }

    /// Looks at the files before a delivery if nobody did for long: the first delivery of a child
    /// must not show the certificate that its parent read days ago.
    pub(super) async fn catch_up(self: &Arc<Self>) {
        if !self.rotation.watch.is_overdue() {
            return;
        }
        let one_at_a_time = async {
            let catching_up = self.rotation.catching_up.get();
            let _one = catching_up.value.lock().await;
            if !self.rotation.watch.is_overdue() {
                return;
            }
            let inner = self.clone();
            let _ = tokio::task::spawn_blocking(move || inner.check(Because::Overdue)).await;
        };
        // A file system that hangs must not hold up every delivery, nor may one that is not polled,
        // because a signal handler runs amid it.
        if tokio::time::timeout(LONGEST_CATCHING_UP, one_at_a_time).await.is_err() {
            self.rotation.watch.excuse();
        }
    }

    /// Blocks. Nothing, if it was polled and somebody else is looking.
    fn check(&self, because: Because) -> Vec<Event> {
        let Some(noticed) = self.rotation.watch.check(because) else { return Vec::new() };
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
        let Rotation { warnings, watch, .. } = &self.rotation;
        let (lifetimes, first) = (self.lifetimes(), self.options.expiry_warning);
        let due = warnings.lock().due(&lifetimes, first, |source| watch.rotations(source));
        events.extend(due);
        events.extend(self.pins_in_need(&events));
        self.tell(&events);
        events
    }

    /// Hands events to whoever listens.
    pub(super) fn tell(&self, events: &[Event]) {
        for event in events {
            self.rotation.listeners.emit(event);
        }
    }

    /// What the pins lack of consumers whose certificate was just told to near its end.
    fn pins_in_need(&self, told: &[Event]) -> Vec<Event> {
        let consumers = told
            .iter()
            .filter(|event| event.name() == EventName::Expiry)
            .filter_map(Event::consumer);
        let endpoints: Vec<Endpoint> = {
            let known = self.endpoints.lock();
            consumers.filter_map(|consumer| known.get(consumer).cloned()).collect()
        };
        endpoints.iter().flat_map(Endpoint::lacking_pins).collect()
    }

    /// Gives each endpoint what its files hold now; says which consumers the files concern.
    fn renew_endpoints(&self) -> HashMap<Arc<Source>, Vec<String>> {
        let number = || self.next_generation();
        let mut consumers: HashMap<Arc<Source>, Vec<String>> = HashMap::new();
        for endpoint in self.all_endpoints() {
            if let Some(former) =
                endpoint.renew(&number, &self.connection_limit, &self.rotation.watch)
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

    fn lifetimes(&self) -> Lifetimes {
        let Rotation { watch, .. } = &self.rotation;
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

/// Looks at the files until the dispatcher is gone or closed.
async fn poll(dispatcher: Weak<Inner>) {
    loop {
        let pause = dispatcher.upgrade().and_then(|inner| inner.rotation.watch.pause());
        let Some(pause) = pause else { return };
        tokio::time::sleep(pause).await;
        let Some(inner) = dispatcher.upgrade() else { return };
        if inner.is_closed() {
            return;
        }
        // One at a time: where a file system hangs, checks do not pile up.
        let _ = tokio::task::spawn_blocking(move || inner.check(Because::Polled)).await;
    }
}

/// Closes the idle connections of a generation that takes no new request, within a moment.
fn close_idle(former: Arc<Generation>) {
    let share = RandomState::new().hash_one(former.number) % 1000;
    let delay = JITTER * u32::try_from(share).unwrap_or(0) / 1000;
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
    fn the_files_of_a_removed_endpoint_are_forgotten() {
        let lab = Lab::start().unwrap();
        let files = std::env::temp_dir().join(format!("forgotten-{}", std::process::id()));
        lab.write_files(&files).unwrap();
        let dispatcher = lab.dispatcher();
        let watch = &dispatcher.inner.rotation.watch;
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
        // Whoever still holds the handle of a removed endpoint does not use its files.
        let held = make("held", trust(0));
        let others = [make("one", trust(1)), make("two", trust(1))];
        assert_eq!(watch.len(), 2);
        dispatcher.remove("held");
        assert_eq!((watch.len(), held.consumer()), (1, "held"));
        // Nor does one that was given others.
        make("one", trust(2));
        assert_eq!(watch.len(), 2);
        make("two", trust(2));
        assert_eq!(watch.len(), 1);
        drop(others);
        assert_eq!(watch.len(), 1, "the dispatcher has them");
        dispatcher.remove("one");
        dispatcher.remove("two");
        assert!(watch.is_empty());
        fs::remove_dir_all(files).unwrap();
    }
}
