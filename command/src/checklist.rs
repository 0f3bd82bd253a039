//! `check`: the six questions of the debugging checklist, for every endpoint of a fleet. With `--fleet`, what
//! its processes know.

use clap::{Arg, ArgMatches, Command};
use serde_json::{Value, json};
use webhook_mtls::diagnosis::{Check, CheckStatus, DiagnosisRequest, Report};

use crate::SCHEMA;
use crate::cli::{is_json, json_option, strict_option, text, value};
use crate::console::Console;
use crate::diagnose::exit as exit_of;
use crate::exit::{Exit, Failure};
use crate::fleet::{self, Entry, worst};
use crate::fleet_status;
use crate::screen::{Mark, Screen};

/// A question of the checklist: its name, its column, what a person reads, and the checks that answer it.
struct Question {
    name: &'static str,
    column: &'static str,
    title: &'static str,
    checks: &'static [Check],
}

/// The endpoints that one part of the output names. More do not fit one screen.
const MOST: usize = 20;

/// The word in place of a request.
const DECLINED: &str = "none";

const QUESTIONS: [Question; 6] = [
    Question {
        name: "certificate_required",
        column: "requires",
        title: "the listener requires our certificate, and does not only request it",
        checks: &[Check::HandshakeRequested, Check::VerdictRequired],
    },
    Question {
        name: "no_public_roots",
        column: "roots",
        title: "our trust has no public roots",
        checks: &[Check::TrustReadable, Check::TrustPublicRoots],
    },
    Question {
        name: "identity_forwarded",
        column: "forwards",
        title: "our identity reaches the application, through any load balancer",
        checks: &[Check::HandshakeSchemes, Check::VerdictCertificate, Check::VerdictHttp],
    },
    Question {
        name: "expiry",
        column: "expiry",
        title: "nothing expires soon",
        checks: &[Check::IdentityDates, Check::TrustAnchors, Check::HandshakeDates],
    },
    Question {
        name: "rotation_overlaps",
        column: "overlaps",
        title: "rotations overlap",
        checks: &[Check::IdentityChain, Check::HandshakeAuthorities, Check::HandshakeChain],
    },
    Question {
        name: "pins_staged",
        column: "pins",
        title: "pins are a set, and the next one is staged",
        checks: &[Check::HandshakePins],
    },
];

pub(crate) fn command() -> Command {
    Command::new("check")
        .about("Answer the debugging checklist for a fleet, with an exit code for CI")
        .arg(
            value("config", "FILE", "The endpoints of the fleet (TOML), which are asked")
                .required_unless_present("fleet"),
        )
        .arg(value("fleet", "FILE", "The merged status of the processes (JSON), or - for standard input"))
        .arg(request().requires("config"))
        .arg(strict_option())
        .arg(json_option())
        .after_help(
            "A row of the table is an endpoint, and a column is a question. Each endpoint gets a request \
             without a payload: a server that requests a certificate and does not require it, or that judges \
             ours late, shows it only then.

With --fleet, four questions go to what `merge` of the library made of the statuses of all processes: is each \
status fresh, is a circuit open, which consumers are behind, and which identities are still needed.

Examples:
  webhook-mtls check --config fleet.toml
  webhook-mtls check --config fleet.toml --request head --strict --json
  webhook-mtls check --fleet status.json --strict",
        )
}

/// Returns the option for the request, which is made unless it is declined.
fn request() -> Arg {
    let requests = DiagnosisRequest::ALL.iter().map(|request| request.name());
    let help = "The request without a payload [default: options]";
    value("request", "METHOD", help)
        .value_parser(requests.chain([DECLINED]).collect::<Vec<&str>>())
        .default_value(DiagnosisRequest::Options.name())
        .hide_default_value(true)
}

/// One answer to a question.
pub(crate) struct Answer {
    /// The consumer, or what else the question is about.
    pub(crate) name: String,
    pub(crate) status: CheckStatus,
    pub(crate) summary: String,
}

impl Answer {
    /// Whether another fault ended the diagnosis before.
    fn is_unreached(&self) -> bool {
        self.status == CheckStatus::NotReached
            && (self.summary.is_empty() || self.summary.starts_with("not reached"))
    }
}

pub(crate) fn run(matches: &ArgMatches, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let is_strict = matches.get_flag("strict");
    let asked = match text(matches, "fleet") {
        Some(file) => fleet_status::questions(file, console)?.into(),
        None => Vec::new(),
    };
    let Some(file) = text(matches, "config") else {
        let exit = fleet_status::exit(&asked, is_strict);
        return shown(&[], &asked, exit, matches, console);
    };
    let answers = answers(file, matches, console)?;
    let exits = answers.iter().map(|(_, exit)| *exit);
    let exit = worst(exits.chain([fleet_status::exit(&asked, is_strict)]));
    shown(&answers, &asked, exit, matches, console)
}

/// The answers for an endpoint, and its exit.
type Answers = ([Answer; 6], Exit);

/// Asks the consumers of a file.
fn answers(
    file: &str,
    matches: &ArgMatches,
    console: &mut Console<'_>,
) -> Result<Vec<Answers>, Failure> {
    let is_strict = matches.get_flag("strict");
    let request = text(matches, "request").filter(|request| *request != DECLINED);
    let entries = fleet::read(file, request, console)?;
    let mut answers: Vec<Option<Answers>> = entries.iter().map(|_| None).collect();
    fleet::each(&entries, console, |at, entry, report| {
        let six = QUESTIONS.each_ref().map(|question| answer(question, entry, report));
        let warns = six.iter().any(|answer| answer.status == CheckStatus::Warning);
        let exit = match exit_of(report, is_strict) {
            Exit::Well if warns && is_strict => Exit::Warnings,
            exit => exit,
        };
        answers[at] = Some((six, exit));
    })?;
    Ok(answers.into_iter().flatten().collect())
}

/// Shows the answers. There are none of endpoints if the command has no file of them.
fn shown(
    answers: &[Answers],
    asked: &[fleet_status::Question],
    exit: Exit,
    matches: &ArgMatches,
    console: &mut Console<'_>,
) -> Result<Exit, Failure> {
    let has_endpoints = matches.contains_id("config");
    if is_json(matches) {
        let questions = if has_endpoints { questions_json(answers) } else { Vec::new() };
        console.print_json(&json!({
            "schema": SCHEMA,
            "command": "check",
            "ok": exit == Exit::Well,
            "exit": exit.code(),
            "questions": questions,
            "fleet": fleet_status::to_json(asked),
        }))?;
        return Ok(exit);
    }
    let mut screen = Screen::new(console);
    if has_endpoints {
        // In a narrow window, the questions below name the endpoints that are not well.
        if screen.fits_table(QUESTIONS.len()) {
            table(answers, &mut screen);
        }
        for (at, Question { column, title, .. }) in QUESTIONS.iter().enumerate() {
            show(column, title, answers.iter().map(|(six, _)| &six[at]), &mut screen);
        }
    }
    fleet_status::show(asked, &mut screen);
    let text = screen.finish();
    console.print(&text)?;
    Ok(exit)
}

/// Shows a row for each endpoint. Of a fleet that does not fit one screen, those that are well are counted.
fn table(answers: &[Answers], screen: &mut Screen) {
    screen.heading("", &QUESTIONS.each_ref().map(|question| question.column));
    let is_unwell = |six: &[Answer; 6]| six.iter().any(|answer| !is_well(answer.status));
    let fits = answers.len() <= MOST;
    let shown = answers.iter().filter(|(six, _)| fits || is_unwell(six)).take(MOST);
    let mut rows = 0;
    for (six, _) in shown {
        screen.row(&six[0].name, &six.each_ref().map(|answer| mark(answer.status)));
        rows += 1;
    }
    let well = answers.iter().filter(|(six, _)| !is_unwell(six)).count();
    if !fits {
        screen.title(&format!("{} more, of which {well} are well", answers.len() - rows));
    }
    screen.blank();
}

fn is_well(status: CheckStatus) -> bool {
    matches!(status, CheckStatus::Passed | CheckStatus::Skipped)
}

fn mark(status: CheckStatus) -> Mark {
    match status {
        CheckStatus::Passed | CheckStatus::Skipped => Mark::Ok,
        CheckStatus::Warning => Mark::Warning,
        CheckStatus::Failed => Mark::Fault,
        CheckStatus::NotReached => Mark::Info,
    }
}

fn answer(question: &Question, entry: &Entry, report: &Report) -> Answer {
    let name = entry.consumer.clone();
    let results = question.checks.iter().filter_map(|check| report.check(*check));
    let worst = results.max_by_key(|result| rank(result.status()));
    let (status, summary) = match worst {
        Some(result) => (result.status(), result.summary().to_owned()),
        None => (CheckStatus::NotReached, String::new()),
    };
    // To have no pins, or no next one, is allowed, and stops deliveries at the next rotation.
    let is_unstaged = question.name == "pins_staged"
        && is_well(status)
        && !summary.contains("the next key is staged");
    let status = if is_unstaged { CheckStatus::Warning } else { status };
    Answer { name, status, summary }
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

/// Shows how many answers to a question are well, and the others by name.
pub(crate) fn show<'a>(
    column: &str,
    title: &str,
    answers: impl Iterator<Item = &'a Answer> + Clone,
    screen: &mut Screen,
) {
    let count = answers.clone().count();
    let unwell = answers.filter(|answer| !is_well(answer.status));
    let worst = unwell.clone().max_by_key(|answer| rank(answer.status));
    let bad = unwell.clone().count();
    let title = format!("{column}: {title}: {} of {count}", count - bad);
    screen.mark(worst.map_or(Mark::Ok, |answer| mark(answer.status)), &title);
    // Another question has the fault that ended the diagnosis of the others.
    let told = unwell.filter(|answer| !answer.is_unreached());
    let count = told.clone().count();
    for answer in told.take(MOST) {
        screen.note(&format!("{}: {}", answer.name, answer.summary));
    }
    if count > MOST {
        screen.note(&format!("and {} more", count - MOST));
    }
    if bad > count {
        screen.note(&format!("not reached because of another fault: {}", bad - count));
    }
}

fn questions_json(answers: &[Answers]) -> Vec<Value> {
    QUESTIONS
        .iter()
        .enumerate()
        .map(|(at, question)| {
            let endpoints: Vec<Value> = answers
                .iter()
                .map(|(six, _)| &six[at])
                .map(|answer| {
                    json!({
                        "consumer": answer.name,
                        "status": answer.status.name(),
                        "summary": answer.summary,
                    })
                })
                .collect();
            json!({ "name": question.name, "title": question.title, "endpoints": endpoints })
        })
        .collect()
}
