//! Ends a delivery from outside.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::places::Places;

/// Cancels the deliveries that were given a clone of it. Once canceled, always canceled.
#[derive(Clone, Debug, Default)]
pub struct CancelToken {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    canceled: AtomicBool,
    waiting: Mutex<Places<Waker>>,
}

impl CancelToken {
    /// A token that nobody has canceled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels.
    pub fn cancel(&self) {
        // In this order: whoever did not see it yet waits already, and is woken.
        self.inner.canceled.store(true, Ordering::Release);
        let waiting = self.inner.waiting().take_all();
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Whether it was canceled.
    pub fn is_canceled(&self) -> bool {
        self.inner.canceled.load(Ordering::Acquire)
    }

    /// Returns once the token is canceled, if there is one.
    pub(crate) async fn canceled_if_any(token: Option<&Self>) {
        match token {
            Some(token) => token.canceled().await,
            None => std::future::pending().await,
        }
    }

    /// Returns once the token is canceled.
    pub(crate) fn canceled(&self) -> Canceled<'_> {
        Canceled { token: &self.inner, place: None }
    }
}

impl Inner {
    fn waiting(&self) -> MutexGuard<'_, Places<Waker>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ready once the token is canceled.
pub(crate) struct Canceled<'a> {
    token: &'a Inner,
    place: Option<usize>,
}

impl Future for Canceled<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let token = self.token;
        let mut waiting = token.waiting();
        // With the lock held: whoever cancels from now on finds this one.
        if token.canceled.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        let place = *self.place.get_or_insert_with(|| waiting.hold());
        match waiting.at(place) {
            Some(waker) => waker.clone_from(context.waker()),
            vacant => *vacant = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Canceled<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            // Dropped when the lock is not held any more.
            let _waker = self.token.waiting().give_back(place);
        }
    }
}
