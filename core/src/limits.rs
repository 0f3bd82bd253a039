//! Limits on the size of arguments. A binding checks the length before it copies an argument, and an
//! allocation of a size that the caller chose may fail with an error.

use crate::error::{Error, Kind, Stage, key};

/// The largest payload: 32 MiB.
pub const BODY: usize = 32 * 1024 * 1024;

/// The largest PEM text, DER, PKCS#12 or file: 1 MiB.
pub const MATERIAL: usize = 1024 * 1024;

/// The largest CRL text, DER or file: 64 MiB. A CA with a million revoked certificates has one of about
/// 50 MB as PEM.
pub const CRLS: usize = 64 * 1024 * 1024;

/// The longest other text, such as a URL, an id or a passphrase: 64 KiB. Most have a shorter limit of
/// their own.
pub const TEXT: usize = 64 * 1024;

/// The longest JSON form of an error that is parsed: 1 MiB.
pub const ERROR: usize = 1024 * 1024;

/// The most entries of a list.
pub const ENTRIES: usize = 100_000;

/// The most bytes of all entries of a list together: 64 MiB.
pub const LIST: usize = 64 * 1024 * 1024;

/// The limit of one argument, and the kind of error beyond it.
#[derive(Clone, Copy, Debug)]
pub struct Limit<'a> {
    argument: &'a str,
    kind: Kind,
    stage: Stage,
    most: usize,
}

impl<'a> Limit<'a> {
    /// The limit of a payload. Beyond it: `body_too_large`.
    pub const fn body() -> Self {
        Self { argument: "body", kind: Kind::BodyTooLarge, stage: Stage::Config, most: BODY }
    }

    /// The limit of PEM, DER or PKCS#12. Beyond it: `pem_invalid`.
    ///
    /// * `argument`: the public name of the argument.
    pub const fn material(argument: &'a str) -> Self {
        Self { argument, kind: Kind::PemInvalid, stage: Stage::Config, most: MATERIAL }
    }

    /// The limit of a text with CRLs. Beyond it: `pem_invalid`.
    pub const fn crls() -> Self {
        Self { argument: "crls", kind: Kind::PemInvalid, stage: Stage::Config, most: CRLS }
    }

    /// The limit of the chain that a peer presented. Beyond it: `pem_invalid`, stage `verify`.
    pub const fn chain() -> Self {
        Self { argument: "chain", kind: Kind::PemInvalid, stage: Stage::Verify, most: MATERIAL }
    }

    /// The limit of any other text or passphrase, and of the statuses of processes. Beyond it:
    /// `option_invalid`, or the argument's own kind, such as `url_invalid`.
    ///
    /// * `argument`: the public name of the argument.
    pub fn text(argument: &'a str) -> Self {
        let most = if matches!(argument, "statuses" | "fleet") { LIST } else { TEXT };
        Self { argument, kind: kind_of(argument), stage: Stage::Config, most }
    }

    /// The limit of the JSON form of an error. Beyond it: `option_invalid`.
    pub const fn error() -> Self {
        Self { argument: "error", kind: Kind::OptionInvalid, stage: Stage::Config, most: ERROR }
    }

    /// Returns the public name of the argument.
    pub fn argument(&self) -> &'a str {
        self.argument
    }

    /// Checks the length of one argument.
    ///
    /// # Errors
    ///
    /// Fails with the kind of the limit if the length exceeds it.
    pub fn check(&self, length: usize) -> Result<(), Error> {
        if length <= self.most {
            return Ok(());
        }
        Err(self.fault(length, format!("the limit is {}", self.most)).noting(key::LIMIT, self.most))
    }

    /// Checks a list of such arguments.
    ///
    /// # Errors
    ///
    /// Fails with the kind of the limit if the list has too many entries, or too many bytes in total.
    pub fn check_list(&self, entries: usize, bytes: usize) -> Result<(), Error> {
        if entries <= ENTRIES && bytes <= LIST {
            return Ok(());
        }
        let argument = self.argument;
        let why = format!("{argument} has more than {ENTRIES} entries or {LIST} bytes");
        Err(Error::new(self.kind, why).at(self.stage).noting(key::OPTION, argument))
    }

    /// Returns an empty vector with a capacity of `length` bytes.
    ///
    /// # Errors
    ///
    /// Fails with the kind of the limit if the length exceeds it, or if memory is missing.
    pub fn room(&self, length: usize) -> Result<Vec<u8>, Error> {
        self.check(length)?;
        self.reserved(length)
    }

    /// Returns a copy of the bytes.
    ///
    /// # Errors
    ///
    /// Fails as [`room`](Self::room) does.
    pub fn copied(&self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let mut copy = self.room(bytes.len())?;
        copy.extend_from_slice(bytes);
        Ok(copy)
    }

    /// Like [`room`](Self::room) for data derived from the argument: fails only if memory is missing.
    pub(crate) fn reserved(&self, length: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        match bytes.try_reserve_exact(length) {
            Ok(()) => Ok(bytes),
            Err(_) => Err(self.fault(length, "there is no memory for them".to_owned())),
        }
    }

    fn fault(&self, length: usize, why: String) -> Error {
        let what = match self.kind {
            Kind::BodyTooLarge => "the payload",
            _ => self.argument,
        };
        Error::new(self.kind, format!("{what} has {length} bytes; {why}"))
            .at(self.stage)
            .noting(key::OPTION, self.argument)
            .noting(key::LENGTH, length)
    }
}

/// The size of a list so far. It bounds a caller's iterable, which may be endless.
#[derive(Debug)]
pub struct Tally<'a> {
    each: Limit<'a>,
    entries: usize,
    bytes: usize,
}

impl<'a> Tally<'a> {
    /// Returns an empty tally.
    ///
    /// * `each`: the limit of one entry.
    pub fn new(each: Limit<'a>) -> Self {
        Self { each, entries: 0, bytes: 0 }
    }

    /// Counts one more entry.
    ///
    /// # Errors
    ///
    /// Fails with the kind of the limit if the entry or the list is too large.
    pub fn add(&mut self, length: usize) -> Result<(), Error> {
        self.each.check(length)?;
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(length);
        self.each.check_list(self.entries, self.bytes)
    }
}

/// Returns the kind of all errors about an argument.
fn kind_of(argument: &str) -> Kind {
    match argument {
        "url" => Kind::UrlInvalid,
        "headers" => Kind::HeaderInvalid,
        "current" | "next" | "pin" | "pins" | "distrusted" | "issuers" => Kind::PinInvalid,
        _ => Kind::OptionInvalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_depends_only_on_the_length() {
        for (limit, kind) in [
            (Limit::body(), Kind::BodyTooLarge),
            (Limit::material("anchors"), Kind::PemInvalid),
            (Limit::crls(), Kind::PemInvalid),
            (Limit::chain(), Kind::PemInvalid),
            (Limit::text("url"), Kind::UrlInvalid),
            (Limit::text("consumer"), Kind::OptionInvalid),
            (Limit::error(), Kind::OptionInvalid),
        ] {
            assert!(limit.check(limit.most).is_ok());
            for length in [limit.most + 1, usize::MAX] {
                let error = limit.room(length).unwrap_err();
                assert_eq!((error.kind(), error.stage()), (kind, limit.stage));
                assert_eq!(error.context()["limit"], limit.most);
            }
        }
    }

    #[test]
    fn missing_memory_is_an_error() {
        let error = Limit::body().reserved(usize::MAX).unwrap_err();
        assert_eq!(error.kind(), Kind::BodyTooLarge);
        assert!(error.message().contains("no memory"), "{error}");
    }

    #[test]
    fn a_list_has_a_limit_of_entries_and_of_bytes() {
        let mut many = Tally::new(Limit::text("uris"));
        assert_eq!((0..=ENTRIES).find(|_| many.add(0).is_err()), Some(ENTRIES));
        let mut long = Tally::new(Limit::material("anchors"));
        assert_eq!((0..=ENTRIES).find(|_| long.add(MATERIAL).is_err()), Some(LIST / MATERIAL));
        assert!(Tally::new(Limit::text("uris")).add(TEXT + 1).is_err());
    }
}
