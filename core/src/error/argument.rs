//! The errors for arguments of the wrong type and for unknown names, which bindings raise.

use super::conversion::{Place, conversion};
use super::unknown_name::explain_unknown;
use super::{Error, Form, Kind, key, named, shown, spelling};

impl Error {
    /// The error for a value that a binding cannot convert to the option's type.
    ///
    /// * `option`: the snake_case name of the option or argument; never text of the caller.
    /// * `seen`: the type of the value; never the value.
    pub fn wrong_type(option: &str, expected: &str, seen: &str) -> Self {
        let name = spelling::option_name(option);
        Self::new(Kind::OptionInvalid, format!("option {name} must be {expected}, not {seen}"))
            .noting(key::OPTION, option)
            .converting(conversion(option, Place::Whole, seen))
    }

    /// The error for an item of a list that a binding cannot convert.
    ///
    /// * `position`: from 1.
    pub fn wrong_item(option: &str, position: usize, expected: &str, seen: &str) -> Self {
        let item = match option {
            // The arguments of a set of pins.
            "current" | "next" => "pin",
            _ => option.strip_suffix('s').unwrap_or(option),
        };
        let message = format!("{item} {position} must be {expected}, not {seen}");
        Self::new(Kind::OptionInvalid, message)
            .noting(key::OPTION, option)
            .noting(key::POSITION, position)
            .converting(conversion(option, Place::Item, seen))
    }

    /// The error for the value of a key that a binding cannot convert.
    ///
    /// * `name`: the key as the caller wrote it.
    pub fn wrong_value(option: &str, name: &str, expected: &str, seen: &str) -> Self {
        let item = option.strip_suffix('s').unwrap_or(option);
        let shown = shown(name, Form::Header);
        let message = format!("{item} {} must be {expected}, not {seen}", shown.trim_matches('"'));
        Self::new(Kind::OptionInvalid, message).noting(key::OPTION, option).converting(conversion(
            option,
            Place::Item,
            seen,
        ))
    }

    /// The error for a text that is not one of the words of an option.
    ///
    /// * `given`: the text as the caller wrote it.
    pub fn unknown_word(option: &str, given: &str, words: &[&str]) -> Self {
        let name = spelling::option_name(option);
        let quoted = shown(given, Form::Word);
        // A version has digits and a full stop, as a network has.
        let quoted = if quoted.starts_with('"') { quoted } else { shown(given, Form::Network) };
        let known: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let message = format!("option {name} is {quoted}, not {}", words.join(" or "));
        let error = Self::new(Kind::OptionInvalid, message).noting(key::OPTION, option);
        explain_unknown(error, given, &known)
    }

    /// Returns the value of `all` that an option names, or the error of [`Error::unknown_word`].
    pub(crate) fn named_by<T: Copy>(
        option: &str,
        given: &str,
        all: &[T],
        name: impl Fn(T) -> &'static str,
    ) -> Result<T, Self> {
        let found = all.iter().copied().find(|value| name(*value) == given);
        found.ok_or_else(|| {
            let words: Vec<&str> = all.iter().copied().map(name).collect();
            Self::unknown_word(option, given, &words)
        })
    }

    fn converting(self, remedy: Option<&'static str>) -> Self {
        match remedy {
            Some(remedy) => self.advising(remedy),
            None => self,
        }
    }

    /// The error for an unknown keyword, key or field that a binding was given.
    ///
    /// * `name`: the name as the caller wrote it.
    /// * `expected`: the names that exist, as `one of a, b`, or a description of them.
    pub fn unknown_name(name: &str, expected: &str) -> Self {
        let message = format!("{} is not {expected}", shown(name, Form::Word));
        let names = expected.strip_prefix("one of ").unwrap_or_default().split(", ");
        let known: Vec<String> = names.map(str::to_owned).collect();
        explain_unknown(Self::new(Kind::OptionInvalid, message), name, &known)
            .noting(key::OPTION, named(name))
    }
}
