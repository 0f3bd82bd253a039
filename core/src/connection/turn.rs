//! Whose turn it is: how many deliveries may be under way to one consumer, and how many may wait.
//!
//! Turns are given in the order of arrival. They bound what a slow consumer takes from the others:
//! its deliveries wait here, each without a connection, until one of their own has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, Kind, Scope};
use crate::process::PerProcess;

/// Of all that may wait in a dispatcher, one consumer's deliveries take at most a quarter.
const SHARE: usize = 4;

/// The turns of one endpoint.
pub(crate) struct Turns {
    limit: usize,
    line: PerProcess<Arc<Line>>,
}

struct Line {
    turns: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

/// One delivery's turn; it ends when this is dropped.
pub(crate) struct Turn {
    _permit: OwnedSemaphorePermit,
}

impl Turns {
    /// * `limit`: how many deliveries may be under way at once.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, line: PerProcess::new(Line::new(limit)) }
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// A turn, if one is free and nobody waits.
    pub(crate) fn try_take(&self) -> Option<Turn> {
        let line = self.line.get_or(|| Line::new(self.limit));
        let permit = line.value.turns.clone().try_acquire_owned().ok()?;
        Some(Turn { _permit: permit })
    }

    /// Waits for a turn, however many wait already.
    pub(crate) async fn take(&self) -> Turn {
        let line = self.line.get_or(|| Line::new(self.limit)).value.clone();
        let permit = line.turns.clone().acquire_owned().await;
        Turn { _permit: permit.unwrap_or_else(|_| unreachable!("it is never closed")) }
    }

    /// Waits for a turn. Fails with `overloaded` if too many wait already, here or anywhere in the
    /// dispatcher.
    pub(crate) async fn take_in(&self, room: &Room) -> Result<Turn, Error> {
        if let Some(turn) = self.try_take() {
            return Ok(turn);
        }
        let line = self.line.get_or(|| Line::new(self.limit)).value.clone();
        let share = room.most.div_ceil(SHARE);
        let _here = Waiting::below(&line.waiting, share).ok_or_else(|| {
            overloaded(format!("{share} deliveries to this consumer wait for their turn already"))
                .scoped(Scope::Endpoint)
        })?;
        let _anywhere = room.enter()?;
        Ok(self.take().await)
    }
}

impl Line {
    fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { turns: Arc::new(Semaphore::new(limit)), waiting: Arc::default() })
    }
}

/// How many deliveries of one dispatcher may wait.
pub(crate) struct Room {
    most: usize,
    waiting: PerProcess<Arc<AtomicUsize>>,
}

impl Room {
    /// * `most`: how many.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, waiting: PerProcess::default() }
    }

    /// Waits as long as what is returned is kept. Fails with `overloaded` if too many do.
    pub(crate) fn enter(&self) -> Result<Waiting, Error> {
        Waiting::below(&self.waiting.get().value, self.most).ok_or_else(|| {
            overloaded(format!("{} deliveries of this dispatcher wait already", self.most))
        })
    }
}

/// One delivery that waits, until this is dropped.
pub(crate) struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    fn below(count: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let counted = |waiting: usize| (waiting < most).then_some(waiting + 1);
        count.fetch_update(Ordering::AcqRel, Ordering::Acquire, counted).ok()?;
        Some(Self(count.clone()))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn overloaded(message: String) -> Error {
    Error::new(Kind::Overloaded, message)
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn turns_come_in_the_order_of_arrival() {
        let turns = Turns::new(1);
        let held = turns.try_take().unwrap();
        let mut context = Context::from_waker(Waker::noop());
        let mut waiting: Vec<Pin<Box<dyn Future<Output = Turn> + '_>>> =
            (0..4).map(|_| Box::pin(turns.take()) as _).collect();
        for future in &mut waiting {
            assert!(future.as_mut().poll(&mut context).is_pending());
        }
        // Whoever leaves gives up its place, and nobody else's.
        drop(waiting.remove(1));
        drop(held);
        for place in 0..3 {
            for later in &mut waiting[place + 1..] {
                assert!(later.as_mut().poll(&mut context).is_pending());
            }
            assert!(turns.try_take().is_none(), "nobody overtakes");
            assert!(waiting[place].as_mut().poll(&mut context).is_ready());
        }
        assert!(turns.try_take().is_some());
    }

    #[test]
    fn room_is_for_as_many_as_it_says() {
        let room = Room::new(2);
        let _first = room.enter().unwrap();
        let second = room.enter().unwrap();
        assert_eq!(room.enter().err().map(|error| error.kind()), Some(Kind::Overloaded));
        drop(second);
        assert!(room.enter().is_ok());
    }
}
