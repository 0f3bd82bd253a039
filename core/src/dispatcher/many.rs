//! Delivers many payloads with a limit on concurrency, and returns outcomes as they finish.
//!
//! [`Outcomes`] pulls: it takes another delivery from its source only while fewer than `concurrency`
//! are in flight, so the source is never read ahead.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::Dispatcher;
use super::fanout::{Delivery, Fanout, FanoutProgress, Outcome};
use crate::error::Error;

impl Dispatcher {
    /// Delivers many payloads, `concurrency` at once (`None`: 64), and returns their outcomes as they
    /// finish.
    ///
    /// Takes the next delivery from `deliveries` only when it can start. The total deadline of each
    /// delivery starts with its turn, so earlier deliveries do not use it up. A failed delivery is an
    /// outcome and does not affect the others.
    ///
    /// The run holds at most 1024 deliveries that wait for a turn of their endpoint, and takes no
    /// further ones while the payloads of these and of those in flight have 256 MiB or more. A payload
    /// that deliveries share counts once.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` unless `concurrency` is 1 to 1 000 000.
    pub fn deliver_many<I>(
        &self,
        deliveries: I,
        concurrency: Option<usize>,
    ) -> Result<Outcomes<I::IntoIter>, Error>
    where
        I: IntoIterator<Item = Delivery>,
    {
        let fanout = Fanout::new(self, concurrency)?;
        Ok(Outcomes { source: Some(deliveries.into_iter()), fanout })
    }
}

/// The outcomes of a run, in the order in which they finish. Dropping it cancels the deliveries in
/// flight.
///
/// Made by [`Dispatcher::deliver_many`].
///
/// ```
/// # #[cfg(feature = "testing")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use webhook_mtls::{DeliverOptions, Delivery};
/// # use webhook_mtls::testing::Lab;
/// # use webhook_mtls::{EndpointOptions, Pins};
/// # let lab = Lab::start()?;
/// # let acme = lab.consumer("acme")?;
/// # let dispatcher = lab.dispatcher();
/// # let pins = Pins::new([acme.pin()])?;
/// # let endpoint = dispatcher.endpoint("acme", &acme.url(), EndpointOptions::new(Some(pins)))?;
///
/// let one = Delivery::new(&endpoint, "{}", DeliverOptions::new());
/// let outcomes = dispatcher.deliver_many(vec![one.clone(), one], Some(2))?;
/// for outcome in outcomes.blocking() {
///     let (delivery, result) = outcome;
///     println!("{}: {}", delivery.endpoint.consumer(), result?.status());
/// }
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
pub struct Outcomes<I> {
    source: Option<I>,
    fanout: Fanout<Delivery>,
}

impl<I> Outcomes<I> {
    /// Returns the progress of the run.
    pub fn progress(&self) -> FanoutProgress {
        self.fanout.progress()
    }
}

impl<I: Iterator<Item = Delivery>> Outcomes<I> {
    /// Converts to a blocking iterator. The thread that waits in it also drives the deliveries.
    ///
    /// Call it before the first outcome is taken.
    pub fn blocking(self) -> BlockingOutcomes<I> {
        let Self { source, fanout } = self;
        BlockingOutcomes { outcomes: Self { source, fanout: fanout.waited_for() } }
    }

    /// Submits deliveries until the limit is reached or the source is exhausted.
    fn fill(&mut self) {
        while let Some(deliveries) = &mut self.source
            && self.fanout.has_room()
        {
            match deliveries.next() {
                Some(delivery) => self.fanout.submit(delivery.clone(), delivery),
                None => self.source = None,
            }
        }
    }
}

impl<I: Iterator<Item = Delivery> + Unpin> Outcomes<I> {
    /// Returns the next outcome, or `None` after the last one.
    pub async fn next(&mut self) -> Option<Outcome> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl<I: Iterator<Item = Delivery> + Unpin> Stream for Outcomes<I> {
    type Item = Outcome;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Outcome>> {
        loop {
            self.fill();
            let Self { source, fanout } = &mut *self;
            if let Some(outcome) = fanout.try_next() {
                return Poll::Ready(Some(outcome));
            }
            if fanout.is_idle() {
                return Poll::Ready(None);
            }
            if fanout.poll_changed(source.is_some(), context).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

/// A blocking iterator over the outcomes of a run, in the order in which they finish. Dropping it
/// cancels the deliveries in flight.
///
/// Made by [`Outcomes::blocking`].
pub struct BlockingOutcomes<I> {
    outcomes: Outcomes<I>,
}

impl<I> BlockingOutcomes<I> {
    /// Returns the progress of the run.
    pub fn progress(&self) -> FanoutProgress {
        self.outcomes.progress()
    }
}

impl<I: Iterator<Item = Delivery>> Iterator for BlockingOutcomes<I> {
    type Item = Outcome;

    fn next(&mut self) -> Option<Outcome> {
        loop {
            self.outcomes.fill();
            let Outcomes { source, fanout } = &self.outcomes;
            if let Some(outcome) = fanout.try_next() {
                return Some(outcome);
            }
            if fanout.is_idle() {
                return None;
            }
            // An error means that the runtime did not start. Each delivery then has that error as its
            // outcome.
            let _ = fanout.wait(source.is_some(), &mut || false);
        }
    }
}

impl<I> std::fmt::Debug for Outcomes<I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outcomes").field("fanout", &self.fanout).finish_non_exhaustive()
    }
}

impl<I> std::fmt::Debug for BlockingOutcomes<I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockingOutcomes").field("outcomes", &self.outcomes).finish()
    }
}
