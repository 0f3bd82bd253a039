//! Files that the user names.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::console::Console;
use crate::exit::Failure;

/// Reads a file, or the standard input for `-`.
///
/// * `most`: the limit in bytes.
pub(crate) fn read(path: &str, most: usize, console: &mut Console<'_>) -> Result<Vec<u8>, Failure> {
    if path == "-" {
        return console.read_input(most);
    }
    read_path(Path::new(path), most)
}

/// Reads a file.
///
/// * `most`: the limit in bytes.
pub(crate) fn read_path(path: &Path, most: usize) -> Result<Vec<u8>, Failure> {
    let shown = path.display();
    let fault = |error: std::io::Error| {
        Failure::machine(format_args!("{shown} cannot be read: {}", reason(&error)))
    };
    let file = File::open(path).map_err(fault)?;
    let mut text = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut text).map_err(fault)?;
    if text.len() > most {
        return Err(Failure::machine(format_args!("{shown} has more than {most} bytes")));
    }
    Ok(text)
}

/// Returns the reason without the number of the system call's error.
pub(crate) fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

/// Fails if there is a file with this name, so that a run which would overwrite it writes nothing at all.
pub(crate) fn refuse_existing(path: &Path) -> Result<(), Failure> {
    if path.symlink_metadata().is_ok() { Err(exists(path)) } else { Ok(()) }
}

fn exists(path: &Path) -> Failure {
    Failure::machine(format_args!("{} exists and is not overwritten", path.display()))
        .advising("Choose another name, or move the old file away.")
}

/// Writes a new file. An existing one is never replaced.
///
/// * `is_secret`: whether only its owner may read it.
pub(crate) fn write_new(path: &Path, text: &[u8], is_secret: bool) -> Result<(), Failure> {
    let mode = if is_secret { 0o600 } else { 0o644 };
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = file.and_then(|mut file| file.write_all(text).and_then(|()| file.sync_all()));
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => exists(path),
        _ => unwritten(path, &error),
    })
}

/// Replaces a file as a whole: a reader sees the old content or the new one.
pub(crate) fn replace(path: &Path, text: &[u8]) -> Result<(), Failure> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let beside = path.with_file_name(name);
    write_new(&beside, text, false)?;
    std::fs::rename(&beside, path).map_err(|error| {
        let _ = std::fs::remove_file(&beside);
        unwritten(path, &error)
    })
}

fn unwritten(path: &Path, error: &std::io::Error) -> Failure {
    Failure::machine(format_args!("{} cannot be written: {}", path.display(), reason(error)))
}
