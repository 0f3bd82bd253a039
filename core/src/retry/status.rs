//! The retry advice of HTTP status codes: the default table, and the overrides of the option
//! `status_retry`.

use std::collections::BTreeMap;

use crate::error::{Error, Form, Retry, Scope, shown};
use crate::options::{self, Unchecked};

/// The option that these rules are the value of.
const OPTION: &str = "status_retry";

/// Returns the default retry advice and scope of a status.
fn default_advice(status: u16) -> (Retry, Scope) {
    match status {
        // Only another URL helps.
        300..=399 => (Retry::AfterRepair, Scope::Endpoint),
        410 => (Retry::Never, Scope::Endpoint),
        413 | 414 | 431 => (Retry::Never, Scope::Delivery),
        _ => (Retry::Later, Scope::Delivery),
    }
}

/// Retry advice by status or by class, as the caller set it: `404`, `5xx`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct StatusRetry {
    statuses: BTreeMap<u16, Retry>,
    /// By the first digit.
    classes: BTreeMap<u16, Retry>,
}

impl StatusRetry {
    /// Reads the words of the option's value.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` if the value has another type or a word is unknown.
    pub(crate) fn rules(value: Unchecked<'_>) -> Result<Vec<(String, Retry)>, Error> {
        let rule = |(status, word): (String, String)| {
            let retry = Retry::from_name(&word).ok_or_else(|| {
                let word = shown(&word, Form::Word);
                let why = format_args!("has {word} instead of later, after_repair or never");
                options::fault(OPTION, why)
            })?;
            Ok((status, retry))
        };
        value.pairs()?.into_iter().map(rule).collect()
    }

    /// Makes the advice.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` if a rule names another status, or one status twice.
    pub(crate) fn from_rules<S: Into<String>>(
        rules: impl IntoIterator<Item = (S, Retry)>,
    ) -> Result<Self, Error> {
        let mut read = Self::default();
        for (status, retry) in rules {
            let status: String = status.into();
            let previous = match status.as_bytes() {
                [digit @ b'3'..=b'5', b'x', b'x'] => {
                    read.classes.insert(u16::from(digit - b'0'), retry)
                }
                [b'3'..=b'5', b'0'..=b'9', b'0'..=b'9'] => {
                    read.statuses.insert(status.parse().unwrap_or_default(), retry)
                }
                _ => {
                    let status = shown(&status, Form::Status);
                    return Err(options::fault(
                        OPTION,
                        format_args!(
                            "has {status} instead of a status from 300 to 599, or 3xx, 4xx, 5xx"
                        ),
                    ));
                }
            };
            if previous.is_some() {
                return Err(options::fault(OPTION, format_args!("has {status} twice")));
            }
        }
        Ok(read)
    }

    /// Returns the retry advice and scope of a status. An override of `self` comes first, then one of
    /// `fallback`, then the default table. A status outranks its class.
    pub(crate) fn judge(&self, fallback: &Self, status: u16) -> (Retry, Scope) {
        let (retry, scope) = default_advice(status);
        match self.configured(status).or_else(|| fallback.configured(status)) {
            None => (retry, scope),
            Some(configured) if configured == retry => (retry, scope),
            // A failure that needs repair parks the endpoint. Any other concerns this payload only.
            Some(Retry::AfterRepair) => (Retry::AfterRepair, Scope::Endpoint),
            Some(configured) => (configured, Scope::Delivery),
        }
    }

    fn configured(&self, status: u16) -> Option<Retry> {
        self.statuses.get(&status).or_else(|| self.classes.get(&(status / 100))).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Setting;

    fn read(pairs: &[(&str, &str)]) -> Result<StatusRetry, Error> {
        let pairs = pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let value = Setting::Pairs(pairs);
        StatusRetry::from_rules(StatusRetry::rules(Unchecked {
            of: "dispatcher",
            name: OPTION,
            value,
        })?)
    }

    #[test]
    fn a_status_outranks_its_class_and_the_endpoint_outranks_the_dispatcher() {
        let endpoint = read(&[("4xx", "never"), ("404", "after_repair")]).unwrap();
        let dispatcher = read(&[("404", "later"), ("503", "never"), ("413", "later")]).unwrap();
        let judge = |status| endpoint.judge(&dispatcher, status);
        assert_eq!(judge(404), (Retry::AfterRepair, Scope::Endpoint));
        assert_eq!(judge(409), (Retry::Never, Scope::Delivery));
        assert_eq!(judge(503), (Retry::Never, Scope::Delivery));
        assert_eq!(judge(500), (Retry::Later, Scope::Delivery));
        assert_eq!(judge(410), (Retry::Never, Scope::Endpoint), "as in the default table");
        let empty = StatusRetry::default();
        assert_eq!(empty.judge(&dispatcher, 413), (Retry::Later, Scope::Delivery));
        assert_eq!(empty.judge(&empty, 431), (Retry::Never, Scope::Delivery));
    }

    #[test]
    fn an_unknown_status_or_advice_is_refused() {
        for pairs in [
            &[("200", "later")][..],
            &[("2xx", "later")],
            &[("600", "later")],
            &[("44", "later")],
            &[("4XX", "later")],
            &[("+40", "later")],
            &[("404", "Never")],
            &[("404", "")],
            &[("404", "never"), ("404", "later")],
        ] {
            assert!(read(pairs).is_err(), "{pairs:?}");
        }
    }
}
