//! `RetryPolicy` and `Decision`: what a queue should do with a failure.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arguments::{count, refuse_unknown, wrong_type};
use crate::border::guard;
use crate::error::{self, Fault};
use crate::options;

/// How often and how fast to try again. Pure: queues own time, this owns the verdict.
///
/// Args:
///     attempts: how many in all, at least 1.
///     first: the wait after the first, in seconds or as a timedelta; it doubles with each further
///         one.
///     ceiling: the longest wait, unless the consumer asks for a longer one.
///
/// Raises:
///     ConfigError: `option_invalid`.
///
/// >>> from webhook_mtls.testing import error
/// >>> RetryPolicy(first=5).decide(error("http_status"), attempt=2)
/// Decision(action='retry', delay=10.0, counts=True, reason='it may work later')
#[pyclass(frozen, eq, module = "webhook_mtls")]
#[derive(PartialEq)]
pub struct RetryPolicy(webhook_mtls::RetryPolicy);

#[pymethods]
impl RetryPolicy {
    #[new]
    #[pyo3(
        signature = (**keywords),
        text_signature = "(*, attempts=None, first=None, ceiling=None)"
    )]
    fn new(keywords: Option<&Bound<'_, PyDict>>) -> Result<Self, Fault> {
        guard(|| Ok(Self(options::take(webhook_mtls::RetryPolicy::default(), keywords)?)))
    }

    /// Judges a failure.
    ///
    /// Args:
    ///     error: the `WebhookMtlsError` that was raised, or one rebuilt after a journey.
    ///     attempt: which attempt failed, from 1.
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
    ) -> Result<Decision, Fault> {
        guard(|| {
            refuse_unknown(unknown, "error, attempt")?;
            let none = error.py().None().into_bound(error.py());
            let attempt = count("attempt", attempt.unwrap_or(&none))?;
            let fields = error
                .call_method0("to_dict")
                .map_err(|_| wrong_type("error", "a WebhookMtlsError", error))?;
            Ok(Decision(self.0.decide(&error::read("error", &fields)?, attempt)))
        })
    }
}

/// A verdict on one failure.
#[pyclass(frozen, eq, module = "webhook_mtls")]
#[derive(PartialEq)]
pub struct Decision(webhook_mtls::Decision);

#[pymethods]
impl Decision {
    /// `retry` after the delay, `park` until somebody has acted, or `drop`.
    #[getter]
    fn action(&self) -> &'static str {
        self.0.action.name()
    }

    /// How long to wait first, in seconds.
    #[getter]
    fn delay(&self) -> f64 {
        self.0.delay.as_secs_f64()
    }

    /// Whether this attempt counts. One that was never admitted, or waits for a repair, does not.
    #[getter]
    fn counts(&self) -> bool {
        self.0.counts
    }

    /// Why, in a few words.
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
