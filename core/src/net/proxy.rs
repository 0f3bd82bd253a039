//! A CONNECT proxy (RFC 9110 section 9.3.6). It is told addresses that were resolved and judged here,
//! never names: whoever looks a name up decides where a payload goes.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::connect::{Rules, race};
use super::{Egress, Sockets, Url, connect, resolve};
use crate::admission::fair_limit::Permit;
use crate::error::{Blame, Error, Kind, Retry, Scope};
use crate::http::{MAX_HEAD, MAX_INTERIM};
use crate::options;

/// How long a proxy has for a tunnel to one address before it is asked for the next one, too: longer
/// than for a connection, because it connects twice.
const TUNNEL_DELAY: Duration = Duration::from_millis(500);

/// A proxy that opens tunnels to consumers: `http://host:port`, with Basic credentials where it asks
/// for them. TLS with the consumer runs inside the tunnel; the proxy sees addresses and ciphertext.
///
/// Nothing but this option chooses a proxy: no environment variable is read.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    at: Url,
    /// The value of `proxy-authorization`.
    authorization: Option<String>,
}

impl Proxy {
    /// Reads `http://host:port` or `http://user:password@host:port`, in which user and password may
    /// be percent-encoded.
    ///
    /// Fails with `option_invalid`, which shows neither user nor password.
    pub fn new(url: &str) -> Result<Self, Error> {
        let fault = |why: &str| options::fault("proxy", why).advising(ADVICE);
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(fault("is not absolute"));
        };
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(fault("has another scheme than http: the way to it is not encrypted"));
        }
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(fault("has a path, a query or a fragment"));
        }
        let (userinfo, host) = match authority.rsplit_once('@') {
            Some((userinfo, host)) => (Some(userinfo), host),
            None => (None, authority),
        };
        // 80 is where web servers are, and nobody's proxy: a default would guess wrong.
        if host.ends_with(']') || !host.contains(':') {
            return Err(fault("names no port"));
        }
        let at = Url::parse(&format!("https://{host}/"))
            .map_err(|_| fault("names no host and port that could be connected to"))?;
        let proxy = Self { at, authorization: None };
        let Some(userinfo) = userinfo else {
            return Ok(proxy);
        };
        let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        match (decoded(user), decoded(password)) {
            (Some(user), Some(password)) => proxy.credentials(&user, &password),
            _ => Err(fault("has a user or password with a broken percent-encoding")),
        }
    }

    /// Says who we are to the proxy, by Basic authentication (RFC 7617).
    ///
    /// Fails with `option_invalid` if either holds a control character, or the user a colon.
    pub fn credentials(mut self, user: &str, password: &str) -> Result<Self, Error> {
        if user.contains(':') || user.chars().chain(password.chars()).any(char::is_control) {
            return Err(options::fault("proxy", "has a user with a colon, or control characters")
                .advising(ADVICE));
        }
        let encoded = BASE64_STANDARD.encode(format!("{user}:{password}"));
        self.authorization = Some(format!("Basic {encoded}"));
        Ok(self)
    }

    pub(super) fn authority(&self) -> String {
        self.at.authority().to_owned()
    }

    pub(crate) fn has_credentials(&self) -> bool {
        self.authorization.is_some()
    }

    /// A tunnel to the first of these addresses that the proxy reaches. They were judged before; the
    /// proxy's own address was chosen by whoever configured it, and is not.
    ///
    /// A proxy that waits for a silent address says nothing meanwhile: the next one is tried beside
    /// it, by a connection of its own.
    ///
    /// Fails with `proxy_refused`, or as connecting to the proxy does.
    pub(super) async fn tunnel(
        &self,
        targets: &[SocketAddr],
        sockets: Sockets,
        by: Instant,
    ) -> Result<(TcpStream, SocketAddr, Option<Permit>), Error> {
        let spare = sockets.spare().clone();
        let found = resolve(&self.at, &Egress::unrestricted(), spare.owner()).await;
        let proxies = found.map_err(|error| self.unreachable(error))?;
        let rules = Rules {
            by,
            delay: TUNNEL_DELAY,
            // What the proxy has against us will not change with the address.
            is_final: |error: &Error| error.scope() != Scope::Endpoint,
            silent: |after: Duration| {
                let millis = after.as_millis();
                self.refused(&format!("opened no tunnel within {millis} ms"))
                    .scoped(Scope::Endpoint)
            },
        };
        let open = |target| {
            let (sockets, proxies) = (Sockets::within(&spare), &proxies);
            async move { self.tunnel_to(target, proxies, sockets, by).await }
        };
        let raced = race(targets.to_vec(), sockets, &rules, open).await;
        let ((stream, own), target, held) = raced.map_err(|faults| {
            let mut faults: Vec<Error> = faults.into_iter().map(|(_, error)| error).collect();
            let decisive = faults.iter().position(rules.is_final).unwrap_or(0);
            if faults.is_empty() {
                return Error::new(Kind::Internal, "a tunnel to no address");
            }
            faults.swap_remove(decisive)
        })?;
        Ok((stream, target, own.or(held)))
    }

    fn unreachable(&self, error: Error) -> Error {
        // Our own limits are no fault of the proxy.
        if error.kind() == Kind::Overloaded {
            return error;
        }
        let message = format!("the proxy {}: {}", self.at.authority(), error.message());
        Error::new(error.kind(), message)
            .at(error.stage())
            .blamed(Blame::Path)
            .scoped(Scope::Process)
            .noting_all(error.context())
            .noting("proxy", self.at.authority().to_owned())
    }

    async fn tunnel_to(
        &self,
        target: SocketAddr,
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
        let broken = || self.refused("closed the connection before it answered");
        stream.write_all(request.as_bytes()).await.map_err(|_| broken())?;
        for _ in 0..=MAX_INTERIM {
            match self.answer(&mut stream).await? {
                // Switching protocols is final (RFC 9110 section 15.2.2).
                100 | 102..=199 => {}
                200..=299 => return Ok((stream, permit)),
                status => return Err(self.turned_down(status)),
            }
        }
        Err(self.refused("sent interim answers without end"))
    }

    /// Reads one head to its end and no further: what follows belongs to the consumer.
    async fn answer(&self, stream: &mut TcpStream) -> Result<u16, Error> {
        let mut head = Vec::with_capacity(256);
        let mut chunk = [0; 1024];
        loop {
            let seen = stream.peek(&mut chunk).await.unwrap_or(0);
            if seen == 0 {
                return Err(self.refused("closed the connection before it answered"));
            }
            // The end may have begun in what came before.
            let from = head.len().saturating_sub(3);
            head.extend_from_slice(&chunk[..seen]);
            let end = memchr::memmem::find(&head[from..], b"\r\n\r\n").map(|at| from + at + 4);
            let beyond = end.map_or(0, |end| head.len() - end);
            // What was seen is there to be read.
            stream
                .read_exact(&mut chunk[..seen - beyond])
                .await
                .map_err(|_| self.refused("closed the connection before it answered"))?;
            if end.unwrap_or(head.len() + 1) > MAX_HEAD {
                return Err(self.refused("answered with a head of more than 16 KiB"));
            }
            if let Some(end) = end {
                head.truncate(end);
                break;
            }
        }
        status(&head).ok_or_else(|| self.refused("answered with something that is not HTTP/1.1"))
    }

    fn refused(&self, how: &str) -> Error {
        Error::new(Kind::ProxyRefused, format!("the proxy {} {how}", self.at.authority()))
            .noting("proxy", self.at.authority().to_owned())
    }

    fn turned_down(&self, status: u16) -> Error {
        let error = self.refused(&format!("answered {status}")).noting("status", status);
        match status {
            // Some proxies say 401 of a wrong password, and 407 of none.
            401 | 407 => error.blamed(Blame::Ours).retried(Retry::AfterRepair, None).advising(
                "Give the proxy's user and password in the option proxy, or correct them.",
            ),
            403 | 405 => error
                .scoped(Scope::Endpoint)
                .retried(Retry::AfterRepair, None)
                .advising("Allow the consumer's address and port in the proxy's rules."),
            _ => error.scoped(Scope::Endpoint),
        }
    }
}

const ADVICE: &str = "Write http://host:port, or http://user:password@host:port.";

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy")
            .field("at", &self.at.authority())
            .field("has_credentials", &self.authorization.is_some())
            .finish()
    }
}

/// The status of a head (RFC 9112 section 4), or `None` if it is none.
fn status(head: &[u8]) -> Option<u16> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let rest = line.strip_prefix(b"HTTP/1.1 ").or_else(|| line.strip_prefix(b"HTTP/1.0 "))?;
    let (digits, reason) = rest.split_at_checked(3)?;
    let sound = digits.iter().all(u8::is_ascii_digit) && (reason.is_empty() || reason[0] == b' ');
    let status = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (sound && status >= 100).then_some(status)
}

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
    fn what_is_no_proxy_is_refused_without_being_shown() {
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
    fn only_a_status_line_is_a_status() {
        assert_eq!(status(b"HTTP/1.1 200 Connection established\r\n\r\n"), Some(200));
        assert_eq!(status(b"HTTP/1.0 407\r\n\r\n"), Some(407));
        for garbage in
            ["HTTP/2 200\r\n", "HTTP/1.1 2000 OK\r\n", "HTTP/1.1 +20 OK\r\n", "200 OK\r\n", "\r\n"]
        {
            assert_eq!(status(garbage.as_bytes()), None, "{garbage}");
        }
    }
}
