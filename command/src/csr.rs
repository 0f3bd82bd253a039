//! `csr`: a key, and a request that a consumer's CA signs.

use std::path::Path;

use clap::{Arg, ArgMatches, Command};
use rcgen::{CertificateParams, KeyPair, SanType};
use serde_json::json;
use webhook_mtls::bindings::inspection::{Inspection, Item};
use webhook_mtls::bindings::limits::MATERIAL;

use crate::SCHEMA;
use crate::cli::{flag, is_json, json_option, text, value};
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::screen::{Mark, Screen};
use crate::{files, issuing};

pub(crate) fn command() -> Command {
    Command::new("csr")
        .about("Make a key and a certificate request (PKCS#10) for a consumer's CA")
        .arg(
            Arg::new("name")
                .value_name("NAME")
                .required_unless_present("renew")
                .help("The common name of the subject"),
        )
        .args(issuing::name_options())
        .arg(flag("server", "Ask for a server's certificate; without it, for a client's"))
        .arg(value("renew", "FILE", "Take the names of this certificate"))
        .arg(value("key", "FILE", "Where to write the new key [default: tls.key]"))
        .arg(
            value("reuse-key", "FILE", "Use this key (PKCS#8) instead of a new one: the pin stays")
                .conflicts_with_all(["key", "key-type"]),
        )
        .arg(value("out", "FILE", "Where to write the request [default: tls.csr]"))
        .arg(issuing::key_type_option())
        .arg(json_option())
        .after_help(
            "No file is overwritten. The key is readable by its owner only.

Examples:
  webhook-mtls csr webhook-sender --uri spiffe://corp/webhooks
  webhook-mtls csr --renew tls.crt --key new.key --out new.csr
  webhook-mtls csr --renew tls.crt --reuse-key tls.key --out new.csr",
        )
}

pub(crate) fn run(matches: &ArgMatches, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let params = params(matches, console)?;
    let out = Path::new(text(matches, "out").unwrap_or("tls.csr"));
    let (key, path, is_new) = match text(matches, "reuse-key") {
        Some(path) => (read_key(path, console)?, path, false),
        None => (issuing::new_key(matches)?, text(matches, "key").unwrap_or("tls.key"), true),
    };
    let request = params
        .serialize_request(&key)
        .and_then(|request| request.pem())
        .map_err(|error| issuing::failed("the request cannot be made", error))?;
    // Without the request, a new key is of no use.
    files::refuse_existing(out)?;
    if is_new {
        files::write_new(Path::new(path), key.serialize_pem().as_bytes(), true)?;
    }
    if let Err(failure) = files::write_new(out, request.as_bytes(), false) {
        if is_new {
            let _ = std::fs::remove_file(path);
        }
        return Err(failure);
    }
    let pin = issuing::pin(&key);
    if is_json(matches) {
        console.print_json(&json!({
            "schema": SCHEMA,
            "command": "csr",
            "ok": true,
            "exit": 0,
            "request": out.display().to_string(),
            "key": path,
            "new_key": is_new,
            "spki_pin": pin,
        }))?;
        return Ok(Exit::Well);
    }
    let mut screen = Screen::new(console);
    if is_new {
        screen.mark(Mark::Ok, &format!("{path}: the new private key. It stays here."));
    }
    screen.mark(Mark::Ok, &format!("{}: the request. Send it to the CA.", out.display()));
    screen.field("pin", &pin);
    screen.note("Receivers that pin our key need this pin before the certificate is in use.");
    let text = screen.finish();
    console.print(&text)?;
    Ok(Exit::Well)
}

/// Returns the contents of the request: from the options, or from the certificate to renew.
fn params(matches: &ArgMatches, console: &mut Console<'_>) -> Result<CertificateParams, Failure> {
    let mut names = issuing::names(matches)?;
    let mut common_name = text(matches, "name").map(str::to_owned);
    let mut is_server = matches.get_flag("server");
    if let Some(path) = text(matches, "renew") {
        let file = files::read(path, MATERIAL, console)?;
        let inspection =
            Inspection::of(&file, None).map_err(|error| Failure::about(error, path))?;
        let leaf = inspection.items.iter().find_map(|item| match item {
            Item::Certificate(facts) => Some(facts),
            _ => None,
        });
        let Some(leaf) = leaf else {
            return Err(Failure::machine(format_args!("{path} holds no certificate")));
        };
        for name in &leaf.names {
            names.extend(renewed(name)?);
        }
        let purposes = leaf.purposes.as_deref().unwrap_or_default();
        let is = |wanted: &str| purposes.iter().any(|purpose| purpose == wanted);
        is_server |= is("serverAuth") && !is("clientAuth");
        common_name = common_name.or_else(|| leaf.cn.clone());
    }
    let common_name = common_name
        .ok_or_else(|| Failure::usage("the certificate to renew has no common name: give NAME"))?;
    issuing::leaf(&common_name, names, is_server)
}

/// Returns a name of the certificate to renew. An e-mail address does not name a host.
fn renewed(name: &str) -> Result<Option<SanType>, Failure> {
    match name.split_once(':') {
        Some((kind @ ("URI" | "DNS" | "IP"), text)) => issuing::san(kind, text).map(Some),
        _ => Ok(None),
    }
}

/// Reads an unencrypted PKCS#8 key. An error does not show it.
fn read_key(path: &str, console: &mut Console<'_>) -> Result<KeyPair, Failure> {
    let text = files::read(path, MATERIAL, console)?;
    let key = std::str::from_utf8(&text).ok().and_then(|text| KeyPair::from_pem(text).ok());
    key.ok_or_else(|| {
        Failure::machine(format_args!("{path} is not a private key in PKCS#8 that can be used"))
            .advising(
                "Convert a copy of it: openssl pkcs8 -topk8 -nocrypt -in old.key -out new.key",
            )
    })
}
