//! The testing kit for Python: the module `webhook_mtls_testing._kit`, which
//! `webhook_mtls.testing` re-exports.
//!
//! It contains a core of its own, with the feature `testing`, and none of the production module. It
//! makes identities, trusts and dispatchers through the public interface of `webhook_mtls`, so a
//! test runs the code of production.

// The doc comments become Python docstrings, not rustdoc.
#![allow(clippy::doc_link_with_quotes)]

mod authority;
mod consumer;
mod error;
mod lab;

/// The items that `webhook_mtls_testing` re-exports.
#[pyo3::pymodule]
mod _kit {
    use webhook_mtls::bindings::language::{Language, set_language};

    #[pymodule_export]
    use crate::{
        authority::{Authority, Issued},
        consumer::{Consumer, Received},
        error::make_error,
        lab::{Lab, Nginx},
    };
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        // Names in errors are spelled as in Python.
        set_language(Language::Python);
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
