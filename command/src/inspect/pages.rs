//! One file, for a person.

use webhook_mtls::bindings::inspection::{
    CertificateFacts, CrlFacts, Inspection, Item, KeyFacts, Use, Verdict, utc_text,
};

use super::{Inspected, is_judged};
use crate::exit::show_error;
use crate::screen::{Mark, Screen};

/// Shows a file.
///
/// * `wanted`: the only use to judge.
pub(super) fn file(file: &Inspected, wanted: Option<Use>, screen: &mut Screen) {
    screen.indent(0);
    let inspection = match &file.inspection {
        Ok(inspection) => inspection,
        Err(failure) => {
            screen.title(&file.path);
            screen.indent(2);
            failure.show_on(screen);
            return;
        }
    };
    screen.title(&format!(
        "{}: {}, {}",
        file.path,
        inspection.encoding.name(),
        content(inspection)
    ));
    screen.indent(2);
    let mut certificates = 0..;
    for (at, item) in inspection.items.iter().enumerate() {
        if at > 0 {
            screen.blank();
        }
        match item {
            Item::Certificate(facts) => {
                let at = certificates.next().unwrap_or_default();
                certificate(facts, &verdicts(facts, wanted, at), wanted.is_some(), screen);
            }
            Item::PrivateKey(facts) => private_key(facts, screen),
            Item::Crl(facts) => crl(facts, screen),
            Item::Unreadable { fault, .. } => show_error(fault, None, screen),
        }
    }
}

/// Counts the parts of a file.
fn content(inspection: &Inspection) -> String {
    let count = |is: fn(&Item) -> bool| inspection.items.iter().filter(|item| is(item)).count();
    let counted = [
        (count(|item| matches!(item, Item::Certificate(_))), "certificate"),
        (count(|item| matches!(item, Item::PrivateKey(_))), "private key"),
        (count(|item| matches!(item, Item::Crl(_))), "CRL"),
        (count(|item| matches!(item, Item::Unreadable { .. })), "unreadable part"),
    ];
    let named = counted
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}{}", if *count == 1 { "" } else { "s" }));
    named.collect::<Vec<_>>().join(", ")
}

fn certificate(
    facts: &CertificateFacts,
    verdicts: &[&Verdict],
    is_wanted: bool,
    screen: &mut Screen,
) {
    let title =
        if facts.subject.is_empty() { "a certificate without a subject" } else { &facts.subject };
    screen.title(title);
    screen.field("issued by", if facts.self_issued { "itself" } else { &facts.issuer });
    screen.field(
        "valid",
        &format!("{} to {}", utc_text(facts.not_before), utc_text(facts.not_after)),
    );
    if !facts.names.is_empty() {
        screen.field("names", &facts.names.join(", "));
    }
    if facts.is_ca {
        let below = match facts.path_length {
            Some(0) => "leaves only below it".to_owned(),
            Some(1) => "at most 1 CA below it".to_owned(),
            Some(count) => format!("at most {count} CAs below it"),
            None => "any number of CAs below it".to_owned(),
        };
        screen.field("CA", &below);
    }
    screen.field("purposes", &listed(facts.purposes.as_ref(), "absent: any"));
    screen.field("key usage", &listed(facts.key_usage.as_ref(), "absent: any"));
    screen.field("key", &format!("{}; signed with {}", facts.key, facts.signature));
    screen.field("pin", &facts.spki_pin);
    screen.field("cert pin", &facts.certificate_pin);
    screen.field("serial", &facts.serial);
    screen.field("fingerprint", &facts.fingerprint);
    if let Some(why) = &facts.date_warning {
        screen.mark(Mark::Warning, why);
    }
    for verdict in verdicts {
        show(verdict, is_wanted, screen);
    }
}

fn listed<T: AsRef<str>>(words: Option<&Vec<T>>, absent: &str) -> String {
    words.map_or_else(
        || absent.to_owned(),
        |words| words.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", "),
    )
}

/// Returns the verdicts that say something. Nobody asks whether a CA is our identity, or whether the
/// intermediate of a chain is an anchor, unless told to.
///
/// * `at`: the position of the certificate among those of its file.
fn verdicts(facts: &CertificateFacts, wanted: Option<Use>, at: usize) -> Vec<&Verdict> {
    let is_asked = |verdict: &&Verdict| match wanted {
        Some(of) => verdict.of == of && is_judged(of, at),
        None if facts.is_ca => verdict.of == Use::Anchor && (at == 0 || facts.self_issued),
        None => verdict.of != Use::Anchor,
    };
    facts.verdicts.iter().filter(is_asked).collect()
}

fn show(verdict: &Verdict, is_wanted: bool, screen: &mut Screen) {
    let what = match verdict.of {
        Use::Identity => "as our identity",
        Use::Server => "as a consumer's server",
        Use::Anchor => "as an anchor of a trust bundle",
    };
    match &verdict.fault {
        None => screen.mark(Mark::Ok, &format!("{what}: usable")),
        Some(fault) if is_wanted => show_error(fault, Some(what), screen),
        // A client certificate is no worse because it is no server's.
        Some(fault) => screen.mark(Mark::Info, &format!("not {what}: {}", fault.message())),
    }
    for note in &verdict.notes {
        screen.mark(Mark::Warning, note);
    }
}

fn private_key(facts: &KeyFacts, screen: &mut Screen) {
    screen.title("private key");
    let how = if facts.encrypted { "encrypted" } else { "not encrypted" };
    screen.field("key", &format!("{}, {how}", facts.algorithm));
    screen.field("pin", &facts.spki_pin);
}

fn crl(facts: &CrlFacts, screen: &mut Screen) {
    screen.title(&format!("CRL of {}", facts.issuer));
    screen.field("issued", &utc_text(facts.this_update));
    screen.field("next due", &utc_text(facts.next_update));
    let number = facts.number.as_deref().unwrap_or("none");
    screen.field("number", number);
    screen.field(
        "revokes",
        &match facts.revoked {
            1 => "1 certificate".to_owned(),
            count => format!("{count} certificates"),
        },
    );
    screen.field("signed with", &facts.signature);
    if facts.outdated {
        let why = "outdated: peers that it should cover are refused until there is a new one";
        screen.mark(Mark::Warning, why);
    }
}
