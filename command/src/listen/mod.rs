//! `listen`: a receiver that demands a certificate, and shows who came, or why they were refused and what
//! they sent.

mod http;
mod report;
mod server;
mod verifier;
mod web;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgMatches, Command, value_parser};
use rustls::DistinguishedName;
use rustls::sign::CertifiedKey;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use webhook_mtls::bindings::inspection::{self, CertificateFacts, Item, Use};
use webhook_mtls::bindings::limits::MATERIAL;
use webhook_mtls::{Authorization, Role, TenantRule, Trust, Verifier, VerifierOptions};

use crate::SCHEMA;
use crate::cli::{flag, is_json, json_option, text, value};
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::screen::{Mark, Screen};
use crate::target::opened;
use crate::{files, secrets};
use server::{End, Receiver, Report};

pub(crate) fn command() -> Command {
    Command::new("listen")
        .about("Receive webhooks, and show who came, or why they were refused and what they sent")
        .arg(value("cert", "FILE", "The receiver's certificate and the intermediates above it"))
        .arg(value(
            "key",
            "FILE",
            "The private key of the certificate [default: the file of --cert]",
        ))
        .arg(
            value("p12", "FILE", "The receiver's certificate and key in a PKCS#12 file")
                .conflicts_with_all(["cert", "key"]),
        )
        .arg(secrets::passphrase_option())
        .arg(value("ca", "FILE", "The CA that issues the clients' certificates").required(true))
        .arg(value("crl", "FILE", "Certificate revocation lists"))
        .arg(value(
            "tenant",
            "TEMPLATE",
            "SAN URI of clients, such as spiffe://corp/tenant/{tenant}",
        ))
        .arg(value(
            "address",
            "ADDRESS",
            "Address and port [default: 127.0.0.1:8443]; port 0 is any",
        ))
        .arg(
            value("status", "STATUS", "The HTTP status of the answers [default: 200]")
                .value_parser(value_parser!(u16).range(200..=599)),
        )
        .arg(
            value("web", "PORT", "Also show the clients on a page of 127.0.0.1 [default: 8444]")
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("8444")
                .value_parser(value_parser!(u16))
                .conflicts_with("once"),
        )
        .arg(flag("once", "End after the first client: exit code 0 if its request was accepted"))
        .arg(
            value("timeout", "SECONDS", "With --once: end with exit code 1 if nobody came by then")
                .requires("once"),
        )
        .arg(json_option())
        .after_help(
            "Examples:
  webhook-mtls listen --cert server.crt --key server.key --ca senders-ca.pem
  webhook-mtls listen --address 0.0.0.0:8443 --p12 server.p12 --ca ca.pem \\
      --tenant 'spiffe://corp/tenant/{tenant}' --json
  webhook-mtls listen --p12 server.p12 --ca ca.pem --web",
        )
}

pub(crate) fn run(matches: &ArgMatches, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let address = address(matches)?;
    let limit = limit(matches)?;
    let key = server_key(matches, console)?;
    let ca = text(matches, "ca").unwrap_or_default();
    let receiver = Receiver {
        provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
        verifier: verifier(matches, ca)?,
        authorities: authorities(ca, console)?,
        status: matches.get_one("status").copied().unwrap_or(200),
        key: Arc::clone(&key),
    };
    let fault = |what: &str, error: &std::io::Error| {
        Failure::machine(format_args!("{what}: {}", files::reason(error)))
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| fault("the receiver cannot start", &error))?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|error| unavailable(address, "--address", &error))?;
        let bound =
            listener.local_addr().map_err(|error| fault("the receiver has no address", &error))?;
        let leaf = leaf_of(&key)?;
        let about = web::Receiver { address: bound, leaf: &leaf, ca };
        let page = match matches.get_one::<u16>("web") {
            Some(port) => Some(web::start(*port, &about).await.map_err(|error| {
                unavailable(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), *port), "--web", &error)
            })?),
            None => None,
        };
        announce(bound, &leaf, page.as_ref(), matches, console)?;
        let (reports, shown) = server::channel();
        tokio::spawn(server::serve(listener, receiver, reports));
        show(shown, limit, page.as_ref(), matches, console).await
    })
}

/// The failure for an address that cannot be listened on.
///
/// * `option`: the one that chooses another.
fn unavailable(address: SocketAddr, option: &str, error: &std::io::Error) -> Failure {
    let what =
        Failure::machine(format_args!("{address} cannot be listened on: {}", files::reason(error)));
    let port = address.port();
    let value = match option {
        "--web" => "--web=0".to_owned(),
        _ => format!("{option} {}", SocketAddr::new(address.ip(), 0)),
    };
    match error.kind() {
        ErrorKind::AddrInUse => what.advising(&format!(
            "Another program listens on {address}: stop it (ss -ltnp 'sport = :{port}' names it), or take \
             another port: {value} takes a free one."
        )),
        ErrorKind::AddrNotAvailable => what.advising(&format!(
            "This machine has no address {}: ip address lists those that it has.",
            address.ip()
        )),
        ErrorKind::PermissionDenied => what.advising(&format!(
            "Only root may listen on a port below 1024: take another port. {value} takes a free one."
        )),
        _ => what,
    }
}

/// Shows each report as it comes.
///
/// * `limit`: how long to wait for the first.
/// * `page`: shows it, too.
async fn show(
    mut reports: mpsc::Receiver<Report>,
    limit: Option<Duration>,
    page: Option<&web::Page>,
    matches: &ArgMatches,
    console: &mut Console<'_>,
) -> Result<Exit, Failure> {
    let is_once = matches.get_flag("once");
    loop {
        let next = match limit {
            Some(limit) => tokio::time::timeout(limit, reports.recv()).await.ok().flatten(),
            None => reports.recv().await,
        };
        let Some(report) = next else {
            if !is_json(matches) {
                let mut screen = Screen::new(console);
                screen.mark(Mark::Fault, "nobody came");
                console.complain(&screen.finish());
            }
            return Ok(Exit::Theirs);
        };
        if let Some(page) = page {
            page.show(report::to_json(&report));
        }
        if is_json(matches) {
            console.print_json(&report::to_json(&report))?;
        } else {
            let mut screen = Screen::new(console);
            report::show(&report, &mut screen);
            let text = screen.finish();
            console.print(&text)?;
        }
        console.flush()?;
        if is_once {
            let is_accepted = matches!(report.end, End::Request(..));
            return Ok(if is_accepted { Exit::Well } else { Exit::Theirs });
        }
    }
}

/// Shows where the receiver listens, before the first client.
fn announce(
    bound: SocketAddr,
    leaf: &CertificateFacts,
    page: Option<&web::Page>,
    matches: &ArgMatches,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let url = page.map(|page| format!("http://{}/", page.address()));
    if is_json(matches) {
        console.print_json(&json!({
            "schema": SCHEMA,
            "command": "listen",
            "event": "listening",
            "address": bound.to_string(),
            "spki_pin": leaf.spki_pin,
            "web": url,
        }))?;
        return console.flush();
    }
    let mut screen = Screen::new(console);
    screen.title(&format!("Listening on https://{bound}/"));
    screen.field("we are", &leaf.subject);
    screen.field("names", &leaf.names.join(", "));
    screen.field("our pin", &leaf.spki_pin);
    let ca = text(matches, "ca").unwrap_or_default();
    screen.field("accepted", &format!("clients of the CAs in {ca}"));
    if let Some(url) = url {
        screen.field("page", &url);
    }
    if let Some(fault) = leaf.verdict(Use::Server).and_then(|verdict| verdict.fault.as_ref()) {
        let message = format!("clients will refuse this receiver: {}", fault.message());
        screen.mark(Mark::Fault, &message);
        screen.advice("Start it with another certificate (--cert).");
    }
    screen.blank();
    let text = screen.finish();
    console.print(&text)?;
    console.flush()
}

fn leaf_of(key: &CertifiedKey) -> Result<Box<CertificateFacts>, Failure> {
    let leaf = key.cert.first().map_or(&[][..], |leaf| leaf.as_ref());
    match Item::of_der(leaf)? {
        Item::Certificate(leaf) => Ok(leaf),
        _ => Err(Failure::machine("the receiver's certificate cannot be read")),
    }
}

fn address(matches: &ArgMatches) -> Result<SocketAddr, Failure> {
    let given = text(matches, "address").unwrap_or("127.0.0.1:8443");
    given.parse().map_err(|_| {
        Failure::usage(
            "--address must be an IP address and a port, such as 127.0.0.1:8443 or [::]:8443",
        )
    })
}

fn limit(matches: &ArgMatches) -> Result<Option<Duration>, Failure> {
    let Some(given) = text(matches, "timeout") else { return Ok(None) };
    let seconds = given.parse::<f64>().ok().filter(|seconds| *seconds > 0.0);
    let limit = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    limit.map(Some).ok_or_else(|| Failure::usage("--timeout must be a number of seconds above 0"))
}

fn server_key(
    matches: &ArgMatches,
    console: &mut Console<'_>,
) -> Result<Arc<CertifiedKey>, Failure> {
    let given = secrets::passphrase(matches, console)?;
    if let Some(path) = text(matches, "p12") {
        let file = files::read(path, MATERIAL, console)?;
        return opened(path, "--p12", given, console, |passphrase| {
            inspection::server_key_of_pkcs12(&file, passphrase.unwrap_or_default())
        });
    }
    let Some(cert) = text(matches, "cert") else {
        let why =
            "the receiver's certificate is missing: --cert FILE and --key FILE, or --p12 FILE";
        return Err(Failure::usage(why));
    };
    let path = text(matches, "key").unwrap_or(cert);
    let chain = files::read(cert, MATERIAL, console)?;
    let key = files::read(path, MATERIAL, console)?;
    opened(path, "--cert, --key", given, console, |passphrase| {
        inspection::server_key(&chain, &key, passphrase)
    })
}

fn verifier(matches: &ArgMatches, ca: &str) -> Result<Verifier, Failure> {
    let crl = text(matches, "crl").map(std::path::Path::new);
    let trust = Trust::from_files(ca, None, crl).map_err(|error| Failure::about(error, "--ca"))?;
    let options = VerifierOptions::new(Role::Client, trust);
    let options = match text(matches, "tenant") {
        Some(template) => options.tenant(
            TenantRule::san_uri(template).map_err(|error| Failure::about(error, "--tenant"))?,
        ),
        None => options.authorization(Authorization::ca_members()),
    };
    Ok(Verifier::new(options)?)
}

/// Returns the names of the CAs, which the receiver sends with its request for a certificate.
fn authorities(ca: &str, console: &mut Console<'_>) -> Result<Arc<[DistinguishedName]>, Failure> {
    let bundle = files::read(ca, MATERIAL, console)?;
    let subjects = inspection::subjects(&bundle)?;
    Ok(subjects.iter().map(|subject| DistinguishedName::in_sequence(subject)).collect())
}
