//! What the testing kit, a module of its own, needs of this one: its clock, and a count.

use pyo3::prelude::*;
use webhook_mtls::bindings::test_hooks;

use crate::arguments::instant;
use crate::boundary::guard;
use crate::error::BindingError;

/// Sets the clock of the library for the whole process. The clock then runs on.
#[pyfunction(name = "_set_clock")]
pub fn set_clock(at: Option<&Bound<'_, PyAny>>) -> Result<(), BindingError> {
    guard(|| {
        test_hooks::set_clock(at.map(|value| instant("at", value)).transpose()?);
        Ok(())
    })
}

/// Returns how many signatures of certificates and CRLs this process has checked.
#[pyfunction(name = "_signatures_checked")]
pub fn signatures_checked() -> u64 {
    test_hooks::signatures_checked()
}
