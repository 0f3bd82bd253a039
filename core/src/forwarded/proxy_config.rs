//! The configuration of a proxy that ends mutual TLS and forwards the client's certificate: it requires
//! a certificate, removes the headers that a client sends, and writes its own.

use std::fmt::Write as _;

use super::dialect::Dialect;
use crate::error::{Error, words};
use crate::options;

words! {
    /// A proxy for which a configuration can be written.
    #[non_exhaustive]
    ProxyServer {
        /// nginx 1.13.5 or later.
        Nginx = 1 "nginx",
        /// Envoy, a static listener in YAML.
        Envoy = 2 "envoy",
        /// HAProxy 2.2 or later.
        Haproxy = 3 "haproxy",
        /// Apache httpd 2.4 with mod_ssl, mod_headers and mod_proxy_http.
        Apache = 4 "apache",
        /// Caddy 2, a site of a Caddyfile.
        Caddy = 5 "caddy",
        /// Traefik 3, a dynamic configuration in YAML.
        Traefik = 6 "traefik",
    }
}

impl ProxyServer {
    /// Returns the dialect in which the configuration forwards: RFC 9440 where the proxy can write it.
    pub fn dialect(self) -> Dialect {
        match self {
            Self::Nginx => Dialect::Nginx,
            Self::Envoy => Dialect::Envoy,
            Self::Haproxy | Self::Caddy => Dialect::Rfc9440,
            Self::Apache => Dialect::Apache,
            Self::Traefik => Dialect::Traefik,
        }
    }
}

/// What a proxy's configuration needs. The texts go into the configuration as they are, so only
/// characters are allowed that have no meaning in any of the languages.
///
/// ```
/// use webhook_mtls::forwarded::{ProxyOptions, ProxyServer, proxy_config};
///
/// let options = ProxyOptions::new("hooks.example", "10.0.0.5:8000")?
///     .certificate("/etc/tls/server.crt", "/etc/tls/server.key")?
///     .client_ca("/etc/tls/clients-ca.pem")?;
/// let text = proxy_config(ProxyServer::Nginx, &options)?;
/// assert!(text.contains("ssl_verify_client on;"));
/// # Ok::<(), webhook_mtls::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ProxyOptions {
    server_name: String,
    application: String,
    listen: String,
    certificate: String,
    key: String,
    client_ca: String,
    crl: Option<String>,
    secret: Option<Secret>,
}

#[derive(Clone)]
struct Secret {
    header: String,
    value: String,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("header", &self.header).finish_non_exhaustive()
    }
}

impl ProxyOptions {
    /// A proxy on port 443 with files in `/etc/webhook-mtls/`: `server.crt`, `server.key` and
    /// `clients-ca.pem`.
    ///
    /// * `server_name`: the host name of the proxy.
    /// * `application`: host and port of the application.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid`.
    pub fn new(server_name: &str, application: &str) -> Result<Self, Error> {
        if !application.contains(':') {
            return Err(options::fault("application", "must be a host and a port"));
        }
        Ok(Self {
            server_name: plain("server_name", server_name)?,
            application: plain("application", application)?,
            listen: "0.0.0.0:443".to_owned(),
            certificate: "/etc/webhook-mtls/server.crt".to_owned(),
            key: "/etc/webhook-mtls/server.key".to_owned(),
            client_ca: "/etc/webhook-mtls/clients-ca.pem".to_owned(),
            crl: None,
            secret: None,
        })
    }

    /// Sets the address and port of the listener.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid`.
    pub fn listen(mut self, listen: &str) -> Result<Self, Error> {
        if !listen.contains(':') {
            return Err(options::fault("listen", "must be an address and a port"));
        }
        self.listen = plain("listen", listen)?;
        Ok(self)
    }

    /// Sets the paths of the proxy's own certificate chain and key. HAProxy reads both from the first
    /// file, or the key from the file with `.key` added.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid`.
    pub fn certificate(mut self, certificate: &str, key: &str) -> Result<Self, Error> {
        self.certificate = plain("certificate", certificate)?;
        self.key = plain("key", key)?;
        Ok(self)
    }

    /// Sets the path of the CAs whose clients the proxy accepts.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid`.
    pub fn client_ca(mut self, client_ca: &str) -> Result<Self, Error> {
        self.client_ca = plain("client_ca", client_ca)?;
        Ok(self)
    }

    /// Sets the path of the CRLs, one of each CA of a client's chain. Caddy and Traefik read none: the
    /// verifier checks the CRLs of its trust behind every proxy.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid`.
    pub fn crl(mut self, crl: &str) -> Result<Self, Error> {
        self.crl = Some(plain("crl", crl)?);
        Ok(self)
    }

    /// Sets the secret header of the hop, as [`Hop::secret`](super::Hop::secret) has it.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid`.
    pub fn secret(mut self, header: &str, value: &str) -> Result<Self, Error> {
        super::Hop::secret("proxy", header, value)?;
        let value = plain("value", value)?;
        self.secret = Some(Secret { header: header.to_ascii_lowercase(), value });
        Ok(self)
    }
}

fn plain(option: &str, text: &str) -> Result<String, Error> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:+=~[]".contains(&byte);
    if text.is_empty() || text.len() > 1024 || !text.bytes().all(is_plain) {
        let why = "must have letters, digits and . _ - / : + = ~ [ ] only";
        return Err(options::fault(option, why));
    }
    Ok(text.to_owned())
}

/// Returns the configuration of a proxy that requires a client certificate and forwards it in
/// [`ProxyServer::dialect`].
///
/// # Errors
///
/// Fails with `option_invalid` if Envoy or Traefik, which read an address and a port apart, get an
/// unusable one.
pub fn proxy_config(server: ProxyServer, options: &ProxyOptions) -> Result<String, Error> {
    let body = match server {
        ProxyServer::Nginx => nginx(options),
        ProxyServer::Envoy => envoy(options)?,
        ProxyServer::Haproxy => haproxy(options),
        ProxyServer::Apache => apache(options),
        ProxyServer::Caddy => caddy(options),
        ProxyServer::Traefik => traefik(options),
    };
    let dialect = server.dialect().name();
    Ok(format!("# Written by webhook-mtls. The application reads the dialect {dialect}.\n{body}"))
}

/// The headers that no client may send: of every dialect, so that a later change of the dialect opens
/// no gap. Without those that the proxy writes itself.
fn removed(written: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for dialect in Dialect::ALL {
        for header in dialect.headers() {
            for name in [header.to_owned(), header.replace('-', "_")] {
                if !names.contains(&name) && !written.contains(&name.as_str()) {
                    names.push(name);
                }
            }
        }
    }
    names
}

/// Returns one line for each name or value.
fn lines(names: &[String], line: impl Fn(&str) -> String) -> String {
    names.iter().fold(String::new(), |text, name| text + &line(name) + "\n")
}

fn nginx(options: &ProxyOptions) -> String {
    let ProxyOptions { server_name, application, listen, certificate, key, client_ca, .. } =
        options;
    let crl = options.crl.as_ref().map_or(String::new(), |crl| format!("    ssl_crl {crl};\n"));
    // nginx itself drops names with an underscore.
    let names: Vec<String> = removed(&["ssl-client-cert", "ssl-client-verify"])
        .into_iter()
        .filter(|name| !name.contains('_'))
        .collect();
    let gone = lines(&names, |name| format!("        proxy_set_header {name} \"\";"));
    let secret = options.secret.as_ref().map_or(String::new(), |secret| {
        format!("        proxy_set_header {} {};\n", secret.header, secret.value)
    });
    format!(
        "server {{
    listen {listen} ssl;
    server_name {server_name};
    underscores_in_headers off;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_client_certificate {client_ca};
    ssl_verify_client on;
    ssl_verify_depth 3;
{crl}    location / {{
        proxy_pass http://{application};
        proxy_set_header Host $host;
        proxy_set_header ssl-client-cert $ssl_client_escaped_cert;
        proxy_set_header ssl-client-verify $ssl_client_verify;
{secret}{gone}    }}
}}
"
    )
}

fn haproxy(options: &ProxyOptions) -> String {
    let ProxyOptions { application, listen, certificate, client_ca, .. } = options;
    let crl = options.crl.as_ref().map_or(String::new(), |crl| format!(" crl-file {crl}"));
    let gone = lines(&removed(&[]), |name| format!("    http-request del-header {name}"));
    let secret = options.secret.as_ref().map_or(String::new(), |secret| {
        let Secret { header, value } = secret;
        let twin = header.replace('-', "_");
        format!(
            "    http-request del-header {twin}\n    http-request set-header {header} {value}\n"
        )
    });
    format!(
        "frontend webhook_mtls
    mode http
    timeout client 30s
    bind {listen} ssl crt {certificate} ca-file {client_ca}{crl} verify required
{gone}    http-request set-header client-cert :%[ssl_c_der,base64]:
{secret}    default_backend webhook_mtls_application

backend webhook_mtls_application
    mode http
    timeout connect 5s
    timeout server 30s
    server application {application}
"
    )
}

fn apache(options: &ProxyOptions) -> String {
    let ProxyOptions { server_name, application, listen, certificate, key, client_ca, .. } =
        options;
    let crl = options.crl.as_ref().map_or(String::new(), |crl| {
        format!("    SSLCARevocationFile {crl}\n    SSLCARevocationCheck leaf\n")
    });
    let gone = lines(&removed(&[]), |name| format!("    RequestHeader unset {name} early"));
    let secret = options.secret.as_ref().map_or(String::new(), |secret| {
        let Secret { header, value } = secret;
        let twin = header.replace('-', "_");
        format!(
            "    RequestHeader unset {twin} early\n    RequestHeader set {header} \"{value}\"\n"
        )
    });
    format!(
        "<VirtualHost {listen}>
    ServerName {server_name}
    SSLEngine on
    SSLProtocol -all +TLSv1.2 +TLSv1.3
    SSLCertificateFile {certificate}
    SSLCertificateKeyFile {key}
    SSLCACertificateFile {client_ca}
{crl}    SSLVerifyClient require
    SSLVerifyDepth 3
    SSLOptions +ExportCertData
{gone}    RequestHeader set ssl-client-cert \"%{{SSL_CLIENT_CERT}}s\"
    RequestHeader set ssl-client-verify \"%{{SSL_CLIENT_VERIFY}}s\"
{secret}    ProxyRequests Off
    ProxyPass / http://{application}/
</VirtualHost>
"
    )
}

fn caddy(options: &ProxyOptions) -> String {
    let ProxyOptions { server_name, application, listen, certificate, key, client_ca, .. } =
        options;
    let (address, port) = listen.rsplit_once(':').unwrap_or((listen, "443"));
    let bind = if address == "0.0.0.0" { String::new() } else { format!("\tbind {address}\n") };
    let gone = lines(&removed(&["client-cert"]), |name| format!("\t\theader_up -{name}"));
    let secret = options.secret.as_ref().map_or(String::new(), |secret| {
        let Secret { header, value } = secret;
        let twin = header.replace('-', "_");
        format!("\t\theader_up -{twin}\n\t\theader_up {header} {value}\n")
    });
    format!(
        "{server_name}:{port} {{
{bind}\ttls {certificate} {key} {{
\t\tclient_auth {{
\t\t\tmode require_and_verify
\t\t\ttrusted_ca_cert_file {client_ca}
\t\t}}
\t}}
\treverse_proxy {application} {{
{gone}\t\theader_up client-cert \":{{http.request.tls.client.certificate_der_base64}}:\"
{secret}\t}}
}}
"
    )
}

fn traefik(options: &ProxyOptions) -> String {
    let ProxyOptions { server_name, application, certificate, key, client_ca, .. } = options;
    // An empty value removes a header.
    let gone = removed(&["x-forwarded-tls-client-cert"]);
    let gone = lines(&gone, |name| format!("          {name}: \"\""));
    let secret = options.secret.as_ref().map_or(String::new(), |secret| {
        let Secret { header, value } = secret;
        format!("          {}: \"\"\n          {header}: \"{value}\"\n", header.replace('-', "_"))
    });
    format!(
        "http:
  routers:
    webhook-mtls:
      rule: \"Host(`{server_name}`)\"
      service: webhook-mtls
      middlewares: [webhook-mtls-headers, webhook-mtls-certificate]
      tls:
        options: webhook-mtls
  middlewares:
    webhook-mtls-headers:
      headers:
        customRequestHeaders:
{gone}{secret}    webhook-mtls-certificate:
      passTLSClientCert:
        pem: true
  services:
    webhook-mtls:
      loadBalancer:
        servers:
          - url: \"http://{application}\"
tls:
  certificates:
    - certFile: {certificate}
      keyFile: {key}
  options:
    webhook-mtls:
      minVersion: VersionTLS12
      clientAuth:
        caFiles: [{client_ca}]
        clientAuthType: RequireAndVerifyClientCert
"
    )
}

fn envoy(options: &ProxyOptions) -> Result<String, Error> {
    let ProxyOptions { server_name, certificate, key, client_ca, .. } = options;
    let apart = |option: &str, text: &str| {
        let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
        let host = host.trim_matches(['[', ']']).to_owned();
        let port: u16 =
            port.parse().map_err(|_| options::fault(option, "must end in a port number"))?;
        Ok::<_, Error>((host, port))
    };
    let (address, port) = apart("listen", &options.listen)?;
    let (host, host_port) = apart("application", &options.application)?;
    let crl = options
        .crl
        .as_ref()
        .map_or(String::new(), |crl| format!("                    crl: {{ filename: {crl} }}\n"));
    // Envoy writes this header itself, and drops names with an underscore.
    let gone: Vec<String> = removed(&["x-forwarded-client-cert"])
        .into_iter()
        .filter(|name| !name.contains('_'))
        .collect();
    let gone = gone.join(", ");
    let mut secret = String::new();
    if let Some(Secret { header, value }) = &options.secret {
        let _ = write!(
            secret,
            "                        request_headers_to_add:
                          - header: {{ key: {header}, value: \"{value}\" }}
                            append_action: OVERWRITE_IF_EXISTS_OR_ADD
"
        );
    }
    Ok(format!(
        "static_resources:
  listeners:
    - name: webhook_mtls
      address: {{ socket_address: {{ address: \"{address}\", port_value: {port} }} }}
      filter_chains:
        - transport_socket:
            name: envoy.transport_sockets.tls
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
              require_client_certificate: true
              common_tls_context:
                tls_certificates:
                  - certificate_chain: {{ filename: {certificate} }}
                    private_key: {{ filename: {key} }}
                validation_context:
                    trusted_ca: {{ filename: {client_ca} }}
{crl}          filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: webhook_mtls
                common_http_protocol_options:
                  headers_with_underscores_action: DROP_HEADER
                forward_client_cert_details: SANITIZE_SET
                set_current_client_cert_details: {{ cert: true, chain: true }}
                route_config:
                  virtual_hosts:
                    - name: webhook_mtls
                      domains: [\"{server_name}\"]
                      request_headers_to_remove: [{gone}]
{secret}                      routes:
                        - match: {{ prefix: \"/\" }}
                          route: {{ cluster: application }}
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config:
                      \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
"
    ) + &envoy_cluster(&host, host_port))
}

fn envoy_cluster(host: &str, port: u16) -> String {
    format!(
        "  clusters:
    - name: application
      type: STRICT_DNS
      load_assignment:
        cluster_name: application
        endpoints:
          - lb_endpoints:
              - endpoint: {{ address: {{ socket_address: {{ address: \"{host}\", port_value: {port} }} }} }}
"
    )
}
