//! Screens of `diagnose` and `check` against receivers of the testing kit, which are read like those of
//! `screens.rs`. Times, ports and pins change in each run, and are replaced by text of the same width.

use std::fs;

use webhook_mtls::testing::{Authority, Leaf, Misbehavior};

mod place;
mod shown;

use place::{OTHER_PIN, Place};
use shown::{has_form, ran};

/// What stands before a text that changes in each run, its characters, and what replaces each.
type Unsteady = (&'static str, fn(u8) -> bool, char);

const UNSTEADY: [Unsteady; 3] = [
    ("127.0.0.1:", |byte| byte.is_ascii_digit(), '0'),
    ("/wmtls-", |byte| byte.is_ascii_digit(), '1'),
    ("sha256/", |byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte), 'P'),
];

/// Replaces what changes in each run, without a change of the width.
fn steady(seen: &str) -> String {
    let mut text = String::with_capacity(seen.len());
    let mut rest = seen;
    while let Some(letter) = rest.chars().next() {
        if let Some((before, is_of, with)) = UNSTEADY.iter().find(|it| rest.starts_with(it.0)) {
            let count = rest[before.len()..].bytes().take_while(|byte| is_of(*byte)).count();
            text.push_str(before);
            text.extend(std::iter::repeat_n(*with, count));
            rest = &rest[before.len() + count..];
        } else if let Some((shown, length)) = time(rest) {
            text.push_str(shown);
            rest = &rest[length..];
        } else if let Some(length) = hex(rest).filter(|_| !text.ends_with(char::is_alphanumeric)) {
            text.extend(std::iter::repeat_n('5', length));
            rest = &rest[length..];
        } else {
            text.push(letter);
            rest = &rest[letter.len_utf8()..];
        }
    }
    text
}

/// Returns the length of a word in hex: the number of a lab, or a serial number.
fn hex(rest: &str) -> Option<usize> {
    let length = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
    let ends = !rest[length..].starts_with(char::is_alphanumeric);
    (ends && (length == 8 || length >= 16)).then_some(length)
}

/// Returns the form of a date or a time of the day at the start of a text.
fn time(rest: &str) -> Option<(&'static str, usize)> {
    const FORMS: [(&str, &str); 2] = [("0000-00-00", "YYYY-MM-DD"), ("00:00:00", "hh:mm:ss")];
    let fits = |form: &str| rest.get(..form.len()).is_some_and(|start| has_form(start, form));
    FORMS.into_iter().find(|(form, _)| fits(form)).map(|(form, shown)| (shown, form.len()))
}

/// The screens of one test.
struct Screens {
    differing: Vec<String>,
}

impl Screens {
    /// Compares the screen of a run.
    fn see(&mut self, name: &str, code: u8, form: (usize, bool), arguments: &[&str]) {
        let (seen_code, seen) = ran(arguments, form.0, form.1);
        assert_eq!(seen_code, code, "{name}: {seen}");
        shown::check_form(name, &seen, form.0, form.1);
        let line = format!("$ webhook-mtls {}\n{seen}", arguments.join(" "));
        self.differing.extend(shown::differing(name, &steady(&line)));
    }
}

#[test]
fn every_verdict_is_the_one_that_was_read() {
    let place = Place::new("verdicts");
    std::env::set_current_dir(&place.files).expect("the files are there");
    let mut screens = Screens { differing: Vec::new() };
    let (url, pin) = (place.acme.url(), place.acme.pin());
    let usual = ["--cert", "tls.crt", "--key", "tls.key", "--ca", "ca.pem"];
    let near = ["--allow", "127.0.0.0/8"];
    let with = |more: &[&str]| -> Vec<String> {
        let first = ["diagnose", url.as_str()];
        let all = first.iter().chain(&usual).chain(&near).chain(more);
        all.map(|word| (*word).to_owned()).collect()
    };
    let mut diagnose = |name: &str, code: u8, form: (usize, bool), more: &[&str]| {
        let words = with(more);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        screens.see(name, code, form, &words);
    };
    let staged = ["--pin", &pin, "--next-pin", OTHER_PIN, "--request", "options"];
    diagnose("verdict-well", 0, (80, false), &[&staged[..], &["--verbose"]].concat());
    diagnose("verdict-well-120-color", 0, (120, true), &staged);

    let wrong = Leaf::server("acme").names(["shop.lab.test"]).expired();
    place.acme.show(place.lab.authority().issue(wrong).expect("a certificate"));
    diagnose("verdict-three-faults", 1, (80, false), &["--pin", OTHER_PIN]);
    diagnose("verdict-three-faults-120-color", 1, (120, true), &["--pin", OTHER_PIN, "--verbose"]);
    diagnose("verdict-message", 1, (80, false), &["--pin", OTHER_PIN, "--message"]);
    let sound = Leaf::server("acme");
    place.acme.show(place.lab.authority().issue(sound).expect("a certificate"));

    place.acme.misbehave(Misbehavior::NeverAsk, 0);
    diagnose("verdict-not-requested-color", 1, (80, true), &[]);
    place.acme.behave();
    place.acme.accept_only(&Authority::new("Another").expect("a CA"));
    diagnose("verdict-refused", 1, (80, false), &[]);
    diagnose("verdict-refused-message", 1, (80, false), &["--message"]);
    place.acme.accept_only(place.lab.authority());

    let missing = place.file("missing.key");
    let ours = ["diagnose", &url, "--cert", "tls.crt", "--key", &missing, "--ca", "ca.pem"];
    screens.see("verdict-missing-key-120", 3, (120, false), &ours);
    let denied = [&["diagnose", &url][..], &usual].concat();
    screens.see("verdict-denied", 3, (80, false), &denied);
    fleet(&place, &mut screens);
    assert!(screens.differing.is_empty(), "{}", screens.differing.join("\n"));
}

fn fleet(place: &Place, screens: &mut Screens) {
    let consumer = |name: &str| place.lab.consumer(name).expect("a consumer");
    let (late, lax, plain) = (consumer("late"), consumer("lax"), consumer("plain"));
    late.misbehave(Misbehavior::Expired, 0);
    lax.misbehave(Misbehavior::NeverAsk, 0);
    let endpoint = |name: &str, url: &str, more: &str| {
        format!("[[endpoint]]\nconsumer = {name:?}\nurl = {url:?}\n{more}\n")
    };
    let staged = format!("pin = [{:?}]\nnext-pin = [{OTHER_PIN:?}]", place.acme.pin());
    let content = [
        "[defaults]\ncert = \"tls.crt\"\nkey = \"tls.key\"\nca = \"ca.pem\"\nallow = [\"127.0.0.0/8\"]\n"
            .to_owned(),
        endpoint("acme", &place.acme.url(), &staged),
        endpoint("late", &late.url(), ""),
        endpoint("lax", &lax.url(), ""),
        endpoint("plain with a name that is too long for a table", &plain.url(), ""),
        endpoint("away", "https://10.1.2.3/in", ""),
    ];
    fs::write("fleet.toml", content.concat()).expect("a file");
    screens.see("fleet", 3, (80, false), &["diagnose", "--config", "fleet.toml"]);
    screens.see("checklist", 3, (80, false), &["check", "--config", "fleet.toml"]);
    screens.see("checklist-60", 3, (60, false), &["check", "--config", "fleet.toml"]);
    screens.see("checklist-120-color", 3, (120, true), &["check", "--config", "fleet.toml"]);
}
