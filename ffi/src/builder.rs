//! Plumbing: options on their way to the noun that consumes them. The first fault is remembered.

use std::mem;

use webhook_mtls::{Error, Setting, options};

/// Options so far, or the first fault of a setter.
pub struct Builder<T> {
    state: Result<T, Error>,
}

impl<T> Builder<T> {
    /// Starts from what the core starts from, or from a fault.
    pub fn new(state: Result<T, Error>) -> Self {
        Self { state }
    }

    /// Changes the options, unless there was a fault.
    pub fn change(&mut self, edit: impl FnOnce(T) -> Result<T, Error>) {
        // What is left behind is what remains if the edit panics.
        let state = mem::replace(&mut self.state, Err(Error::caught_panic()));
        self.state = state.and_then(edit);
    }

    /// What was built, or the first fault.
    pub fn built(&self) -> Result<&T, Error> {
        self.state.as_ref().map_err(Clone::clone)
    }

    /// What was built, or the first fault.
    pub fn finish(self) -> Result<T, Error> {
        self.state
    }
}

/// A value as text, turned into what the table says the option takes. Text that says no such thing
/// stays text, for the core to refuse.
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

/// `name=value, name=value`; white space around either is nothing.
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
    fn the_first_fault_is_the_one_remembered() {
        let mut builder = Builder::new(Ok(1));
        builder.change(|_| Err(Error::wrong_type("first", "one", "two")));
        builder.change(|_| Err(Error::wrong_type("second", "one", "two")));
        builder.change(|number| Ok(number + 1));
        let fault = builder.finish().expect_err("a fault");
        assert_eq!(fault.context()["option"], "first");
    }

    #[test]
    fn an_edit_that_panics_leaves_a_fault_behind() {
        let mut builder = Builder::new(Ok(1));
        crate::panic::value((), || builder.change(|_| panic!("as a bug would")));
        assert_eq!(builder.finish().expect_err("a fault").kind(), Kind::Internal);
    }

    #[test]
    fn text_becomes_what_the_table_says() {
        assert_eq!(setting("dispatcher", "timeout", "2500"), Setting::Millis(2500.0));
        assert_eq!(setting("verifier", "strict_purpose", "true"), Setting::Flag(true));
        assert_eq!(setting("retry_policy", "attempts", "3"), Setting::Number(3.0));
        assert_eq!(setting("dispatcher", "timeout", "soon"), Setting::Text("soon".into()));
        assert_eq!(setting("dispatcher", "no such", "1"), Setting::Text("1".into()));
        let pairs = [("404", "never"), ("5xx", "later")].map(|(a, b)| (a.into(), b.into()));
        let said = setting("dispatcher", "status_retry", "404=never, 5xx = later");
        assert_eq!(said, Setting::Pairs(pairs.into()));
        assert_eq!(setting("endpoint", "status_retry", "404"), Setting::Text("404".into()));
    }
}
