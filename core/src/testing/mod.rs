//! The testing kit: a throw-away private CA, and receivers on loopback that require client certificates,
//! record requests, send the answers that a test sets, and misbehave on demand.
//!
//! Nothing is mocked: certificates, sockets and handshakes are real, so a test sees the behavior of
//! production. Production code never uses the kit, which is behind the feature `testing`. Only this file
//! uses the public types of the crate.

#![cfg_attr(
    not(test),
    expect(clippy::disallowed_types, reason = "the kit belongs to the process that started it")
)]

mod authority;
mod consumer;
mod forwarded;
mod http;
mod idle;
mod key_type;
mod misbehavior;
mod nginx;
mod receiver;
mod script;
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
use crate::forwarded::{Dialect, ProxyOptions, ProxyServer, proxy_config};

#[doc(hidden)]
pub use crate::connection::{read_answer, read_first_messages};
#[doc(hidden)]
pub use crate::material::public_root_entry;
pub use authority::{Authority, Issued, Leaf};
pub use consumer::Consumer;
pub use forwarded::Forgery;
pub use key_type::KeyType;
pub use misbehavior::Misbehavior;
pub use nginx::Nginx;
pub use script::{Answer, Received};

/// The networks of the receivers, which the egress policy of the lab's dispatchers allows.
#[doc(hidden)]
pub const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];

/// The tenant in the lab's own identity.
const DISPATCHER: &str = "dispatcher";

/// A CA, an identity and receivers: everything that a test of a dispatcher needs.
///
/// Each lab makes its own CA when it starts, and no other lab trusts it. The receivers run on one thread
/// of the lab. Every method is synchronous and may be called from any thread. Dropping the lab closes
/// all its sockets and ends its thread before it returns.
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
    proxies: Mutex<Vec<Nginx>>,
    receivers: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Lab {
    /// Makes the CA and an identity, and starts the thread of the receivers.
    ///
    /// # Errors
    ///
    /// Fails with `internal` if the system provides no thread, file descriptor or randomness.
    pub fn start() -> Result<Self, Error> {
        let authority = Authority::new("lab")?;
        let issued = authority.issue(Leaf::client(DISPATCHER))?;
        let identity =
            Identity::from_pem(issued.chain_pem.as_bytes(), issued.key_pem.as_bytes(), None)?;
        let trust = Trust::from_pem(authority.root_pem().as_bytes(), None, &[])?;
        let egress = Egress::public().allow(LOOPBACK)?;

        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|cause| lab_failed("start its runtime", cause))?;
        let receivers = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new()
            .name("webhook-mtls-lab".into())
            .spawn(move || {
                // Signals must go to the program's own threads.
                let _ = SigSet::all().thread_block();
                // When this returns, the runtime is dropped with all its tasks and sockets.
                let _ = runtime.block_on(stopped);
            })
            .map_err(|cause| lab_failed("start its thread", cause))?;

        Ok(Self {
            authority,
            issued,
            identity,
            trust,
            egress,
            consumers: Mutex::default(),
            proxies: Mutex::default(),
            receivers,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Returns a client identity of the lab's CA, for the tenant `dispatcher`.
    pub fn identity(&self) -> Identity {
        self.identity.clone()
    }

    /// Returns a trust with the lab's root as its only anchor.
    pub fn trust(&self) -> Trust {
        self.trust.clone()
    }

    /// Returns the identity of [`Lab::identity`] as PEM: certificate chain (leaf first) and PKCS#8 key.
    pub fn identity_pem(&self) -> (String, String) {
        (self.issued.chain_pem.clone(), self.issued.key_pem.clone())
    }

    /// Returns the root of [`Lab::trust`] as PEM.
    pub fn trust_pem(&self) -> String {
        self.authority.root_pem().to_owned()
    }

    /// Returns the CA of the lab, to issue further certificates, for example faulty ones.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Returns the receiver with this name; starts it on the first call.
    ///
    /// * `name`: its tenant, 1 to 64 characters of `[A-Za-z0-9._-]`.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` if the name is not valid, and with `internal` if the receiver cannot
    /// listen.
    pub fn consumer(&self, name: &str) -> Result<Consumer, Error> {
        let is_allowed = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(is_allowed) {
            return Err(invalid(
                "the name of a lab consumer must be 1 to 64 characters of [A-Za-z0-9._-]",
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

    /// Starts nginx in front of an application: a real proxy that ends mutual TLS, requires a certificate
    /// of the lab's CA, and forwards it in the dialect `nginx`. A dispatcher of the lab can deliver to its
    /// URL. The program must be installed: on Debian, the package nginx-light. Blocks until it accepts
    /// connections.
    ///
    /// * `application`: host and port of the application, which speaks HTTP.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` if the application is not a host and a port, and with `internal` if
    /// nginx is not installed or does not start.
    pub fn nginx(&self, application: &str) -> Result<Nginx, Error> {
        let nginx = Nginx::start(&self.authority, application)?;
        lock(&self.proxies).push(nginx.clone());
        Ok(nginx)
    }

    /// Makes a dispatcher with [`Lab::dispatcher_options`].
    pub fn dispatcher(&self) -> Dispatcher {
        Dispatcher::new(self.dispatcher_options()).expect("the lab's own options are complete")
    }

    /// Returns options with the lab's identity and trust, and an egress policy that also allows loopback.
    pub fn dispatcher_options(&self) -> DispatcherOptions {
        DispatcherOptions::new()
            .identity(self.identity())
            .trust(self.trust())
            .egress(self.egress.clone())
    }

    /// Writes `tls.crt`, `tls.key` (mode 0600) and `ca.pem` into `dir`, for programs that take paths. The
    /// names are those of a Kubernetes TLS secret.
    ///
    /// * `dir`: the directory, made if it is missing. Existing files with these names are replaced.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` if a file cannot be written.
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
        written.map_err(|cause| invalid(&format!("cannot write to {dir}: {cause}")))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for nginx in lock(&self.proxies).drain(..) {
            nginx.close();
        }
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The panic hook has reported a panic of the thread, and drop cannot return it.
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

/// Makes an error of this kind with the defaults of the table, to test error handling without a network.
pub fn error(kind: Kind) -> Error {
    Error::new(kind, kind.title())
}

/// Sets the clock of the library for this whole process. Time continues from there.
///
/// For tests of aging certificates: the checks of files, verdicts, expiry and events use this clock. The
/// lab's own certificates and receivers use the true time.
///
/// * `at`: the new time; `None` is the true time again.
pub fn set_clock(at: Option<SystemTime>) {
    crate::clock::set(at);
}

/// Returns the number of certificate and CRL signatures that this process has checked so far.
///
/// A signature that is [remembered](crate::verify::remember_signatures) is not checked again.
pub fn signatures_checked() -> u64 {
    crate::x509::algorithms::signatures_checked()
}

/// Writes a file with mode 0600. Sets the mode before the first byte, so that the key is never readable
/// by other users, even if the file existed with a wider mode.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())
}

/// Makes the error for an action of the lab that failed.
fn lab_failed(what: &str, cause: impl fmt::Display) -> Error {
    Error::new(Kind::Internal, format!("the lab could not {what}: {cause}"))
}

/// Makes the error for an invalid argument.
fn invalid(why: &str) -> Error {
    Error::new(Kind::OptionInvalid, why)
}

/// Locks a mutex even if a test panicked while it held the lock, so that the next test does not fail too.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
