//! TLS alerts that a peer sends before it ends a connection.

use std::io;

use rustls::AlertDescription;

/// An alert that a peer sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Alert(AlertDescription);

impl Alert {
    /// The alert in an error of a TLS stream, if any.
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        match error.get_ref()?.downcast_ref::<rustls::Error>()? {
            rustls::Error::AlertReceived(description) => Some(Self(*description)),
            _ => None,
        }
    }

    /// The name in RFC 8446 section 6, or `alert_` with the number.
    pub(crate) fn name(self) -> String {
        const NAMES: &[(u8, &str)] = &[
            (0, "close_notify"),
            (10, "unexpected_message"),
            (20, "bad_record_mac"),
            (22, "record_overflow"),
            (40, "handshake_failure"),
            (42, "bad_certificate"),
            (43, "unsupported_certificate"),
            (44, "certificate_revoked"),
            (45, "certificate_expired"),
            (46, "certificate_unknown"),
            (47, "illegal_parameter"),
            (48, "unknown_ca"),
            (49, "access_denied"),
            (50, "decode_error"),
            (51, "decrypt_error"),
            (70, "protocol_version"),
            (71, "insufficient_security"),
            (80, "internal_error"),
            (86, "inappropriate_fallback"),
            (90, "user_canceled"),
            (109, "missing_extension"),
            (110, "unsupported_extension"),
            (112, "unrecognized_name"),
            (116, "certificate_required"),
            (120, "no_application_protocol"),
        ];
        let number = self.number();
        let known = NAMES.iter().find(|(known, _)| *known == number);
        known.map_or_else(|| format!("alert_{number}"), |(_, name)| (*name).to_owned())
    }

    /// The number of the alert.
    pub(crate) fn number(self) -> u8 {
        u8::from(self.0)
    }

    /// Whether the alert concerns our certificate.
    pub(crate) fn is_about_certificate(self) -> bool {
        matches!(self.number(), 42..=46 | 48 | 49 | 116)
    }
}
