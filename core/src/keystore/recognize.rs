//! Names what people supply in place of PEM, with the way out.

use memchr::memmem;

use crate::x509::der::{self, Reader};

/// What an input is, as the rest of a sentence ("is a Java keystore (JKS)"), and the way out.
pub(super) type Recognized = (&'static str, &'static str);

const USE_PKCS12: &str = "Use `Identity.from_pkcs12`. For trust, export the CA \
                          certificates: openssl pkcs12 -cacerts -nokeys -in store.p12 -out ca.pem";
const USE_KEYTOOL: &str = "Convert it: keytool -importkeystore -srckeystore old.jks -destkeystore \
                           new.p12 -deststoretype PKCS12";
const DECOMPRESS: &str = "Unpack it, and supply the file inside.";
const USE_FROM_FILES: &str = "Pass the path to from_files (fromFiles in Node), or the content of the \
                              file here.";

/// Formats by their first characters.
const PREFIXES: &[(&[u8], Recognized)] = &[
    (b"PK\x03\x04", ("is a ZIP archive", DECOMPRESS)),
    (b"\x1f\x8b", ("is compressed with gzip", DECOMPRESS)),
    (
        b"PuTTY-User-Key-File-",
        (
            "is a key of PuTTY",
            "Export the key from PuTTYgen in the OpenSSH format, and convert it: \
             ssh-keygen -p -m PKCS8 -f copy.key",
        ),
    ),
    (b"ssh-", ("is a public key of SSH", "Supply the private key, or the certificate.")),
    (b"ecdsa-sha2-", ("is a public key of SSH", "Supply the private key, or the certificate.")),
    (b"$ANSIBLE_VAULT", ("is encrypted by Ansible Vault", "Decrypt it first.")),
    (b"{{", ("is a placeholder that no template has replaced", "Check the deployment.")),
    (b"${", ("is a variable that nobody has expanded", "Check the deployment.")),
    (b"{", ("is JSON", "Supply the PEM text inside.")),
    (b"<", ("is HTML or XML", "Supply the PEM text. Check what the download returned.")),
];

/// Returns what input is that is neither DER nor has a PEM block, if it is known.
pub(super) fn text(input: &[u8]) -> Option<Recognized> {
    if let Some(store) = java_keystore(input) {
        return Some(store);
    }
    let text = input.trim_ascii();
    if text.is_empty() {
        return Some(("is empty", "Supply the PEM text."));
    }
    if let Some(header) = forwarded(text) {
        return Some(header);
    }
    let known = PREFIXES.iter().find(|(prefix, _)| text.starts_with(prefix));
    known.map(|(_, known)| *known).or_else(|| {
        let is_path = text.starts_with(b"/") || text.starts_with(b"./") || text.starts_with(b"../");
        let is_windows =
            matches!(text, [drive, b':', b'\\' | b'/', ..] if drive.is_ascii_alphabetic());
        let is_file = text.starts_with(b"file:") || is_windows || is_path;
        let one_line = text.len() <= 4096 && !text.iter().any(u8::is_ascii_control);
        (is_file && one_line).then_some(("is a path, not the content of a file", USE_FROM_FILES))
    })
}

/// Recognizes a header by which a proxy passes on the certificate of its client.
fn forwarded(text: &[u8]) -> Option<Recognized> {
    let has = |part: &[u8]| memmem::find(text, part).is_some();
    // Envoy encodes the PEM as nginx does, so its own form comes first.
    if has(b"-----BEGIN%20") || has(b"-----BEGIN+") || has(b"%2DBEGIN") {
        return Some(if has(b"Cert=") || has(b"Chain=") {
            (
                "is the header x-forwarded-client-cert (Envoy), not the PEM text inside",
                "Take the value of Chain or Cert, without the quotes, percent-decode it, and pass the \
                 PEM text.",
            )
        } else {
            (
                "is percent-encoded PEM text, as nginx's $ssl_client_escaped_cert",
                "Percent-decode it, and pass the PEM text.",
            )
        });
    }
    // The base64 of a certificate starts with MI, because its DER has more than 127 bytes.
    if text.starts_with(b":MI") && text.ends_with(b":") {
        return Some((
            "is a header of RFC 9440 (Client-Cert, Client-Cert-Chain): base64 between colons",
            "Decode the base64 between each pair of colons: it is one certificate in DER. Pass the DER, \
             leaf first.",
        ));
    }
    let is_joined = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=,%".contains(byte);
    if text.starts_with(b"MI") && text.iter().all(is_joined) && (has(b",MI") || has(b"%2C")) {
        return Some((
            "is base64 of several certificates with commas between them, as Traefik's \
             X-Forwarded-Tls-Client-Cert",
            "Percent-decode it if it has %, split it at the commas, and decode each part: it is one \
             certificate in DER. Pass the DER, leaf first.",
        ));
    }
    None
}

/// Recognizes the two formats of the JDK before PKCS#12. The first bytes are their magic numbers.
pub(super) fn java_keystore(input: &[u8]) -> Option<Recognized> {
    match input {
        [0xfe, 0xed, 0xfe, 0xed, ..] => Some(("is a Java keystore (JKS)", USE_KEYTOOL)),
        [0xce, 0xce, 0xce, 0xce, ..] => Some(("is a Java keystore (JCEKS)", USE_KEYTOOL)),
        _ => None,
    }
}

/// The structures that people supply as DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Structure {
    Pkcs12,
    Pkcs7,
    EncryptedKey,
    PrivateKey,
    /// A certificate, a CRL or another signed structure, or nothing that is known.
    Other,
}

impl Structure {
    pub(super) fn of(input: &[u8]) -> Self {
        Self::read(input).unwrap_or(Self::Other)
    }

    fn read(input: &[u8]) -> Result<Self, der::Malformed> {
        // BER with an indefinite length occurs in PKCS#12 and PKCS#7 only.
        if let [0x30, 0x80, inner @ ..] = input {
            return Ok(if inner.first() == Some(&der::OID) { Self::Pkcs7 } else { Self::Pkcs12 });
        }
        let mut parts = Reader::new(input).nested(der::SEQUENCE)?;
        let first = parts.any()?;
        Ok(match first.tag {
            der::OID => Self::Pkcs7,
            der::INTEGER => {
                let second = parts.any()?;
                let is_content = second.tag == der::SEQUENCE && first.content == [3];
                if is_content { Self::Pkcs12 } else { Self::PrivateKey }
            }
            der::SEQUENCE => {
                let is_algorithm = first.content.first() == Some(&der::OID);
                let ciphertext = parts.any()?;
                if is_algorithm && ciphertext.tag == der::OCTET_STRING && parts.is_empty() {
                    Self::EncryptedKey
                } else {
                    Self::Other
                }
            }
            _ => Self::Other,
        })
    }

    /// Names a structure that is neither a certificate nor a CRL.
    pub(super) fn in_place_of_certificate(self) -> Option<Recognized> {
        const SUPPLY: &str = "Supply the certificate.";
        match self {
            Self::EncryptedKey => Some(("is an encrypted private key", SUPPLY)),
            Self::PrivateKey => Some(("is a private key", SUPPLY)),
            other => other.in_place_of_key(),
        }
    }

    /// Names a structure that is not a private key.
    pub(super) fn in_place_of_key(self) -> Option<Recognized> {
        match self {
            Self::Pkcs12 => Some(("is a PKCS#12 file", USE_PKCS12)),
            Self::Pkcs7 => Some((
                "is a PKCS#7 file (.p7b)",
                "Convert it: openssl pkcs7 -print_certs -inform DER -in old.p7b -out new.pem",
            )),
            Self::EncryptedKey | Self::PrivateKey | Self::Other => None,
        }
    }
}
