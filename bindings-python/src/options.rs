//! Keyword options. The core's table says which there are and of what type; `None` leaves one out.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use webhook_mtls::options::ALL;
use webhook_mtls::{
    DeliverOptions, DispatcherOptions, EndpointOptions, ProbeOptions, RetryPolicy, Setting,
};

use crate::arguments::{self, noun, text, wrong_type};
use crate::egress::Egress;
use crate::error::Fault;
use crate::identity::Identity;
use crate::pins::Pins;
use crate::signing::StandardWebhooks;
use crate::trust::Trust;

type Keywords<'a, 'py> = Option<&'a Bound<'py, PyDict>>;

/// What a noun that takes options can do with one.
pub trait Take {
    /// Its name in the table.
    const NOUN: &'static str;

    /// Takes one option that was said.
    fn take(&mut self, name: &str, value: &Bound<'_, PyAny>) -> Result<(), Fault>;
}

/// Whether the noun has an option of this name.
pub fn has(of: &str, name: &str) -> bool {
    ALL.iter().any(|row| row.of == of && row.name == name)
}

/// Each keyword with its value, but for those that leave an option out.
pub fn said<'py>(keywords: Keywords<'_, 'py>) -> Result<Vec<(String, Bound<'py, PyAny>)>, Fault> {
    let given = keywords.into_iter().flat_map(PyDictMethods::iter);
    given.map(|(name, value)| Ok((text("keyword", &name)?, value))).collect()
}

/// Gives all keywords to a noun.
pub fn take<T: Take>(mut noun: T, keywords: Keywords<'_, '_>) -> Result<T, Fault> {
    for (name, value) in said(keywords)? {
        offer(&mut noun, &name, &value)?;
    }
    Ok(noun)
}

/// Gives one keyword to a noun, unless its value is `None`, which says nothing. Pins are the
/// exception: that there are none is a decision.
pub fn offer<T: Take>(noun: &mut T, name: &str, value: &Bound<'_, PyAny>) -> Result<(), Fault> {
    if value.is_none() && has(T::NOUN, name) && (T::NOUN, name) != ("endpoint", "pins") {
        return Ok(());
    }
    noun.take(name, value)
}

/// A value in the type that the table gives the option. What the table does not know is passed on
/// all the same: the refusal is the core's.
pub fn setting(of: &str, name: &str, value: &Bound<'_, PyAny>) -> Result<Setting, Fault> {
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
        Some("egress") => Setting::Text(
            text(name, value)
                .map_err(|_| wrong_type(name, "an Egress or a preset's name", value))?,
        ),
        Some("flag") => Setting::Flag(arguments::flag(name, value)?),
        _ => Setting::Flag(true),
    })
}

impl Take for DispatcherOptions {
    const NOUN: &'static str = "dispatcher";

    fn take(&mut self, name: &str, value: &Bound<'_, PyAny>) -> Result<(), Fault> {
        match name {
            "identity" => {
                let identity: &Identity = noun(name, "an Identity", value)?;
                *self = self.clone().identity(identity.0.clone());
            }
            "trust" => {
                let trust: &Trust = noun(name, "a Trust", value)?;
                *self = self.clone().trust(trust.0.clone());
            }
            "egress" if value.is_instance_of::<Egress>() => {
                let egress: &Egress = noun(name, "an Egress", value)?;
                *self = self.clone().egress(egress.0.clone());
            }
            _ => self.set(name, setting(Self::NOUN, name, value)?)?,
        }
        Ok(())
    }
}

impl Take for EndpointOptions {
    const NOUN: &'static str = "endpoint";

    fn take(&mut self, name: &str, value: &Bound<'_, PyAny>) -> Result<(), Fault> {
        match name {
            "signing" => {
                let signing: &StandardWebhooks = noun(name, "StandardWebhooks", value)?;
                *self = self.clone().signing(signing.0.clone());
            }
            "pins" if value.is_none() => *self = self.clone().no_pins(),
            "pins" => {
                let pins: &Pins = noun(name, "Pins or None", value)?;
                *self = self.clone().pins(pins.0.clone());
            }
            "identity" => {
                let identity: &Identity = noun(name, "an Identity", value)?;
                *self = self.clone().identity(identity.0.clone());
            }
            "trust" => {
                let trust: &Trust = noun(name, "a Trust", value)?;
                *self = self.clone().trust(trust.0.clone());
            }
            _ => self.set(name, setting(Self::NOUN, name, value)?)?,
        }
        Ok(())
    }
}

impl Take for DeliverOptions {
    const NOUN: &'static str = "deliver";

    fn take(&mut self, name: &str, value: &Bound<'_, PyAny>) -> Result<(), Fault> {
        Ok(self.set(name, setting(Self::NOUN, name, value)?)?)
    }
}

impl Take for ProbeOptions {
    const NOUN: &'static str = "probe";

    fn take(&mut self, name: &str, value: &Bound<'_, PyAny>) -> Result<(), Fault> {
        Ok(self.set(name, setting(Self::NOUN, name, value)?)?)
    }
}

impl Take for RetryPolicy {
    const NOUN: &'static str = "retry_policy";

    fn take(&mut self, name: &str, value: &Bound<'_, PyAny>) -> Result<(), Fault> {
        Ok(self.set(name, setting(Self::NOUN, name, value)?)?)
    }
}
