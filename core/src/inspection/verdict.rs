//! What the crate says of a certificate in each use: the rules of the rooms that use it.

use serde_json::{Value, json};

use crate::error::Error;
use crate::material::identity::check_leaf;
use crate::material::{Certificate, Trust};
use crate::verify::{Note, Role, judge_leaf};

/// Returns the meaning of a note on a peer.
pub fn meaning(note: Note) -> &'static str {
    note.doc().trim_start()
}

/// A use of a certificate. Exhaustive: only the command uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// As our identity, which we present to consumers.
    Identity,
    /// As the certificate of a consumer's server.
    Server,
    /// As a CA that a trust bundle holds.
    Anchor,
}

impl Use {
    /// Every use.
    pub const ALL: &'static [Self] = &[Self::Identity, Self::Server, Self::Anchor];

    /// Returns its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Server => "server",
            Self::Anchor => "anchor",
        }
    }

    /// Returns the use with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.name() == name)
    }
}

/// What the crate says of a certificate in one use, at the time of the inspection. A chain and a key are not
/// judged here.
#[derive(Debug)]
pub struct Verdict {
    /// The use.
    pub of: Use,
    /// Why it cannot be used so.
    pub fault: Option<Error>,
    /// Remarks about a certificate that can.
    pub notes: Vec<String>,
}

impl Verdict {
    /// * `now`: Unix seconds.
    pub(super) fn on(certificate: &Certificate, of: Use, now: i64) -> Self {
        let mut notes = Vec::new();
        let judged = match of {
            Use::Identity => check_leaf(certificate, now),
            Use::Server => judge_leaf(&certificate.parsed(), Role::Server, now),
            Use::Anchor => Trust::from_pem(certificate.der(), None, &[]).and_then(|trust| {
                trust.check_current(now)?;
                notes.extend_from_slice(trust.notes());
                Ok(())
            }),
        };
        Self { of, fault: judged.err(), notes }
    }

    /// Returns whether the certificate can be used so.
    pub fn is_usable(&self) -> bool {
        self.fault.is_none()
    }

    pub(super) fn to_json(&self) -> Value {
        let fault = self.fault.as_ref();
        json!({
            "usable": self.is_usable(),
            "kind": fault.map(|fault| fault.kind().name()),
            "message": fault.map(Error::message),
            "remedy": fault.map(Error::remedy),
            "notes": self.notes,
        })
    }
}
