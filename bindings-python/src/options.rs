//! Keyword options. The core's table defines their names and types. `None` means "not set".

use pyo3::prelude::*;
use pyo3::types::PyDict;
use webhook_mtls::bindings::options::ALL;
use webhook_mtls::bindings::{SetByName as _, Setting};
use webhook_mtls::diagnosis::DiagnosisOptions;
use webhook_mtls::{DeliverOptions, DispatcherOptions, EndpointOptions, ProbeOptions, RetryPolicy};

use crate::arguments::{self, noun, text, wrong_type};
use crate::egress::Egress;
use crate::error::BindingError;
use crate::identity::Identity;
use crate::pins::Pins;
use crate::signing;
use crate::trust::Trust;

type Keywords<'a, 'py> = Option<&'a Bound<'py, PyDict>>;

/// The options of one noun, to be set by keyword.
pub trait SetOption: Sized {
    /// The name of the noun in the table.
    const NOUN: &'static str;

    /// Returns the noun with the option set.
    fn with_option(self, name: &str, value: &Bound<'_, PyAny>) -> Result<Self, BindingError>;
}

/// Returns whether the noun has an option of this name.
pub fn has(of: &str, name: &str) -> bool {
    ALL.iter().any(|row| row.of == of && row.name == name)
}

/// Returns each keyword with its value.
pub fn keyword_values<'py>(
    keywords: Keywords<'_, 'py>,
) -> Result<Vec<(String, Bound<'py, PyAny>)>, BindingError> {
    let pairs = keywords.into_iter().flat_map(PyDictMethods::iter);
    pairs.map(|(name, value)| Ok((text("keyword", &name)?, value))).collect()
}

/// Sets all keywords on a noun.
pub fn apply<T: SetOption>(mut noun: T, keywords: Keywords<'_, '_>) -> Result<T, BindingError> {
    for (name, value) in keyword_values(keywords)? {
        noun = set_keyword(noun, &name, &value)?;
    }
    Ok(noun)
}

/// Sets one keyword on a noun. `None` leaves the option unset, except for the pins of an endpoint,
/// where `None` means "no pins".
pub fn set_keyword<T: SetOption>(
    noun: T,
    name: &str,
    value: &Bound<'_, PyAny>,
) -> Result<T, BindingError> {
    if value.is_none() && has(T::NOUN, name) && (T::NOUN, name) != ("endpoint", "pins") {
        return Ok(noun);
    }
    noun.with_option(name, value)
}

/// Converts a value to the type that the table gives for the option. An unknown option is passed
/// on, so that the core rejects it.
pub fn setting(of: &str, name: &str, value: &Bound<'_, PyAny>) -> Result<Setting, BindingError> {
    let row = ALL.iter().find(|row| row.of == of && row.name == name);
    Ok(match row.map(|row| row.kind) {
        Some("duration") => Setting::Millis(arguments::millis(name, value)?),
        Some("integer") => Setting::Number(
            arguments::number(value).ok_or_else(|| wrong_type(name, "an int", value))?,
        ),
        Some("number") => Setting::Number(
            arguments::number(value).ok_or_else(|| wrong_type(name, "a number", value))?,
        ),
        Some("text") => Setting::Text(text(name, value)?),
        Some("texts") => Setting::Texts(arguments::texts(name, value)?),
        Some("pairs") => Setting::Pairs(arguments::pairs(name, value)?),
        Some("json") => Setting::Text(arguments::json_text(name, value)?),
        Some("egress") => Setting::Text(
            text(name, value)
                .map_err(|_| wrong_type(name, "an Egress or a preset's name", value))?,
        ),
        Some("flag") => Setting::Flag(arguments::flag(name, value)?),
        _ => Setting::Flag(true),
    })
}

impl SetOption for DispatcherOptions {
    const NOUN: &'static str = "dispatcher";

    fn with_option(self, name: &str, value: &Bound<'_, PyAny>) -> Result<Self, BindingError> {
        match name {
            "identity" => {
                let identity: &Identity = noun(name, "an Identity", value)?;
                Ok(self.identity(identity.0.clone()))
            }
            "trust" => {
                let trust: &Trust = noun(name, "a Trust", value)?;
                Ok(self.trust(trust.0.clone()))
            }
            "egress" if value.is_instance_of::<Egress>() => {
                let egress: &Egress = noun(name, "an Egress", value)?;
                Ok(self.egress(egress.0.clone()))
            }
            _ => Ok(self.set(name, setting(Self::NOUN, name, value)?)?),
        }
    }
}

impl SetOption for EndpointOptions {
    const NOUN: &'static str = "endpoint";

    fn with_option(self, name: &str, value: &Bound<'_, PyAny>) -> Result<Self, BindingError> {
        match name {
            "signing" => {
                let all = signing::signing(name, value)?;
                Ok(all.into_iter().fold(self, EndpointOptions::signing))
            }
            "pins" if value.is_none() => Ok(self.no_pins()),
            "pins" => {
                let pins: &Pins = noun(name, "Pins or None", value)?;
                Ok(self.pins(pins.0.clone()))
            }
            "identity" => {
                let identity: &Identity = noun(name, "an Identity", value)?;
                Ok(self.identity(identity.0.clone()))
            }
            "trust" => {
                let trust: &Trust = noun(name, "a Trust", value)?;
                Ok(self.trust(trust.0.clone()))
            }
            _ => Ok(self.set(name, setting(Self::NOUN, name, value)?)?),
        }
    }
}

impl SetOption for DeliverOptions {
    const NOUN: &'static str = "deliver";

    fn with_option(self, name: &str, value: &Bound<'_, PyAny>) -> Result<Self, BindingError> {
        Ok(self.set(name, setting(Self::NOUN, name, value)?)?)
    }
}

impl SetOption for ProbeOptions {
    const NOUN: &'static str = "probe";

    fn with_option(self, name: &str, value: &Bound<'_, PyAny>) -> Result<Self, BindingError> {
        Ok(self.set(name, setting(Self::NOUN, name, value)?)?)
    }
}

impl SetOption for DiagnosisOptions {
    const NOUN: &'static str = "diagnosis";

    fn with_option(self, name: &str, value: &Bound<'_, PyAny>) -> Result<Self, BindingError> {
        Ok(self.set(name, setting(Self::NOUN, name, value)?)?)
    }
}

impl SetOption for RetryPolicy {
    const NOUN: &'static str = "retry_policy";

    fn with_option(self, name: &str, value: &Bound<'_, PyAny>) -> Result<Self, BindingError> {
        Ok(self.set(name, setting(Self::NOUN, name, value)?)?)
    }
}
