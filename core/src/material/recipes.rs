//! The recipes of material. Material from files is its paths, so that another process reads and watches
//! the files itself.

use std::hash::{Hash, Hasher};

use super::identity::Identity;
use super::pin::{PinSlot, Pins};
use super::source::Source;
use crate::recipe::{Argument, Rebuild, Recipe};

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

impl Hash for Identity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest().hash(state);
    }
}
