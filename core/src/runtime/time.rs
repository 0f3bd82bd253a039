//! Deadlines by the clock.
//!
//! A task has a budget of tokio's, and reading a socket uses it up. Without budget every timer of
//! the task is pending, due or not: a peer that sends without end could hold off a deadline. Here
//! the clock decides, and the timer only wakes the task.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::time::{Sleep, sleep_until};

/// Awaits `work` until an instant. Returns `None` if it was not done by then.
///
/// `work` is a reference as a rule: each function that a future is passed through keeps room for it.
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

/// Ready when it is the time that `due` says. The timer may go off too early: it is set anew to what
/// is due by then, so that the work need not say when it comes to its next part.
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
    fn work_that_uses_up_its_budget_cannot_hold_off_the_clock() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        // Never done, never waits, and leaves nothing of the budget.
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
    fn what_is_done_in_time_is_returned() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let by = Instant::now() + Duration::from_secs(20);
        assert_eq!(runtime.block_on(before(by, pin!(async { 7 }))), Some(7));
    }
}
