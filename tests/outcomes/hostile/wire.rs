//! The socket of a receiver, and what a case does to it below TLS.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

/// A socket that can be cut after a number of bytes, or can corrupt a byte.
pub(crate) struct Wire {
    pub(crate) tcp: TcpStream,
    pub(crate) cut: Option<Cut>,
    /// The written byte to corrupt.
    pub(crate) flip: Option<u64>,
    pub(crate) drips: bool,
    /// Reads one byte at a time.
    pub(crate) sips: bool,
    pub(crate) written: u64,
    pub(crate) read: u64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    /// The number of bytes, written by us or read from the client.
    pub(crate) after: u64,
    pub(crate) ours: bool,
    pub(crate) how: How,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum How {
    Close,
    Reset,
    Stall,
}

impl Wire {
    /// Reads and discards until the client closes.
    pub(crate) fn drain(&mut self) {
        let mut piece = [0; 16 * 1024];
        while matches!(self.tcp.read(&mut piece), Ok(length) if length > 0) {}
    }

    /// Stops reading and keeps the connection open until the process ends.
    pub(crate) fn stall(self) -> ! {
        let _kept = self.tcp;
        loop {
            thread::park();
        }
    }

    /// Closes the descriptor now, even if other references to the connection exist.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        let other = TcpListener::bind("127.0.0.1:0")?;
        let placeholder = TcpStream::connect(other.local_addr()?)?;
        drop(std::mem::replace(&mut self.tcp, placeholder));
        Ok(())
    }

    /// Sends a reset when the descriptor is closed.
    pub(crate) fn reset(&self) {
        let _ = SockRef::from(&self.tcp).set_linger(Some(Duration::ZERO));
    }

    fn end(&mut self, how: How) -> io::Error {
        match how {
            How::Close => {
                let _ = self.tcp.shutdown(Shutdown::Write);
                self.drain();
            }
            How::Reset => self.reset(),
            How::Stall => self.drain(),
        }
        io::ErrorKind::ConnectionAborted.into()
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut room = if self.sips { 1 } else { buffer.len() };
        if let Some(cut) = self.cut.filter(|cut| !cut.ours) {
            let left = usize::try_from(cut.after.saturating_sub(self.read)).unwrap_or(usize::MAX);
            if left == 0 {
                return Err(self.end(cut.how));
            }
            room = room.min(left);
        }
        let length = self.tcp.read(&mut buffer[..room])?;
        self.read += length as u64;
        Ok(length)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut bytes = bytes;
        if let Some(cut) = self.cut.filter(|cut| cut.ours) {
            let left =
                usize::try_from(cut.after.saturating_sub(self.written)).unwrap_or(usize::MAX);
            if left == 0 {
                return Err(self.end(cut.how));
            }
            bytes = &bytes[..bytes.len().min(left)];
        }
        if self.drips {
            bytes = &bytes[..bytes.len().min(1)];
        }
        let mut spoilt = bytes.to_vec();
        if let Some(at) = self.flip.and_then(|at| at.checked_sub(self.written))
            && let Some(byte) = usize::try_from(at).ok().and_then(|at| spoilt.get_mut(at))
        {
            *byte ^= 1;
        }
        let length = self.tcp.write(&spoilt)?;
        self.written += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}
