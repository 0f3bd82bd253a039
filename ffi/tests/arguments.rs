//! Checks that an error about an argument names it as the header does.

use std::fs;
use std::path::Path;

#[test]
fn errors_name_arguments_as_the_header_does() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut checked = 0;
    for file in fs::read_dir(sources).expect("the sources") {
        let path = file.expect("a file").path();
        let text = fs::read_to_string(&path).expect("text");
        for function in text.split("\nunsafe fn ").flat_map(|part| part.split(" fn ")).skip(1) {
            let Some((parameters, body)) = function.split_once(") ") else { continue };
            for (argument, name) in named(body) {
                let declared = parameters.contains(&format!("{name}:"))
                    || argument.contains(&format!("({name})"));
                assert!(declared, "{}: {argument} is called {name}", path.display());
                checked += 1;
            }
        }
    }
    assert!(checked > 50, "{checked}");
}

/// Returns the arguments that a body checks, and the names that errors give them.
fn named(body: &str) -> Vec<(&str, &str)> {
    let calls =
        ["required(", "optional(", "list("].into_iter().flat_map(|call| body.split(call).skip(1));
    let arguments = calls.filter_map(|call| {
        let (argument, rest) = call.split_once(", \"")?;
        let (name, _) = rest.split_once("\")")?;
        let is_one_call = argument.len() < 40 && !argument.contains(';');
        is_one_call.then_some((argument, name))
    });
    arguments.collect()
}
