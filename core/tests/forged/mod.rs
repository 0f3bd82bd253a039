//! A server whose keys a test holds: it can send records that no TLS library would send.

// Each test binary uses only some of these.
#![allow(dead_code)]

#[path = "../../../tests/outcomes/hostile/forge.rs"]
pub(crate) mod forge;

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::{CipherSuite, ServerConfig, ServerConnection, SupportedProtocolVersion};
use webhook_mtls::testing::Lab;

use crate::raw;
use forge::{DATA, Forge, Secret};

/// The server's side of one connection.
pub(crate) struct Peer {
    pub(crate) tcp: TcpStream,
    tls: ServerConnection,
    secret: Arc<Secret>,
    buffer: Vec<u8>,
    /// The number of sent data records.
    said: u64,
    forge: Option<Forge>,
}

/// Passes each connection, before its handshake, to `talk` on a separate thread, until the test
/// process ends. Returns the URL.
pub(crate) fn listen(
    lab: &Lab,
    talk: impl Fn(Peer) -> io::Result<()> + Send + Sync + 'static,
) -> String {
    listen_on(lab, rustls::DEFAULT_VERSIONS, talk)
}

/// Like `listen`, with these versions of TLS.
pub(crate) fn listen_on(
    lab: &Lab,
    versions: &[&'static SupportedProtocolVersion],
    talk: impl Fn(Peer) -> io::Result<()> + Send + Sync + 'static,
) -> String {
    let mut config = raw::config(lab, versions);
    config.enable_secret_extraction = true;
    config.send_tls13_tickets = 0;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/in", listener.local_addr().unwrap());
    let talk = Arc::new(talk);
    thread::spawn(move || {
        for tcp in listener.incoming().map_while(Result::ok) {
            let (config, talk) = (config.clone(), talk.clone());
            // A client's error or a test action ends only this connection.
            thread::spawn(move || talk(Peer::new(config, tcp)));
        }
    });
    url
}

impl Peer {
    fn new(mut config: ServerConfig, tcp: TcpStream) -> Self {
        let secret = Arc::new(Secret::default());
        config.key_log = secret.clone();
        tcp.set_nodelay(true).unwrap();
        tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        tcp.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        let tls = ServerConnection::new(Arc::new(config)).unwrap();
        Self { tcp, tls, secret, buffer: Vec::new(), said: 0, forge: None }
    }

    /// Reads the ClientHello and sends everything that a server sends before the client has proved
    /// its identity. `text` follows in the same write.
    pub(crate) fn speak_early(&mut self, text: &str) -> io::Result<()> {
        self.tls.read_tls(&mut self.tcp)?;
        self.tls.process_new_packets().map_err(io::Error::other)?;
        let mut flight = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut flight)?;
        }
        let mut forge = Forge::early(self.suite(), &self.secret).unwrap();
        flight.extend(forge.seal(DATA, text.as_bytes()));
        self.tcp.write_all(&flight)
    }

    /// Continues after [`speak_early`](Self::speak_early).
    pub(crate) fn early_forge(&mut self) -> Forge {
        let mut forge = Forge::early(self.suite(), &self.secret).unwrap();
        // One record was sent.
        forge.seal(DATA, b"");
        forge
    }

    fn suite(&self) -> CipherSuite {
        self.tls.negotiated_cipher_suite().unwrap().suite()
    }

    /// Makes a data record for an open connection without rustls. Until it is sent, and after it,
    /// only other such records may be sent.
    pub(crate) fn sealed(&mut self, text: &str) -> io::Result<Vec<u8>> {
        self.sealed_as(DATA, text.as_bytes())
    }

    /// Like `record`, with another type. The server must not have used [`say`](Self::say) since.
    pub(crate) fn sealed_as(&mut self, kind: u8, content: &[u8]) -> io::Result<Vec<u8>> {
        if self.forge.is_none() {
            let mut forge =
                Forge::early(self.suite(), &self.secret).ok_or(io::ErrorKind::NotConnected)?;
            for _ in 0..self.said {
                forge.seal(DATA, b"");
            }
            self.forge = Some(forge);
        }
        Ok(self.forge.as_mut().expect("it was made").seal(kind, content))
    }

    /// Reads one whole request, after the handshake if it is the first.
    pub(crate) fn request(&mut self) -> io::Result<()> {
        let length = self.head()?;
        self.body(length)
    }

    /// Reads this many bytes of a body.
    pub(crate) fn body(&mut self, length: usize) -> io::Result<()> {
        let mut left = length;
        loop {
            let taken = left.min(self.buffer.len());
            self.buffer.drain(..taken);
            left -= taken;
            if left == 0 {
                return Ok(());
            }
            self.more()?;
        }
    }

    /// Reads the head of a request; returns the length of its body.
    pub(crate) fn head(&mut self) -> io::Result<usize> {
        loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..at + 4).collect();
                let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
                return Ok(length.unwrap_or("0").trim().parse().unwrap());
            }
            self.more()?;
        }
    }

    fn more(&mut self) -> io::Result<()> {
        let mut piece = [0; 16 * 1024];
        loop {
            match self.tls.reader().read(&mut piece) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => {
                    self.buffer.extend_from_slice(&piece[..length]);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            self.tls.complete_io(&mut self.tcp)?;
        }
    }

    pub(crate) fn say(&mut self, text: &str) -> io::Result<()> {
        self.said += 1;
        self.tls.writer().write_all(text.as_bytes())?;
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.tcp)?;
        }
        Ok(())
    }

    /// From now on this code makes the records.
    pub(crate) fn forge(self) -> (TcpStream, Forge) {
        let secrets = self.tls.dangerous_extract_secrets().unwrap();
        (self.tcp, Forge::after(secrets, &self.secret))
    }
}
