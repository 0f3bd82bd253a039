//! What earlier lookups of a name have shown. It decides which threads a name may use, so that names with
//! silent name servers cannot use up all of them.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use crate::process::own;

/// How long a name counts as silent after a lookup without an answer.
const SILENT_FOR: Duration = Duration::from_secs(5 * 60);

/// The most names that are remembered.
const MAX_NAMES: usize = 16 * 1024;

/// The result of the last lookup of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// The last lookup was answered in time.
    Answered,
    /// The last lookup was not answered in time, at this instant.
    Silent(Instant),
}

/// The names that this process has looked up.
#[derive(Default)]
pub(super) struct LookupHistory {
    names: own::Mutex<HashMap<String, Known>>,
}

impl LookupHistory {
    /// Records a lookup.
    ///
    /// * `in_time`: it ended before it counted as stuck.
    /// * `found`: it found addresses.
    pub(super) fn record(&self, name: &str, in_time: bool, found: bool) {
        let known = match (in_time, found) {
            (true, true) => Known::Answered,
            (true, false) => return,
            (false, _) => Known::Silent(Instant::now()),
        };
        let mut names = self.names();
        if names.len() >= MAX_NAMES && !names.contains_key(name) {
            names.retain(|_, known| known.is_silent());
            if names.len() >= MAX_NAMES {
                names.clear();
            }
        }
        names.insert(name.to_owned(), known);
    }

    /// Whether the last lookup of this name was answered in time.
    pub(super) fn is_answered(&self, name: &str) -> bool {
        self.names().get(name) == Some(&Known::Answered)
    }

    /// Whether the last lookup of this name was not answered in time, a short time ago.
    pub(super) fn is_silent(&self, name: &str) -> bool {
        self.names().get(name).is_some_and(|known| known.is_silent())
    }

    fn names(&self) -> own::MutexGuard<'_, HashMap<String, Known>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn is_silent(self) -> bool {
        matches!(self, Self::Silent(at) if at.elapsed() < SILENT_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_its_last_lookup_was() {
        let history = LookupHistory::default();
        assert!(!history.is_answered("a.example") && !history.is_silent("a.example"));
        history.record("a.example", true, true);
        assert!(history.is_answered("a.example"));
        // An unknown name is answered for an attacker as well.
        history.record("b.example", true, false);
        assert!(!history.is_answered("b.example") && !history.is_silent("b.example"));
        history.record("a.example", false, false);
        assert!(history.is_silent("a.example") && !history.is_answered("a.example"));
        history.record("a.example", true, true);
        assert!(history.is_answered("a.example"));
    }

    #[test]
    fn a_full_history_forgets_names_that_were_answered_first() {
        let history = LookupHistory::default();
        history.record("silent.example", false, false);
        for number in 0..MAX_NAMES {
            history.record(&format!("h{number}.example"), true, true);
        }
        assert!(history.is_silent("silent.example"));
        assert!(history.is_answered(&format!("h{}.example", MAX_NAMES - 1)));
        assert!(history.names().len() <= MAX_NAMES);
    }
}
