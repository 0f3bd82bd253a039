//! The Python binding of webhook-mtls: the module `webhook_mtls._native`, which `webhook_mtls`
//! re-exports.
//!
//! Each file is one noun. It converts between the types of Python and of the core, and holds no
//! policy, default or message: options go to the core by name, and errors come from it.

// The doc comments become Python docstrings, not rustdoc.
#![allow(clippy::doc_link_with_quotes)]

mod arguments;
mod attach;
mod boundary;
mod completions;
mod deliver;
mod dispatcher;
mod egress;
mod endpoint;
mod error;
mod event;
mod greenlets;
mod identity;
mod json;
mod many;
mod options;
mod peer;
mod pins;
mod policy;
mod probe;
mod receipt;
mod recipe;
mod retry;
mod signing;
mod socket;
mod testing;
mod trust;
mod verifier;

/// The items that `webhook_mtls` re-exports, and those that its Python files use.
#[pyo3::pymodule]
mod _native {
    use webhook_mtls::bindings::language::{Language, set_language};

    #[pymodule_export]
    use crate::{
        boundary::panic,
        completions::{CancelToken, Completions},
        deliver::deliver,
        dispatcher::Dispatcher,
        egress::Egress,
        endpoint::{Endpoint, EndpointStatus},
        error::{make_error, public, tables},
        event::{Event, Expiry},
        identity::Identity,
        many::{Delivery, Outcome, Outcomes, Progress, Run},
        peer::PeerIdentity,
        pins::{Pins, pin_of},
        policy::{Authorization, TenantRule},
        probe::Probe,
        receipt::{Receipt, TlsFacts},
        retry::{Decision, RetryPolicy},
        signing::StandardWebhooks,
        testing::authority::{Authority, Issued},
        testing::consumer::{Consumer, Received},
        testing::{Lab, set_clock, signatures_checked},
        trust::Trust,
        verifier::{Verifier, remember_signatures, verify_peer},
    };
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        // Names in errors are spelled as in Python.
        set_language(Language::Python);
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
