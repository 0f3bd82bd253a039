//! Files that the user names.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
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
    let fault = |error: std::io::Error| {
        Failure::machine(format_args!("{path} cannot be read: {}", reason(&error)))
    };
    let file = File::open(path).map_err(fault)?;
    let mut text = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut text).map_err(fault)?;
    if text.len() > most {
        return Err(Failure::machine(format_args!("{path} has more than {most} bytes")));
    }
    Ok(text)
}

/// Returns the reason without the number of the system call's error.
pub(crate) fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

/// Writes a new file. An existing one is never replaced.
///
/// * `is_secret`: whether only its owner may read it.
#[allow(dead_code, reason = "used by csr and lab")]
pub(crate) fn write_new(path: &Path, text: &[u8], is_secret: bool) -> Result<(), Failure> {
    let shown = path.display();
    let mode = if is_secret { 0o600 } else { 0o644 };
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(|error| {
            if error.kind() == std::io::ErrorKind::AlreadyExists {
                Failure::machine(format_args!("{shown} exists and is not overwritten"))
                    .advising("Choose another name, or move the old file away.")
            } else {
                Failure::machine(format_args!("{shown} cannot be written: {}", reason(&error)))
            }
        })?;
    file.write_all(text).and_then(|()| file.sync_all()).map_err(|error| {
        Failure::machine(format_args!("{shown} cannot be written: {}", reason(&error)))
    })
}
