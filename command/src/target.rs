//! A consumer, and how we reach it: the options of every verb that connects.

use std::path::Path;
use std::time::Duration;

use clap::{Arg, ArgMatches};
use webhook_mtls::bindings::limits::MATERIAL;
use webhook_mtls::error::{Error, Kind};
use webhook_mtls::verify::CrlPolicy;
use webhook_mtls::{
    Dispatcher, DispatcherOptions, Egress, Endpoint, EndpointOptions, Identity, MinTls, Pins,
    Proxy, Trust,
};

use crate::cli::{flag, grouped, text, texts, value, values};
use crate::console::Console;
use crate::exit::Failure;
use crate::{files, secrets};

/// The variable with `user:password` for the proxy.
const PROXY_CREDENTIALS: &str = "WEBHOOK_MTLS_PROXY_CREDENTIALS";

/// Returns the options that say who we are, whom we trust and what the way is.
pub(crate) fn options() -> Vec<Arg> {
    let ours = [
        value("cert", "FILE", "Our certificate and the intermediates above it, PEM or DER"),
        value("key", "FILE", "The private key of our certificate [default: the file of --cert]"),
        value("p12", "FILE", "Our certificate and key in a PKCS#12 file")
            .conflicts_with_all(["cert", "key"]),
        secrets::passphrase_option(),
    ];
    let theirs = [
        value("ca", "FILE", "The private CA that issues the consumer's certificate").required(true),
        value("intermediates", "FILE", "Intermediates that the consumer does not send"),
        value("crl", "FILE", "Certificate revocation lists"),
        flag("exact", "Trust the one certificate in --ca, and no CA")
            .conflicts_with_all(["intermediates", "crl"]),
        value("crl-policy", "POLICY", "Whether a CA needs a CRL [default: if_present]")
            .value_parser(words(CrlPolicy::ALL, CrlPolicy::name)),
        values("distrust", "PIN", "Trust no path through the CA with this key, sha256/…"),
        flag("dangerous-public", "Allow public roots in --ca, only together with pins")
            .conflicts_with("exact"),
        values("pin", "PIN", "Accept only this key, sha256/…; may be given several times"),
        values("next-pin", "PIN", "The key that the consumer will have next").requires("pin"),
        value("pin-file", "FILE", "File of pins, one a line").conflicts_with("pin"),
        value("server-name", "NAME", "The name in its certificate, if it is not the URL's"),
        value("server-uri", "URI", "The SAN URI that its certificate must have"),
        value("min-tls", "VERSION", "The oldest version of TLS [default: 1.3]")
            .value_parser(["1.2", "1.3"]),
        flag("no-post-quantum", "Offer only key exchanges whose first message fits one packet"),
    ];
    let way = [
        value("proxy", "URL", "The HTTP proxy, http://host:port"),
        value(
            "proxy-credentials-file",
            "FILE",
            "File with user:password for the proxy [else WEBHOOK_MTLS_PROXY_CREDENTIALS]",
        )
        .requires("proxy"),
        flag("proxy-by-name", "Ask the proxy for the name, not for an address").requires("proxy"),
        value("egress", "POLICY", "Addresses that are allowed [default: public]")
            .value_parser(["public", "private"]),
        values("allow", "NETWORK", "Also allow this network, such as 127.0.0.0/8"),
        values("deny", "NETWORK", "Never connect to this network"),
        values("nat64", "PREFIX", "A NAT64 prefix of this network"),
        value("timeout", "SECONDS", "The time for everything [default: 30]"),
    ];
    [
        grouped("Who we are", ours),
        grouped("Whom we trust", theirs),
        grouped("The way to the consumer", way),
    ]
    .concat()
}

/// Returns the names of words that an option takes.
fn words<T>(all: &'static [T], name: fn(T) -> &'static str) -> Vec<&'static str>
where
    T: Copy,
{
    all.iter().map(|word| name(*word)).collect()
}

/// A dispatcher with one endpoint.
pub(crate) struct Target {
    pub(crate) dispatcher: Dispatcher,
    pub(crate) endpoint: Endpoint,
}

/// What the files of the options hold.
pub(crate) struct Material {
    pub(crate) identity: Identity,
    pub(crate) trust: Trust,
}

impl Target {
    /// Reads the files, and makes the dispatcher and the endpoint that the options describe.
    ///
    /// * `complete`: adds the options of the endpoint that only one verb has.
    pub(crate) fn of(
        url: &str,
        matches: &ArgMatches,
        console: &mut Console<'_>,
        complete: impl FnOnce(EndpointOptions) -> EndpointOptions,
    ) -> Result<Self, Failure> {
        let material =
            Material { identity: identity(matches, console)?, trust: trust(matches, console)? };
        Self::with(url, material, matches, console, complete)
    }

    /// The same with material that was read before.
    pub(crate) fn with(
        url: &str,
        material: Material,
        matches: &ArgMatches,
        console: &mut Console<'_>,
        complete: impl FnOnce(EndpointOptions) -> EndpointOptions,
    ) -> Result<Self, Failure> {
        let options = DispatcherOptions::new()
            .identity(material.identity)
            .egress(egress(matches)?)
            .timeout(timeout(matches)?)?
            // One operation is made once: files need no watch.
            .reload(None)?;
        let options = match proxy(matches, console)? {
            Some(proxy) => options.proxy(proxy),
            None => options,
        };
        let dispatcher = Dispatcher::new(options)?;
        let options = complete(endpoint(matches)?.trust(material.trust));
        let endpoint = dispatcher.endpoint(consumer(url), url, options)?;
        Ok(Self { dispatcher, endpoint })
    }
}

/// Returns the name of the consumer in messages: its host.
pub(crate) fn consumer(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // The URL of a typing error may hold a password.
    if host.is_empty() || host.contains('@') { "consumer" } else { host }
}

pub(crate) fn identity(
    matches: &ArgMatches,
    console: &mut Console<'_>,
) -> Result<Identity, Failure> {
    let given = secrets::passphrase(matches, console)?;
    if let Some(path) = text(matches, "p12") {
        let file = files::read(path, MATERIAL, console)?;
        let read = |passphrase: &[u8]| Identity::from_pkcs12(&file, passphrase);
        return opened(path, "--p12", given, console, |passphrase| {
            read(passphrase.unwrap_or_default())
        });
    }
    let Some(cert) = text(matches, "cert") else {
        let why = "our certificate is missing: --cert FILE and --key FILE, or --p12 FILE";
        return Err(Failure::usage(why));
    };
    let key = text(matches, "key").unwrap_or(cert);
    opened(key, "--cert, --key", given, console, |passphrase| {
        Identity::from_files(cert, key, passphrase)
    })
}

/// Reads a file that may be encrypted. Asks for the passphrase if it is needed and was not given.
pub(crate) fn opened<T>(
    path: &str,
    argument: &str,
    given: Option<Vec<u8>>,
    console: &mut Console<'_>,
    read: impl Fn(Option<&[u8]>) -> Result<T, Error>,
) -> Result<T, Failure> {
    let first = read(given.as_deref());
    let is_locked = first.as_ref().is_err_and(|error| error.kind() == Kind::KeyEncrypted);
    let typed = if is_locked && given.is_none() { secrets::ask(path, console)? } else { None };
    let outcome = match typed {
        Some(typed) => read(Some(&typed)),
        None => first,
    };
    outcome.map_err(|error| Failure::about(error, argument))
}

pub(crate) fn trust(matches: &ArgMatches, console: &mut Console<'_>) -> Result<Trust, Failure> {
    let ca = text(matches, "ca").unwrap_or_default();
    let path = |name| text(matches, name).map(Path::new);
    let trust = if matches.get_flag("dangerous-public") {
        return public_trust(ca, matches, console);
    } else if matches.get_flag("exact") {
        Trust::exact_from_file(ca)
    } else {
        Trust::from_files(ca, path("intermediates"), path("crl"))
    };
    distrusting(trust.map_err(|error| Failure::about(error, "--ca"))?, matches)
}

/// Reads a trust that may hold public roots. The library takes it as bytes only.
fn public_trust(
    ca: &str,
    matches: &ArgMatches,
    console: &mut Console<'_>,
) -> Result<Trust, Failure> {
    let mut read = |name| match text(matches, name) {
        Some(path) => files::read(path, MATERIAL, console).map(Some),
        None => Ok(None),
    };
    let (intermediates, crl) = (read("intermediates")?, read("crl")?);
    let anchors = files::read(ca, MATERIAL, console)?;
    let crls: Vec<&[u8]> = crl.as_deref().into_iter().collect();
    let trust = Trust::dangerous_public(&anchors, intermediates.as_deref(), &crls);
    distrusting(trust.map_err(|error| Failure::about(error, "--ca"))?, matches)
}

fn distrusting(trust: Trust, matches: &ArgMatches) -> Result<Trust, Failure> {
    let issuers = texts(matches, "distrust");
    if issuers.is_empty() {
        return Ok(trust);
    }
    trust.distrusting(issuers).map_err(|error| Failure::about(error, "--distrust"))
}

fn egress(matches: &ArgMatches) -> Result<Egress, Failure> {
    let preset = Egress::preset(text(matches, "egress").unwrap_or("public"))?;
    let (allow, deny) = (texts(matches, "allow"), texts(matches, "deny"));
    let allowed = preset.allow(allow).map_err(|error| Failure::about(error, "--allow"))?;
    let denied = allowed.deny(deny).map_err(|error| Failure::about(error, "--deny"))?;
    let nat64 = texts(matches, "nat64");
    denied.nat64(nat64).map_err(|error| Failure::about(error, "--nat64"))
}

fn proxy(matches: &ArgMatches, console: &mut Console<'_>) -> Result<Option<Proxy>, Failure> {
    let Some(url) = text(matches, "proxy") else { return Ok(None) };
    if url.contains('@') {
        let why = "--proxy must not hold credentials, which other users of the machine can see: use \
                   --proxy-credentials-file";
        return Err(Failure::usage(why));
    }
    let proxy = Proxy::new(url).map_err(|error| Failure::about(error, "--proxy"))?;
    let proxy = proxy.by_name(matches.get_flag("proxy-by-name"));
    let file = text(matches, "proxy-credentials-file");
    let Some(secret) = secrets::given(file, PROXY_CREDENTIALS, console)? else {
        return Ok(Some(proxy));
    };
    let secret = String::from_utf8(secret)
        .map_err(|_| Failure::machine("the credentials of the proxy are not UTF-8"))?;
    let (user, password) = secret.split_once(':').unwrap_or((&secret, ""));
    Ok(Some(proxy.credentials(user, password)?))
}

fn endpoint(matches: &ArgMatches) -> Result<EndpointOptions, Failure> {
    let (current, next) = (texts(matches, "pin"), texts(matches, "next-pin"));
    let pins = match text(matches, "pin-file") {
        Some(file) => {
            Some(Pins::from_file(file).map_err(|error| Failure::about(error, "--pin-file"))?)
        }
        None if current.is_empty() => None,
        None => {
            Some(Pins::with_next(current, next).map_err(|error| Failure::about(error, "--pin"))?)
        }
    };
    let mut options = EndpointOptions::new(pins);
    if let Some(name) = text(matches, "server-name") {
        options = options.server_name(name)?;
    }
    if let Some(uri) = text(matches, "server-uri") {
        options = options.server_uri(uri)?;
    }
    if text(matches, "min-tls") == Some("1.2") {
        options = options.min_tls(MinTls::V1_2);
    }
    if let Some(policy) = text(matches, "crl-policy").and_then(CrlPolicy::from_name) {
        options = options.crl_policy(policy);
    }
    if matches.get_flag("no-post-quantum") {
        options = options.post_quantum(false);
    }
    Ok(options)
}

/// Returns the total deadline.
fn timeout(matches: &ArgMatches) -> Result<Duration, Failure> {
    const LONGEST: f64 = 86_400.0;
    let Some(given) = text(matches, "timeout") else { return Ok(Duration::from_secs(30)) };
    let why = "--timeout must be a number of seconds above 0, such as 10 or 0.5, and at most 86400, a day";
    let seconds = given.parse::<f64>().ok().filter(|seconds| *seconds > 0.0 && *seconds <= LONGEST);
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.ok_or_else(|| Failure::usage(why))
}
