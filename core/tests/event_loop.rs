//! Deliveries on an event loop of the host, such as Node's. Run with `--features testing`.
#![cfg(all(feature = "testing", target_os = "linux"))]
#![expect(unsafe_code, reason = "the descriptor is a number, as an event loop of C's takes it")]

mod forged;
mod raw;

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::task::Poll;
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use forged::forge::{HANDSHAKE, tickets};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use webhook_mtls::bindings::runtime::{self, EventLoop};
use webhook_mtls::testing::{Consumer, Lab, Misbehavior};
use webhook_mtls::{
    CancelToken, DeliverOptions, Dispatcher, EndpointOptions, Error, Kind, Receipt,
};

const SOON: Duration = Duration::from_secs(10);

/// A longer turn blocks the host's loop noticeably.
const LONGEST_TURN: Duration = Duration::from_millis(50);

type Outcome = (ThreadId, Result<Receipt, Error>);

/// A loop that only watches descriptors.
struct Loop {
    driver: EventLoop,
    bell: UnixStream,
    /// The longest turn.
    longest: Cell<Duration>,
}

/// The processor time of this thread. Wall-clock time depends on the machine's load.
fn processor_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).unwrap();
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(micros.try_into().unwrap())
}

impl Loop {
    fn attach() -> Self {
        let (bell, ringing) = UnixStream::pair().unwrap();
        bell.set_nonblocking(true).unwrap();
        let ring = move || drop((&ringing).write(b"!"));
        let driver = EventLoop::attach(ring).unwrap().expect("Linux tells the descriptor");
        Self { driver, bell, longest: Cell::default() }
    }

    /// Runs the lane until an outcome is ready; between runs it sleeps for at most `every`.
    fn outcome(&self, outcomes: &Receiver<Outcome>, every: Duration) -> Outcome {
        let started = Instant::now();
        loop {
            if let Ok(outcome) = outcomes.try_recv() {
                return outcome;
            }
            assert!(started.elapsed() < SOON, "nothing came");
            self.sleep(every);
            self.turn();
        }
    }

    fn turn(&self) {
        let started = processor_time();
        self.driver.turn();
        self.longest.set(self.longest.get().max(processor_time().saturating_sub(started)));
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
    consumer.misbehave(Misbehavior::Stall, 0);
    consumer
}

#[test]
fn deliveries_run_on_the_thread_of_their_loop() {
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
    assert!(here.outcome(&outcomes, SOON).1.is_ok(), "also after an idle period");
}

#[test]
fn deadlines_are_checked_in_each_run() {
    let lab = Lab::start().unwrap();
    let (dispatcher, slow) = (lab.dispatcher(), stalled(&lab));
    let here = Loop::attach();
    let options = DeliverOptions::new().timeout(Duration::from_millis(200)).unwrap();
    let outcomes = start(&dispatcher, &slow, options);
    let (_, outcome) = here.outcome(&outcomes, Duration::from_millis(10));
    assert_eq!(outcome.unwrap_err().kind(), Kind::DeadlineExceeded);
}

#[test]
fn a_cancel_from_another_thread_wakes_the_loop() {
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
fn deliveries_in_flight_end_with_their_loop() {
    let lab = Lab::start().unwrap();
    let (dispatcher, slow) = (lab.dispatcher(), stalled(&lab));
    let acme = lab.consumer("acme").unwrap();
    let outcomes = start(&dispatcher, &slow, DeliverOptions::new());
    let here = Loop::attach();
    let ended = start(&dispatcher, &slow, DeliverOptions::new());
    drop(here);
    assert!(ended.recv().is_err(), "its callback is dropped");
    assert!(outcomes.try_recv().is_err(), "earlier deliveries continue");
    // Without a loop a keeper drives; with the next loop that loop drives.
    let outcomes = start(&dispatcher, &acme, DeliverOptions::new());
    assert!(outcomes.recv_timeout(SOON).unwrap().1.is_ok());
    let here = Loop::attach();
    let outcomes = start(&dispatcher, &acme, DeliverOptions::new());
    assert!(here.outcome(&outcomes, SOON).1.is_ok());
}

#[test]
fn tasks_that_wake_themselves_share_turns_and_give_the_loop_back() {
    const TASKS: usize = 30;
    const TURNS: usize = 40;
    let here = Loop::attach();
    let polls: Arc<Vec<AtomicUsize>> = Arc::new((0..TASKS).map(|_| AtomicUsize::new(0)).collect());
    let stop = Arc::new(AtomicBool::new(false));
    let (told, outcomes) = channel();
    for task in 0..TASKS {
        let (polls, stop, told) = (polls.clone(), stop.clone(), told.clone());
        let restless = poll_fn(move |context| {
            if stop.load(Ordering::SeqCst) {
                return Poll::Ready(());
            }
            polls[task].fetch_add(1, Ordering::SeqCst);
            let busy = Instant::now();
            while busy.elapsed() < Duration::from_millis(1) {}
            context.waker().wake_by_ref();
            Poll::Pending
        });
        runtime::spawn(restless, move |()| told.send(()).unwrap()).unwrap();
    }
    let counts = || polls.iter().map(|polls| polls.load(Ordering::SeqCst)).collect::<Vec<_>>();
    let before = counts();
    for _ in 0..TURNS {
        // The remaining work has already woken the loop, so the loop does not wait.
        here.sleep(SOON);
        here.turn();
    }
    let polled: Vec<usize> =
        counts().iter().zip(before).map(|(after, before)| after - before).collect();
    let (least, most) = (polled.iter().min().unwrap(), polled.iter().max().unwrap());
    assert!(most - least <= 1, "{polled:?}");
    // Five polls a turn, and fewer on a loaded machine: far from all that were ready.
    let a_turn = polled.iter().sum::<usize>() / TURNS;
    assert!((1..=10).contains(&a_turn), "{a_turn} polls a turn");
    stop.store(true, Ordering::SeqCst);
    for _ in 0..TASKS {
        while outcomes.try_recv().is_err() {
            here.sleep(SOON);
            here.turn();
        }
    }
}

/// A consumer that sends endless session tickets: instead of a response, or on the idle connection
/// after it.
fn flooding(lab: &Lab, answers: bool) -> String {
    forged::listen(lab, move |mut peer| {
        peer.request()?;
        if answers {
            peer.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
        }
        let (mut tcp, mut forge) = peer.forge();
        loop {
            tcp.write_all(&forge.seal(HANDSHAKE, &tickets(3)))?;
        }
    })
}

#[test]
fn consumers_that_flood_do_not_stop_the_loop() {
    let lab = Lab::start().unwrap();
    let dispatcher = lab.dispatcher();
    let acme = lab.consumer("acme").unwrap();
    // Load on the machine delays some runs; a fault delays every run.
    let longest = (0..5).map(|run| {
        let here = Loop::attach();
        for evil in 0..8 {
            let name = format!("evil-{run}-{evil}");
            let url = flooding(&lab, evil % 2 == 0);
            let endpoint = dispatcher.endpoint(&name, &url, EndpointOptions::new(None)).unwrap();
            let (told, outcomes) = channel();
            let done = move |outcome| drop(told.send((thread::current().id(), outcome)));
            dispatcher.start(&endpoint, "{}", DeliverOptions::new(), done).unwrap();
            let (_, outcome) = here.outcome(&outcomes, Duration::from_millis(10));
            assert_eq!(outcome.is_ok(), evil % 2 == 0);
            // An honest one goes on beside those that are idle and talk.
            let outcomes = start(&dispatcher, &acme, DeliverOptions::new());
            assert!(here.outcome(&outcomes, Duration::from_millis(10)).1.is_ok());
        }
        here.longest.get()
    });
    let longest = longest.min().unwrap();
    println!("the longest turn took {longest:?}");
    assert!(longest < LONGEST_TURN, "{longest:?}");
}
