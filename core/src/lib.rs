//! Delivers webhooks over mutual TLS to consumers of a private CA, and verifies the peer at the other
//! end of a connection.
//!
//! A [`Dispatcher`] presents our [`Identity`] and delivers to [`Endpoint`]s, each with its own
//! [`Pins`] and, where it differs, its own [`Trust`] and identity. Before a byte of payload leaves,
//! the consumer's chain, dates, purpose, name, revocation and pins are judged inside the handshake,
//! and the consumer must have asked for our certificate. A [`Receipt`] is a success; an [`Error`]
//! says what failed, whose fault it is, what it stops and how much was sent.
//!
//! A [`Verifier`] judges the certificates of peers whose connection ends elsewhere, with the very
//! function that the handshake runs.
//!
//! ```no_run
//! use webhook_mtls::*;
//!
//! # async fn example() -> Result<(), Error> {
//! let dispatcher = Dispatcher::new(
//!     DispatcherOptions::new()
//!         .identity(Identity::from_files("tls.crt", "tls.key", None)?)
//!         .trust(Trust::from_files("acme-ca.pem", None, None)?),
//! )?;
//! let pins = Pins::new(["sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="])?;
//! let acme = dispatcher.endpoint(
//!     "acme",
//!     "https://hooks.acme.example/in",
//!     EndpointOptions::new(Some(pins)),
//! )?;
//! let receipt = dispatcher.deliver(&acme, r#"{"event":"ping"}"#, DeliverOptions::new()).await?;
//! println!("{} over {}", receipt.status(), receipt.tls().version);
//! # Ok(())
//! # }
//! ```
//!
//! The floors, the ground first; a module uses those above it in this list, never those below:
//! `error`, `event`, `options`, `limits`, `clock`, `process` · `certificate`, `crypto` · `source`, `pin`,
//! `identity`, `trust`, `expiry`, `watch`, `signing` · `policy`, `verify` · `tls` · `net` · `connection` ·
//! `endpoint`, `seen`, `staging`, `dispatcher`, `receipt`, `probe`, `retry` · `testing`.
//! `runtime` stands beside them.

// `clippy.toml`: what a forked child inherits must not be locked.
#![cfg_attr(not(test), deny(clippy::disallowed_types))]

mod certificate;
mod clock;
mod connection;
mod crypto;
mod dispatcher;
mod endpoint;
mod error;
mod event;
mod expiry;
mod fair_limit;
mod identity;
pub mod limits;
mod net;
pub mod options;
mod pin;
mod policy;
mod probe;
#[doc(hidden)]
pub mod process;
mod receipt;
mod retry;
pub mod runtime;
mod seen;
mod signing;
mod source;
mod staging;
#[cfg(feature = "testing")]
pub mod testing;
mod tls;
mod trust;
mod verify;
mod watch;

pub use certificate::{Certificate, pin_of};
pub use connection::HttpResponse;
#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub use connection::read_answer;
pub use dispatcher::{
    BlockingOutcomes, CancelToken, DeliverOptions, Delivery, Dispatcher, DispatcherOptions, Fanout,
    FanoutProgress, Outcome, Outcomes, ProbeOptions, deliver,
};
pub use endpoint::{Endpoint, EndpointOptions, EndpointStatus};
pub use error::{Blame, Context, Error, ErrorResponse, Family, Kind, Retry, Scope, Sent, Stage};
pub use event::{Event, EventName, EventQueue};
pub use expiry::{Expiring, Expiry};
pub use identity::Identity;
pub use net::{Egress, Proxy};
pub use options::Setting;
pub use pin::{Pin, PinSlot, Pins};
pub use policy::{Authorization, CrlPolicy, Role, TenantRule};
pub use probe::Probe;
pub use receipt::Receipt;
pub use retry::{Action, Decision, RetryPolicy};
pub use signing::StandardWebhooks;
pub use staging::{ConsumerRotation, RotationStatus};
pub use tls::{MinTls, TlsFacts};
pub use trust::Trust;
#[doc(hidden)]
pub use verify::Handshake;
pub use verify::{
    Evidence, Note, PeerIdentity, Verifier, VerifierOptions, remember_signatures, verify_peer,
};
