//! The sink of a log, and the log records of receipts and errors.

use std::ffi::{CString, c_char, c_void};

use webhook_mtls::dispatcher::LogRecord;

/// A function of the program that writes a log record. docs/log.md lists the fields.
///
/// It is called when a delivery or a probe of a dispatcher ends, when a verification fails, and for each
/// event: on the thread that drives the delivery, verifies or raises the event, so on several threads at
/// once. The library holds no lock meanwhile. The function must not block, must not call a function that
/// waits, and must not throw a C++ exception.
///
/// `context`: the pointer that was set with the function.
/// `level`: WMTLS_LOG_LEVEL_INFO, WMTLS_LOG_LEVEL_WARNING or WMTLS_LOG_LEVEL_ERROR.
/// `message`: what happened, in one sentence. The text lives until the function returns.
/// `fields`: the fields as a JSON object. The text lives until the function returns.
pub type wmtls_log_function = Option<
    unsafe extern "C" fn(
        context: *mut c_void,
        level: i32,
        message: *const c_char,
        fields: *const c_char,
    ),
>;

/// A function with its context.
struct LogSink {
    function: unsafe extern "C" fn(*mut c_void, i32, *const c_char, *const c_char),
    context: *mut c_void,
}

// SAFETY: the header says that the function is called on several threads at once, and that the caller
// keeps the context for as long.
unsafe impl Send for LogSink {}
// SAFETY: as above.
unsafe impl Sync for LogSink {}

impl LogSink {
    fn write(&self, record: &LogRecord) {
        let text = |text: &str| CString::new(text.replace('\0', "")).unwrap_or_default();
        let message = text(record.message());
        let fields = text(&serde_json::Value::Object(record.fields()).to_string());
        let level = record.level() as i32;
        // SAFETY: the function follows the header's rules, and both texts end with NUL.
        unsafe { (self.function)(self.context, level, message.as_ptr(), fields.as_ptr()) };
    }
}

/// Makes a sink of the function, or `None` for NULL.
pub(crate) fn sink(
    function: wmtls_log_function,
    context: *mut c_void,
) -> Option<impl Fn(&LogRecord) + Send + Sync + 'static> {
    let sink = LogSink { function: function?, context };
    Some(move |record: &LogRecord| sink.write(record))
}
