//! Cancels deliveries and probes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::process::{PerProcess, own};

/// Cancels the deliveries that hold a clone of it. Canceling cannot be undone.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use webhook_mtls::{CancelToken, DeliverOptions, Kind, Sent};
/// # use webhook_mtls::testing::Lab;
/// # use webhook_mtls::{EndpointOptions, Pins};
/// # let lab = Lab::start()?;
/// # let acme = lab.consumer("acme")?;
/// # let dispatcher = lab.dispatcher();
/// # let pins = Pins::new([acme.pin()])?;
/// # let endpoint = dispatcher.endpoint("acme", &acme.url(), EndpointOptions::new(Some(pins)))?;
///
/// let token = CancelToken::new();
/// token.cancel();
/// let options = DeliverOptions::new().cancel(token);
/// let outcome = dispatcher.deliver_blocking(&endpoint, "{}", options, None);
/// let error = outcome.expect("nothing interrupts it").unwrap_err();
/// assert_eq!((error.kind(), error.sent()), (Kind::Canceled, Sent::Nothing));
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
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
