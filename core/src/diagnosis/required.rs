//! Whether the consumer requires a certificate, or only requests one: a second connection, on which we
//! present none.

use std::time::Duration;

use super::DiagnosisRequest;
use super::checks::{Check, Group};
use super::is_found;
use super::report::Results;
use crate::dispatcher::examination::{Answered, Examination};
use crate::error::{Error, Kind, key};
use crate::tls::Witness;

/// The longest time for the second connection. A server that stalls must not use up the whole deadline.
const LONGEST: Duration = Duration::from_secs(5);

/// What the consumer did with a connection without a certificate.
enum Outcome {
    /// It ended the connection, or answered with a page about certificates.
    Refused(String),
    /// It answered with this status.
    Answered(u16),
    /// The handshake was completed. No request was made.
    Unrefused,
}

/// Checks a consumer that has accepted our certificate.
///
/// * `answered`: the status of the request with our certificate, if there was one.
pub(super) async fn check(
    examination: &Examination,
    request: Option<DiagnosisRequest>,
    answered: Option<u16>,
    results: &mut Results,
) {
    const CHECK: Check = Check::VerdictRequired;
    if results.has_failed_in(Group::Handshake) || results.has_failed_in(Group::Verdict) {
        return;
    }
    let wait = LONGEST.min(examination.time_left());
    let outcome = match tokio::time::timeout(wait, connect(examination, request)).await {
        Err(_) => return results.miss(CHECK, "not known: the consumer did not answer in time"),
        Ok(Err(error)) => return results.miss(CHECK, format!("not known: {}", error.message())),
        Ok(Ok(outcome)) => outcome,
    };
    match outcome {
        Outcome::Refused(how) => {
            results.pass(CHECK, format!("required: without a certificate, {how}"));
        }
        Outcome::Answered(status) if is_refusal(status) && answered != Some(status) => {
            results.pass(CHECK, format!("required: HTTP {status} without a certificate"));
        }
        Outcome::Answered(status) if is_refusal(status) => results.miss(
            CHECK,
            format!("not known: HTTP {status} with our certificate and without one"),
        ),
        Outcome::Answered(status) => results.warn(
            CHECK,
            format!(
                "requested and not required: without a certificate, the consumer answers HTTP {status}"
            ),
            "Ask the consumer to require client certificates, so that no client can post to it without one: in nginx, ssl_verify_client on in place of optional.",
        ),
        Outcome::Unrefused => results.miss(
            CHECK,
            "not known: the handshake succeeds without a certificate, and servers like nginx judge only when a request arrives: ask with a request to be sure",
        ),
    }
}

/// Whether a status may mean that a certificate is missing.
fn is_refusal(status: u16) -> bool {
    matches!(status, 400 | 401 | 403 | 495 | 496)
}

/// Fails if the connection shows nothing about certificates.
async fn connect(
    examination: &Examination,
    request: Option<DiagnosisRequest>,
) -> Result<Outcome, Error> {
    examination.begin_again();
    let mut connection = match examination.open(&Witness::anonymous()).await {
        Ok(connection) => connection,
        Err(error) => return refused(error),
    };
    let Some(request) = request else {
        return match examination.await_verdict(&mut connection).await {
            Ok(_) => Ok(Outcome::Unrefused),
            Err(error) => refused(error),
        };
    };
    match examination.ask(&mut connection, &request.method()).await {
        Ok(Answered::Taken(status)) => Ok(Outcome::Answered(status)),
        Ok(Answered::Refused(error)) => {
            let status = error.fact(key::STATUS).and_then(|status| u16::try_from(status.0).ok());
            match (error.kind(), status) {
                (Kind::ClientCertificateRejected, Some(status)) => {
                    Ok(Outcome::Refused(format!("it answers HTTP {status} and says so")))
                }
                (_, Some(status)) => Ok(Outcome::Answered(status)),
                (_, None) => refused(error),
            }
        }
        Err(error) => refused(error),
    }
}

/// Tells a refusal from a failure that has nothing to do with certificates.
fn refused(error: Error) -> Result<Outcome, Error> {
    match (error.kind(), error.fact(key::ALERT)) {
        (_, Some(alert)) => Ok(Outcome::Refused(format!("it sends the TLS alert {alert}"))),
        (Kind::ConnectionLost | Kind::ClientCertificateRejected, None) if is_found(&error) => {
            Ok(Outcome::Refused("it ends the connection".to_owned()))
        }
        _ => Err(error),
    }
}
