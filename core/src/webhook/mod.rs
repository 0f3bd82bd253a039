//! One webhook as a receiver gets it: does its signature, its token and its connection speak of one
//! tenant?
//!
//! The peer was verified before ([`verify`](crate::verify)). A [`WebhookVerifier`] checks the message:
//! Standard Webhooks (`v1`, `v1a`), a JWT that is bound to the peer's certificate (RFC 8705), or both.
//! This room knows no sockets, and asks the caller's store for ids last.

mod headers;
mod options;
mod reload;
mod secrets;
mod token;
mod verified;
mod verifier;

pub use options::WebhookVerifierOptions;
pub use verified::{ReplayKey, VerifiedWebhook};
pub use verifier::WebhookVerifier;

pub use crate::material::JwtKeys;
