//! `cargo xtask soak`: runs the long tests in rounds, and adds a dated entry to `docs/soak.md`. A
//! round runs every vector in every language, the C runner under valgrind, every cut of a
//! connection, ten thousand deliveries with a memory check, file rotation during deliveries, a
//! hundred thousand random calls during deliveries, and the real peers. Many rounds find rare
//! failures. Before the first round, each fuzz target runs for ten minutes, or for a sixth of a
//! shorter soak, and processes with busy threads fork 20 000 times in each language that can. A soak of
//! an hour or more then runs the suite `spire`, and makes all packages with their slow proofs (`cargo xtask
//! package --all`).

use std::time::{Duration, Instant};

use crate::command::{Failure, Result, Step, shown_duration};
use crate::languages::Languages;
use crate::languages::c_programs::{self, Linkage};
use crate::packages;
use crate::paths;
use crate::profile::Profile;
use crate::suites::fleet as queues;
use crate::suites::forks;
use crate::suites::fuzz;
use crate::suites::issuance;
use crate::suites::model;
use crate::suites::outcomes;
use crate::suites::peers;
use crate::suites::rotation;
use crate::suites::spire;
use crate::suites::steady;
use crate::suites::vectors;
use crate::terminal;
use crate::toolchain::Toolchain;

const MINUTES: u64 = 60;

/// The time of each target under libFuzzer, unless the caller sets it.
const FUZZ_MINUTES: u64 = 10;

pub(crate) fn run(minutes: Option<&str>) -> Result {
    let minutes = minutes.map_or(Ok(MINUTES), number_of_minutes)?;
    let languages = Languages::new(Toolchain::find()?, Profile::Shipped);
    languages.toolchain.show();
    let started = Instant::now();
    let fuzzed = fuzz::soak(&languages.toolchain, seconds_of_fuzzing(minutes));
    let forked = fuzzed.and_then(|_| forks::test(&languages));
    let packed = forked.and_then(|line| {
        println!("  {line}");
        if minutes < MINUTES {
            return Ok(());
        }
        let line = spire::test(&languages)?;
        record(&format!("- {}: SPIRE, {line}\n", today()?))?;
        packages::prove_slowly(&languages)
    });
    if let Err(failure) = packed {
        let why = failure.what().lines().next().unwrap_or_default();
        record(&entry(&today()?, 0, started.elapsed(), Some(why)))?;
        return Err(failure);
    }
    let mut rounds = 0;
    // At least one round, even if the time is short.
    while rounds == 0 || started.elapsed() < Duration::from_secs(minutes * 60) {
        rounds += 1;
        terminal::headline(&format!("Round {rounds}, after {}", shown_duration(started.elapsed())));
        if let Err(failure) = round(&languages) {
            let why = failure.what().lines().next().unwrap_or_default();
            record(&entry(&today()?, rounds, started.elapsed(), Some(why)))?;
            return Err(failure);
        }
    }
    record(&entry(&today()?, rounds, started.elapsed(), None))
}

/// `cargo xtask soak MINUTES fleet`: delivers through each queue, and compares the memory of all processes.
pub(crate) fn fleet(minutes: &str) -> Result {
    let minutes = number_of_minutes(minutes)?;
    let languages = Languages::new(Toolchain::find()?, Profile::Shipped);
    languages.toolchain.show();
    for line in queues::soak(&languages, minutes)? {
        record(&format!("- {}: {line}, in {minutes} minutes\n", today()?))?;
    }
    Ok(())
}

/// `cargo xtask fleet EVENTS CONSUMERS [QUEUE ...]`: delivers each event to each consumer through each queue, or
/// the named ones, while processes are killed.
pub(crate) fn killed_fleet(events: &str, consumers: &str, names: &[&str]) -> Result {
    let number = |text: &str, least| match text.parse() {
        Ok(number) if number >= least => Ok(number),
        _ => Err(Failure::new(format!("fleet takes a number of {least} or more, not {text}"))),
    };
    // Each kind of consumer and each kind of death needs some.
    let (events, consumers) = (number(events, 40)?, number(consumers, 20)?);
    if let Some(unknown) = names.iter().find(|name| !queues::QUEUES.contains(name)) {
        let known = queues::QUEUES.join(", ");
        return Err(Failure::new(format!("fleet takes {known}, not {unknown}")));
    }
    let names = if names.is_empty() { &queues::QUEUES[..] } else { names };
    let languages = Languages::new(Toolchain::find()?, Profile::Shipped);
    languages.toolchain.show();
    for line in queues::run(&languages, events, consumers, names)? {
        record(&format!("- {}: {line}, {events} events to {consumers} consumers\n", today()?))?;
    }
    Ok(())
}

fn number_of_minutes(text: &str) -> Result<u64> {
    text.parse().map_err(|_| Failure::new(format!("soak takes a number of minutes, not {text}")))
}

/// Returns ten minutes per target for a soak of an hour or more, else a sixth of its duration.
fn seconds_of_fuzzing(minutes: u64) -> u64 {
    (minutes * 10).clamp(10, 600)
}

/// `cargo xtask fuzz`: runs libFuzzer on every target, or on the named one, for this many minutes each.
pub(crate) fn fuzz(minutes: Option<&str>, target: Option<&str>) -> Result {
    let minutes = match minutes {
        None => FUZZ_MINUTES,
        Some(text) => text
            .parse()
            .map_err(|_| Failure::new(format!("fuzz takes a number of minutes, not {text}")))?,
    };
    let (runs, failure) = fuzz::keep(&Toolchain::find()?, minutes * 60, target)?;
    let each = if minutes == 1 { "minute" } else { "minutes" };
    let date = today()?;
    record(&format!("- {date}: libFuzzer, {minutes} {each} per target, runs: {runs}\n"))?;
    failure.map_or(Ok(()), Err)
}

fn round(languages: &Languages) -> Result {
    vectors::test(languages)?;
    let source = paths::root().join("tests").join("c").join("vectors.c");
    let library = languages.c()?;
    let runner = c_programs::compile(&languages.toolchain, library, &source, Linkage::Static)?;
    c_programs::memory_checked("vectors in c (valgrind)", &runner)?;
    outcomes::cuts(languages)?;
    println!("  {}", steady::test(languages)?);
    println!("  {}", rotation::test()?);
    println!("  {}", model::test()?);
    println!("  {}", issuance::keep(languages)?);
    peers::test(languages).map(drop)
}

/// Returns one line of the record.
fn entry(date: &str, rounds: u32, took: Duration, failure: Option<&str>) -> String {
    let verdict = failure.map_or_else(
        || "no failure".to_owned(),
        |failure| format!("round {rounds} failed: {failure}"),
    );
    let noun = if rounds == 1 { "round" } else { "rounds" };
    format!("- {date}: {rounds} {noun} in {}, {verdict}\n", shown_duration(took))
}

/// Adds one line to the record.
pub(super) fn record(entry: &str) -> Result {
    let file = paths::root().join("docs").join("soak.md");
    let heading = "# Soak\n\nResults of `cargo xtask soak`, `cargo xtask fleet`, `cargo xtask fuzz` and `cargo \
         xtask mutants`, oldest first.\n\n";
    let before = paths::read(&file).unwrap_or_else(|_| heading.to_owned());
    paths::write(&file, &format!("{before}{entry}"))?;
    println!("\n{}: {entry}", paths::shown(&file));
    Ok(())
}

pub(crate) fn today() -> Result<String> {
    let output = Step::new("date", "date").args(["-u", "+%Y-%m-%d"]).ask()?;
    Ok(output.stdout.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::entry;
    use std::time::Duration;

    #[test]
    fn an_entry_has_date_rounds_duration_and_result() {
        let hour = Duration::from_secs(3600);
        assert_eq!(
            entry("2026-11-24", 40, hour, None),
            "- 2026-11-24: 40 rounds in 60 min 00 s, no failure\n"
        );
        assert!(entry("2026-11-24", 3, hour, Some("peers")).contains("round 3 failed: peers"));
    }
}
