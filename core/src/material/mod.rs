//! The material of a connection: identity, trust, pins and signing keys, and the files they come from.

pub(crate) mod anchors;
mod crl_set;
pub(crate) mod expiry;
pub(crate) mod external_key;
pub(crate) mod identity;
pub(crate) mod jwt_bearer;
pub(crate) mod jwt_keys;
mod own_chain;
pub(crate) mod pin;
pub(crate) mod presented_identity;
mod public_roots;
mod recipes;
pub(crate) mod signature_scheme;
pub(crate) mod signer;
pub(crate) mod signing;
pub(crate) mod source;
pub(crate) mod trust;
pub(crate) mod watch;

pub use crate::x509::Certificate;
pub use expiry::{Expiring, Expiry};
pub use identity::Identity;
pub use jwt_bearer::JwtBearer;
pub use jwt_keys::JwtKeys;
pub use pin::{Pin, PinSlot, Pins, pin_of};
#[cfg(feature = "testing")]
pub use public_roots::entry as public_root_entry;
pub use signature_scheme::SignatureScheme;
pub use signer::{SignatureRequest, Signer, SignerError};
pub use signing::{Signing, StandardWebhooks};
pub use trust::Trust;
