//! Metrics of dispatchers and verifiers, and their text for Prometheus.

use std::ffi::c_char;
use std::ptr;

use webhook_mtls::bindings::process::Lock;
use webhook_mtls::dispatcher::{Metrics, MetricsFormat};

use crate::dispatcher::wmtls_dispatcher;
use crate::handle::{Handle, give};
use crate::panic;
use crate::text::{self, StringPool};
use crate::verifier::wmtls_verifier;

/// The metrics of a dispatcher or a verifier in this process, at one instant. docs/metrics.md lists
/// them.
pub struct wmtls_metrics {
    metrics: Lock<Metrics>,
    strings: StringPool,
}

impl Handle for wmtls_metrics {}

impl wmtls_metrics {
    fn new(metrics: Metrics) -> Self {
        Self { metrics: Lock::new(metrics), strings: StringPool::new() }
    }

    fn copy(&self) -> Metrics {
        self.metrics.lock().clone()
    }
}

/// Returns the metrics of a dispatcher, or NULL for NULL. Free them with wmtls_metrics_free. A forked
/// child starts at zero. The function looks at every endpoint: call it for a scrape, not for each
/// delivery.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_dispatcher_metrics(
    dispatcher: Option<&wmtls_dispatcher>,
) -> Option<Box<wmtls_metrics>> {
    panic::value(None, || give(wmtls_metrics::new(dispatcher?.dispatcher.metrics())))
}

/// Returns the metrics of a verifier, or NULL for NULL. Free them with wmtls_metrics_free.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_verifier_metrics(
    verifier: Option<&wmtls_verifier>,
) -> Option<Box<wmtls_metrics>> {
    panic::value(None, || give(wmtls_metrics::new(verifier?.verifier.metrics())))
}

/// Adds the metrics of another dispatcher or verifier of this process, so that one text shows both.
/// Counts and gauges are added. Of a date or a share of a lifetime, the smaller one is taken.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_metrics_add(
    metrics: Option<&wmtls_metrics>,
    other: Option<&wmtls_metrics>,
) {
    panic::value((), || {
        if let (Some(metrics), Some(other)) = (metrics, other) {
            let merged = metrics.copy().merged(other.copy());
            *metrics.metrics.lock() = merged;
        }
    });
}

/// Returns the metrics as JSON, in the same form in every language: for each name its type, unit, help,
/// labels and samples.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_metrics_json(metrics: Option<&wmtls_metrics>) -> *const c_char {
    string(metrics, |metrics| Some(metrics.to_json().to_string()))
}

/// Returns the text of the response to a scrape; NULL if no format has this number.
///
/// `format`: WMTLS_METRICS_FORMAT_PROMETHEUS or WMTLS_METRICS_FORMAT_OPENMETRICS.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_metrics_text(
    metrics: Option<&wmtls_metrics>,
    format: i32,
) -> *const c_char {
    string(metrics, |metrics| Some(metrics.text(format_of(format)?)))
}

/// Returns the value of the header content-type for such a text; NULL if no format has this number.
/// The text lives as long as the process.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_metrics_content_type(format: i32) -> *const c_char {
    panic::value(ptr::null(), || {
        format_of(format).map_or(ptr::null(), |format| text::static_text(format.content_type()))
    })
}

/// Frees metrics.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_metrics_free(metrics: Option<Box<wmtls_metrics>>) {
    panic::value((), || drop(metrics));
}

fn format_of(number: i32) -> Option<MetricsFormat> {
    MetricsFormat::ALL.iter().copied().find(|format| *format as i32 == number)
}

fn string(
    metrics: Option<&wmtls_metrics>,
    text: impl FnOnce(Metrics) -> Option<String>,
) -> *const c_char {
    panic::value(ptr::null(), || {
        let Some(handle) = metrics else { return ptr::null() };
        handle.strings.add_optional(text(handle.copy()).as_deref())
    })
}
