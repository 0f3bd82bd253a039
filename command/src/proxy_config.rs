//! `proxy-config`: the configuration of a proxy that requires a client certificate and forwards it.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command};
use serde_json::json;
use webhook_mtls::forwarded::{ProxyOptions, ProxyServer, proxy_config};

use crate::SCHEMA;
use crate::cli::{is_json, json_option, text, value};
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::secrets;

/// The variable with the secret of the hop.
const SECRET: &str = "WEBHOOK_MTLS_HOP_SECRET";

pub(crate) fn command() -> Command {
    let servers = ProxyServer::ALL.iter().map(|server| server.name());
    Command::new("proxy-config")
        .about(
            "Print the configuration of a proxy that demands client certificates and forwards them",
        )
        .override_usage(
            "webhook-mtls proxy-config [OPTIONS] <PROXY> --server-name <HOST>
           --application <HOST:PORT> --trust <PATH>",
        )
        .arg(
            Arg::new("server")
                .value_name("PROXY")
                .required(true)
                .value_parser(PossibleValuesParser::new(servers))
                .help("The program that ends TLS"),
        )
        .arg(value("server-name", "HOST", "The host name of the proxy").required(true))
        .arg(
            value("application", "HOST:PORT", "Where the proxy reaches the application")
                .required(true),
        )
        .arg(
            value("trust", "PATH", "The CAs whose clients are accepted, as a path on the proxy")
                .required(true),
        )
        .arg(value("crl", "PATH", "The CRLs of these CAs, as a path on the proxy"))
        .arg(value("listen", "ADDRESS:PORT", "Where the proxy listens [default: 0.0.0.0:443]"))
        .arg(
            value(
                "cert",
                "PATH",
                "The proxy's certificate [default: /etc/webhook-mtls/server.crt]",
            )
            .requires("key"),
        )
        .arg(
            value("key", "PATH", "The proxy's private key [default: /etc/webhook-mtls/server.key]")
                .requires("cert"),
        )
        .arg(value("secret-header", "NAME", "The header with the secret of the hop"))
        .arg(
            value(
                "secret-file",
                "FILE",
                "File with the secret of the hop [else WEBHOOK_MTLS_HOP_SECRET]",
            )
            .requires("secret-header"),
        )
        .arg(json_option())
        .after_help(
            "No path is read here, except --secret-file. The output has the secret.

Examples:
  webhook-mtls proxy-config nginx --server-name hooks.example \\
      --application 10.0.0.5:8000 --trust /etc/webhook-mtls/clients-ca.pem
  webhook-mtls proxy-config haproxy --server-name hooks.example \\
      --application 10.0.0.5:8000 --trust /etc/haproxy/clients-ca.pem \\
      --cert /etc/haproxy/server.pem --key /etc/haproxy/server.pem.key",
        )
}

pub(crate) fn run(matches: &ArgMatches, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let name = text(matches, "server").unwrap_or_default();
    let server = ProxyServer::from_name(name)
        .ok_or_else(|| Failure::usage(format_args!("{name} is no proxy that is known here")))?;
    let configuration = proxy_config(server, &options(matches, console)?)
        .map_err(|error| Failure::about(error, "--listen, --application"))?;
    if is_json(matches) {
        console.print_json(&json!({
            "schema": SCHEMA,
            "command": "proxy-config",
            "ok": true,
            "exit": 0,
            "proxy": server.name(),
            "dialect": server.dialect().name(),
            "configuration": configuration,
        }))?;
        return Ok(Exit::Well);
    }
    console.print(&configuration)?;
    Ok(Exit::Well)
}

fn options(matches: &ArgMatches, console: &mut Console<'_>) -> Result<ProxyOptions, Failure> {
    let given = |name: &str| text(matches, name).unwrap_or_default();
    let mut options = ProxyOptions::new(given("server-name"), given("application"))
        .map_err(|error| Failure::about(error, "--server-name, --application"))?
        .client_ca(given("trust"))
        .map_err(|error| Failure::about(error, "--trust"))?;
    if let Some(crl) = text(matches, "crl") {
        options = options.crl(crl).map_err(|error| Failure::about(error, "--crl"))?;
    }
    if let Some(listen) = text(matches, "listen") {
        options = options.listen(listen).map_err(|error| Failure::about(error, "--listen"))?;
    }
    if let Some((cert, key)) = text(matches, "cert").zip(text(matches, "key")) {
        options = options
            .certificate(cert, key)
            .map_err(|error| Failure::about(error, "--cert, --key"))?;
    }
    let Some(header) = text(matches, "secret-header") else { return Ok(options) };
    let secret = secrets::given(text(matches, "secret-file"), SECRET, console)?;
    let secret = secret.and_then(|secret| String::from_utf8(secret).ok()).ok_or_else(|| {
        Failure::usage("--secret-header needs the secret: --secret-file FILE, with UTF-8 text")
    })?;
    options
        .secret(header, &secret)
        .map_err(|error| Failure::about(error, "--secret-header, --secret-file"))
}
