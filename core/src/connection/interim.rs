//! Counts the interim answers (1xx) of one request: a consumer may send some, not for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::{Request, StatusCode};
use tokio::sync::Notify;

use super::body::Hold;

/// How many may come before the final answer.
pub(super) const MOST_INTERIM: u32 = 16;

/// The interim answers that have come so far.
#[derive(Default)]
pub(super) struct Interim {
    count: AtomicU32,
    exceeded: Notify,
}

impl Interim {
    /// Counts those of this request from now on; 100 (Continue) releases what is held.
    pub(super) fn watch<B>(request: &mut Request<B>, hold: Option<Arc<Hold>>) -> Arc<Self> {
        let interim = Arc::new(Self::default());
        let counted = interim.clone();
        hyper::ext::on_informational(request, move |answer| {
            if answer.status() == StatusCode::CONTINUE
                && let Some(hold) = &hold
            {
                hold.release();
            }
            if counted.count.fetch_add(1, Ordering::Relaxed) >= MOST_INTERIM {
                counted.exceeded.notify_one();
            }
        });
        interim
    }

    pub(super) fn is_exceeded(&self) -> bool {
        self.count.load(Ordering::Relaxed) > MOST_INTERIM
    }

    /// Returns once there were too many.
    pub(super) async fn exceeded(&self) {
        self.exceeded.notified().await;
    }
}
