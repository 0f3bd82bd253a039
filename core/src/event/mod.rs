//! Events for operators, and their delivery to listeners. Every room may raise an event; this room
//! knows none of the others.
//!
//! Raising an event never waits: each listener has a bounded queue, and dropped events are counted and
//! reported later. A callback runs on a separate thread, so a slow or panicking callback delays no
//! other code.

mod name;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Waker;
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::clock;
use crate::error::spelling::spelled;
use crate::error::{Context, Error, composed_value};
use crate::process::{self, Lock, Locked, Once, PerProcess};
use crate::runtime;
pub use name::EventName;

/// The most events in the queue of one listener. Beyond it, the oldest are dropped.
const MAX_WAITING: usize = 1024;

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
        Self { name, consumer: None, fields: Context::new(), error: None }.telling()
    }

    pub(crate) fn of_consumer(mut self, consumer: &str) -> Self {
        self.consumer = Some(consumer.to_owned());
        self.telling()
    }

    pub(crate) fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.fields.insert(key.to_owned(), composed_value(value.into()));
        self.telling()
    }

    pub(crate) fn because(mut self, error: Error) -> Self {
        let kind = error.kind().name();
        self.error = Some(error);
        self.with("kind", kind)
    }

    /// Writes the fields `message` and `remedy`: those of the failure, or the texts of the table with the
    /// fields that are known so far.
    fn telling(mut self) -> Self {
        let (message, remedy) = if let Some(error) = &self.error {
            (error.message().to_owned(), error.remedy().to_owned())
        } else {
            let (message, remedy) = self.name.texts();
            (self.filled(message), self.filled(remedy))
        };
        for (key, text) in [("message", message), ("remedy", remedy)] {
            self.fields.insert(key.to_owned(), composed_value(text.into()));
        }
        self
    }

    /// Returns a text of the table with the values of the fields in braces.
    fn filled(&self, text: &str) -> String {
        let spelled = spelled(text);
        let mut parts = spelled.split(['{', '}']);
        let mut filled = parts.next().unwrap_or_default().to_owned();
        // Every second part is the name of a field.
        while let (Some(name), Some(after)) = (parts.next(), parts.next()) {
            filled.push_str(&self.shown(name));
            filled.push_str(after);
        }
        filled
    }

    /// Formats a field for a person. A field that is not known is shown by its name.
    fn shown(&self, name: &str) -> String {
        match (name, self.fields.get(name)) {
            ("consumer", _) => self.consumer.clone().unwrap_or_else(|| "the consumer".to_owned()),
            (_, Some(Value::String(text))) => text.clone(),
            (_, Some(Value::Array(values))) => {
                values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" and ")
            }
            (_, Some(value)) => match value.as_i64().filter(|_| name.ends_with("_ms")) {
                Some(millis) => clock::utc_text(millis.div_euclid(1000)),
                None => value.to_string(),
            },
            (_, None) => name.to_owned(),
        }
    }

    /// Returns the name of the event.
    pub fn name(&self) -> EventName {
        self.name
    }

    /// Returns the consumer id that the event is about, if it is about one consumer.
    pub fn consumer(&self) -> Option<&str> {
        self.consumer.as_deref()
    }

    /// Returns the fields that the table names, as far as they are known, and `message` and `remedy`.
    /// Instants are milliseconds since 1970.
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
    lost: PerProcess<AtomicU64>,
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
        let mut lost = 0;
        let mut push = |queue: &&Arc<Queue>| {
            let pushed = queue.push(event.clone());
            lost += u64::from(pushed.has_dropped);
            pushed.must_start
        };
        let idle: Vec<Arc<Queue>> = queues.iter().filter(&mut push).cloned().collect();
        let watched = queues.iter().filter(|queue| queue.watcher.get().is_some());
        let watched: Vec<Arc<Queue>> = watched.cloned().collect();
        drop(queues);
        if lost > 0 {
            self.lost.get().value.fetch_add(lost, Ordering::Relaxed);
        }
        idle.iter().for_each(Queue::start_calling_back);
        watched.iter().filter_map(|queue| queue.watcher.get()).for_each(Waker::wake_by_ref);
    }

    /// Returns how many events this process has dropped because a listener was too slow.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.get().value.load(Ordering::Relaxed)
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

    /// Returns whether the queue has an event.
    pub fn has_event(&self) -> bool {
        self.queue.state().has_event()
    }

    /// Wakes `watcher` at every event from now on, on the thread that raises it: `watcher` must not
    /// wait. Only the first watcher is used; later calls have no effect.
    pub fn watch(&self, watcher: Waker) {
        self.queue.watcher.set(watcher);
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
    watcher: Once<Waker>,
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

    fn has_event(&self) -> bool {
        self.lost > 0 || !self.waiting.is_empty()
    }

    /// Wakes a waiting thread if the queue has an event.
    fn wake_one(&mut self) {
        if self.has_event()
            && let Some(waiter) = self.waiters.pop_front()
        {
            waiter.unpark();
        }
    }
}

/// The result of adding an event to a queue.
struct Pushed {
    /// The caller must start the thread for the callback.
    must_start: bool,
    /// The oldest event was dropped.
    has_dropped: bool,
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

    /// Adds an event.
    fn push(&self, event: Event) -> Pushed {
        let mut state = self.state();
        state.waiting.push_back(event);
        let has_dropped = state.waiting.len() > MAX_WAITING;
        if has_dropped {
            state.waiting.pop_front();
            state.lost += 1;
        }
        state.wake_one();
        let has_callback = self.callback.is_some();
        let must_start = has_callback && !std::mem::replace(&mut state.is_calling_back, true);
        Pushed { must_start, has_dropped }
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
    fn each_event_names_its_facts_and_what_to_do() {
        for &name in EventName::ALL {
            let fields: Vec<&str> = name.fields().split(' ').collect();
            let mut event = Event::new(name).of_consumer("acme");
            for field in &fields {
                let value = if field.ends_with("_ms") { json!(86_400_000) } else { json!(field) };
                event = event.with(name_of(field), value);
            }
            let (message, remedy) = (&event.fields()["message"], &event.fields()["remedy"]);
            let text = format!("{message} {remedy}");
            assert!(!text.contains(['{', '}', '`']) && !text.contains("_ms"), "{text}");
            let (first, second) = name.texts();
            for part in format!("{first}{second}").split('{').skip(1) {
                let field = part.split('}').next().unwrap_or_default();
                assert!(
                    field == "consumer" || fields.contains(&field),
                    "{field} of {}",
                    name.name()
                );
            }
        }
    }

    #[test]
    fn an_event_of_a_failure_has_its_message_and_remedy() {
        let error = Error::new(crate::error::Kind::PemInvalid, "it is cut off");
        let remedy = error.remedy().to_owned();
        let event = Event::new(EventName::RotationFailed).because(error).with("files", "tls.crt");
        assert_eq!(event.fields()["message"], "it is cut off");
        assert_eq!(event.fields()["remedy"], remedy);
        assert_eq!(event.fields()["kind"], "pem_invalid");
    }

    /// The keys of an event are static.
    fn name_of(field: &str) -> &'static str {
        Box::leak(field.to_owned().into_boxed_str())
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
        assert_eq!(listeners.lost(), excess);
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
