//! The C binding of webhook-mtls. Its entry points only translate: policy, defaults and messages
//! belong to the core.
//!
//! The top of the header (`cbindgen.toml`) states the conventions for C. They rest on:
//!
//! - **Ownership is in the types.** `Option<&T>` is a handle that C lends for the call,
//!   `Option<Box<T>>` a handle that the function takes, and [`handle::Out`] an out parameter. Rust
//!   guarantees that all are nullable pointers, so most entry points need no unsafe code. The
//!   bounds of [`handle::Handle`] prove that each opaque type may cross threads.
//! - **Text and bytes** enter only through [`text`], which holds the unsafe code. They leave
//!   through [`text::StringPool`], which keeps them alive as long as their handle.
//! - **Builders** are [`builder::Builder`]s: they keep their first fault.
//! - **Every entry point runs inside [`panic`]**, so no panic unwinds into C.
//! - **Enums are ints.** Entry points check them; C never makes a Rust enum.
//!
//! Each file is one C noun. The doc comments of exported items become the header, so they address C
//! programmers.

// The names follow the C convention.
#![allow(non_camel_case_types)]
// The header states the safety conventions once.
#![allow(clippy::missing_safety_doc)]

pub mod builder;
pub mod handle;
pub mod panic;
pub mod text;

mod signal;

// A separate group keeps the order of the header: rustfmt sorts each group.
pub mod error;

pub mod enums;

pub mod identity;
pub mod jwt;
pub mod pin;
pub mod signer;
pub mod trust;

pub mod dispatcher;
pub mod endpoint;
pub mod endpoint_status;

pub mod event;
pub mod expiry;
pub mod fleet;
pub mod log;
pub mod metrics;
pub mod rotation;

pub mod cancel;
pub mod delivery;
pub mod outcome;
pub mod probe;
pub mod receipt;
pub mod report;
pub mod retry;

pub mod forwarded;
pub mod peer;
pub mod verifier;
pub mod webhook;
