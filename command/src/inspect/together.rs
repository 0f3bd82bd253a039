//! What the files are together: keys with their certificates, and chains below a CA.

use std::path::Path;
use std::time::SystemTime;

use clap::ArgMatches;
use serde_json::{Value, json};
use webhook_mtls::bindings::inspection::{
    CertificateFacts, Encoding, Inspection, Item, Use, Verdict, meaning,
};
use webhook_mtls::error::{Error, Kind};
use webhook_mtls::verify::PeerIdentity;
use webhook_mtls::{Authorization, Identity, Role, Trust, Verifier, VerifierOptions};

use super::Inspected;
use crate::cli::text;
use crate::exit::{Failure, show_error};
use crate::screen::{Mark, Screen};

/// A private key and the file of its certificate, or a key whose certificate is in no file.
pub(super) struct Pair {
    key: String,
    certificate: Option<String>,
    identity: Option<Result<Identity, Error>>,
}

/// Finds the certificate of each key, and makes an identity of both.
pub(super) fn pairs(files: &[Inspected]) -> Vec<Pair> {
    let keys = files.iter().filter(|file| {
        let is_key = |item: &Item| matches!(item, Item::PrivateKey(_));
        items(file).iter().any(is_key)
    });
    let pair = |key: &Inspected| {
        let pins: Vec<&str> = items(key)
            .iter()
            .filter_map(|item| match item {
                Item::PrivateKey(facts) => Some(facts.spki_pin.as_str()),
                _ => None,
            })
            .collect();
        let fits = |file: &&Inspected| {
            certificates(file).any(|facts| pins.contains(&facts.spki_pin.as_str()))
        };
        // A file with both is an identity of its own.
        let certificate = Some(key).filter(fits).or_else(|| files.iter().find(fits));
        Pair {
            key: key.path.clone(),
            certificate: certificate.map(|file| file.path.clone()),
            identity: certificate.map(|file| identity(file, key)),
        }
    };
    // A key alone is not half of something.
    if files.iter().all(|file| certificates(file).next().is_none()) {
        return Vec::new();
    }
    keys.map(pair).collect()
}

fn identity(certificate: &Inspected, key: &Inspected) -> Result<Identity, Error> {
    let passphrase = key.passphrase.as_deref();
    let is_pkcs12 = |inspection: &Inspection| inspection.encoding == Encoding::Pkcs12;
    if key.inspection.as_ref().is_ok_and(is_pkcs12) {
        return Identity::from_pkcs12(&key.content, passphrase.unwrap_or_default());
    }
    Identity::from_pem(&certificate.content, &key.content, passphrase)
}

impl Pair {
    /// Returns why key and certificate do not fit. What the certificate can be used for is not judged here.
    fn misfit(&self) -> Option<&Error> {
        let fault = self.identity.as_ref()?.as_ref().err()?;
        (fault.kind() != Kind::IdentityUnusable).then_some(fault)
    }

    fn notes(&self) -> &[String] {
        self.identity
            .as_ref()
            .and_then(|identity| identity.as_ref().ok())
            .map_or(&[], Identity::notes)
    }

    pub(super) fn report(&self, faults: &mut Vec<String>, warnings: &mut Vec<String>) {
        if self.certificate.is_none() {
            faults.push(format!("{}: its certificate is in none of these files", self.key));
        }
        faults.extend(self.misfit().map(|fault| format!("{}: {}", self.key, fault.message())));
        warnings.extend(self.notes().iter().map(|note| format!("{}: {note}", self.key)));
    }

    pub(super) fn show(&self, screen: &mut Screen) {
        let Some(certificate) = &self.certificate else {
            let why = format!("{}: its certificate is in none of these files", self.key);
            return screen.mark(Mark::Fault, &why);
        };
        if let Some(fault) = self.misfit() {
            return show_error(fault, Some(&self.key), screen);
        }
        let is_one = *certificate == self.key;
        let what =
            if is_one { self.key.clone() } else { format!("{} and {certificate}", self.key) };
        let is_identity = matches!(self.identity, Some(Ok(_)));
        let so = if is_identity {
            "key and certificate fit: an identity"
        } else {
            "key and certificate fit"
        };
        screen.mark(Mark::Ok, &format!("{what}: {so}"));
        for note in self.notes() {
            screen.mark(Mark::Warning, note);
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let fault = self.identity.as_ref().and_then(|identity| identity.as_ref().err());
        json!({
            "key": self.key,
            "certificate": self.certificate,
            "fits": self.certificate.is_some() && self.misfit().is_none(),
            "is_identity": matches!(self.identity, Some(Ok(_))),
            "error": fault.map(Error::to_json),
            "notes": self.notes(),
        })
    }
}

/// The verdict of the verifier on the chain of a file.
pub(super) struct Chain {
    path: String,
    ca: String,
    role: Role,
    verdict: Result<PeerIdentity, Error>,
}

/// Judges the chain of each file by the bundle of `--ca`. A leaf is judged in each role that it has.
pub(super) fn chains(files: &[Inspected], matches: &ArgMatches) -> Result<Vec<Chain>, Failure> {
    let Some(ca) = text(matches, "ca") else { return Ok(Vec::new()) };
    let crl = text(matches, "crl").map(Path::new);
    let trust = Trust::from_files(ca, None, crl).map_err(|error| Failure::about(error, "--ca"))?;
    let mut chains = Vec::new();
    for file in files {
        let Some(leaf) = certificates(file).next() else { continue };
        let ders: Vec<&[u8]> = certificates(file).map(|facts| &facts.der[..]).collect();
        for role in roles(leaf) {
            let options = VerifierOptions::new(role, trust.clone());
            let (options, name) = match role {
                Role::Client => (options.authorization(Authorization::ca_members()), None),
                Role::Server => {
                    let name = text(matches, "name").map(str::to_owned);
                    (options, Some(name.unwrap_or_else(|| first_name(leaf))))
                }
            };
            let verifier = Verifier::new(options)?;
            let verdict = verifier.verify_chain(&ders, name.as_deref(), SystemTime::now());
            chains.push(Chain { path: file.path.clone(), ca: ca.to_owned(), role, verdict });
        }
    }
    Ok(chains)
}

/// Returns the roles that a leaf can be judged in; both if it has neither, so that the fault shows.
fn roles(leaf: &CertificateFacts) -> Vec<Role> {
    let has = |of| leaf.verdict(of).is_some_and(Verdict::is_usable);
    match (has(Use::Identity), has(Use::Server)) {
        (true, false) => vec![Role::Client],
        (false, true) => vec![Role::Server],
        _ => vec![Role::Client, Role::Server],
    }
}

/// Returns the first host name or address of a certificate.
fn first_name(leaf: &CertificateFacts) -> String {
    let host = |name: &String| {
        name.strip_prefix("DNS:").or_else(|| name.strip_prefix("IP:")).map(str::to_owned)
    };
    // A server without a name is refused for that.
    leaf.names
        .iter()
        .find_map(host)
        .unwrap_or_else(|| "no-name.invalid".to_owned())
        .replace('*', "any")
}

impl Chain {
    pub(super) fn fault(&self) -> Option<String> {
        let fault = self.verdict.as_ref().err()?;
        Some(format!("{}: {}", self.path, fault.message()))
    }

    pub(super) fn show(&self, screen: &mut Screen) {
        match &self.verdict {
            Ok(peer) => {
                let role = self.role.name();
                let path = peer.path().join(" ← ");
                screen.mark(Mark::Ok, &format!("{} is a {role} of {}: {path}", self.path, self.ca));
                for note in peer.notes() {
                    screen.mark(Mark::Info, meaning(note));
                }
            }
            Err(fault) => {
                let what = format!("{} as a {}", self.path, self.role.name());
                show_error(fault, Some(&what), screen);
            }
        }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "path": self.path,
            "ca": self.ca,
            "role": self.role.name(),
            "peer": self.verdict.as_ref().ok().map(PeerIdentity::to_json),
            "error": self.verdict.as_ref().err().map(Error::to_json),
        })
    }
}

fn items(file: &Inspected) -> &[Item] {
    file.inspection.as_ref().map_or(&[], |inspection| &inspection.items)
}

fn certificates(file: &Inspected) -> impl Iterator<Item = &CertificateFacts> {
    items(file).iter().filter_map(|item| match item {
        Item::Certificate(facts) => Some(&**facts),
        _ => None,
    })
}
