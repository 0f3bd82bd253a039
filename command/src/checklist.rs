//! `check`: the six questions of the debugging checklist, for every endpoint of a fleet.

use clap::{ArgMatches, Command};
use serde_json::{Value, json};
use webhook_mtls::diagnosis::{Check, CheckStatus, Report};

use crate::SCHEMA;
use crate::cli::{is_json, json_option, strict_option, text, value};
use crate::console::Console;
use crate::diagnose::{exit as exit_of, request_option};
use crate::exit::{Exit, Failure};
use crate::fleet::{self, Entry, worst};
use crate::screen::{Mark, Screen};

/// A question of the checklist: its name, what a person reads, and the checks that answer it.
struct Question {
    name: &'static str,
    title: &'static str,
    checks: &'static [Check],
}

const QUESTIONS: [Question; 6] = [
    Question {
        name: "certificate_requested",
        title: "the listener asks for our certificate",
        checks: &[Check::HandshakeRequested],
    },
    Question {
        name: "no_public_roots",
        title: "trust holds no public roots",
        checks: &[Check::TrustReadable, Check::TrustPublicRoots],
    },
    Question {
        name: "identity_forwarded",
        title: "the balancer forwards our identity",
        checks: &[Check::HandshakeSchemes, Check::VerdictCertificate, Check::VerdictHttp],
    },
    Question {
        name: "expiry",
        title: "nothing expires soon",
        checks: &[Check::IdentityDates, Check::TrustAnchors, Check::HandshakeDates],
    },
    Question {
        name: "rotation_overlaps",
        title: "rotations overlap",
        checks: &[Check::IdentityChain, Check::HandshakeAuthorities, Check::HandshakeChain],
    },
    Question {
        name: "pins_staged",
        title: "pins are a set, and the next one is staged",
        checks: &[Check::HandshakePins],
    },
];

pub(crate) fn command() -> Command {
    Command::new("check")
        .about("Answer the debugging checklist for a fleet, with an exit code for CI")
        .arg(value("config", "FILE", "The endpoints of the fleet (TOML)").required(true))
        .arg(request_option())
        .arg(strict_option())
        .arg(json_option())
        .after_help(
            "Each line is one question for all endpoints; faults and warnings name the endpoint.

Examples:
  webhook-mtls check --config fleet.toml
  webhook-mtls check --config fleet.toml --request options --strict --json",
        )
}

/// The answer for one endpoint.
struct Answer {
    consumer: String,
    status: CheckStatus,
    summary: String,
}

pub(crate) fn run(matches: &ArgMatches, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let file = text(matches, "config").unwrap_or_default();
    let is_strict = matches.get_flag("strict");
    let entries = fleet::read(file, text(matches, "request"), console)?;
    let mut answers: Vec<Option<([Answer; 6], Exit)>> = entries.iter().map(|_| None).collect();
    fleet::each(&entries, console, |at, entry, report| {
        let six = QUESTIONS.each_ref().map(|question| answer(question, entry, report));
        let warns = six.iter().any(|answer| answer.status == CheckStatus::Warning);
        let exit = match exit_of(report, is_strict) {
            Exit::Well if warns && is_strict => Exit::Warnings,
            exit => exit,
        };
        answers[at] = Some((six, exit));
    })?;
    let answers: Vec<([Answer; 6], Exit)> = answers.into_iter().flatten().collect();
    let exit = worst(answers.iter().map(|(_, exit)| *exit));
    if is_json(matches) {
        console.print_json(&to_json(&answers, exit))?;
        return Ok(exit);
    }
    let mut screen = Screen::new(console);
    for (at, question) in QUESTIONS.iter().enumerate() {
        show(question, answers.iter().map(|(six, _)| &six[at]), &mut screen);
    }
    let text = screen.finish();
    console.print(&text)?;
    Ok(exit)
}

fn answer(question: &Question, entry: &Entry, report: &Report) -> Answer {
    let consumer = entry.consumer.clone();
    let results = question.checks.iter().filter_map(|check| report.check(*check));
    let worst = results.max_by_key(|result| rank(result.status()));
    let (status, summary) = match worst {
        Some(result) => (result.status(), result.summary().to_owned()),
        None => (CheckStatus::NotReached, String::new()),
    };
    // To have no pins, or no next one, is allowed, and stops deliveries at the next rotation.
    let is_unstaged = question.name == "pins_staged"
        && matches!(status, CheckStatus::Passed | CheckStatus::Skipped)
        && !summary.contains("the next key is staged");
    let status = if is_unstaged { CheckStatus::Warning } else { status };
    Answer { consumer, status, summary }
}

fn rank(status: CheckStatus) -> u8 {
    match status {
        CheckStatus::Failed => 4,
        CheckStatus::Warning => 3,
        CheckStatus::NotReached => 2,
        CheckStatus::Passed => 1,
        CheckStatus::Skipped => 0,
    }
}

/// The fleets that fit one screen name every endpoint that is not well.
fn show<'a>(
    question: &Question,
    answers: impl Iterator<Item = &'a Answer> + Clone,
    screen: &mut Screen,
) {
    const MOST: usize = 20;
    let count = answers.clone().count();
    let unwell = answers.filter(|answer| rank(answer.status) > rank(CheckStatus::Passed));
    let worst = unwell.clone().map(|answer| rank(answer.status)).max().unwrap_or_default();
    let mark = match worst {
        4 => Mark::Fault,
        3 => Mark::Warning,
        2 => Mark::Info,
        _ => Mark::Ok,
    };
    let bad = unwell.clone().count();
    screen.mark(mark, &format!("{}: {} of {count}", question.title, count - bad));
    for answer in unwell.take(MOST) {
        let why = if answer.summary.is_empty() { "not reached" } else { &answer.summary };
        screen.note(&format!("{}: {why}", answer.consumer));
    }
    if bad > MOST {
        screen.note(&format!("and {} more", bad - MOST));
    }
}

fn to_json(answers: &[([Answer; 6], Exit)], exit: Exit) -> Value {
    let questions: Vec<Value> = QUESTIONS
        .iter()
        .enumerate()
        .map(|(at, question)| {
            let endpoints: Vec<Value> = answers
                .iter()
                .map(|(six, _)| &six[at])
                .map(|answer| {
                    json!({
                        "consumer": answer.consumer,
                        "status": answer.status.name(),
                        "summary": answer.summary,
                    })
                })
                .collect();
            json!({ "name": question.name, "title": question.title, "endpoints": endpoints })
        })
        .collect();
    json!({
        "schema": SCHEMA,
        "command": "check",
        "ok": exit == Exit::Well,
        "exit": exit.code(),
        "questions": questions,
    })
}
