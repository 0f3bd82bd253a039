//! The receiver of the model: one thread serves every site, so that its record of the order is
//! exact. It knows after which call of the model the first byte of a request arrived.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver as Commands, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection};

use super::Random;

/// How long the thread waits for a command before it polls its sockets again.
const PAUSE: Duration = Duration::from_micros(200);

const PAGE: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 38\r\nconnection: close\r\n\r\n\
                      <html>The SSL certificate error</html>";

/// A request whose head has arrived.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The number of returned calls when its first byte arrived.
    pub(crate) epoch: u64,
    pub(crate) site: usize,
    /// The endpoint and its generation, from the path.
    pub(crate) endpoint: u64,
    pub(crate) generation: u64,
    /// The identity that we presented.
    pub(crate) identity: usize,
    pub(crate) id: String,
    /// The number of unanswered requests to the same endpoint when this one arrived, including it.
    pub(crate) at_once: u64,
    /// The number of payload bytes that arrived, and whether the payload is complete.
    pub(crate) payload: usize,
    pub(crate) whole: bool,
    pub(crate) answered: Option<u16>,
}

/// The behavior of the sites.
#[derive(Clone, Debug, Default)]
pub(crate) struct Manner {
    /// The refused identity, and whether by an alert instead of a page.
    pub(crate) refused: Option<(usize, bool)>,
    /// The maximum delay of handshakes.
    pub(crate) slowness: Duration,
    /// Every request is answered with 200, and none before this is unset.
    pub(crate) gathers: bool,
}

/// The certificates that the sites present and accept.
pub(crate) struct Material {
    /// The configuration that accepts every identity, and those that each accept all except one.
    pub(crate) all: Arc<ServerConfig>,
    pub(crate) but: Vec<Arc<ServerConfig>>,
    /// The leaves of our identities.
    pub(crate) leaves: Vec<Vec<u8>>,
}

/// The receiver, until it is dropped.
pub(crate) struct Receiver {
    commands: Option<Sender<Command>>,
    pub(crate) ports: Vec<u16>,
    manner: Arc<Mutex<Manner>>,
    requests: Arc<Mutex<Vec<Request>>>,
    thread: Option<JoinHandle<()>>,
}

enum Command {
    /// A call has returned: first reads all data that left before. The reply is the number of open
    /// connections.
    Returned(u64, Sender<usize>),
}

impl Receiver {
    pub(crate) fn start(sites: usize, material: Material, random: Random) -> Self {
        let listeners: Vec<TcpListener> =
            (0..sites).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
        for listener in &listeners {
            listener.set_nonblocking(true).expect("a socket");
        }
        let port = |listener: &TcpListener| listener.local_addr().expect("an address").port();
        let ports = listeners.iter().map(port).collect();
        let (sender, commands) = mpsc::channel();
        let (manner, requests) = (Arc::default(), Arc::default());
        let world = World {
            listeners,
            material,
            manner: Arc::clone(&manner),
            requests: Arc::clone(&requests),
            connections: Vec::new(),
            epoch: 0,
            random,
        };
        let thread = Some(thread::spawn(move || world.run(&commands)));
        Self { commands: Some(sender), ports, manner, requests, thread }
    }

    /// Reports that the call with this number has returned. Returns the number of open connections.
    pub(crate) fn returned(&self, epoch: u64) -> usize {
        let (sender, answer) = mpsc::channel();
        let commands = self.commands.as_ref().expect("it runs");
        commands.send(Command::Returned(epoch, sender)).expect("it runs");
        answer.recv().expect("it runs")
    }

    pub(crate) fn manner(&self) -> MutexGuard<'_, Manner> {
        lock(&self.manner)
    }

    /// Returns the requests so far.
    pub(crate) fn requests(&self) -> MutexGuard<'_, Vec<Request>> {
        lock(&self.requests)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        drop(self.commands.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct World {
    listeners: Vec<TcpListener>,
    material: Material,
    manner: Arc<Mutex<Manner>>,
    requests: Arc<Mutex<Vec<Request>>>,
    connections: Vec<Connection>,
    epoch: u64,
    random: Random,
}

struct Connection {
    tcp: TcpStream,
    tls: ServerConnection,
    site: usize,
    /// Nothing is read before: the handshake is slow.
    held: Instant,
    unread: Vec<u8>,
    /// The epoch of the first unread byte.
    since: Option<u64>,
    /// The unanswered request.
    request: Option<Pending>,
    /// A response, the time when it is due, and whether it is the last one.
    answer: Option<(Instant, Vec<u8>, bool)>,
    gone: bool,
}

struct Pending {
    /// Its index among the requests.
    at: usize,
    endpoint: u64,
    /// The rest of its payload.
    left: usize,
}

impl World {
    fn run(mut self, commands: &Commands<Command>) {
        loop {
            match commands.recv_timeout(PAUSE) {
                Ok(Command::Returned(epoch, answer)) => {
                    // Data that left before the call returned has arrived; reading it may take a
                    // while.
                    while self.look() {}
                    self.epoch = epoch;
                    let _ = answer.send(self.connections.len());
                }
                Err(RecvTimeoutError::Timeout) => while self.look() {},
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.answer();
        }
    }

    /// Reads arrived data; returns whether there was any.
    fn look(&mut self) -> bool {
        let mut busy = self.accept();
        for at in 0..self.connections.len() {
            busy |= self.connections[at].read(self.epoch);
            busy |= self.parse(at);
        }
        self.connections.retain(|connection| !connection.gone);
        busy
    }

    fn accept(&mut self) -> bool {
        let mut busy = false;
        for (site, listener) in self.listeners.iter().enumerate() {
            while let Ok((tcp, _)) = listener.accept() {
                busy = true;
                let manner = lock(&self.manner).clone();
                let config = match manner.refused {
                    Some((identity, true)) => &self.material.but[identity],
                    _ => &self.material.all,
                };
                let slowness = manner.slowness.mul_f64(self.random.fraction());
                let ready = tcp.set_nonblocking(true).and_then(|()| tcp.set_nodelay(true));
                ready.expect("a socket");
                self.connections.push(Connection {
                    tcp,
                    tls: ServerConnection::new(config.clone()).expect("a configuration"),
                    site,
                    held: Instant::now() + slowness,
                    unread: Vec::new(),
                    since: None,
                    request: None,
                    answer: None,
                    gone: false,
                });
            }
        }
        busy
    }

    /// Parses a request, or part of its payload, from the read data. Returns whether there was any.
    fn parse(&mut self, at: usize) -> bool {
        let connection = &mut self.connections[at];
        if connection.unread.is_empty() || connection.answer.is_some() {
            return false;
        }
        if connection.request.is_none() {
            return self.begin(at);
        }
        let Some(pending) = &mut connection.request else { return false };
        let taken = pending.left.min(connection.unread.len());
        if taken == 0 {
            return false;
        }
        connection.unread.drain(..taken);
        pending.left -= taken;
        let (place, whole) = (pending.at, pending.left == 0);
        let mut requests = lock(&self.requests);
        requests[place].payload += taken;
        requests[place].whole = whole;
        drop(requests);
        if whole {
            self.decide(at);
        }
        true
    }

    /// Parses the head of a request, if it is complete.
    fn begin(&mut self, at: usize) -> bool {
        let connection = &mut self.connections[at];
        let Some(end) = connection.unread.windows(4).position(|four| four == b"\r\n\r\n") else {
            return false;
        };
        let head: Vec<u8> = connection.unread.drain(..end + 4).collect();
        let head = String::from_utf8(head).expect("text");
        let leaf = &connection.tls.peer_certificates().expect("it was asked for")[0];
        let leaves = &self.material.leaves;
        let identity = leaves.iter().position(|own| own[..] == leaf[..]).expect("one of ours");
        let mut path = head.split(' ').nth(1).expect("a path").split('/').skip(1);
        let mut number = || path.next().and_then(|part| part.parse().ok()).expect("a number");
        let (endpoint, generation) = (number(), number());
        let header = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(found, _)| *found == name).map(|(_, value)| value.to_owned())
        };
        let left = header("content-length").and_then(|length| length.parse().ok());
        let expects = header("expect").is_some();
        let (site, epoch) = (connection.site, connection.since.take().expect("it was read"));
        let mut requests = lock(&self.requests);
        let left = left.expect("a length");
        connection.request = Some(Pending { at: requests.len(), endpoint, left });
        requests.push(Request {
            epoch,
            site,
            endpoint,
            generation,
            identity,
            id: header("webhook-id").expect("an id"),
            at_once: 0,
            payload: 0,
            whole: left == 0,
            answered: None,
        });
        let place = requests.len() - 1;
        drop(requests);
        let at_once = self.at_once(endpoint);
        lock(&self.requests)[place].at_once = at_once;
        self.expected(at, identity, expects);
        true
    }

    /// Returns the number of unanswered requests to an endpoint. Reads their connections first,
    /// because a client may have closed since the last poll.
    fn at_once(&mut self, endpoint: u64) -> u64 {
        let mut count = 0;
        for connection in &mut self.connections {
            let waits = |pending: &Pending| pending.endpoint == endpoint;
            if connection.request.as_ref().is_some_and(waits) {
                connection.read(self.epoch);
                count += u64::from(!connection.gone);
            }
        }
        count
    }

    /// The bytes before the payload.
    fn expected(&mut self, at: usize, identity: usize, expects: bool) {
        let manner = lock(&self.manner).clone();
        let connection = &mut self.connections[at];
        if expects {
            let now = Instant::now();
            let answer = |text: &[u8], last| Some((now, text.to_vec(), last));
            match self.random.below(20) {
                _ if manner.refused == Some((identity, false)) => {
                    connection.answer = answer(PAGE, true);
                }
                _ if manner.gathers => connection.write(b"HTTP/1.1 100 Continue\r\n\r\n"),
                0 => connection.answer = answer(&answer_of(417), true),
                1 => connection.answer = answer(&answer_of(200), true),
                2 => {}
                _ => connection.write(b"HTTP/1.1 100 Continue\r\n\r\n"),
            }
        }
        if connection.request.as_ref().is_some_and(|pending| pending.left == 0) {
            self.decide(at);
        }
    }

    /// Handles a complete request.
    fn decide(&mut self, at: usize) {
        let manner = lock(&self.manner).clone();
        let connection = &mut self.connections[at];
        let place = connection.request.as_ref().expect("a request").at;
        let identity = lock(&self.requests)[place].identity;
        let soon = Instant::now() + Duration::from_millis(4).mul_f64(self.random.fraction());
        let refused = manner.refused == Some((identity, false));
        let (answer, last) = match self.random.below(20) {
            _ if manner.gathers => (answer_of(200), false),
            _ if refused => (PAGE.to_vec(), true),
            0 => return connection.gone = true,
            // It never answers.
            1 => return,
            2 => (answer_of(503), false),
            3 => (PAGE.to_vec(), true),
            4 => (answer_of(200), true),
            _ => (answer_of(200), false),
        };
        connection.answer = Some((soon, answer, last));
    }

    /// Writes the due responses.
    fn answer(&mut self) {
        let gathers = lock(&self.manner).gathers;
        for connection in &mut self.connections {
            let due = |(due, _, _): &(Instant, Vec<u8>, bool)| *due <= Instant::now();
            if gathers || !connection.answer.as_ref().is_some_and(due) {
                continue;
            }
            let Some((_, answer, last)) = connection.answer.take() else { continue };
            if let Some(pending) = connection.request.take() {
                let status = std::str::from_utf8(&answer[9..12]).expect("a status");
                lock(&self.requests)[pending.at].answered = status.parse().ok();
            }
            connection.write(&answer);
            if last {
                connection.tls.send_close_notify();
                connection.flush();
                connection.gone = true;
            }
        }
        self.connections.retain(|connection| !connection.gone);
    }
}

impl Connection {
    /// Reads all arrived data; returns whether there was any.
    fn read(&mut self, epoch: u64) -> bool {
        let mut busy = false;
        while !self.gone && self.held <= Instant::now() {
            match self.tls.read_tls(&mut self.tcp) {
                Ok(0) => self.gone = true,
                Ok(_) => self.process(epoch),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.gone = true,
            }
            busy = true;
        }
        busy
    }

    fn process(&mut self, epoch: u64) {
        let processed = self.tls.process_new_packets();
        // The alert, if the handshake failed.
        self.flush();
        match processed {
            Ok(state) if state.plaintext_bytes_to_read() > 0 => {
                let before = self.unread.len();
                self.unread.resize(before + state.plaintext_bytes_to_read(), 0);
                let read = self.tls.reader().read_exact(&mut self.unread[before..]);
                read.expect("it is there");
                if self.request.is_none() {
                    self.since.get_or_insert(epoch);
                }
            }
            Ok(_) => {}
            Err(_) => self.gone = true,
        }
    }

    fn write(&mut self, text: &[u8]) {
        let _ = self.tls.writer().write_all(text);
        self.flush();
    }

    fn flush(&mut self) {
        while self.tls.wants_write() {
            if self.tls.write_tls(&mut self.tcp).is_err() {
                break;
            }
        }
    }
}

fn answer_of(status: u16) -> Vec<u8> {
    format!("HTTP/1.1 {status} So\r\ncontent-length: 0\r\n\r\n").into_bytes()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
