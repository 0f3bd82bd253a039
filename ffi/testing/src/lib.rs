//! The testing kit for C: the core's `Lab` behind the same plumbing as the production face, which
//! this crate links and re-exports whole.
//!
//! A C program links this library instead of the production one, never both: each has a core of
//! its own, and handles of one mean nothing to the other.

// The names are C's.
#![allow(non_camel_case_types)]
// What a caller must keep to stands once, in the header's conventions.
#![allow(clippy::missing_safety_doc)]

mod authority;
mod consumer;
mod lab;
mod request;
