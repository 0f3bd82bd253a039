//! The Python binding of webhook-mtls: the module `webhook_mtls._native`, which `webhook_mtls`
//! re-exports.
//!
//! Each file is one noun. It converts between the types of Python and of the core, and holds no
//! policy, default or message: options go to the core by name, and errors come from it.

// The doc comments become Python docstrings, not rustdoc.
#![allow(clippy::doc_link_with_quotes)]

pub mod arguments;
pub mod attach;
pub mod boundary;
pub mod certificates;
#[cfg(feature = "module")]
pub mod command;
pub mod completions;
pub mod deliver;
pub mod dispatcher;
pub mod egress;
pub mod endpoint;
pub mod error;
pub mod event;
pub mod fleet;
pub mod greenlets;
pub mod hop;
pub mod identity;
pub mod json;
pub mod many;
pub mod metrics;
pub mod options;
pub mod peer;
pub mod pins;
pub mod policy;
pub mod probe;
pub mod receipt;
pub mod recipe;
pub mod report;
pub mod retry;
pub mod signer;
pub mod signing;
pub mod socket;
pub mod telemetry;
pub mod test_hooks;
pub mod trust;
pub mod verifier;
pub mod webhook;

/// The items that `webhook_mtls` re-exports, and those that its Python files use.
#[cfg(feature = "module")]
#[pyo3::pymodule]
mod _native {
    use webhook_mtls::bindings::language::{Language, set_language};

    #[pymodule_export]
    use crate::{
        boundary::panic,
        command::command,
        completions::{CancelToken, Completions},
        deliver::deliver,
        dispatcher::Dispatcher,
        egress::Egress,
        endpoint::{Endpoint, EndpointStatus},
        error::{log_record_of, public, tables},
        event::{Event, Expiry},
        fleet::merge,
        hop::Hop,
        identity::Identity,
        many::{Delivery, Outcome, Outcomes, Progress, Run},
        metrics::metrics_content_type,
        peer::PeerIdentity,
        pins::{Pins, pin_of},
        policy::{Authorization, TenantRule},
        probe::ProbeResult,
        receipt::{Receipt, TlsFacts},
        report::ReportResult,
        retry::{Decision, RetryPolicy},
        signing::{JwtBearer, StandardWebhooks},
        telemetry::merged_metrics,
        test_hooks::{set_clock, signatures_checked},
        trust::Trust,
        verifier::{Verifier, remember_signatures, verify_peer},
        webhook::{JwtKeys, VerifiedWebhook, WebhookVerifier},
    };
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        // Names in errors are spelled as in Python.
        set_language(Language::Python);
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
