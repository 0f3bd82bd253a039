//! Files that are written in place, or one after the other: no look at a half of them is used.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{CheckReason, MIN_SETTLING, Watch, Watched};
use crate::error::Kind;
use crate::event::EventName;
use crate::material::identity::Identity;
use crate::testing::{Authority, Issued, Leaf};

/// A watched pair of files.
struct Pair {
    directory: PathBuf,
    watch: Watch,
    given: Identity,
    _watched: Watched,
}

impl Pair {
    fn new(name: &str, issued: &Issued) -> Self {
        let directory = std::env::temp_dir().join(format!("torn-{}-{name}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let (cert, key) = (directory.join("tls.crt"), directory.join("tls.key"));
        fs::write(&cert, &issued.chain_pem).unwrap();
        fs::write(&key, &issued.key_pem).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let given = Identity::from_files(cert, key, None).unwrap();
        let watch = Watch::new(Some(MIN_SETTLING));
        let watched = watch.watch_identity(&given).unwrap();
        Self { directory, watch, given, _watched: watched }
    }

    fn cert(&self) -> PathBuf {
        self.directory.join("tls.crt")
    }

    fn key(&self) -> PathBuf {
        self.directory.join("tls.key")
    }

    /// Looks at the files as a poll does, and returns the names of the events.
    fn look(&self) -> Vec<EventName> {
        let events = self.watch.check(CheckReason::Polled).expect("no other thread looks");
        events.iter().map(|(_, event)| event.name()).collect()
    }

    fn leaf(&self) -> Vec<u8> {
        self.watch.identity(&self.given).leaf().der().to_vec()
    }

    /// Looks after each byte that `write` adds, and checks that `former` stays in use.
    fn look_at_each_byte(&self, file: &Path, text: &str, write: fn(&str, usize, &str) -> String) {
        let former = self.leaf();
        let before = fs::read_to_string(file).unwrap();
        let mut last = before.clone();
        for written in 0..=text.len() {
            let torn = write(text, written, &before);
            // Two looks at the same content settle it.
            if torn == std::mem::replace(&mut last, torn.clone()) {
                continue;
            }
            fs::write(file, torn).unwrap();
            assert_eq!(self.look(), [], "{written} bytes");
            assert_eq!(self.leaf(), former, "{written} bytes");
        }
    }

    /// The second look at a pair that fits takes it, once it has settled.
    fn is_taken_at_the_second_look(&self, issued: &Issued) {
        // The last look at each byte was the first at the whole pair.
        let settled = Instant::now() + MIN_SETTLING;
        while Instant::now() < settled {
            std::hint::spin_loop();
        }
        assert_eq!(self.look(), [EventName::Rotated]);
        assert_eq!(self.leaf(), issued.chain_der[0]);
        assert_eq!(self.look(), []);
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// As a writer that empties the file first: `step ca renew`, SPIRE.
fn truncated(text: &str, written: usize, _before: &str) -> String {
    text[..written].to_owned()
}

/// As a writer that leaves the rest of the former content: `rsync --inplace`.
fn overwritten(text: &str, written: usize, before: &str) -> String {
    let rest = before.get(written..).filter(|_| written < text.len()).unwrap_or_default();
    format!("{}{rest}", &text[..written])
}

#[test]
fn a_certificate_that_is_written_in_place_is_taken_whole() {
    let authority = Authority::new("torn").unwrap();
    let mut current = authority.issue(Leaf::client("torn")).unwrap();
    let pair = Pair::new("renew", &current);
    for write in [truncated, overwritten] {
        current = authority.renew(&current, false).unwrap();
        pair.look_at_each_byte(&pair.cert(), &current.chain_pem, write);
        pair.is_taken_at_the_second_look(&current);
    }
}

#[test]
fn two_files_that_are_written_one_after_the_other_are_taken_as_a_pair() {
    let authority = Authority::new("torn").unwrap();
    let mut current = authority.issue(Leaf::client("torn")).unwrap();
    let pair = Pair::new("rekey", &current);
    for is_key_first in [false, true] {
        current = authority.renew(&current, true).unwrap();
        let mut files = [(pair.cert(), &current.chain_pem), (pair.key(), &current.key_pem)];
        if is_key_first {
            files.reverse();
        }
        for (file, text) in files {
            pair.look_at_each_byte(&file, text, truncated);
        }
        pair.is_taken_at_the_second_look(&current);
    }
}

/// A writer may die, and leave what it has written. Then nothing settles the matter but the content.
#[test]
fn a_torn_pair_that_stays_is_refused_at_every_byte() {
    let authority = Authority::new("torn").unwrap();
    let former = authority.issue(Leaf::client("torn")).unwrap();
    let (renewed, rekeyed) =
        (authority.renew(&former, false).unwrap(), authority.renew(&former, true).unwrap());
    let read = |cert: &str, key: &str| Identity::from_pem(cert.as_bytes(), key.as_bytes(), None);
    for written in 0..=rekeyed.chain_pem.len() {
        let error = read(&rekeyed.chain_pem[..written], &former.key_pem).unwrap_err();
        assert!(matches!(error.kind(), Kind::KeyMismatch | Kind::PemInvalid), "{written}: {error}");
    }
    let is_whole = |text: &str, whole: &str| text.trim_end() == whole.trim_end();
    for written in 0..=rekeyed.key_pem.len() {
        let key = &rekeyed.key_pem[..written];
        assert!(read(&former.chain_pem, key).is_err(), "{written}");
        assert_eq!(read(&rekeyed.chain_pem, key).is_ok(), is_whole(key, &rekeyed.key_pem));
    }
    for written in 0..=renewed.chain_pem.len() {
        let chain = &renewed.chain_pem[..written];
        // Cut between two certificates, the chain is shorter and whole (decision 19).
        let start = chain.trim_end_matches('-').len().max(written.saturating_sub(4));
        let is_cut_between = chain[..start].trim_end().ends_with("-----END CERTIFICATE-----")
            || chain.ends_with("-----END CERTIFICATE-----");
        assert_eq!(read(chain, &former.key_pem).is_ok(), is_cut_between, "{written}");
    }
}

#[test]
fn an_overdue_look_takes_new_files_whoever_makes_it() {
    let authority = Authority::new("torn").unwrap();
    let former = authority.issue(Leaf::client("torn")).unwrap();
    let next = authority.renew(&former, true).unwrap();
    let pair = Pair::new("overdue", &former);
    fs::write(pair.cert(), &next.chain_pem).unwrap();
    fs::write(pair.key(), &next.key_pem).unwrap();
    while !pair.watch.is_overdue() {
        std::thread::sleep(MIN_SETTLING);
    }
    // In a forked child, the first poll may precede the check for which a delivery waits.
    assert_eq!(pair.look(), [EventName::Rotated]);
    assert_eq!(pair.leaf(), next.chain_der[0]);
    assert!(pair.watch.check(CheckReason::Overdue).is_none(), "it is not overdue any more");
}

#[test]
fn a_pair_that_is_torn_for_long_is_reported_and_then_taken() {
    let authority = Authority::new("torn").unwrap();
    let former = authority.issue(Leaf::client("torn")).unwrap();
    let next = authority.renew(&former, true).unwrap();
    let pair = Pair::new("long", &former);
    fs::write(pair.cert(), &next.chain_pem).unwrap();
    let events = pair.watch.check(CheckReason::OnDemand).unwrap();
    let names: Vec<EventName> = events.iter().map(|(_, event)| event.name()).collect();
    assert_eq!(names, [EventName::RotationFailed]);
    assert_eq!(pair.leaf(), former.chain_der[0]);
    fs::write(pair.key(), &next.key_pem).unwrap();
    assert_eq!(pair.look(), []);
    pair.is_taken_at_the_second_look(&next);
    assert!(pair.watch.pause() <= Some(Duration::from_secs(1)));
}
