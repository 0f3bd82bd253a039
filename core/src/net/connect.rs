//! From addresses to a connected socket. The connection goes to an address that was checked.
//!
//! Several addresses are tried by RFC 8305 (happy eyeballs): the address families alternate, the next
//! attempt starts when the one before has failed or is slow, and the first that connects wins. Each
//! socket has a permit. If there are more addresses than permits or places in the race, they share
//! the time: a silent address gives its place to the next.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use super::Egress;
use crate::admission::fair_limit::{Permit, Spare};
use crate::error::{Blame, Error, Kind, cause, exhausted, key};

/// The time after which the next address is tried beside a slow one (RFC 8305 section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The most addresses that are tried at once.
const MAX_RACING: usize = 3;

/// The permits for the sockets of one connection that is being opened.
pub(crate) struct Sockets {
    /// The permit of the first socket. `None` if the caller holds it.
    first: Option<Permit>,
    spare: Spare,
}

impl Sockets {
    /// Returns the permits for one connection.
    ///
    /// * `first`: the permit of the first socket.
    pub(crate) fn new(first: Permit) -> Self {
        Self { spare: first.spare(), first: Some(first) }
    }

    /// Returns the permits for the sockets inside an attempt of a race, which already holds a permit.
    pub(super) fn within(spare: &Spare) -> Self {
        Self { first: None, spare: spare.clone() }
    }

    pub(super) fn spare(&self) -> &Spare {
        &self.spare
    }

    /// Returns the owner of the endpoint that opens the sockets.
    pub(crate) fn owner(&self) -> &Arc<str> {
        self.spare.owner()
    }
}

/// Connects to the first address that answers. Returns the stream, its address and the permit of its
/// socket, unless the caller holds that permit.
///
/// * `by`: the deadline of the caller. The addresses share the time until then.
///
/// Fails with `connect_failed`, `egress_denied` or `overloaded`.
pub(crate) async fn connect(
    addresses: &[SocketAddr],
    egress: &Egress,
    sockets: Sockets,
    by: Instant,
) -> Result<(TcpStream, SocketAddr, Option<Permit>), Error> {
    let rules = Rules {
        by,
        delay: ATTEMPT_DELAY,
        // Without a free descriptor, no other address can be tried.
        is_final: |error: &io::Error| exhausted(error).is_some(),
        silent: |after: Duration| {
            let millis = after.as_millis();
            io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {millis} ms"))
        },
    };
    let (stream, address, permit) =
        race(alternate_families(addresses), sockets, &rules, TcpStream::connect)
            .await
            .map_err(|errors| connect_error(&errors))?;
    let peer = stream.peer_addr().map_err(|error| connect_error(&[(address, error)]))?;
    // Unless a firewall redirects the connection, this is the address that was checked before.
    egress.check(peer.ip())?;
    // The request is written in one piece. Waiting for more data would only add latency.
    let _ = stream.set_nodelay(true);
    Ok((stream, peer, permit))
}

/// Returns the addresses with alternating families, beginning with the family of the first
/// (RFC 8305 section 4).
fn alternate_families(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let leads_with_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut first, mut second): (Vec<_>, Vec<_>) =
        addresses.iter().copied().partition(|address| address.is_ipv6() == leads_with_v6);
    first.reverse();
    second.reverse();
    let mut order = Vec::with_capacity(addresses.len());
    while let Some(address) = first.pop().or_else(|| second.pop()) {
        order.push(address);
        order.extend(second.pop());
    }
    order
}

/// The rules of a race.
pub(super) struct Rules<F, S> {
    /// The deadline.
    pub(super) by: Instant,
    /// The time after which the next address is tried beside a slow one.
    pub(super) delay: Duration,
    /// Returns whether no further address is started after this error.
    pub(super) is_final: F,
    /// Makes the error of an address that gave up its place after this time.
    pub(super) silent: S,
}

/// The result of a race: the opened stream with its address and permit, or the error of each address.
pub(super) type Raced<T, E> = Result<(T, SocketAddr, Option<Permit>), Vec<(SocketAddr, E)>>;

/// Tries the addresses in this order. A losing attempt is dropped, which closes its socket before its
/// permit returns.
pub(super) async fn race<'a, T, E, O>(
    addresses: Vec<SocketAddr>,
    sockets: Sockets,
    rules: &Rules<impl Fn(&E) -> bool, impl Fn(Duration) -> E>,
    open: impl Fn(SocketAddr) -> O,
) -> Raced<T, E>
where
    O: Future<Output = Result<T, E>> + Send + 'a,
{
    let Sockets { first, spare } = sockets;
    // The common case: a single address.
    if let [only] = addresses[..] {
        return match open(only).await {
            Ok(opened) => Ok((opened, only, first)),
            Err(error) => Err(vec![(only, error)]),
        };
    }
    let whole = rules.by.saturating_duration_since(Instant::now());
    let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    let mut waiting = VecDeque::from(addresses);
    let mut trying: VecDeque<Attempt<'a, T, E>> = VecDeque::new();
    let mut errors = Vec::new();
    let mut place = Some(first);
    loop {
        if let Some(permit) = place.take()
            && let Some(address) = waiting.pop_front()
        {
            let opening = Box::pin(open(address));
            trying.push_back(Attempt { opening, permit, address, began: Instant::now() });
        }
        if trying.is_empty() {
            return Err(errors);
        }
        let delay = (!waiting.is_empty()).then_some(rules.delay);
        match first_to_end(&mut trying, delay).await {
            Some((attempt, Ok(opened))) => return Ok((opened, attempt.address, attempt.permit)),
            Some((Attempt { address, permit, .. }, Err(error))) => {
                if (rules.is_final)(&error) {
                    waiting.clear();
                }
                errors.push((address, error));
                place = Some(permit);
            }
            None => {
                let further = spare_permit(&trying, &spare).map(Some);
                place = further.or_else(|| {
                    let places = u32::try_from(trying.len()).unwrap_or(1);
                    // For example, with one place for two addresses, each has half of the time.
                    let share = (whole * places / count).max(rules.delay);
                    let (address, after, permit) = give_up(&mut trying, share)?;
                    errors.push((address, (rules.silent)(after)));
                    Some(permit)
                });
            }
        }
    }
}

/// An attempt to open one address.
struct Attempt<'a, T, E> {
    opening: Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>,
    /// Declared after the socket's future, so that it is dropped after the socket was closed.
    permit: Option<Permit>,
    address: SocketAddr,
    began: Instant,
}

/// Waits for the first attempt that ends. Returns `None` if none does within the time.
async fn first_to_end<'a, T, E>(
    trying: &mut VecDeque<Attempt<'a, T, E>>,
    within: Option<Duration>,
) -> Option<(Attempt<'a, T, E>, Result<T, E>)> {
    let ended = poll_fn(|context| {
        for (place, attempt) in trying.iter_mut().enumerate() {
            if let Poll::Ready(outcome) = attempt.opening.as_mut().poll(context) {
                return Poll::Ready((place, outcome));
            }
        }
        Poll::Pending
    });
    let (place, outcome) = match within {
        Some(within) => tokio::time::timeout(within, ended).await.ok()?,
        None => ended.await,
    };
    Some((trying.remove(place)?, outcome))
}

/// Takes a permit for a further place in the race, if the race has a free place.
fn spare_permit<T, E>(trying: &VecDeque<Attempt<'_, T, E>>, spare: &Spare) -> Option<Permit> {
    if trying.len() < MAX_RACING { spare.try_acquire() } else { None }
}

/// Ends the oldest attempt if it has used its share of the time, and returns its permit.
fn give_up<T, E>(
    trying: &mut VecDeque<Attempt<'_, T, E>>,
    share: Duration,
) -> Option<(SocketAddr, Duration, Option<Permit>)> {
    let lasted = trying.front()?.began.elapsed();
    if lasted < share {
        return None;
    }
    let Attempt { opening, permit, address, .. } = trying.pop_front()?;
    // Closes the socket before another one uses its permit.
    drop(opening);
    Some((address, lasted, permit))
}

fn connect_error(errors: &[(SocketAddr, io::Error)]) -> Error {
    let addresses: Vec<String> = errors.iter().map(|(address, _)| address.to_string()).collect();
    if let Some(overloaded) = errors.iter().find_map(|(_, error)| exhausted(error)) {
        return overloaded.noting(key::ADDRESSES, addresses);
    }
    let list: Vec<String> =
        errors.iter().map(|(address, error)| format!("{address}: {error}")).collect();
    let any =
        |kinds: &[io::ErrorKind]| errors.iter().any(|(_, error)| kinds.contains(&error.kind()));
    let refused = any(&[io::ErrorKind::ConnectionRefused]);
    let unreachable = [io::ErrorKind::HostUnreachable, io::ErrorKind::NetworkUnreachable];
    let cause = if refused {
        Some(&cause::CONNECTION_REFUSED)
    } else if any(&[io::ErrorKind::TimedOut]) {
        Some(&cause::CONNECTION_UNANSWERED)
    } else {
        any(&unreachable).then_some(&cause::NETWORK_UNREACHABLE)
    };
    let error = Error::new(Kind::ConnectFailed, format!("no connection to {}", list.join("; ")));
    let joined = addresses.join(", ");
    let error = error.noting(key::ADDRESSES, addresses);
    let error = match cause {
        Some(cause) => error.caused(cause, &[("addresses", &joined)]),
        None => error,
    };
    // A refused connection means that the host was reached: the consumer is at fault, not the path.
    if refused { error.blamed(Blame::Theirs) } else { error }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::admission::fair_limit::FairLimit;
    use crate::runtime;

    fn address(text: &str) -> SocketAddr {
        format!("{text}:443").parse().unwrap()
    }

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| address(text)).collect()
    }

    /// Runs a race whose attempts end by the last digit of the address: 1 opens, 2 fails, 3 never ends,
    /// 4 fails with a final error. Returns the address that opened, all that were tried, and the most
    /// at once.
    fn raced(
        texts: &[&str],
        limit: &Arc<FairLimit>,
        by: Duration,
    ) -> (Option<SocketAddr>, Vec<SocketAddr>, usize) {
        let tried = Arc::new(Mutex::new(Vec::new()));
        let (seen, at_once) = (tried.clone(), Arc::new(AtomicUsize::new(0)));
        let (most, before) = (at_once.clone(), limit.issued());
        let counted = limit.clone();
        let open = move |address: SocketAddr| {
            seen.lock().unwrap().push(address);
            most.fetch_max(counted.issued() - before, Ordering::Relaxed);
            async move {
                match address.ip().to_string().chars().last() {
                    Some('1') => Ok(()),
                    Some('2') => Err(io::ErrorKind::ConnectionRefused.into()),
                    Some('4') => Err(io::Error::from_raw_os_error(nix::libc::EMFILE)),
                    _ => std::future::pending().await,
                }
            }
        };
        let sockets = Sockets::new(limit.try_acquire(&"owner".into()).unwrap());
        let addresses = addresses(texts);
        let racing = async move {
            let rules = Rules {
                by: Instant::now() + by,
                delay: Duration::from_millis(20),
                is_final: |error: &io::Error| exhausted(error).is_some(),
                silent: |_| io::ErrorKind::TimedOut.into(),
            };
            race(addresses, sockets, &rules, open).await
        };
        let outcome = runtime::Task::start(racing).unwrap().output();
        let outcome = runtime::drive(outcome, || false).unwrap().unwrap();
        assert_eq!(limit.issued() - before, usize::from(outcome.is_ok()), "permits of the others");
        let tried = tried.lock().unwrap().clone();
        (outcome.ok().map(|((), address, _)| address), tried, at_once.load(Ordering::Relaxed))
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn families_alternate_and_each_keeps_its_order() {
        let order =
            alternate_families(&addresses(&["[::1]", "[::2]", "[::3]", "1.1.1.1", "2.2.2.2"]));
        assert_eq!(order, addresses(&["[::1]", "1.1.1.1", "[::2]", "2.2.2.2", "[::3]"]));
        let order = alternate_families(&addresses(&["1.1.1.1", "2.2.2.2", "[::1]"]));
        assert_eq!(order, addresses(&["1.1.1.1", "[::1]", "2.2.2.2"]));
        assert!(alternate_families(&[]).is_empty());
    }

    #[test]
    fn a_silent_address_does_not_delay_the_next() {
        let (opened, tried, _) = raced(&["[::3]", "1.1.1.1"], &FairLimit::new(9), LONG);
        assert_eq!(opened, Some(address("1.1.1.1")));
        assert_eq!(tried.len(), 2);
    }

    #[test]
    fn after_a_failure_only_the_next_address_starts() {
        let texts = ["1.1.1.2", "2.2.2.2", "1.1.1.1", "3.3.3.3"];
        let (opened, tried, _) = raced(&texts, &FairLimit::new(9), LONG);
        assert_eq!(opened, Some(address("1.1.1.1")));
        assert_eq!(tried, addresses(&["1.1.1.2", "2.2.2.2", "1.1.1.1"]));
    }

    #[test]
    fn if_all_addresses_fail_all_were_tried() {
        let texts = ["1.1.1.2", "[::2]", "2.2.2.2"];
        let (opened, tried, _) = raced(&texts, &FairLimit::new(9), LONG);
        assert_eq!((opened, tried.len()), (None, 3));
    }

    #[test]
    fn few_addresses_race_at_once_and_silent_ones_give_up_their_places() {
        let mut texts = vec!["9.9.9.3"; 15];
        texts.push("1.1.1.1");
        let limit = FairLimit::new(99);
        let (opened, tried, most) = raced(&texts, &limit, Duration::from_secs(6));
        assert_eq!(opened, Some(address("1.1.1.1")));
        assert_eq!((tried.len(), most), (16, MAX_RACING));
    }

    #[test]
    fn without_a_further_permit_addresses_share_the_time() {
        let limit = FairLimit::new(1);
        let texts = ["9.9.9.3", "8.8.8.3", "1.1.1.1"];
        let (opened, tried, most) = raced(&texts, &limit, Duration::from_secs(6));
        assert_eq!(opened, Some(address("1.1.1.1")));
        assert_eq!((tried.len(), most), (3, 1));
    }

    #[test]
    fn without_a_descriptor_no_other_address_is_tried() {
        let (opened, tried, _) = raced(&["1.1.1.4", "1.1.1.1"], &FairLimit::new(9), LONG);
        assert_eq!((opened, tried.len()), (None, 1));
        let fault = |code| (address("1.1.1.1"), io::Error::from_raw_os_error(code));
        let error = connect_error(&[fault(nix::libc::ETIMEDOUT), fault(nix::libc::EMFILE)]);
        assert_eq!((error.kind(), error.blame()), (Kind::Overloaded, Blame::Ours));
        assert!(error.message().contains("EMFILE"), "{error}");
    }
}
