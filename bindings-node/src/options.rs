//! Options on their way from JavaScript to core, which validates them.

use std::borrow::Cow;
use std::ptr;

use napi::bindgen_prelude::{Either, FromNapiValue, TypeName, ValidateNapiValue, sys};
use napi::{ValueType, check_status};
use webhook_mtls::bindings::options::{self, OptionSpec};
use webhook_mtls::bindings::{SetByName, Setting};
use webhook_mtls::{CancelToken, DeliverOptions, Error};

use crate::convert::Handle;

/// Options, read from an array of pairs: the option's index in core's table, or its name if the
/// table lacks it, and then its value.
///
/// Reading them from an object, with a look-up by name for each kind of value, costs 10 000
/// instructions more per option.
pub(crate) struct Settings(Vec<(Cow<'static, str>, Setting)>);

impl FromNapiValue for Settings {
    unsafe fn from_napi_value(env: sys::napi_env, array: sys::napi_value) -> napi::Result<Self> {
        let mut length = 0;
        // SAFETY: env is the environment of the current call, here and below.
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
                Either::B(index) => {
                    let spec = spec(index)?;
                    // SAFETY: as above.
                    Ok((Cow::Borrowed(spec.name), unsafe { setting(spec.kind, env, value)? }))
                }
            }
        });
        pairs.collect::<napi::Result<_>>().map(Self)
    }
}

fn spec(index: u32) -> napi::Result<&'static OptionSpec> {
    let out_of_range = || napi::Error::from_reason("the option table has no such index");
    options::ALL.get(index as usize).ok_or_else(out_of_range)
}

/// # Safety
///
/// As for [`FromNapiValue::from_napi_value`].
unsafe fn setting(kind: &str, env: sys::napi_env, value: sys::napi_value) -> napi::Result<Setting> {
    // SAFETY: the caller guarantees it, here and below.
    let number = || unsafe { f64::from_napi_value(env, value) };
    Ok(match kind {
        "duration" => Setting::Millis(number()?),
        "integer" | "number" => Setting::Number(number()?),
        // SAFETY: as above.
        "flag" => Setting::Flag(unsafe { bool::from_napi_value(env, value) }?),
        // SAFETY: as above.
        "texts" => Setting::Texts(unsafe { Vec::from_napi_value(env, value) }?),
        // SAFETY: as above.
        "pairs" => Setting::Pairs(unsafe { Vec::from_napi_value(env, value) }?),
        // SAFETY: as above.
        _ => Setting::Text(unsafe { String::from_napi_value(env, value) }?),
    })
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

/// Sets each option on `options`.
pub(crate) fn set_all<T: SetByName>(settings: Option<Settings>, options: T) -> Result<T, Error> {
    let Some(Settings(settings)) = settings else { return Ok(options) };
    settings.into_iter().try_fold(options, |options, (name, value)| options.set(&name, value))
}

pub(crate) fn deliver_options(
    settings: Option<Settings>,
    cancel: Option<Handle<CancelToken>>,
) -> Result<DeliverOptions, Error> {
    let mut options = DeliverOptions::new();
    if let Some(cancel) = cancel {
        options = options.cancel(cancel.0);
    }
    set_all(settings, options)
}
