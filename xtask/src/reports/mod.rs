//! The verbs that measure or prove for long, and write what they saw to `docs/`.

pub(crate) mod bench;
mod plot;
pub(crate) mod scale;
pub(crate) mod soak;
