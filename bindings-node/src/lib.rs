//! The Node face of webhook-mtls.
