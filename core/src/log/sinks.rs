//! The sinks of a log: functions of the application that get every record.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::LogRecord;

/// A function that gets the records of a log.
pub(crate) type LogSink = dyn Fn(&LogRecord) + Send + Sync;

/// The sinks of a dispatcher or a verifier.
#[derive(Clone, Default)]
pub(crate) struct LogSinks {
    list: Option<Arc<Vec<Arc<LogSink>>>>,
}

impl LogSinks {
    pub(crate) fn add(&mut self, sink: Arc<LogSink>) {
        Arc::make_mut(self.list.get_or_insert_default()).push(sink);
    }

    /// Writes a record, which is made only if there is a sink.
    pub(crate) fn write(&self, record: impl FnOnce() -> LogRecord) {
        if let Some(list) = &self.list {
            Self::write_to(list, &record());
        }
    }

    #[cold]
    fn write_to(list: &[Arc<LogSink>], record: &LogRecord) {
        for sink in list {
            // A sink must not change how a delivery ends.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| sink(record))) {
                std::mem::forget(panic);
            }
        }
    }
}

impl fmt::Debug for LogSinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogSinks").finish_non_exhaustive()
    }
}
