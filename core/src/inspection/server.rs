//! The certificate and key of a receiver that shows who came.

use std::sync::Arc;

use rustls::sign::CertifiedKey;

use crate::error::Error;
use crate::keystore::{mistaken, pem, pkcs12};
use crate::material::identity::{check_key, signing_key};

/// Reads the chain and the key of a server, PEM or DER. That the leaf may be a server is not checked.
///
/// # Errors
///
/// Fails with `pem_invalid`, `key_encrypted` or `key_mismatch`.
pub fn server_key(
    chain: &[u8],
    key: &[u8],
    passphrase: Option<&[u8]>,
) -> Result<Arc<CertifiedKey>, Error> {
    let read = || {
        let chain = pem::certificates(chain, "certificate chain")?;
        certified(&chain, &pem::private_key(key, passphrase)?)
    };
    read().map_err(|error| mistaken::explain_pair(error, chain, key))
}

/// The same for a PKCS#12 file with the leaf first.
///
/// # Errors
///
/// Fails with `pem_invalid`, `key_encrypted` or `key_mismatch`.
pub fn server_key_of_pkcs12(file: &[u8], passphrase: &[u8]) -> Result<Arc<CertifiedKey>, Error> {
    let contents = pkcs12::read(file, passphrase)?;
    certified(&contents.certificates, &contents.key)
}

fn certified(
    chain: &[crate::x509::Certificate],
    key: &rustls_pki_types::PrivateKeyDer<'_>,
) -> Result<Arc<CertifiedKey>, Error> {
    let key = signing_key(key)?;
    check_key(chain, &*key)?;
    let ders = chain.iter().map(|certificate| certificate.as_der().into_owned()).collect();
    Ok(Arc::new(CertifiedKey::new(ders, key)))
}

/// Returns the subjects of a bundle, each as the content of a Name: what a receiver names in its request for a
/// certificate.
///
/// # Errors
///
/// Fails with `pem_invalid`.
pub fn subjects(bundle: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    let certificates = pem::certificates(bundle, "trust bundle")?;
    Ok(certificates.iter().map(|certificate| certificate.subject_der().to_vec()).collect())
}
