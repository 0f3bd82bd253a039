//! Archives with reproducible bytes, and checks of their contents.

use std::path::Path;

use crate::command::{Failure, Result, Step};
use crate::paths;
use crate::profile;

/// Packs a directory into a `.tar.gz` whose bytes depend only on names and content. The archive
/// contains the directory itself, by its last name.
pub(crate) fn archive(directory: &Path, to: &Path) -> Result {
    if let Some(parent) = to.parent() {
        paths::make_directory(parent)?;
    }
    let name = directory.file_name().unwrap_or_default();
    Step::new(format!("pack {}", paths::shown(to)), "tar")
        .args(["--create", "--sort=name", "--format=ustar", "--owner=0", "--group=0"])
        .args(["--numeric-owner", "--mode=u+rwX,go+rX,go-w", "--use-compress-program=gzip -9n"])
        .arg(format!("--mtime=@{}", profile::source_date()))
        .arg("--file")
        .arg(to)
        .arg("--directory")
        .arg(directory.parent().unwrap_or(directory))
        .arg(name)
        .ask()
        .map(drop)
}

/// Removes the local symbols and the debug information of a linked file.
pub(crate) fn strip(file: &Path) -> Result {
    Step::new("strip", "strip").arg("--strip-all").arg(file).ask().map(drop)
}

/// Fails if a file contains a path of this machine.
pub(crate) fn no_private_paths(file: &Path) -> Result {
    let bytes = std::fs::read(file).map_err(|error| Failure::at("cannot read", file, &error))?;
    for path in profile::private_paths() {
        let path = path.display().to_string();
        if path.len() > 1 && contains(&bytes, path.as_bytes()) {
            return Err(Failure::new(format!("{} contains {path}", paths::shown(file))));
        }
    }
    Ok(())
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::{archive, no_private_paths};
    use crate::paths;

    #[test]
    fn a_second_archive_of_the_same_content_has_the_same_bytes() {
        let home =
            std::env::temp_dir().join(format!("webhook-mtls-archive-{}", std::process::id()));
        let bytes = ["one", "two"].map(|name| {
            let directory = home.join(name).join("library");
            paths::write(&directory.join("b.txt"), "b").unwrap();
            paths::write(&directory.join("a").join("a.txt"), "a").unwrap();
            let to = home.join(name).join("library.tar.gz");
            archive(&directory, &to).unwrap();
            std::fs::read(to).unwrap()
        });
        std::fs::remove_dir_all(&home).unwrap();
        assert_eq!(bytes[0], bytes[1]);
    }

    #[test]
    fn a_path_of_the_workspace_is_found() {
        let file = std::env::temp_dir().join(format!("webhook-mtls-path-{}", std::process::id()));
        paths::write(&file, "panicked at /webhook-mtls/core/src/lib.rs").unwrap();
        assert!(no_private_paths(&file).is_ok());
        paths::write(&file, &format!("panicked at {}/core", paths::root().display())).unwrap();
        let failure = no_private_paths(&file).unwrap_err();
        std::fs::remove_file(&file).unwrap();
        assert!(failure.what().contains("contains"), "{}", failure.what());
    }
}
