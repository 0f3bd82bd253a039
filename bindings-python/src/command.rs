//! The command `webhook-mtls`, which the package installs.

use std::ffi::OsString;

use pyo3::prelude::*;

/// Runs the command `webhook-mtls`, for `webhook_mtls._cli`. From then on, errors of this process name the
/// options of the command.
///
/// Args:
///     arguments: the name of the program, then its arguments.
///
/// Returns:
///     The exit code.
#[pyfunction(name = "_command")]
pub fn command(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| webhook_mtls_command::main(arguments))
}
