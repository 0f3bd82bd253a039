//! The C face of webhook-mtls.
