//! Delivers webhooks over mutual TLS to consumers of a private CA, and verifies peers.
//!
//! A [`Dispatcher`] presents our [`Identity`] and delivers to [`Endpoint`]s, each with its own
//! [`Pins`] and, if it differs, its own [`Trust`] and identity. Before a byte of payload leaves, the
//! handshake verifies the consumer's chain, dates, purpose, name, revocation and pins, and the
//! consumer must have requested our certificate. A [`Receipt`] is a success. An [`Error`] says what
//! failed, whose fault it is, what it stops and how much was sent.
//!
//! A [`Verifier`] verifies peers whose TLS connection ends elsewhere, with the same function as the
//! handshake.
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
//! `docs/architecture.md` lists the rooms from top to bottom. Each imports only rooms below it.

// A lock that a forked child inherits might be held. `clippy.toml` lists the refused types.
#![cfg_attr(not(test), deny(clippy::disallowed_types))]

mod admission;
mod clock;
mod connection;
mod dispatcher;
mod endpoint;
mod error;
mod event;
mod http;
mod keystore;
pub mod limits;
mod material;
mod net;
pub mod options;
#[doc(hidden)]
pub mod process;
mod retry;
pub mod runtime;
#[cfg(feature = "testing")]
pub mod testing;
mod tls;
mod verify;
mod x509;

pub use connection::HttpResponse;
#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub use connection::read_answer;
pub use dispatcher::Probe;
pub use dispatcher::Receipt;
pub use dispatcher::{
    BlockingOutcomes, CancelToken, DeliverOptions, Delivery, Dispatcher, DispatcherOptions, Fanout,
    FanoutProgress, Outcome, Outcomes, ProbeOptions, deliver,
};
pub use endpoint::{ConsumerRotation, RotationStatus};
pub use endpoint::{Endpoint, EndpointOptions, EndpointStatus};
pub use error::{Blame, Context, Error, ErrorResponse, Family, Kind, Retry, Scope, Sent, Stage};
pub use event::{Event, EventName, EventQueue};
pub use material::expiry::{Expiring, Expiry};
pub use material::identity::Identity;
pub use material::pin::{Pin, PinSlot, Pins, pin_of};
pub use material::signing::StandardWebhooks;
pub use material::trust::Trust;
pub use net::{Egress, Proxy};
pub use options::Setting;
pub use retry::{Action, Decision, RetryPolicy};
pub use tls::{MinTls, TlsFacts};
#[doc(hidden)]
pub use verify::Handshake;
pub use verify::policy::{Authorization, CrlPolicy, Role, TenantRule};
pub use verify::{
    Evidence, Note, PeerIdentity, Verifier, VerifierOptions, remember_signatures, verify_peer,
};
pub use x509::Certificate;
