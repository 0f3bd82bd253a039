//! A handshake whose key is elsewhere. A signer may take long, and rustls calls it in the middle of its
//! work. So that work is done on another thread: the connection is moved there and back. The socket stays
//! on the lane, and closes as soon as the delivery ends.

use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use rustls::pki_types::{ServerName, SubjectPublicKeyInfoDer};
use rustls::sign::{Signer, SigningKey};
use rustls::{ClientConfig, ClientConnection, SignatureAlgorithm, SignatureScheme as TlsScheme};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::partial::{PartialHandshake, SignatureProgress};
use super::stream::PollLimited;
use crate::error::{Error, Kind};
use crate::material::external_key::{ExternalKey, LeafKey, Place};
use crate::material::signature_scheme::SignatureScheme;
use crate::process::{self, Section};
use crate::runtime;

/// How much is read before TLS processes it.
const MAX_READ: usize = 16 * 1024;

/// Completes a handshake.
///
/// Fails with `overloaded` if this process has no thread left. The inner result is what a handshake on
/// the lane returns.
pub(super) async fn connect<IO>(
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    io: IO,
    partial: &PartialHandshake,
    key: &ExternalKey,
) -> Result<io::Result<TlsStream<IO>>, Error>
where
    IO: AsyncRead + AsyncWrite + PollLimited + Unpin,
{
    let mut shaking = match OffLane::new(config.clone(), name.clone(), io) {
        Ok(shaking) => shaking,
        Err(error) => return Ok(Err(error)),
    };
    loop {
        if let Err(error) = shaking.write(partial).await {
            return Ok(Err(error));
        }
        if !shaking.connection.is_handshaking() {
            break;
        }
        if let Err(error) = shaking.read(partial).await {
            return Ok(Err(error));
        }
        let place = place(key, partial).await?;
        let (connection, processed) = process(shaking.connection, place).await?;
        shaking.connection = connection;
        if let Err(error) = processed {
            shaking.send_alert().await;
            return Ok(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
        }
    }
    // The adapter of tokio makes its connection itself, so it gets this one in place of its own.
    let OffLane { io, connection, .. } = shaking;
    let fresh = || TlsConnector::from(config).connect_with(name, io, |made| *made = connection);
    let finished = {
        let _section = Section::enter();
        fresh()
    };
    Ok(process::around_forks(finished).await)
}

/// Waits for a place of the signer: the next message of the consumer may ask for the signature.
async fn place(key: &ExternalKey, partial: &PartialHandshake) -> Result<Place, Error> {
    let before = {
        let mut state = partial.state();
        let waits = SignatureProgress::WaitsForPlace(Instant::now());
        std::mem::replace(&mut state.signature, waits)
    };
    let place = key.place().await;
    partial.state().signature = before;
    place
}

/// Lets TLS process what was read, on a thread of its own. Returns the connection.
async fn process(
    mut connection: ClientConnection,
    place: Place,
) -> Result<(ClientConnection, Result<(), rustls::Error>), Error> {
    let (sender, processed) = oneshot::channel();
    runtime::apart(move || {
        let result = {
            // The random number generator and RSA keys contain locks. They must be free at a fork.
            let _section = Section::enter();
            connection.process_new_packets().map(drop)
        };
        drop(place);
        // After a deadline or a cancellation, no delivery waits.
        let _ = sender.send((connection, result));
    })?;
    processed.await.map_err(|_| Error::new(Kind::Internal, "the thread of a handshake panicked"))
}

/// A connection and its socket.
struct OffLane<IO> {
    io: IO,
    connection: ClientConnection,
    /// An error that was read after bytes. They are processed first.
    error: Option<io::Error>,
}

impl<IO: AsyncRead + AsyncWrite + PollLimited + Unpin> OffLane<IO> {
    fn new(config: Arc<ClientConfig>, name: ServerName<'static>, io: IO) -> io::Result<Self> {
        let _section = Section::enter();
        let connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
        Ok(Self { io, connection, error: None })
    }

    /// Writes what TLS has to write.
    async fn write(&mut self, partial: &PartialHandshake) -> io::Result<()> {
        let writing = poll_fn(|context| {
            self.io.begin_poll();
            let polled = self.poll_write(context);
            partial.set_unanswered(self.io.unanswered());
            polled
        });
        process::around_forks(writing).await
    }

    /// Reads what has arrived, and waits until something has.
    async fn read(&mut self, partial: &PartialHandshake) -> io::Result<()> {
        let reading = poll_fn(|context| {
            self.io.begin_poll();
            let polled = self.poll_read(context);
            partial.set_unanswered(self.io.unanswered());
            polled
        });
        process::around_forks(reading).await
    }

    /// Tries once to tell the peer why the handshake failed. The error itself matters more.
    async fn send_alert(&mut self) {
        let writing = poll_fn(|context| {
            self.io.begin_poll();
            let _ = self.poll_write(context);
            Poll::Ready(())
        });
        process::around_forks(writing).await;
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut Blocking { io: &mut self.io, context }) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(error) = self.error.take() {
            return Poll::Ready(Err(error));
        }
        let mut read = 0;
        while read < MAX_READ && self.connection.wants_read() {
            match self.connection.read_tls(&mut Blocking { io: &mut self.io, context }) {
                Ok(0) => {
                    let cut = || io::Error::new(io::ErrorKind::UnexpectedEof, "tls handshake eof");
                    self.error = Some(cut());
                    break;
                }
                Ok(length) => read += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return if read == 0 { Poll::Pending } else { Poll::Ready(Ok(())) };
                }
                // rustls wants to process what it has before it reads more.
                Err(error) if error.kind() == io::ErrorKind::Other && read > 0 => break,
                Err(error) => {
                    self.error = Some(error);
                    break;
                }
            }
        }
        match self.error.take_if(|_| read == 0) {
            Some(error) => Poll::Ready(Err(error)),
            None => Poll::Ready(Ok(())),
        }
    }
}

/// The socket as rustls wants it: it returns `WouldBlock`, and the task is woken.
struct Blocking<'a, 'b, IO> {
    io: &'a mut IO,
    context: &'a mut Context<'b>,
}

impl<IO: AsyncRead + Unpin> Read for Blocking<'_, '_, IO> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut into = ReadBuf::new(into);
        match Pin::new(&mut *self.io).poll_read(self.context, &mut into) {
            Poll::Ready(read) => read.map(|()| into.filled().len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl<IO: AsyncWrite + Unpin> Write for Blocking<'_, '_, IO> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match Pin::new(&mut *self.io).poll_write(self.context, bytes) {
            Poll::Ready(written) => written,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Our key in one handshake.
pub(super) struct HandshakeKey(Arc<Call>);

/// What a call of the signer needs and reports.
struct Call {
    key: Arc<LeafKey>,
    partial: Arc<PartialHandshake>,
    by: Instant,
}

impl HandshakeKey {
    pub(super) fn new(key: Arc<LeafKey>, partial: Arc<PartialHandshake>, by: Instant) -> Self {
        Self(Arc::new(Call { key, partial, by }))
    }
}

impl SigningKey for HandshakeKey {
    fn choose_scheme(&self, offered: &[TlsScheme]) -> Option<Box<dyn Signer>> {
        let scheme = self.0.key.scheme_among(offered)?;
        Some(Box::new(HandshakeSigner { call: self.0.clone(), scheme }))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.0.key.tls_algorithm()
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(self.0.key.spki())
    }
}

/// Signs one handshake by calling the signer.
struct HandshakeSigner {
    call: Arc<Call>,
    scheme: SignatureScheme,
}

impl Signer for HandshakeSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let Call { key, partial, by } = &*self.call;
        let begun = Instant::now();
        partial.state().signature = SignatureProgress::Called(begun);
        let signed = key.sign(self.scheme, message, *by);
        let mut state = partial.state();
        state.signature = SignatureProgress::Ended(begun.elapsed());
        signed.map_err(|error| {
            state.refusal = Some(error);
            rustls::Error::General("the signer failed".into())
        })
    }

    fn scheme(&self) -> TlsScheme {
        self.scheme.in_tls()
    }
}

impl std::fmt::Debug for HandshakeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.key.fmt(f)
    }
}

impl std::fmt::Debug for HandshakeSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HandshakeSigner({:?})", self.scheme)
    }
}
