//! Refusals of our certificate, and responses that resemble a refusal.

use std::sync::Arc;

use rustls::{CertificateError, OtherError};
use serde_json::{Value, json};

use crate::case::{Case, noting, status};
use crate::receiver::Conn;
use crate::world::Manner;

/// Ten deliveries, because an alert that is detected nine times of ten is a fault.
const TEN: u32 = 10;

pub(crate) fn cases() -> Vec<Case> {
    let alerts = [
        ("unknown_ca", CertificateError::UnknownIssuer),
        ("certificate_expired", CertificateError::Expired),
        ("certificate_revoked", CertificateError::Revoked),
        ("bad_certificate", CertificateError::BadEncoding),
        ("certificate_unknown", CertificateError::Other(OtherError(Arc::new(std::fmt::Error)))),
        ("access_denied", CertificateError::ApplicationVerificationFailure),
        ("unsupported_certificate", CertificateError::InvalidPurpose),
    ];
    let mut cases = Vec::new();
    for (alert, how) in alerts {
        for (size, body) in [("small", 64), ("large", 20 << 20)] {
            let refuses = |name: String, manner| {
                Case::secure(name, Conn::behave)
                    .manner(manner)
                    .body(body)
                    .deliveries(TEN)
                    .ends([rejected(alert)])
            };
            cases.push(refuses(format!("refuses_by_{alert}_{size}"), Manner::Refuses(how.clone())));
            let older = format!("refuses_on_tls_1_2_by_{alert}_{size}");
            cases.push(refuses(older, Manner::Refuses12(how.clone())).tls12());
        }
    }
    // An alert at the same moment that is not about our certificate.
    cases.push(
        Case::secure("decrypt_error_is_about_a_signature", Conn::behave)
            .manner(Manner::Refuses(CertificateError::BadSignature))
            .ends(
                ["nothing", "maybe", "all"].map(|sent| {
                    noting("connection_lost", sent, json!({ "alert": "decrypt_error" }))
                }),
            ),
    );
    let page = |name: &str, status: u16, body: &'static str| {
        Case::asked(name, move |mut conn| {
            let length = format!("content-length: {}\r\nconnection: close\r\n", body.len());
            conn.answer(status, &length, body.as_bytes())?;
            conn.bye()
        })
    };
    let by_page = || noting("client_certificate_rejected", "all", json!({ "via": "http" }));
    cases.extend([
        page(
            "nginx_no_certificate",
            400,
            "<html><center>No required SSL certificate was sent</center></html>",
        )
        .ends([by_page()]),
        page(
            "nginx_bad_certificate",
            400,
            "<html><center>The SSL certificate error</center></html>",
        )
        .ends([by_page()]),
        page("status_495", 495, "").ends([by_page()]),
        page("status_496", 496, "").ends([by_page()]),
        page("a_400_of_its_own", 400, "{\"error\":\"certificate of authenticity missing\"}")
            .ends([status(400, "later")]),
        page("a_403_of_a_location", 403, "Forbidden").ends([status(403, "later")]),
    ]);
    cases
}

fn rejected(alert: &str) -> Value {
    noting("client_certificate_rejected", "nothing", json!({ "via": "alert", "alert": alert }))
}
