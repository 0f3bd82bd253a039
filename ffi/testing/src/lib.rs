//! The C face of webhook-mtls and its testing kit.
