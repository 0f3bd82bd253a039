//! `diagnose --config` and `check`: a fleet of receivers of the testing kit. `check --fleet`: statuses of
//! processes.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use webhook_mtls::bindings::fleet::now_millis;
use webhook_mtls::endpoint::merge;
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
        ran(&[&["webhook-mtls", verb, "--config", &file], more].concat(), "")
    }
}

/// Runs the command. Returns the exit code, the output and the errors.
fn ran(arguments: &[&str], input: &str) -> (u8, String, String) {
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let mut console = Console::new(input.as_bytes(), &mut output, &mut errors, |_| None);
    let code = run(arguments.iter().map(Into::into), &mut console);
    drop(console);
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (code, text(output), text(errors))
}

/// Runs `check --fleet` on what these processes say.
fn checked(statuses: &[Value], more: &[&str]) -> (u8, String, String) {
    let fleet = merge(statuses.iter().map(ToString::to_string)).expect("a merged status");
    let arguments = [&["webhook-mtls", "check", "--fleet", "-"], more].concat();
    ran(&arguments, &fleet.to_string())
}

fn on_one_line(output: &str) -> String {
    output.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a process says that presents one identity, and of which acme has accepted another one.
fn status(process: &str, wanted: &str, accepted: Option<&str>, circuit: &str) -> Value {
    let state = match accepted {
        None => "unknown",
        Some(accepted) if accepted == wanted => "current",
        Some(_) => "previous",
    };
    let until = (circuit == "open").then(|| now_millis() + 60_000);
    json!({
        "schema": 1,
        "process": process,
        "at_ms": now_millis(),
        "consumers": { "acme": {
            "rotation": {
                "wanted": wanted, "accepted": accepted, "accepted_at_ms": accepted.map(|_| 1000),
                "state": state, "pin": null, "pin_slot": null,
            },
            "endpoint": {
                "pin_seen": null, "pins_never_seen": [], "peer_not_after_ms": null,
                "identity_accepted": accepted, "circuit": circuit, "circuit_open_until_ms": until,
            },
        } },
        "expiries": [],
    })
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
fn a_fleet_without_a_rotation_and_an_open_circuit_is_well() {
    let well =
        [status("web-1", "new", Some("new"), "closed"), status("web-2", "new", None, "closed")];
    let (code, output, errors) = checked(&well, &["--strict"]);
    assert_eq!((code, errors.as_str()), (0, ""), "{output}");
    assert_eq!(output.matches("✓ ok").count(), 4, "{output}");
    let (code, output, _) = checked(&well, &["--json"]);
    let value = json(&output);
    assert_eq!((code, &value["questions"]), (0, &json!([])), "{output}");
    let of = |question: usize| &value["fleet"][question]["answers"][0];
    assert_eq!(of(0)["name"], "web-1");
    assert_eq!((&of(1)["name"], &of(1)["status"]), (&json!("acme"), &json!("passed")));
    assert_eq!(of(3)["summary"], "presented by web-1, web-2; accepted last by acme");
}

#[test]
fn an_open_circuit_in_one_process_is_a_fault_of_the_consumer() {
    let statuses =
        |circuit| [status("web-1", "new", None, "closed"), status("web-2", "new", None, circuit)];
    let (code, output, _) = checked(&statuses("open"), &[]);
    assert_eq!(code, 1, "{output}");
    assert!(output.contains("✗ fault     circuits: no circuit is open: 0 of 1"), "{output}");
    assert!(output.contains("acme: open in web-2, until 2"), "{output}");
    let (code, output, _) = checked(&statuses("half_open"), &[]);
    assert_eq!(code, 0, "{output}");
    let (code, output, _) = checked(&statuses("half_open"), &["--strict"]);
    assert_eq!(code, 4, "{output}");
    assert!(output.contains("acme: half_open in web-2"), "{output}");
}

#[test]
fn a_rotation_that_is_not_complete_is_a_warning() {
    // One process has not read the new files.
    let late = [
        status("web-1", "new", Some("new"), "closed"),
        status("web-2", "old", Some("old"), "closed"),
    ];
    let behind = [status("web-1", "new", Some("old"), "closed")];
    for (statuses, words) in [
        (
            &late[..],
            [
                "acme: processes present different identities: new by web-1; old by web-2",
                "identities: no rotation needs two identities: 0 of 2",
                "old: presented by web-2; accepted last by acme",
            ],
        ),
        (
            &behind[..],
            [
                "acme: accepted an earlier identity last: old as seen by web-1",
                "old: presented by no process; accepted last by acme",
                "new: presented by web-1; accepted last by no consumer",
            ],
        ),
    ] {
        let (code, output, _) = checked(statuses, &[]);
        assert_eq!(code, 0, "{output}");
        let line = on_one_line(&output);
        for word in words {
            assert!(line.contains(word), "{word}: {output}");
        }
        assert_eq!(checked(statuses, &["--strict"]).0, 4);
    }
    let (code, output, _) = checked(&[status("web-1", "new", None, "closed")], &["--strict"]);
    assert_eq!(code, 0, "{output}");
    assert!(output.contains("acme: no process has seen an answer"), "{output}");
}

#[test]
fn an_old_status_is_our_fault() {
    for (shift, word) in [(-600_000, "too old"), (600_000, "ahead of the clock")] {
        let mut untimely = status("web-2", "new", None, "open");
        untimely["at_ms"] = (now_millis() + shift).into();
        let statuses = [status("web-1", "new", None, "closed"), untimely];
        let (code, output, _) = checked(&statuses, &[]);
        assert_eq!(code, 3, "{output}");
        let line = on_one_line(&output);
        assert!(line.contains("web-2: its status is from") && line.contains(word), "{output}");
        assert!(line.contains("lately: 1 of 2"), "{output}");
    }
}

#[test]
fn both_files_are_answered_at_once() {
    let place = Place::new("both");
    let acme = place.consumer("acme");
    let file = place.files.join("status.json").display().to_string();
    let fleet = merge([status("web-1", "new", None, "open").to_string()]).expect("merged");
    fs::write(&file, fleet.to_string()).expect("a file");
    let content = place.defaults() + &endpoint("acme", &acme, "");
    let (code, output, _) = place.run("check", &content, &["--fleet", &file, "--json"]);
    let value = json(&output);
    let count = |key: &str| value[key].as_array().map(Vec::len);
    assert_eq!((code, count("questions"), count("fleet")), (1, Some(6), Some(4)), "{output}");
    let (_, output, _) = place.run("check", &content, &["--fleet", &file]);
    assert!(output.contains("requires: ") && output.contains("circuits: "), "{output}");
}

#[test]
fn a_file_that_is_no_merged_status_is_refused() {
    let of_one = status("web-1", "new", None, "closed").to_string();
    for (input, word) in
        [("{", "not JSON"), ("{}", "no field schema"), (&of_one, "no field processes")]
    {
        let (code, output, errors) = ran(&["webhook-mtls", "check", "--fleet", "-"], input);
        assert_eq!((code, output.as_str()), (2, ""), "{errors}");
        let line = on_one_line(&errors);
        assert!(line.contains("--fleet") && line.contains(word), "{word}: {errors}");
    }
    let (code, _, errors) = ran(&["webhook-mtls", "check", "--fleet", "missing.json"], "");
    assert_eq!(code, 3, "{errors}");
    // Without endpoints, no request is made.
    let (code, _, errors) =
        ran(&["webhook-mtls", "check", "--fleet", "-", "--request", "head"], &of_one);
    assert_eq!(code, 2, "{errors}");
    assert!(errors.contains("--config"), "{errors}");
    assert_eq!(ran(&["webhook-mtls", "check"], "").0, 2);
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
