//! How what has ended comes back to JavaScript: in batches, on the loop of its environment.
//!
//! Where it can be, that loop drives the deliveries itself (`webhook_mtls::runtime::EventLoop`),
//! and no other thread takes part. Outcomes go into a queue; one call hands over all that lie there,
//! in the ledger (`ledger.rs`).

use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::Wake;
use std::time::Duration;

use napi::JsValue;
use napi::bindgen_prelude::{Either, Env, Float64Array, Function, ToNapiValue, sys};
use napi_derive::napi;
use webhook_mtls::process::Lock;
use webhook_mtls::runtime::EventLoop;
use webhook_mtls::{Error, Receipt};

use crate::border::Handle;
use crate::ledger::{Brought, Entry, Ledger, Page};
use crate::uv::{RawHandle, Uv};

/// How often timers are looked at while something is under way.
const TICK: Duration = Duration::from_millis(10);

thread_local! {
    static HERE: RefCell<Option<Rc<Loop>>> = const { RefCell::new(None) };
    /// Whether the queue will be looked at in any case before the loop goes on.
    static LOOKING: Cell<bool> = const { Cell::new(false) };
    /// While the environment goes: its hook, and how many handles are not closed yet.
    static LEAVING: Cell<Option<(sys::napi_async_cleanup_hook_handle, usize)>> =
        const { Cell::new(None) };
}

/// Has outcomes of this environment entered into `ledger`, and `settle` called with their count.
#[napi]
pub fn attach(env: &Env, ledger: Float64Array, settle: Function<f64, ()>) -> napi::Result<()> {
    Loop::attach(env, ledger, settle.raw())
}

/// What an entry of the ledger speaks of: a page of receipts or an error's JSON, in their order.
#[napi]
pub fn brought() -> Option<Either<Handle<Rc<Page>>, String>> {
    let brought = here(|it| it.ledger.borrow_mut().brought()).ok().flatten()?;
    Some(match brought {
        Brought::Page(page) => Either::A(Handle(page)),
        Brought::Fault(error) => Either::B(error.to_json().to_string()),
    })
}

/// Enters outcomes into the ledger of this environment, as many as it has room for; says how many.
pub(crate) fn enter(
    outcomes: impl Iterator<Item = (f64, Result<Receipt, Error>)>,
) -> Result<u32, Error> {
    let entries = outcomes.map(|(number, outcome)| (number, Entry::Ended(outcome)));
    here(|it| it.ledger.borrow_mut().enter(entries))
}

/// The place of one outcome. Dropped without one, because a panic took the task that was to fill
/// it, it is filled with `internal`: whoever awaits it must not wait for ever.
pub(crate) struct Slot {
    arrivals: Arc<Arrivals>,
    number: f64,
    filled: bool,
}

impl Slot {
    /// A place in the queue of this environment, whose loop stays alive until it is handed over.
    pub(crate) fn new(number: f64) -> Result<Self, Error> {
        here(|it| {
            it.wait();
            Self { arrivals: it.arrivals.clone(), number, filled: false }
        })
    }

    pub(crate) fn fill(mut self, outcome: Result<Receipt, Error>) {
        self.filled = true;
        self.arrivals.push(Arrival::Ended(self.number, outcome));
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.filled {
            self.arrivals.push(Arrival::Ended(self.number, Err(Error::caught_panic())));
        }
    }
}

/// Tells JavaScript that a run has something new, once for each time that it waits.
pub(crate) struct Stir {
    arrivals: Arc<Arrivals>,
    number: f64,
    awaited: AtomicBool,
}

impl Stir {
    pub(crate) fn new(number: f64) -> Result<Arc<Self>, Error> {
        here(|it| {
            let arrivals = it.arrivals.clone();
            Arc::new(Self { arrivals, number, awaited: AtomicBool::new(false) })
        })
    }

    /// Keeps the loop alive until something stirs.
    pub(crate) fn wait(&self) {
        if !self.awaited.swap(true, SeqCst) {
            let _ = here(Loop::wait);
        }
    }
}

impl Wake for Stir {
    fn wake(self: Arc<Self>) {
        self.arrivals.clone().push(Arrival::Stirred(self));
    }
}

/// To be called after something was started: it may have to be looked at from now on.
pub(crate) fn started() {
    let _ = here(Loop::started);
}

fn here<T>(then: impl FnOnce(&Loop) -> T) -> Result<T, Error> {
    let attached = HERE.with_borrow(Clone::clone);
    attached.map(|it| then(&it)).ok_or_else(Error::caught_panic)
}

enum Arrival {
    Ended(f64, Result<Receipt, Error>),
    Stirred(Arc<Stir>),
}

/// What has arrived and was not handed over yet. Any thread may add to it.
struct Arrivals {
    queue: Lock<Vec<Arrival>>,
    /// `None` once the environment is going.
    bell: Lock<Option<Bell>>,
}

/// A signal, which may be sent from any thread while it is not closed.
struct Bell(Uv);

// SAFETY: `uv_async_send` is all that other threads do with it.
unsafe impl Send for Bell {}

impl Arrivals {
    fn push(&self, arrival: Arrival) {
        let mut queue = self.queue.lock();
        queue.push(arrival);
        // The first one rings; whoever comes takes the others along.
        if queue.len() == 1 && !LOOKING.get() {
            drop(queue);
            self.ring();
        }
    }

    fn ring(&self) {
        if let Some(bell) = &*self.bell.lock() {
            bell.0.send();
        }
    }
}

/// The loop of one environment.
struct Loop {
    env: sys::napi_env,
    settle: sys::napi_ref,
    ledger: RefCell<Ledger>,
    driver: RefCell<Option<EventLoop>>,
    arrivals: Arc<Arrivals>,
    signal: Uv,
    readable: Option<Uv>,
    timer: Uv,
    ticking: Cell<bool>,
    /// What JavaScript waits for.
    waits: Cell<usize>,
}

impl Loop {
    fn attach(env: &Env, ledger: Float64Array, settle: sys::napi_value) -> napi::Result<()> {
        let failed = |what: &str| napi::Error::from_reason(format!("libuv gave no {what}"));
        let uv = env.get_uv_event_loop()?.cast::<c_void>();
        let arrivals = Arc::new(Arrivals { queue: Lock::default(), bell: Lock::default() });
        let ringing = arrivals.clone();
        // Without one, keepers drive, and ring when something has arrived.
        let driver = EventLoop::attach(move || ringing.ring()).ok().flatten();
        let descriptor = driver.as_ref().map(EventLoop::descriptor);
        let mut kept = ptr::null_mut();
        // SAFETY: the environment is the one of this very call, on its thread. The descriptor is
        // never closed.
        let (signal, readable, timer) = unsafe {
            sys::napi_create_reference(env.raw(), settle, 1, &raw mut kept);
            (
                Uv::signal(uv, rung).ok_or_else(|| failed("signal"))?,
                descriptor.and_then(|descriptor| Uv::readable(uv, descriptor, ready)),
                Uv::timer(uv).ok_or_else(|| failed("timer"))?,
            )
        };
        // A driver that nobody calls would do nothing.
        let driver = driver.filter(|_| readable.is_some());
        *arrivals.bell.lock() = Some(Bell(signal));
        let it = Rc::new(Loop {
            env: env.raw(),
            settle: kept,
            ledger: RefCell::new(Ledger::new(ledger)),
            driver: RefCell::new(driver),
            arrivals,
            signal,
            readable,
            timer,
            ticking: Cell::new(false),
            waits: Cell::new(0),
        });
        HERE.set(Some(it));
        // SAFETY: the hook takes no argument, and finds the loop by its thread.
        unsafe {
            let none = ptr::null_mut();
            sys::napi_add_async_cleanup_hook(env.raw(), Some(leave), none, ptr::null_mut());
        }
        Ok(())
    }

    fn turn(&self) {
        LOOKING.set(true);
        if let Some(driver) = &*self.driver.borrow() {
            driver.turn();
        }
        LOOKING.set(false);
        self.hand_over();
    }

    fn tick(&self) {
        let busy = self.driver.borrow().as_ref().is_some_and(EventLoop::is_busy);
        if busy {
            return self.turn();
        }
        self.ticking.set(false);
        self.timer.stop();
        if let Some(driver) = &*self.driver.borrow() {
            driver.rest();
        }
    }

    fn started(&self) {
        if self.readable.is_some() && !self.ticking.replace(true) {
            self.timer.start(TICK, ticked);
        }
    }

    fn wait(&self) {
        let waits = self.waits.get();
        self.waits.set(waits + 1);
        if waits == 0 {
            self.signal.hold(true);
        }
    }

    fn waited(&self) {
        let waits = self.waits.get() - 1;
        self.waits.set(waits);
        if waits == 0 {
            self.signal.hold(false);
        }
    }

    fn hand_over(&self) {
        let arrived = std::mem::take(&mut *self.arrivals.queue.lock());
        let mut arrived = arrived.into_iter().map(|arrival| self.entry(arrival));
        loop {
            let count = self.ledger.borrow_mut().enter(&mut arrived);
            if count == 0 {
                return;
            }
            // SAFETY: this is the thread of the environment, which is alive while its loop runs.
            unsafe {
                let mut scope = ptr::null_mut();
                sys::napi_open_handle_scope(self.env, &raw mut scope);
                self.call(count);
                sys::napi_close_handle_scope(self.env, scope);
            }
        }
    }

    fn entry(&self, arrival: Arrival) -> (f64, Entry) {
        match arrival {
            Arrival::Ended(number, outcome) => {
                self.waited();
                (number, Entry::Ended(outcome))
            }
            Arrival::Stirred(stir) => {
                if stir.awaited.swap(false, SeqCst) {
                    self.waited();
                }
                (stir.number, Entry::Stirred)
            }
        }
    }

    /// Calls `settle`, and has what waits for it run.
    ///
    /// # Safety
    ///
    /// As for any call into JavaScript, within a handle scope.
    unsafe fn call(&self, count: u32) {
        let env = self.env;
        // SAFETY: as the caller says. Where JavaScript cannot be called any more, as in a worker
        // that is being terminated, these fail and nobody waits.
        unsafe {
            let Ok(count) = u32::to_napi_value(env, count) else { return };
            let (mut global, mut settle) = (ptr::null_mut(), ptr::null_mut());
            sys::napi_get_global(env, &raw mut global);
            sys::napi_get_reference_value(env, self.settle, &raw mut settle);
            let none = ptr::null_mut();
            sys::napi_make_callback(env, none, global, settle, 1, &raw const count, none.cast());
            // One that is left behind, by a worker that was terminated amid the call, would meet a
            // hook of napi's that has no handle scope to take it in.
            let (mut pending, mut exception) = (false, ptr::null_mut());
            sys::napi_is_exception_pending(env, &raw mut pending);
            if pending {
                sys::napi_get_and_clear_last_exception(env, &raw mut exception);
            }
        }
    }
}

extern "C" fn rung(_: RawHandle) {
    let _ = here(Loop::turn);
}

extern "C" fn ready(_: RawHandle, _: c_int, _: c_int) {
    let _ = here(Loop::turn);
}

extern "C" fn ticked(_: RawHandle) {
    let _ = here(Loop::tick);
}

/// The environment goes: what is under way ends, and its loop is let go once handles are closed.
unsafe extern "C" fn leave(hook: sys::napi_async_cleanup_hook_handle, _: *mut c_void) {
    let Some(it) = HERE.take() else { return };
    it.arrivals.bell.lock().take();
    drop(it.driver.take());
    it.arrivals.queue.lock().clear();
    let handles = [Some(it.signal), it.readable, Some(it.timer)];
    LEAVING.set(Some((hook, handles.iter().flatten().count())));
    handles.into_iter().flatten().for_each(|handle| handle.close(closed));
}

extern "C" fn closed(handle: RawHandle) {
    // SAFETY: it is closed.
    unsafe { Uv::free(handle) };
    let Some((hook, open)) = LEAVING.get() else { return };
    LEAVING.set((open > 1).then_some((hook, open - 1)));
    if open == 1 {
        // SAFETY: it was given to `leave`, and is removed once.
        unsafe { sys::napi_remove_async_cleanup_hook(hook) };
    }
}
