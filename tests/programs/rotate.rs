//! Rotates files during deliveries for a long time: `rotate SECONDS RELOADS`.
//!
//! Runs each common rotation method for `SECONDS`, with eight workers, fifty deliveries a second
//! and a swap every second; then `RELOADS` reloads. Every outcome must be a receipt. The last line
//! is the result as JSON.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use std::{env, fs};

use serde_json::{Map, Value, json};
use webhook_mtls::bindings::runtime;
use webhook_mtls::event::EventName;
use webhook_mtls::testing::{Authority, Consumer, Lab, Leaf};
use webhook_mtls::{DeliverOptions, Dispatcher, Endpoint, EndpointOptions, Identity, Pins, Trust};

const WORKERS: u32 = 8;
const PER_SECOND: u32 = 50;
const OTHER: &str = "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

/// A method of writing texts into files.
type WriteMethod = fn(&Path, &[(&'static str, String)], usize);

const WRITE_METHODS: [(&str, WriteMethod); 6] = [
    ("renamed", |at, texts, _| texts.iter().for_each(|(name, text)| replace(at, name, text))),
    ("renamed_in_reverse", |at, texts, _| {
        texts.iter().rev().for_each(|(name, text)| replace(at, name, text));
    }),
    ("swapped_directory", swap),
    ("filled_in_place", |at, texts, _| {
        for (name, text) in texts {
            put(&at.join(name), "");
            put(&at.join(name), &text[..text.len() / 2 + 5]);
            pause(200);
            put(&at.join(name), text);
        }
    }),
    ("missing_for_a_while", |at, texts, _| {
        for (name, _) in texts {
            fs::remove_file(at.join(name)).expect("a file");
        }
        pause(400);
        put_all(at, texts);
    }),
    ("with_an_old_time_stamp", |at, texts, _| {
        for (name, text) in texts {
            put(&at.join(name), text);
            let file = fs::File::options().write(true).open(at.join(name)).expect("a file");
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000))
                .expect("a time stamp");
        }
    }),
];

fn main() {
    let number = |at: usize| env::args().nth(at).and_then(|text| text.parse().ok());
    let seconds = number(1).expect("usage: rotate SECONDS RELOADS");
    let reloads = number(2).expect("usage: rotate SECONDS RELOADS");
    let mut told = Map::new();
    for (name, write) in WRITE_METHODS {
        told.insert(name.into(), rotated(name, write, Duration::from_secs(seconds)));
    }
    told.insert("reloads".into(), reloaded(reloads));
    println!("{}", Value::from(told));
}

struct Scene {
    files: PathBuf,
    dispatcher: Dispatcher,
    endpoint: Endpoint,
    texts: [Vec<(&'static str, String)>; 2],
    _lab: Lab,
}

impl Scene {
    fn new(name: &str, reload_ms: f64) -> Self {
        let lab = Lab::start().expect("a lab");
        let acme = lab.consumer("acme").expect("a consumer");
        let files = env::temp_dir().join(format!("rotate-{}-{name}", std::process::id()));
        fs::create_dir_all(&files).expect("a directory");
        let texts = [texts(&lab, &acme, false), texts(&lab, &acme, true)];
        if name == "swapped_directory" {
            for (name, _) in &texts[0] {
                symlink(format!("..data/{name}"), files.join(name)).expect("a link");
            }
            swap(&files, &texts[0], 0);
        } else {
            put_all(&files, &texts[0]);
        }
        let identity = Identity::from_files(files.join("tls.crt"), files.join("tls.key"), None);
        let trust = Trust::from_files(files.join("ca.pem"), None, Some(&files.join("crl.pem")));
        let mut options = lab
            .dispatcher_options()
            .identity(identity.expect("an identity"))
            .trust(trust.expect("a trust"));
        options =
            options.reload(Some(Duration::from_secs_f64(reload_ms / 1000.0))).expect("an option");
        let dispatcher = Dispatcher::new(options).expect("a dispatcher");
        let pins = Pins::from_file(files.join("pins")).expect("pins");
        let endpoint = dispatcher.endpoint("acme", &acme.url(), EndpointOptions::new(Some(pins)));
        Self { files, dispatcher, endpoint: endpoint.expect("an endpoint"), texts, _lab: lab }
    }

    fn deliver(&self) {
        let delivery = self.dispatcher.deliver(&self.endpoint, "{}", DeliverOptions::new());
        let outcome = runtime::drive(delivery, || false).expect("nothing interrupts");
        assert_eq!(outcome.map(|receipt| receipt.status()).ok(), Some(200));
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.files);
    }
}

fn texts(lab: &Lab, acme: &Consumer, second: bool) -> Vec<(&'static str, String)> {
    let issued = lab.authority().issue(Leaf::client("rotated")).expect("a certificate");
    let stranger = Authority::new("stranger").expect("an authority");
    let extra = if second { stranger.root_pem() } else { "" };
    let next = if second { format!("\nnext {OTHER}") } else { String::new() };
    vec![
        ("tls.crt", issued.chain_pem),
        ("tls.key", issued.key_pem),
        ("ca.pem", lab.trust_pem() + extra),
        ("crl.pem", lab.authority().crl(&[]).expect("a CRL")),
        ("pins", acme.pin() + &next),
    ]
}

/// Runs one rotation method for a time; returns the numbers of deliveries and rotations.
fn rotated(name: &str, write: WriteMethod, time: Duration) -> Value {
    let scene = Arc::new(Scene::new(name, 100.0));
    let rotations = Arc::new(AtomicU64::new(0));
    let counted = rotations.clone();
    scene.dispatcher.on_event(move |event| {
        if event.name() == EventName::Rotated {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let stop = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| {
            let (scene, stop) = (scene.clone(), stop.clone());
            thread::spawn(move || {
                let mut delivered: u64 = 0;
                while !stop.load(Ordering::Relaxed) {
                    scene.deliver();
                    delivered += 1;
                    thread::sleep(Duration::from_secs(1) * WORKERS / PER_SECOND);
                }
                delivered
            })
        })
        .collect();
    let began = Instant::now();
    let mut swaps = 0;
    while began.elapsed() < time {
        swaps += 1;
        write(&scene.files, &scene.texts[swaps % 2], swaps);
        let next = Duration::from_secs(swaps as u64);
        thread::sleep(next.saturating_sub(began.elapsed()));
    }
    stop.store(true, Ordering::Relaxed);
    let delivered: u64 =
        workers.into_iter().map(|worker| worker.join().expect("every outcome a receipt")).sum();
    let rotations = rotations.load(Ordering::Relaxed);
    eprintln!("{name}: {delivered} delivered, {swaps} swaps, {rotations} rotations");
    // Each swap rotates identity, trust and pins. On a busy machine, two swaps may be read as one.
    assert!(rotations >= 2 * swaps as u64, "{rotations} rotations for {swaps} swaps");
    json!({ "delivered": delivered, "swaps": swaps, "rotations": rotations })
}

/// Makes `count` reloads, each of new content. Returns the resources of the process after a fifth
/// of them and at the end.
fn reloaded(count: u64) -> Value {
    let scene = Scene::new("reloads", 20.0);
    let mut early = Value::Null;
    for number in 1..=count {
        let texts = &scene.texts[usize::try_from(number % 2).unwrap_or(0)];
        for (name, text) in texts {
            replace(&scene.files, name, text);
        }
        runtime::drive(scene.dispatcher.reload(), || false)
            .expect("nothing interrupts")
            .expect("it is open");
        if number % 10 == 0 {
            scene.deliver();
        }
        if number == count / 5 {
            early = held();
        }
    }
    json!({ "count": count, "early": early, "late": held() })
}

fn held() -> Value {
    let status = fs::read_to_string("/proc/self/status").expect("procfs");
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    let rss: u64 = rss.trim().trim_end_matches(" kB").parse().expect("a number");
    let descriptors = fs::read_dir("/proc/self/fd").expect("procfs").count();
    json!({ "rss_kib": rss, "descriptors": descriptors })
}

/// Like Kubernetes: writes the files into a new directory, and moves the link to it.
fn swap(at: &Path, texts: &[(&'static str, String)], number: usize) {
    let directory = at.join(format!("..{number}"));
    fs::create_dir(&directory).expect("a directory");
    put_all(&directory, texts);
    symlink(format!("..{number}"), at.join("..data_tmp")).expect("a link");
    fs::rename(at.join("..data_tmp"), at.join("..data")).expect("a rename");
    if let Some(former) = number.checked_sub(1) {
        let _ = fs::remove_dir_all(at.join(format!("..{former}")));
    }
}

fn replace(at: &Path, name: &str, text: &str) {
    put(&at.join("beside"), text);
    fs::rename(at.join("beside"), at.join(name)).expect("a rename");
}

fn put_all(at: &Path, texts: &[(&'static str, String)]) {
    for (name, text) in texts {
        put(&at.join(name), text);
    }
}

fn put(path: &Path, text: &str) {
    fs::write(path, text).expect("a file");
}

fn pause(millis: u64) {
    thread::sleep(Duration::from_millis(millis));
}
