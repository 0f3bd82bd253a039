//! Options on their way from JavaScript to the nouns that judge them.

use napi_derive::napi;
use webhook_mtls::{
    CancelToken, DeliverOptions, DispatcherOptions, Egress, EndpointOptions, Error, Identity, Pins,
    Setting, StandardWebhooks, Trust,
};

use crate::border::Handle;

/// An option by its snake_case name. One of the values is there, and says the type.
#[napi(object, object_to_js = false)]
pub struct Given {
    pub name: String,
    pub millis: Option<f64>,
    pub number: Option<f64>,
    pub text: Option<String>,
    pub texts: Option<Vec<String>>,
    pub flag: Option<bool>,
    pub pairs: Option<Vec<(String, String)>>,
}

impl Given {
    fn split(self) -> (String, Setting) {
        let setting = None
            .or(self.millis.map(Setting::Millis))
            .or(self.number.map(Setting::Number))
            .or(self.texts.map(Setting::Texts))
            .or(self.flag.map(Setting::Flag))
            .or(self.pairs.map(Setting::Pairs))
            .unwrap_or_else(|| Setting::Text(self.text.unwrap_or_default()));
        (self.name, setting)
    }
}

/// Passes options on to the noun's own `set`.
pub(crate) fn set_all(
    given: Vec<Given>,
    mut set: impl FnMut(&str, Setting) -> Result<(), Error>,
) -> Result<(), Error> {
    given.into_iter().map(Given::split).try_for_each(|(name, value)| set(&name, value))
}

/// What a dispatcher is made from.
#[napi(object, object_to_js = false)]
pub struct DispatcherGiven {
    pub identity: Option<Handle<Identity>>,
    pub trust: Option<Handle<Trust>>,
    pub egress: Option<Handle<Egress>>,
    pub settings: Vec<Given>,
}

impl DispatcherGiven {
    /// Adds what was given to options that may hold something already.
    pub(crate) fn onto(self, mut options: DispatcherOptions) -> Result<DispatcherOptions, Error> {
        if let Some(identity) = self.identity {
            options = options.identity(identity.0);
        }
        if let Some(trust) = self.trust {
            options = options.trust(trust.0);
        }
        if let Some(egress) = self.egress {
            options = options.egress(egress.0);
        }
        set_all(self.settings, |name, value| options.set(name, value))?;
        Ok(options)
    }
}

/// What an endpoint is made from. JavaScript's `null` for pins is a decision and `undefined` is
/// none, so it is said apart whether they were said.
#[napi(object, object_to_js = false)]
pub struct EndpointGiven {
    pub pins_said: bool,
    pub pins: Option<Handle<Pins>>,
    pub identity: Option<Handle<Identity>>,
    pub trust: Option<Handle<Trust>>,
    pub signing: Option<Handle<StandardWebhooks>>,
    pub settings: Vec<Given>,
}

impl EndpointGiven {
    pub(crate) fn options(self) -> Result<EndpointOptions, Error> {
        let mut options = match (self.pins_said, self.pins) {
            (true, pins) => EndpointOptions::new(pins.map(|pins| pins.0)),
            (false, _) => EndpointOptions::default(),
        };
        if let Some(identity) = self.identity {
            options = options.identity(identity.0);
        }
        if let Some(trust) = self.trust {
            options = options.trust(trust.0);
        }
        if let Some(signing) = self.signing {
            options = options.signing(signing.0);
        }
        set_all(self.settings, |name, value| options.set(name, value))?;
        Ok(options)
    }
}

pub(crate) fn deliver_options(
    given: Option<Vec<Given>>,
    cancel: Option<Handle<CancelToken>>,
) -> Result<DeliverOptions, Error> {
    let mut options = DeliverOptions::new();
    if let Some(cancel) = cancel {
        options = options.cancel(cancel.0);
    }
    set_all(given.unwrap_or_default(), |name, value| options.set(name, value))?;
    Ok(options)
}
