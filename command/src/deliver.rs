//! `deliver`: one delivery from the shell.

use clap::{Arg, ArgMatches, Command};
use serde_json::{Value, json};
use webhook_mtls::bindings::limits::{BODY, TEXT};
use webhook_mtls::error::{Error, HttpResponse};
use webhook_mtls::{DeliverOptions, Receipt, StandardWebhooks};

use crate::SCHEMA;
use crate::cli::{is_json, json_option, text, texts, value, values};
use crate::console::Console;
use crate::exit::{Exit, Failure, show_class, show_error, show_page};
use crate::screen::{Mark, Screen};
use crate::target::{self, Target};
use crate::{files, secrets};

/// The variable with the secrets of Standard Webhooks.
const SIGNING: &str = "WEBHOOK_MTLS_SIGNING_SECRET";

pub(crate) fn command() -> Command {
    Command::new("deliver")
        .about("Deliver one webhook, with the checks and the words of the library")
        .arg(
            Arg::new("url")
                .value_name("URL")
                .required(true)
                .help("https:// address of the consumer"),
        )
        .arg(
            value("data", "TEXT", "The payload; @FILE reads a file, @- the standard input")
                .required(true),
        )
        .arg(value(
            "content-type",
            "TYPE",
            "The media type of the payload [default: application/json]",
        ))
        .arg(value("id", "ID", "The id of the event, for the header webhook-id"))
        .arg(values("header", "NAME: VALUE", "A header of the request").short('H'))
        .arg(value(
            "header-file",
            "FILE",
            "File of headers, one a line, for those that are secrets",
        ))
        .arg(value(
            "signing-secret-file",
            "FILE",
            "File with the secrets of Standard Webhooks [else WEBHOOK_MTLS_SIGNING_SECRET]",
        ))
        .args(target::options())
        .arg(json_option())
        .after_help(
            "Examples:
  webhook-mtls deliver https://hooks.acme.example/in \\
      --cert tls.crt --key tls.key --ca acme-ca.pem --data '{\"event\":\"ping\"}'
  webhook-mtls deliver https://localhost:8443/ --allow 127.0.0.0/8 \\
      --p12 us.p12 --ca ca.pem --data @event.json --id evt_1",
        )
}

pub(crate) fn run(matches: &ArgMatches, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let url = text(matches, "url").unwrap_or_default();
    let body = payload(text(matches, "data").unwrap_or_default(), console)?;
    let options = options(matches, console)?;
    let signing = signing(matches, console)?;
    let Target { dispatcher, endpoint } =
        Target::of(url, matches, console, |endpoint| match signing {
            Some(signing) => endpoint.signing(signing),
            None => endpoint,
        })?;
    let outcome = dispatcher.deliver_blocking(&endpoint, body, options, None);
    // `None` is the outcome of a delivery that was interrupted, and nothing interrupts this one.
    let outcome = outcome.ok_or_else(|| Failure::machine("the delivery was interrupted"))?;
    let exit = outcome.as_ref().map_or_else(Exit::of, |_| Exit::Well);
    if is_json(matches) {
        console.print_json(&to_json(&outcome, exit))?;
        return Ok(exit);
    }
    let mut screen = Screen::new(console);
    match &outcome {
        Ok(receipt) => show_receipt(url, receipt, &mut screen),
        Err(error) => show_failure(error, &mut screen),
    }
    let text = screen.finish();
    console.print(&text)?;
    Ok(exit)
}

fn payload(data: &str, console: &mut Console<'_>) -> Result<Vec<u8>, Failure> {
    match data.strip_prefix('@') {
        Some(path) => files::read(path, BODY, console),
        None => Ok(data.as_bytes().to_vec()),
    }
}

fn signing(
    matches: &ArgMatches,
    console: &mut Console<'_>,
) -> Result<Option<StandardWebhooks>, Failure> {
    let file = text(matches, "signing-secret-file");
    let Some(given) = secrets::given(file, SIGNING, console)? else { return Ok(None) };
    let text = String::from_utf8(given)
        .map_err(|_| Failure::machine("the secrets of Standard Webhooks are not UTF-8"))?;
    Ok(Some(StandardWebhooks::new(text.split_whitespace())?))
}

fn options(matches: &ArgMatches, console: &mut Console<'_>) -> Result<DeliverOptions, Failure> {
    let mut options = DeliverOptions::new();
    if let Some(id) = text(matches, "id") {
        options = options.id(id);
    }
    options = options.content_type(text(matches, "content-type").unwrap_or("application/json"));
    let mut headers = Vec::new();
    for line in texts(matches, "header") {
        let (name, value) = header(line)?;
        if CREDENTIALS.iter().any(|known| name.eq_ignore_ascii_case(known)) {
            let why = format!(
                "--header must not hold {name}, which other users of the machine can see: use --header-file"
            );
            return Err(Failure::usage(why));
        }
        headers.push((name, value));
    }
    if let Some(path) = text(matches, "header-file") {
        let lines = files::read(path, TEXT, console)?;
        let lines = String::from_utf8(lines)
            .map_err(|_| Failure::machine(format_args!("{path} is not UTF-8")))?;
        for line in lines.lines().filter(|line| !line.trim().is_empty()) {
            headers.push(header(line)?);
        }
    }
    Ok(options.headers(headers))
}

/// The headers whose values are secrets.
const CREDENTIALS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];

/// Splits a header line. An error does not show it: it may hold a secret.
fn header(line: &str) -> Result<(String, String), Failure> {
    let (name, value) = line
        .split_once(':')
        .ok_or_else(|| Failure::usage("a header must be a name, a colon and a value"))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn show_receipt(url: &str, receipt: &Receipt, screen: &mut Screen) {
    let (peer, tls) = (receipt.peer(), receipt.tls());
    let took = receipt.elapsed().as_millis();
    screen.mark(Mark::Ok, &format!("delivered to {url}: {} in {took} ms", receipt.status()));
    screen.field("consumer", &peer.path().join(" ← "));
    let matched = peer.matched_pin();
    let pinned = match (&matched, receipt.pin()) {
        (Some(pin), Some(slot)) => format!("{pin} ({})", slot.name()),
        _ => format!("none given; this key is {}", peer.spki_pin()),
    };
    screen.field("pin", &pinned);
    screen.field("TLS", &format!("{}, {}, {}", tls.version, tls.cipher_suite, tls.key_exchange));
    show_response(receipt.response(), screen);
}

fn show_failure(error: &Error, screen: &mut Screen) {
    show_error(error, None, screen);
    show_class(error, screen);
    screen.field("sent", error.sent().name());
    screen.field("retry", error.retry().name());
    if let Some(response) = error.response() {
        screen.field("status", &response.status.to_string());
        show_response(response, screen);
    }
    show_page(error, screen);
}

/// Shows the start of the response's body.
fn show_response(response: &HttpResponse, screen: &mut Screen) {
    let excerpt = String::from_utf8_lossy(&response.excerpt);
    let first = excerpt.lines().next().unwrap_or_default();
    if !first.is_empty() {
        screen.field("answer", first);
    }
}

fn to_json(outcome: &Result<Receipt, Error>, exit: Exit) -> Value {
    json!({
        "schema": SCHEMA,
        "command": "deliver",
        "ok": outcome.is_ok(),
        "exit": exit.code(),
        "receipt": outcome.as_ref().ok().map(Receipt::to_json),
        "error": outcome.as_ref().err().map(Error::to_json),
    })
}
