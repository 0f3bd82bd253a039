//! The testing kit for C: the core's `Lab` with the conventions of the production binding, which
//! this crate links and re-exports completely.
//!
//! A C program links this library instead of the production library, never both: each contains its
//! own core, and the handles of one are invalid in the other.

// The names follow the C convention.
#![allow(non_camel_case_types)]
// The header states the safety conventions once.
#![allow(clippy::missing_safety_doc)]

mod authority;
mod consumer;
mod lab;
mod request;
