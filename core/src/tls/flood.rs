//! Floods: endless TLS messages without data.

use std::error::Error;
use std::fmt;
use std::io;

use rustls::PeerMisbehaved::{
    TooManyEmptyFragments, TooManyKeyUpdateRequests, TooManyRenegotiationRequests,
    TooManyWarningAlertsReceived,
};

/// The peer exceeded the limit of TLS bytes without data.
#[derive(Debug)]
pub(crate) struct Flood;

impl fmt::Display for Flood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the peer sends TLS without data")
    }
}

impl Error for Flood {}

impl From<Flood> for io::Error {
    fn from(flood: Flood) -> Self {
        Self::other(flood)
    }
}

/// Whether a TLS stream failed because its peer sent too many bytes without data, by our limits or by those
/// of rustls.
pub(crate) fn is_flood(error: &io::Error) -> bool {
    let Some(inner) = error.get_ref() else { return false };
    let by_rustls = matches!(
        inner.downcast_ref(),
        Some(rustls::Error::PeerMisbehaved(
            TooManyEmptyFragments
                | TooManyKeyUpdateRequests
                | TooManyRenegotiationRequests
                | TooManyWarningAlertsReceived
        ))
    );
    // For fragments that never complete a message, rustls reports only that its buffer is full.
    let full = error.kind() == io::ErrorKind::InvalidData && !inner.is::<rustls::Error>();
    by_rustls || full || inner.is::<Flood>()
}
