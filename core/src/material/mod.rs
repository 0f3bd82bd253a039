//! Who we are and whom we trust, and the files that say so.

pub(crate) mod expiry;
pub(crate) mod identity;
pub(crate) mod pin;
mod public_roots;
pub(crate) mod signing;
pub(crate) mod source;
pub(crate) mod trust;
pub(crate) mod watch;
