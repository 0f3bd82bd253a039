//! A CONNECT proxy (RFC 9110 section 9.3.6). Its requests contain addresses that were resolved and
//! checked here. They contain names only if the operator has chosen it: the resolver of a name decides
//! where a payload goes.

use std::fmt::Display;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::connect::{Rules, race};
use super::{Destination, Egress, Sockets, Url, connect, resolve};
use crate::admission::fair_limit::Permit;
use crate::error::{Blame, Error, Kind, Retry, Scope, cause, key};
use crate::http::{MAX_HEAD, MAX_INTERIM};
use crate::options;

/// The time after which a tunnel to the next address is tried beside a slow one. It is longer than for
/// a direct connection, because a tunnel needs two connections.
const TUNNEL_DELAY: Duration = Duration::from_millis(500);

/// A proxy that opens tunnels to consumers: `http://host:port`, with optional Basic credentials. TLS
/// with the consumer runs inside the tunnel; the proxy sees addresses and ciphertext.
///
/// Only this option selects a proxy. No environment variable is read.
///
/// ```
/// use webhook_mtls::{DispatcherOptions, Proxy};
///
/// let proxy = Proxy::new("http://proxy.corp:3128")?.credentials("webhooks", "from the vault")?;
/// let options = DispatcherOptions::new().proxy(proxy);
/// # Ok::<(), webhook_mtls::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    at: Url,
    /// The value of `proxy-authorization`.
    authorization: Option<String>,
    /// CONNECT asks for names, which the proxy resolves.
    by_name: bool,
}

impl Proxy {
    /// Parses `http://host:port` or `http://user:password@host:port`, in which user and password may
    /// be percent-encoded.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid`, which shows neither user nor password.
    pub fn new(url: &str) -> Result<Self, Error> {
        let fault = |why: &str| options::fault("proxy", why).advising(ADVICE);
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(fault("is not absolute"));
        };
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(fault(
                "has a scheme other than http; the connection to the proxy is not encrypted",
            ));
        }
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(fault("has a path, a query or a fragment"));
        }
        let (userinfo, host) = match authority.rsplit_once('@') {
            Some((userinfo, host)) => (Some(userinfo), host),
            None => (None, authority),
        };
        // Port 80 is the default of web servers, not of proxies, so there is no default.
        if host.ends_with(']') || !host.contains(':') {
            return Err(fault("has no port"));
        }
        let at = Url::parse(&format!("https://{host}/"))
            .map_err(|_| fault("has no valid host and port"))?;
        let proxy = Self { at, authorization: None, by_name: false };
        let Some(userinfo) = userinfo else {
            return Ok(proxy);
        };
        let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        match (decoded(user), decoded(password)) {
            (Some(user), Some(password)) => proxy.credentials(&user, &password),
            _ => Err(fault("has a user or password with an invalid percent-encoding")),
        }
    }

    /// Sets the user and password for Basic authentication (RFC 7617).
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` if either contains a control character, or the user a colon.
    pub fn credentials(mut self, user: &str, password: &str) -> Result<Self, Error> {
        if user.contains(':') || user.chars().chain(password.chars()).any(char::is_control) {
            return Err(options::fault(
                "proxy",
                "has credentials with a control character, or a user with a colon",
            )
            .advising(ADVICE));
        }
        let encoded = BASE64_STANDARD.encode(format!("{user}:{password}"));
        self.authorization = Some(format!("Basic {encoded}"));
        Ok(self)
    }

    /// Sets whether CONNECT asks for the consumer's name instead of a checked address, by default `false`,
    /// for a proxy whose rules are written by name.
    ///
    /// The proxy then resolves the name. The egress policy does not apply to it, so the proxy's rules must
    /// keep deliveries away from internal addresses. TLS still verifies the consumer.
    pub fn by_name(mut self, by_name: bool) -> Self {
        self.by_name = by_name;
        self
    }

    pub(crate) fn is_by_name(&self) -> bool {
        self.by_name
    }

    pub(crate) fn authority(&self) -> String {
        self.at.authority().to_owned()
    }

    pub(crate) fn has_credentials(&self) -> bool {
        self.authorization.is_some()
    }

    /// Opens a tunnel to the name, or to the first of the addresses that the proxy reaches. The egress policy
    /// has allowed the addresses. It does not apply to the proxy's own address, which the operator configured.
    ///
    /// A proxy that waits for a silent address sends nothing meanwhile. So the next address is tried
    /// beside it, on a separate connection.
    ///
    /// Fails with `proxy_refused`, or as connecting to the proxy does.
    pub(super) async fn tunnel(
        &self,
        destination: &Destination,
        sockets: Sockets,
        by: Instant,
    ) -> Result<(TcpStream, SocketAddr, Option<Permit>), Error> {
        let spare = sockets.spare().clone();
        let found = resolve(&self.at, &Egress::unrestricted(), spare.owner()).await;
        let proxies = found.map_err(|error| self.unreachable(error))?;
        let targets = match destination {
            Destination::Addresses(addresses) => addresses.clone(),
            Destination::Name(name) => {
                let (stream, permit) = self.tunnel_to(name, &proxies, sockets, by).await?;
                let address = stream.peer_addr().map_err(|_| self.closed(name))?;
                return Ok((stream, address, permit));
            }
        };
        let rules = Rules {
            by,
            delay: TUNNEL_DELAY,
            // A refusal that does not depend on the address applies to all addresses.
            is_final: |error: &Error| error.scope() != Scope::Endpoint,
            silent: |after: Duration| {
                let millis = after.as_millis();
                self.refused(&format!("opened no tunnel within {millis} ms"))
                    .scoped(Scope::Endpoint)
            },
        };
        let open = |target: SocketAddr| {
            let (sockets, proxies) = (Sockets::within(&spare), &proxies);
            async move { self.tunnel_to(&target.to_string(), proxies, sockets, by).await }
        };
        let raced = race(targets, sockets, &rules, open).await;
        let ((stream, own), target, held) = raced.map_err(|errors| {
            let mut errors: Vec<Error> = errors.into_iter().map(|(_, error)| error).collect();
            let decisive = errors.iter().position(rules.is_final).unwrap_or(0);
            if errors.is_empty() {
                return Error::new(Kind::Internal, "a tunnel to no address");
            }
            errors.swap_remove(decisive)
        })?;
        Ok((stream, target, own.or(held)))
    }

    fn unreachable(&self, error: Error) -> Error {
        // A limit of ours is not a fault of the proxy.
        if error.kind() == Kind::Overloaded {
            return error;
        }
        let message = format!("the proxy {}: {}", self.at.authority(), error.message());
        let unreachable = Error::new(error.kind(), message)
            .at(error.stage())
            .blamed(Blame::Path)
            .scoped(Scope::Process)
            .noting_all(&error)
            .noting(key::PROXY, self.at.authority().to_owned());
        if cause::PROXY_UNREACHABLE.kinds.contains(&error.kind()) {
            unreachable.caused(&cause::PROXY_UNREACHABLE, &[("proxy", &self.at.authority())])
        } else {
            unreachable
        }
    }

    async fn tunnel_to(
        &self,
        target: &str,
        proxies: &[SocketAddr],
        sockets: Sockets,
        by: Instant,
    ) -> Result<(TcpStream, Option<Permit>), Error> {
        let connected = connect(proxies, &Egress::unrestricted(), sockets, by).await;
        let (mut stream, _, permit) = connected.map_err(|error| self.unreachable(error))?;
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n");
        if let Some(authorization) = &self.authorization {
            request.push_str("proxy-authorization: ");
            request.push_str(authorization);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        let broken = || self.closed(target);
        stream.write_all(request.as_bytes()).await.map_err(|_| broken())?;
        for _ in 0..=MAX_INTERIM {
            match self.read_head(&mut stream, target).await? {
                // Switching protocols is final (RFC 9110 section 15.2.2).
                (100 | 102..=199, _) => {}
                (200..=299, _) => return Ok((stream, permit)),
                (status, head) => return Err(self.refused_with_status(status, &head, target)),
            }
        }
        Err(self.refused("sent interim responses without end"))
    }

    /// Reads one response head to its end and no further: the following bytes are the consumer's. Returns its
    /// status and its bytes.
    async fn read_head(
        &self,
        stream: &mut TcpStream,
        target: &str,
    ) -> Result<(u16, Vec<u8>), Error> {
        let mut head = Vec::with_capacity(256);
        let mut chunk = [0; 1024];
        loop {
            let seen = stream.peek(&mut chunk).await.unwrap_or(0);
            if seen == 0 {
                return Err(self.closed(target));
            }
            // The end of the head may have started in the previous chunk.
            let from = head.len().saturating_sub(3);
            head.extend_from_slice(&chunk[..seen]);
            let end = memchr::memmem::find(&head[from..], b"\r\n\r\n").map(|at| from + at + 4);
            let beyond = end.map_or(0, |end| head.len() - end);
            // Consumes the bytes that `peek` returned.
            stream
                .read_exact(&mut chunk[..seen - beyond])
                .await
                .map_err(|_| self.closed(target))?;
            if end.unwrap_or(head.len() + 1) > MAX_HEAD {
                return Err(self.refused("answered with a head of more than 16 KiB"));
            }
            if let Some(end) = end {
                head.truncate(end);
                break;
            }
        }
        let Some(status) = status(&head) else {
            return Err(self.no_proxy(self.refused("answered with something that is not HTTP/1.1")));
        };
        Ok((status, head))
    }

    fn closed(&self, target: &str) -> Error {
        let how = format!("closed the connection before it answered CONNECT {target}");
        self.refused(&how)
            .caused(&cause::PROXY_CLOSES, &[("proxy", &self.at.authority()), ("target", &target)])
    }

    /// The error if the server at the proxy's address is no proxy.
    fn no_proxy(&self, error: Error) -> Error {
        error
            .blamed(Blame::Ours)
            .retried(Retry::AfterRepair, None)
            .caused(&cause::NOT_A_PROXY, &[("proxy", &self.at.authority())])
    }

    fn refused(&self, how: &str) -> Error {
        Error::new(Kind::ProxyRefused, format!("the proxy {} {how}", self.at.authority()))
            .noting(key::PROXY, self.at.authority().to_owned())
    }

    fn refused_with_status(&self, status: u16, head: &[u8], target: &str) -> Error {
        let schemes = if status == 407 { schemes(head) } else { Vec::new() };
        let offered = schemes.join(", ");
        let asking = if offered.is_empty() { offered.clone() } else { format!(" ({offered})") };
        let how = format!("answered {status}{asking} to CONNECT {target}");
        let error = self.refused(&how).noting(key::STATUS, status);
        let speaks_basic = schemes.iter().any(|scheme| scheme.eq_ignore_ascii_case("basic"));
        let error =
            if schemes.is_empty() { error } else { error.noting(key::PROXY_SCHEMES, schemes) };
        let proxy = self.at.authority();
        let values: [(&str, &dyn Display); 3] =
            [("proxy", &proxy), ("target", &target), ("schemes", &offered)];
        match status {
            407 if !offered.is_empty() && !speaks_basic => error
                .blamed(Blame::Ours)
                .retried(Retry::AfterRepair, None)
                .caused(&cause::PROXY_SCHEME, &values),
            // Some proxies send 401 for a wrong password, and 407 for a missing one.
            401 | 407 => error
                .blamed(Blame::Ours)
                .retried(Retry::AfterRepair, None)
                .caused(&cause::PROXY_CREDENTIALS, &values),
            // A web server that does not know CONNECT.
            300..=399 | 400 | 404 | 405 | 421 | 426 | 501 => self.no_proxy(error),
            408 | 429 => error.scoped(Scope::Endpoint).caused(&cause::PROXY_BUSY, &values),
            _ if (402..500).contains(&status) => error
                .scoped(Scope::Endpoint)
                .retried(Retry::AfterRepair, None)
                .caused(&cause::PROXY_FORBIDS, &values),
            _ => error.scoped(Scope::Endpoint).caused(&cause::PROXY_CANNOT_REACH, &values),
        }
    }
}

const ADVICE: &str = "Write http://host:port, or http://user:password@host:port.";

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy")
            .field("at", &self.at.authority())
            .field("has_credentials", &self.authorization.is_some())
            .field("by_name", &self.by_name)
            .finish()
    }
}

/// Returns the status of a response head (RFC 9112 section 4), or `None` if it is invalid.
fn status(head: &[u8]) -> Option<u16> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let rest = line.strip_prefix(b"HTTP/1.1 ").or_else(|| line.strip_prefix(b"HTTP/1.0 "))?;
    let (digits, reason) = rest.split_at_checked(3)?;
    let sound = digits.iter().all(u8::is_ascii_digit) && (reason.is_empty() || reason[0] == b' ');
    let status = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (sound && status >= 100).then_some(status)
}

/// Returns the authentication schemes in the `proxy-authenticate` headers of a response head (RFC 9110
/// section 11.7.1), at most eight.
fn schemes(head: &[u8]) -> Vec<String> {
    let head = String::from_utf8_lossy(head);
    let values = head.split("\r\n").filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("proxy-authenticate").then_some(value)
    });
    let mut found: Vec<String> = Vec::new();
    for value in values {
        // A quoted text may contain a comma.
        let unquoted: String = value.split('"').step_by(2).collect();
        for challenge in unquoted.split(',') {
            // A scheme is followed by white space or nothing, and the name of a parameter by `=`.
            let word = challenge.split_ascii_whitespace().next().unwrap_or_default();
            let is_scheme = (1..=32).contains(&word.len())
                && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
            if is_scheme && found.len() < 8 && !found.iter().any(|known| known == word) {
                found.push(word.to_owned());
            }
        }
    }
    found
}

/// Returns the percent-decoded text, or `None` if it is not valid.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_decoded_and_never_shown() {
        let proxy = Proxy::new("http://us%65r:p%40ss%3A@proxy.internal:3128/").unwrap();
        let encoded = proxy.authorization.as_deref().unwrap().strip_prefix("Basic ").unwrap();
        assert_eq!(BASE64_STANDARD.decode(encoded).unwrap(), b"user:p@ss:");
        let apart = Proxy::new("http://PROXY.internal:3128").unwrap().credentials("user", "p@ss:");
        assert_eq!(proxy, apart.unwrap());
        let shown = format!("{proxy:?}");
        assert!(shown.contains("proxy.internal:3128") && !shown.contains("ss"), "{shown}");
    }

    #[test]
    fn an_invalid_proxy_url_is_refused_and_not_shown() {
        for url in [
            "",
            "proxy:3128",
            "https://hunter2@proxy:3128",
            "socks5://proxy:1080",
            "http://user:hunter2@proxy",
            "http://user:hunter2@proxy:0",
            "http://user:hunter2@proxy:3128/path",
            "http://user:hunter2@proxy:3128?x",
            "http://user:%zz-hunter2@proxy:3128",
            "http://user:hunter2%0d%0ax:y@proxy:3128",
            "http://us%3aer:hunter2@proxy:3128",
            "http://user:hunter2@127.1:3128",
            "http://[::1]",
        ] {
            let error = Proxy::new(url).unwrap_err();
            assert_eq!(error.kind(), Kind::OptionInvalid, "{url}");
            assert!(!format!("{error:?} {}", error.to_json()).contains("hunter2"), "{url}");
        }
    }

    #[test]
    fn the_schemes_of_a_proxy_are_read() {
        let head =
            b"HTTP/1.1 407 no\r\nProxy-Authenticate: Negotiate\r\nproxy-authenticate: NTLM, \
                     Basic realm=\"a, b=\\c\", charset=UTF-8\r\nx: Digest\r\n\r\n";
        assert_eq!(schemes(head), ["Negotiate", "NTLM", "Basic"]);
        assert_eq!(schemes(b"HTTP/1.1 407 no\r\n\r\n"), [""; 0]);
    }

    #[test]
    fn only_a_status_line_has_a_status() {
        assert_eq!(status(b"HTTP/1.1 200 Connection established\r\n\r\n"), Some(200));
        assert_eq!(status(b"HTTP/1.0 407\r\n\r\n"), Some(407));
        for garbage in
            ["HTTP/2 200\r\n", "HTTP/1.1 2000 OK\r\n", "HTTP/1.1 +20 OK\r\n", "200 OK\r\n", "\r\n"]
        {
            assert_eq!(status(garbage.as_bytes()), None, "{garbage}");
        }
    }
}
