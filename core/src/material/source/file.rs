//! Reads one regular file without blocking in open(2).

use std::fs::{File, Metadata, OpenOptions, metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::libc;

use super::Content;
use crate::error::{Error, Kind, Stage, exhausted, key};

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
        None => fault(&error.to_string()),
    };
    // Opening some devices has side effects, so this checks the path first. It checks the opened
    // file as well, because the path may have changed in between.
    check_regular(&metadata(path).map_err(failed)?).map_err(fault)?;
    let opened = open(path, leased_until).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => fault("another process holds a lease on it"),
        _ => failed(error),
    })?;
    let found = opened.metadata().map_err(failed)?;
    check_regular(&found).map_err(fault)?;
    let mut bytes = Vec::with_capacity(usize::try_from(found.len()).unwrap_or(0).min(most));
    opened.take(most as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > most {
        return Err(fault(&format!("is larger than the limit of {most} bytes")));
    }
    Ok(Contents { bytes, mode: found.permissions().mode() & 0o777 })
}

/// The error for a file that cannot be read.
pub(super) fn fault(known_as: &Path, what: Content, reason: &str) -> Error {
    let what = what.name();
    Error::new(Kind::PemInvalid, format!("{what} file {}: {reason}", known_as.display()))
        .noting(key::FILE, known_as.display().to_string())
}

fn check_regular(metadata: &Metadata) -> Result<(), &'static str> {
    if metadata.is_file() { Ok(()) } else { Err("is not a regular file") }
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
