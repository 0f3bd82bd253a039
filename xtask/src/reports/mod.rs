//! The verbs that measure or test for a long time, and write the results to `docs/`.

pub(crate) mod bench;
pub(crate) mod mutants;
mod plot;
pub(crate) mod queues;
pub(crate) mod scale;
pub(crate) mod sizing;
pub(crate) mod soak;
