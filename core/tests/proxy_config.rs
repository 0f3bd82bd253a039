//! The guide shows the configuration that the library writes.

use webhook_mtls::forwarded::{ProxyOptions, ProxyServer, proxy_config};

#[test]
fn the_guide_has_the_configuration_of_nginx() {
    let options = ProxyOptions::new("hooks.example", "10.0.0.5:8000").unwrap();
    let text = proxy_config(ProxyServer::Nginx, &options).unwrap();
    let guide = include_str!("../../docs/receive/README.md");
    assert!(guide.contains(&format!("```nginx\n{text}```")), "copy this to the guide:\n{text}");
}
