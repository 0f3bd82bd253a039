//! The facts of a handshake so far. They explain a handshake that fails or is abandoned.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::authorities::OurCertificate;
use super::facts::TlsFacts;
use super::server_hello::{ServerHello, ServerHelloReader};
use crate::error::{Error, Kind, cause};
use crate::process::own;
use crate::verify::PeerIdentity;

/// The facts of one handshake so far. The socket, the resolver and the verifier write them. The delivery
/// reads them after the handshake has failed, or after a deadline or a cancellation has dropped it.
#[derive(Default)]
pub(crate) struct PartialHandshake {
    /// The first bytes of the peer, padded with zeros.
    first: AtomicU64,
    /// How many bytes were written before the first byte of the peer.
    unanswered: AtomicUsize,
    /// The choices of the peer's ServerHello, packed; 0 until it has arrived.
    hello: AtomicU64,
    state: own::Mutex<SessionState>,
}

/// The state that resolver and verifier share.
#[derive(Default)]
pub(super) struct SessionState {
    pub(super) ours: OurCertificate,
    /// Our key supports a signature scheme that the consumer offers.
    pub(super) key_fits: bool,
    pub(super) peer: Option<PeerIdentity>,
    pub(super) refusal: Option<Error>,
    pub(super) signature: SignatureProgress,
}

/// How far the signature of a signer has come.
#[derive(Clone, Copy, Default)]
pub(super) enum SignatureProgress {
    /// The key is in memory, or the handshake has not come that far.
    #[default]
    NotBegun,
    /// All places of the signer are taken, since this instant.
    WaitsForPlace(Instant),
    /// The signer was called at this instant.
    Called(Instant),
    /// The signer has answered or failed after this time.
    Ended(Duration),
}

impl SignatureProgress {
    /// Returns how long the signer has taken, if it was called.
    pub(super) fn spent(self) -> Option<Duration> {
        match self {
            Self::NotBegun | Self::WaitsForPlace(_) => None,
            Self::Called(at) => Some(at.elapsed()),
            Self::Ended(took) => Some(took),
        }
    }
}

impl PartialHandshake {
    /// Returns the parameters that the peer chose, or `None` if its ServerHello has not arrived.
    pub(crate) fn facts(&self) -> Option<TlsFacts> {
        let hello = ServerHello::from_bits(self.hello.load(Relaxed))?;
        let state = self.state();
        Some(TlsFacts::of_hello(hello, &state.ours, state.signature.spent()))
    }

    /// Returns how long the signature has taken, for a handshake that did not complete, and whether the
    /// signer has answered or failed. `None` if no signer was needed yet.
    pub(crate) fn signature(&self) -> Option<(Duration, bool)> {
        match self.state().signature {
            SignatureProgress::NotBegun => None,
            SignatureProgress::WaitsForPlace(at) | SignatureProgress::Called(at) => {
                Some((at.elapsed(), false))
            }
            SignatureProgress::Ended(took) => Some((took, true)),
        }
    }

    /// Returns the error of a deadline that passed while the handshake waited for a signer, or `None` if it
    /// waited for something else.
    ///
    /// * `part`, `millis`: the deadline.
    pub(crate) fn signer_timeout(&self, part: &str, millis: u64) -> Option<Error> {
        let deadline = format!("the {part} deadline of {millis} ms");
        match self.state().signature {
            SignatureProgress::NotBegun | SignatureProgress::Ended(_) => None,
            SignatureProgress::WaitsForPlace(_) => {
                let message = format!("no call of the signer ended to make place until {deadline}");
                let error = Error::new(Kind::SignerTimeout, message);
                Some(error.caused(&cause::SIGNER_BUSY, &[]))
            }
            SignatureProgress::Called(at) => {
                let waited = at.elapsed().as_millis();
                let message =
                    format!("the signer has not answered for {waited} ms when {deadline} passed");
                Some(Error::new(Kind::SignerTimeout, message))
            }
        }
    }

    /// Returns the first bytes of the peer, padded with zeros.
    pub(crate) fn first_bytes(&self) -> [u8; 8] {
        self.first.load(Relaxed).to_be_bytes()
    }

    /// Returns how many bytes were written before the first byte of the peer, or 0 after it.
    pub(crate) fn unanswered(&self) -> usize {
        self.unanswered.load(Relaxed)
    }

    pub(super) fn set_unanswered(&self, bytes: usize) {
        self.unanswered.store(bytes, Relaxed);
    }

    pub(super) fn state(&self) -> own::MutexGuard<'_, SessionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for PartialHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartialHandshake").field("facts", &self.facts()).finish()
    }
}

/// Reads the first messages of a peer into the facts of its handshake.
pub(crate) struct FirstMessages {
    into: Arc<PartialHandshake>,
    begun: bool,
    reader: ServerHelloReader,
}

impl FirstMessages {
    pub(crate) fn new(into: Arc<PartialHandshake>) -> Self {
        Self { into, begun: false, reader: ServerHelloReader::default() }
    }

    /// Notes the bytes that were read from the socket, if they are the first.
    pub(crate) fn note(&mut self, bytes: &[u8]) {
        if !std::mem::replace(&mut self.begun, true) {
            let mut first = [0; 8];
            let length = bytes.len().min(first.len());
            first[..length].copy_from_slice(&bytes[..length]);
            self.into.first.store(u64::from_be_bytes(first), Relaxed);
        }
    }

    /// Reads a part of a record's body.
    pub(crate) fn read(&mut self, content_type: u8, body: &[u8]) {
        self.reader.read(content_type, body);
        if let Some(hello) = self.reader.hello() {
            self.into.hello.store(hello.to_bits(), Relaxed);
        }
    }

    /// Returns whether no further message is read.
    pub(crate) fn are_read(&self) -> bool {
        self.reader.is_done()
    }
}
