//! The verbs that generate committed files: headers, reference pages, the copies of the core's
//! tables in the bindings, the README's programs, the list of public roots.

mod blocks;
mod c;
mod diagnosis;
mod docstrings;
pub(crate) mod header;
mod node;
pub(crate) mod public_roots;
mod python;
pub(crate) mod readme;
#[cfg(test)]
mod recipes;
mod reference;
mod related;
mod rows;
mod telemetry;
mod versions;
