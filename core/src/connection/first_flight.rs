//! The first message of a handshake, and the hint if it is larger than a packet and gets no answer.

use crate::error::{Error, Kind, Stage, cause, key};

/// The data of one packet on most paths, rounded down. Some firewalls look for the server's name in the
/// first packet only, and drop or reset a connection if it is not there.
const ONE_PACKET: usize = 1400;

/// Adds the hint to the error of a handshake if the first message was large and got no answer.
///
/// * `bytes`: how many were written before the first byte of the peer; 0 once it has answered.
pub(super) fn explain(error: Error, bytes: usize) -> Error {
    let kind = error.kind();
    let ended = matches!(kind, Kind::ConnectionLost | Kind::DeadlineExceeded);
    if bytes <= ONE_PACKET || !ended || error.stage() != Stage::Handshake {
        return error;
    }
    let otherwise = error.remedy().to_owned();
    let error = error
        .noting(key::HINT, "client_hello_may_be_too_large")
        .caused(&cause::FIRST_MESSAGE_TOO_LARGE, &[("bytes", &bytes)]);
    let remedy = format!("{} If that changes nothing: {otherwise}", error.remedy());
    error.advising(remedy)
}
