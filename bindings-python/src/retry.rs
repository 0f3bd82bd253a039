//! `RetryPolicy` and `Decision`: the decision for a queue after a failed delivery.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use webhook_mtls::bindings::Rebuild as _;

use crate::arguments::{count, reject_unknown, wrong_type};
use crate::boundary::guard;
use crate::error::{self, BindingError};
use crate::options;
use crate::recipe;

/// The number of attempts and the delays between them. It keeps no state and does not wait: the
/// queue does both.
///
/// Args:
// generated: begin arguments retry_policy
///     attempts: the most attempts, including the first. With the defaults, they take more than
///         24 hours. By default 60.
///     first: the wait after the first attempt, of which half is random. It doubles after each
///         further attempt. In seconds, or a timedelta; by default 5.
///     ceiling: the longest wait, unless the consumer asks for a longer one. In seconds, or a
///         timedelta; by default 3600.
///     seed: a number that makes the random parts of the waits repeatable, for tests.
// generated: end
///
/// Raises:
///     ConfigError: `option_invalid`.
///
/// >>> from webhook_mtls.testing import error
/// >>> decision = RetryPolicy(first=5).decide(error("http_status"), attempt=2)
/// >>> decision.action, 5.0 <= decision.delay <= 10.0
/// ('retry', True)
#[pyclass(frozen, eq, hash, weakref, module = "webhook_mtls")]
#[derive(PartialEq, Hash)]
pub struct RetryPolicy(webhook_mtls::RetryPolicy);

#[pymethods]
impl RetryPolicy {
    #[new]
    #[pyo3(
        signature = (**keywords),
        // generated: begin text_signature (*, {retry_policy})
        text_signature = "(*, attempts=None, first=None, ceiling=None, seed=None)"
        // generated: end
    )]
    fn new(keywords: Option<&Bound<'_, PyDict>>) -> Result<Self, BindingError> {
        guard(|| Ok(Self(options::apply(webhook_mtls::RetryPolicy::default(), keywords)?)))
    }

    /// Returns what to do after a failure.
    ///
    /// Args:
    ///     error: the `WebhookMtlsError` that was raised, or one that was serialized and rebuilt.
    ///     attempt: the number of the failed attempt, from 1.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid`.
    #[pyo3(
        signature = (error, *, attempt = None, **unknown),
        text_signature = "($self, error, *, attempt)"
    )]
    fn decide(
        &self,
        error: &Bound<'_, PyAny>,
        attempt: Option<&Bound<'_, PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> Result<Decision, BindingError> {
        guard(|| {
            reject_unknown(unknown, "error, attempt")?;
            let none = error.py().None().into_bound(error.py());
            let attempt = count("attempt", attempt.unwrap_or(&none))?;
            let fields = error
                .call_method0("to_dict")
                .map_err(|_| wrong_type("error", "a WebhookMtlsError", error))?;
            Ok(Decision(self.0.decide(&error::read("error", &fields)?, attempt)?))
        })
    }

    fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __deepcopy__(slf: Py<Self>, _memo: &Bound<'_, PyAny>) -> Py<Self> {
        slf
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> recipe::Reduced<'py> {
        recipe::reduce(&slf.get_type(), slf.get().0.recipe(), "")
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        recipe::shown(slf.py(), "RetryPolicy", slf.get().0.recipe())
    }
}

/// What to do after one failure.
#[pyclass(frozen, eq, hash, weakref, module = "webhook_mtls")]
#[derive(PartialEq, Hash)]
pub struct Decision(webhook_mtls::retry::Decision);

#[pymethods]
impl Decision {
    /// `retry` after the delay, `park` until a repair, or `drop`.
    #[getter]
    fn action(&self) -> &'static str {
        self.0.action.name()
    }

    /// The delay before the next attempt, in seconds.
    #[getter]
    fn delay(&self) -> f64 {
        self.0.delay.as_secs_f64()
    }

    /// Whether the attempt counts. One that was not admitted, or waits for a repair, does not.
    #[getter]
    fn counts(&self) -> bool {
        self.0.counts
    }

    /// The reason in a few words.
    #[getter]
    fn reason(&self) -> &'static str {
        self.0.reason
    }

    fn __repr__(&self) -> String {
        let counts = if self.counts() { "True" } else { "False" };
        format!(
            "Decision(action='{}', delay={:?}, counts={counts}, reason='{}')",
            self.action(),
            self.delay(),
            self.reason()
        )
    }
}
