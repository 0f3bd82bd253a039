//! What a status means for trying again: the one table, and how it is overridden.

use std::collections::BTreeMap;

use crate::error::{Error, Form, Retry, Scope, shown};
use crate::options::{self, Setting};

/// Whether trying again helps after this status, and what it stops.
fn meaning(status: u16) -> (Retry, Scope) {
    match status {
        410 => (Retry::Never, Scope::Endpoint),
        413 | 414 | 431 => (Retry::Never, Scope::Delivery),
        _ => (Retry::Later, Scope::Delivery),
    }
}

/// Retry words by status or by class, as a caller said them: `404`, `5xx`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct StatusRetry {
    statuses: BTreeMap<u16, Retry>,
    /// By the first digit.
    classes: BTreeMap<u16, Retry>,
}

impl StatusRetry {
    /// The option's value for what a caller said in types.
    pub(crate) fn setting<S: Into<String>>(said: impl IntoIterator<Item = (S, Retry)>) -> Setting {
        let pairs = said.into_iter().map(|(status, retry)| (status.into(), retry.name().into()));
        Setting::Pairs(pairs.collect())
    }

    /// Reads the option's value. Fails with `option_invalid`.
    pub(crate) fn read(of: &str, name: &str, value: &Setting) -> Result<Self, Error> {
        let Setting::Pairs(pairs) = value else {
            return Err(options::mistyped(of, name));
        };
        let mut read = Self::default();
        for (status, word) in pairs {
            let retry = Retry::from_name(word).ok_or_else(|| {
                let word = shown(word, Form::Word);
                options::fault(
                    name,
                    format_args!("has {word} where later, after_repair or never belongs"),
                )
            })?;
            let known = match status.as_bytes() {
                [digit @ b'3'..=b'5', b'x', b'x'] => {
                    read.classes.insert(u16::from(digit - b'0'), retry)
                }
                [b'3'..=b'5', b'0'..=b'9', b'0'..=b'9'] => {
                    read.statuses.insert(status.parse().unwrap_or_default(), retry)
                }
                _ => {
                    let status = shown(status, Form::Status);
                    return Err(options::fault(
                        name,
                        format_args!(
                            "has {status} where a status from 300 to 599 or 3xx, 4xx, 5xx belongs"
                        ),
                    ));
                }
            };
            if known.is_some() {
                return Err(options::fault(name, format_args!("says {status} twice")));
            }
        }
        Ok(read)
    }

    /// Whether trying again helps after this status, and what it stops: as said here, else as in
    /// `others`, else by the table. A status outranks its class.
    pub(crate) fn judge(&self, others: &Self, status: u16) -> (Retry, Scope) {
        let (retry, scope) = meaning(status);
        match self.said(status).or_else(|| others.said(status)) {
            None => (retry, scope),
            Some(said) if said == retry => (retry, scope),
            // What needs a repair parks the endpoint; anything else is about this payload.
            Some(Retry::AfterRepair) => (Retry::AfterRepair, Scope::Endpoint),
            Some(said) => (said, Scope::Delivery),
        }
    }

    fn said(&self, status: u16) -> Option<Retry> {
        self.statuses.get(&status).or_else(|| self.classes.get(&(status / 100))).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<StatusRetry, Error> {
        let pairs = pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        StatusRetry::read("dispatcher", "status_retry", &Setting::Pairs(pairs))
    }

    #[test]
    fn a_status_outranks_its_class_and_the_endpoint_its_dispatcher() {
        let endpoint = read(&[("4xx", "never"), ("404", "after_repair")]).unwrap();
        let dispatcher = read(&[("404", "later"), ("503", "never"), ("413", "later")]).unwrap();
        let judge = |status| endpoint.judge(&dispatcher, status);
        assert_eq!(judge(404), (Retry::AfterRepair, Scope::Endpoint));
        assert_eq!(judge(409), (Retry::Never, Scope::Delivery));
        assert_eq!(judge(503), (Retry::Never, Scope::Delivery));
        assert_eq!(judge(500), (Retry::Later, Scope::Delivery));
        assert_eq!(judge(410), (Retry::Never, Scope::Endpoint), "said as in the table");
        let silent = StatusRetry::default();
        assert_eq!(silent.judge(&dispatcher, 413), (Retry::Later, Scope::Delivery));
        assert_eq!(silent.judge(&silent, 431), (Retry::Never, Scope::Delivery));
    }

    #[test]
    fn what_is_no_status_or_no_word_is_refused() {
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
