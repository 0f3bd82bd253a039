//! The little of libuv that is used here. Node exports it, and keeps its binary interface stable.
//!
//! A handle belongs to the loop of one thread. Whoever makes one closes it, and its memory is kept
//! until libuv has said that it is closed.

use std::ffi::{c_int, c_void};
use std::time::Duration;

pub(crate) type RawLoop = *mut c_void;
pub(crate) type RawHandle = *mut c_void;

/// The numbers of `uv_handle_type`, which libuv keeps.
const ASYNC: c_int = 1;
const POLL: c_int = 8;
const TIMER: c_int = 13;

const READABLE: c_int = 1;

unsafe extern "C" {
    fn uv_handle_size(kind: c_int) -> usize;
    fn uv_handle_get_type(handle: RawHandle) -> c_int;
    fn uv_ref(handle: RawHandle);
    fn uv_unref(handle: RawHandle);
    fn uv_close(handle: RawHandle, closed: extern "C" fn(RawHandle));
    fn uv_async_init(on: RawLoop, handle: RawHandle, called: extern "C" fn(RawHandle)) -> c_int;
    fn uv_async_send(handle: RawHandle) -> c_int;
    fn uv_poll_init(on: RawLoop, handle: RawHandle, descriptor: c_int) -> c_int;
    fn uv_poll_start(
        handle: RawHandle,
        events: c_int,
        called: extern "C" fn(RawHandle, c_int, c_int),
    ) -> c_int;
    fn uv_timer_init(on: RawLoop, handle: RawHandle) -> c_int;
    fn uv_timer_start(
        handle: RawHandle,
        called: extern "C" fn(RawHandle),
        after: u64,
        every: u64,
    ) -> c_int;
    fn uv_timer_stop(handle: RawHandle) -> c_int;
}

/// A handle in memory that lives until libuv has closed it. It does not keep the loop alive unless
/// it is told to.
#[derive(Clone, Copy)]
pub(crate) struct Uv(RawHandle);

impl Uv {
    fn new(kind: c_int, init: impl FnOnce(RawHandle) -> c_int) -> Option<Self> {
        // SAFETY: takes a number; the memory is as large as libuv wants it, aligned for any type of
        // C. It is freed by `closed`, or below where libuv has not taken it.
        unsafe {
            let words = uv_handle_size(kind).div_ceil(size_of::<u128>());
            let memory = Box::into_raw(vec![0_u128; words].into_boxed_slice());
            let handle: RawHandle = memory.cast();
            if init(handle) != 0 {
                drop(Box::from_raw(memory));
                return None;
            }
            uv_unref(handle);
            Some(Self(handle))
        }
    }

    /// Has `called` called on the loop's thread after [`Uv::send`].
    ///
    /// # Safety
    ///
    /// This is the thread of `on`, here and for all that follows but [`Uv::send`].
    pub(crate) unsafe fn signal(on: RawLoop, called: extern "C" fn(RawHandle)) -> Option<Self> {
        // SAFETY: the loop is alive, as the caller says.
        Self::new(ASYNC, |handle| unsafe { uv_async_init(on, handle, called) })
    }

    /// Has `called` called while a descriptor can be read.
    ///
    /// # Safety
    ///
    /// As for [`Uv::signal`]; the descriptor stays open as long as the handle.
    pub(crate) unsafe fn readable(
        on: RawLoop,
        descriptor: c_int,
        called: extern "C" fn(RawHandle, c_int, c_int),
    ) -> Option<Self> {
        // SAFETY: the loop is alive, as the caller says.
        let made = Self::new(POLL, |handle| unsafe { uv_poll_init(on, handle, descriptor) })?;
        // SAFETY: it was made just now. It fails only for a handle that is being closed.
        unsafe { uv_poll_start(made.0, READABLE, called) };
        Some(made)
    }

    /// A timer, which stands still.
    ///
    /// # Safety
    ///
    /// As for [`Uv::signal`].
    pub(crate) unsafe fn timer(on: RawLoop) -> Option<Self> {
        // SAFETY: the loop is alive, as the caller says.
        Self::new(TIMER, |handle| unsafe { uv_timer_init(on, handle) })
    }

    /// Starts a timer, again and again after `every`.
    pub(crate) fn start(self, every: Duration, called: extern "C" fn(RawHandle)) {
        let every = u64::try_from(every.as_millis()).unwrap_or(u64::MAX);
        // SAFETY: it is alive until it is closed, which is the last thing done with it.
        unsafe { uv_timer_start(self.0, called, every, every) };
    }

    pub(crate) fn stop(self) {
        // SAFETY: as above.
        unsafe { uv_timer_stop(self.0) };
    }

    /// Calls a signal, from any thread; several calls may become one.
    pub(crate) fn send(self) {
        // SAFETY: as above.
        unsafe { uv_async_send(self.0) };
    }

    /// Whether it keeps the loop alive.
    pub(crate) fn hold(self, whether: bool) {
        // SAFETY: as above.
        unsafe { if whether { uv_ref(self.0) } else { uv_unref(self.0) } }
    }

    /// Ends it: `closed` is called on the loop's thread, and has to call [`Uv::free`].
    pub(crate) fn close(self, closed: extern "C" fn(RawHandle)) {
        // SAFETY: as above.
        unsafe { uv_close(self.0, closed) };
    }

    /// Frees the memory of a closed handle.
    ///
    /// # Safety
    ///
    /// `handle` is what the callback of [`Uv::close`] was given.
    pub(crate) unsafe fn free(handle: RawHandle) {
        // SAFETY: as the caller says. libuv knows the type.
        unsafe {
            let words = uv_handle_size(uv_handle_get_type(handle)).div_ceil(size_of::<u128>());
            let memory = std::ptr::slice_from_raw_parts_mut(handle.cast::<u128>(), words);
            drop(Box::from_raw(memory));
        }
    }
}
