//! The pages that lead on from an error kind. They stand at the end of its page, which the field `help`
//! of an error leads to. A kind without a row has its causes and remedies alone.

use std::fmt::Write as _;

use serde_json::Value;

use crate::command::{Failure, Result};
use crate::generate::rows::{field, list};

/// A link: its text, and its target from `docs/`.
type Link = (&'static str, &'static str);

const FILES: Link = ("what files may hold", "identity.md#files");
const IDENTITY: Link = ("what must hold for an identity", "identity.md#what-must-hold");
const HOSTS: Link = ("names of a peer, and hosts", "options.md#which-options-decide-about-a-peer");
const WAY: Link = ("the checks of the way to a consumer", "diagnosis.md#the-way");
const LEAF: Link = ("what a leaf must have", "verification.md#the-leaf");
const PATH: Link = ("how a path is built", "verification.md#the-path");
const REVOCATION: Link = ("CRLs and policies", "revocation.md");
const THEIR_CA: Link = ("the consumer changes its CA", "rotate.md#the-consumer-changes-its-ca");
const HOP: Link = ("who may forward a certificate", "receive/README.md#the-hop");
const DIALECTS: Link =
    ("what each proxy must write", "receive/dialects.md#what-every-dialect-refuses");
const RECEIVE: Link = ("the checks of a received webhook", "signing.md#receive");
const SIGNER: Link = ("errors of signers", "signer.md#errors");
const FIELDS: Link = ("what the fields of an error decide", "send.md#when-a-delivery-fails");

/// The links of each kind that has some, in the order of the numbers.
const RELATED: [(&str, &[Link]); 46] = [
    ("option_invalid", &[("all options", "options.md")]),
    ("url_invalid", &[HOSTS]),
    ("pem_invalid", &[FILES, ("what a trust refuses", "trust.md#refusals-at-load")]),
    ("key_encrypted", &[FILES]),
    ("key_mismatch", &[IDENTITY]),
    (
        "identity_unusable",
        &[IDENTITY, ("replace client certificates of a public CA", "guides/public-ca.md")],
    ),
    ("trust_invalid", &[("what a trust refuses", "trust.md#refusals-at-load")]),
    ("public_root_in_trust", &[("public roots", "trust.md#public-roots")]),
    ("pin_invalid", &[("spellings of a pin", "pin.md#spellings")]),
    (
        "forked_process",
        &[("processes in Python", "python.md#processes"), ("fork in C", "c.md#fork")],
    ),
    ("clock_implausible", &[("runbook", "operate/runbook.md#webhookmtlsclockimplausible")]),
    (
        "identity_in_use",
        &[("retire the previous certificate", "rotate.md#retire-the-previous-certificate")],
    ),
    (
        "circuit_open",
        &[
            ("the circuit of an endpoint", "circuit.md"),
            ("runbook", "operate/runbook.md#webhookmtlscircuitopen"),
        ],
    ),
    (
        "overloaded",
        &[
            ("runbook", "operate/runbook.md#webhookmtlsdeliveriesoverloaded"),
            ("how many processes a fleet needs", "sizing.md"),
        ],
    ),
    ("host_not_found", &[WAY]),
    ("resolve_failed", &[WAY]),
    ("egress_denied", &[("egress", "send.md#egress")]),
    ("connect_failed", &[WAY]),
    ("proxy_refused", &[WAY]),
    ("certificate_expired", &[("know before it expires", "rotate.md#know-before-it-expires")]),
    ("certificate_revoked", &[REVOCATION]),
    ("name_mismatch", &[HOSTS]),
    ("issuer_unknown", &[THEIR_CA, PATH]),
    ("issuer_rekeyed", &[THEIR_CA]),
    ("purpose_not_allowed", &[LEAF]),
    ("certificate_invalid", &[LEAF, PATH]),
    ("key_weak", &[("keys and signatures", "identity.md#keys-and-signatures")]),
    ("chain_too_long", &[PATH]),
    ("crl_unusable", &[REVOCATION]),
    ("constraint_violated", &[("name constraints", "verification.md#name-constraints"), PATH]),
    (
        "pin_mismatch",
        &[
            ("when the consumer changes its key", "pin.md#when-the-consumer-changes-its-key"),
            ("runbook", "operate/runbook.md#webhookmtlspinmismatch"),
        ],
    ),
    ("tenant_refused", &[RECEIVE]),
    (
        "client_auth_not_requested",
        &[
            ("runbook", "operate/runbook.md#webhookmtlsclientauthnotrequested"),
            ("settings of common servers", "receive/README.md#the-proxy"),
        ],
    ),
    ("client_certificate_unusable", &[IDENTITY]),
    (
        "client_certificate_rejected",
        &[
            (
                "a consumer that refuses the new certificate",
                "rotate.md#a-consumer-that-refuses-the-new-certificate",
            ),
            ("runbook", "operate/runbook.md#webhookmtlsclientcertificaterejected"),
        ],
    ),
    ("tls_failed", &[("the checks of their handshake", "diagnosis.md#their-handshake")]),
    ("evidence_missing", &[DIALECTS, HOP]),
    ("hop_untrusted", &[HOP, DIALECTS]),
    ("issuer_distrusted", &[("runbook", "operate/runbook.md#webhookmtlsdistrustedissuer")]),
    ("signature_invalid", &[RECEIVE]),
    ("token_invalid", &[RECEIVE]),
    ("signer_failed", &[SIGNER]),
    ("signer_timeout", &[SIGNER]),
    ("http_status", &[FIELDS]),
    ("deadline_exceeded", &[("time limits", "send.md#time-limits")]),
    ("connection_lost", &[FIELDS]),
];

/// Returns the section with the links of a kind, or nothing.
pub(super) fn section(kind: &str) -> String {
    let mut text = String::new();
    let Some((_, links)) = RELATED.iter().find(|(name, _)| *name == kind) else { return text };
    text.push_str("\n## Related pages\n\n");
    for (shown, target) in *links {
        writeln!(text, "- [{shown}](../{target})").expect("writing to a String succeeds");
    }
    text
}

/// Checks that each row belongs to a kind, in the order of the kinds.
pub(super) fn check(tables: &Value) -> Result {
    let mut rows = RELATED.iter().map(|(name, _)| *name).peekable();
    for kind in list(tables, &["kinds"])? {
        rows.next_if_eq(&field(kind, "name")?);
    }
    match rows.next() {
        None => Ok(()),
        Some(name) => Err(Failure::new(format!("{name} is no kind, or stands after a later one"))),
    }
}

#[cfg(test)]
mod tests {
    use super::{RELATED, check, section};
    use serde_json::{Value, json};

    #[test]
    fn a_kind_has_its_links_from_the_folder_of_its_page() {
        assert_eq!(
            section("egress_denied"),
            "\n## Related pages\n\n- [egress](../send.md#egress)\n"
        );
        assert_eq!(section("internal"), "");
    }

    #[test]
    fn a_row_of_no_kind_or_out_of_order_is_refused() {
        let kind = |name: &&str| json!({ "name": name });
        let tables =
            |names: &[&str]| json!({ "kinds": names.iter().map(kind).collect::<Vec<Value>>() });
        let mut names: Vec<&str> = RELATED.iter().map(|(name, _)| *name).collect();
        names.insert(1, "a_kind_without_a_row");
        assert!(check(&tables(&names)).is_ok());
        names.swap(2, 3);
        assert!(check(&tables(&names)).is_err());
        assert!(check(&tables(&names[4..])).is_err());
    }
}
