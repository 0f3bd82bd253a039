//! Limits of a response from a consumer or a proxy.

/// The longest head, in bytes.
pub(crate) const MAX_HEAD: usize = 16 * 1024;

/// The most headers in a head.
pub(crate) const MAX_HEADERS: usize = 100;

/// The most interim responses before the final one.
pub(crate) const MAX_INTERIM: u32 = 16;
