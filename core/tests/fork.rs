//! A process with busy threads that forks many times: no child hangs, and none uses a resource of
//! its parent. Run with `--features testing`. `FORKS` is the number of children, 500 by default.
#![cfg(feature = "testing")]

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};
use std::{env, fs, panic};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use webhook_mtls::bindings::runtime;
use webhook_mtls::material::pin_of;
use webhook_mtls::testing::{Authority, Consumer, Lab, Leaf};
use webhook_mtls::{
    Authorization, DeliverOptions, Delivery, Dispatcher, DispatcherOptions, Egress, Endpoint,
    EndpointOptions, Error, EventQueue, Identity, Kind, Receipt, Role, Sent, Trust, Verifier,
    VerifierOptions,
};

/// Much longer than a child takes on a machine with eight other busy threads.
const DEADLINE: Duration = Duration::from_secs(30);

/// The number of concurrent children.
const AT_ONCE: usize = 4;

/// The pause of a thread that would otherwise fill the receiver's record.
const PACE: Duration = Duration::from_millis(3);

/// Every eighth child delivers: a handshake takes longer than all other steps together.
const DELIVERS: u64 = 8;

#[test]
fn no_child_hangs_however_busy_the_parents_threads_are() {
    let forks = env::var("FORKS").ok().and_then(|forks| forks.parse().ok()).unwrap_or(500);
    let scene = Scene::new();
    let session = scene.deliver_quietly().expect("the first delivery");
    assert!(!session.is_reused());
    let threads = scene.start_busy_threads();
    let mut children = VecDeque::new();
    for number in 0..forks {
        children.push_back(Child::fork(|| scene.work_of_child(number)));
        if children.len() == AT_ONCE {
            let oldest = children.pop_front().expect("there are some");
            oldest.end();
        }
        // The parent's session continues: no child has written to it or closed it.
        if number % 32 == 0 {
            let receipt = scene.deliver_quietly().expect("a delivery of the parent");
            assert!(receipt.is_reused(), "the parent's connection was lost at fork {number}");
        }
    }
    children.into_iter().for_each(Child::end);
    scene.stop.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().expect("no thread of the parent failed");
    }
    // One handshake of the parent, and one of each child that delivers.
    assert_eq!(scene.quiet_consumer.handshakes(), 1 + forks.div_ceil(DELIVERS));
}

/// State that parent and children share, and that the parent's threads keep busy.
#[derive(Clone)]
struct Scene {
    _lab: Arc<Lab>,
    quiet_consumer: Arc<Consumer>,
    /// Its connection must outlive all children.
    quiet: Dispatcher,
    quiet_endpoint: Endpoint,
    /// Its files change all the time.
    busy: Dispatcher,
    busy_endpoint: Endpoint,
    events: EventQueue,
    verifier: Verifier,
    chain: Arc<[u8]>,
    files: Arc<Files>,
    stop: Arc<AtomicBool>,
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::start().unwrap();
        let quiet_consumer = lab.consumer("quiet").unwrap();
        let busy_consumer = lab.consumer("busy").unwrap();
        let files = Files::new(&lab);
        let quiet = lab.dispatcher();
        let no_pins = || EndpointOptions::new(None);
        let quiet_endpoint = quiet.endpoint("quiet", &quiet_consumer.url(), no_pins()).unwrap();
        let mut options = DispatcherOptions::new()
            .identity(files.identity())
            .trust(files.trust())
            .egress(Egress::preset("public").unwrap().allow(["127.0.0.0/8"]).unwrap());
        options = options.reload(Some(Duration::from_millis(20))).unwrap();
        let busy = Dispatcher::new(options).unwrap();
        let busy_endpoint = busy.endpoint("busy", &busy_consumer.url(), no_pins()).unwrap();
        busy.on_event(|event| drop(event.to_json()));
        let options = VerifierOptions::new(Role::Client, files.trust())
            .authorization(Authorization::ca_members());
        Self {
            chain: lab.identity_pem().0.into_bytes().into(),
            events: busy.events(),
            verifier: Verifier::new(options).unwrap(),
            quiet_consumer: Arc::new(quiet_consumer),
            _lab: Arc::new(lab),
            quiet,
            quiet_endpoint,
            busy,
            busy_endpoint,
            files: Arc::new(files),
            stop: Arc::default(),
        }
    }

    fn deliver_quietly(&self) -> Result<Receipt, Error> {
        let options = DeliverOptions::new();
        self.quiet.deliver_blocking(&self.quiet_endpoint, "{}", options, None).expect("an outcome")
    }

    /// Starts eight threads, each of which uses one part of the library.
    fn start_busy_threads(&self) -> Vec<JoinHandle<()>> {
        let rounds = Arc::new(AtomicU64::new(0));
        let work: [fn(&Self, u64); 8] = [
            |scene, _| scene.verify(),
            |scene, _| drop(scene.verifier.reload()),
            |scene, round| scene.upsert(round % 16, round),
            |scene, round| scene.rotate(round),
            |scene, _| drop(scene.events.next(PACE)),
            |scene, _| scene.look_around(),
            |scene, _| scene.deliver_busily(),
            |scene, _| scene.deliver_many_busily(),
        ];
        let start = |work: fn(&Self, u64)| {
            let (scene, rounds) = (self.clone(), rounds.clone());
            thread::spawn(move || {
                while !scene.stop.load(Ordering::Relaxed) {
                    work(&scene, rounds.fetch_add(1, Ordering::Relaxed));
                }
            })
        };
        work.into_iter().map(start).collect()
    }

    fn verify(&self) {
        self.verifier.verify(&self.chain, None, SystemTime::now()).expect("a peer of the lab");
    }

    fn upsert(&self, consumer: u64, round: u64) {
        let url = format!("https://127.0.0.1:{}/", 20_000 + round % 2);
        let name = format!("consumer-{consumer}");
        self.busy.endpoint(&name, &url, EndpointOptions::new(None)).expect("an endpoint");
        if round.is_multiple_of(5) {
            self.busy.remove(&name);
        }
    }

    fn rotate(&self, round: u64) {
        self.files.change(round);
        let reloaded = runtime::drive(self.busy.reload(), || false).expect("it is not interrupted");
        reloaded.expect("the dispatcher is open");
    }

    fn look_around(&self) {
        self.busy.expiries().expect("the clock is right");
        self.busy.rotation_status();
        self.busy_endpoint.status();
        pin_of(&self.chain).expect("a certificate");
        let other = self.files.others.as_ref();
        let _ = self.busy.retire(other, false);
    }

    fn deliver_busily(&self) {
        let options = DeliverOptions::new();
        let outcome = self.busy.deliver_blocking(&self.busy_endpoint, "{}", options, None);
        answered(outcome.expect("an outcome"));
        thread::sleep(PACE);
    }

    fn deliver_many_busily(&self) {
        let delivery = Delivery::new(&self.busy_endpoint, "{}", DeliverOptions::new());
        let outcomes = self.busy.deliver_many(vec![delivery; 4], None).expect("a run").blocking();
        for (_, outcome) in outcomes {
            answered(outcome);
        }
        thread::sleep(PACE);
    }

    /// Uses everything that a child inherits.
    fn work_of_child(&self, number: u64) {
        self.verify();
        drop(self.verifier.reload());
        self.upsert(number % 16, number);
        self.look_around();
        assert!(self.events.try_next().is_none(), "those of the parent never arrive in a child");
        if number.is_multiple_of(DELIVERS) {
            let first = self.deliver_quietly().expect("a delivery of the child");
            assert!(!first.is_reused(), "a child that uses its parent's connection");
            assert!(self.deliver_quietly().expect("another one").is_reused());
            self.deliver_many_busily();
        }
        if number % DELIVERS == 1 {
            runtime::drive(self.busy.close(Duration::ZERO), || false).expect("it closes");
            let closed =
                self.busy.endpoint("late", "https://127.0.0.1/", EndpointOptions::new(None));
            assert_eq!(closed.map_err(|error| error.kind()).err(), Some(Kind::HandleClosed));
        }
    }
}

/// On a busy machine the files may change too often for a delivery to begin.
fn answered(outcome: Result<Receipt, Error>) {
    match outcome {
        Err(error) if error.kind() == Kind::Overloaded => {}
        outcome => drop(outcome.expect("the consumer answers")),
    }
}

/// The files of a dispatcher whose trust changes.
struct Files {
    folder: PathBuf,
    root: String,
    more: String,
    /// An identity that no endpoint uses.
    others: Box<Identity>,
}

impl Files {
    fn new(lab: &Lab) -> Self {
        let folder = env::temp_dir().join(format!("fork-{}", std::process::id()));
        lab.write_files(&folder).unwrap();
        let other = Authority::new("another CA").unwrap();
        let issued = other.issue(Leaf::client("other")).unwrap();
        let others =
            Identity::from_pem(issued.chain_pem.as_bytes(), issued.key_pem.as_bytes(), None);
        Self {
            folder,
            root: lab.trust_pem(),
            more: format!("{}{}", lab.trust_pem(), other.root_pem()),
            others: Box::new(others.unwrap()),
        }
    }

    fn identity(&self) -> Identity {
        let (chain, key) = (self.folder.join("tls.crt"), self.folder.join("tls.key"));
        Identity::from_files(chain, key, None).unwrap()
    }

    fn trust(&self) -> Trust {
        Trust::from_files(self.folder.join("ca.pem"), None, None).unwrap()
    }

    /// Both bundles contain the lab's CA, so that deliveries continue.
    fn change(&self, round: u64) {
        let text = if round.is_multiple_of(2) { &self.root } else { &self.more };
        let new = self.folder.join("ca.pem.new");
        fs::write(&new, text).unwrap();
        fs::rename(&new, self.folder.join("ca.pem")).unwrap();
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A forked child, until its end.
struct Child {
    process: Pid,
    forked: Instant,
    ended: bool,
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.ended {
            let _ = kill(self.process, Signal::SIGKILL);
            let _ = waitpid(self.process, None);
        }
    }
}

impl Child {
    fn fork(work: impl FnOnce()) -> Self {
        #[expect(unsafe_code, reason = "forking beside threads is the subject of this test")]
        // SAFETY: the child has only this thread. The code that it runs is made for that, and it
        // exits without the parent's cleanup.
        match unsafe { fork() }.expect("a child") {
            ForkResult::Parent { child } => {
                Self { process: child, forked: Instant::now(), ended: false }
            }
            ForkResult::Child => {
                let worked = panic::catch_unwind(panic::AssertUnwindSafe(work)).is_ok();
                #[expect(unsafe_code, reason = "as above")]
                // SAFETY: it does not return.
                unsafe {
                    nix::libc::_exit(i32::from(!worked))
                }
            }
        }
    }

    /// Waits for its end, which must be in time and successful.
    fn end(mut self) {
        loop {
            match waitpid(self.process, Some(WaitPidFlag::WNOHANG)).expect("a child of ours") {
                WaitStatus::StillAlive if self.forked.elapsed() > DEADLINE => {
                    panic!("a forked child hangs\n{}", threads_of(self.process));
                }
                WaitStatus::StillAlive => thread::sleep(Duration::from_micros(500)),
                end => {
                    self.ended = true;
                    let good = WaitStatus::Exited(self.process, 0);
                    return assert_eq!(end, good, "a child failed");
                }
            }
        }
    }
}

/// Describes the threads of a process, so that a rare hang can be explained.
fn threads_of(process: Pid) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/show_threads.sh");
    let output = Command::new(script).arg(process.to_string()).output();
    output.map_or_else(
        |error| format!("{script}: {error}"),
        |output| String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

#[test]
fn a_delivery_that_was_made_before_a_fork_is_made_by_the_parent_only() {
    let lab = Lab::start().expect("a lab");
    let acme = lab.consumer("acme").expect("a consumer");
    let dispatcher = lab.dispatcher();
    let endpoint = dispatcher.endpoint("acme", &acme.url(), EndpointOptions::new(None));
    let endpoint = endpoint.expect("an endpoint");
    let delivering = dispatcher.deliver(&endpoint, "{}", DeliverOptions::new());
    let mut delivering = Some(delivering);
    Child::fork(|| {
        let copy = delivering.take().expect("the child's copy");
        let outcome = runtime::drive(copy, || false).expect("nothing interrupts it");
        let error = outcome.expect_err("it is the parent's");
        assert_eq!((error.kind(), error.sent()), (Kind::ForkedProcess, Sent::Maybe));
        assert_eq!(error.context()["payload_sent"], true);
        // The child makes deliveries of its own.
        deliver_in_child(&dispatcher, &endpoint);
    })
    .end();
    let delivering = delivering.take().expect("the parent's");
    runtime::drive(delivering, || false).expect("nothing interrupts it").expect("a receipt");
    assert_eq!(acme.received().len(), 2, "one of the child, one of the parent");
}

fn deliver_in_child(dispatcher: &Dispatcher, endpoint: &Endpoint) {
    let outcome = dispatcher.deliver_blocking(endpoint, "{}", DeliverOptions::new(), None);
    outcome.expect("nothing interrupts it").expect("a receipt in the child");
}

#[test]
fn a_child_that_hangs_leaves_a_trace() {
    let child = Child::fork(|| thread::sleep(DEADLINE));
    let trace = threads_of(child.process);
    assert!(trace.contains("State:") && trace.contains("waits in "), "{trace}");
}
