//! Ground floor: what an operator should hear about, and how it reaches them. Every floor may emit;
//! this one knows none of them.
//!
//! Whoever emits never waits: each listener has a bounded queue, and what does not fit is counted and
//! told later. A callback runs on a thread that does nothing else, so a slow or panicking one stops
//! nobody.

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

/// How many events wait for one listener; older ones make room.
const MOST_WAITING: usize = 1024;

macro_rules! events {
    ($($variant:ident $name:literal $fields:literal $doc:literal;)*) => {
        /// What happened. Later versions add to it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum EventName { $(#[doc = $doc] $variant,)* }

        impl EventName {
            /// Every name, in the order of the reference page.
            pub const ALL: &'static [EventName] = &[$(EventName::$variant,)*];

            /// The word, equal in every language.
            pub const fn name(self) -> &'static str {
                match self { $(EventName::$variant => $name,)* }
            }

            /// What it says and what to do.
            pub const fn doc(self) -> &'static str {
                match self { $(EventName::$variant => $doc,)* }
            }

            /// The fields it carries, separated by spaces.
            pub const fn fields(self) -> &'static str {
                match self { $(EventName::$variant => $fields,)* }
            }
        }
    };
}

events! {
    Rotated "rotated" "what files endpoints name not_after_ms"
        "Watched files changed, and what they hold is in use from now on.";
    RotationFailed "rotation_failed" "what files kind message remedy"
        "Watched files hold what cannot be used. The former material stays in use; mend the files.";
    RotationWaiting "rotation_waiting" "what files name not_before_ms"
        "A new certificate is not valid yet. The former one stays in use until it is.";
    FileStale "file_stale" "what files name not_after_ms fraction_left"
        "The certificate nears its end, and its file has never changed while it was watched. Look at \
         what renews it, and at how it is mounted: a Kubernetes subPath mount never changes.";
    Expiry "expiry" "what name not_after_ms fraction_left threshold"
        "A certificate or CRL has less of its lifetime left than the threshold; at threshold 0 it has \
         expired.";
    AnchorExpired "anchor_expired" "name not_after_ms"
        "A trust anchor has expired and is not used any more. Take it out of the bundle.";
    ClockImplausible "clock_implausible" "clock_ms"
        "The clock shows a time before this library existed, so no certificate can be judged. Set it.";
    KeyReadable "key_readable" "file mode"
        "The file of our private key can be read by every user of this machine. Take that away.";
    RotatedButUndistributed "rotated_but_undistributed" "identity previous not_after_ms via"
        "A consumer refuses our new certificate and still takes the previous one, which is used for \
         it. Give the consumer our new certificate or its CA before the previous one expires.";
    PinSingle "pin_single" "pin not_after_ms"
        "An endpoint has one pin alone, and the consumer's certificate nears its end: a new key would \
         stop deliveries. Ask the consumer for its next pin.";
    PinNextUnseen "pin_next_unseen" "pin not_after_ms"
        "A pin was announced as the next one, the consumer's certificate nears its end, and no \
         connection has shown that key.";
    PinPreviousUsed "pin_previous_used" "pin next"
        "A consumer that has shown its next key shows the former one again: not all of its servers \
         have changed.";
    ConsumerRekeys "consumer_rekeys" "pin previous"
        "A consumer has changed its key at two renewals in a row. Pins of its key will break at the \
         next one; let it keep its key, or pin by server_uri and its CA.";
    CrlUnused "crl_unused" "name position why"
        "A CRL names an issuer of a peer that passed, and was not used: another key signed it \
         (another_key), its thisUpdate is in the future (not_yet_valid), or no CRL of the issuer covers \
         the peer's certificate (other_scope). Supply the issuer's CRL that is in force.";
    EventsLost "events_lost" "count"
        "A listener was too slow, and events before this one were dropped for it.";
}

/// Something that an operator should hear about.
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

    /// What happened.
    pub fn name(&self) -> EventName {
        self.name
    }

    /// The consumer it concerns, where it concerns one.
    pub fn consumer(&self) -> Option<&str> {
        self.consumer.as_deref()
    }

    /// The facts: those that the table names, as far as they are known. Instants are milliseconds
    /// since 1970.
    pub fn fields(&self) -> &Context {
        &self.fields
    }

    /// The failure behind it, where there is one.
    pub fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// The event in the form that every language shows.
    pub fn to_json(&self) -> Value {
        json!({ "name": self.name.name(), "consumer": self.consumer, "fields": self.fields })
    }
}

/// Who listens. Cheap while nobody does.
#[derive(Default)]
pub(crate) struct Listeners {
    any: AtomicBool,
    queues: Lock<Vec<Arc<Queue>>>,
}

impl Listeners {
    /// Events to be taken one by one.
    pub(crate) fn queue(&self) -> EventQueue {
        let queue = Arc::new(Queue::default());
        self.add(queue.clone());
        EventQueue { queue }
    }

    /// Events to be handed to a callback, one after the other.
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
        // A queue that nobody holds any more is heard by nobody.
        queues.retain(|queue| queue.callback.is_some() || Arc::strong_count(queue) > 1);
        let idle: Vec<Arc<Queue>> =
            queues.iter().filter(|queue| queue.push(event.clone())).cloned().collect();
        drop(queues);
        idle.iter().for_each(Queue::start_handing_over);
    }

    fn add(&self, queue: Arc<Queue>) {
        self.queues.lock().push(queue);
        self.any.store(true, Ordering::Relaxed);
    }
}

/// What a listener gives to have events handed to it.
pub(crate) type Callback = dyn Fn(&Event) + Send + Sync;

/// Events that wait to be taken. Those of a parent process never arrive in a child.
#[derive(Clone)]
pub struct EventQueue {
    queue: Arc<Queue>,
}

impl EventQueue {
    /// The oldest event that waits, if there is one.
    pub fn try_next(&self) -> Option<Event> {
        self.queue.state().pop()
    }

    /// The oldest event, waiting for one for at most `timeout`. Blocks the calling thread.
    pub fn next(&self, timeout: Duration) -> Option<Event> {
        // What lies beyond the clock is never.
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
    /// Whether a thread of this process is handing events to the callback.
    handing: bool,
    /// Threads of this process that wait for an event, parked.
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

    /// Wakes a thread if there is an event for it.
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

    /// True if nobody hands events to the callback yet.
    fn push(&self, event: Event) -> bool {
        let mut state = self.state();
        state.waiting.push_back(event);
        if state.waiting.len() > MOST_WAITING {
            state.waiting.pop_front();
            state.lost += 1;
        }
        state.wake_one();
        self.callback.is_some() && !std::mem::replace(&mut state.handing, true)
    }

    fn start_handing_over(self: &Arc<Self>) {
        let queue = self.clone();
        if runtime::blocking(move || queue.hand_over()).is_err() {
            // Without a thread to spare the events wait for the next one.
            self.state().handing = false;
        }
    }

    fn hand_over(&self) {
        loop {
            let event = {
                let mut state = self.state();
                let Some(event) = state.pop() else {
                    state.handing = false;
                    return;
                };
                event
            };
            if let Some(callback) = &self.callback {
                // The listener's fault is not to end the listening.
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
    fn a_slow_listener_loses_the_oldest_and_is_told_how_many() {
        let listeners = Listeners::default();
        let queue = listeners.queue();
        let excess = 7;
        for number in 0..MOST_WAITING as u64 + excess {
            listeners.emit(&numbered(number));
        }
        let first = queue.try_next().unwrap();
        assert_eq!((first.name(), &first.fields()["count"]), (EventName::EventsLost, &json!(7)));
        assert_eq!(queue.try_next().unwrap().fields()["number"], excess);
        assert_eq!(std::iter::from_fn(|| queue.try_next()).count(), MOST_WAITING - 1);
    }

    #[test]
    fn a_callback_that_panics_hears_the_next_event() {
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
    fn a_queue_that_was_dropped_is_forgotten() {
        let listeners = Listeners::default();
        drop(listeners.queue());
        listeners.emit(&numbered(0));
        assert!(listeners.queues.lock().is_empty());
    }
}
