//! What the answer of a consumer or of a proxy may cost.

/// The longest head, in bytes.
pub(crate) const MAX_HEAD: usize = 16 * 1024;

/// The most headers of a head.
pub(crate) const MAX_HEADERS: usize = 100;

/// The most interim answers before the final one.
pub(crate) const MOST_INTERIM: u32 = 16;
