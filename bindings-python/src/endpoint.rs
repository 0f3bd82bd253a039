//! `Endpoint`: a consumer that can be delivered to.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use pyo3::prelude::*;

use crate::arguments;

/// A consumer id with its URL, pins and material. Made by `Dispatcher.endpoint`.
///
/// A handle: two are equal if they are the same endpoint of the same dispatcher.
#[pyclass(frozen, eq, module = "webhook_mtls")]
#[derive(PartialEq)]
pub struct Endpoint(pub webhook_mtls::Endpoint);

#[pymethods]
impl Endpoint {
    /// The consumer id.
    #[getter]
    fn consumer(&self) -> &str {
        self.0.consumer()
    }

    /// The URL in its canonical spelling.
    #[getter]
    fn url(&self) -> String {
        self.0.url()
    }

    /// What is known of the consumer from deliveries so far.
    fn status(&self) -> EndpointStatus {
        EndpointStatus(self.0.status())
    }

    fn __hash__(&self) -> u64 {
        // Equal handles have equal consumer ids, and those never change.
        let mut hasher = DefaultHasher::new();
        self.0.consumer().hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// What is known of an endpoint from its deliveries.
#[pyclass(frozen, eq, module = "webhook_mtls")]
#[derive(PartialEq)]
pub struct EndpointStatus(webhook_mtls::EndpointStatus);

#[pymethods]
impl EndpointStatus {
    /// The pin of the key that the consumer showed last; None before the first handshake.
    #[getter]
    fn pin_seen(&self) -> Option<&str> {
        self.0.pin_seen.as_deref()
    }

    /// The configured pins that no delivery has matched so far.
    #[getter]
    fn pins_never_seen(&self) -> Vec<String> {
        self.0.pins_never_seen.clone()
    }

    /// When the consumer's certificate, as last seen, expires: an aware datetime.
    #[getter]
    fn peer_not_after<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.0.peer_not_after.map(|instant| arguments::datetime(py, instant)).transpose()
    }

    /// Which of our identities the consumer took last: the pin of its certificate; None before the
    /// first answer.
    #[getter]
    fn identity_accepted(&self) -> Option<&str> {
        self.0.identity_accepted.as_deref()
    }

    fn __repr__(&self) -> String {
        format!("EndpointStatus(pin_seen={:?})", self.0.pin_seen.as_deref().unwrap_or("None"))
    }
}
