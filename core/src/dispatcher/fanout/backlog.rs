//! What a run may hold at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;

use crate::error::{Error, Kind};
use crate::process::Lock;

/// How many deliveries may wait, run, or have an outcome that the caller has not taken.
const MAX_DELIVERIES: usize = 65_536;

/// How many bytes of payloads the deliveries that wait or run may hold.
const MAX_BYTES: usize = 256 * 1024 * 1024;

/// A payload of fewer bytes does not count towards the room of a run. The number of deliveries bounds
/// such payloads, and a count takes a hundredth of a delivery.
const SMALL: usize = 16 * 1024;

/// The deliveries of a run that have not ended, and their payloads.
#[derive(Default)]
pub(super) struct Backlog {
    held: Lock<Held>,
    /// The total size of the payloads. Changed under the lock.
    bytes: AtomicUsize,
}

#[derive(Default)]
struct Held {
    deliveries: usize,
    /// How many deliveries share a payload, by its address and length. A shared payload counts once.
    bodies: HashMap<(usize, usize), usize>,
}

impl Backlog {
    /// Whether the payloads leave room for one more.
    pub(super) fn has_room(&self) -> bool {
        self.bytes.load(SeqCst) < MAX_BYTES
    }

    /// Counts a delivery until the returned value is dropped, for a caller that asks
    /// [`has_room`](Self::has_room) before. Returns `None` for a small payload.
    pub(super) fn hold(self: &Arc<Self>, body: &Bytes) -> Option<Place> {
        (body.len() >= SMALL).then(|| self.add(&mut self.held.lock(), body))
    }

    /// Counts a delivery until the returned value is dropped. Fails with `overloaded` if the run holds
    /// too much.
    ///
    /// * `unread`: how many outcomes the caller has not taken.
    pub(super) fn enter(self: &Arc<Self>, body: &Bytes, unread: usize) -> Result<Place, Error> {
        let mut held = self.held.lock();
        if held.deliveries + unread >= MAX_DELIVERIES {
            return Err(full(format_args!("{MAX_DELIVERIES} submitted deliveries")));
        }
        let added = if held.bodies.contains_key(&key(body)) { 0 } else { body.len() };
        let size = self.bytes.load(SeqCst) + added;
        if size > MAX_BYTES {
            return Err(full(format_args!(
                "submitted payloads of {size} bytes, this one included,"
            )));
        }
        Ok(self.add(&mut held, body))
    }

    fn add(self: &Arc<Self>, held: &mut Held, body: &Bytes) -> Place {
        held.deliveries += 1;
        let sharers = held.bodies.entry(key(body)).or_default();
        *sharers += 1;
        if *sharers == 1 {
            self.bytes.fetch_add(body.len(), SeqCst);
        }
        Place { backlog: self.clone(), body: body.clone() }
    }
}

/// One delivery of a backlog, until this is dropped.
pub(super) struct Place {
    backlog: Arc<Backlog>,
    /// While this is alive, no other payload has its address.
    body: Bytes,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.backlog.held.lock();
        let key = key(&self.body);
        held.deliveries -= 1;
        if let Some(sharers) = held.bodies.get_mut(&key) {
            *sharers -= 1;
            if *sharers == 0 {
                held.bodies.remove(&key);
                self.backlog.bytes.fetch_sub(self.body.len(), SeqCst);
            }
        }
    }
}

fn key(body: &Bytes) -> (usize, usize) {
    (body.as_ptr() as usize, body.len())
}

fn full(what: std::fmt::Arguments<'_>) -> Error {
    let message = format!(
        "{what} have no outcome that was taken (at most {MAX_DELIVERIES} deliveries, and \
         {MAX_BYTES} bytes of payloads): take outcomes, then submit again"
    );
    Error::new(Kind::Overloaded, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_deliveries_is_bounded_together_with_unread_outcomes() {
        let backlog = Arc::new(Backlog::default());
        let body = Bytes::from_static(b"{}");
        let place = backlog.enter(&body, MAX_DELIVERIES - 1).expect("the last place");
        let refused = backlog.enter(&body, MAX_DELIVERIES - 1).err().map(|error| error.kind());
        assert_eq!(refused, Some(Kind::Overloaded));
        drop(place);
        assert!(backlog.enter(&body, MAX_DELIVERIES - 1).is_ok());
    }

    #[test]
    fn a_payload_counts_from_sixteen_kibibytes_on() {
        let backlog = Arc::new(Backlog::default());
        assert!(backlog.hold(&Bytes::from(vec![0; 16 * 1024 - 1])).is_none());
        let place = backlog.hold(&Bytes::from(vec![0; 16 * 1024]));
        assert_eq!(backlog.bytes.load(SeqCst), 16 * 1024);
        drop(place);
        assert_eq!(backlog.bytes.load(SeqCst), 0);
    }

    #[test]
    fn a_shared_payload_counts_once_until_its_last_delivery_ends() {
        let backlog = Arc::new(Backlog::default());
        let shared = Bytes::from(vec![0; MAX_BYTES]);
        let mut places: Vec<Place> =
            (0..3).map(|_| backlog.enter(&shared, 0).expect("the same payload")).collect();
        let other = Bytes::from(vec![0; 1]);
        while let Some(place) = places.pop() {
            assert_eq!(backlog.enter(&other, 0).err().map(|it| it.kind()), Some(Kind::Overloaded));
            drop(place);
        }
        assert!(backlog.enter(&other, 0).is_ok());
        assert_eq!(backlog.bytes.load(SeqCst), 0);
    }
}
