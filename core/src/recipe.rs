//! How a value is made, so that a binding can copy it to another process.

use std::path::PathBuf;
use std::time::Duration;

/// A constructor with its arguments, which make an equal value. None of them is a secret.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Its name; `new` for the type's own constructor.
    pub constructor: &'static str,
    /// The arguments by name, in the order of the constructor.
    pub arguments: Vec<(&'static str, Argument)>,
}

/// The value of an argument. Exhaustive: only bindings use it.
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    /// A text.
    Text(String),
    /// A list of texts.
    Texts(Vec<String>),
    /// The path of a file.
    Path(PathBuf),
    /// PEM or DER.
    Bytes(Vec<u8>),
    /// A list of PEM or DER.
    BytesList(Vec<Vec<u8>>),
    /// A whole number.
    Integer(u64),
    /// A duration.
    Duration(Duration),
}

/// A value that another process can make again.
pub trait Rebuild {
    /// Returns how to make an equal value, or `None` if a secret would be needed.
    fn recipe(&self) -> Option<Recipe>;
}

impl Recipe {
    pub(crate) fn new(constructor: &'static str) -> Self {
        Self { constructor, arguments: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &'static str, argument: Argument) -> Self {
        self.arguments.push((name, argument));
        self
    }

    /// Adds a list, unless it is empty.
    pub(crate) fn with_texts(self, name: &'static str, texts: Vec<String>) -> Self {
        if texts.is_empty() { self } else { self.with(name, Argument::Texts(texts)) }
    }
}
