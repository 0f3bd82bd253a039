//! Reports of a diagnosis.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::Duration;

use webhook_mtls::Error;
use webhook_mtls::diagnosis::{DiagnosisOptions, Report};

use crate::dispatcher::{wait, wmtls_dispatcher};
use crate::endpoint::wmtls_endpoint;
use crate::error::{wmtls_error, wmtls_status};
use crate::handle::{Handle, required};
use crate::text::StringPool;
use crate::{enums, panic};

/// The report of a diagnosis: every check, every fault, and one verdict.
pub struct wmtls_report {
    report: Report,
    strings: StringPool,
}

impl Handle for wmtls_report {}

impl wmtls_report {
    pub(crate) fn new(report: Report) -> Self {
        Self { report, strings: StringPool::new() }
    }
}

/// Diagnoses an endpoint: checks our identity and trust, the way to the consumer, its side of the
/// handshake, and its verdict on our certificate. It goes on after a fault where it can. It sends no
/// payload, and presents our certificate only to a consumer that a delivery would accept.
///
/// `timeout_ms`: the time limit of the whole in milliseconds, at most 86400000 (one day); 0 uses the
/// dispatcher's. At the limit, the report has the checks that have ended.
/// `request`: WMTLS_DIAGNOSIS_REQUEST_HEAD or WMTLS_DIAGNOSIS_REQUEST_OPTIONS makes a request
/// without a payload after the handshake, for servers like nginx, which judge our certificate only
/// then; 0 makes none.
/// `out`: receives the report; free it with wmtls_report_free.
///
/// A fault of the endpoint is in the report, and the function returns WMTLS_OK. Fails with
/// WMTLS_OPTION_INVALID, WMTLS_HANDLE_CLOSED, WMTLS_OVERLOADED, WMTLS_FORKED_PROCESS or
/// WMTLS_INTERNAL if no diagnosis can be made.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_dispatcher_diagnose(
    dispatcher: Option<&wmtls_dispatcher>,
    endpoint: Option<&wmtls_endpoint>,
    timeout_ms: u64,
    request: i32,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_report>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        let dispatcher = required(dispatcher, "dispatcher")?;
        let endpoint = &required(endpoint, "endpoint")?.endpoint;
        let options = options(timeout_ms, request)?;
        wait(dispatcher.dispatcher.diagnose(endpoint, options))?.map(wmtls_report::new)
    })
}

/// * `timeout_ms`: 0 for the dispatcher's.
/// * `request`: 0 for none.
pub(crate) fn options(timeout_ms: u64, request: i32) -> Result<DiagnosisOptions, Error> {
    let mut options = DiagnosisOptions::new();
    if timeout_ms != 0 {
        options = options.timeout(Duration::from_millis(timeout_ms))?;
    }
    if request == enums::NONE {
        return Ok(options);
    }
    let known = enums::diagnosis_request(request).ok_or_else(|| {
        Error::wrong_type(
            "request",
            "0, WMTLS_DIAGNOSIS_REQUEST_HEAD or WMTLS_DIAGNOSIS_REQUEST_OPTIONS",
            "another number",
        )
    })?;
    Ok(options.request(known))
}

/// Returns whether no check failed; false for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_report_ok(report: Option<&wmtls_report>) -> bool {
    panic::value(false, || report.is_some_and(|handle| handle.report.ok()))
}

/// Returns the kind of the first fault, with which a delivery fails; 0 if there is none, and for
/// NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_report_kind(report: Option<&wmtls_report>) -> i32 {
    panic::value(enums::NONE, || {
        let kind = report.and_then(|handle| handle.report.verdict().kind());
        kind.map_or(enums::NONE, |kind| i32::from(kind.number()))
    })
}

/// Returns who must act, a WMTLS_ADDRESSEE_...; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_report_tell(report: Option<&wmtls_report>) -> i32 {
    panic::value(enums::NONE, || {
        report.map_or(enums::NONE, |handle| handle.report.verdict().tell() as i32)
    })
}

/// Returns the report as text for a person: one line for each check, 80 columns, no color. It belongs
/// to the report, as do all texts of a report.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_report_text(report: Option<&wmtls_report>) -> *const c_char {
    string(report, |report| Some(report.to_string()))
}

/// Returns the text for the operator of the consumer, which has no address, path, host or rule of
/// ours; NULL if the consumer need not act.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_report_message_to_consumer(report: Option<&wmtls_report>) -> *const c_char {
    string(report, |report| report.message_to_consumer().map(str::to_owned))
}

/// Returns the whole report as JSON, in the same form in every language.
/// docs/diagnosis.schema.json describes it.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_report_json(report: Option<&wmtls_report>) -> *const c_char {
    string(report, |report| Some(report.to_json().to_string()))
}

/// Frees a report.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_report_free(report: Option<Box<wmtls_report>>) {
    panic::value((), || drop(report));
}

fn string(
    report: Option<&wmtls_report>,
    get: impl FnOnce(&Report) -> Option<String>,
) -> *const c_char {
    panic::value(ptr::null(), || {
        let Some(handle) = report else { return ptr::null() };
        get(&handle.report).map_or(ptr::null(), |text| handle.strings.add(&text))
    })
}
