//! `inspect`: what a file is, and what the library says of it.

mod pages;
mod together;

use clap::{Arg, ArgMatches, Command};
use serde_json::{Value, json};
use webhook_mtls::bindings::inspection::{Inspection, Item, Use};
use webhook_mtls::bindings::limits::CRLS;
use webhook_mtls::error::{Error, Kind};

use crate::SCHEMA;
use crate::cli::{is_json, json_option, strict_option, text, texts, value};
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::files;
use crate::screen::Screen;
use crate::secrets;

pub(crate) fn command() -> Command {
    let uses: Vec<&str> = Use::ALL.iter().map(|of| of.name()).collect();
    Command::new("inspect")
        .about("Say what certificates, keys, PKCS#12 files and CRLs are, and what we think of them")
        .arg(
            Arg::new("files")
                .value_name("FILE")
                .num_args(1..)
                .required(true)
                .help("PEM, DER or PKCS#12; - is the standard input"),
        )
        .arg(
            value(
                "as",
                "USE",
                "Judge certificates for this use: exit code 3 if one cannot be used so",
            )
            .value_parser(uses),
        )
        .arg(value("ca", "FILE", "Also judge the chain of each file by this CA bundle"))
        .arg(value("crl", "FILE", "CRLs for --ca").requires("ca"))
        .arg(
            value(
                "name",
                "HOST",
                "The server's name for --ca [default: the first of its certificate]",
            )
            .requires("ca"),
        )
        .arg(secrets::passphrase_option())
        .args([strict_option(), json_option()])
        .after_help(
            "Examples:
  webhook-mtls inspect tls.crt tls.key
  webhook-mtls inspect --as identity --strict tls.crt
  webhook-mtls inspect --ca acme-ca.pem acme-server.pem
  openssl s_client -connect hooks.acme.example:443 </dev/null \\
      | webhook-mtls inspect -",
        )
}

/// A file that was named, and what is in it.
pub(crate) struct Inspected {
    path: String,
    content: Vec<u8>,
    passphrase: Option<Vec<u8>>,
    inspection: Result<Inspection, Failure>,
}

/// Returns whether a certificate is to be judged for a use: a chain has one leaf, and a bundle many anchors.
///
/// * `at`: its position among the certificates of the file.
fn is_judged(of: Use, at: usize) -> bool {
    of == Use::Anchor || at == 0
}

pub(crate) fn run(matches: &ArgMatches, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let given = secrets::passphrase(matches, console)?;
    let mut files = Vec::new();
    for path in texts(matches, "files") {
        files.push(read(path, given.as_deref(), console)?);
    }
    let wanted = text(matches, "as").and_then(Use::from_name);
    let findings = Findings::of(&files, wanted, matches)?;
    let exit = findings.exit(matches.get_flag("strict"));
    if is_json(matches) {
        let shown = findings.to_json(&files, exit);
        console.print_json(&shown)?;
        return Ok(exit);
    }
    let mut screen = Screen::new(console);
    for (at, file) in files.iter().enumerate() {
        if at > 0 {
            screen.blank();
        }
        pages::file(file, wanted, &mut screen);
    }
    findings.show(&mut screen);
    let text = screen.finish();
    console.print(&text)?;
    Ok(exit)
}

/// Reads one file. Asks for its passphrase if it needs one and none was given.
fn read(path: &str, given: Option<&[u8]>, console: &mut Console<'_>) -> Result<Inspected, Failure> {
    let content = match files::read(path, CRLS, console) {
        Ok(content) => content,
        Err(failure) => {
            let (content, passphrase) = Default::default();
            return Ok(Inspected {
                path: path.to_owned(),
                content,
                passphrase,
                inspection: Err(failure),
            });
        }
    };
    let mut passphrase = given.map(<[u8]>::to_vec);
    let mut inspection = Inspection::of(&content, given);
    if given.is_none()
        && needs_passphrase(&inspection)
        && let Some(typed) = secrets::ask(path, console)?
    {
        inspection = Inspection::of(&content, Some(&typed));
        passphrase = Some(typed);
    }
    let inspection = inspection.map_err(Failure::from);
    Ok(Inspected { path: path.to_owned(), content, passphrase, inspection })
}

fn needs_passphrase(inspection: &Result<Inspection, Error>) -> bool {
    let is_locked = |fault: &Error| fault.kind() == Kind::KeyEncrypted;
    match inspection {
        Err(fault) => is_locked(fault),
        Ok(inspection) => inspection
            .items
            .iter()
            .any(|item| matches!(item, Item::Unreadable { fault, .. } if is_locked(fault))),
    }
}

/// What is to be said of all files together.
struct Findings {
    faults: Vec<String>,
    warnings: Vec<String>,
    pairs: Vec<together::Pair>,
    chains: Vec<together::Chain>,
}

impl Findings {
    fn of(files: &[Inspected], wanted: Option<Use>, matches: &ArgMatches) -> Result<Self, Failure> {
        let (mut faults, mut warnings) = (Vec::new(), Vec::new());
        for file in files {
            let path = &file.path;
            let items = match &file.inspection {
                Ok(inspection) => &inspection.items[..],
                Err(failure) => {
                    faults.push(failure.message_about(path));
                    continue;
                }
            };
            let mut certificates = 0..;
            for item in items {
                match item {
                    Item::Certificate(facts) => {
                        let dated = facts.date_warning.iter();
                        warnings
                            .extend(dated.map(|why| format!("{path}: {} {why}", facts.subject)));
                        let at = certificates.next().unwrap_or_default();
                        let judged = wanted.filter(|of| is_judged(*of, at));
                        let verdict = judged.and_then(|of| facts.verdict(of));
                        let fault = verdict.and_then(|verdict| verdict.fault.as_ref());
                        faults.extend(fault.map(|fault| format!("{path}: {}", fault.message())));
                        let notes = verdict.into_iter().flat_map(|verdict| &verdict.notes);
                        warnings.extend(notes.map(|note| format!("{path}: {note}")));
                    }
                    Item::Crl(crl) if crl.outdated => {
                        warnings.push(format!("{path}: the CRL of {} is outdated", crl.issuer));
                    }
                    Item::Unreadable { fault, .. } => {
                        faults.push(format!("{path}: {}", fault.message()));
                    }
                    Item::Crl(_) | Item::PrivateKey(_) => {}
                }
            }
        }
        let pairs = together::pairs(files);
        for pair in &pairs {
            pair.report(&mut faults, &mut warnings);
        }
        let chains = together::chains(files, matches)?;
        faults.extend(chains.iter().filter_map(together::Chain::fault));
        Ok(Self { faults, warnings, pairs, chains })
    }

    fn exit(&self, is_strict: bool) -> Exit {
        if !self.faults.is_empty() {
            Exit::Ours
        } else if is_strict && !self.warnings.is_empty() {
            Exit::Warnings
        } else {
            Exit::Well
        }
    }

    fn show(&self, screen: &mut Screen) {
        if self.pairs.is_empty() && self.chains.is_empty() {
            return;
        }
        screen.blank();
        screen.indent(0);
        screen.title("Together");
        screen.indent(2);
        for pair in &self.pairs {
            pair.show(screen);
        }
        for chain in &self.chains {
            chain.show(screen);
        }
    }

    fn to_json(&self, files: &[Inspected], exit: Exit) -> Value {
        let file = |file: &Inspected| match &file.inspection {
            Ok(inspection) => json!({
                "path": file.path,
                "encoding": inspection.encoding.name(),
                "items": inspection.items.iter().map(Item::to_json).collect::<Vec<_>>(),
                "error": null,
            }),
            Err(fault) => json!({
                "path": file.path,
                "encoding": null,
                "items": [],
                "error": fault.to_json(),
            }),
        };
        json!({
            "schema": SCHEMA,
            "command": "inspect",
            "ok": exit == Exit::Well,
            "exit": exit.code(),
            "files": files.iter().map(file).collect::<Vec<_>>(),
            "pairs": self.pairs.iter().map(together::Pair::to_json).collect::<Vec<_>>(),
            "chains": self.chains.iter().map(together::Chain::to_json).collect::<Vec<_>>(),
            "faults": self.faults,
            "warnings": self.warnings,
        })
    }
}
