//! The subset of libuv that the addon uses. Node exports it and keeps its binary interface stable.
//!
//! A handle belongs to the loop of one thread. The owner must close it, and its memory stays
//! allocated until libuv reports that it is closed.

use std::ffi::{c_int, c_void};
use std::time::Duration;

pub(crate) type RawLoop = *mut c_void;
pub(crate) type RawHandle = *mut c_void;

/// Values of `uv_handle_type`, which libuv keeps stable.
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
    fn uv_async_init(on: RawLoop, handle: RawHandle, callback: extern "C" fn(RawHandle)) -> c_int;
    fn uv_async_send(handle: RawHandle) -> c_int;
    fn uv_poll_init(on: RawLoop, handle: RawHandle, descriptor: c_int) -> c_int;
    fn uv_poll_start(
        handle: RawHandle,
        events: c_int,
        callback: extern "C" fn(RawHandle, c_int, c_int),
    ) -> c_int;
    fn uv_timer_init(on: RawLoop, handle: RawHandle) -> c_int;
    fn uv_timer_start(
        handle: RawHandle,
        callback: extern "C" fn(RawHandle),
        after: u64,
        every: u64,
    ) -> c_int;
    fn uv_timer_stop(handle: RawHandle) -> c_int;
}

/// A handle of libuv. It keeps the loop alive only after `keep_alive(true)`.
#[derive(Clone, Copy)]
pub(crate) struct Uv(RawHandle);

impl Uv {
    fn new(kind: c_int, init: impl FnOnce(RawHandle) -> c_int) -> Option<Self> {
        // SAFETY: the call takes no pointer.
        let size = unsafe { uv_handle_size(kind) };
        // The memory is aligned for any C type. The close callback frees it.
        let memory =
            Box::into_raw(vec![0_u128; size.div_ceil(size_of::<u128>())].into_boxed_slice());
        let handle: RawHandle = memory.cast();
        if init(handle) != 0 {
            // SAFETY: libuv does not keep a handle whose initialization failed.
            drop(unsafe { Box::from_raw(memory) });
            return None;
        }
        // SAFETY: the handle is initialized.
        unsafe { uv_unref(handle) };
        Some(Self(handle))
    }

    /// Creates a signal: `callback` runs on the loop's thread after [`Uv::send`].
    ///
    /// # Safety
    ///
    /// The current thread runs the loop `on`. All other methods but [`Uv::send`] are called on
    /// the same thread.
    pub(crate) unsafe fn signal(on: RawLoop, callback: extern "C" fn(RawHandle)) -> Option<Self> {
        // SAFETY: the caller guarantees that the loop is alive.
        Self::new(ASYNC, |handle| unsafe { uv_async_init(on, handle, callback) })
    }

    /// Creates a poll handle: `callback` runs while a descriptor is readable.
    ///
    /// # Safety
    ///
    /// As for [`Uv::signal`]. The descriptor stays open until the handle is closed.
    pub(crate) unsafe fn readable(
        on: RawLoop,
        descriptor: c_int,
        callback: extern "C" fn(RawHandle, c_int, c_int),
    ) -> Option<Self> {
        // SAFETY: the caller guarantees that the loop is alive.
        let handle = Self::new(POLL, |handle| unsafe { uv_poll_init(on, handle, descriptor) })?;
        // SAFETY: the handle is new.
        let status = unsafe { uv_poll_start(handle.0, READABLE, callback) };
        // It fails only for a handle that is being closed.
        debug_assert_eq!(status, 0);
        Some(handle)
    }

    /// Creates a stopped timer.
    ///
    /// # Safety
    ///
    /// As for [`Uv::signal`].
    pub(crate) unsafe fn timer(on: RawLoop) -> Option<Self> {
        // SAFETY: the caller guarantees that the loop is alive.
        Self::new(TIMER, |handle| unsafe { uv_timer_init(on, handle) })
    }

    /// Starts a timer that fires every `every`.
    pub(crate) fn start(self, every: Duration, callback: extern "C" fn(RawHandle)) {
        let every = u64::try_from(every.as_millis()).unwrap_or(u64::MAX);
        // SAFETY: the handle is alive until it is closed, and closing is its last use.
        unsafe { uv_timer_start(self.0, callback, every, every) };
    }

    pub(crate) fn stop(self) {
        // SAFETY: as above.
        unsafe { uv_timer_stop(self.0) };
    }

    /// Sends a signal, from any thread. libuv may merge several sends into one callback.
    pub(crate) fn send(self) {
        // SAFETY: as above.
        unsafe { uv_async_send(self.0) };
    }

    /// Sets whether the handle keeps the loop alive.
    pub(crate) fn keep_alive(self, keep: bool) {
        let set = if keep { uv_ref } else { uv_unref };
        // SAFETY: as above.
        unsafe { set(self.0) };
    }

    /// Closes the handle. `closed` runs on the loop's thread and must call [`Uv::free`].
    pub(crate) fn close(self, closed: extern "C" fn(RawHandle)) {
        // SAFETY: as above.
        unsafe { uv_close(self.0, closed) };
    }

    /// Frees the memory of a closed handle.
    ///
    /// # Safety
    ///
    /// `handle` is the argument of the callback of [`Uv::close`].
    pub(crate) unsafe fn free(handle: RawHandle) {
        // SAFETY: the caller guarantees it. libuv stores the type of the handle in its memory.
        let kind = unsafe { uv_handle_get_type(handle) };
        // SAFETY: the call takes no pointer.
        let size = unsafe { uv_handle_size(kind) };
        let words = size.div_ceil(size_of::<u128>());
        let memory = std::ptr::slice_from_raw_parts_mut(handle.cast::<u128>(), words);
        // SAFETY: `new` allocated this number of words.
        drop(unsafe { Box::from_raw(memory) });
    }
}
