//! Checks documents against the JSON schemas of docs/.

use serde_json::Value;

/// Checks a value against the parts of JSON schema that our schemas use.
pub(crate) fn check_schema(schema: &Value, root: &Value, value: &Value, at: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let part = &root["$defs"][name.rsplit('/').next().unwrap()];
        return check_schema(part, root, value, at);
    }
    let types = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    let is = |name: &&str| match *name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        other => panic!("unknown type {other}"),
    };
    assert!(types.iter().any(is), "{at}: {value} is no {types:?}");
    if let Some(allowed) = schema["enum"].as_array() {
        assert!(allowed.contains(value), "{at}: {value} is not in the list");
    }
    if let Some(object) = value.as_object() {
        for required in schema["required"].as_array().into_iter().flatten() {
            assert!(object.contains_key(required.as_str().unwrap()), "{at} lacks {required}");
        }
        for (name, value) in object {
            match schema["properties"].get(name) {
                Some(part) => check_schema(part, root, value, &format!("{at}.{name}")),
                None if schema["additionalProperties"].is_object() => {
                    check_schema(
                        &schema["additionalProperties"],
                        root,
                        value,
                        &format!("{at}.{name}"),
                    );
                }
                None => assert_ne!(schema["additionalProperties"], false, "{at}.{name}"),
            }
        }
    }
    for (number, item) in value.as_array().into_iter().flatten().enumerate() {
        check_schema(&schema["items"], root, item, &format!("{at}[{number}]"));
    }
}
