//! Files that hold keys and certificates: PEM, PKCS#12 and the encryption of both.

mod pbe;
pub(crate) mod pem;
pub(crate) mod pkcs12;
