//! Checks that `tests/c/secrets.c` calls every function of the header that takes text or bytes.

use std::fs;
use std::path::Path;

#[test]
fn every_function_that_takes_text_is_tried_with_secrets() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path: &str| fs::read_to_string(root.join(path)).expect("a file of the tree");
    let header = read("include/webhook_mtls.h");
    let program = read("tests/c/secrets.c");
    let takers = takers(&header);
    assert!(takers.len() > 30, "{takers:?}");
    for function in takers {
        let entry = format!("ENTRY({function}),");
        assert!(program.contains(&entry), "tests/c/secrets.c does not try {function}");
    }
}

/// Returns the functions of a header that have an argument of text or bytes.
fn takers(header: &str) -> Vec<&str> {
    let declarations = header.split(';').filter_map(|text| {
        // Comments and other declarations precede the name.
        let (before, arguments) = text.rsplit_once('(')?;
        let name =
            before.rsplit(|letter: char| !(letter.is_alphanumeric() || letter == '_')).next()?;
        let takes = arguments.contains("const char *") || arguments.contains("const void *");
        // `const char **` is an out parameter.
        let gives = arguments.contains("const char **");
        (name.starts_with("wmtls_") && takes && !gives).then_some(name)
    });
    declarations.collect()
}
