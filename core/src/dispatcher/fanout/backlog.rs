//! What a run that takes every delivery may hold at once.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Error, Kind};
use crate::process::Lock;

/// How many deliveries may wait, run, or have an outcome that the caller has not taken.
const MAX_DELIVERIES: usize = 65_536;

/// How many bytes of payloads the deliveries that wait or run may hold.
const MAX_BYTES: usize = 256 * 1024 * 1024;

/// The deliveries of a run that have not ended. Their number and their payloads are bounded.
#[derive(Default)]
pub(super) struct Backlog(Lock<Held>);

#[derive(Default)]
struct Held {
    deliveries: usize,
    bytes: usize,
    /// How many deliveries share a payload, by its address and length. A shared payload counts once.
    bodies: HashMap<(usize, usize), usize>,
}

impl Backlog {
    /// Counts a delivery until the returned value is dropped. Fails with `overloaded` if the run holds
    /// too much.
    ///
    /// * `unread`: how many outcomes the caller has not taken.
    pub(super) fn enter(self: &Arc<Self>, body: &Bytes, unread: usize) -> Result<Place, Error> {
        let mut held = self.0.lock();
        if held.deliveries + unread >= MAX_DELIVERIES {
            return Err(full(format_args!("{MAX_DELIVERIES} submitted deliveries")));
        }
        let key = key(body);
        let added = if held.bodies.contains_key(&key) { 0 } else { body.len() };
        if held.bytes + added > MAX_BYTES {
            let size = held.bytes + added;
            return Err(full(format_args!(
                "submitted payloads of {size} bytes, this one included,"
            )));
        }
        held.deliveries += 1;
        held.bytes += added;
        *held.bodies.entry(key).or_default() += 1;
        Ok(Place { backlog: self.clone(), body: body.clone() })
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
        let mut held = self.backlog.0.lock();
        let key = key(&self.body);
        held.deliveries -= 1;
        if let Some(sharers) = held.bodies.get_mut(&key) {
            *sharers -= 1;
            if *sharers == 0 {
                held.bodies.remove(&key);
                held.bytes -= self.body.len();
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
        assert_eq!(backlog.0.lock().bytes, 0);
    }
}
