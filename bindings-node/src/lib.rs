//! The Node face of webhook-mtls, as the TypeScript layer in `ts/` sees it.
//!
//! This addon translates and decides nothing. Every function takes values that `ts/` has checked to
//! be of the right JavaScript type, and returns an [`Outcome`](border::Outcome): an object with
//! either the value or the error's JSON, which `ts/` throws. Nouns and pages of receipts cross as
//! externals, other results as JSON text, once. Nobody but `ts/` calls this.

// In a test build napi registers nothing, and so nothing is used.
#![cfg_attr(test, allow(dead_code))]

mod border;
mod completions;
mod deliveries;
mod errors;
mod events;
mod ledger;
mod many;
mod material;
mod settings;
mod testing;
mod uv;
mod verification;
