//! From addresses to a connected socket. The address that was judged is the one connected to.
//!
//! Several addresses are tried as RFC 8305 has it (happy eyeballs): families take turns, the next
//! one starts when the one before has failed or is slow, and the first that answers wins.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::Egress;
use crate::error::{Blame, Error, Kind};

/// How long an address has before the next one is tried beside it (RFC 8305 section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connects to the first address that answers. Fails with `connect_failed` or `egress_denied`.
pub(crate) async fn connect(
    addresses: &[SocketAddr],
    egress: &Egress,
) -> Result<(TcpStream, SocketAddr), Error> {
    let (stream, address) = race(taking_turns(addresses), TcpStream::connect)
        .await
        .map_err(|faults| connect_fault(&faults))?;
    let peer = stream.peer_addr().map_err(|error| connect_fault(&[(address, error)]))?;
    // Routes and redirecting firewalls aside, this is the address judged before.
    egress.check(peer.ip())?;
    // The request is written whole; waiting for more to send would only add latency.
    let _ = stream.set_nodelay(true);
    Ok((stream, peer))
}

/// The addresses with their families taking turns, beginning with that of the first
/// (RFC 8305 section 4).
fn taking_turns(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let leads_with_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut first, mut second): (Vec<_>, Vec<_>) =
        addresses.iter().copied().partition(|address| address.is_ipv6() == leads_with_v6);
    first.reverse();
    second.reverse();
    let mut turns = Vec::with_capacity(addresses.len());
    while let Some(address) = first.pop().or_else(|| second.pop()) {
        turns.push(address);
        turns.extend(second.pop());
    }
    turns
}

/// Tries them in this order; what loses is dropped, and its socket closed.
async fn race<T, F>(
    addresses: Vec<SocketAddr>,
    open: impl Fn(SocketAddr) -> F,
) -> Result<(T, SocketAddr), Vec<(SocketAddr, io::Error)>>
where
    T: Send + 'static,
    F: Future<Output = io::Result<T>> + Send + 'static,
{
    // As a rule there is one, and nothing to race: it needs no task of its own.
    if let [only] = addresses[..] {
        return match open(only).await {
            Ok(opened) => Ok((opened, only)),
            Err(error) => Err(vec![(only, error)]),
        };
    }
    let mut waiting = addresses.into_iter();
    let mut trying = JoinSet::new();
    let mut faults = Vec::new();
    loop {
        if let Some(address) = waiting.next() {
            let opening = open(address);
            trying.spawn(async move { (address, opening.await) });
        }
        loop {
            let turn = async {
                if waiting.len() > 0 {
                    tokio::time::sleep(ATTEMPT_DELAY).await;
                } else {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                biased;
                ended = trying.join_next() => match ended {
                    Some(Ok((address, Ok(opened)))) => return Ok((opened, address)),
                    Some(Ok((address, Err(error)))) => faults.push((address, error)),
                    // A connect does not panic, and nothing aborts it but the end of this race.
                    Some(Err(_)) => {}
                    None if waiting.len() == 0 => return Err(faults),
                    None => break,
                },
                () = turn => break,
            }
            if waiting.len() > 0 {
                break;
            }
        }
    }
}

fn connect_fault(faults: &[(SocketAddr, io::Error)]) -> Error {
    let list: Vec<String> =
        faults.iter().map(|(address, error)| format!("{address}: {error}")).collect();
    let refused = faults.iter().any(|(_, error)| error.kind() == io::ErrorKind::ConnectionRefused);
    let error = Error::new(Kind::ConnectFailed, format!("no connection to {}", list.join("; ")));
    let error = error.noting(
        "addresses",
        faults.iter().map(|(address, _)| address.to_string()).collect::<Vec<_>>(),
    );
    // Somebody answered that nobody listens: that is the consumer's host, not the way to it.
    if refused { error.blamed(Blame::Theirs) } else { error }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::runtime;

    fn address(text: &str) -> SocketAddr {
        format!("{text}:443").parse().unwrap()
    }

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| address(text)).collect()
    }

    /// Races with openings that end by the last number of the address: 1 opens, 2 fails, 3 never
    /// ends. Returns what opened, and all that were tried.
    fn raced(texts: &[&str]) -> (Option<SocketAddr>, Vec<SocketAddr>) {
        let tried = Arc::new(Mutex::new(Vec::new()));
        let seen = tried.clone();
        let racing = race(addresses(texts), move |address| {
            seen.lock().unwrap().push(address);
            async move {
                match address.ip().to_string().chars().last() {
                    Some('1') => Ok(()),
                    Some('2') => Err(io::ErrorKind::ConnectionRefused.into()),
                    _ => std::future::pending().await,
                }
            }
        });
        let outcome = runtime::Task::start(racing).unwrap().output();
        let outcome = runtime::drive(outcome, || false).unwrap().unwrap();
        let tried = tried.lock().unwrap().clone();
        (outcome.ok().map(|((), address)| address), tried)
    }

    #[test]
    fn families_take_turns_and_each_keeps_its_order() {
        let turns = taking_turns(&addresses(&["[::1]", "[::2]", "[::3]", "1.1.1.1", "2.2.2.2"]));
        assert_eq!(turns, addresses(&["[::1]", "1.1.1.1", "[::2]", "2.2.2.2", "[::3]"]));
        let turns = taking_turns(&addresses(&["1.1.1.1", "2.2.2.2", "[::1]"]));
        assert_eq!(turns, addresses(&["1.1.1.1", "[::1]", "2.2.2.2"]));
        assert!(taking_turns(&[]).is_empty());
    }

    #[test]
    fn a_silent_address_does_not_stop_the_next() {
        let (opened, tried) = raced(&["[::3]", "1.1.1.1"]);
        assert_eq!(opened, Some(address("1.1.1.1")));
        assert_eq!(tried.len(), 2);
    }

    #[test]
    fn after_a_failure_the_next_one_starts_and_the_rest_are_left_alone() {
        let (opened, tried) = raced(&["1.1.1.2", "2.2.2.2", "1.1.1.1", "3.3.3.3"]);
        assert_eq!(opened, Some(address("1.1.1.1")));
        assert_eq!(tried, addresses(&["1.1.1.2", "2.2.2.2", "1.1.1.1"]));
    }

    #[test]
    fn when_all_fail_all_are_told() {
        let (opened, tried) = raced(&["1.1.1.2", "[::2]", "2.2.2.2"]);
        assert_eq!((opened, tried.len()), (None, 3));
    }
}
