//! Plumbing: opaque handles on their way in and out.

use std::mem::MaybeUninit;

use webhook_mtls::Error;

/// A type that C knows by name alone. C may use a handle from any thread, hence the bounds.
pub trait Handle: Send + Sync + Sized + 'static {}

/// Where C wants a handle put. It may hold anything before, so it is written and never read.
///
/// Entry points spell this out: the name would become a type of the header.
pub type Out<'a, T> = Option<&'a mut MaybeUninit<Option<Box<T>>>>;

/// The handle, or the error that names the argument which is NULL.
pub fn required<T>(handle: Option<T>, argument: &str) -> Result<T, Error> {
    handle.ok_or_else(|| absent(argument))
}

/// The error of a required argument that is NULL.
pub(crate) fn absent(argument: &str) -> Error {
    Error::wrong_type(argument, "given", "NULL")
}

/// Gives C a handle of its own.
pub fn give<T: Handle>(value: T) -> Option<Box<T>> {
    Some(Box::new(value))
}

/// Puts a handle, or NULL, where C wants it; drops it if C does not want it.
pub fn put<T: Handle>(out: Out<'_, T>, value: Option<T>) {
    if let Some(out) = out {
        out.write(value.map(Box::new));
    }
}
