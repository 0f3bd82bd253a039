//! The TLS configuration of the floor and of hyper: plain rustls, TLS 1.3, an identity and one
//! root.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::measure::Arguments;

pub(crate) fn terms(arguments: &Arguments, provider: CryptoProvider) -> Arc<ClientConfig> {
    let pem = |name: &str| {
        let found = CertificateDer::pem_file_iter(arguments.file(name)).expect("PEM");
        found.map(|certificate| certificate.expect("a certificate"))
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(pem("ca.pem"));
    let key = PrivateKeyDer::from_pem_file(arguments.file("tls.key")).expect("a key");
    let mut config = ClientConfig::builder_with_provider(provider.into())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots)
        .with_client_auth_cert(pem("tls.crt").collect(), key)
        .expect("an identity");
    config.resumption = rustls::client::Resumption::disabled();
    config.into()
}
