//! The testing kit: a throw-away private CA, and receivers on loopback that demand client
//! certificates, record what they got, answer what they are told and misbehave on demand.
//!
//! Nothing here is a mock: the certificates, the sockets and the handshakes are real, so what a
//! test sees is what production would see. Production code never comes here; the kit sits behind
//! the feature `testing` and only this file knows the rest of the crate.

#![cfg_attr(
    not(test),
    expect(clippy::disallowed_types, reason = "the kit belongs to the process that started it")
)]

mod authority;
mod consumer;
mod http;
mod idle;
mod misbehavior;
mod receiver;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::SystemTime;

use nix::sys::signal::SigSet;
use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;

use crate::Dispatcher;
use crate::DispatcherOptions;
use crate::Egress;
use crate::Error;
use crate::Identity;
use crate::Kind;
use crate::Trust;
use crate::error::{Form, shown};

pub use authority::{Authority, Issued, Leaf};
pub use consumer::{Answer, Consumer, Received};
pub use misbehavior::Misbehaviour;

/// The tenant that the lab's own identity names.
const DISPATCHER: &str = "dispatcher";

/// Everything a test of a dispatcher needs, alive until it is dropped.
///
/// A lab is its own world: its CA is made when it starts and no other lab trusts it. The receivers
/// run on one thread of the lab; every method is synchronous and may be called from any thread.
/// Dropping the lab closes every socket and ends that thread before it returns.
///
/// ```
/// # fn main() -> Result<(), webhook_mtls::Error> {
/// let lab = webhook_mtls::testing::Lab::start()?;
/// let acme = lab.consumer("acme")?;
/// assert!(acme.url().starts_with("https://127.0.0.1:"));
/// assert!(acme.received().is_empty());
/// # Ok(())
/// # }
/// ```
pub struct Lab {
    authority: Authority,
    issued: Issued,
    identity: Identity,
    trust: Trust,
    egress: Egress,
    consumers: Mutex<BTreeMap<String, Consumer>>,
    receivers: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Lab {
    /// Makes the CA and an identity, and starts the thread that the receivers will run on.
    ///
    /// Fails with `internal` when the machine has no thread, file descriptor or randomness to give.
    pub fn start() -> Result<Self, Error> {
        let authority = Authority::new("lab")?;
        let issued = authority.issue(Leaf::client(DISPATCHER))?;
        let identity =
            Identity::from_pem(issued.chain_pem.as_bytes(), issued.key_pem.as_bytes(), None)?;
        let trust = Trust::from_pem(authority.root_pem().as_bytes(), None, &[])?;
        let egress = Egress::public().allow(["127.0.0.0/8", "::1/128"])?;

        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|cause| broken("start its runtime", cause))?;
        let receivers = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new()
            .name("webhook-mtls-lab".into())
            .spawn(move || {
                // The program's own threads must get its signals, never this one.
                let _ = SigSet::all().thread_block();
                // Leaving drops the runtime, and with it every task and socket.
                let _ = runtime.block_on(stopped);
            })
            .map_err(|cause| broken("start its thread", cause))?;

        Ok(Self {
            authority,
            issued,
            identity,
            trust,
            egress,
            consumers: Mutex::default(),
            receivers,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// A client identity of the lab's CA, for the tenant `dispatcher`.
    pub fn identity(&self) -> Identity {
        self.identity.clone()
    }

    /// Trust in the lab's root and in nothing else.
    pub fn trust(&self) -> Trust {
        self.trust.clone()
    }

    /// The same identity as [`Lab::identity`]: certificate chain (leaf first) and PKCS#8 key, as
    /// PEM.
    pub fn identity_pem(&self) -> (String, String) {
        (self.issued.chain_pem.clone(), self.issued.key_pem.clone())
    }

    /// The same root as in [`Lab::trust`], as PEM.
    pub fn trust_pem(&self) -> String {
        self.authority.root_pem().to_owned()
    }

    /// The CA behind the lab, to issue certificates that no dispatcher or receiver of it would
    /// show.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The receiver of that name, started when it is first asked for.
    ///
    /// `name` is its tenant: 1 to 64 characters of `[A-Za-z0-9._-]`, otherwise `option_invalid`.
    /// Fails with `internal` when there is no port to listen on.
    pub fn consumer(&self, name: &str) -> Result<Consumer, Error> {
        let word = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(word) {
            return Err(refused(
                "the name of a lab consumer is 1 to 64 characters of [A-Za-z0-9._-]",
            ));
        }
        let mut consumers = lock(&self.consumers);
        if let Some(consumer) = consumers.get(name) {
            return Ok(consumer.clone());
        }
        let consumer = Consumer::start(name, self.authority.clone(), &self.receivers)?;
        consumers.insert(name.to_owned(), consumer.clone());
        Ok(consumer)
    }

    /// A new dispatcher with [`Lab::dispatcher_options`].
    pub fn dispatcher(&self) -> Dispatcher {
        Dispatcher::new(self.dispatcher_options()).expect("the lab's own options are complete")
    }

    /// Options with the lab's identity and trust and an egress policy that also allows loopback.
    pub fn dispatcher_options(&self) -> DispatcherOptions {
        DispatcherOptions::new()
            .identity(self.identity())
            .trust(self.trust())
            .egress(self.egress.clone())
    }

    /// Writes `tls.crt`, `tls.key` (mode 0600) and `ca.pem` into `dir`, for programs that take
    /// paths.
    ///
    /// The names are those of a Kubernetes TLS secret. `dir` is made if it is missing; files of
    /// those names are replaced. Fails with `option_invalid` when one cannot be written.
    pub fn write_files(&self, dir: impl AsRef<Path>) -> Result<(), Error> {
        let dir = dir.as_ref();
        let write = || {
            fs::create_dir_all(dir)?;
            fs::write(dir.join("tls.crt"), &self.issued.chain_pem)?;
            write_private(&dir.join("tls.key"), &self.issued.key_pem)?;
            fs::write(dir.join("ca.pem"), self.authority.root_pem())
        };
        let written = write();
        let dir = shown(&dir.to_string_lossy(), Form::Path);
        written.map_err(|cause| refused(&format!("cannot write to {dir}: {cause}")))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in there was already reported by the panic hook, and drop cannot return it.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Lab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lab")
            .field("authority", &self.authority)
            .field("consumers", &*lock(&self.consumers))
            .finish_non_exhaustive()
    }
}

/// A well-formed error of that kind, with the defaults of the table, to test one's own handling
/// without a network.
pub fn error(kind: Kind) -> Error {
    Error::new(kind, kind.title())
}

/// Lets the library believe, in this whole process, that it is `at`, and that time runs on from there;
/// `None` is the true time again.
///
/// For tests of what certificates do as they age: files, verdicts, expiry and events follow. The lab's
/// own certificates and receivers keep to the true time.
pub fn set_clock(at: Option<SystemTime>) {
    crate::clock::set(at);
}

/// Returns how many signatures of certificates and CRLs this process has checked so far.
///
/// A signature that is [remembered](crate::remember_signatures) is not checked again.
pub fn signatures_checked() -> u64 {
    crate::x509::algorithms::signatures_checked()
}

/// The mode is set before the first byte is written: a key is never readable by others, not even
/// for a moment, and not even when the file was there with a wider mode.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())
}

/// What the machine could not do for the lab.
fn broken(what: &str, cause: impl fmt::Display) -> Error {
    Error::new(Kind::Internal, format!("the lab could not {what}: {cause}"))
}

/// What the lab was asked for and cannot be.
fn refused(why: &str) -> Error {
    Error::new(Kind::OptionInvalid, why)
}

/// A test that panicked while it held a lock must not fail the next one as well.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
