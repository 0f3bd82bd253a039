//! Watched files that are unreadable for a while, or forever, block no verification and no
//! delivery.
#![cfg(feature = "testing")]

mod calm;

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use calm::patiently;
use nix::libc;
use webhook_mtls::event::EventName;
use webhook_mtls::testing::{Lab, Leaf};
use webhook_mtls::{Authorization, Event, Kind, Role, Trust, Verifier, VerifierOptions};

/// Longer than any step here takes, and shorter than a lease lasts (45 s).
const LONG: Duration = Duration::from_secs(20);

/// Longer than any verification waits for another thread.
const NOTICEABLE: Duration = Duration::from_secs(1);

struct Scene {
    files: PathBuf,
    verifier: Verifier,
    chain: Vec<Vec<u8>>,
}

impl Scene {
    fn new(name: &str) -> Self {
        let lab = Lab::start().unwrap();
        let files = std::env::temp_dir().join(format!("watched-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&files);
        lab.write_files(&files).unwrap();
        let trust = Trust::from_files(files.join("ca.pem"), None, None).unwrap();
        let mut options =
            VerifierOptions::new(Role::Client, trust).authorization(Authorization::ca_members());
        options = options.reload(Some(Duration::from_millis(50))).unwrap();
        let verifier = Verifier::new(options).unwrap();
        let chain = lab.authority().issue(Leaf::client("second")).unwrap().chain_der;
        Self { files, verifier, chain }
    }

    fn ca(&self) -> PathBuf {
        self.files.join("ca.pem")
    }

    fn reload(&self) -> Vec<Event> {
        self.verifier.reload()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.files);
    }
}

/// How long this thread has run or has waited for a processor. A busy machine lengthens both, and
/// neither means that a file blocks it (`/proc/[pid]/schedstat`, Documentation/scheduler/sched-stats).
fn ready_to_run() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds = text.split_whitespace().take(2).map(|field| field.parse::<u64>().unwrap());
    Duration::from_nanos(nanoseconds.sum())
}

/// Threads that verify without a pause; each returns how long its slowest verification was blocked.
struct Verifications {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<(usize, Duration)>>,
}

impl Verifications {
    fn begin(scene: &Scene) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..3).map(|_| {
            let (verifier, chain, stop) =
                (scene.verifier.clone(), scene.chain.clone(), stop.clone());
            thread::spawn(move || {
                let (mut count, mut longest) = (0, Duration::ZERO);
                loop {
                    let (started, ready) = (Instant::now(), ready_to_run());
                    verifier.verify_chain(&chain, None, SystemTime::now()).unwrap();
                    let blocked =
                        started.elapsed().saturating_sub(ready_to_run().saturating_sub(ready));
                    longest = longest.max(blocked);
                    count += 1;
                    if stop.load(Ordering::Relaxed) {
                        return (count, longest);
                    }
                }
            })
        });
        Self { threads: threads.collect(), stop }
    }

    fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let (count, longest) = thread.join().unwrap();
            assert!(longest < NOTICEABLE, "{count} verifications, one blocked for {longest:?}");
        }
    }
}

impl Drop for Verifications {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// A write lease on a file, as Samba and NFS servers take it. Opening the file waits for it.
struct Lease(File);

impl Lease {
    #[allow(unsafe_code, reason = "no crate here offers F_SETLEASE")]
    fn take(path: &Path) -> Self {
        let file = File::options().read(true).write(true).open(path).unwrap();
        // The signal that asks for the lease back would end the process.
        // SAFETY: no handler runs.
        unsafe { libc::signal(libc::SIGIO, libc::SIG_IGN) };
        // SAFETY: the call takes no pointer, and the descriptor is open.
        let taken = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK) };
        assert_eq!(taken, 0, "{}", std::io::Error::last_os_error());
        Self(file)
    }

    fn give_back(self) {
        drop(self.0);
    }
}

fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Runs `work` on a separate thread, and fails if it is not done in time.
fn within<T: Send + 'static>(limit: Duration, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, outcome) = mpsc::channel();
    thread::spawn(move || done.send(work()));
    outcome.recv_timeout(limit).expect("it hangs")
}

#[test]
fn a_leased_file_blocks_no_verification_and_is_reported() {
    patiently(|_| {
        let scene = Scene::new("leased");
        let text = fs::read_to_string(scene.ca()).unwrap();
        fs::write(scene.ca(), format!("# changed\n{text}")).unwrap();
        let lease = Lease::take(&scene.ca());
        let verifications = Verifications::begin(&scene);
        let events = scene.reload();
        let told = events.iter().find(|event| event.name() == EventName::RotationFailed).unwrap();
        assert!(told.fields()["message"].as_str().unwrap().contains("ca.pem"), "{told:?}");
        assert!(told.fields()["message"].as_str().unwrap().contains("a lease"), "{told:?}");
        // The loader waits for a file that is needed now, but not for as long as a lease lasts.
        let path = scene.ca();
        let refused = within(LONG, move || Trust::from_files(path, None, None)).unwrap_err();
        assert_eq!(refused.kind(), Kind::PemInvalid);
        assert!(refused.message().contains("another process holds a lease"), "{refused}");
        verifications.end();
        lease.give_back();
        // The other authority is trusted as soon as the file is readable.
        let other = Lab::start().unwrap();
        fs::write(scene.ca(), other.trust_pem()).unwrap();
        assert!(scene.reload().iter().any(|event| event.name() == EventName::Rotated));
        let refused =
            scene.verifier.verify_chain(&scene.chain, None, SystemTime::now()).unwrap_err();
        assert_eq!(refused.kind(), Kind::IssuerUnknown);
    });
}

#[test]
fn a_file_is_loaded_after_its_lease_ends() {
    let scene = Scene::new("given-back");
    let lease = Lease::take(&scene.ca());
    let path = scene.ca();
    let (sender, loaded) = mpsc::channel();
    thread::spawn(move || sender.send(Trust::from_files(path, None, None)));
    lease.give_back();
    loaded.recv_timeout(LONG).unwrap().unwrap();
}

#[test]
fn a_fifo_instead_of_a_file_blocks_no_verification() {
    patiently(|_| {
        let scene = Scene::new("fifo");
        let (spare, regular) = (scene.files.join("fifo"), scene.files.join("regular"));
        fs::copy(scene.ca(), &regular).unwrap();
        fifo(&spare);
        let verifications = Verifications::begin(&scene);
        fs::rename(&spare, scene.ca()).unwrap();
        let events = scene.reload();
        let told = events.iter().find(|event| event.name() == EventName::RotationFailed).unwrap();
        assert!(told.fields()["message"].as_str().unwrap().contains("not a regular file"));
        verifications.end();
        fs::rename(&regular, scene.ca()).unwrap();
        assert!(scene.reload().iter().all(|event| event.name() != EventName::RotationFailed));
    });
}

/// The target of a path may change between the check and the opening.
#[test]
fn a_fifo_renamed_into_place_does_not_block() {
    let scene = Scene::new("swapped");
    let (path, spare) = (scene.ca(), scene.files.join("spare"));
    let text = fs::read(&path).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let swapping = thread::spawn({
        let (stop, path) = (stop.clone(), path.clone());
        move || {
            while !stop.load(Ordering::Relaxed) {
                fifo(&spare);
                fs::rename(&spare, &path).unwrap();
                fs::write(&spare, &text).unwrap();
                fs::rename(&spare, &path).unwrap();
            }
        }
    });
    let refused = within(LONG, move || {
        let started = Instant::now();
        let mut refused = 0;
        while started.elapsed() < Duration::from_secs(4) {
            refused += usize::from(Trust::from_files(&path, None, None).is_err());
        }
        refused
    });
    stop.store(true, Ordering::Relaxed);
    swapping.join().unwrap();
    assert!(refused > 0, "the FIFO was never there");
}
