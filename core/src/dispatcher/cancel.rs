//! Cancels deliveries and probes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::process::{PerProcess, own};

/// Cancels the deliveries that hold a clone of it. Canceling cannot be undone.
#[derive(Clone, Default)]
pub struct CancelToken {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    canceled: AtomicBool,
    notify: PerProcess<own::Notify>,
}

impl CancelToken {
    /// Makes a token that is not canceled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels all deliveries that hold this token.
    pub fn cancel(&self) {
        self.inner.canceled.store(true, Ordering::Release);
        self.inner.notify.get().value.notify_waiters();
    }

    /// Returns whether the token was canceled.
    pub fn is_canceled(&self) -> bool {
        self.inner.canceled.load(Ordering::Acquire)
    }

    /// Returns once `token` is canceled. Never returns if there is none.
    pub(crate) async fn canceled_if_any(token: Option<&Self>) {
        match token {
            Some(token) => token.canceled().await,
            None => std::future::pending().await,
        }
    }

    pub(crate) async fn canceled(&self) {
        let notify = self.inner.notify.get();
        let mut notified = std::pin::pin!(notify.value.notified());
        notified.as_mut().enable();
        if !self.is_canceled() {
            notified.await;
        }
    }
}

impl std::fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CancelToken").field("canceled", &self.is_canceled()).finish()
    }
}
