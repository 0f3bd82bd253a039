//! A private key that signs tokens.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use rustls_pki_types::PrivateKeyDer;

use super::{Algorithm, PublicKey};
use crate::error::{Error, Kind};
use crate::keystore::{pem, private_key};
use crate::process::Section;

/// A private key of a type that signs tokens, with its public key.
pub(crate) struct Signer {
    pair: Pair,
    public: PublicKey,
}

enum Pair {
    P256(Box<EcdsaKeyPair>),
    Ed25519(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
}

impl Signer {
    /// Reads the only private key of PEM or DER, without encryption.
    ///
    /// Fails with `pem_invalid` or `key_encrypted`.
    pub(crate) fn read(input: &[u8]) -> Result<Self, Error> {
        let der = pem::private_key(input, None)?;
        let pair = Pair::of(&der).ok_or_else(|| refused(&der))?;
        let (algorithm, bytes) = match &pair {
            Pair::P256(pair) => (Algorithm::Es256, pair.public_key().as_ref().to_vec()),
            Pair::Ed25519(pair) => (Algorithm::EdDsa, pair.public_key().as_ref().to_vec()),
            Pair::Rsa(pair) => (Algorithm::Rs256, pair.public_key().as_ref().to_vec()),
        };
        let public = PublicKey::new(algorithm, bytes)
            .map_err(|why| unusable(&format!("the private key {why}")))?;
        Ok(Self { pair, public })
    }

    pub(crate) fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Signs a message. Fails with `internal` if the system gives no random numbers.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let failed = |_| Error::new(Kind::Internal, "the private key could not sign a token");
        // aws-lc takes locks for random numbers. A fork must find them free.
        let _section = Section::enter();
        let random = SystemRandom::new();
        match &self.pair {
            Pair::P256(pair) => {
                let signature = pair.sign(&random, message).map_err(failed)?;
                Ok(signature.as_ref().to_vec())
            }
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
        }
    }
}

impl Pair {
    fn of(key: &PrivateKeyDer<'_>) -> Option<Self> {
        let _section = Section::enter();
        let curve = &ECDSA_P256_SHA256_FIXED_SIGNING;
        match key {
            PrivateKeyDer::Pkcs8(der) => {
                let der = der.secret_pkcs8_der();
                let ec = || EcdsaKeyPair::from_pkcs8(curve, der).ok().map(Box::new);
                let ed = || Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok();
                let rsa = || RsaKeyPair::from_pkcs8(der).ok().map(Box::new);
                ec().map(Self::P256)
                    .or_else(|| ed().map(Self::Ed25519))
                    .or_else(|| rsa().map(Self::Rsa))
            }
            PrivateKeyDer::Sec1(der) => {
                let pair = EcdsaKeyPair::from_private_key_der(curve, der.secret_sec1_der()).ok()?;
                Some(Self::P256(Box::new(pair)))
            }
            PrivateKeyDer::Pkcs1(der) => {
                let pair = RsaKeyPair::from_der(der.secret_pkcs1_der()).ok()?;
                Some(Self::Rsa(Box::new(pair)))
            }
            _ => None,
        }
    }
}

fn refused(key: &PrivateKeyDer<'_>) -> Error {
    if crate::x509::algorithms::signing_key(key).is_some() {
        return unusable("the private key is of a type that signs no token");
    }
    private_key::unusable(key)
}

fn unusable(why: &str) -> Error {
    Error::new(Kind::PemInvalid, why.to_owned())
        .advising("Use a key on P-256, of Ed25519, or of RSA with 2048 to 8192 bits.")
}
