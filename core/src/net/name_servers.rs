//! Why a lookup failed, as the name server itself tells it. The system's resolver reports one code for
//! a server that answers SERVFAIL, one that does not run and one that is silent.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant, SystemTime};

use super::hosts;

pub(super) const PORT: u16 = 53;

/// How long to wait for the answer.
const TIMEOUT: Duration = Duration::from_millis(500);

/// What the first name server of this machine did.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It answered with this code: 2 is SERVFAIL, 5 is REFUSED.
    Answered(u8),
    /// Nothing listens there.
    Down,
    /// It did not answer in time.
    Silent,
}

/// Returns the address of the first name server in `/etc/resolv.conf`.
pub(crate) fn first() -> IpAddr {
    let text = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    // The default of the system's resolver.
    of_text(&text).unwrap_or(Ipv4Addr::LOCALHOST.into())
}

/// Describes that the first name server did not answer.
pub(crate) fn silence(server: IpAddr, host: &str, allowed: u64) -> String {
    format!(
        "no answer of the name server {server} (/etc/resolv.conf) for {host} within {allowed} ms"
    )
}

/// Returns the addresses of the name servers in `/etc/resolv.conf`. The system's resolver asks at most
/// three.
pub(crate) fn all() -> Vec<IpAddr> {
    let text = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let known: Vec<IpAddr> = text.lines().filter_map(of_text).take(3).collect();
    if known.is_empty() { vec![Ipv4Addr::LOCALHOST.into()] } else { known }
}

fn of_text(text: &str) -> Option<IpAddr> {
    text.lines().find_map(|line| {
        let address = line.trim().strip_prefix("nameserver")?.split_whitespace().next()?;
        // An IPv6 address may have a zone, which the message does not need.
        address.split('%').next()?.parse().ok()
    })
}

/// What a name server did, for a person.
pub(crate) struct Answer {
    pub(crate) server: IpAddr,
    pub(crate) what: String,
    /// Whether it serves lookups.
    pub(crate) is_well: bool,
}

/// Asks one name server, as [`ask`] does. Returns `None` if no name server is asked for the name, because
/// `/etc/hosts` has it.
pub(crate) fn examine(server: IpAddr, name: &str) -> Option<Answer> {
    if hosts::addresses(name).is_ok_and(|known| !known.is_empty()) {
        return None;
    }
    let (what, is_well) = match ask(SocketAddr::new(server, PORT), name) {
        Ok(Seen::Answered(0)) => ("answers".to_owned(), true),
        Ok(Seen::Answered(3)) => ("answers NXDOMAIN".to_owned(), true),
        Ok(Seen::Answered(2)) => ("answers SERVFAIL".to_owned(), false),
        Ok(Seen::Answered(5)) => ("answers REFUSED".to_owned(), false),
        Ok(Seen::Answered(code)) => (format!("answers with the code {code}"), false),
        Ok(Seen::Down) => ("does not run".to_owned(), false),
        Ok(Seen::Silent) => (format!("does not answer within {} ms", TIMEOUT.as_millis()), false),
        Err(_) => ("gives no answer to the question".to_owned(), false),
    };
    Some(Answer { server, what, is_well })
}

/// Asks a name server for the address of a name, and returns what it did.
pub(super) fn ask(server: SocketAddr, name: &str) -> io::Result<Seen> {
    let local: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((local, 0))?;
    socket.connect(server)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let id = now.subsec_nanos().to_le_bytes();
    let id = [id[0], id[1]];
    socket.send(&query(id, name))?;
    let mut answer = [0; 512];
    let received = uninterrupted(|left| {
        socket.set_read_timeout(Some(left))?;
        socket.recv(&mut answer)
    });
    match received {
        Ok(12..) if answer[..2] == id && answer[2] & 0x80 != 0 => {
            Ok(Seen::Answered(answer[3] & 0x0f))
        }
        Ok(_) => Err(io::ErrorKind::InvalidData.into()),
        Err(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => Ok(Seen::Down),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Ok(Seen::Silent),
            _ => Err(error),
        },
    }
}

/// Calls `receive` again after each signal that interrupts it, until [`TIMEOUT`] has passed. A signal says
/// nothing about the server.
///
/// * `receive`: gets the time that is left.
fn uninterrupted(mut receive: impl FnMut(Duration) -> io::Result<usize>) -> io::Result<usize> {
    let by = Instant::now() + TIMEOUT;
    loop {
        let left = by.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match receive(left) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            ended => return ended,
        }
    }
}

/// Returns a query for the A record of a name (RFC 1035 section 4.1).
fn query(id: [u8; 2], name: &str) -> Vec<u8> {
    // Recursion is desired; one question.
    let mut query = vec![id[0], id[1], 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let label = &label.as_bytes()[..label.len().min(63)];
        query.push(u8::try_from(label.len()).unwrap_or_default());
        query.extend_from_slice(label);
    }
    query.extend_from_slice(&[0, 0, 1, 0, 1]);
    query
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn the_first_name_server_is_read() {
        let text = "# nameserver 192.0.2.9\nsearch a.test\n nameserver  fe80::1%eth0\nnameserver 192.0.2.2\n";
        assert_eq!(of_text(text), Some("fe80::1".parse().unwrap()));
        assert_eq!(of_text("options edns0\n"), None);
    }

    #[test]
    fn a_name_in_the_hosts_file_is_asked_of_no_server() {
        assert!(examine(Ipv4Addr::LOCALHOST.into(), "localhost").is_none());
    }

    #[test]
    fn an_answer_a_missing_server_and_silence_are_told_apart() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let answering = thread::spawn(move || {
            let mut asked = [0; 512];
            let (length, client) = server.recv_from(&mut asked).unwrap();
            assert_eq!(&asked[12..length], b"\x04fail\x04acme\x04test\0\0\x01\0\x01");
            asked[2] |= 0x80;
            asked[3] = 2;
            server.send_to(&asked[..length], client).unwrap();
            server
        });
        assert_eq!(ask(address, "fail.acme.test").unwrap(), Seen::Answered(2));
        let silent = answering.join().unwrap();
        assert_eq!(ask(address, "slow.acme.test").unwrap(), Seen::Silent);
        drop(silent);
        assert_eq!(ask(address, "slow.acme.test").unwrap(), Seen::Down);
    }

    #[test]
    fn a_signal_does_not_end_the_wait_for_an_answer() {
        let mut calls = 0;
        let received = uninterrupted(|left| {
            assert!(left <= TIMEOUT);
            calls += 1;
            if calls < 3 { Err(io::ErrorKind::Interrupted.into()) } else { Ok(42) }
        });
        assert_eq!((received.unwrap(), calls), (42, 3));
        let endless = uninterrupted(|_| Err(io::ErrorKind::Interrupted.into()));
        assert_eq!(endless.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_datagram_that_does_not_answer_the_query_is_no_answer() {
        for garble in [
            // The query itself.
            (|asked| asked) as fn(Vec<u8>) -> Vec<u8>,
            // An answer with another id.
            |asked| [&[asked[0] ^ 1, asked[1], asked[2] | 0x80], &asked[3..]].concat(),
            // An answer without a whole header.
            |asked| vec![asked[0], asked[1], 0x81, 0],
        ] {
            let server = UdpSocket::bind("127.0.0.1:0").unwrap();
            let address = server.local_addr().unwrap();
            let answering = thread::spawn(move || {
                let mut asked = [0; 512];
                let (length, client) = server.recv_from(&mut asked).unwrap();
                server.send_to(&garble(asked[..length].to_vec()), client).unwrap();
            });
            let error = ask(address, "acme.test").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            answering.join().unwrap();
        }
    }
}
