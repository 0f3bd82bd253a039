//! What to write in place of a value of the wrong type, as code of the calling language.

use super::spelling::{Language, language};

/// Where the value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It is the option's value.
    Whole,
    /// It is an item of a list, or the value of a key.
    Item,
}

/// Returns the remedy for a value of another type, if there is a usual way to convert it.
///
/// * `option`: the snake_case name.
/// * `seen`: the type, as the language names it.
pub(super) fn conversion(option: &str, place: Place, seen: &str) -> Option<&'static str> {
    of_language(language(), option, place, seen)
}

/// The remedy for a URL that is empty, or that is none.
pub(crate) const URL_IS_MISSING: &str =
    "Set the URL: it is missing where it is read from, such as an environment variable.";

/// The remedy for a pin that is empty.
pub(crate) const PIN_IS_MISSING: &str =
    "Set the pin: it is missing where it is read from, such as an environment variable.";

fn of_language(language: Language, option: &str, place: Place, seen: &str) -> Option<&'static str> {
    match language {
        Language::Python => python(option, place, seen),
        Language::Node => node(option, place, seen),
        // The compiler checks types; C has NULL.
        Language::C => c(option, seen),
        Language::Rust | Language::Command => None,
    }
}

fn python(option: &str, place: Place, seen: &str) -> Option<&'static str> {
    Some(match (option, place, seen) {
        ("body", Place::Whole, "str") => "Encode the text: body.encode().",
        ("body", Place::Whole, "dict" | "list" | "tuple" | "int" | "float") => {
            "Serialize the payload: json.dumps(body).encode()."
        }
        ("headers", Place::Whole, "list" | "tuple") => {
            "Pass a dict with one str for each name, such as dict(headers) of a list of pairs."
        }
        ("pins" | "current" | "next", Place::Whole, _) => {
            "Pass Pins([...]) with the allowed pins, or None to rely on the CA alone."
        }
        ("min_tls", Place::Whole, _) => "Write the version as text: \"1.3\" or \"1.2\".",
        ("identity", Place::Whole, "str" | "PosixPath" | "tuple") => {
            "Load the files: Identity.from_files(cert, key)."
        }
        ("trust", Place::Whole, "str" | "PosixPath") => {
            "Load the bundle: Trust.from_files(anchors)."
        }
        ("url", Place::Whole, "NoneType") => URL_IS_MISSING,
        (_, Place::Item, "int" | "float" | "bool") => "Convert the value: str(value).",
        (_, Place::Item, "bytes" | "bytearray") => "Decode the value to a str: value.decode().",
        ("pins" | "current" | "next", Place::Item, "NoneType") => {
            "Set the pin: it is missing where it is read from, such as an environment variable. To rely on the CA alone, pass None in place of Pins([...])."
        }
        (_, Place::Item, "NoneType") => {
            "Set the value where it is read from, or leave the key out."
        }
        _ => return None,
    })
}

fn node(option: &str, place: Place, seen: &str) -> Option<&'static str> {
    Some(match (option, place, seen) {
        ("body", Place::Whole, "an object" | "an array" | "a number" | "a boolean") => {
            "Serialize the payload: JSON.stringify(body)."
        }
        ("headers", Place::Whole, "an array" | "an object" | "a Map" | "Headers") => {
            "Pass a plain object: Object.fromEntries(headers)."
        }
        ("pins" | "current" | "next", Place::Whole, _) => {
            "Pass new Pins([...]) with the allowed pins, or null to rely on the CA alone."
        }
        ("min_tls", Place::Whole, _) => "Write the version as text: '1.3' or '1.2'.",
        ("identity", Place::Whole, "a string") => "Load the files: Identity.fromFiles(cert, key).",
        ("trust", Place::Whole, "a string") => "Load the bundle: Trust.fromFiles(anchors).",
        ("url", Place::Whole, "undefined" | "null") => URL_IS_MISSING,
        (_, Place::Item, "a number" | "a boolean" | "a bigint") => "Convert it: String(value).",
        ("pins" | "current" | "next", Place::Item, "undefined" | "null") => {
            "Set the pin: it is missing where it is read from, such as an environment variable. To rely on the CA alone, pass null in place of new Pins([...])."
        }
        (_, Place::Item, "undefined" | "null") => {
            "Set the value where it is read from, or leave the key out."
        }
        _ => return None,
    })
}

fn c(option: &str, seen: &str) -> Option<&'static str> {
    Some(match (option, seen) {
        ("url", "NULL") => URL_IS_MISSING,
        ("pin", "NULL") => {
            "Set the pin: it is missing where it is read from, such as an environment variable. To rely on the CA alone, call wmtls_endpoint_options_no_pins."
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_mistakes_have_the_code_of_their_language() {
        let code = |language, option, place, seen| of_language(language, option, place, seen);
        for (language, option, place, seen, says) in [
            (Language::Python, "body", Place::Whole, "dict", "json.dumps(body).encode()"),
            (Language::Python, "pins", Place::Whole, "str", "Pins([...])"),
            (Language::Python, "headers", Place::Item, "int", "str(value)"),
            (Language::Python, "url", Place::Whole, "NoneType", "Set the URL"),
            (Language::C, "url", Place::Whole, "NULL", "Set the URL"),
            (Language::C, "pin", Place::Whole, "NULL", "wmtls_endpoint_options_no_pins"),
            (Language::Node, "url", Place::Whole, "undefined", "Set the URL"),
            (Language::Node, "headers", Place::Whole, "an array", "Object.fromEntries(headers)"),
            (Language::Node, "body", Place::Whole, "an object", "JSON.stringify(body)"),
        ] {
            let remedy = code(language, option, place, seen).expect("a conversion");
            assert!(remedy.contains(says), "{remedy}");
        }
        assert_eq!(code(Language::C, "body", Place::Whole, "str"), None);
        assert_eq!(code(Language::Python, "timeout", Place::Whole, "set"), None);
    }
}
