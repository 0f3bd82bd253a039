//! Identities and trust of the SPIFFE Workload API, as of a SPIRE agent, which rotate with it. Needs the
//! crate `spiffe`. It does what `webhook_mtls.spiffe` does in Python, with the same words.
//!
//!     use spiffe::X509Source;
//!     use webhook_mtls::{DeliverOptions, Dispatcher, DispatcherOptions};
//!     use workload_source::{AnyError, WorkloadSource};
//!
//!     async fn deliver(url: &str) -> Result<(), AnyError> {
//!         let workload = WorkloadSource::new(&X509Source::new().await?, None)?;
//!         let options = DispatcherOptions::new()
//!             .identity(workload.identity()?)
//!             .trust(workload.trust(None)?);
//!         let dispatcher = Dispatcher::new(options)?;
//!         let consumer = workload.consumer("spiffe://acme.example/webhooks")?;
//!         let acme = dispatcher.endpoint("acme", url, consumer)?;
//!         dispatcher.deliver(&acme, "{}", DeliverOptions::new()).await?;
//!         Ok(())
//!     }

use std::collections::BTreeSet;
use std::error::Error;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Arc, Mutex, PoisonError};

use pem::Pem;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use spiffe::{SpiffeId, TrustDomain, X509BundleSet, X509Source, X509Svid};
use tokio::task::AbortHandle;
use webhook_mtls::{EndpointOptions, Identity, Trust};

/// An error of the agent, of the files or of the library.
pub type AnyError = Box<dyn Error + Send + Sync>;

const IDENTITY: &str = "svid.pem";

/// Keeps what the Workload API sends in files of its own, which dispatchers and verifiers watch.
///
/// An update is in use within `reload` seconds of the dispatcher or verifier, and with its events
/// `rotated`. Drop it after the dispatchers: it ends the updates and removes the files. A process that
/// is killed leaves its files behind, until the machine or the container ends.
pub struct WorkloadSource {
    files: Arc<Files>,
    follower: AbortHandle,
}

struct Files {
    source: X509Source,
    place: PathBuf,
    /// A child has the files of its parent, and does not remove them.
    process: u32,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    domains: BTreeSet<TrustDomain>,
    no_authority: Option<String>,
    is_closed: bool,
}

impl WorkloadSource {
    /// Writes the files, and follows the source on the current runtime of tokio.
    ///
    /// * `source`: a source of X509-SVIDs, which stays the caller's.
    /// * `directory`: the directory below which the files are made. By default the memory file system
    ///   `/dev/shm` if there is one, so that the key is on no disk. Only this user can read the files.
    ///
    /// # Errors
    ///
    /// Fails if the source is closed, or if the files cannot be written.
    ///
    /// # Panics
    ///
    /// Panics outside of a runtime of tokio.
    pub fn new(source: &X509Source, directory: Option<&Path>) -> Result<Self, AnyError> {
        let memory = Path::new("/dev/shm");
        let in_memory = memory.is_dir().then(|| memory.to_owned());
        let below = directory.map(Path::to_owned).or(in_memory).unwrap_or_else(std::env::temp_dir);
        let files = Arc::new(Files {
            source: source.clone(),
            place: new_directory(&below)?,
            process: process::id(),
            kept: Mutex::default(),
        });
        // Before the first write, so that no update is missed in between.
        let mut updates = source.updated();
        let following = Arc::clone(&files);
        let follower = tokio::spawn(async move {
            while updates.changed().await.is_ok() {
                // The former content stays in use, and `file_stale` tells of it.
                let _ = following.update();
            }
        });
        let made = Self { files, follower: follower.abort_handle() };
        made.files.update()?;
        Ok(made)
    }

    /// Returns the identity of this workload, with the key that the agent renews.
    ///
    /// # Errors
    ///
    /// Fails as `Identity::from_files`.
    pub fn identity(&self) -> Result<Identity, webhook_mtls::Error> {
        let file = self.files.place.join(IDENTITY);
        Identity::from_files(&file, &file, None)
    }

    /// Returns the trust in the authorities of one trust domain.
    ///
    /// If the agent sends no bundle of the domain any more, as after the end of a federation, no
    /// certificate is trusted until it does again.
    ///
    /// * `trust_domain`: the name, such as `acme.example`; by default that of this workload.
    ///
    /// # Errors
    ///
    /// Fails if the agent sends no bundle of this domain, and as `Trust::from_files`.
    pub fn trust(&self, trust_domain: Option<&str>) -> Result<Trust, AnyError> {
        let domain = match trust_domain {
            Some(name) => TrustDomain::new(name)?,
            None => self.files.source.svid()?.spiffe_id().trust_domain().clone(),
        };
        let file = self.files.follow(domain)?;
        Ok(Trust::from_files(file, None, None)?)
    }

    /// Returns the options of an endpoint whose consumer has this SPIFFE ID: `server_uri`, trust in the
    /// domain of the ID alone, and no pins, because the consumer has a new key with each renewal.
    ///
    /// * `spiffe_id`: the ID, such as `spiffe://acme.example/webhooks`.
    ///
    /// # Errors
    ///
    /// Fails if the ID is malformed, and as `trust`.
    pub fn consumer(&self, spiffe_id: &str) -> Result<EndpointOptions, AnyError> {
        let known = SpiffeId::new(spiffe_id)?;
        let trust = self.trust(Some(known.trust_domain().as_str()))?;
        Ok(EndpointOptions::new(None).trust(trust).server_uri(known.to_string())?)
    }
}

impl Drop for WorkloadSource {
    fn drop(&mut self) {
        self.follower.abort();
        if self.files.process == process::id() {
            let mut kept = self.files.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.is_closed = true;
            let _ = fs::remove_dir_all(&self.files.place);
        }
    }
}

impl Files {
    fn update(&self) -> Result<(), AnyError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.is_closed {
            return Ok(());
        }
        let state = self.source.state();
        let bundles = Arc::clone(state.context()?.bundle_set());
        // Bundles first: a consumer may have a certificate of a new authority already.
        for domain in kept.domains.clone() {
            self.write_bundle(&mut kept, &bundles, &domain)?;
        }
        Ok(self.write(IDENTITY, &chain_and_key(&*state.svid()?))?)
    }

    /// From now on writes the bundle of this domain, too. Returns its file.
    fn follow(&self, domain: TrustDomain) -> Result<PathBuf, AnyError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let bundles = self.source.bundle_set()?;
        if anchors(&bundles, &domain).is_none() {
            let mut known: Vec<&str> = bundles.iter().map(|(name, _)| name.as_str()).collect();
            known.sort_unstable();
            let known = known.join(", ");
            let why = format!("the agent sends no bundle of {domain}, but of {known}");
            return Err(format!(
                "{why}: federate with it (federatesWith of the registration entry)"
            )
            .into());
        }
        self.write_bundle(&mut kept, &bundles, &domain)?;
        let file = self.place.join(bundle_name(&domain));
        kept.domains.insert(domain);
        Ok(file)
    }

    fn write_bundle(
        &self,
        kept: &mut Kept,
        bundles: &X509BundleSet,
        domain: &TrustDomain,
    ) -> Result<(), AnyError> {
        // A trust without an anchor cannot be used, and the former would stay in use.
        let text = match (anchors(bundles, domain), &kept.no_authority) {
            (Some(text), _) => text,
            (None, Some(text)) => text.clone(),
            (None, None) => kept.no_authority.insert(no_authority()?).clone(),
        };
        Ok(self.write(&bundle_name(domain), &text)?)
    }

    /// Replaces a file, so that a reader never sees a part of it.
    fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let new = self.place.join(format!("{name}.new"));
        let _ = fs::remove_file(&new);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        fs::rename(&new, self.place.join(name))
    }
}

/// Makes a directory of a new name that only this user can read.
fn new_directory(below: &Path) -> io::Result<PathBuf> {
    for number in 0_u32.. {
        let place = below.join(format!("webhook-mtls-spiffe-{}-{number}", process::id()));
        match DirBuilder::new().mode(0o700).create(&place) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| place),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn bundle_name(domain: &TrustDomain) -> String {
    format!("{domain}.bundle.pem")
}

/// Returns the chain and the key in one text, so that one replacement changes both.
fn chain_and_key(svid: &X509Svid) -> String {
    let chain = svid.cert_chain().iter().map(|cert| pem("CERTIFICATE", cert.as_bytes()));
    chain.chain([pem("PRIVATE KEY", svid.private_key().as_bytes())]).collect()
}

fn anchors(bundles: &X509BundleSet, domain: &TrustDomain) -> Option<String> {
    let found = bundles.get(domain)?;
    let texts: Vec<String> =
        found.authorities().iter().map(|cert| pem("CERTIFICATE", cert.as_bytes())).collect();
    (!texts.is_empty()).then(|| texts.concat())
}

/// Returns a CA that certifies nothing: its key is not kept.
fn no_authority() -> Result<String, rcgen::Error> {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, "no authority");
    Ok(ca.self_signed(&KeyPair::generate()?)?.pem())
}

fn pem(label: &str, der: &[u8]) -> String {
    pem::encode(&Pem::new(label, der))
}
