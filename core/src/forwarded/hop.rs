//! The proxy that is believed, and how it is recognized.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use sha2::{Digest as _, Sha256};

use super::dialect::Dialect;
use super::lines::Lines;
use super::refusal::{Reason, Refusal};
use crate::error::{Error, Kind, certain_secret, key};
use crate::material::pin::{Pin, Pins};
use crate::net::Cidr;
use crate::options;

/// The fewest bytes of a shared secret.
const LEAST_SECRET: usize = 16;

/// The most bytes of a shared secret.
const MOST_SECRET: usize = 512;

/// The peer of the transport on which a request arrived: what the socket itself says, never what a
/// header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remote {
    /// The address of the TCP peer.
    Address(IpAddr),
    /// A Unix socket of this machine.
    Unix,
    /// A TLS connection: the pin of the certificate that the peer presented, and that was verified.
    Certificate(Pin),
}

impl Remote {
    /// Reads an IP address, `unix`, or a pin: `sha256/…` or `cert-sha256/…`.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text == "unix" {
            return Ok(Self::Unix);
        }
        if text.starts_with("sha256/") || text.starts_with("cert-sha256/") {
            let pin = Pin::parse(text);
            return pin.map(Self::Certificate).map_err(|_| remote_fault());
        }
        // A scope (fe80::1%eth0) names an interface of this machine, not the peer.
        let address = text.split_once('%').map_or(text, |(address, _)| address);
        address.parse().map(Self::Address).map_err(|_| remote_fault())
    }
}

fn remote_fault() -> Error {
    options::fault("remote", "must be an IP address without port, unix, or a pin such as sha256/…")
}

/// A proxy that is believed when it forwards a certificate. Its name appears in
/// [`PeerIdentity::hop`](crate::verify::PeerIdentity::hop) and in errors.
///
/// ```
/// use webhook_mtls::forwarded::Hop;
///
/// let edge = Hop::address("edge", ["10.0.0.0/24", "fd00::/64"])?;
/// assert_eq!(edge.name(), "edge");
/// assert!(Hop::address("edge", ["0.0.0.0/0"]).is_err(), "not every address is a proxy");
/// # Ok::<(), webhook_mtls::Error>(())
/// ```
#[derive(Clone)]
pub struct Hop {
    name: Arc<str>,
    proof: Proof,
}

/// How the proxy is recognized.
#[derive(Clone)]
enum Proof {
    Address(Arc<[Cidr]>),
    Secret { header: Arc<str>, digest: [u8; 32] },
    Certificate(Pins),
    Unix,
}

impl Hop {
    /// Believes the TCP peers with an address in these networks. Everything in them that can reach the
    /// application is believed, so name the proxies and not the whole network.
    ///
    /// * `name`: 1 to 64 characters of `A-Z a-z 0-9 . _ -`.
    /// * `networks`: addresses or CIDRs, at least one, and none that contains every address.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid`.
    pub fn address<I>(name: &str, networks: I) -> Result<Self, Error>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let networks = Cidr::parse_all("networks", networks)?;
        if networks.is_empty() {
            return Err(options::fault("networks", "must not be empty"));
        }
        if networks.iter().any(|network| network.prefix == 0) {
            return Err(options::fault("networks", "must not contain every address"));
        }
        Self::new(name, Proof::Address(networks))
    }

    /// Believes requests with a secret in a header, which the proxy sets and only it knows. The secret
    /// is compared in constant time.
    ///
    /// * `name`: as for [`address`](Self::address).
    /// * `header`: the name of the header. The proxy must replace what a client sends under it.
    /// * `value`: 16 to 512 printable ASCII characters, random.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid`. The error does not show the secret.
    pub fn secret(name: &str, header: &str, value: &str) -> Result<Self, Error> {
        let header = header.to_ascii_lowercase();
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if header.is_empty() || header.len() > 64 || !header.bytes().all(is_token) {
            return Err(options::fault("header", "must have 1 to 64 letters, digits and hyphens"));
        }
        if Dialect::ALL.iter().any(|dialect| dialect.headers().any(|known| known == header)) {
            return Err(options::fault("header", "is the header of a certificate"));
        }
        if !(LEAST_SECRET..=MOST_SECRET).contains(&value.len())
            || !value.bytes().all(|byte| byte.is_ascii_graphic())
        {
            let why = format!(
                "must have {LEAST_SECRET} to {MOST_SECRET} printable ASCII characters without spaces"
            );
            return Err(options::fault("value", why));
        }
        let digest = Sha256::digest(value).into();
        Self::new(name, Proof::Secret { header: header.into(), digest })
    }

    /// Believes TLS peers with one of these keys or certificates. The application ends the TLS of the
    /// proxy itself, verifies it, and passes its pin as [`Remote::Certificate`].
    ///
    /// * `name`: as for [`address`](Self::address).
    /// * `pins`: the proxy's pins.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid`.
    pub fn certificate(name: &str, pins: Pins) -> Result<Self, Error> {
        Self::new(name, Proof::Certificate(pins))
    }

    /// Believes the peers of a Unix socket. The permissions of its file must admit only the proxy.
    ///
    /// * `name`: as for [`address`](Self::address).
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid`.
    pub fn unix(name: &str) -> Result<Self, Error> {
        Self::new(name, Proof::Unix)
    }

    fn new(name: &str, proof: Proof) -> Result<Self, Error> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(is_plain) {
            let error = Error::new(
                Kind::OptionInvalid,
                "the name of a hop must have 1 to 64 characters of A-Z a-z 0-9 . _ -",
            );
            return Err(error.noting(key::OPTION, "name"));
        }
        // Errors and logs contain the name.
        if let Some(what) = certain_secret(name) {
            return Err(options::fault("name", format_args!("looks like {what}"))
                .advising("Give a name that may appear in logs."));
        }
        Ok(Self { name: name.into(), proof })
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns how the proxy is recognized: `address`, `secret`, `certificate` or `unix`.
    pub fn kind(&self) -> &'static str {
        match self.proof {
            Proof::Address(_) => "address",
            Proof::Secret { .. } => "secret",
            Proof::Certificate(_) => "certificate",
            Proof::Unix => "unix",
        }
    }

    pub(super) fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// Checks that the request comes from this hop.
    pub(super) fn authenticate(
        &self,
        lines: &Lines<'_>,
        remote: Option<Remote>,
    ) -> Result<(), Refusal> {
        match (&self.proof, remote) {
            (Proof::Secret { header, digest }, _) => {
                let Some(value) = lines.only(header)? else {
                    return Err(Refusal::of(Reason::SecretMissing, header, "is absent"));
                };
                let seen: [u8; 32] = Sha256::digest(value).into();
                verify_slices_are_equal(&seen, digest)
                    .map_err(|_| Refusal::of(Reason::SecretWrong, header, "has another secret"))
            }
            (_, None) => {
                let why = "the peer of the transport is not known";
                Err(Refusal::new(Reason::RemoteUnknown, why))
            }
            (Proof::Address(networks), Some(Remote::Address(address))) => {
                let address = address.to_canonical();
                if networks.iter().any(|network| network.contains(address)) {
                    return Ok(());
                }
                let why = format!("the request came from {address}, which is not the hop");
                Err(Refusal::new(Reason::RemoteNotListed, why))
            }
            (Proof::Certificate(pins), Some(Remote::Certificate(seen))) => {
                if pins.iter().any(|(pin, _)| pin == seen) {
                    return Ok(());
                }
                let why = format!("the peer of the transport has {seen}, which is no pin of it");
                Err(Refusal::new(Reason::RemoteNotListed, why))
            }
            (Proof::Unix, Some(Remote::Unix)) => Ok(()),
            (_, Some(_)) => {
                let why = format!("the transport is of another kind; the hop has {}", self.kind());
                Err(Refusal::new(Reason::RemoteNotListed, why))
            }
        }
    }
}

impl fmt::Debug for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hop")
            .field("name", &self.name)
            .field("kind", &self.kind())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_is_an_address_a_socket_or_a_pin() {
        let pin = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        assert_eq!(Remote::parse("unix").unwrap(), Remote::Unix);
        assert_eq!(Remote::parse(pin).unwrap(), Remote::Certificate(Pin::Spki([0; 32])));
        let address = |text: &str| Remote::Address(text.parse().unwrap());
        assert_eq!(Remote::parse("fe80::1%eth0").unwrap(), address("fe80::1"));
        assert_eq!(Remote::parse("10.0.0.1").unwrap(), address("10.0.0.1"));
        for bad in ["", "10.0.0.1:80", "[::1]", "localhost", "sha256/x", "10.0.0.1, 10.0.0.2"] {
            let error = Remote::parse(bad).unwrap_err();
            assert_eq!(error.kind(), Kind::OptionInvalid, "{bad}");
        }
    }

    #[test]
    fn a_hop_needs_a_plain_name_and_a_proof_that_excludes_someone() {
        for name in ["", "a b", "é", &"a".repeat(65)] {
            assert!(Hop::unix(name).is_err(), "{name:?}");
        }
        assert!(Hop::address("edge", [""; 0]).is_err());
        assert!(Hop::address("edge", ["::/0"]).is_err());
        assert!(Hop::address("edge", ["10.0.0.1/8"]).is_err());
        let secret = "0123456789abcdef";
        assert!(Hop::secret("edge", "X-Hop", &secret[1..]).is_err());
        assert!(Hop::secret("edge", "Client-Cert", secret).is_err());
        assert!(Hop::secret("edge", "X Hop", secret).is_err());
        let hop = Hop::secret("edge", "X-Hop", secret).unwrap();
        assert!(!format!("{hop:?}").contains(secret));
    }
}
