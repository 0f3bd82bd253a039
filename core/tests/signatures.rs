//! The ClientHello advertises the signature schemes that are verified, and no others. A server with
//! several certificates chooses by it. Run with `--features testing`.
#![cfg(feature = "testing")]

mod raw;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::SystemTime;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SignatureAlgorithm as KeyKind,
};
use rustls::crypto::aws_lc_rs::{default_provider, sign::any_supported_type};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SignatureAlgorithm, SignatureScheme, SupportedProtocolVersion};
use webhook_mtls::MinTls;
use webhook_mtls::bindings::runtime;
use webhook_mtls::testing::Lab;
use webhook_mtls::{
    DeliverOptions, EndpointOptions, Error, Identity, Kind, Probe, ProbeOptions, Receipt, Role,
    Sent, Trust, Verifier, VerifierOptions,
};

const SIGNATURE_ALGORITHMS: u16 = 13;
const SIGNATURE_ALGORITHMS_CERT: u16 = 50;

/// Every way to sign that this test can produce: the scheme, the key, and the CA signature.
struct Way {
    scheme: SignatureScheme,
    key: &'static KeyKind,
}

fn ways() -> Vec<Way> {
    let way = |scheme, key| Way { scheme, key };
    vec![
        way(SignatureScheme::ECDSA_NISTP256_SHA256, &rcgen::PKCS_ECDSA_P256_SHA256),
        way(SignatureScheme::ECDSA_NISTP384_SHA384, &rcgen::PKCS_ECDSA_P384_SHA384),
        way(SignatureScheme::ECDSA_NISTP521_SHA512, &rcgen::PKCS_ECDSA_P521_SHA512),
        way(SignatureScheme::ED25519, &rcgen::PKCS_ED25519),
        way(SignatureScheme::RSA_PKCS1_SHA256, &rcgen::PKCS_RSA_SHA256),
        way(SignatureScheme::RSA_PKCS1_SHA384, &rcgen::PKCS_RSA_SHA384),
        way(SignatureScheme::RSA_PKCS1_SHA512, &rcgen::PKCS_RSA_SHA512),
        way(SignatureScheme::RSA_PSS_SHA256, &rcgen::PKCS_RSA_SHA256),
        way(SignatureScheme::RSA_PSS_SHA384, &rcgen::PKCS_RSA_SHA384),
        way(SignatureScheme::RSA_PSS_SHA512, &rcgen::PKCS_RSA_SHA512),
        way(SignatureScheme::ML_DSA_44, &rcgen::PKCS_ML_DSA_44),
        way(SignatureScheme::ML_DSA_65, &rcgen::PKCS_ML_DSA_65),
        way(SignatureScheme::ML_DSA_87, &rcgen::PKCS_ML_DSA_87),
    ]
}

fn is_pss(scheme: SignatureScheme) -> bool {
    matches!(
        scheme,
        SignatureScheme::RSA_PSS_SHA256
            | SignatureScheme::RSA_PSS_SHA384
            | SignatureScheme::RSA_PSS_SHA512
    )
}

#[test]
fn the_client_hello_advertises_exactly_what_is_verified() {
    let lab = Lab::start().unwrap();
    let ways = ways();
    for (min_tls, versions) in [("1.3", &[&TLS13][..]), ("1.2", &[&TLS13, &TLS12])] {
        let hello = client_hello(&lab, min_tls);
        let advertised = schemes(&hello[&SIGNATURE_ALGORITHMS]);
        // Without an extension of their own, the schemes for certificates are those of extension
        // 13.
        assert!(!hello.contains_key(&SIGNATURE_ALGORITHMS_CERT), "min_tls {min_tls}");
        for Way { scheme, key } in &ways {
            let is_advertised = advertised.contains(scheme);
            // rcgen signs no certificate with PSS; the vectors have one.
            if !is_pss(*scheme) {
                let verified = judge_chain(key).is_ok();
                assert_eq!(is_advertised, verified, "a chain, min_tls {min_tls}, {scheme:?}");
                assert!(verified, "{scheme:?} is accepted");
            }
            let verified =
                versions.iter().any(|version| shake(&lab, min_tls, version, *scheme, key).is_ok());
            // TLS 1.3 allows PKCS #1 only in certificates (RFC 8446 section 4.2.3).
            let may_shake = min_tls == "1.2" || !is_pkcs1(*scheme);
            assert_eq!(is_advertised && may_shake, verified, "min_tls {min_tls}, {scheme:?}");
            // TLS 1.2 does not define ML-DSA, and a ClientHello that offers both versions does not
            // say for which of them a scheme is.
            if min_tls == "1.2" && is_ml_dsa(*scheme) {
                let verified = shake(&lab, min_tls, &TLS12, *scheme, key);
                assert!(verified.is_err(), "TLS 1.2, {scheme:?}");
            }
        }
        let unknown: Vec<_> = advertised
            .iter()
            .filter(|scheme| ways.iter().all(|way| way.scheme != **scheme))
            .collect();
        assert!(unknown.is_empty(), "advertised, but not tested: {unknown:?}");
    }
}

fn is_pkcs1(scheme: SignatureScheme) -> bool {
    matches!(
        scheme,
        SignatureScheme::RSA_PKCS1_SHA256
            | SignatureScheme::RSA_PKCS1_SHA384
            | SignatureScheme::RSA_PKCS1_SHA512
    )
}

fn is_ml_dsa(scheme: SignatureScheme) -> bool {
    matches!(
        scheme,
        SignatureScheme::ML_DSA_44 | SignatureScheme::ML_DSA_65 | SignatureScheme::ML_DSA_87
    )
}

#[test]
fn a_server_that_also_has_an_ml_dsa_certificate_may_show_it() {
    let lab = Lab::start().unwrap();
    let root = Ca::new(&rcgen::PKCS_ECDSA_P256_SHA256);
    let [new, old] =
        [&rcgen::PKCS_ML_DSA_44, &rcgen::PKCS_ECDSA_P256_SHA256].map(|kind| root.certify(kind));
    for min_tls in ["1.3", "1.2"] {
        let both = Shown(vec![new.clone(), old.clone()]);
        let probed = probe(&lab, &root, min_tls, &[&TLS13], both);
        let peer = probed.unwrap_or_else(|error| panic!("min_tls {min_tls}: {error:?}"));
        let expected = new.end_entity_cert().unwrap();
        assert_eq!(peer.peer().certificate().der(), &**expected, "min_tls {min_tls}");
    }
}

/// Every certificate of both sides has a key of ML-DSA: root, server and ours.
#[test]
fn payloads_are_delivered_with_ml_dsa_on_both_sides() {
    for kind in [&rcgen::PKCS_ML_DSA_44, &rcgen::PKCS_ML_DSA_65, &rcgen::PKCS_ML_DSA_87] {
        let lab = Lab::start().unwrap();
        let root = Ca::new(kind);
        let (identity, server) = (root.identity(kind), root.certify(kind));
        for min_tls in ["1.3", "1.2"] {
            let url = serve_ml_dsa(&root, &server, &[&TLS13]);
            let receipt = deliver(&lab, &root, &identity, min_tls, &url)
                .unwrap_or_else(|error| panic!("min_tls {min_tls}: {error:?}"));
            assert_eq!(receipt.status(), 204);
            assert_eq!(receipt.tls().version, "TLSv1.3");
        }
    }
}

/// The server alone decides the version. It must not get a signature that its version does not have.
#[test]
fn an_identity_with_ml_dsa_is_not_used_in_tls_1_2() {
    let lab = Lab::start().unwrap();
    let root = Ca::new(&rcgen::PKCS_ECDSA_P256_SHA256);
    let identity = root.identity(&rcgen::PKCS_ML_DSA_65);
    let server = root.certify(&rcgen::PKCS_ECDSA_P256_SHA256);
    let url = serve_ml_dsa(&root, &server, &[&TLS12]);
    let error = deliver(&lab, &root, &identity, "1.2", &url).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (Kind::TlsFailed, Sent::Nothing), "{error:?}");
    let url = serve_ml_dsa(&root, &server, &[&TLS13, &TLS12]);
    let receipt = deliver(&lab, &root, &identity, "1.2", &url).unwrap();
    assert_eq!(receipt.tls().version, "TLSv1.3");
}

/// Serves 204 to clients below the root.
fn serve_ml_dsa(
    root: &Ca,
    shown: &Arc<CertifiedKey>,
    versions: &[&'static SupportedProtocolVersion],
) -> String {
    let provider = Arc::new(default_provider());
    let clients =
        WebPkiClientVerifier::builder_with_provider(raw::roots(&root.pem), provider.clone());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_client_cert_verifier(clients.build().unwrap())
        .with_cert_resolver(Arc::new(Always(shown.clone())));
    raw::serve(config, |mut conversation| {
        if conversation.head().is_some() {
            conversation.say("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
        }
    })
}

fn deliver(
    lab: &Lab,
    root: &Ca,
    identity: &Identity,
    min_tls: &str,
    url: &str,
) -> Result<Receipt, Error> {
    let options = EndpointOptions::new(None)
        .trust(Trust::from_pem(root.pem.as_bytes(), None, &[]).unwrap())
        .identity(identity.clone())
        .min_tls(MinTls::from_name(min_tls).unwrap());
    let dispatcher = lab.dispatcher();
    let endpoint = dispatcher.endpoint("acme", url, options).unwrap();
    runtime::drive(dispatcher.deliver(&endpoint, &b"{}"[..], DeliverOptions::new()), || false)
        .unwrap()
}

/// Chooses the first certificate whose key makes a signature that the client accepts, as servers
/// do.
#[derive(Debug)]
struct Shown(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let offered = hello.signature_schemes();
        self.0.iter().find(|shown| shown.key.choose_scheme(offered).is_some()).cloned()
    }
}

/// Signs with one scheme, even if the client does not offer it.
#[derive(Debug)]
struct Stubborn {
    key: Arc<dyn SigningKey>,
    scheme: SignatureScheme,
}

impl SigningKey for Stubborn {
    fn choose_scheme(&self, _offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        self.key.choose_scheme(&[self.scheme])
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }
}

/// A private root.
struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Ca {
    fn new(kind: &'static KeyKind) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate_for(kind).unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Issues a certificate for a server at 127.0.0.1 with a key of this kind.
    fn certify(&self, kind: &'static KeyKind) -> Arc<CertifiedKey> {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate_for(kind).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let key = any_supported_type(&key).unwrap();
        Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key))
    }
}

impl Ca {
    /// Issues a certificate for us with a key of this kind.
    fn identity(&self, kind: &'static KeyKind) -> Identity {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "dispatcher");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate_for(kind).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes(), None)
            .unwrap()
    }
}

/// Verifies a P-256 leaf below a CA of this kind.
fn judge_chain(kind: &'static KeyKind) -> Result<(), Error> {
    let leaf_key = &rcgen::PKCS_ECDSA_P256_SHA256;
    let ca = Ca::new(kind);
    let leaf = ca.certify(leaf_key);
    let trust = Trust::from_pem(ca.pem.as_bytes(), None, &[])?;
    let verifier = Verifier::new(VerifierOptions::new(Role::Server, trust))?;
    verifier.verify_chain(&leaf.cert, Some("127.0.0.1"), SystemTime::now()).map(drop)
}

/// Makes a handshake in which the server signs only with this scheme.
fn shake(
    lab: &Lab,
    min_tls: &str,
    version: &'static SupportedProtocolVersion,
    scheme: SignatureScheme,
    kind: &'static KeyKind,
) -> Result<(), Error> {
    let root = Ca::new(&rcgen::PKCS_ECDSA_P256_SHA256);
    let shown = root.certify(kind);
    let key = Arc::new(Stubborn { key: shown.key.clone(), scheme });
    let stubborn = Arc::new(CertifiedKey::new(shown.cert.clone(), key));
    probe(lab, &root, min_tls, &[version], Always(stubborn)).map(drop)
}

#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

fn probe(
    lab: &Lab,
    root: &Ca,
    min_tls: &str,
    versions: &[&'static SupportedProtocolVersion],
    shown: impl ResolvesServerCert + 'static,
) -> Result<Probe, Error> {
    let provider = Arc::new(default_provider());
    let clients =
        WebPkiClientVerifier::builder_with_provider(raw::roots(&lab.trust_pem()), provider.clone());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_client_cert_verifier(clients.build().unwrap())
        .with_cert_resolver(Arc::new(shown));
    let url = raw::serve(config, |mut conversation| drop(conversation.rest()));
    let mut options =
        EndpointOptions::new(None).trust(Trust::from_pem(root.pem.as_bytes(), None, &[]).unwrap());
    options = options.min_tls(MinTls::from_name(min_tls).unwrap());
    let dispatcher = lab.dispatcher();
    let endpoint = dispatcher.endpoint("acme", &url, options).unwrap();
    runtime::drive(dispatcher.probe(&endpoint, ProbeOptions::new()), || false).unwrap()
}

/// Returns the extensions of the ClientHello on the wire.
fn client_hello(lab: &Lab, min_tls: &str) -> BTreeMap<u16, Vec<u8>> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/in", listener.local_addr().unwrap());
    let reading = std::thread::spawn(move || {
        let (mut tcp, _) = listener.accept().unwrap();
        let hello = read_client_hello(&mut tcp);
        // The alert handshake_failure, so that the client does not wait.
        tcp.write_all(&[21, 3, 3, 0, 2, 2, 40]).unwrap();
        hello
    });
    let mut options = EndpointOptions::new(None);
    options = options.min_tls(MinTls::from_name(min_tls).unwrap());
    let dispatcher = lab.dispatcher();
    let endpoint = dispatcher.endpoint("acme", &url, options).unwrap();
    let probed = runtime::drive(dispatcher.probe(&endpoint, ProbeOptions::new()), || false);
    assert!(probed.unwrap().is_err());
    reading.join().unwrap()
}

/// RFC 8446 section 4.1.2: records of type 22, a handshake message of type 1.
fn read_client_hello(tcp: &mut TcpStream) -> BTreeMap<u16, Vec<u8>> {
    let mut message = Vec::new();
    let length = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    while message.len() < 4 || message.len() < 4 + length(&message[1..4]) {
        let mut header = [0; 5];
        tcp.read_exact(&mut header).unwrap();
        assert_eq!(header[0], 22, "a handshake record");
        let mut record = vec![0; length(&header[3..])];
        tcp.read_exact(&mut record).unwrap();
        message.extend(record);
    }
    assert_eq!(message[0], 1, "a ClientHello");
    let mut rest = &message[4 + 2 + 32..];
    let mut vector = |prefix: usize| {
        let (size, after) = rest.split_at(prefix);
        let (content, after) = after.split_at(length(size));
        rest = after;
        content.to_vec()
    };
    let (_session, _suites, _compression) = (vector(1), vector(2), vector(1));
    let extensions = vector(2);
    let mut rest = &extensions[..];
    let mut found = BTreeMap::new();
    while let [high, low, high_size, low_size, after @ ..] = rest {
        let (content, after) = after.split_at(length(&[*high_size, *low_size]));
        found.insert(u16::from_be_bytes([*high, *low]), content.to_vec());
        rest = after;
    }
    found
}

fn schemes(extension: &[u8]) -> Vec<SignatureScheme> {
    extension[2..]
        .chunks(2)
        .map(|pair| SignatureScheme::from(u16::from_be_bytes([pair[0], pair[1]])))
        .collect()
}
