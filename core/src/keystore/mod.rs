//! Files that hold keys and certificates: PEM, PKCS#12 and their encryption.

mod ber;
mod blocks;
pub(crate) mod contents;
pub(crate) mod mistaken;
mod pbe;
mod pbmac1;
pub(crate) mod pem;
pub(crate) mod pkcs12;
pub(crate) mod private_key;
mod public_keys;
mod recognize;

pub(crate) use public_keys::public_keys;
