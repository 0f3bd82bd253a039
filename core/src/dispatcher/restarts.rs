//! How often a delivery or a probe begins anew because its endpoint was given other settings first.

use std::time::Duration;

use crate::endpoint::Endpoint;
use crate::error::{Error, Kind, Scope};

/// Beyond it, the settings change faster than anything can start under them.
const MOST: u32 = 8;

/// The pause before the second restart; it doubles with each further one. The first has none.
const PAUSE: Duration = Duration::from_millis(10);

/// How often the settings changed before the first byte.
#[derive(Default)]
pub(super) struct Restarts {
    count: u32,
}

impl Restarts {
    /// Counts one more restart and pauses before it, or until the endpoint is removed.
    ///
    /// Fails with `overloaded` if there were too many.
    pub(super) async fn again(&mut self, endpoint: &Endpoint) -> Result<(), Error> {
        self.count += 1;
        if self.count > MOST {
            let why =
                format!("the endpoint's settings changed {} times before it began", self.count);
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
