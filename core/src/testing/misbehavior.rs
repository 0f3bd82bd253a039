//! The ways in which a receiver can misbehave, each named once.
//!
//! To add one, add a variant and its name here, and its behavior to `receiver`: where the TLS
//! configuration of a connection is chosen, or where a request has been read.

use super::Error;

/// A fault that a receiver commits on demand.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Misbehavior {
    /// Completes the handshake without asking for a client certificate, like a load balancer that
    /// terminates TLS in front of the real consumer.
    NeverAsk,
    /// Asks for a client certificate and refuses every one, with the alert `unknown_ca`. With TLS 1.3,
    /// the client has completed its own handshake by then.
    RejectCertificate,
    /// Presents a certificate with the right key that expired an hour ago.
    Expired,
    /// Presents a certificate with the right key for `wrong.lab.test`.
    WrongName,
    /// Reads and records the whole request, then resets the connection.
    ResetAfterBody,
    /// Reads and records the whole request, then never answers; waits until the client closes.
    Stall,
    /// Presents a certificate with the right names from a similar CA that no peer trusts.
    OtherCa,
    /// Completes the handshake, then closes without an alert and without a session ticket.
    CloseAfterHandshake,
    /// The same, after it has named only another CA in its certificate request. So Node refuses a
    /// certificate on TLS 1.3.
    RejectByClose,
    /// Speaks TLS 1.2 and no later version, and is correct otherwise.
    Tls12,
}

impl Misbehavior {
    /// All misbehaviors.
    pub const ALL: &[Self] = &[
        Self::NeverAsk,
        Self::RejectCertificate,
        Self::Expired,
        Self::WrongName,
        Self::ResetAfterBody,
        Self::Stall,
        Self::OtherCa,
        Self::CloseAfterHandshake,
        Self::RejectByClose,
        Self::Tls12,
    ];

    /// Returns its name, which is the same in all languages, such as `never_ask`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NeverAsk => "never_ask",
            Self::RejectCertificate => "reject_certificate",
            Self::Expired => "expired",
            Self::WrongName => "wrong_name",
            Self::ResetAfterBody => "reset_after_body",
            Self::Stall => "stall",
            Self::OtherCa => "other_ca",
            Self::CloseAfterHandshake => "close_after_handshake",
            Self::RejectByClose => "reject_by_close",
            Self::Tls12 => "tls_1_2",
        }
    }

    /// Returns the misbehavior with this name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|how| how.name() == name)
    }

    /// Returns the misbehavior that the argument `how` of a binding names.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` and lists the names if there is no such misbehavior.
    #[doc(hidden)]
    pub fn of_argument(how: &str) -> Result<Self, Error> {
        Error::named_by("how", how, Self::ALL, Self::name)
    }

    pub(super) const fn moment(self) -> Moment {
        match self {
            Self::NeverAsk
            | Self::RejectCertificate
            | Self::Expired
            | Self::WrongName
            | Self::OtherCa
            | Self::CloseAfterHandshake
            | Self::RejectByClose
            | Self::Tls12 => Moment::Handshake,
            Self::ResetAfterBody | Self::Stall => Moment::Request,
        }
    }
}

/// When a misbehavior happens. Its `times` counts these moments.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// After a ClientHello.
    Handshake,
    /// After a request was read.
    Request,
}
