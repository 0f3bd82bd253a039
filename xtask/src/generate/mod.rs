//! The verbs that generate committed files: headers, reference pages, the README's programs, the
//! list of public roots.

pub(crate) mod header;
pub(crate) mod public_roots;
pub(crate) mod readme;
mod reference;
