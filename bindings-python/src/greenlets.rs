//! Greenlets: under gevent, a blocking call waits in the hub, and other greenlets run meanwhile.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::{Py, intern};
use webhook_mtls::bindings::process::Once;

use crate::completions::Completions;

/// Returns `webhook_mtls._gevent` if the caller is a greenlet that gevent can suspend.
///
/// Fails in a green thread of eventlet.
pub fn gevent(py: Python<'_>) -> PyResult<Option<Bound<'_, PyModule>>> {
    static MODULES: Once<Py<PyDict>> = Once::new();
    // The modules that are imported: neither library is imported by us.
    let modules = MODULES
        .get_or_try_init(|| {
            let modules = py.import("sys")?.getattr("modules")?;
            PyResult::Ok(modules.cast_into::<PyDict>()?.unbind())
        })?
        .bind(py);
    if modules.contains(intern!(py, "gevent.hub"))? {
        let module = py.import(intern!(py, "webhook_mtls._gevent"))?;
        let active = module.call_method0(intern!(py, "is_active"))?.is_truthy()?;
        return Ok(active.then_some(module));
    }
    if modules.contains(intern!(py, "eventlet.hubs"))? {
        py.import(intern!(py, "webhook_mtls._eventlet"))?.call_method0(intern!(py, "check"))?;
    }
    Ok(None)
}

/// The wait of a greenlet, which the hub ends.
pub struct Wait<'py>(Bound<'py, PyAny>);

impl<'py> Wait<'py> {
    /// Makes a wait.
    ///
    /// * `gevent`: the module of [`gevent`].
    pub fn new(gevent: &Bound<'py, PyModule>) -> PyResult<Self> {
        Ok(Self(gevent.getattr("Wait")?.call0()?))
    }

    /// Makes what wakes a greenlet whenever a run has outcomes.
    pub fn for_run(gevent: &Bound<'py, PyModule>) -> PyResult<Self> {
        Ok(Self(gevent.getattr("Wakeup")?.call0()?))
    }

    /// Returns the Python object.
    pub fn unbind(self) -> Py<PyAny> {
        self.0.unbind()
    }

    /// Returns where an outcome ends the wait, and its ticket.
    pub fn ends_with(&self) -> PyResult<(Completions, u64)> {
        let completions = self.0.getattr("completions")?;
        Ok((completions.cast::<Completions>()?.get().clone(), self.0.getattr("ticket")?.extract()?))
    }

    /// Suspends the greenlet until the wait ends.
    pub fn wait(&self) -> PyResult<Bound<'py, PyAny>> {
        self.0.call_method0("wait")
    }

    /// Ends a wait that is not needed.
    pub fn close(&self) -> PyResult<()> {
        self.0.call_method0("close").map(drop)
    }
}
