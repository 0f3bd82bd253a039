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
        if let Some(pause) = pause_before(self.count) {
            tokio::select! {
                biased;
                () = endpoint.removal() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        Ok(())
    }
}

/// Returns the pause before a restart, counted from 1.
fn pause_before(restart: u32) -> Option<Duration> {
    restart.checked_sub(2).map(|doublings| PAUSE * 2_u32.pow(doublings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_from_the_second_restart() {
        let pauses = (1..=MAX_RESTARTS).map(|restart| pause_before(restart).unwrap_or_default());
        let millis: Vec<u128> = pauses.map(|pause| pause.as_millis()).collect();
        assert_eq!(millis, [0, 10, 20, 40, 80, 160, 320, 640]);
    }
}
