//! The last clients, within bounds.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::watch;

/// The most clients that are kept.
pub(super) const KEPT: usize = 200;
/// The most bytes of their JSON. The newest is kept in any case.
const BYTES: usize = 8 * 1024 * 1024;

/// The clients that a page can still show. The first has number 1.
#[derive(Default)]
pub(super) struct History {
    clients: Mutex<Clients>,
    /// The number of the newest client.
    latest: watch::Sender<u64>,
}

#[derive(Default)]
struct Clients {
    kept: VecDeque<(u64, Arc<str>)>,
    bytes: usize,
}

impl History {
    /// Adds a client, and forgets the oldest beyond the bounds.
    ///
    /// * `described`: returns the client as JSON by its number.
    pub(super) fn add(&self, described: impl FnOnce(u64) -> Value) {
        let mut clients = self.lock();
        let latest = *self.latest.borrow() + 1;
        let text: Arc<str> = described(latest).to_string().into();
        clients.bytes += text.len();
        clients.kept.push_back((latest, text));
        while clients.kept.len() > KEPT || (clients.bytes > BYTES && clients.kept.len() > 1) {
            let Some((_, oldest)) = clients.kept.pop_front() else { break };
            clients.bytes -= oldest.len();
        }
        // Within the lock, so that no other client takes this number.
        self.latest.send_replace(latest);
    }

    /// Returns the oldest client that is kept and has a larger number.
    pub(super) fn next(&self, after: u64) -> Option<(u64, Arc<str>)> {
        let clients = self.lock();
        let at = clients.kept.partition_point(|(number, _)| *number <= after);
        clients.kept.get(at).cloned()
    }

    /// Returns what tells when a client is added.
    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(history: &History) -> Vec<u64> {
        let mut after = 0;
        std::iter::from_fn(|| {
            let (number, _) = history.next(after)?;
            after = number;
            Some(number)
        })
        .collect()
    }

    #[test]
    fn the_last_are_kept_in_order() {
        let history = History::default();
        for _ in 0..KEPT + 5 {
            history.add(Value::from);
        }
        let kept = all(&history);
        assert_eq!(kept.len(), KEPT);
        assert_eq!((kept[0], kept[KEPT - 1]), (6, 205));
        assert_eq!(*history.news().borrow(), 205);
    }

    #[test]
    fn many_large_clients_are_bounded_in_bytes() {
        let history = History::default();
        for _ in 0..40 {
            history.add(|_| Value::from("x".repeat(1024 * 1024)));
        }
        assert_eq!(all(&history), (34..=40).collect::<Vec<_>>());
        history.add(|_| Value::from("x".repeat(BYTES + 1)));
        assert_eq!(all(&history), [41]);
    }
}
