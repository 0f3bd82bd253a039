//! The dialects: which headers a proxy writes, which verdict it must give, and how the certificate is
//! encoded. `docs/receive/dialects.md` names the source of each.

use super::decode::{self, Chain, Decode};
use super::lines::Lines;
use super::refusal::{Reason, Refusal};
use super::{structured, xfcc, xfcc_json};
use crate::error::words;

words! {
    /// How a proxy writes the client's certificate into request headers.
    #[non_exhaustive]
    Dialect {
        /// nginx and ingress-nginx: the percent-encoded PEM of the leaf in ssl-client-cert, and
        /// ssl-client-verify.
        Nginx = 1 "nginx",
        /// Envoy and Istio: x-forwarded-client-cert as text, with Cert or Chain.
        Envoy = 2 "envoy",
        /// The load balancer of AWS in verify mode: x-amzn-mtls-clientcert-leaf.
        AwsAlb = 3 "aws_alb",
        /// The load balancer of AWS in passthrough mode, which verifies nothing:
        /// x-amzn-mtls-clientcert. The verifier alone judges the chain.
        AwsAlbPassthrough = 4 "aws_alb_passthrough",
        /// Traefik 3 with passTLSClientCert: x-forwarded-tls-client-cert.
        Traefik = 5 "traefik",
        /// HAProxy: base64 of the DER in ssl-client-cert, ssl-client-verify, ssl-client-used, and the
        /// chain in ssl-client-chain if it is forwarded.
        Haproxy = 6 "haproxy",
        /// Caddy 2: base64 of the DER of the leaf in ssl-client-cert.
        Caddy = 7 "caddy",
        /// Apache httpd 2.4: the PEM of the leaf in one line in ssl-client-cert, and ssl-client-verify.
        Apache = 8 "apache",
        /// The Application Load Balancer of Google Cloud: x-client-cert-leaf,
        /// x-client-cert-chain-verified, and x-client-cert-chain if it is forwarded.
        Gcp = 9 "gcp",
        /// Cloudflare: cf-client-cert-der-base64, cf-cert-verified and cf-cert-revoked.
        Cloudflare = 10 "cloudflare",
        /// RFC 9440: client-cert, and client-cert-chain if it is forwarded.
        Rfc9440 = 11 "rfc9440",
        /// Envoy since 1.38 with the format JSON: x-forwarded-client-cert, with cert or chain.
        EnvoyJson = 12 "envoy_json",
    }
}

/// A header with the proxy's verdict.
struct Verdict {
    header: &'static str,
    /// The only value that is positive.
    positive: &'static str,
    /// The values that say that the client presented no certificate.
    absent: &'static [&'static str],
    is_required: bool,
}

const fn required(
    header: &'static str,
    positive: &'static str,
    absent: &'static [&'static str],
) -> Verdict {
    Verdict { header, positive, absent, is_required: true }
}

/// What a dialect consists of.
struct Form {
    certificate: &'static str,
    decode: Decode,
    /// The header with the certificates after the leaf, and whether the proxy may put the leaf first.
    chain: Option<(&'static str, Decode)>,
    verdicts: &'static [Verdict],
    /// The header with the SHA-256 of the leaf, in hex.
    digest: Option<&'static str>,
    /// The text in place of a certificate that was not presented.
    null: &'static str,
    /// Whether the chain has every certificate that the client presented.
    is_whole: bool,
}

const PLAIN: Form = Form {
    certificate: "ssl-client-cert",
    decode: decode::base64_der,
    chain: None,
    verdicts: &[],
    digest: None,
    null: "",
    is_whole: false,
};

const NGINX: Form = Form {
    decode: decode::percent_encoded_pem,
    verdicts: &[required("ssl-client-verify", "SUCCESS", &["NONE"])],
    ..PLAIN
};
const ENVOY: Form =
    Form { certificate: "x-forwarded-client-cert", decode: xfcc::decode, is_whole: true, ..PLAIN };
const ENVOY_JSON: Form = Form { decode: xfcc_json::decode, ..ENVOY };
const AWS_ALB: Form = Form {
    certificate: "x-amzn-mtls-clientcert-leaf",
    decode: decode::percent_encoded_pem_of_aws,
    ..PLAIN
};
const AWS_ALB_PASSTHROUGH: Form = Form {
    certificate: "x-amzn-mtls-clientcert",
    decode: decode::percent_encoded_pem_of_aws,
    is_whole: true,
    ..PLAIN
};
const TRAEFIK: Form = Form {
    certificate: "x-forwarded-tls-client-cert",
    decode: decode::base64_ders_by_commas,
    is_whole: true,
    ..PLAIN
};
const HAPROXY: Form = Form {
    chain: Some(("ssl-client-chain", decode::base64_of_concatenated_ders)),
    verdicts: &[
        // The verdict is 0 as well if nothing was verified, so the use of a certificate counts first.
        required("ssl-client-used", "1", &["0"]),
        required("ssl-client-verify", "0", &[]),
    ],
    ..PLAIN
};
const APACHE: Form = Form {
    decode: decode::pem_in_one_line,
    verdicts: &[required("ssl-client-verify", "SUCCESS", &["NONE", "(null)"])],
    null: "(null)",
    ..PLAIN
};
const GCP: Form = Form {
    certificate: "x-client-cert-leaf",
    decode: structured::item,
    chain: Some(("x-client-cert-chain", structured::list)),
    verdicts: &[
        Verdict {
            header: "x-client-cert-present",
            positive: "true",
            absent: &["false"],
            is_required: false,
        },
        required("x-client-cert-chain-verified", "true", &[]),
    ],
    ..PLAIN
};
const CLOUDFLARE: Form = Form {
    certificate: "cf-client-cert-der-base64",
    verdicts: &[
        Verdict {
            header: "cf-cert-presented",
            positive: "true",
            absent: &["false"],
            is_required: false,
        },
        required("cf-cert-verified", "true", &[]),
        required("cf-cert-revoked", "false", &[]),
    ],
    digest: Some("cf-client-cert-sha256"),
    ..PLAIN
};
const RFC9440: Form = Form {
    certificate: "client-cert",
    decode: structured::item,
    chain: Some(("client-cert-chain", structured::list)),
    ..PLAIN
};

impl Dialect {
    fn form(self) -> &'static Form {
        match self {
            Self::Nginx => &NGINX,
            Self::Envoy => &ENVOY,
            Self::AwsAlb => &AWS_ALB,
            Self::AwsAlbPassthrough => &AWS_ALB_PASSTHROUGH,
            Self::Traefik => &TRAEFIK,
            Self::Haproxy => &HAPROXY,
            Self::Caddy => &PLAIN,
            Self::Apache => &APACHE,
            Self::Gcp => &GCP,
            Self::Cloudflare => &CLOUDFLARE,
            Self::Rfc9440 => &RFC9440,
            Self::EnvoyJson => &ENVOY_JSON,
        }
    }

    /// Returns the names of its headers, in lower case. A proxy must remove a client's own lines of
    /// each.
    pub fn headers(self) -> impl Iterator<Item = &'static str> {
        let form = self.form();
        std::iter::once(form.certificate)
            .chain(form.chain.map(|(header, _)| header))
            .chain(form.verdicts.iter().map(|verdict| verdict.header))
            .chain(form.digest)
    }

    /// Returns the dialect with this name.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid`; the error lists the names.
    pub fn named(name: &str) -> Result<Self, crate::Error> {
        crate::Error::named_by("dialect", name, Self::ALL, Self::name)
    }

    /// Decodes the certificates that the lines forward, leaf first.
    pub(super) fn chain(self, lines: &Lines<'_>) -> Result<Chain, Refusal> {
        let form = self.form();
        // Every header must be unambiguous, before one of them counts.
        let certificate = lines.only(form.certificate)?.filter(|value| *value != form.null);
        let chain = match form.chain {
            Some((header, decode)) => lines.only(header)?.map(|value| (header, decode, value)),
            None => None,
        };
        let digest = match form.digest {
            Some(header) => lines.only(header)?.map(|value| (header, value)),
            None => None,
        };
        for verdict in form.verdicts {
            verdict.check(lines.only(verdict.header)?, certificate.is_some())?;
        }
        let Some(value) = certificate else { return Err(absent(form.certificate)) };
        let malformed = |header, why: &str| Refusal::of(Reason::Malformed, header, why);
        let mut ders =
            (form.decode)(value).map_err(|fault| malformed(form.certificate, fault.0))?;
        if let Some((header, decode, value)) = chain {
            let mut others = decode(value).map_err(|fault| malformed(header, fault.0))?;
            // HAProxy may repeat the leaf at the start of the chain.
            if others.first() == ders.first() {
                others.remove(0);
            }
            ders.extend(others);
            ders.truncate(decode::MOST);
        }
        if let Some((header, value)) = digest
            && !decode::is_digest_of(value, &ders[0])
        {
            let why = "is not the SHA-256 of the certificate";
            return Err(Refusal::of(Reason::Inconsistent, header, why));
        }
        let is_whole = form.is_whole || chain.is_some();
        Ok(Chain { ders, is_whole })
    }
}

impl Verdict {
    fn check(&self, value: Option<&str>, has_certificate: bool) -> Result<(), Refusal> {
        let refused = |reason, why| Err(Refusal::of(reason, self.header, why));
        match value {
            Some(value) if value == self.positive => Ok(()),
            Some(value) if self.absent.contains(&value) => {
                refused(Reason::CertificateAbsent, "says that the client presented no certificate")
            }
            Some(_) => refused(
                Reason::VerdictNegative,
                "says that the proxy did not accept the client's certificate",
            ),
            None if !self.is_required => Ok(()),
            None if has_certificate => {
                refused(Reason::VerdictMissing, "is absent beside a certificate")
            }
            None => refused(Reason::CertificateAbsent, "is absent, and so is the certificate"),
        }
    }
}

fn absent(header: &str) -> Refusal {
    Refusal::of(Reason::CertificateAbsent, header, "has no certificate")
}
