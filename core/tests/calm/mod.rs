//! Repeats a test whose deadlines a machine that stood still has used up.
//!
//! A deadline of a test covers more than the step that it is about: a machine that stands still for a
//! second may spend it in an earlier step. Such a run proves nothing, so it is repeated.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A thread that sleeps this much longer than it wanted shows that the machine stood still.
const PAUSE: Duration = Duration::from_millis(50);
const STEP: Duration = Duration::from_millis(5);

/// How patient the last run is.
const MOST: u32 = 8;

/// Runs a test, and repeats it if it failed while the machine stood still. Any other failure counts, and
/// so does that of the last run.
///
/// * `test`: its argument is 1 in the first run, and doubles with each. The deadlines of the test are
///   multiples of it.
pub(crate) fn patiently(test: impl Fn(u32)) {
    let mut patience = 1;
    loop {
        let watch = Watch::start();
        let outcome = catch_unwind(AssertUnwindSafe(|| test(patience)));
        let pause = watch.end();
        match outcome {
            Ok(()) => return,
            Err(failure) if pause < PAUSE || patience == MOST => resume_unwind(failure),
            Err(_) => eprintln!("the machine stood still for {pause:?}, so the test runs again"),
        }
        patience *= 2;
    }
}

/// Measures the longest pause of the machine.
struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Duration>,
}

impl Watch {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let mut longest = Duration::ZERO;
            while !stopped.load(Ordering::Relaxed) {
                let started = Instant::now();
                thread::sleep(STEP);
                longest = longest.max(started.elapsed().saturating_sub(STEP));
            }
            longest
        });
        Self { stop, thread }
    }

    fn end(self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("it only sleeps")
    }
}
