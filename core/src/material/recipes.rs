//! The recipes of material. Material from files is its paths, so that another process reads and watches
//! the files itself.

use std::hash::{Hash, Hasher};

use super::identity::Identity;
use super::jwt_keys::JwtKeys;
use super::pin::{PinSlot, Pins};
use super::source::Source;
use super::trust::Trust;
use crate::recipe::{Argument, Rebuild, Recipe};
use crate::x509::Certificate;

impl Rebuild for Identity {
    /// Returns `None` for an identity that was read from bytes or with a passphrase: a recipe has no
    /// secret.
    fn recipe(&self) -> Option<Recipe> {
        let Source::Identity { cert, key, passphrase: None } = &*self.origin()?.source else {
            return None;
        };
        let recipe = Recipe::new("from_files").with("cert", Argument::Path(cert.clone()));
        Some(recipe.with("key", Argument::Path(key.clone())))
    }
}

impl Rebuild for Pins {
    fn recipe(&self) -> Option<Recipe> {
        if let Some(Source::Pins { file }) = self.origin().map(|origin| &*origin.source) {
            return Some(Recipe::new("from_file").with("path", Argument::Path(file.clone())));
        }
        let of = |wanted| {
            let pins = self.iter().filter(move |(_, slot)| *slot == wanted);
            pins.map(|(pin, _)| pin.to_string()).collect()
        };
        let recipe = Recipe::new("new").with("current", Argument::Texts(of(PinSlot::Current)));
        Some(recipe.with_texts("next", of(PinSlot::Next)))
    }
}

impl Rebuild for JwtKeys {
    fn recipe(&self) -> Option<Recipe> {
        let recipe = match self.origin().map(|origin| &*origin.source) {
            Some(Source::JwtKeys { file, .. }) => {
                Recipe::new("from_file").with("path", Argument::Path(file.clone()))
            }
            _ => Recipe::new("new").with("keys", Argument::Bytes(self.input().to_vec())),
        };
        Some(match self.given_key_id() {
            Some(id) => recipe.with("key_id", Argument::Text(id.to_owned())),
            None => recipe,
        })
    }
}

impl Rebuild for Trust {
    fn recipe(&self) -> Option<Recipe> {
        let recipe = match self.origin().map(|origin| &*origin.source) {
            Some(Source::Trust { anchors, exact: true, .. }) => {
                Recipe::new("exact_from_file").with("path", Argument::Path(anchors.clone()))
            }
            Some(Source::Trust { anchors, intermediates, crls, .. }) => {
                let recipe =
                    Recipe::new("from_files").with("anchors", Argument::Path(anchors.clone()));
                [("intermediates", intermediates), ("crls", crls)]
                    .into_iter()
                    .filter_map(|(name, path)| Some((name, Argument::Path(path.clone()?))))
                    .fold(recipe, |recipe, (name, path)| recipe.with(name, path))
            }
            _ => self.as_bytes(),
        };
        Some(recipe.with_texts("distrusted", self.distrusted()))
    }
}

impl Trust {
    /// Returns the recipe of a trust that was not read from files.
    fn as_bytes(&self) -> Recipe {
        if let Some(certificate) = self.exact_certificate() {
            let der = certificate.der().to_vec();
            return Recipe::new("exact").with("certificate", Argument::Bytes(der));
        }
        let constructor = if self.is_public() { "dangerous_public" } else { "from_pem" };
        let anchors =
            self.anchors().iter().map(|anchor| anchor.certificate.der()).collect::<Vec<_>>();
        let recipe = Recipe::new(constructor).with("anchors", Argument::Bytes(anchors.concat()));
        let known = self.intermediates().iter().map(Certificate::der).collect::<Vec<_>>();
        let recipe = match known.concat() {
            none if none.is_empty() => recipe,
            known => recipe.with("intermediates", Argument::Bytes(known)),
        };
        let crls = self.crls().iter().map(|crl| crl.der().to_vec()).collect::<Vec<_>>();
        if crls.is_empty() { recipe } else { recipe.with("crls", Argument::BytesList(crls)) }
    }
}

impl Hash for Trust {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest().hash(state);
    }
}

impl Hash for Identity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest().hash(state);
    }
}
