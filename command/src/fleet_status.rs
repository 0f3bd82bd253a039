//! `check --fleet`: four questions to the merged status of the processes that send.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use webhook_mtls::bindings::fleet::{By, FleetConsumer, FleetIdentity, FleetStatus, now_millis};
use webhook_mtls::bindings::inspection::utc_text;
use webhook_mtls::bindings::limits::LIST;
use webhook_mtls::diagnosis::CheckStatus;
use webhook_mtls::endpoint::CircuitState;

use crate::checklist::{self, Answer};
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::files;
use crate::fleet::worst;
use crate::screen::Screen;

/// The names that one line lists.
const MOST: usize = 5;

/// A question to the fleet: its name, what a person reads, the exit if the answer is a fault, and the
/// answers.
pub(crate) struct Question {
    name: &'static str,
    title: &'static str,
    fault: Exit,
    answers: Vec<Answer>,
}

/// Reads a merged status and answers the questions.
pub(crate) fn questions(file: &str, console: &mut Console<'_>) -> Result<[Question; 4], Failure> {
    let bytes = files::read(file, LIST, console)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::machine(format_args!("{file} is not UTF-8")))?;
    let status = FleetStatus::from_json(&text).map_err(|error| Failure::about(error, file))?;
    Ok(answered(&status, now_millis()))
}

/// Returns the exit code for the answers.
pub(crate) fn exit(questions: &[Question], is_strict: bool) -> Exit {
    let exits = questions.iter().flat_map(|question| {
        question.answers.iter().map(|answer| match answer.status {
            CheckStatus::Failed => question.fault,
            CheckStatus::Warning if is_strict => Exit::Warnings,
            _ => Exit::Well,
        })
    });
    worst(exits)
}

pub(crate) fn show(questions: &[Question], screen: &mut Screen) {
    for question in questions {
        checklist::show(question.name, question.title, question.answers.iter(), screen);
    }
}

pub(crate) fn to_json(questions: &[Question]) -> Value {
    let shown = |answer: &Answer| {
        json!({
            "name": answer.name,
            "status": answer.status.name(),
            "summary": answer.summary,
        })
    };
    let question = |question: &Question| {
        json!({
            "name": question.name,
            "title": question.title,
            "answers": question.answers.iter().map(shown).collect::<Vec<_>>(),
        })
    };
    questions.iter().map(question).collect()
}

fn answered(status: &FleetStatus, now_ms: i64) -> [Question; 4] {
    let of_consumers = |read: fn(&FleetConsumer) -> (CheckStatus, String)| {
        let consumers = status.consumers.iter();
        consumers.map(|(name, consumer)| answer(name, read(consumer))).collect()
    };
    let contested = contested(status);
    let of_identity = |(pin, needs): (&String, &FleetIdentity)| {
        answer(pin, identity(needs, contested.contains(pin.as_str())))
    };
    [
        Question {
            name: "statuses",
            title: "each process has published its status lately",
            fault: Exit::Ours,
            answers: statuses(status, now_ms),
        },
        Question {
            name: "circuits",
            title: "no circuit is open",
            fault: Exit::Theirs,
            answers: of_consumers(circuit),
        },
        Question {
            name: "rotations",
            title: "each consumer accepted the identity that all processes present",
            fault: Exit::Ours,
            answers: of_consumers(rotation),
        },
        Question {
            name: "identities",
            title: "no rotation needs two identities",
            fault: Exit::Ours,
            answers: status.identities.iter().map(of_identity).collect(),
        },
    ]
}

fn answer(name: &str, (status, summary): (CheckStatus, String)) -> Answer {
    Answer { name: name.to_owned(), status, summary }
}

fn statuses(status: &FleetStatus, now_ms: i64) -> Vec<Answer> {
    let outdated: BTreeMap<&str, i64> = status.outdated(now_ms).into_iter().collect();
    let premature: BTreeMap<&str, i64> = status.premature(now_ms).into_iter().collect();
    let judged = |(name, at_ms): (&String, &i64)| {
        let said = format!("its status is from {}", date(*at_ms));
        let (verdict, summary) = match () {
            () if outdated.contains_key(name.as_str()) => {
                (CheckStatus::Failed, format!("{said}: too old"))
            }
            () if premature.contains_key(name.as_str()) => {
                (CheckStatus::Failed, format!("{said}: ahead of the clock of this machine"))
            }
            () => (CheckStatus::Passed, said),
        };
        answer(name, (verdict, summary))
    };
    status.processes.iter().map(judged).collect()
}

fn circuit(consumer: &FleetConsumer) -> (CheckStatus, String) {
    let verdict = match consumer.circuit {
        CircuitState::Closed => CheckStatus::Passed,
        CircuitState::Open => CheckStatus::Failed,
        // It has tried the consumer again, and waits for the answer.
        CircuitState::HalfOpen => CheckStatus::Warning,
    };
    let state = consumer.circuit.name();
    let until = consumer.circuit_open_until_ms.map(|at_ms| format!(", until {}", date(at_ms)));
    let until = until.filter(|_| verdict == CheckStatus::Failed).unwrap_or_default();
    (
        verdict,
        format!(
            "{state} in {}{until}",
            names(consumer.circuit_by.get(state).into_iter().flatten())
        ),
    )
}

fn rotation(consumer: &FleetConsumer) -> (CheckStatus, String) {
    match consumer.state {
        "current" => (CheckStatus::Passed, "accepted the identity in use last".to_owned()),
        "unknown" => (CheckStatus::NotReached, "no process has seen an answer".to_owned()),
        _ if consumer.wanted_by.len() > 1 => {
            let presented = said(&consumer.wanted_by, "by");
            (CheckStatus::Warning, format!("processes present different identities: {presented}"))
        }
        _ => {
            let accepted = said(&consumer.accepted_by, "as seen by");
            (CheckStatus::Warning, format!("accepted an earlier identity last: {accepted}"))
        }
    }
}

/// * `is_contested`: whether a consumer needs another identity beside it.
fn identity(needs: &FleetIdentity, is_contested: bool) -> (CheckStatus, String) {
    let verdict = if is_contested { CheckStatus::Warning } else { CheckStatus::Passed };
    let presented = match needs.wanted_by.len() {
        0 => "presented by no process".to_owned(),
        _ => format!("presented by {}", names(&needs.wanted_by)),
    };
    let accepted = match needs.accepted_by.len() {
        0 => "accepted last by no consumer".to_owned(),
        _ => format!("accepted last by {}", names(&needs.accepted_by)),
    };
    (verdict, format!("{presented}; {accepted}"))
}

/// Returns the identities that are not the only one of a consumer: of these, none can be retired yet.
fn contested(status: &FleetStatus) -> BTreeSet<&str> {
    let mut contested = BTreeSet::new();
    for consumer in status.consumers.values() {
        let pins = consumer.wanted_by.keys().chain(consumer.accepted_by.keys());
        let pins: BTreeSet<&str> = pins.map(String::as_str).collect();
        if pins.len() > 1 {
            contested.extend(pins);
        }
    }
    contested
}

/// Shows what processes say: `cert-sha256/… by web-1; cert-sha256/… by web-2`.
fn said(by: &By, verb: &str) -> String {
    let shown = by.iter().map(|(said, processes)| format!("{said} {verb} {}", names(processes)));
    shown.collect::<Vec<_>>().join("; ")
}

fn names<'a>(all: impl IntoIterator<Item = &'a String>) -> String {
    let all: Vec<&str> = all.into_iter().map(String::as_str).collect();
    let shown = all.iter().copied().take(MOST).collect::<Vec<_>>().join(", ");
    if all.len() > MOST { format!("{shown} and {} more", all.len() - MOST) } else { shown }
}

fn date(at_ms: i64) -> String {
    utc_text(at_ms.div_euclid(1000))
}
