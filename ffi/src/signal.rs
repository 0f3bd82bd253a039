//! A descriptor that is readable while something waits for the C program.

use std::ffi::c_int;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Wake;

use nix::libc;
use webhook_mtls::bindings::process::{self, Lock, Once};

/// A descriptor that is readable while it is set. It exists from the first call of
/// [`Signal::descriptor`].
#[derive(Default)]
pub(crate) struct Signal {
    pair: Once<Option<(UnixStream, UnixStream)>>,
    /// The process that the pair belongs to.
    process: AtomicU32,
    renewal: Lock<()>,
}

impl Signal {
    /// Returns the descriptor, or -1 if it cannot be made. Its number never changes.
    pub(crate) fn descriptor(&self) -> c_int {
        let make = || {
            self.process.store(process::id(), Ordering::Release);
            nonblocking_pair()
        };
        self.pair.get_or_init(make);
        self.pair().map_or(-1, |(read, _)| read.as_raw_fd())
    }

    /// Makes the descriptor readable, if there is one.
    pub(crate) fn set(&self) {
        if let Some((_, mut write)) = self.pair() {
            // A write fails only if it would block, and then the descriptor is readable already.
            let _ = write.write(&[1]);
        }
    }

    /// Makes the descriptor unreadable, unless `waits` says that something waits.
    pub(crate) fn clear_unless(&self, waits: impl Fn() -> bool) {
        if waits() {
            return;
        }
        if let Some((mut read, _)) = self.pair() {
            while matches!(read.read(&mut [0; 64]), Ok(64)) {}
        }
        // Something may have arrived in between.
        if waits() {
            self.set();
        }
    }

    fn pair(&self) -> Option<(&UnixStream, &UnixStream)> {
        let (read, write) = self.pair.get()?.as_ref()?;
        self.renew(read.as_raw_fd(), write.as_raw_fd());
        Some((read, write))
    }

    /// In a forked child, puts a new pair in the place of the inherited one, which the child shares
    /// with its parent: the parent's signals would wake the child forever, and the child could take
    /// them away from its parent.
    fn renew(&self, read: RawFd, write: RawFd) {
        let here = process::id();
        if self.process.load(Ordering::Acquire) == here {
            return;
        }
        let _only_one = self.renewal.lock();
        if self.process.load(Ordering::Acquire) != here {
            if let Some((new_read, new_write)) = nonblocking_pair() {
                replace(read, &new_read);
                replace(write, &new_write);
            }
            self.process.store(here, Ordering::Release);
        }
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.set();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.set();
    }
}

fn nonblocking_pair() -> Option<(UnixStream, UnixStream)> {
    let (read, write) = UnixStream::pair().ok()?;
    read.set_nonblocking(true).ok()?;
    write.set_nonblocking(true).ok()?;
    Some((read, write))
}

/// Lets `descriptor` refer to the socket `by`.
fn replace(descriptor: RawFd, by: &UnixStream) {
    // SAFETY: both descriptors are open, and the caller owns `descriptor`.
    unsafe { libc::dup2(by.as_raw_fd(), descriptor) };
    // SAFETY: as above.
    unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
}
