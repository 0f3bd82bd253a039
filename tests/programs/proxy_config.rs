//! Prints the configuration of a proxy: `proxy_config SERVER NAME=VALUE…`. The suite `receivers` runs
//! the proxies with it.

use std::collections::BTreeMap;

use webhook_mtls::Error;
use webhook_mtls::forwarded::{ProxyOptions, ProxyServer, proxy_config};

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let server = arguments.next().and_then(|name| ProxyServer::from_name(&name));
    let given: BTreeMap<String, String> = arguments
        .filter_map(|argument| {
            argument.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
        })
        .collect();
    let text = |name: &str| given[name].as_str();
    let mut options = ProxyOptions::new(text("server_name"), text("application"))?
        .listen(text("listen"))?
        .certificate(text("certificate"), text("key"))?
        .client_ca(text("client_ca"))?;
    if given.contains_key("crl") {
        options = options.crl(text("crl"))?;
    }
    if given.contains_key("secret") {
        options = options.secret("X-Hop-Secret", text("secret"))?;
    }
    print!("{}", proxy_config(server.expect("a known server"), &options)?);
    Ok(())
}
