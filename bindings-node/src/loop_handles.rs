//! The handles by which the addon takes part in the event loop of one environment.
//!
//! Node lets an addon use libuv. Bun and Deno imitate Node without its loop: Bun aborts the process
//! at most functions of libuv. There a function of Node-API, which all three have, wakes the loop,
//! and the threads of the core drive the deliveries.

use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::ptr;
use std::time::Duration;

use napi::bindgen_prelude::{Env, ToNapiValue, sys};
use napi::check_status;
use webhook_mtls::bindings::runtime::EventLoop;

use crate::uv::{RawHandle, RawLoop, Uv};

/// The interval at which timers are checked while deliveries are in flight.
const TICK: Duration = Duration::from_millis(10);

/// What libuv calls, on the thread of the loop.
pub(crate) struct Callbacks {
    /// After [`LoopSignal::send`].
    pub(crate) signal: extern "C" fn(RawHandle),
    /// While the descriptor of the deliveries is readable.
    pub(crate) readable: extern "C" fn(RawHandle, c_int, c_int),
    /// At each interval between `start_ticking` and `stop_ticking`.
    pub(crate) tick: extern "C" fn(RawHandle),
}

/// What wakes the loop of one environment, and drives deliveries on it.
pub(crate) struct LoopHandles {
    pub(crate) signal: LoopSignal,
    /// `None` if the threads of the core drive the deliveries.
    pub(crate) polling: Option<Polling>,
}

/// The handles of libuv by which a loop drives deliveries.
pub(crate) struct Polling {
    driver: RefCell<Option<EventLoop>>,
    readable: Uv,
    timer: Uv,
    on_tick: extern "C" fn(RawHandle),
    is_ticking: Cell<bool>,
}

impl LoopHandles {
    /// Attaches to the loop of libuv on which the environment runs.
    ///
    /// * `wake`: must cause a call of [`Polling::turn`] soon; called on any thread.
    pub(crate) fn of_libuv(
        env: &Env,
        callbacks: Callbacks,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> napi::Result<Self> {
        let failed =
            |what: &str| napi::Error::from_reason(format!("libuv could not create a {what}"));
        let uv = env.get_uv_event_loop()?.cast::<c_void>();
        // SAFETY: the environment is that of the current call, on its thread.
        let signal = unsafe { LoopSignal::of_libuv(uv, callbacks.signal) }
            .ok_or_else(|| failed("signal"))?;
        let driver = EventLoop::attach(wake).ok().flatten();
        // A driver that libuv does not poll would never run.
        let polling = driver.and_then(|driver| {
            // SAFETY: as above. The descriptor is never closed.
            let readable = unsafe { Uv::readable(uv, driver.descriptor(), callbacks.readable) }?;
            Some((driver, readable))
        });
        let polling = match polling {
            None => None,
            Some((driver, readable)) => {
                // SAFETY: as above.
                let timer = unsafe { Uv::timer(uv) }.ok_or_else(|| failed("timer"))?;
                let (driver, is_ticking) = (RefCell::new(Some(driver)), Cell::new(false));
                Some(Polling { driver, readable, timer, on_tick: callbacks.tick, is_ticking })
            }
        };
        Ok(Self { signal, polling })
    }

    /// Attaches to a loop of another kind. `on_call` runs on its thread after [`LoopSignal::send`].
    pub(crate) fn of_node_api(env: Env, on_call: extern "C" fn()) -> napi::Result<Self> {
        Ok(Self { signal: LoopSignal::of_node_api(env, on_call)?, polling: None })
    }

    /// Ends the deliveries that the loop drives.
    pub(crate) fn end_deliveries(&self) {
        drop(self.polling.as_ref().and_then(|polling| polling.driver.take()));
    }

    /// Returns the handles of libuv, which the caller closes. No thread may send the signal any more.
    pub(crate) fn release(&self) -> [Option<Uv>; 3] {
        let polling = self.polling.as_ref();
        let [readable, timer] = [polling.map(|it| it.readable), polling.map(|it| it.timer)];
        [self.signal.release(), readable, timer]
    }
}

impl Polling {
    pub(crate) fn turn(&self) {
        if let Some(driver) = &*self.driver.borrow() {
            driver.turn();
        }
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.driver.borrow().as_ref().is_some_and(EventLoop::is_busy)
    }

    pub(crate) fn start_ticking(&self) {
        if !self.is_ticking.replace(true) {
            self.timer.start(TICK, self.on_tick);
        }
    }

    pub(crate) fn stop_ticking(&self) {
        self.is_ticking.set(false);
        self.timer.stop();
        if let Some(driver) = &*self.driver.borrow() {
            driver.rest();
        }
    }
}

/// Wakes a loop. It keeps the loop alive only after `keep_alive(true)`.
#[derive(Clone, Copy)]
pub(crate) enum LoopSignal {
    Libuv(Uv),
    /// The environment, and its function.
    NodeApi(sys::napi_env, sys::napi_threadsafe_function),
}

impl LoopSignal {
    /// Creates a signal of libuv: `callback` runs on the loop's thread after [`LoopSignal::send`].
    ///
    /// # Safety
    ///
    /// As for [`Uv::signal`].
    unsafe fn of_libuv(on: RawLoop, callback: extern "C" fn(RawHandle)) -> Option<Self> {
        // SAFETY: guaranteed by the caller.
        unsafe { Uv::signal(on, callback) }.map(Self::Libuv)
    }

    /// Creates a signal of Node-API: `callback` runs on the loop's thread after [`LoopSignal::send`],
    /// within a handle scope.
    fn of_node_api(env: Env, callback: extern "C" fn()) -> napi::Result<Self> {
        let (env, mut function) = (env.raw(), ptr::null_mut());
        let none = ptr::null_mut::<c_void>();
        // SAFETY: the environment is that of the current call, on its thread.
        let name = unsafe { ToNapiValue::to_napi_value(env, "webhook-mtls") }?;
        // SAFETY: as above. The context is a function pointer, which lives as long as the library.
        let status = unsafe {
            sys::napi_create_threadsafe_function(
                env,
                none.cast(),
                none.cast(),
                name,
                0,
                1,
                none,
                None,
                callback as *mut c_void,
                Some(called),
                &raw mut function,
            )
        };
        check_status!(status, "napi_create_threadsafe_function")?;
        let signal = Self::NodeApi(env, function);
        signal.keep_alive(false);
        Ok(signal)
    }

    /// Wakes the loop, from any thread.
    pub(crate) fn send(self) {
        match self {
            Self::Libuv(handle) => handle.send(),
            Self::NodeApi(_, function) => {
                let mode = sys::ThreadsafeFunctionCallMode::nonblocking;
                // SAFETY: the function is alive until it is released. It fails once the environment
                // is torn down, when no promise is left to settle.
                unsafe { sys::napi_call_threadsafe_function(function, ptr::null_mut(), mode) };
            }
        }
    }

    /// Sets whether the signal keeps the loop alive. Call it on the loop's thread.
    pub(crate) fn keep_alive(self, keep: bool) {
        match self {
            Self::Libuv(handle) => handle.keep_alive(keep),
            Self::NodeApi(env, function) => {
                let set = if keep {
                    sys::napi_ref_threadsafe_function
                } else {
                    sys::napi_unref_threadsafe_function
                };
                // SAFETY: as above, on the thread of the environment.
                unsafe { set(env, function) };
            }
        }
    }

    /// Returns the handle to close, if the signal has one, or releases the function. No thread may
    /// send the signal any more.
    fn release(self) -> Option<Uv> {
        match self {
            Self::Libuv(handle) => Some(handle),
            Self::NodeApi(_, function) => {
                let mode = sys::ThreadsafeFunctionReleaseMode::abort;
                // SAFETY: it was created with one owner, and this is its last use.
                unsafe { sys::napi_release_threadsafe_function(function, mode) };
                None
            }
        }
    }
}

unsafe extern "C" fn called(
    env: sys::napi_env,
    _: sys::napi_value,
    context: *mut c_void,
    _: *mut c_void,
) {
    // Without an environment it is being torn down.
    if env.is_null() || context.is_null() {
        return;
    }
    // SAFETY: the context is the callback of `of_node_api`.
    let callback = unsafe { std::mem::transmute::<*mut c_void, extern "C" fn()>(context) };
    callback();
}
