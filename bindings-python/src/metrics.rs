//! The metrics of dispatchers and verifiers, as Python shows them.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use webhook_mtls::dispatcher::{Metrics, MetricsFormat};

use crate::arguments::{text, wrong_type};
use crate::boundary::guard;
use crate::dispatcher::Dispatcher;
use crate::error::BindingError;
use crate::verifier::Verifier;

/// Returns the value of the header `content-type` of a response with the text of metrics.
///
/// Args:
///     format: `prometheus` or `openmetrics`.
///
/// Raises:
///     ConfigError: `option_invalid`.
#[pyfunction]
#[pyo3(signature = (format, /), text_signature = "(format, /)")]
pub fn metrics_content_type(format: &Bound<'_, PyAny>) -> Result<&'static str, BindingError> {
    guard(|| Ok(MetricsFormat::of_argument(&text("format", format)?)?.content_type()))
}

/// Returns the text of metrics, together with those of other dispatchers and verifiers.
pub fn metrics_text(
    mut metrics: Metrics,
    format: Option<&Bound<'_, PyAny>>,
    others: Option<&Bound<'_, PyAny>>,
) -> Result<String, BindingError> {
    const EXPECTED: &str = "a sequence of Dispatcher and Verifier";
    let format = match format {
        Some(format) => MetricsFormat::of_argument(&text("format", format)?)?,
        None => MetricsFormat::Prometheus,
    };
    if let Some(others) = others {
        if others.is_instance_of::<PyString>() || others.is_instance_of::<PyBytes>() {
            return Err(wrong_type("others", EXPECTED, others));
        }
        for other in others.try_iter().map_err(|_| wrong_type("others", EXPECTED, others))? {
            let other = other?;
            metrics = metrics.merged(if let Ok(dispatcher) = other.cast::<Dispatcher>() {
                dispatcher.get().0.metrics()
            } else if let Ok(verifier) = other.cast::<Verifier>() {
                verifier.get().0.metrics()
            } else {
                return Err(wrong_type("others", EXPECTED, &other));
            });
        }
    }
    Ok(metrics.text(format))
}
