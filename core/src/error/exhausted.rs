//! System calls that fail because descriptors or kernel memory have run out. That is a limit of this
//! process or machine, not a fault of the peer.

use std::io;

use nix::libc::{EMFILE, ENFILE, ENOBUFS, ENOMEM};

use super::{Error, Kind, key};

/// Returns an error of kind `overloaded` if a system call failed for lack of descriptors or memory.
pub(crate) fn exhausted(error: &io::Error) -> Option<Error> {
    let (name, message, remedy) = match error.raw_os_error()? {
        EMFILE => ("EMFILE", "this process has no file descriptor left", DESCRIPTORS),
        ENFILE => (
            "ENFILE",
            "this machine has no file descriptor left",
            "Close files and sockets, or raise the limit of the machine (fs.file-max).",
        ),
        ENOBUFS => ("ENOBUFS", "the kernel has no memory left for sockets", MEMORY),
        ENOMEM => ("ENOMEM", "the kernel has no memory left", MEMORY),
        _ => return None,
    };
    let error = Error::new(Kind::Overloaded, format!("{message} ({name})"));
    Some(error.noting(key::EXHAUSTED, name).advising(remedy))
}

const DESCRIPTORS: &str = "Lower max_connections, close files and sockets, or raise the limit of this process (ulimit -n).";

const MEMORY: &str = "Lower max_connections, or give this machine more memory.";
