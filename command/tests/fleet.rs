//! `diagnose --config` and `check`: a fleet of receivers of the testing kit.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use webhook_mtls::testing::{Consumer, Lab, Misbehavior};
use webhook_mtls_command::{Console, run};

/// A lab and a directory with its files.
struct Place {
    lab: Lab,
    files: PathBuf,
}

impl Place {
    fn new(name: &str) -> Self {
        let lab = Lab::start().expect("a lab");
        let files = std::env::temp_dir().join(format!("wmtls-fleet-{}-{name}", std::process::id()));
        lab.write_files(&files).expect("files");
        Self { lab, files }
    }

    fn consumer(&self, name: &str) -> Consumer {
        self.lab.consumer(name).expect("a consumer")
    }

    /// The defaults of a file, with the lab's files.
    fn defaults(&self) -> String {
        let file = |name: &str| self.files.join(name).display().to_string();
        format!(
            "[defaults]\ncert = {:?}\nkey = {:?}\nca = {:?}\nallow = [\"127.0.0.0/8\"]\n",
            file("tls.crt"),
            file("tls.key"),
            file("ca.pem")
        )
    }

    /// Runs a verb on a file with this content. Returns the exit code, the output and the errors.
    fn run(&self, verb: &str, content: &str, more: &[&str]) -> (u8, String, String) {
        let file = self.files.join("fleet.toml");
        fs::write(&file, content).expect("a file");
        let file = file.display().to_string();
        let arguments = ["webhook-mtls", verb, "--config", &file];
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let mut console = Console::new(std::io::empty(), &mut output, &mut errors, |_| None);
        let code = run(arguments.iter().chain(more).map(Into::into), &mut console);
        drop(console);
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (code, text(output), text(errors))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.files);
    }
}

fn endpoint(name: &str, consumer: &Consumer, more: &str) -> String {
    format!("[[endpoint]]\nconsumer = {name:?}\nurl = {:?}\n{more}\n", consumer.url())
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| panic!("one JSON value: {text}"))
}

#[test]
fn each_endpoint_of_a_fleet_has_its_verdict() {
    let place = Place::new("verdicts");
    let (well, late, rude) =
        (place.consumer("well"), place.consumer("late"), place.consumer("rude"));
    late.misbehave(Misbehavior::Expired, 9);
    rude.misbehave(Misbehavior::RejectCertificate, 9);
    let pin = format!("pin = [{:?}]", well.pin());
    let content = place.defaults()
        + &endpoint("well", &well, &pin)
        + &endpoint("late", &late, "")
        + &endpoint("rude", &rude, "");
    let (code, output, errors) = place.run("diagnose", &content, &["--json"]);
    assert_eq!((code, errors.as_str()), (1, ""), "{output}");
    let value = json(&output);
    let shown: Vec<(&str, &Value, &Value)> = value["endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (row["consumer"].as_str().unwrap(), &row["verdict"]["kind"], &row["verdict"]["tell"])
        })
        .collect();
    assert_eq!(shown[0], ("well", &Value::Null, &Value::from("nobody")));
    assert_eq!(shown[1], ("late", &"certificate_expired".into(), &"consumer".into()));
    assert_eq!(shown[2], ("rude", &"client_certificate_rejected".into(), &"consumer".into()));
    let (code, output, _) = place.run("diagnose", &content, &[]);
    assert_eq!(code, 1);
    for word in ["✓ ok", "✗ fault", "late: ", "certificate_expired", "1 of 3 endpoints are well"]
    {
        assert!(output.contains(word), "{word}: {output}");
    }
    assert!(well.received().is_empty() && late.received().is_empty());
}

#[test]
fn the_checklist_answers_six_questions_for_a_fleet() {
    let place = Place::new("checklist");
    let (well, plain) = (place.consumer("well"), place.consumer("plain"));
    let next = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let staged = format!("pin = [{:?}]\nnext-pin = [{next:?}]", well.pin());
    let well = endpoint("well", &well, &staged);
    let content = place.defaults() + &well + &endpoint("plain", &plain, "");
    let (code, output, _) = place.run("check", &content, &["--request", "options", "--json"]);
    let value = json(&output);
    assert_eq!((code, value["questions"].as_array().unwrap().len()), (0, 6), "{output}");
    let of = |question: usize, endpoint: usize| {
        value["questions"][question]["endpoints"][endpoint]["status"].as_str().unwrap()
    };
    for question in 0..5 {
        assert_eq!(of(question, 0), "passed", "{output}");
    }
    assert_eq!((of(5, 0), of(5, 1)), ("passed", "warning"), "{output}");
    let (code, output, _) = place.run("check", &content, &["--strict"]);
    assert_eq!(code, 4, "{output}");
    assert!(output.contains("pins are a set") && output.contains("plain: "), "{output}");

    plain.misbehave(Misbehavior::NeverAsk, 9);
    let (code, output, _) = place.run("check", &content, &[]);
    assert_eq!(code, 1, "{output}");
    assert!(output.contains("✗ fault") && output.contains("1 of 2"), "{output}");
}

#[test]
fn our_files_at_fault_concern_the_whole_fleet() {
    let place = Place::new("ours");
    let acme = place.consumer("acme");
    let missing = "ca = \"/nowhere/ca.pem\"";
    let content = place.defaults() + &endpoint("acme", &acme, missing);
    let (code, output, _) = place.run("diagnose", &content, &[]);
    assert_eq!(code, 3, "{output}");
    assert!(output.contains("/nowhere/ca.pem") && output.contains("tell: us"), "{output}");
    assert_eq!(acme.connections(), 0);
}

#[test]
fn a_file_that_cannot_be_used_names_the_place() {
    let place = Place::new("usage");
    let defaults = place.defaults();
    for (content, word) in [
        ("= 3".to_owned(), "no TOML"),
        (defaults.clone(), "no [[endpoint]]"),
        (defaults.clone() + "[[endpoint]]\nconsumer = \"acme\"\n", "url is missing"),
        (defaults.clone() + "[[endpoint]]\nurl = \"https://a.test/\"\npins = [\"x\"]\n", "pins"),
        (defaults.clone() + "[[endpoint]]\nurl = \"https://a.test/\"\npin = [3]\n", "pin"),
        ("[other]\n[[endpoint]]\nurl = \"https://a.test/\"\n".to_owned(), "other"),
    ] {
        let (code, output, errors) = place.run("check", &content, &[]);
        assert_eq!((code, output.as_str()), (2, ""), "{errors}");
        assert!(errors.contains(word), "{word}: {errors}");
    }
}

#[test]
fn a_large_fleet_is_diagnosed_a_few_at_a_time() {
    let place = Place::new("large");
    let acme = place.consumer("acme");
    let mut content = place.defaults();
    for number in 0..100 {
        let _ = write!(content, "{}", endpoint(&format!("acme {number}"), &acme, ""));
    }
    let (code, output, _) = place.run("diagnose", &content, &["--json"]);
    let value = json(&output);
    assert_eq!((code, value["endpoints"].as_array().unwrap().len()), (0, 100));
    assert_eq!(value["endpoints"][7]["consumer"], "acme 7");
    assert_eq!(acme.handshakes(), 100);
}
