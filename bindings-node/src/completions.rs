//! Passes finished deliveries to JavaScript: in batches, on the event loop of its environment.
//!
//! On platforms with a pollable descriptor, the loop of Node drives the deliveries itself
//! (`webhook_mtls::bindings::runtime::EventLoop`), without another thread. Elsewhere, and in runtimes
//! without libuv, the threads of the core drive them. Outcomes go into a queue. One call into
//! JavaScript passes all queued outcomes through the outcome buffer (`outcome_buffer.rs`).

use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::mem::ManuallyDrop;
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::Wake;

use napi::bindgen_prelude::{Either, Env, Float64Array, Function, ToNapiValue, sys};
use napi::{JsValue, check_status};
use napi_derive::napi;
use webhook_mtls::bindings::process::Lock;
use webhook_mtls::{Error, Receipt};

use crate::convert::Handle;
use crate::error::error_text;
use crate::loop_handles::{Callbacks, LoopHandles, LoopSignal};
use crate::outcome_buffer::{Attachment, OutcomeBuffer, ReceiptPage, Report};
use crate::uv::{RawHandle, Uv};

/// What libuv calls.
const CALLBACKS: Callbacks = Callbacks { signal: on_signal, readable: on_readable, tick: on_tick };

thread_local! {
    /// Never dropped with its thread: `process.exit` and an uncaught exception end the process without
    /// the cleanup hook, and at that time the thread-locals of tokio, which deliveries need to end,
    /// may be destroyed.
    static CURRENT: RefCell<Option<ManuallyDrop<Rc<NodeLoop>>>> = const { RefCell::new(None) };
    /// Whether this thread will drain the queue before its loop continues.
    static WILL_DRAIN: Cell<bool> = const { Cell::new(false) };
    /// While the environment is torn down: its cleanup hook and the number of open handles.
    static TEARDOWN: Cell<Option<(sys::napi_async_cleanup_hook_handle, usize)>> =
        const { Cell::new(None) };
}

/// Attaches the addon to this environment. Outcomes are written into `buffer`, and then `settle` is
/// called with their count.
///
/// * `has_libuv`: whether the environment runs on a loop of libuv.
#[napi]
pub fn attach(
    env: &Env,
    buffer: Float64Array,
    settle: Function<f64, ()>,
    has_libuv: bool,
) -> napi::Result<()> {
    let queue = Arc::new(CompletionQueue { completions: Lock::default(), signal: Lock::default() });
    let handles = if has_libuv {
        let of_driver = queue.clone();
        LoopHandles::of_libuv(env, CALLBACKS, move || of_driver.send_signal())?
    } else {
        LoopHandles::of_node_api(*env, on_call)?
    };
    NodeLoop::attach(env, buffer, settle.raw(), queue, handles)
}

/// Returns the next attachment of the buffer's rows, in their order: a page of receipts or an
/// error's JSON.
#[napi]
pub fn next_attachment() -> Option<Either<Handle<Rc<ReceiptPage>>, String>> {
    let next = |current: &NodeLoop| current.buffer.borrow_mut().next_attachment();
    Some(match with_current(next).ok().flatten()? {
        Attachment::Page(page) => Either::A(Handle(page)),
        Attachment::Error(error) => Either::B(error_text(&error)),
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
    let current = CURRENT.with_borrow(|current| current.as_deref().cloned());
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

/// The signal of a loop. Any thread may send it until it is released.
struct Signal(LoopSignal);

// SAFETY: other threads only send the signal, which is thread-safe.
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
    queue: Arc<CompletionQueue>,
    handles: LoopHandles,
    /// The number of completions for which the loop stays alive.
    pending: Cell<usize>,
}

impl NodeLoop {
    fn attach(
        env: &Env,
        buffer: Float64Array,
        settle: sys::napi_value,
        queue: Arc<CompletionQueue>,
        handles: LoopHandles,
    ) -> napi::Result<()> {
        let mut settle_reference = ptr::null_mut();
        // SAFETY: the environment is that of the current call, on its thread.
        let status =
            unsafe { sys::napi_create_reference(env.raw(), settle, 1, &raw mut settle_reference) };
        check_status!(status, "napi_create_reference")?;
        let has_libuv = matches!(handles.signal, LoopSignal::Libuv(_));
        *queue.signal.lock() = Some(Signal(handles.signal));
        CURRENT.set(Some(ManuallyDrop::new(Rc::new(NodeLoop {
            env: env.raw(),
            settle: settle_reference,
            buffer: RefCell::new(OutcomeBuffer::new(buffer)),
            queue,
            handles,
            pending: Cell::new(0),
        }))));
        let hooked = NodeLoop::add_cleanup_hook(*env, has_libuv);
        if hooked.is_err() {
            // Without the hook, the handles would outlive their loop.
            detach();
        }
        hooked
    }

    /// Tears down the loop with its environment. The hook waits until the handles of libuv are closed.
    fn add_cleanup_hook(env: Env, has_libuv: bool) -> napi::Result<()> {
        let (env, none) = (env.raw(), ptr::null_mut());
        let status = if has_libuv {
            // SAFETY: the hook takes no argument, and finds the loop in a thread-local.
            unsafe { sys::napi_add_async_cleanup_hook(env, Some(tear_down), none, ptr::null_mut()) }
        } else {
            // SAFETY: as above.
            unsafe { sys::napi_add_env_cleanup_hook(env, Some(tear_down_at_once), none) }
        };
        check_status!(status, "the cleanup hook")
    }

    /// Drives the deliveries that can progress, then passes outcomes to JavaScript.
    fn poll(&self) {
        if let Some(polling) = &self.handles.polling {
            WILL_DRAIN.set(true);
            polling.turn();
            WILL_DRAIN.set(false);
        }
        self.drain();
    }

    fn tick(&self) {
        match &self.handles.polling {
            Some(polling) if polling.is_busy() => self.poll(),
            Some(polling) => polling.stop_ticking(),
            None => {}
        }
    }

    fn start_ticking(&self) {
        if let Some(polling) = &self.handles.polling {
            polling.start_ticking();
        }
    }

    /// Counts a completion to come. The first keeps the loop alive.
    fn add_pending(&self) {
        let pending = self.pending.get();
        self.pending.set(pending + 1);
        if pending == 0 {
            self.handles.signal.keep_alive(true);
        }
    }

    fn remove_pending(&self) {
        let pending = self.pending.get() - 1;
        self.pending.set(pending);
        if pending == 0 {
            self.handles.signal.keep_alive(false);
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
        let mut result = ptr::null_mut();
        // SAFETY: as above.
        check_status!(unsafe { sys::napi_get_global(env, &raw mut global) })?;
        // SAFETY: the reference was created in this environment.
        let status = unsafe { sys::napi_get_reference_value(env, self.settle, &raw mut settle) };
        check_status!(status, "napi_get_reference_value")?;
        // SAFETY: one argument, and a place for the result.
        let called = unsafe {
            let count = &raw const count;
            sys::napi_make_callback(env, none, global, settle, 1, count, &raw mut result)
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

extern "C" fn on_call() {
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

/// As [`tear_down`], without handles of libuv.
unsafe extern "C" fn tear_down_at_once(_: *mut c_void) {
    detach();
}

/// Ends the deliveries of this thread's loop and closes its handles. Returns the number of handles,
/// which are closed later.
fn detach() -> Option<usize> {
    let current = ManuallyDrop::into_inner(CURRENT.take()?);
    current.queue.signal.lock().take();
    current.handles.end_deliveries();
    current.queue.completions.lock().clear();
    let handles = current.handles.release();
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
