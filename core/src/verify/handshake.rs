//! The peer of a TLS connection that another library made: what a language's own socket says of it,
//! judged here, so that no binding has to.

use std::time::SystemTime;

use super::{PeerIdentity, Verifier};
use crate::error::{Error, Kind, Stage};
use crate::options;
use crate::verify::policy::Role;

/// What a TLS socket of another library says about its handshake.
///
/// For the languages that have such sockets. Whoever fills it in vouches that the chain is what the
/// peer showed in this handshake; bytes from elsewhere are for [`Verifier::verify`].
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct Handshake {
    /// Whether it is complete. Before that, the peer has not proved that it has the key.
    pub complete: bool,
    /// What the peer is in it.
    pub peer: Role,
    /// The certificates that the peer showed, leaf first. Of some libraries, the leaf alone.
    pub chain: Vec<Vec<u8>>,
    /// The name that was asked for, where the peer is a server.
    pub server_name: Option<String>,
}

impl Verifier {
    /// Judges the peer of a connection now. Its evidence is `socket`.
    ///
    /// Fails as [`verify_chain`](Self::verify_chain) does, with `evidence_missing` also while the
    /// handshake is not complete, and with `option_invalid` if the peer is not what this verifier
    /// judges.
    #[doc(hidden)]
    pub fn verify_handshake(&self, seen: &Handshake) -> Result<PeerIdentity, Error> {
        if !seen.complete {
            return Err(Error::new(
                Kind::EvidenceMissing,
                "the handshake of the socket is not complete: its peer has proved nothing yet",
            )
            .at(Stage::Verify)
            .advising("Verify the peer after the handshake, while the socket is open."));
        }
        if seen.peer != self.role() {
            let why = format!(
                "has a {} at its other end, and the verifier judges {}s",
                seen.peer.name(),
                self.role().name()
            );
            return Err(options::fault("socket", why));
        }
        let server_name = seen.server_name.as_deref();
        let peer = self.verify_chain(&seen.chain, server_name, SystemTime::now())?;
        Ok(peer.over_socket())
    }
}
