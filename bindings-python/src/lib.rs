//! The Python face of webhook-mtls.
