//! A receiver: a port, a thread per connection, and an accurate record of received and sent data,
//! whatever its behavior.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection};
use serde_json::{Value, json};
use socket2::{Domain, SockRef, Socket, Type};

use crate::case::{Case, Port};
use crate::forge::{DATA, Forge, Secret};
use crate::gate::{Gate, Passer, open};
use crate::wire::Wire;
use crate::world::World;

/// The time limit for the end of a connection.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Receiver {
    case: Arc<Case>,
    address: SocketAddr,
    gate: SocketAddr,
    saw: Arc<Mutex<Saw>>,
    pin: String,
    // Connections that fill the queue of a port without accept.
    _queued: Vec<TcpStream>,
    // A port that is bound but does not accept.
    _kept: Option<TcpListener>,
}

/// The record.
#[derive(Default)]
struct Saw {
    connections: u32,
    handshakes: u32,
    bytes: u64,
    requests: Vec<Seen>,
    answers: Vec<u16>,
    /// The start of each flood, and the time that the client took to end it.
    floods: Vec<(Instant, Option<Duration>)>,
}

impl Saw {
    /// Returns the duration of the longest flood.
    fn flooded(&self) -> Duration {
        let lasted = |(began, lasted): &(Instant, Option<Duration>)| {
            lasted.unwrap_or_else(|| began.elapsed())
        };
        self.floods.iter().map(lasted).max().unwrap_or_default()
    }
}

struct Seen {
    id: String,
    body: usize,
    whole: bool,
}

impl Receiver {
    pub(crate) fn start(case: Case, world: &Arc<World>) -> io::Result<Self> {
        let case = Arc::new(case);
        let saw = Arc::new(Mutex::new(Saw::default()));
        let gate = Arc::new(Gate::default());
        // Bound before it listens, so that no other process can take a closed port.
        let bound = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        bound.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
        let address = bound.local_addr()?.as_socket().expect("an IPv4 address");
        if case.port != Port::Closed {
            bound.listen(128)?;
        }
        let listener = TcpListener::from(bound);
        let mut queued = Vec::new();
        let mut kept = None;
        if case.port == Port::Open {
            let config = world.config(&case.manner);
            let trap: Arc<str> = world.trap().into();
            let (case, saw, gate) = (case.clone(), saw.clone(), gate.clone());
            thread::spawn(move || accept(&listener, &case, &config, &saw, &gate, &trap));
        } else if case.port == Port::Full {
            // A queue of one that is full: the kernel drops further connections.
            SockRef::from(&listener).listen(0)?;
            while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100))
            {
                queued.push(stream);
            }
            kept = Some(listener);
        } else {
            kept = Some(listener);
        }
        let doors = TcpListener::bind("127.0.0.1:0")?;
        let opens = doors.local_addr()?;
        thread::spawn(move || open(&doors, &gate));
        Ok(Self {
            case,
            address,
            gate: opens,
            saw,
            pin: world.pin().to_owned(),
            _queued: queued,
            _kept: kept,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.case.name
    }

    /// Returns the client's settings.
    pub(crate) fn told(&self, material: &Path) -> Value {
        let case = &*self.case;
        json!({
            "case": case.name,
            "url": format!("https://127.0.0.1:{}/in", self.address.port()),
            "gate": if case.gated { json!(self.gate.port()) } else { Value::Null },
            "cert": material.join("tls.crt"),
            "key": material.join("tls.key"),
            "ca": material.join("ca.pem"),
            "former": if case.rotated {
                json!([material.join("former.crt"), material.join("former.key")])
            } else {
                Value::Null
            },
            "pin": case.pin.as_deref().unwrap_or(&self.pin),
            "min_tls": case.min_tls,
            "deliveries": case.deliveries,
            "body_bytes": case.body,
            "timeout": case.total,
            "timeouts": case.timeouts.iter().map(|(name, ms)| ((*name).to_owned(), json!(ms)))
                .collect::<serde_json::Map<_, _>>(),
            "expect": case.expect,
        })
    }

    pub(crate) fn saw(&self) -> Value {
        let saw = lock(&self.saw);
        json!({
            "connections": saw.connections,
            "handshakes": saw.handshakes,
            "bytes": saw.bytes,
            "requests": saw.requests.iter().map(|seen| {
                json!({ "id": seen.id, "body": seen.body, "whole": seen.whole })
            }).collect::<Vec<_>>(),
            "answers": saw.answers,
            "flooded_ms": u64::try_from(saw.flooded().as_millis()).unwrap_or(u64::MAX),
        })
    }
}

fn accept(
    listener: &TcpListener,
    case: &Arc<Case>,
    config: &Arc<ServerConfig>,
    saw: &Arc<Mutex<Saw>>,
    gate: &Arc<Gate>,
    trap: &Arc<str>,
) {
    for tcp in listener.incoming().flatten() {
        let number = {
            let mut saw = lock(saw);
            saw.connections += 1;
            saw.connections
        };
        let _ = tcp.set_nodelay(true);
        let _ = tcp.set_read_timeout(Some(PATIENCE));
        let _ = tcp.set_write_timeout(Some(PATIENCE));
        let raw = Raw {
            number,
            wire: Wire {
                tcp,
                cut: None,
                flip: None,
                drips: false,
                sips: false,
                written: 0,
                read: 0,
            },
            config: config.clone(),
            saw: saw.clone(),
            gate: gate.clone(),
            trap: trap.clone(),
        };
        let case = case.clone();
        // A client's error or a test action ends only this connection.
        thread::spawn(move || (case.act)(raw));
    }
}

/// An accepted connection before TLS.
pub(crate) struct Raw {
    /// The connection's number at this receiver, from 1.
    pub(crate) number: u32,
    pub(crate) wire: Wire,
    config: Arc<ServerConfig>,
    saw: Arc<Mutex<Saw>>,
    gate: Arc<Gate>,
    trap: Arc<str>,
}

impl Raw {
    /// Writes every byte separately.
    pub(crate) fn drip(&mut self) {
        self.wire.drips = true;
    }

    /// Makes the handshake. A refused client gets an alert, and may continue to send until it
    /// closes.
    pub(crate) fn secure(mut self) -> io::Result<Conn> {
        let (mut tls, secret) = self.server()?;
        while tls.is_handshaking() {
            if let Err(error) = tls.complete_io(&mut self.wire) {
                if self.wire.cut.is_none() {
                    // The alert may be the last of several records.
                    while tls.wants_write() && tls.write_tls(&mut self.wire).is_ok() {}
                    let _ = self.wire.tcp.shutdown(Shutdown::Write);
                    self.wire.drain();
                }
                return Err(error);
            }
        }
        lock(&self.saw).handshakes += 1;
        while tls.wants_write() {
            tls.write_tls(&mut self.wire)?;
        }
        let Raw { number, wire, saw, gate, trap, .. } = self;
        let gate = Passer::of(gate);
        Ok(Conn { number, wire, tls, secret, buffer: Vec::new(), saw, gate, trap })
    }

    /// Sends the server's part of a TLS 1.3 handshake up to its Finished, and these bytes of HTTP with
    /// it, before the client has authenticated. Then reads until the client closes.
    pub(crate) fn speak_early(mut self, bytes: &[u8]) -> io::Result<()> {
        let (mut tls, secret) = self.server()?;
        tls.read_tls(&mut self.wire)?;
        tls.process_new_packets().map_err(io::Error::other)?;
        let mut flight = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut flight)?;
        }
        let suite = tls.negotiated_cipher_suite().map(|suite| suite.suite());
        let early = suite.and_then(|suite| Forge::early(suite, &secret));
        flight.extend(early.ok_or(io::ErrorKind::NotConnected)?.seal(DATA, bytes));
        self.wire.write_all(&flight)?;
        self.wire.drain();
        Ok(())
    }

    /// Returns the TLS server of this connection, and a place for its secret.
    fn server(&self) -> io::Result<(ServerConnection, Arc<Secret>)> {
        let mut config = ServerConfig::clone(&self.config);
        let secret = Arc::new(Secret::default());
        config.key_log = secret.clone();
        config.enable_secret_extraction = true;
        let mut tls = ServerConnection::new(Arc::new(config)).map_err(io::Error::other)?;
        tls.set_buffer_limit(None);
        Ok((tls, secret))
    }

    /// Sends pieces until the client closes the connection.
    pub(crate) fn flood(self, piece: impl FnMut() -> Vec<u8>) -> io::Result<()> {
        flood(self.wire, &self.saw, piece)
    }

    /// Reads the client's first message: its ClientHello.
    pub(crate) fn hello(&mut self) -> io::Result<Vec<u8>> {
        let mut hello = vec![0; 4096];
        let length = self.wire.read(&mut hello)?;
        hello.truncate(length);
        Ok(hello)
    }
}

/// A connection after the handshake.
pub(crate) struct Conn {
    pub(crate) number: u32,
    pub(crate) wire: Wire,
    pub(crate) tls: ServerConnection,
    secret: Arc<Secret>,
    buffer: Vec<u8>,
    saw: Arc<Mutex<Saw>>,
    gate: Passer,
    trap: Arc<str>,
}

impl Conn {
    /// Reads one whole request.
    pub(crate) fn request(&mut self) -> io::Result<()> {
        let length = self.head()?;
        self.body(length)
    }

    /// Reads the head of a request; returns the length of its body.
    pub(crate) fn head(&mut self) -> io::Result<usize> {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.more()?;
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).to_ascii_lowercase();
        let field = |name: &str| {
            head.lines()
                .find_map(|line| line.strip_prefix(name))
                .map(|value| value.trim().to_owned())
        };
        let id = field("webhook-id:").unwrap_or_default();
        self.buffer.drain(..end);
        lock(&self.saw).requests.push(Seen { id, body: 0, whole: false });
        Ok(field("content-length:").and_then(|value| value.parse().ok()).unwrap_or(0))
    }

    /// Reads a body of this length, and marks the request as whole.
    pub(crate) fn body(&mut self, length: usize) -> io::Result<()> {
        self.part(length)?;
        if let Some(seen) = lock(&self.saw).requests.last_mut() {
            seen.whole = true;
        }
        Ok(())
    }

    /// Reads exactly this many body bytes.
    pub(crate) fn part(&mut self, length: usize) -> io::Result<()> {
        while self.buffer.len() < length {
            self.more()?;
        }
        self.buffer.drain(..length);
        if let Some(seen) = lock(&self.saw).requests.last_mut() {
            seen.body += length;
        }
        Ok(())
    }

    /// Reads until more bytes arrive.
    pub(crate) fn more(&mut self) -> io::Result<()> {
        let mut piece = [0; 16 * 1024];
        loop {
            match self.tls.reader().read(&mut piece) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => {
                    lock(&self.saw).bytes += length as u64;
                    self.buffer.extend_from_slice(&piece[..length]);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if self.tls.read_tls(&mut self.wire)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Err(error) = self.tls.process_new_packets() {
                // The alert for the error.
                let _ = self.tls.write_tls(&mut self.wire);
                return Err(io::Error::other(error));
            }
        }
    }

    /// Records a response with this status that is made by hand.
    pub(crate) fn answers(&self, status: u16) {
        lock(&self.saw).answers.push(status);
    }

    /// Sends these bytes of HTTP. `status` is set if they form a response.
    pub(crate) fn say(&mut self, status: Option<u16>, bytes: &[u8]) -> io::Result<()> {
        // Recorded before the first byte leaves, because the client may claim a success after that
        // byte.
        lock(&self.saw).answers.extend(status);
        self.tls.writer().write_all(bytes)?;
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.wire)?;
        }
        Ok(())
    }

    /// Responds with these header lines (each with its line end) and this body.
    pub(crate) fn answer(&mut self, status: u16, headers: &str, body: &[u8]) -> io::Result<()> {
        let mut bytes = format!("HTTP/1.1 {status} X\r\n{headers}\r\n").into_bytes();
        bytes.extend_from_slice(body);
        self.say(Some(status), &bytes)
    }

    pub(crate) fn ok(&mut self) -> io::Result<()> {
        self.answer(200, "content-length: 2\r\n", b"ok")
    }

    /// Answers every further request with 200 until the client closes.
    pub(crate) fn behave(mut self) -> io::Result<()> {
        loop {
            self.request()?;
            self.ok()?;
            self.finished();
        }
    }

    /// Reads requests without answering, until the client closes.
    pub(crate) fn behave_silently(mut self) -> io::Result<()> {
        loop {
            self.request()?;
        }
    }

    /// The target of redirects.
    pub(crate) fn trap(&self) -> &str {
        &self.trap
    }

    /// Allows one more delivery.
    pub(crate) fn finished(&self) {
        self.gate.finished();
    }

    /// Returns the gate, for a receiver that gives its connection away.
    pub(crate) fn gate(&self) -> Passer {
        self.gate.clone()
    }

    /// Waits until the client is at the gate: it has its response, and has not continued yet.
    pub(crate) fn until_the_client_waits(&self) {
        self.gate.until_the_client_waits();
    }

    /// Sends pieces until the client closes the connection.
    pub(crate) fn flood(self, mut piece: impl FnMut(&mut Forge) -> Vec<u8>) -> io::Result<()> {
        let saw = self.saw.clone();
        let (wire, mut forge) = self.forge()?;
        flood(wire, &saw, || piece(&mut forge))
    }

    /// Sends a piece every few milliseconds until the client closes the connection.
    pub(crate) fn trickle(self, piece: impl Fn(&mut Forge) -> Vec<u8>) -> io::Result<()> {
        let (mut wire, mut forge) = self.forge()?;
        loop {
            wire.write_all(&piece(&mut forge))?;
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Gives the keys away, to make records by hand.
    pub(crate) fn forge(self) -> io::Result<(Wire, Forge)> {
        let secrets = self.tls.dangerous_extract_secrets().map_err(io::Error::other)?;
        Ok((self.wire, Forge::after(secrets, &self.secret)))
    }

    /// Closes TLS and the connection in order, and waits until the client closes too.
    pub(crate) fn bye(mut self) -> io::Result<()> {
        self.tls.send_close_notify();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.wire)?;
        }
        self.wire.tcp.shutdown(Shutdown::Write)?;
        self.wire.drain();
        Ok(())
    }

    /// Closes the connection without a TLS close_notify.
    pub(crate) fn hang_up(mut self) -> io::Result<()> {
        self.wire.tcp.shutdown(Shutdown::Write)?;
        self.wire.drain();
        Ok(())
    }
}

fn flood(mut wire: Wire, saw: &Mutex<Saw>, mut piece: impl FnMut() -> Vec<u8>) -> io::Result<()> {
    let began = Instant::now();
    let place = {
        let mut saw = lock(saw);
        saw.floods.push((began, None));
        saw.floods.len() - 1
    };
    loop {
        if let Err(ended) = wire.write_all(&piece()) {
            lock(saw).floods[place].1 = Some(began.elapsed());
            return Err(ended);
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no receiver panics while it holds its record")
}
