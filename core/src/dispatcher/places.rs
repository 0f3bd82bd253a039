//! Places by number: what is kept for as long as its number is held. Numbers are given out again.

/// Places, of which some are held, with or without a value.
#[derive(Debug)]
pub(super) struct Places<T> {
    values: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Places<T> {
    /// A place to hold, empty at first.
    pub(super) fn hold(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.values.push(None);
            self.values.len() - 1
        })
    }

    /// What lies at a place that is held.
    pub(super) fn at(&mut self, place: usize) -> &mut Option<T> {
        &mut self.values[place]
    }

    /// Gives a place back; returns what lay there.
    pub(super) fn give_back(&mut self, place: usize) -> Option<T> {
        self.free.push(place);
        self.values[place].take()
    }

    /// Takes what lies anywhere; the places stay held.
    pub(super) fn take_all(&mut self) -> Vec<T> {
        self.values.iter_mut().filter_map(Option::take).collect()
    }

    /// How many places are held.
    pub(super) fn held(&self) -> usize {
        self.values.len() - self.free.len()
    }
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self { values: Vec::new(), free: Vec::new() }
    }
}
