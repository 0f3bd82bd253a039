//! `cargo xtask build`: builds the optimized C library, wheel and npm tarball below the target
//! directory.

use crate::command::{Failure, Result};
use crate::languages::Languages;
use crate::paths;
use crate::profile::Profile;
use crate::toolchain::Toolchain;

const LANGUAGES: [&str; 3] = ["c", "python", "node"];

/// Builds the named languages, or all, and prints the path of each result.
pub(crate) fn run(names: &[&str]) -> Result {
    if let Some(unknown) = names.iter().find(|name| !LANGUAGES.contains(name)) {
        let known = LANGUAGES.join(", ");
        return Err(Failure::new(format!("no language {unknown}; known: {known}")));
    }
    let languages = Languages::new(Toolchain::find()?, Profile::Shipped);
    let names = if names.is_empty() { &LANGUAGES[..] } else { names };
    let mut built = Vec::new();
    for &name in names {
        let place = match name {
            "c" => languages.c()?.home(),
            "python" => languages.python()?.wheel(),
            _ => languages.node()?.tarball(),
        };
        built.push(format!("{name:<7} {}", paths::shown(place)));
    }
    println!("\n{}", built.join("\n"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::run;

    #[test]
    fn an_unknown_language_is_refused_before_anything_is_built() {
        assert!(run(&["c", "cobol"]).err().unwrap().what().contains("no language cobol"));
    }
}
