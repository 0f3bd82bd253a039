//! Shared by all receivers: a private CA, valid and invalid certificates, and the trap for
//! redirects.

use std::error::Error;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig,
    SignatureScheme,
};
use webhook_mtls::testing::{Authority, Issued, Leaf};

/// How a receiver makes the handshake.
#[derive(Clone, Debug)]
pub(crate) enum Manner {
    Right,
    Expired,
    NotYetValid,
    WrongName,
    OtherPurpose,
    OtherCa,
    NeverAsks,
    /// Refuses every certificate, with this error.
    Refuses(CertificateError),
    /// Accepts only these signature schemes from clients.
    Schemes(Vec<SignatureScheme>),
    SpeaksOnly12,
    /// Refuses certificates on TLS 1.2.
    Refuses12(CertificateError),
    /// Offers only HTTP/2 by ALPN.
    SpeaksH2,
}

pub(crate) struct World {
    authority: Authority,
    other: Authority,
    server: Issued,
    trap: SocketAddr,
    trapped: Arc<AtomicU32>,
}

impl World {
    /// Creates the CA, and writes `tls.crt`, `tls.key`, `former.crt`, `former.key` and `ca.pem` for
    /// the clients.
    pub(crate) fn make(directory: &Path) -> Result<Self, Box<dyn Error>> {
        let authority = Authority::new("hostile")?;
        let ours = authority.issue(Leaf::client("dispatcher"))?;
        std::fs::create_dir_all(directory)?;
        std::fs::write(directory.join("tls.crt"), &ours.chain_pem)?;
        std::fs::write(directory.join("tls.key"), &ours.key_pem)?;
        std::fs::write(directory.join("ca.pem"), authority.root_pem())?;
        let former = authority.issue(Leaf::client("former"))?;
        std::fs::write(directory.join("former.crt"), &former.chain_pem)?;
        std::fs::write(directory.join("former.key"), &former.key_pem)?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let trap = listener.local_addr()?;
        let trapped = Arc::new(AtomicU32::new(0));
        let count = trapped.clone();
        thread::spawn(move || {
            while listener.accept().is_ok() {
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        Ok(Self {
            server: authority.issue(Leaf::server("acme"))?,
            other: Authority::new("other")?,
            authority,
            trap,
            trapped,
        })
    }

    /// The pin of every receiver with the right key.
    pub(crate) fn pin(&self) -> &str {
        &self.server.pin
    }

    /// The address of the trap, which no client may connect to.
    pub(crate) fn trap(&self) -> String {
        format!("https://{}/redirected", self.trap)
    }

    pub(crate) fn trapped(&self) -> u32 {
        self.trapped.load(Ordering::SeqCst)
    }

    pub(crate) fn config(&self, manner: &Manner) -> Arc<ServerConfig> {
        let leaf = || Leaf::server("acme").key_of(&self.server);
        let issued = match manner {
            Manner::Expired => self.authority.issue(leaf().expired()),
            Manner::NotYetValid => self.authority.issue(leaf().not_yet_valid()),
            Manner::WrongName => self.authority.issue(leaf().names(["wrong.test"])),
            Manner::OtherPurpose => self.authority.issue(leaf().other_purpose()),
            Manner::OtherCa => self.other.issue(leaf()),
            _ => Ok(self.server.clone()),
        }
        .expect("a certificate");
        let versions = match manner {
            Manner::SpeaksOnly12 | Manner::Refuses12(_) => &[&TLS12][..],
            _ => &[&TLS13][..],
        };
        let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .expect("versions");
        let builder = if matches!(manner, Manner::NeverAsks) {
            builder.with_no_client_auth()
        } else {
            builder.with_client_cert_verifier(Arc::new(self.judge(manner)))
        };
        let chain = issued.chain_der.iter().cloned().map(CertificateDer::from).collect();
        let key = PrivatePkcs8KeyDer::from(issued.key_der.clone());
        let mut config = builder.with_single_cert(chain, key.into()).expect("a certificate");
        let protocol: &[u8] = if matches!(manner, Manner::SpeaksH2) { b"h2" } else { b"http/1.1" };
        config.alpn_protocols = vec![protocol.to_vec()];
        Arc::new(config)
    }

    fn judge(&self, manner: &Manner) -> Judge {
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(self.authority.root_pem().as_bytes()) {
            roots.add(root.expect("a root")).expect("a root");
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let inner = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .expect("a verifier");
        let verdict = match manner {
            Manner::Refuses(how) | Manner::Refuses12(how) => Some(how.clone()),
            _ => None,
        };
        let schemes = match manner {
            Manner::Schemes(schemes) => Some(schemes.clone()),
            _ => None,
        };
        Judge { inner, verdict, schemes }
    }
}

/// Verifies as its inner verifier, unless the verdict or the schemes are overridden.
#[derive(Debug)]
struct Judge {
    inner: Arc<dyn ClientCertVerifier>,
    verdict: Option<CertificateError>,
    schemes: Option<Vec<SignatureScheme>>,
}

impl ClientCertVerifier for Judge {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        match &self.verdict {
            Some(verdict) => Err(verdict.clone().into()),
            None => self.inner.verify_client_cert(leaf, intermediates, now),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone().unwrap_or_else(|| self.inner.supported_verify_schemes())
    }
}
