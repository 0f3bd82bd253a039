//! Compares verdicts on generated chains: this library, webpki, OpenSSL (strict) and Go.
//!
//! Two kinds of difference need a reason, which belongs to a change of the chain: the library accepts
//! what OpenSSL or Go refuses, and the library refuses what all others accept. OpenSSL and Go answer
//! as processes of their own, one line of JSON for each chain. The variables `FUZZ_OPENSSL` and
//! `FUZZ_GO` have their command lines, a word per line; a judge without its variable is left out.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use serde_json::{Value, json};
use webhook_mtls::{Role, Trust, Verifier, VerifierOptions};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::chain::{Chain, HOST};

/// 2026-06-01.
const AT: u64 = 1_780_272_000;

/// Why the library accepts a change that another verifier refuses.
const ACCEPTED: &[(&str, &str, &str)] = &[
    ("key_ids", "openssl", "Key identifiers order the search; the signature decides."),
    ("no_usage_of_ca", "openssl", "RFC 5280 section 6.1.4 (n) checks keyUsage if it is present."),
    ("ca_for_any", "openssl", "anyExtendedKeyUsage of a CA sets no limit."),
    ("issuer_spelled", "go", "Names are compared by RFC 5280 section 7.1, not by octets."),
    ("issued_again", "go", "Self-issued CAs do not count (RFC 5280 section 4.2.1.9)."),
    ("directory", "go", "Go has no constraints for directoryName."),
    ("other_name", "go", "A constraint only matters if a name of its type occurs."),
    ("uri", "go", "A URI constraint is that host alone (RFC 5280 section 4.2.1.10)."),
    ("serial_negative", "go", "A negative serial number of a CA is no fault of the path."),
    ("criticality", "openssl", "Constraints and purposes are enforced, critical or not."),
    ("email", "go", "An e-mail constraint is that host alone (RFC 5280 section 4.2.1.10)."),
    ("email_empty", "openssl", "An empty base stands for all mailboxes, as NSS and Go read it."),
    ("uri_empty", "openssl", "An empty base stands for all hosts, as NSS and Go read it."),
    ("odd_name", "go", "A name is only read if a constraint of its type exists."),
    ("ends_now", "openssl", "The second of notAfter is included (RFC 5280 section 4.1.2.5)."),
    ("path_length", "openssl", "The path length of a certificate that is no CA has no meaning."),
    ("unknown_extension", "go", "As below, if two changes add it to one certificate."),
    (
        "extension_twice",
        "go",
        "An unknown extension that is not critical has no effect, also twice.",
    ),
];

/// Why the library refuses a change that all others accept.
const REFUSED: &[(&str, &str)] = &[
    ("mappings", "RFC 5280 section 6.1.4 (a) forbids to map anyPolicy, also to an anchor."),
    ("nul", "A program in C would read the name up to the NUL."),
    ("policy_constraints", "They must be critical, and bind an anchor as an intermediate."),
    ("constrained_leaf", "Name constraints are a right that only a CA may have."),
    ("usage_of_leaf", "Without digitalSignature, a leaf cannot sign a handshake of TLS 1.3."),
];

/// Judges the chain that the input describes, and panics if a difference has no reason.
pub(crate) fn compare(input: &[u8]) {
    let chain = Chain::of(input);
    let mine = by_library(&chain);
    let mut others = vec![("webpki", by_webpki(&chain))];
    others.extend(by_processes(&chain));
    if let Some(missing) = unexplained(&chain, &mine, &others) {
        panic!(
            "{missing}\nchanges: {:?}\nlibrary: {mine:?}\n{others:#?}\n{}",
            chain.tags,
            pem(&chain)
        );
    }
}

type Verdict = Result<(), String>;

fn unexplained(chain: &Chain, mine: &Verdict, others: &[(&str, Verdict)]) -> Option<String> {
    if mine.is_err() {
        let alone = others.len() == 3 && others.iter().all(|(_, verdict)| verdict.is_ok());
        let has_reason = chain.tags.iter().any(|tag| REFUSED.iter().any(|(known, _)| known == tag));
        return (alone && !has_reason).then(|| "refused here alone".to_owned());
    }
    let refusing = others.iter().filter(|(name, verdict)| *name != "webpki" && verdict.is_err());
    let without_reason = refusing.map(|(name, _)| *name).find(|name| {
        !chain
            .tags
            .iter()
            .any(|tag| ACCEPTED.iter().any(|(known, by, _)| known == tag && by == name))
    });
    without_reason.map(|name| format!("accepted here, refused by {name}"))
}

fn by_library(chain: &Chain) -> Verdict {
    let trust = Trust::from_pem(&chain.root, None, &[]).map_err(|error| error.to_string())?;
    let options = VerifierOptions::new(Role::Server, trust);
    let verifier = Verifier::new(options).map_err(|error| error.to_string())?;
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(AT);
    let verdict = verifier.verify_chain(&chain.presented(), Some(HOST), at);
    verdict.map(drop).map_err(|error| error.to_string())
}

fn by_webpki(chain: &Chain) -> Verdict {
    let said = |error: &dyn std::fmt::Debug| format!("{error:?}");
    let root = CertificateDer::from(chain.root.as_slice());
    let anchors = [anchor_from_trusted_cert(&root).map_err(|error| said(&error))?];
    let mut presented = chain.presented().into_iter().map(CertificateDer::from);
    let leaf = presented.next().ok_or("no leaf")?;
    let intermediates: Vec<_> = presented.collect();
    let leaf = EndEntityCert::try_from(&leaf).map_err(|error| said(&error))?;
    let at = UnixTime::since_unix_epoch(Duration::from_secs(AT));
    let algorithms = webpki::ALL_VERIFICATION_ALGS;
    leaf.verify_for_usage(
        algorithms,
        &anchors,
        &intermediates,
        at,
        KeyUsage::server_auth(),
        None,
        None,
    )
    .map_err(|error| said(&error))?;
    let name = ServerName::try_from(HOST).map_err(|error| said(&error))?;
    leaf.verify_is_valid_for_subject_name(&name).map_err(|error| said(&error))
}

struct Judge {
    name: &'static str,
    /// It ends with this process, when its standard input closes.
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Judge {
    /// Starts the process of a variable, if it is set.
    fn start(name: &'static str, variable: &str) -> Option<Self> {
        let command = std::env::var(variable).ok()?;
        let mut words = command.lines();
        let mut process = Command::new(words.next()?)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{variable}: {command}: {error}"));
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        Some(Self { name, process, output })
    }

    fn ask(&mut self, question: &str) -> Verdict {
        let mut answer = String::new();
        let input = self.process.stdin.as_mut().expect("a pipe");
        writeln!(input, "{question}").expect("the judge reads");
        self.output.read_line(&mut answer).expect("the judge answers");
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        let why = answer["why"].as_str().unwrap_or_default().to_owned();
        if answer["accepted"] == true { Ok(()) } else { Err(why) }
    }
}

fn by_processes(chain: &Chain) -> Vec<(&'static str, Verdict)> {
    static JUDGES: OnceLock<Mutex<Vec<Judge>>> = OnceLock::new();
    let judges = JUDGES.get_or_init(|| {
        let all = [("openssl", "FUZZ_OPENSSL"), ("go", "FUZZ_GO")];
        Mutex::new(all.iter().filter_map(|(name, from)| Judge::start(name, from)).collect())
    });
    let mut judges = judges.lock().unwrap_or_else(PoisonError::into_inner);
    if judges.is_empty() {
        return Vec::new();
    }
    let (leaf, above) = chain.below.split_last().expect("a leaf");
    let question = json!({
        "anchors": armored(&chain.root),
        "leaf": armored(leaf),
        "intermediates": above.iter().rev().map(|der| armored(der)).collect::<String>(),
        "name": HOST,
        "at": AT,
    });
    let question = question.to_string();
    judges.iter_mut().map(|judge| (judge.name, judge.ask(&question))).collect()
}

/// Returns the chain as PEM, root first.
fn pem(chain: &Chain) -> String {
    std::iter::once(&chain.root).chain(&chain.below).map(|der| armored(der)).collect()
}

fn armored(der: &[u8]) -> String {
    let lines: Vec<String> = der.chunks(48).map(|line| STANDARD.encode(line)).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}
