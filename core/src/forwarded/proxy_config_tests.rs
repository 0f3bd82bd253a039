//! The configurations as text. The suite `receivers` runs real proxies with them.

use super::{Dialect, ProxyOptions, ProxyServer, proxy_config};

fn options() -> ProxyOptions {
    ProxyOptions::new("hooks.example", "10.0.0.5:8000").unwrap()
}

#[test]
fn every_proxy_requires_a_certificate_and_removes_the_headers_of_every_dialect() {
    let required = [
        (ProxyServer::Nginx, "ssl_verify_client on;"),
        (ProxyServer::Envoy, "require_client_certificate: true"),
        (ProxyServer::Haproxy, "verify required"),
        (ProxyServer::Apache, "SSLVerifyClient require"),
        (ProxyServer::Caddy, "mode require_and_verify"),
        (ProxyServer::Traefik, "clientAuthType: RequireAndVerifyClientCert"),
    ];
    assert_eq!(required.len(), ProxyServer::ALL.len());
    for (server, line) in required {
        let text = proxy_config(server, &options()).unwrap();
        assert!(text.contains(line), "{text}");
        for dialect in Dialect::ALL {
            let written = [server.dialect(), *dialect].map(|one| one.headers().next());
            for header in dialect.headers().filter(|_| written[0] != written[1]) {
                assert!(text.contains(header), "{} lacks {header}", server.name());
            }
        }
    }
}

#[test]
fn the_secret_is_set_and_never_shown() {
    let secret = "Zk2rVw8nYb4tQx7sLc9d";
    let options = options().secret("X-Hop-Secret", secret).unwrap();
    assert!(!format!("{options:?}").contains(secret));
    for server in ProxyServer::ALL {
        let text = proxy_config(*server, &options).unwrap();
        assert!(text.contains("x-hop-secret") && text.contains(secret), "{text}");
    }
}

#[test]
fn a_text_that_means_something_to_a_proxy_is_refused() {
    for bad in ["", "a b", "a;b", "a\nb", "a\"b", "a}b", "a$b", "a%b", "a'b", "a`b", "a\\b", "a#b"]
    {
        assert!(ProxyOptions::new(bad, "10.0.0.5:8000").is_err(), "{bad:?}");
        assert!(options().certificate(bad, "key").is_err(), "{bad:?}");
        assert!(options().client_ca(bad).is_err(), "{bad:?}");
        assert!(options().crl(bad).is_err(), "{bad:?}");
    }
    assert!(ProxyOptions::new("a", "b").is_err());
    assert!(options().listen("443").is_err());
    assert!(options().secret("X-Hop", "with;semicolon;and;more").is_err());
    let odd = options().listen("0.0.0.0:https").unwrap();
    assert!(proxy_config(ProxyServer::Envoy, &odd).is_err());
}
