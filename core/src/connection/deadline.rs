//! The deadlines of an attempt.

use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

use super::Progress;
use crate::error::Error;
use crate::runtime;

/// How long each part of an attempt may take. The total limits the sum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    pub(crate) connect: Duration,
    pub(crate) handshake: Duration,
    pub(crate) write: Duration,
    pub(crate) response: Duration,
    pub(crate) total: Duration,
}

impl Deadlines {
    /// Awaits one part of an attempt. Fails with `deadline_exceeded` at `by`.
    pub(super) async fn within<T>(
        &self,
        part: &'static str,
        by: Instant,
        progress: &Progress,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        match runtime::before(by.min(progress.by()), pin!(work)).await {
            Some(outcome) => outcome,
            None => Err(progress.deadline_exceeded(part, by, self)),
        }
    }

    pub(super) fn of(&self, part: &str) -> Duration {
        match part {
            "connect" => self.connect,
            "handshake" => self.handshake,
            "write" => self.write,
            "response" => self.response,
            _ => self.total,
        }
    }
}
