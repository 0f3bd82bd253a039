//! Limits how often a delivery or a probe restarts because the settings of its endpoint changed before
//! its first byte.

use std::time::Duration;

use crate::endpoint::Endpoint;
use crate::error::{Error, Kind, Scope};

/// At more restarts, the settings change faster than a request can start.
const MAX_RESTARTS: u32 = 8;

/// The pause before the second restart. It doubles with each further one; the first restart is
/// immediate.
const PAUSE: Duration = Duration::from_millis(10);

/// The number of restarts of one delivery or probe.
#[derive(Default)]
pub(super) struct Restarts {
    count: u32,
}

impl Restarts {
    /// Counts one more restart and pauses before it. The pause ends early if the endpoint is removed.
    ///
    /// Fails with `overloaded` after too many restarts.
    pub(super) async fn again(&mut self, endpoint: &Endpoint) -> Result<(), Error> {
        self.count += 1;
        if self.count > MAX_RESTARTS {
            let why = format!(
                "the endpoint's settings changed {} times before a request started",
                self.count
            );
            return Err(Error::new(Kind::Overloaded, why)
                .scoped(Scope::Endpoint)
                .advising("Change an endpoint's settings less often than it takes to connect."));
        }
        if let Some(doublings) = self.count.checked_sub(2) {
            let pause = tokio::time::sleep(PAUSE * 2_u32.pow(doublings));
            tokio::select! {
                biased;
                () = endpoint.removal() => {}
                () = pause => {}
            }
        }
        Ok(())
    }
}
