//! `lab`: a private CA in a directory, for tests: an offline root, an intermediate that issues, leaves, and a
//! CRL.

mod authority;
mod state;

use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, value_parser};
use serde_json::{Value, json};

use crate::SCHEMA;
use crate::cli::{flag, is_json, json_option, text, value};
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::issuing;
use crate::screen::{Mark, Screen};
use authority::Authority;

pub(crate) fn command() -> Command {
    let directory = || {
        Arg::new("directory")
            .value_name("DIRECTORY")
            .required(true)
            .help("The directory of the lab")
    };
    let init = Command::new("init")
        .about("Make a root, an intermediate and an empty CRL")
        .arg(directory())
        .arg(value("name", "NAME", "The name of the CA in its certificates [default: lab]"))
        .arg(issuing::key_type_option())
        .arg(json_option());
    let issue = Command::new("issue")
        .about("Issue a certificate with a new key: NAME.crt and NAME.key")
        .arg(directory())
        .arg(
            Arg::new("name")
                .value_name("NAME")
                .required(true)
                .help("Common name, and name of the files: letters, digits, dot, dash, underscore"),
        )
        .arg(flag("server", "For a server; without a name of its own, it is localhost"))
        .args(issuing::name_options())
        .arg(
            value("days", "DAYS", "How long it is valid [default: 30]")
                .value_parser(value_parser!(u32).range(1..=3650)),
        )
        .arg(flag("expired", "Make it end an hour ago, to test an expiry"))
        .arg(issuing::key_type_option())
        .arg(json_option());
    let revoke = Command::new("revoke")
        .about("Revoke a certificate, and write the CRL again")
        .arg(directory())
        .arg(Arg::new("name").value_name("NAME").required(true).help("As it was issued"))
        .arg(json_option());
    let crl = Command::new("crl")
        .about("Write the CRL again, valid for a week from now")
        .arg(directory())
        .arg(json_option());
    Command::new("lab")
        .about("Keep a private CA for tests in a directory: issue, revoke, CRL")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommands([init, issue, revoke, crl])
        .after_help(
            "The keys are not encrypted: a lab is for tests.

Examples:
  webhook-mtls lab init pki
  webhook-mtls lab issue pki sender --uri spiffe://lab.test/webhooks
  webhook-mtls lab issue pki receiver --server --dns localhost --ip 127.0.0.1
  webhook-mtls listen --cert pki/receiver.crt --key pki/receiver.key \\
      --ca pki/ca.pem
  webhook-mtls lab revoke pki sender",
        )
}

pub(crate) fn run(matches: &ArgMatches, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let (verb, matches) = matches.subcommand().unwrap_or(("", matches));
    let directory = PathBuf::from(text(matches, "directory").unwrap_or_default());
    let done = match verb {
        "init" => init(&directory, matches)?,
        "issue" => issue(&directory, matches)?,
        "revoke" => revoke(&directory, matches)?,
        _ => {
            Authority::open(&directory)?.write_crl()?;
            Done::new(verb).wrote(&directory, "crl.pem", "the CRL")
        }
    };
    done.show(is_json(matches), console)
}

fn init(directory: &Path, matches: &ArgMatches) -> Result<Done, Failure> {
    let name = text(matches, "name").unwrap_or("lab");
    Authority::init(directory, name, || issuing::new_key(matches))?;
    Ok(Done::new("init")
        .wrote(directory, "ca.pem", "the root, which peers trust")
        .wrote(directory, "intermediate.pem", "the intermediate, which issues")
        .wrote(directory, "crl.pem", "an empty CRL")
        .wrote(
            directory,
            "root.key",
            "the key of the root: keep it elsewhere, nothing here needs it",
        ))
}

fn issue(directory: &Path, matches: &ArgMatches) -> Result<Done, Failure> {
    let name = text(matches, "name").unwrap_or_default();
    check_name(name)?;
    let is_server = matches.get_flag("server");
    let mut names = issuing::names(matches)?;
    if is_server && names.is_empty() {
        names = vec![issuing::san("DNS", "localhost")?, issuing::san("IP", "127.0.0.1")?];
    }
    let params = issuing::leaf(name, names, is_server)?;
    let days = matches.get_one::<u32>("days").copied().unwrap_or(30);
    let key = issuing::new_key(matches)?;
    let mut authority = Authority::open(directory)?;
    authority.issue(name, params, &key, days, matches.get_flag("expired"))?;
    let what = if is_server { "a server's certificate" } else { "a client's certificate" };
    let mut done = Done::new("issue")
        .wrote(directory, &format!("{name}.crt"), &format!("{what} and the intermediate"))
        .wrote(directory, &format!("{name}.key"), "its key");
    done.pin = Some(issuing::pin(&key));
    Ok(done)
}

fn revoke(directory: &Path, matches: &ArgMatches) -> Result<Done, Failure> {
    let name = text(matches, "name").unwrap_or_default();
    let mut authority = Authority::open(directory)?;
    let count = authority.revoke(name)?;
    let what = format!("the CRL, which now revokes {name} ({count} in all)");
    Ok(Done::new("revoke").wrote(directory, "crl.pem", &what))
}

/// Checks a name that becomes the name of a file.
fn check_name(name: &str) -> Result<(), Failure> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let is_taken = ["ca", "root", "intermediate", "crl", "lab"].contains(&name);
    let is_sound = (1..=64).contains(&name.len())
        && name.bytes().all(is_allowed)
        && !name.starts_with(['.', '-'])
        && !is_taken;
    if is_sound {
        return Ok(());
    }
    Err(Failure::usage(
        "NAME must be 1 to 64 letters, digits, dots, dashes and underscores, and no name of a file of the lab",
    ))
}

/// What was done, for a person or as JSON.
struct Done {
    verb: &'static str,
    files: Vec<(String, String)>,
    pin: Option<String>,
}

impl Done {
    fn new(verb: &str) -> Self {
        let known = ["init", "issue", "revoke", "crl"].into_iter().find(|known| *known == verb);
        Self { verb: known.unwrap_or("crl"), files: Vec::new(), pin: None }
    }

    fn wrote(mut self, directory: &Path, file: &str, what: &str) -> Self {
        self.files.push((directory.join(file).display().to_string(), what.to_owned()));
        self
    }

    fn show(&self, is_json: bool, console: &mut Console<'_>) -> Result<Exit, Failure> {
        if is_json {
            let files: Vec<&str> = self.files.iter().map(|(path, _)| path.as_str()).collect();
            let shown: Value = json!({
                "schema": SCHEMA,
                "command": "lab",
                "ok": true,
                "exit": 0,
                "verb": self.verb,
                "files": files,
                "spki_pin": self.pin,
            });
            console.print_json(&shown)?;
            return Ok(Exit::Well);
        }
        let mut screen = Screen::new(console);
        for (path, what) in &self.files {
            screen.mark(Mark::Ok, &format!("{path}: {what}"));
        }
        if let Some(pin) = &self.pin {
            screen.field("pin", pin);
        }
        let text = screen.finish();
        console.print(&text)?;
        Ok(Exit::Well)
    }
}
