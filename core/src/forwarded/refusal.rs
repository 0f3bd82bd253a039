//! Why a forwarded certificate is refused. A refusal never contains bytes of a header.

use crate::error::{Error, Kind, key};

/// The reason of a refusal, as `context.reason` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    RemoteUnknown,
    RemoteNotListed,
    SecretMissing,
    SecretWrong,
    RepeatedHeader,
    AmbiguousHeader,
    VerdictMissing,
    VerdictNegative,
    CertificateAbsent,
    TooLarge,
    Malformed,
    Inconsistent,
}

impl Reason {
    fn name(self) -> &'static str {
        match self {
            Self::RemoteUnknown => "remote_unknown",
            Self::RemoteNotListed => "remote_not_listed",
            Self::SecretMissing => "secret_missing",
            Self::SecretWrong => "secret_wrong",
            Self::RepeatedHeader => "repeated_header",
            Self::AmbiguousHeader => "ambiguous_header",
            Self::VerdictMissing => "verdict_missing",
            Self::VerdictNegative => "verdict_negative",
            Self::CertificateAbsent => "certificate_absent",
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::Inconsistent => "inconsistent",
        }
    }

    /// Whether the sender is in doubt. Otherwise the hop is believed, but gives no evidence.
    fn is_about_the_hop(self) -> bool {
        matches!(
            self,
            Self::RemoteUnknown
                | Self::RemoteNotListed
                | Self::SecretMissing
                | Self::SecretWrong
                | Self::RepeatedHeader
                | Self::AmbiguousHeader
                | Self::VerdictMissing
        )
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::RemoteUnknown => {
                "Pass the peer of the transport itself: the address of its socket, `unix`, or the pin of the proxy's verified certificate. Or use a secret hop."
            }
            Self::RemoteNotListed => {
                "If this is the proxy, add its network to the hop. Otherwise the request went around the proxy."
            }
            Self::SecretMissing | Self::SecretWrong => {
                "The proxy must set the secret header of the hop on every request, in place of any that the client sent."
            }
            Self::RepeatedHeader | Self::AmbiguousHeader => {
                "The proxy must remove the client's own lines of this header, in every spelling, before it sets its own."
            }
            Self::VerdictMissing => {
                "The proxy must forward its verdict together with the certificate."
            }
            Self::VerdictNegative | Self::CertificateAbsent => {
                "The client must present a certificate that the proxy accepts. The proxy should require one."
            }
            Self::TooLarge => {
                "The client must send only its leaf and the intermediates up to the CA."
            }
            Self::Malformed | Self::Inconsistent => {
                "Compare the proxy's configuration with the dialect: webhook-mtls generates one for each proxy."
            }
        }
    }
}

/// A refusal before the chain is judged.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) reason: Reason,
    /// The header of the dialect or of the hop. Never a name from the request.
    header: Option<String>,
    message: String,
}

impl Refusal {
    pub(super) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, header: None, message: message.into() }
    }

    /// A refusal because of one header of the dialect or of the hop.
    pub(super) fn of(reason: Reason, header: &str, why: &str) -> Self {
        let message = format!("the header {header} {why}");
        Self { reason, header: Some(header.to_owned()), message }
    }

    pub(super) fn into_error(self, hop: &str) -> Error {
        let in_doubt = self.reason.is_about_the_hop();
        let kind = if in_doubt { Kind::HopUntrusted } else { Kind::EvidenceMissing };
        let message = format!("hop {hop}: {}", self.message);
        let error = Error::new(kind, message)
            .noting(key::HOP, hop)
            .noting(key::REASON, self.reason.name())
            .advising(self.reason.remedy());
        match self.header {
            Some(header) => error.noting(key::HEADER, header),
            None => error,
        }
    }
}
