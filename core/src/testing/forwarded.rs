//! The request headers of a proxy that forwards a certificate, and those with which a client forges them.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{Dialect, Error, Issued, invalid};
use crate::x509::hex;

/// How the headers of a forwarded certificate are forged. A receiver must refuse every one, also if it
/// comes from the hop.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Forgery {
    /// The client's own line stands before that of the proxy.
    Repeated,
    /// The client's own line has a name in capitals, and stands before that of the proxy.
    Capitals,
    /// The client's own line has `_` in place of `-`, and stands before that of the proxy.
    Underscore,
    /// The only line has `_` in place of `-`.
    UnderscoreAlone,
    /// The verdict of the proxy is negative. Some dialects have none.
    NotVerified,
    /// No certificate is forwarded.
    Absent,
    /// The value is cut.
    Malformed,
    /// The value has more than 64 KiB.
    TooLarge,
}

impl Forgery {
    /// All forgeries.
    pub const ALL: &[Self] = &[
        Self::Repeated,
        Self::Capitals,
        Self::Underscore,
        Self::UnderscoreAlone,
        Self::NotVerified,
        Self::Absent,
        Self::Malformed,
        Self::TooLarge,
    ];

    /// Returns the word, equal in every language.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Repeated => "repeated",
            Self::Capitals => "capitals",
            Self::Underscore => "underscore",
            Self::UnderscoreAlone => "underscore_alone",
            Self::NotVerified => "not_verified",
            Self::Absent => "absent",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
        }
    }

    /// Returns the forgery that the argument `forgery` of a binding names.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` and lists the names if there is no such forgery.
    #[doc(hidden)]
    pub fn of_argument(name: &str) -> Result<Self, Error> {
        Error::named_by("forgery", name, Self::ALL, Self::name)
    }
}

/// Header lines: names and values.
type Lines = Vec<(String, String)>;

impl Issued {
    /// Returns the header lines that a proxy forwards after this client's handshake, to test a receiver
    /// without a proxy.
    ///
    /// * `dialect`: how the proxy writes them.
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use webhook_mtls::forwarded::{Dialect, Hop, Remote};
    /// use webhook_mtls::testing::{Forgery, Lab, Leaf};
    /// use webhook_mtls::{Authorization, Kind, Role, Verifier, VerifierOptions};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let lab = Lab::start()?;
    /// let options = VerifierOptions::new(Role::Client, lab.trust());
    /// let verifier = Verifier::new(options.authorization(Authorization::ca_members()))?;
    /// let (hop, now) = (Hop::unix("edge")?, SystemTime::now());
    /// let verify = |headers: &[(String, String)]| {
    ///     verifier.verify_forwarded(headers, Dialect::Rfc9440, &hop, Some(Remote::Unix), now)
    /// };
    ///
    /// let acme = lab.authority().issue(Leaf::client("acme"))?;
    /// assert_eq!(verify(&acme.forwarded(Dialect::Rfc9440))?.hop(), Some("edge"));
    /// let forged = acme.forged(Dialect::Rfc9440, Forgery::Underscore)?;
    /// assert_eq!(verify(&forged).unwrap_err().kind(), Kind::HopUntrusted);
    /// # Ok(())
    /// # }
    /// ```
    pub fn forwarded(&self, dialect: Dialect) -> Vec<(String, String)> {
        let line = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let (leaf, others) = (&self.chain_der[0], &self.chain_der[1..]);
        let pem = first_block(&self.chain_pem);
        let digest = hex(&Sha256::digest(leaf));
        match dialect {
            Dialect::Nginx => {
                let value = percent_encoded(pem, b"");
                vec![line("ssl-client-cert", &value), line("ssl-client-verify", "SUCCESS")]
            }
            Dialect::Envoy => {
                let (cert, chain) =
                    (percent_encoded(pem, b""), percent_encoded(&self.chain_pem, b""));
                let value = format!("Hash={digest};Cert=\"{cert}\";Chain=\"{chain}\"");
                vec![line("x-forwarded-client-cert", &value)]
            }
            Dialect::EnvoyJson => {
                let value = json!([{ "hash": digest, "cert": pem, "chain": self.blocks() }]);
                vec![line("x-forwarded-client-cert", &value.to_string())]
            }
            Dialect::AwsAlb => {
                vec![line("x-amzn-mtls-clientcert-leaf", &percent_encoded(pem, b"+=/"))]
            }
            Dialect::AwsAlbPassthrough => {
                vec![line("x-amzn-mtls-clientcert", &percent_encoded(&self.chain_pem, b"+=/"))]
            }
            Dialect::Traefik => {
                let ders: Vec<String> = self.chain_der.iter().map(base64).collect();
                vec![line("x-forwarded-tls-client-cert", &ders.join(","))]
            }
            Dialect::Haproxy => vec![
                line("ssl-client-cert", &base64(leaf)),
                line("ssl-client-used", "1"),
                line("ssl-client-verify", "0"),
                line("ssl-client-chain", &base64(others.concat())),
            ],
            Dialect::Caddy => vec![line("ssl-client-cert", &base64(leaf))],
            Dialect::Apache => {
                let value = pem.replace('\n', " ");
                vec![line("ssl-client-cert", &value), line("ssl-client-verify", "SUCCESS")]
            }
            Dialect::Gcp => vec![
                line("x-client-cert-leaf", &sequence(leaf)),
                line("x-client-cert-chain", &sequences(others)),
                line("x-client-cert-present", "true"),
                line("x-client-cert-chain-verified", "true"),
            ],
            Dialect::Cloudflare => vec![
                line("cf-client-cert-der-base64", &base64(leaf)),
                line("cf-client-cert-sha256", &digest),
                line("cf-cert-presented", "true"),
                line("cf-cert-verified", "true"),
                line("cf-cert-revoked", "false"),
            ],
            Dialect::Rfc9440 => vec![
                line("client-cert", &sequence(leaf)),
                line("client-cert-chain", &sequences(others)),
            ],
        }
    }

    /// Returns the header lines of [`forwarded`](Self::forwarded), forged in one way. A receiver must
    /// refuse them with 401.
    ///
    /// * `dialect`: how the proxy writes them.
    /// * `forgery`: how they are forged.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` if the dialect has no verdict that could be negative.
    pub fn forged(
        &self,
        dialect: Dialect,
        forgery: Forgery,
    ) -> Result<Vec<(String, String)>, Error> {
        let mut lines = self.forwarded(dialect);
        let (name, value) = lines[0].clone();
        match forgery {
            Forgery::Repeated => lines.insert(0, (name, value)),
            Forgery::Capitals => lines.insert(0, (name.to_uppercase(), value)),
            Forgery::Underscore => lines.insert(0, (name.replace('-', "_"), value)),
            Forgery::UnderscoreAlone => lines[0].0 = name.replace('-', "_"),
            Forgery::NotVerified => refuse(&mut lines, dialect)?,
            Forgery::Absent => lines.clear(),
            Forgery::Malformed => lines[0].1.truncate(value.len() / 2),
            Forgery::TooLarge => lines[0].1 = value.repeat(64 * 1024 / value.len() + 1),
        }
        Ok(lines)
    }

    /// Returns the lines of [`forwarded`](Self::forwarded), or of [`forged`](Self::forged) if a forgery is
    /// given, by their names.
    #[doc(hidden)]
    pub fn forwarded_by_name(
        &self,
        dialect: &str,
        forgery: Option<&str>,
    ) -> Result<Vec<(String, String)>, Error> {
        let dialect = Dialect::named(dialect)?;
        match forgery {
            None => Ok(self.forwarded(dialect)),
            Some(name) => self.forged(dialect, Forgery::of_argument(name)?),
        }
    }

    fn blocks(&self) -> Vec<&str> {
        let (first, second) = self.chain_pem.split_at(first_block(&self.chain_pem).len());
        vec![first, second]
    }
}

/// Makes the verdict negative.
fn refuse(lines: &mut Lines, dialect: Dialect) -> Result<(), Error> {
    let (header, negative) = match dialect {
        Dialect::Nginx | Dialect::Apache => ("ssl-client-verify", "FAILED:certificate has expired"),
        Dialect::Haproxy => ("ssl-client-verify", "10"),
        Dialect::Gcp => ("x-client-cert-chain-verified", "false"),
        Dialect::Cloudflare => ("cf-cert-verified", "false"),
        _ => {
            let name = dialect.name();
            return Err(invalid(&format!("the dialect {name} has no verdict")));
        }
    };
    for (name, value) in lines {
        if name == header {
            negative.clone_into(value);
        }
    }
    Ok(())
}

/// Returns the first certificate of a PEM text, with its last line break.
fn first_block(pem: &str) -> &str {
    const END: &str = "-----END CERTIFICATE-----\n";
    pem.find(END).map_or(pem, |at| &pem[..at + END.len()])
}

/// Encodes every character that is neither unreserved (RFC 3986 section 2.3) nor in `literal`.
fn percent_encoded(text: &str, literal: &[u8]) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || literal.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn base64(der: impl AsRef<[u8]>) -> String {
    BASE64_STANDARD.encode(der)
}

fn sequence(der: impl AsRef<[u8]>) -> String {
    format!(":{}:", base64(der))
}

fn sequences(ders: &[Vec<u8>]) -> String {
    ders.iter().map(sequence).collect::<Vec<_>>().join(", ")
}
