//! The sinks of a log: functions of the application that get every record.

use std::fmt;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::sync::Arc;

use super::LogRecord;

/// A function that gets the records of a log.
pub(crate) type LogSink = dyn Fn(&LogRecord) + Send + Sync;

/// The sinks of a dispatcher or a verifier.
#[derive(Clone, Default)]
pub(crate) struct LogSinks {
    list: Option<Arc<Vec<Arc<LogSink>>>>,
}

// Each call of a sink is caught. Otherwise no verifier could cross `catch_unwind`.
impl UnwindSafe for LogSinks {}
impl RefUnwindSafe for LogSinks {}

impl LogSinks {
    pub(crate) fn add(&mut self, sink: Arc<LogSink>) {
        Arc::make_mut(self.list.get_or_insert_default()).push(sink);
    }

    /// Writes a record, which is made only if there is a sink.
    pub(crate) fn write(&self, record: impl FnOnce() -> LogRecord) {
        let list = self.list.as_ref().map_or(&[][..], |list| &list[..]);
        if !list.is_empty() || is_traced() {
            Self::write_to(list, &record());
        }
    }

    #[cold]
    fn write_to(list: &[Arc<LogSink>], record: &LogRecord) {
        #[cfg(feature = "tracing")]
        if is_traced() {
            record.trace();
        }
        for sink in list {
            // A sink must not change how a delivery ends.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| sink(record))) {
                std::mem::forget(panic);
            }
        }
    }
}

/// Whether a subscriber of `tracing` may want a record.
fn is_traced() -> bool {
    #[cfg(feature = "tracing")]
    return tracing::enabled!(target: "webhook_mtls", tracing::Level::ERROR);
    #[cfg(not(feature = "tracing"))]
    false
}

impl fmt::Debug for LogSinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogSinks").finish_non_exhaustive()
    }
}

/// The span of a delivery or a probe for `tracing`. It is entered while the operation is polled, so that
/// the events of the library and of an observer belong to it.
#[derive(Clone)]
pub(crate) struct OperationSpan(#[cfg(feature = "tracing")] tracing::Span);

impl OperationSpan {
    /// * `event`: `delivery` or `probe`.
    #[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "as the feature says"))]
    pub(crate) fn new(event: &str, consumer: &str, id: Option<&str>) -> Self {
        #[cfg(feature = "tracing")]
        return Self(tracing::span!(
            target: "webhook_mtls",
            tracing::Level::INFO,
            "webhook_mtls",
            event,
            consumer,
            id = id.filter(|id| crate::error::is_plain(id)),
        ));
        #[cfg(not(feature = "tracing"))]
        Self()
    }

    /// Runs `work` inside the span.
    #[cfg_attr(
        not(feature = "tracing"),
        expect(clippy::unused_self, reason = "as the feature says")
    )]
    pub(crate) fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        #[cfg(feature = "tracing")]
        return self.0.in_scope(work);
        #[cfg(not(feature = "tracing"))]
        work()
    }
}
