//! The Python face of webhook-mtls: the module `webhook_mtls._native`, which `webhook_mtls`
//! re-exports.
//!
//! One file per noun. Each translates between Python's types and the core's, and holds no policy,
//! default or message: options go to the core by their names, and errors come from it.

// The documentation here is Python's: docstrings, not rustdoc.
#![allow(clippy::doc_link_with_quotes)]

mod arguments;
mod border;
mod completions;
mod dispatcher;
mod egress;
mod endpoint;
mod error;
mod event;
mod identity;
mod json;
mod many;
mod options;
mod peer;
mod pins;
mod policy;
mod probe;
mod receipt;
mod retry;
mod signing;
mod socket;
mod testing;
mod trust;
mod verifier;

/// Everything that `webhook_mtls` re-exports, and what its Python files need.
#[pyo3::pymodule]
mod _native {
    #[pymodule_export]
    use crate::{
        border::panic,
        completions::{CancelToken, Completions},
        dispatcher::{Dispatcher, deliver},
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
        testing::{Authority, Consumer, Issued, Lab, Received, set_clock, signatures_checked},
        trust::Trust,
        verifier::{Verifier, remember_signatures, verify_peer},
    };
}
