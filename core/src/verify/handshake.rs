//! Verifies the peer of a TLS connection that another library made. The bindings pass on the facts of
//! the language's own socket and judge nothing.

use std::time::SystemTime;

use super::{PeerIdentity, Verifier};
use crate::error::{Error, Kind, Stage};
use crate::options;
use crate::verify::policy::Role;

/// The facts of a handshake that a TLS socket of another library reports.
///
/// For bindings whose language has such sockets. The caller guarantees that the peer presented this
/// chain in this handshake. Use [`Verifier::verify`] for a chain from another source.
#[derive(Clone, Debug)]
pub struct Handshake {
    /// Whether the handshake is complete. Before that, the peer has not proved possession of its key.
    pub complete: bool,
    /// The role of the peer.
    pub peer: Role,
    /// The certificates that the peer presented, leaf first.
    pub chain: Vec<Vec<u8>>,
    /// Whether `chain` has all of them. A library keeps only the leaf of a resumed session.
    pub chain_is_whole: bool,
    /// The expected server name, if the peer is a server.
    pub server_name: Option<String>,
}

impl Verifier {
    /// Verifies the peer of a connection at the current time. Its evidence is `socket`.
    ///
    /// # Errors
    ///
    /// Fails as [`verify_chain`](Self::verify_chain) does, with `evidence_missing` also if the
    /// handshake is not complete, and with `option_invalid` if the peer does not have the role that
    /// this verifier judges.
    #[doc(hidden)]
    pub fn verify_handshake(&self, handshake: &Handshake) -> Result<PeerIdentity, Error> {
        if !handshake.complete {
            let error = Error::new(
                Kind::EvidenceMissing,
                "the handshake of the socket is not complete: the peer has not proved possession of its key",
            )
            .at(Stage::Verify)
            .advising("Verify the peer after the handshake, while the socket is open.");
            self.account(Some(&error));
            return Err(error);
        }
        if handshake.peer != self.role() {
            let why = format!(
                "is connected to a {}, and the verifier judges {}s",
                handshake.peer.name(),
                self.role().name()
            );
            return Err(options::fault("socket", why));
        }
        let server_name = handshake.server_name.as_deref();
        let chain: Vec<&[u8]> = handshake.chain.iter().map(Vec::as_slice).collect();
        let now = SystemTime::now();
        let peer = self.judge(&chain, handshake.chain_is_whole, server_name, now)?;
        Ok(peer.over_socket())
    }
}
