//! Why an exchange brought no response, and the error that reports it.

use super::Connection;
use super::tls_stream::StreamEnd;
use crate::error::cause::{self, Cause};
use crate::error::{Blame, Error, Kind, Scope, Sent, Stage, key};
use crate::http::{MAX_HEAD, MAX_HEADERS, MAX_INTERIM, ResponseFault};
use crate::tls::{self, Alert};

/// Why an exchange brought no response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ExchangeFault {
    /// The consumer's bytes are not a valid response.
    Response(ResponseFault),
    /// The connection ended before a final response.
    Lost,
    /// The request was not started: its generation no longer serves.
    Withdrawn,
}

impl From<ResponseFault> for ExchangeFault {
    fn from(fault: ResponseFault) -> Self {
        Self::Response(fault)
    }
}

impl Connection {
    /// The error for a missing response.
    ///
    /// * `sent`: how much of the request was sent.
    pub(super) fn fault(&self, fault: ExchangeFault, sent: Sent) -> Error {
        match fault {
            ExchangeFault::Response(fault) => invalid_response(fault).having_sent(sent),
            ExchangeFault::Withdrawn => {
                let why = "the endpoint was changed before the request began";
                Error::new(Kind::HandleClosed, why).at(Stage::Admit)
            }
            ExchangeFault::Lost => {
                let stage = if sent == Sent::All { Stage::Response } else { Stage::Request };
                match (self.stream.alert(), self.stream.end()) {
                    (Some(alert), _) => self.ended_by_alert(alert, stage, sent),
                    (None, Some(StreamEnd::Flooded)) => flooded(stage, sent),
                    (None, end) => self.lost(end, stage, sent),
                }
            }
        }
    }

    fn ended_by_alert(&self, alert: Alert, stage: Stage, sent: Sent) -> Error {
        if alert.is_about_certificate() {
            // In TLS 1.3 the server judges our certificate after the handshake and before it reads the
            // request. A later alert of this kind may have another cause.
            let unread = self.handshake.tls.version == "TLSv1.3"
                && self.stream.is_first_and_unanswered()
                && !self.stream.is_accepted();
            let sent = if unread { Sent::Nothing } else { sent };
            let stage = if unread { Stage::Handshake } else { stage };
            return self.refused_by_alert(alert).at(stage).having_sent(sent);
        }
        let name = alert.name();
        let message = format!("the consumer ended the connection with the alert {name}");
        Error::new(Kind::ConnectionLost, message)
            .at(stage)
            .having_sent(sent)
            .noting(key::ALERT, name)
    }

    /// The error for an alert that refuses our certificate before a request.
    pub(super) fn refused_by_alert(&self, alert: Alert) -> Error {
        tls::refused_by_alert(alert, self.terms.identity(), &self.handshake.tls.authorities)
    }

    fn lost(&self, end: Option<StreamEnd>, stage: Stage, sent: Sent) -> Error {
        let how = end.map_or("closed", StreamEnd::text);
        let extent = extent(sent);
        let message = format!("the connection was {how} before a response arrived; {extent}");
        let lost = Error::new(Kind::ConnectionLost, message)
            .at(stage)
            .having_sent(sent)
            .noting(key::HOW, how)
            .caused(ending(end), &[("address", &self.address)]);
        if self.stream.is_answered() {
            lost.noting(key::ANSWER_BEGAN, true)
        } else if self.stream.is_first_and_unanswered() {
            // A server that resets instead of sending an alert about our certificate looks the same,
            // even if it does so before the request left.
            let lost =
                tls::may_be_refused(lost, self.terms.identity(), &self.handshake.tls.authorities);
            if sent == Sent::Nothing {
                return lost;
            }
            let remedy = lost.remedy().to_owned();
            lost.advising(format!("{remedy} The consumer may already have the payload."))
        } else {
            lost
        }
    }
}

fn ending(end: Option<StreamEnd>) -> &'static Cause {
    match end {
        Some(StreamEnd::Reset) => &cause::CONNECTION_RESET,
        _ => &cause::CONNECTION_CLOSED,
    }
}

fn invalid_response(fault: ResponseFault) -> Error {
    match fault {
        ResponseFault::Malformed(why) => {
            Error::new(Kind::HttpInvalid, format!("the response is not HTTP/1.1: {why}"))
                .caused(&cause::INVALID_LINE, &[])
        }
        ResponseFault::TooManyInterim => Error::new(
            Kind::HttpInvalid,
            format!("more than {MAX_INTERIM} interim responses arrived, and no final one"),
        ),
        ResponseFault::HeadTooLong => Error::new(
            Kind::ResponseTooLarge,
            format!("the head of the response exceeds {MAX_HEAD} bytes"),
        ),
        ResponseFault::TooManyHeaders => Error::new(
            Kind::ResponseTooLarge,
            format!("the response has more than {MAX_HEADERS} headers"),
        ),
    }
}

fn flooded(stage: Stage, sent: Sent) -> Error {
    let extent = extent(sent);
    let message = format!("the consumer sent too many TLS messages without data; {extent}");
    Error::new(Kind::ConnectionLost, message)
        .at(stage)
        .blamed(Blame::Theirs)
        .scoped(Scope::Endpoint)
        .advising(
            "The consumer must stop sending TLS messages (tickets, key updates) without data.",
        )
        .having_sent(sent)
        .noting(key::HOW, StreamEnd::Flooded.text())
}

/// States how much of the request was sent.
fn extent(sent: Sent) -> &'static str {
    match sent {
        Sent::Nothing => "nothing of the request was sent",
        Sent::Maybe => "part of the request may have been sent",
        Sent::All => "all of the request was sent",
    }
}
