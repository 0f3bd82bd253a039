//! Files that hold keys and certificates: PEM, PKCS#12 and their encryption.

mod blocks;
pub(crate) mod mistaken;
mod pbe;
pub(crate) mod pem;
pub(crate) mod pkcs12;
pub(crate) mod private_key;
mod recognize;
