//! The ways in which a receiver can be wrong, each named once.
//!
//! To add one: a variant with its name here, and what it does in `receiver`, either where the TLS
//! configuration of a connection is chosen or where a request has been read.

/// What a receiver does instead of behaving.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Misbehaviour {
    /// Completes the handshake without ever asking for a client certificate, like a load balancer
    /// that ends TLS in front of the real consumer.
    NeverAsk,
    /// Asks for a client certificate and refuses whichever comes, with the alert `unknown_ca`. On
    /// TLS 1.3 the client's own handshake is complete by then.
    RejectCertificate,
    /// Shows a certificate with the right key that expired an hour ago.
    Expired,
    /// Shows a certificate with the right key for `wrong.lab.test`.
    WrongName,
    /// Reads and records the whole request, then resets the connection.
    ResetAfterBody,
    /// Reads and records the whole request, then never answers; it waits until the client is gone.
    Stall,
    /// Shows a certificate with the right names from a CA of the same shape that nobody trusts.
    OtherCa,
}

impl Misbehaviour {
    /// Every misbehaviour.
    pub const ALL: &[Self] = &[
        Self::NeverAsk,
        Self::RejectCertificate,
        Self::Expired,
        Self::WrongName,
        Self::ResetAfterBody,
        Self::Stall,
        Self::OtherCa,
    ];

    /// Its name in every language, such as `never_ask`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NeverAsk => "never_ask",
            Self::RejectCertificate => "reject_certificate",
            Self::Expired => "expired",
            Self::WrongName => "wrong_name",
            Self::ResetAfterBody => "reset_after_body",
            Self::Stall => "stall",
            Self::OtherCa => "other_ca",
        }
    }

    /// The misbehaviour of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|how| how.name() == name)
    }

    pub(super) const fn moment(self) -> Moment {
        match self {
            Self::NeverAsk
            | Self::RejectCertificate
            | Self::Expired
            | Self::WrongName
            | Self::OtherCa => Moment::Handshake,
            Self::ResetAfterBody | Self::Stall => Moment::Request,
        }
    }
}

/// When a misbehaviour happens, which is also what its `times` counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// Connections that said hello.
    Handshake,
    /// Requests that were read.
    Request,
}
