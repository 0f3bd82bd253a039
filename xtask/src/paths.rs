//! Paths of the workspace, and of the target directory with all build results.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::command::{Failure, Result};
use crate::profile::Profile;

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask lies in the workspace").to_path_buf()
}

/// Returns the target directory that cargo is configured to use.
pub(crate) fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => root().join(directory),
        None => root().join("target"),
    }
}

/// Returns the path of a file that cargo built in this profile.
pub(crate) fn built(profile: Profile, name: &str) -> PathBuf {
    target().join(profile.directory()).join(name)
}

/// Makes a directory and its parents.
pub(crate) fn make_directory(path: &Path) -> Result {
    fs::create_dir_all(path).map_err(|error| Failure::at("cannot make", path, &error))
}

/// Makes an empty directory, and removes former content.
pub(crate) fn make_empty(path: &Path) -> Result {
    if path.exists() {
        fs::remove_dir_all(path).map_err(|error| Failure::at("cannot empty", path, &error))?;
    }
    make_directory(path)
}

/// Copies one file, and makes its directory.
pub(crate) fn copy(from: &Path, to: &Path) -> Result {
    if let Some(parent) = to.parent() {
        make_directory(parent)?;
    }
    fs::copy(from, to).map_err(|error| Failure::at("cannot copy", from, &error))?;
    Ok(())
}

/// Makes a symbolic link to `target`, which is relative to the link. Replaces a former file.
pub(crate) fn link(target: &str, link: &Path) -> Result {
    if link.symlink_metadata().is_ok() {
        fs::remove_file(link).map_err(|error| Failure::at("cannot remove", link, &error))?;
    }
    std::os::unix::fs::symlink(target, link)
        .map_err(|error| Failure::at("cannot link", link, &error))
}

/// Copies a directory, without entries that have one of these names, at any depth.
pub(crate) fn copy_tree(from: &Path, to: &Path, leave_out: &[&str]) -> Result {
    make_directory(to)?;
    for entry in entries(from)? {
        let name = entry.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if leave_out.contains(&name) {
            continue;
        }
        if entry.is_dir() {
            copy_tree(&entry, &to.join(name), leave_out)?;
        } else {
            copy(&entry, &to.join(name))?;
        }
    }
    Ok(())
}

/// Returns the entries of a directory, sorted by name.
pub(crate) fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let read =
        fs::read_dir(directory).map_err(|error| Failure::at("cannot list", directory, &error))?;
    let mut found: Vec<PathBuf> = read.filter_map(|entry| entry.ok().map(|e| e.path())).collect();
    found.sort();
    Ok(found)
}

/// Returns the files of a directory with this extension, sorted; none if the directory is missing.
pub(crate) fn files_with_extension(directory: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    if !directory.exists() {
        return Ok(Vec::new());
    }
    let mut found = entries(directory)?;
    found.retain(|path| path.is_file() && has_extension(path, extension));
    Ok(found)
}

/// Returns the files below a directory, sorted within each directory.
///
/// * `is_left_out`: tells of an entry whether it is passed over, with all below it.
pub(crate) fn files_below(
    directory: &Path,
    is_left_out: &dyn Fn(&Path) -> bool,
) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in entries(directory)?.into_iter().filter(|entry| !is_left_out(entry)) {
        if entry.is_dir() {
            found.append(&mut files_below(&entry, is_left_out)?);
        } else {
            found.push(entry);
        }
    }
    Ok(found)
}

/// Returns whether a file has this extension.
pub(crate) fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|of_path| of_path == extension)
}

/// Reads a text file.
pub(crate) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| Failure::at("cannot read", path, &error))
}

/// Writes a text file, and makes its directory.
pub(crate) fn write(path: &Path, text: &str) -> Result {
    if let Some(parent) = path.parent() {
        make_directory(parent)?;
    }
    fs::write(path, text).map_err(|error| Failure::at("cannot write", path, &error))
}

/// Formats a path for a person: relative to the workspace if it is inside.
pub(crate) fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Returns the path of a program on this machine. Also searches the system directories, which
/// `PATH` omits for users other than root.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}
