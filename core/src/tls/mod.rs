//! TLS. The only room that uses rustls' connections.
//!
//! Every connection gets its own resolver and verifier around one shared state. So the verifier knows
//! whether the consumer requested our certificate, and its typed refusal survives the way through rustls.
//! Resumption is off: a resumed session runs no verifier, and so would bypass changed pins.

mod alert;
mod authorities;
mod facts;
mod failure;
mod flood;
mod off_lane;
mod partial;
mod refusal;
mod server_hello;
mod session;
mod stream;
mod terms;
mod witness;

pub(crate) use alert::Alert;
pub use facts::TlsFacts;
pub(crate) use flood::{Flood, is_flood};
pub(crate) use partial::{FirstMessages, PartialHandshake};
pub(crate) use refusal::{
    MAY_BE_REFUSED, may_be_refused, refused_by_alert, refused_by_close, refused_by_page, unjudged,
};
pub(crate) use session::{Established, handshake};
pub(crate) use stream::{PollLimited, has_plaintext, plaintext, tickets};
pub use terms::MinTls;
pub(crate) use terms::Terms;
pub(crate) use witness::{Seen, Witness};

use crate::material::identity::Identity;
use crate::verify::PeerIdentity;
use crate::x509::Certificate;

/// The last instant (Unix seconds) at which a connection may be used. Both certification paths are valid
/// until then, and so are the CRLs that were used for the peer.
///
/// An open connection is not verified again. So it must close as soon as a date passes that a new
/// handshake would check.
pub(crate) fn valid_until(peer: &PeerIdentity, identity: &Identity) -> i64 {
    let ours = identity.chain().iter().map(Certificate::not_after);
    ours.fold(peer.valid_until(), i64::min)
}
