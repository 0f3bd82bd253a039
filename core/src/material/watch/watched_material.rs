//! The content of watched files, of one of several types.

use std::sync::Arc;

use crate::clock;
use crate::error::Error;
use crate::event::Event;
use crate::material::identity::Identity;
use crate::material::jwt_bearer::TokenKey;
use crate::material::jwt_keys::JwtKeys;
use crate::material::pin::Pins;
use crate::material::source::{Snapshot, Source};
use crate::material::trust::Trust;

/// The content of watched files.
#[derive(Clone)]
pub(crate) enum Material {
    Identity(Identity),
    Trust(Trust),
    Pins(Pins),
    SigningKey(TokenKey),
    JwtKeys(JwtKeys),
}

impl Material {
    pub(super) fn read(source: &Arc<Source>, snapshot: &Snapshot) -> Result<Self, Error> {
        let origin = snapshot.origin(source.clone());
        Ok(match &**source {
            Source::Identity { .. } | Source::Signer { .. } => {
                Self::Identity(Identity::from_snapshot(snapshot, origin)?)
            }
            Source::Trust { .. } => {
                let trust = Trust::from_snapshot(snapshot, origin)?;
                trust.check_current(clock::now()?)?;
                Self::Trust(trust)
            }
            Source::Pins { .. } => Self::Pins(Pins::from_snapshot(snapshot, origin)?),
            Source::SigningKey { .. } => {
                Self::SigningKey(TokenKey::from_snapshot(snapshot, origin)?)
            }
            Source::JwtKeys { .. } => Self::JwtKeys(JwtKeys::from_snapshot(snapshot, origin)?),
        })
    }

    pub(super) fn origin(&self) -> Option<&crate::material::source::Origin> {
        match self {
            Self::Identity(identity) => identity.origin(),
            Self::Trust(trust) => trust.origin(),
            Self::Pins(pins) => pins.origin(),
            Self::SigningKey(key) => key.origin(),
            Self::JwtKeys(keys) => keys.origin(),
        }
    }

    pub(super) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Identity(one), Self::Identity(other)) => one == other,
            (Self::Trust(one), Self::Trust(other)) => one == other,
            (Self::Pins(one), Self::Pins(other)) => one == other,
            (Self::SigningKey(one), Self::SigningKey(other)) => one == other,
            (Self::JwtKeys(one), Self::JwtKeys(other)) => one == other,
            _ => false,
        }
    }

    pub(super) fn described(&self, event: Event) -> Event {
        match self {
            Self::Identity(identity) => event
                .with("name", identity.leaf().subject())
                .with("not_after_ms", identity.leaf().not_after().saturating_mul(1000)),
            Self::SigningKey(key) => event.with("name", key.thumbprint()),
            Self::Trust(_) | Self::Pins(_) | Self::JwtKeys(_) => event,
        }
    }
}
