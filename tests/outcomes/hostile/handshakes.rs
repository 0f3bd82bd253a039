//! Well-formed handshakes with a fault.

use rustls::SignatureScheme;
use serde_json::json;

use crate::case::{Case, error, noting, receipt};
use crate::receiver::Conn;
use crate::world::Manner;

pub(crate) fn cases() -> Vec<Case> {
    let shows = |name: &str, manner: Manner, kind: &str| {
        Case::secure(name, Conn::behave).manner(manner).ends([error(kind, "nothing")])
    };
    let only_rsa = vec![SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PSS_SHA384];
    let unknown = vec![SignatureScheme::Unknown(0x7fff)];
    vec![
        Case::secure("behaves", Conn::behave).deliveries(3).ends([receipt(200)]),
        shows("certificate_expired", Manner::Expired, "certificate_expired"),
        shows("certificate_not_yet_valid", Manner::NotYetValid, "certificate_not_yet_valid"),
        shows("certificate_of_another_name", Manner::WrongName, "name_mismatch"),
        shows("certificate_for_another_purpose", Manner::OtherPurpose, "purpose_not_allowed"),
        shows("certificate_of_another_ca", Manner::OtherCa, "issuer_unknown"),
        shows("never_asks_for_ours", Manner::NeverAsks, "client_auth_not_requested"),
        Case::secure("pin_of_nobody", Conn::behave)
            .pinned("sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
            .ends([error("pin_mismatch", "nothing")]),
        shows("takes_only_rsa", Manner::Schemes(only_rsa), "client_certificate_unusable"),
        shows("takes_no_known_scheme", Manner::Schemes(unknown), "client_certificate_unusable"),
        shows("tls_1_2_alone", Manner::SpeaksOnly12, "tls_failed"),
        Case::secure("tls_1_2_where_it_is_allowed", Conn::behave)
            .manner(Manner::SpeaksOnly12)
            .tls12()
            .deliveries(2)
            .ends([receipt(200)]),
        Case::secure("http_2_alone", Conn::behave).manner(Manner::SpeaksH2).ends([noting(
            "tls_failed",
            "nothing",
            json!({ "alert": "no_application_protocol" }),
        )]),
    ]
}
