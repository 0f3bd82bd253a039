//! Options on their way from JavaScript to the nouns that judge them.

use std::borrow::Cow;
use std::ptr;

use napi::bindgen_prelude::{Either, FromNapiValue, TypeName, ValidateNapiValue, sys};
use napi::{ValueType, check_status};
use napi_derive::napi;
use webhook_mtls::options::{self, OptionSpec};
use webhook_mtls::{
    CancelToken, DeliverOptions, DispatcherOptions, Egress, EndpointOptions, Error, Identity, Pins,
    Setting, StandardWebhooks, Trust,
};

use crate::border::Handle;

/// Options, read from an array: of each its place in core's table, or its name if it stands in none,
/// and then its value. From an object, where each kind of value had to be looked for by its name, one
/// option took 10 000 instructions more.
pub(crate) struct Settings(Vec<(Cow<'static, str>, Setting)>);

impl FromNapiValue for Settings {
    unsafe fn from_napi_value(env: sys::napi_env, array: sys::napi_value) -> napi::Result<Self> {
        let mut length = 0;
        // SAFETY: env is the one of the call that goes on; so it is for the rest of this.
        check_status!(unsafe { sys::napi_get_array_length(env, array, &raw mut length) })?;
        let element = |at| -> napi::Result<_> {
            let mut element = ptr::null_mut();
            // SAFETY: as above.
            check_status!(unsafe { sys::napi_get_element(env, array, at, &raw mut element) })?;
            Ok(element)
        };
        let pairs = (0..length / 2).map(|pair| {
            let value = element(2 * pair + 1)?;
            // SAFETY: as above.
            match unsafe { Either::from_napi_value(env, element(2 * pair)?)? } {
                Either::A(name) => Ok((Cow::Owned(name), Setting::Text(String::new()))),
                Either::B(place) => {
                    let spec = spec(place)?;
                    // SAFETY: as above.
                    Ok((Cow::Borrowed(spec.name), unsafe { setting(spec.kind, env, value)? }))
                }
            }
        });
        pairs.collect::<napi::Result<_>>().map(Self)
    }
}

fn spec(place: u32) -> napi::Result<&'static OptionSpec> {
    let beyond = || napi::Error::from_reason("the table has no such option");
    options::ALL.get(place as usize).ok_or_else(beyond)
}

/// # Safety
///
/// As for [`FromNapiValue::from_napi_value`].
unsafe fn setting(kind: &str, env: sys::napi_env, value: sys::napi_value) -> napi::Result<Setting> {
    // SAFETY: as the caller says.
    unsafe {
        Ok(match kind {
            "duration" => Setting::Millis(f64::from_napi_value(env, value)?),
            "integer" | "number" => Setting::Number(f64::from_napi_value(env, value)?),
            "flag" => Setting::Flag(bool::from_napi_value(env, value)?),
            "texts" => Setting::Texts(Vec::from_napi_value(env, value)?),
            "pairs" => Setting::Pairs(Vec::from_napi_value(env, value)?),
            _ => Setting::Text(String::from_napi_value(env, value)?),
        })
    }
}

impl TypeName for Settings {
    fn type_name() -> &'static str {
        "Array"
    }

    fn value_type() -> ValueType {
        ValueType::Object
    }
}

impl ValidateNapiValue for Settings {}

/// Passes options on to the noun's own `set`.
pub(crate) fn set_all(
    given: Option<Settings>,
    mut set: impl FnMut(&str, Setting) -> Result<(), Error>,
) -> Result<(), Error> {
    let Some(Settings(settings)) = given else { return Ok(()) };
    settings.into_iter().try_for_each(|(name, value)| set(&name, value))
}

/// What a dispatcher is made from.
#[napi(object, object_to_js = false)]
pub struct DispatcherGiven {
    pub identity: Option<Handle<Identity>>,
    pub trust: Option<Handle<Trust>>,
    pub egress: Option<Handle<Egress>>,
    pub settings: Option<Settings>,
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
    pub settings: Option<Settings>,
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
    given: Option<Settings>,
    cancel: Option<Handle<CancelToken>>,
) -> Result<DeliverOptions, Error> {
    let mut options = DeliverOptions::new();
    if let Some(cancel) = cancel {
        options = options.cancel(cancel.0);
    }
    set_all(given, |name, value| options.set(name, value))?;
    Ok(options)
}
