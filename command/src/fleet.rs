//! Many endpoints: the file that lists them, and the diagnosis of each with bounded memory.
//!
//! A table of the file has the options of `diagnose` by their long names, so the file has no rules of its
//! own.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::mpsc;

use clap::ArgMatches;
use serde_json::{Value, json};
use toml::{Table, Value as Toml};
use webhook_mtls::bindings::limits::MATERIAL;
use webhook_mtls::bindings::runtime;
use webhook_mtls::diagnosis::Report;
use webhook_mtls::error::Error;

use crate::SCHEMA;
use crate::cli::{is_json, text};
use crate::console::Console;
use crate::diagnose::{Prepared, command, exit as exit_of, prepared};
use crate::exit::{Exit, Failure};
use crate::files;
use crate::screen::{Mark, Screen};

/// How many endpoints are diagnosed at once. Each has a dispatcher of its own.
const AT_ONCE: usize = 32;

/// The names of tables that the options do not have.
const OWN_KEYS: [&str; 2] = ["consumer", "url"];

/// One endpoint of the file.
pub(crate) struct Entry {
    pub(crate) consumer: String,
    url: String,
    /// The arguments of `diagnose`. Their parsed form is larger, so each run makes its own.
    arguments: Vec<OsString>,
}

impl Entry {
    /// Parses the arguments. Fails with the first line of the parser's error.
    fn matches(&self) -> Result<ArgMatches, String> {
        command().try_get_matches_from(&self.arguments).map_err(|error| {
            let text = error.render().to_string();
            text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
        })
    }
}

/// What is kept of one report.
struct Row {
    consumer: String,
    mark: Mark,
    exit: Exit,
    kind: String,
    tell: &'static str,
    message: String,
    shown: Value,
}

pub(crate) fn diagnose(
    file: &str,
    matches: &ArgMatches,
    console: &mut Console<'_>,
) -> Result<Exit, Failure> {
    let (is_strict, request) = (matches.get_flag("strict"), text(matches, "request"));
    let entries = read(file, request, console)?;
    let mut rows: Vec<Option<Row>> = entries.iter().map(|_| None).collect();
    each(&entries, console, |at, entry, report| {
        rows[at] = Some(Row::of(entry, report, is_strict));
    })?;
    let rows: Vec<Row> = rows.into_iter().flatten().collect();
    let exit = worst(rows.iter().map(|row| row.exit));
    if is_json(matches) {
        let shown: Vec<&Value> = rows.iter().map(|row| &row.shown).collect();
        console.print_json(&json!({
            "schema": SCHEMA,
            "command": "diagnose",
            "ok": exit == Exit::Well,
            "exit": exit.code(),
            "endpoints": shown,
        }))?;
        return Ok(exit);
    }
    let mut screen = Screen::new(console);
    for row in &rows {
        screen.mark(row.mark, &format!("{}: {}", row.consumer, row.message));
        if !row.kind.is_empty() {
            screen.note(&format!("{}; tell: {}", row.kind, row.tell));
        }
    }
    screen.blank();
    let well = rows.iter().filter(|row| row.mark != Mark::Fault).count();
    screen.title(&format!("{well} of {} endpoints are well", rows.len()));
    let text = screen.finish();
    console.print(&text)?;
    Ok(exit)
}

impl Row {
    fn of(entry: &Entry, report: &Report, is_strict: bool) -> Self {
        let verdict = report.verdict();
        let mark = match (report.ok(), report.warnings().next()) {
            (true, None) => Mark::Ok,
            (true, Some(_)) => Mark::Warning,
            (false, _) => Mark::Fault,
        };
        let exit = exit_of(report, is_strict);
        let warnings: Vec<&str> = report.warnings().map(|check| check.check().name()).collect();
        let full = report.to_json();
        let shown = json!({
            "consumer": entry.consumer,
            "origin": report.origin(),
            "ok": report.ok(),
            "exit": exit.code(),
            "verdict": full["verdict"],
            "findings": full["findings"],
            "warnings": warnings,
            "message_to_consumer": full["message_to_consumer"],
            "elapsed_ms": full["elapsed_ms"],
        });
        Self {
            consumer: entry.consumer.clone(),
            mark,
            exit,
            kind: verdict.kind().map(|kind| kind.name().to_owned()).unwrap_or_default(),
            tell: verdict.tell().name(),
            message: verdict.message().to_owned(),
            shown,
        }
    }
}

/// Returns the exit code for several: ours first, because it concerns more than one endpoint.
pub(crate) fn worst(exits: impl Iterator<Item = Exit>) -> Exit {
    let rank = |exit: &Exit| match exit {
        Exit::Ours => 4,
        Exit::Usage => 3,
        Exit::Theirs => 2,
        Exit::Warnings => 1,
        Exit::Well | Exit::Unread => 0,
    };
    exits.max_by_key(rank).unwrap_or(Exit::Well)
}

/// Reads the file of a fleet.
///
/// * `request`: the request without a payload for endpoints that set none.
pub(crate) fn read(
    file: &str,
    request: Option<&str>,
    console: &mut Console<'_>,
) -> Result<Vec<Entry>, Failure> {
    let bytes = files::read(file, MATERIAL, console)?;
    let content = String::from_utf8(bytes)
        .map_err(|_| Failure::machine(format_args!("{file} is not UTF-8")))?;
    let mut table: Table = content
        .parse()
        .map_err(|error| Failure::usage(format_args!("{file} is no TOML: {error}")))?;
    let defaults = match table.remove("defaults") {
        Some(Toml::Table(defaults)) => defaults,
        None => Table::new(),
        Some(_) => return Err(Failure::usage(format_args!("{file}: defaults must be a table"))),
    };
    let Some(Toml::Array(endpoints)) = table.remove("endpoint") else {
        return Err(Failure::usage(format_args!("{file} has no [[endpoint]]")));
    };
    if let Some(other) = table.keys().next() {
        let why = format!("{file} has {other:?}; it may have [defaults] and [[endpoint]]");
        return Err(Failure::usage(why));
    }
    endpoints
        .into_iter()
        .enumerate()
        .map(|(at, endpoint)| match endpoint {
            Toml::Table(own) => entry(at + 1, &defaults, &own, request)
                .map_err(|why| Failure::usage(format_args!("{file}, endpoint {}: {why}", at + 1))),
            _ => Err(Failure::usage(format_args!("{file}: endpoint must be a table"))),
        })
        .collect()
}

fn entry(
    number: usize,
    defaults: &Table,
    own: &Table,
    request: Option<&str>,
) -> Result<Entry, String> {
    let mut merged: HashMap<&str, &Toml> = HashMap::new();
    merged.extend(defaults.iter().map(|(name, value)| (name.as_str(), value)));
    merged.extend(own.iter().map(|(name, value)| (name.as_str(), value)));
    let url = match merged.get("url") {
        Some(Toml::String(url)) => url.clone(),
        _ => return Err("url is missing".to_owned()),
    };
    let consumer = match merged.get("consumer") {
        Some(Toml::String(consumer)) => consumer.clone(),
        _ => format!("endpoint {number}"),
    };
    let mut arguments: Vec<OsString> = vec!["diagnose".into(), (&url).into()];
    let mut names: Vec<&str> = merged.keys().copied().collect();
    names.sort_unstable();
    for name in names.into_iter().filter(|name| !OWN_KEYS.contains(name)) {
        add(name, merged[name], &mut arguments)?;
    }
    if let Some(request) = request.filter(|_| !merged.contains_key("request")) {
        arguments.extend(["--request".into(), request.into()]);
    }
    let entry = Entry { consumer, url, arguments };
    entry.matches()?;
    Ok(entry)
}

/// Adds an option with its value, which is a text, a number, a list or true.
fn add(name: &str, value: &Toml, arguments: &mut Vec<OsString>) -> Result<(), String> {
    let mut push = |value: String| arguments.push(format!("--{name}={value}").into());
    match value {
        Toml::String(text) => push(text.clone()),
        Toml::Integer(number) => push(number.to_string()),
        Toml::Float(number) => push(number.to_string()),
        Toml::Boolean(true) => arguments.push(format!("--{name}").into()),
        Toml::Boolean(false) => {}
        Toml::Array(values) => {
            for value in values {
                let Toml::String(text) = value else {
                    return Err(format!("{name} must be a list of texts"));
                };
                push(text.clone());
            }
        }
        _ => return Err(format!("{name} must be a text, a number, a list of texts or true")),
    }
    Ok(())
}

/// Diagnoses each endpoint, several at once, and passes on each report as it comes.
pub(crate) fn each(
    entries: &[Entry],
    console: &mut Console<'_>,
    done: impl FnMut(usize, &Entry, &Report),
) -> Result<(), Failure> {
    let outcome = each_shown(entries, console, done);
    console.progress("");
    outcome
}

/// The same, but the line of the progress stays.
fn each_shown(
    entries: &[Entry],
    console: &mut Console<'_>,
    mut done: impl FnMut(usize, &Entry, &Report),
) -> Result<(), Failure> {
    let (finished, reports) = mpsc::channel::<(usize, Result<Report, Error>)>();
    let (mut running, mut count) = (0, 0);
    let mut take = |count: &mut usize, console: &mut Console<'_>| -> Result<(), Failure> {
        let Ok((at, report)) = reports.recv() else { return Ok(()) };
        *count += 1;
        console.progress(&format!("{count} of {} endpoints", entries.len()));
        done(at, &entries[at], &report?);
        Ok(())
    };
    for (at, entry) in entries.iter().enumerate() {
        while running >= AT_ONCE {
            take(&mut count, console)?;
            running -= 1;
        }
        let finished = finished.clone();
        let matches = entry.matches().map_err(Failure::usage)?;
        match prepared(&entry.url, &matches, console)? {
            Prepared::Target(target, options) => {
                let diagnosis = target.dispatcher.diagnose(&target.endpoint, options);
                runtime::spawn(diagnosis, move |report| {
                    drop(target);
                    let _ = finished.send((at, report));
                })?;
            }
            Prepared::Unusable(report) => drop(finished.send((at, Ok(report)))),
        }
        running += 1;
    }
    while running > 0 {
        take(&mut count, console)?;
        running -= 1;
    }
    Ok(())
}
