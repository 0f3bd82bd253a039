//! Ends a delivery from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Cancels the deliveries that were given a clone of it. Once canceled, always canceled.
#[derive(Clone, Debug, Default)]
pub struct CancelToken {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    canceled: AtomicBool,
    notify: Notify,
}

impl CancelToken {
    /// A token that nobody has canceled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels.
    pub fn cancel(&self) {
        self.inner.canceled.store(true, Ordering::Release);
        self.inner.notify.notify_waiters();
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

    pub(crate) async fn canceled(&self) {
        let mut notified = std::pin::pin!(self.inner.notify.notified());
        notified.as_mut().enable();
        if !self.is_canceled() {
            notified.await;
        }
    }
}
