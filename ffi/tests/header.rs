//! Checks that the headers say what C programs rely on.

use std::fs;
use std::path::Path;

/// The structs with fields. The layout of each never changes; `tests/c/abi.c` compares it.
const STRUCTS: [&str; 1] = ["wmtls_decision"];

fn header(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../include").join(name);
    fs::read_to_string(path).expect("the header")
}

/// Returns the comment, the name and the parameters of each function.
fn functions(header: &str) -> Vec<(&str, &str, &str)> {
    header
        .split("/*\n ")
        .filter_map(|part| {
            let (comment, declaration) = part.split_once("*/\n")?;
            let (before, rest) = declaration.split_once('(')?;
            let name = before.rsplit([' ', '*']).next()?;
            let (parameters, _) = rest.split_once(");")?;
            (name.starts_with("wmtls_") && !before.contains('{'))
                .then_some((comment, name, parameters))
        })
        .collect()
}

#[test]
fn every_function_with_a_status_lists_its_errors() {
    let mut seen = 0;
    for name in ["webhook_mtls.h", "webhook_mtls_testing.h"] {
        for (comment, name, parameters) in functions(&header(name)) {
            if parameters.contains("wmtls_error **err") {
                assert!(comment.contains("Fails "), "{name} names no error");
                seen += 1;
            }
        }
    }
    assert!(seen > 30, "{seen}");
}

#[test]
fn every_duration_says_what_it_means() {
    let header = header("webhook_mtls.h");
    let mut seen = 0;
    for (comment, name, parameters) in functions(&header) {
        for parameter in parameters.split(',') {
            let argument = parameter.rsplit([' ', '*']).next().unwrap_or_default();
            if argument.ends_with("_ms") {
                let text = comment.split(&format!("`{argument}`: ")).nth(1);
                let text = text.unwrap_or_else(|| panic!("{name} does not explain {argument}"));
                assert!(text.contains("milliseconds"), "{name}: the unit of {argument}");
                assert!(text.contains(" 0 "), "{name}: what 0 means for {argument}");
                seen += 1;
            }
        }
    }
    assert!(seen > 5, "{seen}");
}

#[test]
fn only_these_structs_have_fields() {
    for name in ["webhook_mtls.h", "webhook_mtls_testing.h"] {
        let header = header(name);
        let with_fields: Vec<&str> = header
            .split("typedef struct {")
            .skip(1)
            .filter_map(|part| part.split_once("} ")?.1.split(';').next())
            .collect();
        let known: &[&str] = if name == "webhook_mtls.h" { &STRUCTS } else { &[] };
        assert_eq!(with_fields, known, "{name}");
    }
}
