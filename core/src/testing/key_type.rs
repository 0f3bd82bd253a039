//! The types of the keys that a CA of the lab makes, each named once.

use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ML_DSA_44, PKCS_ML_DSA_65, PKCS_ML_DSA_87,
    SignatureAlgorithm,
};

/// The type of the keys of a CA and of the leaves that it issues.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// ECDSA on P-256.
    #[default]
    P256,
    /// ML-DSA-44 (FIPS 204).
    MlDsa44,
    /// ML-DSA-65.
    MlDsa65,
    /// ML-DSA-87.
    MlDsa87,
}

impl KeyType {
    /// All types.
    pub const ALL: &[Self] = &[Self::P256, Self::MlDsa44, Self::MlDsa65, Self::MlDsa87];

    /// Returns its name, which is the same in all languages, such as `ml_dsa_65`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::P256 => "p256",
            Self::MlDsa44 => "ml_dsa_44",
            Self::MlDsa65 => "ml_dsa_65",
            Self::MlDsa87 => "ml_dsa_87",
        }
    }

    /// Returns the type with this name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.name() == name)
    }

    pub(super) fn generate(self) -> Result<KeyPair, rcgen::Error> {
        KeyPair::generate_for(self.algorithm())
    }

    fn algorithm(self) -> &'static SignatureAlgorithm {
        match self {
            Self::P256 => &PKCS_ECDSA_P256_SHA256,
            Self::MlDsa44 => &PKCS_ML_DSA_44,
            Self::MlDsa65 => &PKCS_ML_DSA_65,
            Self::MlDsa87 => &PKCS_ML_DSA_87,
        }
    }
}
