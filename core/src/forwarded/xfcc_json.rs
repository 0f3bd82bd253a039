//! Envoy's `x-forwarded-client-cert` in its JSON form, since Envoy 1.38: an array with one object for each
//! proxy. The last object is of the adjacent one.
//!
//! Envoy appends to what a client sent: it replaces a `]` at the end by its own object, without a look at
//! the rest. So only the whole value, parsed as JSON, shows which object is the last.

use serde_json::{Map, Value};

use super::decode::{Fault, MOST};
use super::pem_text;
use super::xfcc::{MOST_ELEMENTS, Parts, certificates_of_last};

const WRONG_TYPE: Fault = Fault("has a member of another type");

/// Returns the certificates of the last object, leaf first.
pub(super) fn decode(value: &str) -> Result<Vec<Vec<u8>>, Fault> {
    let json: Value = serde_json::from_str(value).map_err(|_| Fault("is not JSON"))?;
    // The parser keeps the last of two members with one name.
    if names_in_text(value) != names_in_value(&json) {
        return Err(Fault("has a name twice in one object"));
    }
    let Value::Array(elements) = json else { return Err(Fault("is not an array of objects")) };
    if elements.len() > MOST_ELEMENTS {
        return Err(Fault("has too many elements"));
    }
    let elements: Vec<Parts> = elements.iter().map(parts).collect::<Result<_, _>>()?;
    certificates_of_last(elements.into_iter())
}

fn parts(element: &Value) -> Result<Parts, Fault> {
    let Value::Object(members) = element else { return Err(Fault("is not an array of objects")) };
    let cert = text(members, "cert")?.map(one_certificate).transpose()?;
    let chain = list(members, "chain")?;
    let chain: Vec<Vec<u8>> =
        chain.into_iter().take(MOST).map(one_certificate).collect::<Result<_, _>>()?;
    let owned = |name| {
        list(members, name).map(|texts| texts.into_iter().map(str::to_owned).collect::<Vec<_>>())
    };
    Ok(Parts {
        cert: cert.map(|der| vec![der]),
        chain: Some(chain).filter(|chain| !chain.is_empty()),
        hash: text(members, "hash")?.map(str::to_owned),
        uris: owned("uri")?,
        dns_names: owned("dns")?,
    })
}

fn one_certificate(pem: &str) -> Result<Vec<u8>, Fault> {
    let mut ders = pem_text::blocks(pem, '\n')?;
    match (ders.pop(), ders.is_empty()) {
        (Some(der), true) => Ok(der),
        _ => Err(Fault("has several certificates in one text")),
    }
}

/// Returns the text of a member; `None` if it is absent.
fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Fault> {
    members.get(name).map(|value| value.as_str().ok_or(WRONG_TYPE)).transpose()
}

/// Returns the texts of a member; none if it is absent.
fn list<'a>(members: &'a Map<String, Value>, name: &str) -> Result<Vec<&'a str>, Fault> {
    let Some(value) = members.get(name) else { return Ok(Vec::new()) };
    let values = value.as_array().ok_or(WRONG_TYPE)?;
    values.iter().map(|value| value.as_str().ok_or(WRONG_TYPE)).collect()
}

/// Counts the names of members in a text that is JSON: the strings before a colon.
fn names_in_text(json: &str) -> usize {
    let (mut names, mut is_inside) = (0, false);
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => is_inside = !is_inside,
            // An escape has at least one more byte, which ends no string.
            b'\\' if is_inside => {
                bytes.next();
            }
            b':' if !is_inside => names += 1,
            _ => {}
        }
    }
    names
}

fn names_in_value(json: &Value) -> usize {
    match json {
        Value::Array(values) => values.iter().map(names_in_value).sum(),
        Value::Object(members) => {
            members.len() + members.values().map(names_in_value).sum::<usize>()
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_occurs_twice_is_noticed() {
        for (json, is_doubled) in [
            (r#"[{"a":1,"b":":\":","c":{"a":[{"a":2}]}}]"#, false),
            (r#"[{"a\\":1,"a":":"}]"#, false),
            (r#"[{"a":1,"a":1}]"#, true),
            (r#"[{"a":1,"\u0061":2}]"#, true),
            (r#"[{"b":{"a":1,"a" :1}}]"#, true),
        ] {
            let value: Value = serde_json::from_str(json).unwrap();
            assert_eq!(names_in_text(json) != names_in_value(&value), is_doubled, "{json}");
        }
    }

    #[test]
    fn what_envoy_makes_of_forged_texts_is_refused() {
        // Envoy 1.40 appends its object {"cert":…} so.
        for sent in ["[", "[1", r#"[{"a":"x"#, r#"[{"a":[1"#, "[[1", r#"[{"cert":"x","a":{"b":1"#] {
            let appended = format!(r#"{sent},{{"by":["x"],"cert":"y"}}]"#);
            assert!(decode(&appended).is_err(), "{appended}");
        }
        for bad in ["", "[]", "{}", "[1]", r#"[{"cert":1}]"#, r#"[{"chain":"x"}]"#, "[{}]"] {
            assert!(decode(bad).is_err(), "{bad}");
        }
        assert_eq!(decode(r#"[{"uri":[1]}]"#), Err(WRONG_TYPE));
        let many = format!("[{}]", vec!["{}"; MOST_ELEMENTS + 1].join(","));
        assert_eq!(decode(&many), Err(Fault("has too many elements")));
    }
}
