//! Passes finished deliveries to JavaScript: in batches, on the event loop of its environment.
//!
//! On platforms with a pollable descriptor, the loop of Node drives the deliveries itself
//! (`webhook_mtls::bindings::runtime::EventLoop`), without another thread. Outcomes go into a queue. One call
//! into JavaScript passes all queued outcomes through the outcome buffer (`outcome_buffer.rs`).

use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::Wake;
use std::time::Duration;

use napi::bindgen_prelude::{Either, Env, Float64Array, Function, ToNapiValue, sys};
use napi::{JsValue, check_status};
use napi_derive::napi;
use webhook_mtls::bindings::process::Lock;
use webhook_mtls::bindings::runtime::EventLoop;
use webhook_mtls::{Error, Receipt};

use crate::convert::Handle;
use crate::outcome_buffer::{Attachment, OutcomeBuffer, ReceiptPage, Report};
use crate::uv::{RawHandle, Uv};

/// The interval at which timers are checked while deliveries are in flight.
const TICK: Duration = Duration::from_millis(10);

thread_local! {
    static CURRENT: RefCell<Option<Rc<NodeLoop>>> = const { RefCell::new(None) };
    /// Whether this thread will drain the queue before its loop continues.
    static WILL_DRAIN: Cell<bool> = const { Cell::new(false) };
    /// While the environment is torn down: its cleanup hook and the number of open handles.
    static TEARDOWN: Cell<Option<(sys::napi_async_cleanup_hook_handle, usize)>> =
        const { Cell::new(None) };
}

/// Attaches the addon to this environment. Outcomes are written into `buffer`, and then `settle` is
/// called with their count.
#[napi]
pub fn attach(env: &Env, buffer: Float64Array, settle: Function<f64, ()>) -> napi::Result<()> {
    NodeLoop::attach(env, buffer, settle.raw())
}

/// Returns the next attachment of the buffer's rows, in their order: a page of receipts or an
/// error's JSON.
#[napi]
pub fn next_attachment() -> Option<Either<Handle<Rc<ReceiptPage>>, String>> {
    let next = |current: &NodeLoop| current.buffer.borrow_mut().next_attachment();
    Some(match with_current(next).ok().flatten()? {
        Attachment::Page(page) => Either::A(Handle(page)),
        Attachment::Error(error) => Either::B(error.to_json().to_string()),
    })
}

/// Writes outcomes into the buffer of this environment until it is full; returns their number.
pub(crate) fn write(
    outcomes: impl Iterator<Item = (f64, Result<Receipt, Error>)>,
) -> Result<u32, Error> {
    let reports = outcomes.map(|(ticket, outcome)| (ticket, Report::Finished(outcome)));
    with_current(|current| current.buffer.borrow_mut().write(reports))
}

/// The place for one delivery's outcome.
///
/// If the slot is dropped unfilled, because the task panicked, it is filled with `internal`.
/// Otherwise the promise would stay pending forever.
pub(crate) struct CompletionSlot {
    queue: Arc<CompletionQueue>,
    ticket: f64,
    is_filled: bool,
}

impl CompletionSlot {
    /// Reserves a place in the queue of this environment. Its loop stays alive until the outcome is
    /// passed to JavaScript.
    pub(crate) fn new(ticket: f64) -> Result<Self, Error> {
        with_current(|current| {
            current.add_pending();
            Self { queue: current.queue.clone(), ticket, is_filled: false }
        })
    }

    pub(crate) fn fill(mut self, outcome: Result<Receipt, Error>) {
        self.is_filled = true;
        self.queue.push(Completion::Finished(self.ticket, outcome));
    }
}

impl Drop for CompletionSlot {
    fn drop(&mut self) {
        if !self.is_filled {
            self.queue.push(Completion::Finished(self.ticket, Err(Error::caught_panic())));
        }
    }
}

/// Tells JavaScript that a run of `deliverMany` has progressed, once per wait.
pub(crate) struct RunWaker {
    queue: Arc<CompletionQueue>,
    ticket: f64,
    is_awaited: AtomicBool,
}

impl RunWaker {
    pub(crate) fn new(ticket: f64) -> Result<Arc<Self>, Error> {
        with_current(|current| {
            let queue = current.queue.clone();
            Arc::new(Self { queue, ticket, is_awaited: AtomicBool::new(false) })
        })
    }

    /// Keeps the loop alive until the next wake-up.
    pub(crate) fn wait(&self) {
        if !self.is_awaited.swap(true, SeqCst) {
            let _ = with_current(NodeLoop::add_pending);
        }
    }
}

impl Wake for RunWaker {
    fn wake(self: Arc<Self>) {
        self.queue.clone().push(Completion::RunReady(self));
    }
}

/// Starts the timer checks. Call it after a delivery was started.
pub(crate) fn started() {
    let _ = with_current(NodeLoop::start_ticking);
}

fn with_current<T>(work: impl FnOnce(&NodeLoop) -> T) -> Result<T, Error> {
    let current = CURRENT.with_borrow(Clone::clone);
    current.map(|current| work(&current)).ok_or_else(Error::caught_panic)
}

enum Completion {
    Finished(f64, Result<Receipt, Error>),
    RunReady(Arc<RunWaker>),
}

/// Completions that JavaScript has not received yet. Any thread may add one.
struct CompletionQueue {
    completions: Lock<Vec<Completion>>,
    /// `None` once the environment is torn down.
    signal: Lock<Option<Signal>>,
}

/// An async handle of libuv. Any thread may send it until it is closed.
struct Signal(Uv);

// SAFETY: other threads call only `uv_async_send` with the handle, which is thread-safe.
unsafe impl Send for Signal {}

impl CompletionQueue {
    fn push(&self, completion: Completion) {
        let mut completions = self.completions.lock();
        completions.push(completion);
        // Only the first completion sends the signal: one drain takes all.
        if completions.len() == 1 && !WILL_DRAIN.get() {
            drop(completions);
            self.send_signal();
        }
    }

    fn send_signal(&self) {
        if let Some(signal) = &*self.signal.lock() {
            signal.0.send();
        }
    }
}

/// The event loop of one environment.
struct NodeLoop {
    env: sys::napi_env,
    settle: sys::napi_ref,
    buffer: RefCell<OutcomeBuffer>,
    driver: RefCell<Option<EventLoop>>,
    queue: Arc<CompletionQueue>,
    signal: Uv,
    readable: Option<Uv>,
    timer: Uv,
    is_ticking: Cell<bool>,
    /// The number of completions for which the loop stays alive.
    pending: Cell<usize>,
}

impl NodeLoop {
    fn attach(env: &Env, buffer: Float64Array, settle: sys::napi_value) -> napi::Result<()> {
        let failed =
            |what: &str| napi::Error::from_reason(format!("libuv could not create a {what}"));
        let uv = env.get_uv_event_loop()?.cast::<c_void>();
        let queue =
            Arc::new(CompletionQueue { completions: Lock::default(), signal: Lock::default() });
        let of_driver = queue.clone();
        // Without a driver, core's own threads drive the deliveries and send the signal.
        let driver = EventLoop::attach(move || of_driver.send_signal()).ok().flatten();
        let descriptor = driver.as_ref().map(EventLoop::descriptor);
        // SAFETY: the environment is that of the current call, on its thread.
        let signal = unsafe { Uv::signal(uv, on_signal) }.ok_or_else(|| failed("signal"))?;
        // SAFETY: as above. The descriptor is never closed.
        let readable =
            descriptor.and_then(|descriptor| unsafe { Uv::readable(uv, descriptor, on_readable) });
        // SAFETY: as above.
        let timer = unsafe { Uv::timer(uv) }.ok_or_else(|| failed("timer"))?;
        let mut settle_reference = ptr::null_mut();
        // SAFETY: as above.
        let status =
            unsafe { sys::napi_create_reference(env.raw(), settle, 1, &raw mut settle_reference) };
        check_status!(status, "napi_create_reference")?;
        // A driver that libuv does not poll would never run.
        let driver = driver.filter(|_| readable.is_some());
        *queue.signal.lock() = Some(Signal(signal));
        CURRENT.set(Some(Rc::new(NodeLoop {
            env: env.raw(),
            settle: settle_reference,
            buffer: RefCell::new(OutcomeBuffer::new(buffer)),
            driver: RefCell::new(driver),
            queue,
            signal,
            readable,
            timer,
            is_ticking: Cell::new(false),
            pending: Cell::new(0),
        })));
        let none = ptr::null_mut();
        // SAFETY: the hook takes no argument, and finds the loop in a thread-local.
        let status = unsafe {
            sys::napi_add_async_cleanup_hook(env.raw(), Some(tear_down), none, ptr::null_mut())
        };
        let hooked = check_status!(status, "napi_add_async_cleanup_hook");
        if hooked.is_err() {
            // Without the hook, the handles would outlive their loop.
            detach();
        }
        hooked
    }

    /// Drives the deliveries that can progress, then passes outcomes to JavaScript.
    fn poll(&self) {
        WILL_DRAIN.set(true);
        if let Some(driver) = &*self.driver.borrow() {
            driver.turn();
        }
        WILL_DRAIN.set(false);
        self.drain();
    }

    fn tick(&self) {
        let is_busy = self.driver.borrow().as_ref().is_some_and(EventLoop::is_busy);
        if is_busy {
            return self.poll();
        }
        self.is_ticking.set(false);
        self.timer.stop();
        if let Some(driver) = &*self.driver.borrow() {
            driver.rest();
        }
    }

    fn start_ticking(&self) {
        if self.readable.is_some() && !self.is_ticking.replace(true) {
            self.timer.start(TICK, on_tick);
        }
    }

    /// Counts a completion to come. The first keeps the loop alive.
    fn add_pending(&self) {
        let pending = self.pending.get();
        self.pending.set(pending + 1);
        if pending == 0 {
            self.signal.keep_alive(true);
        }
    }

    fn remove_pending(&self) {
        let pending = self.pending.get() - 1;
        self.pending.set(pending);
        if pending == 0 {
            self.signal.keep_alive(false);
        }
    }

    /// Passes all queued completions to JavaScript.
    fn drain(&self) {
        let completions = std::mem::take(&mut *self.queue.completions.lock());
        let mut reports = completions.into_iter().map(|completion| self.report(completion));
        loop {
            let count = self.buffer.borrow_mut().write(&mut reports);
            if count == 0 {
                return;
            }
            if self.call_settle(count).is_err() {
                // The environment is being torn down: no promise awaits the other outcomes.
                return;
            }
        }
    }

    fn report(&self, completion: Completion) -> (f64, Report) {
        match completion {
            Completion::Finished(ticket, outcome) => {
                self.remove_pending();
                (ticket, Report::Finished(outcome))
            }
            Completion::RunReady(waker) => {
                if waker.is_awaited.swap(false, SeqCst) {
                    self.remove_pending();
                }
                (waker.ticket, Report::RunReady)
            }
        }
    }

    /// Calls `settle`, and runs the microtasks that it queues. Fails if JavaScript can no longer be
    /// called, as in a worker that is being terminated.
    fn call_settle(&self, count: u32) -> napi::Result<()> {
        let env = self.env;
        let mut scope = ptr::null_mut();
        // SAFETY: this is the thread of the environment, which is alive while its loop runs.
        let status = unsafe { sys::napi_open_handle_scope(env, &raw mut scope) };
        check_status!(status, "napi_open_handle_scope")?;
        // SAFETY: the scope is open.
        let called = unsafe { self.call_settle_in_scope(count) };
        // SAFETY: the scope was opened above, and every later one is closed.
        let status = unsafe { sys::napi_close_handle_scope(env, scope) };
        called.and(check_status!(status, "napi_close_handle_scope"))
    }

    /// # Safety
    ///
    /// A handle scope of the environment is open on its thread.
    unsafe fn call_settle_in_scope(&self, count: u32) -> napi::Result<()> {
        let env = self.env;
        // SAFETY: guaranteed by the caller, here and below.
        let count = unsafe { u32::to_napi_value(env, count) }?;
        let (mut global, mut settle, none) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        // SAFETY: as above.
        check_status!(unsafe { sys::napi_get_global(env, &raw mut global) })?;
        // SAFETY: the reference was created in this environment.
        let status = unsafe { sys::napi_get_reference_value(env, self.settle, &raw mut settle) };
        check_status!(status, "napi_get_reference_value")?;
        // SAFETY: one argument, and no place for the result.
        let called = unsafe {
            sys::napi_make_callback(env, none, global, settle, 1, &raw const count, none.cast())
        };
        self.clear_exception()?;
        match called {
            // `settle` ran. It threw, or its worker was terminated meanwhile.
            sys::Status::napi_pending_exception => Ok(()),
            status => check_status!(status, "napi_make_callback"),
        }
    }

    /// Clears the exception of a worker that was terminated during a call. A cleanup hook of napi
    /// would later hit it without a handle scope.
    fn clear_exception(&self) -> napi::Result<()> {
        let (mut is_pending, mut exception) = (false, ptr::null_mut());
        // SAFETY: this is the thread of the environment.
        check_status!(unsafe { sys::napi_is_exception_pending(self.env, &raw mut is_pending) })?;
        if !is_pending {
            return Ok(());
        }
        // SAFETY: as above, and the caller has opened a handle scope.
        let status =
            unsafe { sys::napi_get_and_clear_last_exception(self.env, &raw mut exception) };
        check_status!(status, "napi_get_and_clear_last_exception")
    }
}

extern "C" fn on_signal(_: RawHandle) {
    let _ = with_current(NodeLoop::poll);
}

extern "C" fn on_readable(_: RawHandle, _: c_int, _: c_int) {
    let _ = with_current(NodeLoop::poll);
}

extern "C" fn on_tick(_: RawHandle) {
    let _ = with_current(NodeLoop::tick);
}

/// Ends the deliveries of an environment that is torn down. Its hook is removed once all handles
/// are closed.
unsafe extern "C" fn tear_down(hook: sys::napi_async_cleanup_hook_handle, _: *mut c_void) {
    match detach() {
        Some(open) => TEARDOWN.set(Some((hook, open))),
        None => remove_hook(hook),
    }
}

/// Ends the deliveries of this thread's loop and closes its handles. Returns the number of handles,
/// which are closed later.
fn detach() -> Option<usize> {
    let current = CURRENT.take()?;
    current.queue.signal.lock().take();
    drop(current.driver.take());
    current.queue.completions.lock().clear();
    let handles = [Some(current.signal), current.readable, Some(current.timer)];
    let open = handles.iter().flatten().count();
    handles.into_iter().flatten().for_each(|handle| handle.close(on_closed));
    Some(open)
}

extern "C" fn on_closed(handle: RawHandle) {
    // SAFETY: libuv has closed the handle.
    unsafe { Uv::free(handle) };
    let Some((hook, open)) = TEARDOWN.get() else { return };
    TEARDOWN.set((open > 1).then_some((hook, open - 1)));
    if open == 1 {
        remove_hook(hook);
    }
}

/// Lets the teardown of the environment continue.
fn remove_hook(hook: sys::napi_async_cleanup_hook_handle) {
    // SAFETY: napi passed this hook to `tear_down`, and it is removed once.
    let status = unsafe { sys::napi_remove_async_cleanup_hook(hook) };
    // It fails only without a hook.
    debug_assert_eq!(status, sys::Status::napi_ok);
}
