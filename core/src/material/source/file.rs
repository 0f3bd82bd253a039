//! Reads one regular file without blocking in open(2).

use std::fs::{File, Metadata, OpenOptions, metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::libc;

use super::Content;
use crate::error::{Error, Kind, Stage, cause, exhausted, key};

/// The pause between attempts to open a leased file.
const LEASE_PAUSE: Duration = Duration::from_millis(20);

/// The content of a file, and the permission bits of its mode.
pub(super) struct Contents {
    pub(super) bytes: Vec<u8>,
    pub(super) mode: u32,
}

/// Reads a regular file.
///
/// * `known_as`: the path that the caller knows. `path` may be the target of its links.
/// * `what`: the expected content.
/// * `leased_until`: the time at which to stop waiting for another process that holds a lease on the
///   file.
///
/// Fails with `pem_invalid`, or `overloaded` if this process has no descriptor left.
pub(super) fn read(
    path: &Path,
    known_as: &Path,
    what: Content,
    leased_until: Instant,
) -> Result<Contents, Error> {
    let most = what.largest();
    let fault = |reason: &str| fault(known_as, what, reason);
    let failed = |error: io::Error| match exhausted(&error) {
        Some(overloaded) => {
            overloaded.at(Stage::Config).noting(key::FILE, known_as.display().to_string())
        }
        None => system_fault(known_as, what, &error),
    };
    // Opening some devices has side effects, so this checks the path first. It checks the opened
    // file as well, because the path may have changed in between.
    check_regular(&metadata(path).map_err(failed)?, known_as, what)?;
    let opened = open(path, leased_until).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => fault("another process holds a lease on it")
            .caused(&cause::FILE_LEASED, &[("file", &known_as.display())]),
        _ => failed(error),
    })?;
    let found = opened.metadata().map_err(failed)?;
    check_regular(&found, known_as, what)?;
    let mut bytes = Vec::with_capacity(usize::try_from(found.len()).unwrap_or(0).min(most));
    opened.take(most as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > most {
        return Err(fault(&format!("is larger than the limit of {most} bytes"))
            .caused(&cause::FILE_TOO_LARGE, &[("file", &known_as.display())]));
    }
    Ok(Contents { bytes, mode: found.permissions().mode() & 0o777 })
}

/// The error for a file that cannot be read.
pub(super) fn fault(known_as: &Path, what: Content, reason: &str) -> Error {
    let what = what.name();
    Error::new(Kind::PemInvalid, format!("{what} file {}: {reason}", known_as.display()))
        .noting(key::FILE, known_as.display().to_string())
}

/// The error for a system call that failed.
fn system_fault(known_as: &Path, what: Content, error: &io::Error) -> Error {
    let fault = fault(known_as, what, &error.to_string());
    // The kernel shows the effective user as the owner.
    let user =
        metadata("/proc/self").map_or_else(|_| "of this process".into(), |it| it.uid().to_string());
    let file = known_as.display();
    let values: [(&str, &dyn std::fmt::Display); 2] = [("file", &file), ("user", &user)];
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            fault.caused(&cause::FILE_MISSING, &values)
        }
        io::ErrorKind::PermissionDenied => fault.caused(&cause::FILE_UNREADABLE, &values),
        _ => fault,
    }
}

fn check_regular(metadata: &Metadata, known_as: &Path, what: Content) -> Result<(), Error> {
    let (reason, cause) = if metadata.is_file() {
        return Ok(());
    } else if metadata.is_dir() {
        ("is a directory", &cause::FILE_IS_DIRECTORY)
    } else {
        ("is not a regular file", &cause::FILE_NOT_REGULAR)
    };
    Err(fault(known_as, what, reason).caused(cause, &[("file", &known_as.display())]))
}

/// Opens without blocking. A blocking open of a FIFO waits for its writer, and one of a leased file for
/// up to `/proc/sys/fs/lease-break-time`. The open makes the kernel ask the holder to give up its lease,
/// so this tries again until `leased_until`.
fn open(path: &Path, leased_until: Instant) -> io::Result<File> {
    loop {
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path);
        match opened {
            Err(error)
                if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < leased_until =>
            {
                thread::sleep(LEASE_PAUSE);
            }
            opened => return opened,
        }
    }
}
