//! Ground floor: how much a caller may give. A binding asks here, by the length alone, before it copies
//! anything; and what is as large as the caller says is allocated in a way that can fail.

use crate::error::{Error, Kind, Stage};

/// The largest payload: 32 MiB.
pub const BODY: usize = 32 * 1024 * 1024;

/// The largest PEM text, DER, PKCS#12 or file: 1 MiB.
pub const MATERIAL: usize = 1024 * 1024;

/// The longest of all other texts, such as a URL, an id or a passphrase: 64 KiB. Most have a shorter
/// limit of their own.
pub const TEXT: usize = 64 * 1024;

/// The longest JSON form of an error that is read: 1 MiB.
pub const ERROR: usize = 1024 * 1024;

/// The most entries of a list.
pub const ENTRIES: usize = 100_000;

/// The most bytes that the entries of a list may have together: 64 MiB.
pub const LIST: usize = 64 * 1024 * 1024;

/// How long one argument may be, and which error it is if it is longer.
#[derive(Clone, Copy, Debug)]
pub struct Limit<'a> {
    argument: &'a str,
    kind: Kind,
    stage: Stage,
    most: usize,
}

impl<'a> Limit<'a> {
    /// Of a payload: `body_too_large`.
    pub const fn body() -> Self {
        Self { argument: "body", kind: Kind::BodyTooLarge, stage: Stage::Config, most: BODY }
    }

    /// Of PEM, DER or PKCS#12: `pem_invalid`.
    ///
    /// * `argument`: the name by which the caller knows it.
    pub const fn material(argument: &'a str) -> Self {
        Self { argument, kind: Kind::PemInvalid, stage: Stage::Config, most: MATERIAL }
    }

    /// Of the chain that a peer presented: `pem_invalid`, stage `verify`.
    pub const fn chain() -> Self {
        Self { argument: "chain", kind: Kind::PemInvalid, stage: Stage::Verify, most: MATERIAL }
    }

    /// Of any other text or passphrase: `option_invalid`, or the kind that faults of this argument have.
    ///
    /// * `argument`: the name by which the caller knows it.
    pub fn text(argument: &'a str) -> Self {
        Self { argument, kind: kind_of(argument), stage: Stage::Config, most: TEXT }
    }

    /// Of the JSON form of an error: `option_invalid`.
    pub const fn error() -> Self {
        Self { argument: "error", kind: Kind::OptionInvalid, stage: Stage::Config, most: ERROR }
    }

    /// The name by which the caller knows the argument.
    pub fn argument(&self) -> &'a str {
        self.argument
    }

    /// Fails if there are more bytes than may be.
    pub fn check(&self, length: usize) -> Result<(), Error> {
        if length <= self.most {
            return Ok(());
        }
        Err(self.fault(length, format!("{} are the limit", self.most)).noting("limit", self.most))
    }

    /// Fails if a list of such arguments has more entries, or more bytes in all, than may be.
    pub fn check_list(&self, entries: usize, bytes: usize) -> Result<(), Error> {
        if entries <= ENTRIES && bytes <= LIST {
            return Ok(());
        }
        let argument = self.argument;
        let why = format!("{argument} has more than {ENTRIES} entries or {LIST} bytes");
        Err(Error::new(self.kind, why).at(self.stage).noting("option", argument))
    }

    /// An empty vector with room for so many bytes.
    ///
    /// Fails if there are more than may be, and if there is no memory for them.
    pub fn room(&self, length: usize) -> Result<Vec<u8>, Error> {
        self.check(length)?;
        self.reserved(length)
    }

    /// A copy. Fails as [`room`](Self::room) does.
    pub fn copied(&self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let mut copy = self.room(bytes.len())?;
        copy.extend_from_slice(bytes);
        Ok(copy)
    }

    /// The same as [`room`](Self::room) for what we make of the argument: only memory may be missing.
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
            .noting("option", self.argument)
            .noting("length", length)
    }
}

/// What a list holds so far: a caller's iterable may have no end.
#[derive(Debug)]
pub struct Tally<'a> {
    each: Limit<'a>,
    entries: usize,
    bytes: usize,
}

impl<'a> Tally<'a> {
    /// Nothing yet.
    ///
    /// * `each`: the limit of one entry.
    pub fn new(each: Limit<'a>) -> Self {
        Self { each, entries: 0, bytes: 0 }
    }

    /// Counts one more entry. Fails if it is too long, or the list with it.
    pub fn add(&mut self, length: usize) -> Result<(), Error> {
        self.each.check(length)?;
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(length);
        self.each.check_list(self.entries, self.bytes)
    }
}

/// The kind that all faults of an argument have.
fn kind_of(argument: &str) -> Kind {
    match argument {
        "url" => Kind::UrlInvalid,
        "headers" => Kind::HeaderInvalid,
        "current" | "next" | "pin" | "pins" | "distrusted" => Kind::PinInvalid,
        _ => Kind::OptionInvalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_judged_by_the_length_alone() {
        for (limit, kind) in [
            (Limit::body(), Kind::BodyTooLarge),
            (Limit::material("anchors"), Kind::PemInvalid),
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
        let mut long = Tally::new(Limit::material("crls"));
        assert_eq!((0..=ENTRIES).find(|_| long.add(MATERIAL).is_err()), Some(LIST / MATERIAL));
        assert!(Tally::new(Limit::text("uris")).add(TEXT + 1).is_err());
    }
}
