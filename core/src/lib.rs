//! Delivers webhooks over mutual TLS to consumers of a private CA, and verifies the peer at the other
//! end of a connection.

mod certificate;
mod clock;
mod connection;
mod crypto;
mod dispatcher;
mod endpoint;
mod error;
mod identity;
mod net;
pub mod options;
mod pin;
mod policy;
mod receipt;
mod retry;
pub mod runtime;
#[cfg(feature = "testing")]
pub mod testing;
mod tls;
mod trust;
mod verify;

pub use certificate::{Certificate, pin_of};
pub use connection::HttpResponse;
pub use dispatcher::{CancelToken, DeliverOptions, Dispatcher, DispatcherOptions, deliver};
pub use endpoint::{Endpoint, EndpointOptions, EndpointStatus};
pub use error::{Blame, Context, Error, ErrorResponse, Family, Kind, Retry, Scope, Sent, Stage};
pub use identity::Identity;
pub use net::Egress;
pub use options::Setting;
pub use pin::{Pin, PinSlot, Pins};
pub use policy::{Authorization, CrlPolicy, Role, TenantRule};
pub use receipt::Receipt;
pub use retry::{Action, Decision, RetryPolicy};
pub use tls::{MinTls, TlsFacts};
pub use trust::Trust;
pub use verify::{
    Evidence, PeerIdentity, Verifier, VerifierOptions, remember_signatures, verify_peer,
};
