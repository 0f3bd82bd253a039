//! Opaque handles: how entry points receive and return them.

use std::mem::MaybeUninit;

use webhook_mtls::Error;

/// An opaque type of the header. The bounds let C use a handle from any thread.
pub trait Handle: Send + Sync + Sized + 'static {}

/// An out parameter. Its previous content is undefined, so it is written and never read.
///
/// Entry points spell this type out, because cbindgen would add the alias to the header.
pub type Out<'a, T> = Option<&'a mut MaybeUninit<Option<Box<T>>>>;

/// Returns the handle. Fails with an error that names `argument` if the handle is NULL.
pub fn required<T>(handle: Option<T>, argument: &str) -> Result<T, Error> {
    handle.ok_or_else(|| null_argument(argument))
}

/// Makes the error of a required argument that is NULL.
pub(crate) fn null_argument(argument: &str) -> Error {
    Error::wrong_type(argument, "given", "NULL")
}

/// Returns a handle that C owns.
pub fn give<T: Handle>(value: T) -> Option<Box<T>> {
    Some(Box::new(value))
}

/// Writes a handle or NULL to an out parameter. Drops the handle if the parameter is NULL.
pub fn put<T: Handle>(out: Out<'_, T>, value: Option<T>) {
    if let Some(out) = out {
        out.write(value.map(Box::new));
    }
}
