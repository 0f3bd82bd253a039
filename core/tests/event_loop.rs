//! Deliveries that an event loop of the host drives, as Node's does. Run with `--features testing`.
#![cfg(all(feature = "testing", target_os = "linux"))]
#![expect(unsafe_code, reason = "the descriptor is a number, as an event loop of C's takes it")]

use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use webhook_mtls::runtime::EventLoop;
use webhook_mtls::testing::{Consumer, Lab, Misbehaviour};
use webhook_mtls::{
    CancelToken, DeliverOptions, Dispatcher, EndpointOptions, Error, Kind, Receipt,
};

const SOON: Duration = Duration::from_secs(10);

type Outcome = (ThreadId, Result<Receipt, Error>);

/// A loop that knows nothing but descriptors.
struct Loop {
    driver: EventLoop,
    bell: UnixStream,
}

impl Loop {
    fn attach() -> Self {
        let (bell, ringing) = UnixStream::pair().unwrap();
        bell.set_nonblocking(true).unwrap();
        let ring = move || drop((&ringing).write(b"!"));
        let driver = EventLoop::attach(ring).unwrap().expect("Linux tells the descriptor");
        Self { driver, bell }
    }

    /// Turns until an outcome is there; between turns it sleeps, for at most `every`.
    fn outcome(&self, outcomes: &Receiver<Outcome>, every: Duration) -> Outcome {
        let started = Instant::now();
        loop {
            if let Ok(outcome) = outcomes.try_recv() {
                return outcome;
            }
            assert!(started.elapsed() < SOON, "nothing came");
            self.sleep(every);
            self.driver.turn();
        }
    }

    fn sleep(&self, most: Duration) {
        // SAFETY: the lane's descriptor is never closed.
        let sockets = unsafe { BorrowedFd::borrow_raw(self.driver.descriptor()) };
        let bell = &self.bell;
        let mut watched =
            [PollFd::new(sockets, PollFlags::POLLIN), PollFd::new(bell.as_fd(), PollFlags::POLLIN)];
        poll(&mut watched, PollTimeout::try_from(most).unwrap()).unwrap();
        let _ = (&*bell).read(&mut [0; 64]);
    }
}

fn start(
    dispatcher: &Dispatcher,
    consumer: &Consumer,
    options: DeliverOptions,
) -> Receiver<Outcome> {
    let terms = EndpointOptions::new(None);
    let endpoint = dispatcher.endpoint(consumer.name(), &consumer.url(), terms).unwrap();
    let (told, outcomes) = channel();
    let done = move |outcome| drop(told.send((thread::current().id(), outcome)));
    dispatcher.start(&endpoint, "{}", options, done).unwrap();
    outcomes
}

fn stalled(lab: &Lab) -> Consumer {
    let consumer = lab.consumer("slow").unwrap();
    consumer.misbehave(Misbehaviour::Stall, 0);
    consumer
}

#[test]
fn what_a_thread_with_a_loop_starts_runs_on_that_thread() {
    let lab = Lab::start().unwrap();
    let (dispatcher, acme) = (lab.dispatcher(), lab.consumer("acme").unwrap());
    let here = Loop::attach();
    for again in [false, true, true] {
        let outcomes = start(&dispatcher, &acme, DeliverOptions::new());
        assert!(here.driver.is_busy());
        let (thread, outcome) = here.outcome(&outcomes, SOON);
        assert_eq!(thread, thread::current().id());
        assert_eq!(outcome.unwrap().is_reused(), again);
        assert!(!here.driver.is_busy());
    }
    here.driver.rest();
    let outcomes = start(&dispatcher, &acme, DeliverOptions::new());
    assert!(here.outcome(&outcomes, SOON).1.is_ok(), "after a rest as well");
}

#[test]
fn deadlines_are_kept_by_turns() {
    let lab = Lab::start().unwrap();
    let (dispatcher, slow) = (lab.dispatcher(), stalled(&lab));
    let here = Loop::attach();
    let options = DeliverOptions::new().timeout(Duration::from_millis(200)).unwrap();
    let outcomes = start(&dispatcher, &slow, options);
    let (_, outcome) = here.outcome(&outcomes, Duration::from_millis(10));
    assert_eq!(outcome.unwrap_err().kind(), Kind::DeadlineExceeded);
}

#[test]
fn who_cancels_elsewhere_rings() {
    let lab = Lab::start().unwrap();
    let (dispatcher, slow) = (lab.dispatcher(), stalled(&lab));
    let here = Loop::attach();
    let token = CancelToken::new();
    let outcomes = start(&dispatcher, &slow, DeliverOptions::new().cancel(token.clone()));
    let canceling = thread::spawn(move || token.cancel());
    let (_, outcome) = here.outcome(&outcomes, SOON);
    assert_eq!(outcome.unwrap_err().kind(), Kind::Canceled);
    canceling.join().unwrap();
}

#[test]
fn what_is_under_way_ends_with_its_loop() {
    let lab = Lab::start().unwrap();
    let (dispatcher, slow) = (lab.dispatcher(), stalled(&lab));
    let acme = lab.consumer("acme").unwrap();
    let outcomes = start(&dispatcher, &slow, DeliverOptions::new());
    let here = Loop::attach();
    let ended = start(&dispatcher, &slow, DeliverOptions::new());
    drop(here);
    assert!(ended.recv().is_err(), "its callback is dropped");
    assert!(outcomes.try_recv().is_err(), "what was started before goes on");
    // Without a loop a keeper drives, and with the next one it does.
    let outcomes = start(&dispatcher, &acme, DeliverOptions::new());
    assert!(outcomes.recv_timeout(SOON).unwrap().1.is_ok());
    let here = Loop::attach();
    let outcomes = start(&dispatcher, &acme, DeliverOptions::new());
    assert!(here.outcome(&outcomes, SOON).1.is_ok());
}
