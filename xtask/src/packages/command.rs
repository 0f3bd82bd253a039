//! `cargo xtask install command`: the program `webhook-mtls` with its man pages and completions.

use std::path::{Path, PathBuf};

use crate::command::{Failure, Result, Step};
use crate::languages::rust;
use crate::packages::{no_private_paths, strip};
use crate::paths;
use crate::profile::Profile;

/// The completions as they are generated, and where shells look for them below the prefix.
const COMPLETIONS: [(&str, &str); 3] = [
    ("webhook-mtls.bash", "share/bash-completion/completions/webhook-mtls"),
    ("_webhook-mtls", "share/zsh/site-functions/_webhook-mtls"),
    ("webhook-mtls.fish", "share/fish/vendor_completions.d/webhook-mtls.fish"),
];

/// Builds the program and installs it: `--prefix` (by default `/usr/local`) and `--destdir`, the directory
/// of a staged installation, each followed by a directory.
pub(crate) fn run(words: &[&str]) -> Result {
    let (mut prefix, mut destdir) = (PathBuf::from("/usr/local"), None);
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        match (*word, rest.next()) {
            ("--prefix", Some(path)) => prefix = PathBuf::from(path),
            ("--destdir", Some(path)) => destdir = Some(PathBuf::from(path)),
            _ => return Err(Failure::new("install command takes --prefix P and --destdir D")),
        }
    }
    if !prefix.is_absolute() {
        return Err(Failure::new("--prefix must be an absolute path"));
    }
    let place = match destdir {
        Some(destdir) => destdir.join(prefix.strip_prefix("/").unwrap_or(&prefix)),
        None => prefix,
    };
    let program = place.join("bin").join("webhook-mtls");
    paths::copy(&rust::command(Profile::Shipped)?, &program)?;
    strip(&program)?;
    no_private_paths(&program)?;
    let made = paths::target().join("command-pages");
    pages(&made)?;
    for page in paths::files_with_extension(&made, "1")? {
        let name = page.file_name().unwrap_or_default();
        paths::copy(&page, &place.join("share").join("man").join("man1").join(name))?;
    }
    for (made_as, belongs) in COMPLETIONS {
        paths::copy(&made.join(made_as), &place.join(belongs))?;
    }
    println!("\ninstalled in {}", place.display());
    Ok(())
}

/// Writes the man pages and the completions into an empty directory.
pub(crate) fn pages(directory: &Path) -> Result {
    paths::make_empty(directory)?;
    let arguments =
        ["run", "--locked", "--package", "webhook-mtls-command", "--example", "pages", "--"];
    Step::cargo("pages of the command", &arguments).arg(directory).run().map(drop)
}
