//! Deadlines by the clock.
//!
//! tokio gives each task a cooperative budget, and reading a socket uses it up. Once it is used up,
//! every timer of the task stays pending, even a due one, so a peer that sends without end could delay
//! a deadline. Here the clock decides, and the timer only wakes the task.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::time::{Sleep, sleep_until};

/// Awaits `work` until the instant `by`. Returns `None` if it did not complete in time.
///
/// Pass `work` by reference if it is large: each async function that takes a future by value reserves
/// space for it.
pub(crate) async fn before<F: Future + Unpin>(by: Instant, mut work: F) -> Option<F::Output> {
    let mut timer = pin!(sleep_until(by.into()));
    poll_fn(|context| {
        if let Poll::Ready(output) = Pin::new(&mut work).poll(context) {
            return Poll::Ready(Some(output));
        }
        poll_due(timer.as_mut(), || by, context).map(|()| None)
    })
    .await
}

/// Returns `Ready` at the instant that `due` returns. If the timer fires before that instant, because
/// the work has moved its deadline meanwhile, the timer is reset; so the work need not report each new
/// deadline.
pub(crate) fn poll_due(
    mut timer: Pin<&mut Sleep>,
    due: impl Fn() -> Instant,
    context: &mut Context<'_>,
) -> Poll<()> {
    let by = due();
    while by > Instant::now() {
        if timer.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        timer.as_mut().reset(by.into());
    }
    Poll::Ready(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::task::coop;

    use super::*;

    #[test]
    fn work_that_uses_up_its_budget_cannot_delay_a_deadline() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        // Never completes, never waits, and uses up the whole budget.
        let greedy = poll_fn(|context| {
            while let Poll::Ready(progress) = coop::poll_proceed(context) {
                progress.made_progress();
            }
            Poll::<()>::Pending
        });
        let by = Instant::now() + Duration::from_millis(100);
        assert_eq!(runtime.block_on(before(by, greedy)), None);
        assert!(Instant::now() >= by);
    }

    #[test]
    fn output_in_time_is_returned() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let by = Instant::now() + Duration::from_secs(20);
        assert_eq!(runtime.block_on(before(by, pin!(async { 7 }))), Some(7));
    }
}
