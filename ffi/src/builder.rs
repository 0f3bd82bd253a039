//! Builders: they collect options until a function takes them, and keep the first fault.

use std::mem;

use webhook_mtls::Error;
use webhook_mtls::bindings::{Setting, options};

/// The options set so far, or the first fault of a setter.
pub struct Builder<T> {
    state: Result<T, Error>,
}

impl<T> Builder<T> {
    /// Starts from the core's defaults, or from a fault.
    pub fn new(state: Result<T, Error>) -> Self {
        Self { state }
    }

    /// Applies `edit` to the options. Does nothing after a fault.
    pub fn change(&mut self, edit: impl FnOnce(T) -> Result<T, Error>) {
        // If the edit panics, the builder keeps this error.
        let state = mem::replace(&mut self.state, Err(Error::caught_panic()));
        self.state = state.and_then(edit);
    }

    /// Returns the options. Fails with the first fault.
    pub fn built(&self) -> Result<&T, Error> {
        self.state.as_ref().map_err(Clone::clone)
    }

    /// Takes the options. Fails with the first fault.
    pub fn finish(self) -> Result<T, Error> {
        self.state
    }
}

/// Parses a text as the type that the core's table names for an option. If the text does not parse,
/// returns it as text, which the core rejects.
pub fn setting(of: &str, name: &str, value: &str) -> Setting {
    let row = options::ALL.iter().find(|row| row.of == of && row.name == name);
    let parsed = match row.map(|row| row.kind) {
        Some("duration") => value.parse().ok().map(Setting::Millis),
        Some("integer" | "number") => value.parse().ok().map(Setting::Number),
        Some("flag") => value.parse().ok().map(Setting::Flag),
        Some("pairs") => pairs(value).map(Setting::Pairs),
        _ => None,
    };
    parsed.unwrap_or_else(|| Setting::Text(value.to_owned()))
}

/// Parses `name=value, name=value`, and trims each name and value.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let pair = |part: &str| {
        let (name, value) = part.split_once('=')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    };
    text.split(',').map(pair).collect()
}

#[cfg(test)]
mod tests {
    use webhook_mtls::Kind;

    use super::*;

    #[test]
    fn a_builder_keeps_the_first_fault() {
        let mut builder = Builder::new(Ok(1));
        builder.change(|_| Err(Error::wrong_type("first", "one", "two")));
        builder.change(|_| Err(Error::wrong_type("second", "one", "two")));
        builder.change(|number| Ok(number + 1));
        let fault = builder.finish().expect_err("a fault");
        assert_eq!(fault.context()["option"], "first");
    }

    #[test]
    fn an_edit_that_panics_becomes_a_fault() {
        let mut builder = Builder::new(Ok(1));
        crate::panic::value((), || builder.change(|_| panic!("as a bug would")));
        assert_eq!(builder.finish().expect_err("a fault").kind(), Kind::Internal);
    }

    #[test]
    fn text_is_parsed_as_the_type_in_the_table() {
        assert_eq!(setting("dispatcher", "timeout", "2500"), Setting::Millis(2500.0));
        assert_eq!(setting("verifier", "strict_purpose", "true"), Setting::Flag(true));
        assert_eq!(setting("retry_policy", "attempts", "3"), Setting::Number(3.0));
        assert_eq!(setting("dispatcher", "timeout", "soon"), Setting::Text("soon".into()));
        assert_eq!(setting("dispatcher", "no such", "1"), Setting::Text("1".into()));
        let pairs = [("404", "never"), ("5xx", "later")].map(|(a, b)| (a.into(), b.into()));
        let parsed = setting("dispatcher", "status_retry", "404=never, 5xx = later");
        assert_eq!(parsed, Setting::Pairs(pairs.into()));
        assert_eq!(setting("endpoint", "status_retry", "404"), Setting::Text("404".into()));
    }
}
