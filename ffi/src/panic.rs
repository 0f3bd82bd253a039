//! The panic guard of every entry point. No panic unwinds into C.

use std::panic::{AssertUnwindSafe, catch_unwind};

use webhook_mtls::Error;
use webhook_mtls::bindings::language::{Language, set_language};

use crate::error::{wmtls_error, wmtls_status};
use crate::handle::{Handle, Out, put};

/// Runs an entry point that can fail and returns a handle. Writes `out` and `err`, and returns the
/// status.
pub fn make<T: Handle>(
    out: Out<'_, T>,
    err: Out<'_, wmtls_error>,
    entry: impl FnOnce() -> Result<T, Error>,
) -> wmtls_status {
    let outcome = guarded(entry);
    let (made, outcome) = match outcome {
        Ok(made) => (Some(made), Ok(())),
        Err(error) => (None, Err(error)),
    };
    put(out, made);
    report(err, outcome)
}

/// Runs an entry point that can fail and returns no handle. Writes `err`, and returns the status.
pub fn run(err: Out<'_, wmtls_error>, entry: impl FnOnce() -> Result<(), Error>) -> wmtls_status {
    report(err, guarded(entry))
}

/// Runs an entry point that cannot fail. Returns `fallback` after a panic.
pub fn value<T>(fallback: T, entry: impl FnOnce() -> T) -> T {
    // Unwind safe: a panic drops its own state, and shared state is behind a lock that recovers
    // from it.
    set_language(Language::C);
    catch_unwind(AssertUnwindSafe(entry)).unwrap_or(fallback)
}

fn guarded<T>(entry: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    set_language(Language::C);
    catch_unwind(AssertUnwindSafe(entry)).unwrap_or_else(|_| Err(Error::caught_panic()))
}

fn report(err: Out<'_, wmtls_error>, outcome: Result<(), Error>) -> wmtls_status {
    let status = outcome.as_ref().err().map_or(0, |error| i32::from(error.kind().number()));
    put(err, outcome.err().map(wmtls_error::new));
    status
}

#[cfg(test)]
mod tests {
    use std::mem::MaybeUninit;

    use webhook_mtls::Kind;

    use super::*;
    use crate::cancel::wmtls_cancel_token;

    #[test]
    fn a_panic_becomes_an_error_of_kind_internal() {
        let mut out = MaybeUninit::<Option<Box<wmtls_cancel_token>>>::uninit();
        let mut err = MaybeUninit::uninit();
        let status = make(Some(&mut out), Some(&mut err), || panic!("as a bug would"));
        // SAFETY: `make` has written both.
        let out = unsafe { out.assume_init() };
        // SAFETY: as above.
        let err = unsafe { err.assume_init() };
        assert_eq!(status, i32::from(Kind::Internal.number()));
        assert!(out.is_none());
        assert_eq!(err.expect("an error").error().kind(), Kind::Internal);
    }

    #[test]
    fn a_getter_that_panics_returns_its_fallback() {
        assert_eq!(value(7, || panic!("as a bug would")), 7);
    }
}
