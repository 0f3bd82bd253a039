//! `diagnose`: what is wrong with a consumer, whose fault it is, and whom to tell.

use clap::{Arg, ArgMatches, Command};
use serde_json::json;
use webhook_mtls::diagnosis::{
    self, Addressee, DiagnosisOptions, DiagnosisRequest, Group, Layout, Report,
};
use webhook_mtls::error::Error;

use crate::SCHEMA;
use crate::cli::{flag, is_json, json_option, strict_option, text, value};
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::target::{self, Material, Target, consumer};
use crate::{files, fleet};

pub(crate) fn command() -> Command {
    Command::new("diagnose")
        .about("Say what is wrong with a consumer, whose fault it is, and whom to tell")
        .arg(Arg::new("url")
                .value_name("URL")
                .required_unless_present("config")
                .help("https:// address of the consumer"),
        )
        .arg(
            value("config", "FILE", "Diagnose every endpoint of a fleet (TOML)")
                .conflicts_with_all(["url", "message"]),
        )
        .arg(request_option())
        .arg(flag("verbose", "Show the checks that passed, too").short('v'))
        .arg(flag("message", "Print only the message to the consumer's operator, if there is one"))
        // The file of a fleet has the CA of each endpoint.
        .args(target::options())
        .mut_arg("ca", |ca| ca.required(false).required_unless_present("config"))
        .args([strict_option(), json_option()])
        .after_help(
            "No payload is sent, and our certificate is shown only to a consumer that a delivery would \
             accept.

Examples:
  webhook-mtls diagnose https://hooks.acme.example/in \\
      --cert tls.crt --key tls.key --ca acme-ca.pem --pin sha256/…
  webhook-mtls diagnose https://hooks.acme.example/in --request head \\
      --p12 us.p12 --ca acme-ca.pem --message | mail -s mTLS ops@acme.example
  webhook-mtls diagnose --config fleet.toml --json",
        )
}

/// Returns the option for a request without a payload.
pub(crate) fn request_option() -> Arg {
    let requests: Vec<&str> = DiagnosisRequest::ALL.iter().map(|request| request.name()).collect();
    let help = "Also make this request, without a payload: nginx judges our certificate only then";
    value("request", "METHOD", help).value_parser(requests)
}

pub(crate) fn run(matches: &ArgMatches, console: &mut Console<'_>) -> Result<Exit, Failure> {
    if let Some(file) = text(matches, "config") {
        return fleet::diagnose(file, matches, console);
    }
    let url = text(matches, "url").unwrap_or_default();
    let report = report(url, matches, console)?;
    let exit = exit(&report, matches.get_flag("strict"));
    if is_json(matches) {
        console.print_json(&json!({
            "schema": SCHEMA,
            "command": "diagnose",
            "ok": exit == Exit::Well,
            "exit": exit.code(),
            "report": report.to_json(),
        }))?;
    } else if matches.get_flag("message") {
        let message = report.message_to_consumer().unwrap_or_default();
        if !message.is_empty() {
            console.print(&format!("{}\n", message.trim_end()))?;
        }
    } else {
        let layout = Layout {
            width: console.width(),
            color: console.is_colored(),
            verbose: matches.get_flag("verbose"),
        };
        console.print(&report.to_text(layout))?;
    }
    Ok(exit)
}

/// Diagnoses the consumer, or says why our material cannot be used.
fn report(url: &str, matches: &ArgMatches, console: &mut Console<'_>) -> Result<Report, Failure> {
    let (target, options) = match prepared(url, matches, console)? {
        Prepared::Target(target, options) => (target, options),
        Prepared::Unusable(report) => return Ok(report),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        Failure::machine(format_args!("the diagnosis cannot start: {}", files::reason(&error)))
    })?;
    Ok(runtime.block_on(target.dispatcher.diagnose(&target.endpoint, options))?)
}

/// What is to be diagnosed.
pub(crate) enum Prepared {
    /// An endpoint.
    Target(Target, DiagnosisOptions),
    /// None: our material cannot be used, and the report says why.
    Unusable(Report),
}

/// Reads our material, and makes the endpoint.
pub(crate) fn prepared(
    url: &str,
    matches: &ArgMatches,
    console: &mut Console<'_>,
) -> Result<Prepared, Failure> {
    let mut faults: Vec<(Group, Error)> = Vec::new();
    let mut found = |group, failure| match failure {
        Failure::Library { error, .. } if Exit::of(&error) != Exit::Usage => {
            faults.push((group, *error));
            Ok(())
        }
        other => Err(other),
    };
    let identity = match target::identity(matches, console) {
        Ok(identity) => Some(identity),
        Err(failure) => {
            found(Group::Identity, failure)?;
            None
        }
    };
    let trust = match target::trust(matches, console) {
        Ok(trust) => Some(trust),
        Err(failure) => {
            found(Group::Trust, failure)?;
            None
        }
    };
    let (Some(identity), Some(trust)) = (identity, trust) else {
        return Ok(Prepared::Unusable(diagnosis::unusable(consumer(url), url, &faults)));
    };
    let material = Material { identity, trust };
    let target = match Target::with(url, material, matches, console, |endpoint| endpoint) {
        Err(Failure::Library { error, .. }) if Exit::of(&error) != Exit::Usage => {
            let faults = [(Group::Trust, *error)];
            return Ok(Prepared::Unusable(diagnosis::unusable(consumer(url), url, &faults)));
        }
        other => other?,
    };
    let options = DiagnosisOptions::new();
    let request = text(matches, "request").and_then(DiagnosisRequest::from_name);
    let options = match request {
        Some(request) => options.request(request),
        None => options,
    };
    Ok(Prepared::Target(target, options))
}

/// Returns the exit code for a report.
pub(crate) fn exit(report: &Report, is_strict: bool) -> Exit {
    if report.ok() {
        let warns = report.warnings().next().is_some();
        return if is_strict && warns { Exit::Warnings } else { Exit::Well };
    }
    match report.verdict().tell() {
        Addressee::Us => Exit::Ours,
        Addressee::Nobody | Addressee::Consumer | Addressee::Network | Addressee::Proxy => {
            Exit::Theirs
        }
    }
}
