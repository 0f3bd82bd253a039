//! `merge`: the statuses of several processes as one.

use pyo3::prelude::*;

use crate::arguments::texts;
use crate::boundary::guard;
use crate::error::BindingError;
use crate::json;

/// Merges the statuses of several processes, and says which process knows what.
///
/// Where they disagree, the merged status has the identity that is still needed, the earlier date
/// and the worse circuit. `identities` has, for each of our identities, the processes that want it
/// and the consumers that accepted it last: `Dispatcher.retire` refuses to retire one that is
/// needed.
///
/// Args:
///     statuses: the JSON text of `Dispatcher.process_status` of each process.
///
/// Returns:
///     A dict that can be serialized as JSON. `docs/fleet.schema.json` describes it.
///
/// Raises:
///     ConfigError: `option_invalid` if there is no status, if one is not such a document, or if
///         two are of one process.
#[pyfunction]
#[pyo3(signature = (statuses), text_signature = "(statuses)")]
pub fn merge<'py>(
    py: Python<'py>,
    statuses: &Bound<'py, PyAny>,
) -> Result<Bound<'py, PyAny>, BindingError> {
    guard(|| {
        let merged = webhook_mtls::endpoint::merge(texts("statuses", statuses)?)?;
        Ok(json::to_python(py, &merged)?)
    })
}
