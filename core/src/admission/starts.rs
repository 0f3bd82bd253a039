//! Orders the start of a request against changes of its endpoint.
//!
//! A request checks right before its first byte whether it may start, and the endpoint may change at
//! that very moment. The request counts itself here, checks, and writes. A change is made first, and
//! then waits until the count is zero. By then every request that saw the former state has started,
//! and no other request starts from that state.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::process;

/// The requests of one endpoint that are being started. A start takes as long as one write to a
/// socket that does not block.
#[derive(Default)]
pub(crate) struct Starts {
    /// The count in the lower half, the process id in the upper. A forked child never sees its parent's
    /// starts end, so it ignores a count with another id.
    count: AtomicU64,
}

/// One request that is being started, until this is dropped.
pub(crate) struct Starting<'a> {
    count: &'a AtomicU64,
    process: u32,
}

/// How often a waiter spins before it yields its processor.
const SPINS: u32 = 64;

impl Starts {
    /// Counts a request. The caller reads the settings after this call, not before.
    pub(crate) fn begin(&self) -> Starting<'_> {
        let process = process::id();
        let more = |count| Some(tagged(process, starting(count, process) + 1));
        let _ = self.count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more);
        fence(Ordering::SeqCst);
        Starting { count: &self.count, process }
    }

    /// Returns once every start that may have seen the former settings is over. The caller changes
    /// the settings before this call.
    pub(crate) fn settle(&self) {
        fence(Ordering::SeqCst);
        let process = process::id();
        let mut spins = 0;
        while starting(self.count.load(Ordering::SeqCst), process) > 0 {
            spins += 1;
            if spins < SPINS {
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
    }
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        // If the count now belongs to a forked child, this start is not part of it.
        let less = |count| {
            let before = starting(count, self.process);
            (before > 0).then(|| tagged(self.process, before - 1))
        };
        let _ = self.count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
    }
}

fn tagged(process: u32, starting: u64) -> u64 {
    u64::from(process) << 32 | starting
}

fn starting(count: u64, process: u32) -> u64 {
    if count >> 32 == u64::from(process) { count & u64::from(u32::MAX) } else { 0 }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU32};
    use std::thread;

    use super::*;

    #[test]
    fn no_request_starts_under_settings_that_were_changed_before() {
        let (starts, open) = (Starts::default(), AtomicBool::new(true));
        let (begun, stop) = (AtomicU32::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let _starting = starts.begin();
                        if open.load(Ordering::Relaxed) {
                            begun.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
            for _ in 0..2000 {
                open.store(false, Ordering::Relaxed);
                starts.settle();
                let before = begun.load(Ordering::SeqCst);
                thread::yield_now();
                assert_eq!(begun.load(Ordering::SeqCst), before);
                open.store(true, Ordering::Relaxed);
            }
            stop.store(true, Ordering::Relaxed);
        });
    }

    #[test]
    fn a_child_does_not_wait_for_starts_of_its_parent() {
        let starts = Starts::default();
        starts.count.store(tagged(process::id() + 1, 3), Ordering::SeqCst);
        starts.settle();
        drop(starts.begin());
        starts.settle();
    }
}
