//! Key algorithms and curves that are not accepted, by the names that people know.

use super::name::dotted;

/// The longest OID that is shown. The known ones are shorter.
const MAX_OCTETS: usize = 15;

/// The OID of an algorithm, owned, so that a parsed key does not borrow from its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ObjectId {
    octets: [u8; MAX_OCTETS],
    /// Zero for an OID that is too long to be shown.
    length: u8,
}

/// An algorithm: its encoded OID, its name, and why it is refused.
type Named = (&'static [u8], &'static str, &'static str);

const UNDEFINED: &str = "for which TLS 1.3 defines no signature scheme";
const SHORT: &str = "which is too short";
const UNSUPPORTED: &str = "which is not supported";
const AGREES: &str = "which can agree on a secret, but not sign";

/// Curves (SEC 2, RFC 5639, GB/T 32918).
const CURVES: &[Named] = &[
    (&[0x2b, 0x81, 0x04, 0x00, 0x0a], "secp256k1", UNDEFINED),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 1], "P-192", SHORT),
    (&[0x2b, 0x81, 0x04, 0x00, 0x21], "P-224", SHORT),
    (&[0x2b, 0x24, 3, 3, 2, 8, 1, 1, 5], "brainpoolP224r1", SHORT),
    (&[0x2b, 0x24, 3, 3, 2, 8, 1, 1, 7], "brainpoolP256r1", UNSUPPORTED),
    (&[0x2b, 0x24, 3, 3, 2, 8, 1, 1, 8], "brainpoolP256t1", UNDEFINED),
    (&[0x2b, 0x24, 3, 3, 2, 8, 1, 1, 9], "brainpoolP320r1", UNDEFINED),
    (&[0x2b, 0x24, 3, 3, 2, 8, 1, 1, 11], "brainpoolP384r1", UNSUPPORTED),
    (&[0x2b, 0x24, 3, 3, 2, 8, 1, 1, 12], "brainpoolP384t1", UNDEFINED),
    (&[0x2b, 0x24, 3, 3, 2, 8, 1, 1, 13], "brainpoolP512r1", UNSUPPORTED),
    (&[0x2b, 0x24, 3, 3, 2, 8, 1, 1, 14], "brainpoolP512t1", UNDEFINED),
    (&[0x2a, 0x81, 0x1c, 0xcf, 0x55, 1, 0x82, 0x2d], "SM2", UNSUPPORTED),
];

/// Algorithms (RFC 3279, RFC 4055, RFC 8410, RFC 9909, RFC 9935).
const ALGORITHMS: &[Named] = &[
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10],
        "RSA-PSS",
        "whose type id-RSASSA-PSS is not supported: use the same key as plain RSA (rsaEncryption), \
         which signs with PSS in TLS 1.3, too",
    ),
    (&[0x2b, 0x65, 0x71], "Ed448", UNSUPPORTED),
    (&[0x2b, 0x65, 0x6e], "X25519", AGREES),
    (&[0x2b, 0x65, 0x6f], "X448", AGREES),
    (&[0x2a, 0x86, 0x48, 0xce, 0x38, 4, 1], "DSA", UNDEFINED),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3e, 2, 1], "Diffie-Hellman", AGREES),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 3, 1], "Diffie-Hellman", AGREES),
    (&[0x60, 0x86, 0x48, 1, 101, 3, 4, 4, 1], "ML-KEM-512", AGREES),
    (&[0x60, 0x86, 0x48, 1, 101, 3, 4, 4, 2], "ML-KEM-768", AGREES),
    (&[0x60, 0x86, 0x48, 1, 101, 3, 4, 4, 3], "ML-KEM-1024", AGREES),
];

/// SLH-DSA has one OID for each of its twelve parameter sets.
const SLH_DSA: &[u8] = &[0x60, 0x86, 0x48, 1, 101, 3, 4, 3];

impl ObjectId {
    /// * `content`: the content of an OBJECT IDENTIFIER.
    pub(crate) fn of(content: &[u8]) -> Self {
        let mut octets = [0; MAX_OCTETS];
        let Some(start) = octets.get_mut(..content.len()) else {
            return Self { octets, length: 0 };
        };
        start.copy_from_slice(content);
        Self { octets, length: u8::try_from(content.len()).unwrap_or(0) }
    }

    fn octets(&self) -> &[u8] {
        &self.octets[..usize::from(self.length)]
    }

    /// Returns the name of the curve with this OID, or the OID.
    pub(crate) fn curve_name(self) -> String {
        self.among(CURVES).map_or_else(|| self.dotted(), |(name, _)| name.to_owned())
    }

    /// Returns the name of the algorithm with this OID, or the OID.
    pub(crate) fn algorithm_name(self) -> String {
        self.among(ALGORITHMS).map_or_else(|| self.dotted(), |(name, _)| name.to_owned())
    }

    /// Describes the key of a curve with this OID.
    pub(crate) fn refused_curve(self) -> String {
        match self.among(CURVES) {
            Some((name, why)) => {
                format!("an EC key of the curve {name} ({}), {why}", self.dotted())
            }
            None => format!("an EC key of the curve {}, {UNSUPPORTED}", self.dotted()),
        }
    }

    /// Describes the key of an algorithm with this OID.
    pub(crate) fn refused_algorithm(self) -> String {
        match (self.among(ALGORITHMS), self.octets()) {
            (Some((name, why)), _) => format!("a key for {name} ({}), {why}", self.dotted()),
            (None, [prefix @ .., 20..=31]) if prefix == SLH_DSA => {
                format!("a key for SLH-DSA ({}), {UNSUPPORTED}", self.dotted())
            }
            _ => format!("a key for the algorithm {}, {UNSUPPORTED}", self.dotted()),
        }
    }

    fn among(&self, known: &[Named]) -> Option<(&'static str, &'static str)> {
        let known = known.iter().find(|(octets, ..)| *octets == self.octets());
        known.map(|(_, name, why)| (*name, *why))
    }

    fn dotted(&self) -> String {
        if self.length == 0 { "with an oversized OID".into() } else { dotted(self.octets()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_key_is_described_by_name_oid_and_reason() {
        let curve = |octets: &[u8]| ObjectId::of(octets).refused_curve();
        let algorithm = |octets: &[u8]| ObjectId::of(octets).refused_algorithm();
        assert_eq!(
            curve(&[0x2b, 0x81, 0x04, 0x00, 0x0a]),
            "an EC key of the curve secp256k1 (1.3.132.0.10), for which TLS 1.3 defines no signature \
             scheme"
        );
        assert_eq!(
            curve(&[0x2b, 0x24, 3, 3, 2, 8, 1, 1, 7]),
            "an EC key of the curve brainpoolP256r1 (1.3.36.3.3.2.8.1.1.7), which is not supported"
        );
        assert_eq!(curve(&[0x2b, 1]), "an EC key of the curve 1.3.1, which is not supported");
        assert_eq!(
            algorithm(&[0x2b, 0x65, 0x71]),
            "a key for Ed448 (1.3.101.113), which is not supported"
        );
        assert!(algorithm(&[0x60, 0x86, 0x48, 1, 101, 3, 4, 3, 20]).contains("SLH-DSA"));
        assert_eq!(
            algorithm(&[1; 16]),
            "a key for the algorithm with an oversized OID, which is not supported"
        );
    }
}
