//! Events for operators, and their delivery to listeners. Every room may raise an event; this room
//! knows none of the others.
//!
//! Raising an event never waits: each listener has a bounded queue, and dropped events are counted and
//! reported later. A callback runs on a separate thread, so a slow or panicking callback delays no
//! other code.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::error::{Context, Error, composed_value};
use crate::process::{self, Lock, Locked};
use crate::runtime;

/// The most events in the queue of one listener. Beyond it, the oldest are dropped.
const MAX_WAITING: usize = 1024;

macro_rules! events {
    ($($variant:ident $name:literal $fields:literal $doc:literal;)*) => {
        /// The name of an event. Later versions add names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum EventName { $(#[doc = $doc] $variant,)* }

        impl EventName {
            /// Every name, in the order of the reference page.
            pub const ALL: &'static [EventName] = &[$(EventName::$variant,)*];

            /// Returns the word, equal in every language.
            pub const fn name(self) -> &'static str {
                match self { $(EventName::$variant => $name,)* }
            }

            /// Returns what the event means and what to do.
            pub const fn doc(self) -> &'static str {
                match self { $(EventName::$variant => $doc,)* }
            }

            /// Returns the names of its fields, separated by spaces.
            pub const fn fields(self) -> &'static str {
                match self { $(EventName::$variant => $fields,)* }
            }
        }
    };
}

events! {
    Rotated "rotated" "what files endpoints name not_after_ms pid generation"
        "Watched files changed, and their new content is in use in the process pid. The generation counts \
         the contents of these files in that process, and is 1 before the first change. Several worker \
         processes each raise this event.";
    RotationFailed "rotation_failed" "what files kind message remedy"
        "The content of watched files is not usable. The former material stays in use. Repair the files.";
    RotationWaiting "rotation_waiting" "what files name not_before_ms"
        "A new certificate is not valid yet. The former one stays in use until it is.";
    FileStale "file_stale" "what files name not_after_ms fraction_left"
        "The certificate will expire soon, and its file has never changed while it was watched. Check \
         how it is renewed, and how it is mounted: a Kubernetes subPath mount never changes.";
    Expiry "expiry" "what name not_after_ms fraction_left threshold"
        "The remaining lifetime of a certificate or CRL is below the threshold. At threshold 0 it has \
         expired.";
    AnchorExpired "anchor_expired" "name not_after_ms"
        "A trust anchor has expired and is no longer used. Remove it from the bundle.";
    ClockImplausible "clock_implausible" "clock_ms"
        "The clock shows a time before this library existed, so no certificate can be verified. Set the \
         clock.";
    KeyReadable "key_readable" "file mode"
        "Every user of this machine can read the file of our private key. Restrict its mode.";
    RotatedButUndistributed "rotated_but_undistributed" "identity issuer previous previous_issuer not_after_ms via"
        "A consumer refuses our new certificate and accepts the previous one, which is used for this \
         consumer. Give it our new certificate or its CA (issuer) before the previous one expires.";
    PinSingle "pin_single" "pin not_after_ms"
        "An endpoint has only one pin, and the consumer's certificate will expire soon. A new key would \
         stop deliveries. Ask the consumer for its next pin.";
    PinNextUnseen "pin_next_unseen" "pin not_after_ms"
        "The consumer's certificate will expire soon, and no connection has shown the key that was \
         pinned as the next one.";
    PinPreviousUsed "pin_previous_used" "pin next"
        "A consumer that has shown its next key shows the former key again: some of its servers have not \
         changed.";
    ConsumerRekeys "consumer_rekeys" "pin previous"
        "A consumer has changed its key at two consecutive renewals. A pin of its key will fail at the \
         next renewal. Ask it to keep its key, or identify it by server_uri and its CA.";
    CrlUnused "crl_unused" "name position why"
        "A CRL was not used for a verified peer: another key signed it (another_key), its thisUpdate is \
         in the future (not_yet_valid), no CRL of the issuer covers the peer's certificate \
         (other_scope), or neither the trust nor the peer has its issuer (unknown_issuer). Supply the \
         issuer's current CRL.";
    EventsLost "events_lost" "count"
        "This listener was too slow, and events before this one were dropped.";
}

/// An event for operators. See the example of [`EventQueue`].
#[derive(Clone, Debug)]
pub struct Event {
    name: EventName,
    consumer: Option<String>,
    fields: Context,
    error: Option<Error>,
}

impl Event {
    pub(crate) fn new(name: EventName) -> Self {
        Self { name, consumer: None, fields: Context::new(), error: None }
    }

    pub(crate) fn of_consumer(mut self, consumer: &str) -> Self {
        self.consumer = Some(consumer.to_owned());
        self
    }

    pub(crate) fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.fields.insert(key.to_owned(), composed_value(value.into()));
        self
    }

    pub(crate) fn because(mut self, error: Error) -> Self {
        self = self
            .with("kind", error.kind().name())
            .with("message", error.message())
            .with("remedy", error.remedy());
        self.error = Some(error);
        self
    }

    /// Returns the name of the event.
    pub fn name(&self) -> EventName {
        self.name
    }

    /// Returns the consumer id that the event is about, if it is about one consumer.
    pub fn consumer(&self) -> Option<&str> {
        self.consumer.as_deref()
    }

    /// Returns the fields that the table names, as far as they are known. Instants are milliseconds
    /// since 1970.
    pub fn fields(&self) -> &Context {
        &self.fields
    }

    /// Returns the failure that caused the event, if there is one.
    pub fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// Returns the event in the JSON form that every language shows.
    pub fn to_json(&self) -> Value {
        json!({ "name": self.name.name(), "consumer": self.consumer, "fields": self.fields })
    }
}

/// The listeners. Raising an event is cheap while there are none.
#[derive(Default)]
pub(crate) struct Listeners {
    any: AtomicBool,
    queues: Lock<Vec<Arc<Queue>>>,
}

impl Listeners {
    /// Adds a queue from which the caller takes events.
    pub(crate) fn queue(&self) -> EventQueue {
        let queue = Arc::new(Queue::default());
        self.add(queue.clone());
        EventQueue { queue }
    }

    /// Adds a callback, which gets one event at a time.
    pub(crate) fn callback(&self, callback: Box<Callback>) {
        self.add(Arc::new(Queue { callback: Some(callback), ..Queue::default() }));
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.any.load(Ordering::Relaxed)
    }

    pub(crate) fn emit(&self, event: &Event) {
        if self.is_empty() {
            return;
        }
        let mut queues = self.queues.lock();
        // Removes the queues whose handles were dropped.
        queues.retain(|queue| queue.callback.is_some() || Arc::strong_count(queue) > 1);
        let idle: Vec<Arc<Queue>> =
            queues.iter().filter(|queue| queue.push(event.clone())).cloned().collect();
        drop(queues);
        idle.iter().for_each(Queue::start_calling_back);
    }

    fn add(&self, queue: Arc<Queue>) {
        self.queues.lock().push(queue);
        self.any.store(true, Ordering::Relaxed);
    }
}

/// The callback of a listener.
pub(crate) type Callback = dyn Fn(&Event) + Send + Sync;

/// A queue of events for one listener. A forked child never gets the events of its parent.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use webhook_mtls::event::EventName;
/// # use webhook_mtls::testing::Lab;
/// # use webhook_mtls::EndpointOptions;
/// # let lab = Lab::start()?;
/// # let acme = lab.consumer("acme")?;
/// # let dispatcher = lab.dispatcher();
/// # let files = std::env::temp_dir().join(format!("events-{}", std::process::id()));
/// # lab.write_files(&files)?;
/// # let (cert, key) = (files.join("tls.crt"), files.join("tls.key"));
/// # let identity = webhook_mtls::Identity::from_files(&cert, &key, None)?;
/// # let options = EndpointOptions::new(None).identity(identity);
/// # let endpoint = dispatcher.endpoint("acme", &acme.url(), options)?;
///
/// let events = dispatcher.events();
/// std::fs::write(&cert, "half a file")?;
/// # webhook_mtls::bindings::runtime::drive(async {
/// dispatcher.reload().await?;
/// # Ok::<(), webhook_mtls::Error>(())
/// # }, || false).expect("nothing interrupts it")?;
/// let event = events.next(Duration::from_secs(5)).expect("an event");
/// assert_eq!(event.name(), EventName::RotationFailed);
/// assert!(event.error().is_some());
/// # std::fs::remove_dir_all(files)?;
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct EventQueue {
    queue: Arc<Queue>,
}

impl EventQueue {
    /// Returns the oldest event of the queue, if there is one.
    pub fn try_next(&self) -> Option<Event> {
        self.queue.state().pop()
    }

    /// Returns the oldest event, after waiting for at most `timeout`. Blocks the calling thread.
    pub fn next(&self, timeout: Duration) -> Option<Event> {
        // An instant that the clock cannot represent sets no limit.
        let until = Instant::now().checked_add(timeout);
        let this = thread::current();
        loop {
            let mut state = self.queue.state();
            state.waiters.retain(|waiter| waiter.id() != this.id());
            if let Some(event) = state.pop() {
                state.wake_one();
                return Some(event);
            }
            let left = match until {
                Some(until) => until.checked_duration_since(Instant::now())?,
                None => timeout,
            };
            state.waiters.push_back(this.clone());
            drop(state);
            thread::park_timeout(left);
        }
    }
}

impl std::fmt::Debug for EventQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EventQueue")
    }
}

#[derive(Default)]
struct Queue {
    callback: Option<Box<Callback>>,
    state: Lock<State>,
}

#[derive(Default)]
struct State {
    process: u32,
    waiting: VecDeque<Event>,
    lost: u64,
    /// Whether a thread of this process is calling the callback.
    is_calling_back: bool,
    /// Parked threads of this process that wait for an event.
    waiters: VecDeque<Thread>,
}

impl State {
    fn pop(&mut self) -> Option<Event> {
        if self.lost > 0 {
            let lost = Event::new(EventName::EventsLost).with("count", self.lost);
            self.lost = 0;
            return Some(lost);
        }
        self.waiting.pop_front()
    }

    /// Wakes a waiting thread if the queue has an event.
    fn wake_one(&mut self) {
        if (self.lost > 0 || !self.waiting.is_empty())
            && let Some(waiter) = self.waiters.pop_front()
        {
            waiter.unpark();
        }
    }
}

impl Queue {
    fn state(&self) -> Locked<'_, State> {
        let mut state = self.state.lock();
        let process = process::id();
        if state.process != process {
            *state = State { process, ..State::default() };
        }
        state
    }

    /// Adds an event. Returns true if the caller must start the thread for the callback.
    fn push(&self, event: Event) -> bool {
        let mut state = self.state();
        state.waiting.push_back(event);
        if state.waiting.len() > MAX_WAITING {
            state.waiting.pop_front();
            state.lost += 1;
        }
        state.wake_one();
        self.callback.is_some() && !std::mem::replace(&mut state.is_calling_back, true)
    }

    fn start_calling_back(self: &Arc<Self>) {
        let queue = self.clone();
        if runtime::blocking(move || queue.call_back()).is_err() {
            // Without a free thread the events wait until the next one is raised.
            self.state().is_calling_back = false;
        }
    }

    fn call_back(&self) {
        loop {
            let event = {
                let mut state = self.state();
                let Some(event) = state.pop() else {
                    state.is_calling_back = false;
                    return;
                };
                event
            };
            if let Some(callback) = &self.callback {
                // A panicking callback must not end the delivery of events.
                let _ = catch_unwind(AssertUnwindSafe(|| callback(&event)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(number: u64) -> Event {
        Event::new(EventName::Expiry).with("number", number)
    }

    #[test]
    fn a_slow_listener_loses_the_oldest_events_and_gets_their_count() {
        let listeners = Listeners::default();
        let queue = listeners.queue();
        let excess = 7;
        for number in 0..MAX_WAITING as u64 + excess {
            listeners.emit(&numbered(number));
        }
        let first = queue.try_next().unwrap();
        assert_eq!((first.name(), &first.fields()["count"]), (EventName::EventsLost, &json!(7)));
        assert_eq!(queue.try_next().unwrap().fields()["number"], excess);
        assert_eq!(std::iter::from_fn(|| queue.try_next()).count(), MAX_WAITING - 1);
    }

    #[test]
    fn a_callback_that_panics_gets_the_next_event() {
        let listeners = Listeners::default();
        let (sender, heard) = std::sync::mpsc::channel();
        listeners.callback(Box::new(move |event| {
            sender.send(event.fields()["number"].clone()).unwrap();
            assert_ne!(event.fields()["number"], 1, "asked for by a test");
        }));
        for number in 0..4 {
            listeners.emit(&numbered(number));
        }
        let heard: Vec<Value> = heard.iter().take(4).collect();
        assert_eq!(heard, [0, 1, 2, 3]);
    }

    #[test]
    fn a_dropped_queue_is_removed() {
        let listeners = Listeners::default();
        drop(listeners.queue());
        listeners.emit(&numbered(0));
        assert!(listeners.queues.lock().is_empty());
    }
}
