//! The C face of webhook-mtls: entry points that translate, and nothing else. Policy, defaults and
//! messages are the core's.
//!
//! The conventions that C sees stand at the top of the header (`cbindgen.toml`). They rest on:
//!
//! - **Ownership is in the types.** `Option<&T>` is a handle that C lends for the call,
//!   `Option<Box<T>>` one that C gives up, and [`handle::Out`] a place for one that C receives.
//!   Rust guarantees that these are nullable pointers, so most entry points need no unsafe code.
//!   [`handle::Handle`] proves for each opaque type that it may cross threads as the header says.
//! - **Text and bytes** enter through [`text`] alone, which is where the unsafe code is, and leave
//!   through [`text::Lent`], which keeps them alive as long as their handle.
//! - **Builders** are [`builder::Builder`]s: they remember their first fault.
//! - **Every entry point runs behind [`panic`]**, so nothing unwinds into C.
//! - **Enums are ints.** They are checked on their way in; no Rust enum is ever made by C.
//!
//! A file is one C noun. Documentation of what is exported is written for readers of C: it becomes
//! the header.

// The names are C's.
#![allow(non_camel_case_types)]
// What a caller must keep to stands once, in the header's conventions.
#![allow(clippy::missing_safety_doc)]

pub mod builder;
pub mod handle;
pub mod panic;
pub mod text;

pub mod error;
pub mod words;

pub mod identity;
pub mod pin;
pub mod trust;

pub mod dispatcher;
pub mod endpoint;
pub mod endpoint_status;

pub mod event;
pub mod expiry;
pub mod rotation;

pub mod cancel;
pub mod delivery;
pub mod outcome;
pub mod probe;
pub mod receipt;
pub mod retry;

pub mod peer;
pub mod verifier;
