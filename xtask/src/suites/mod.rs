//! `cargo xtask test`: runs every suite in order, and prints each closing line and a table at the
//! end.
//!
//! After a failed suite, the others still run, so that one run shows all failures.

mod command;
mod deny;
pub(crate) mod dev;
mod egress;
mod examples;
pub(crate) mod fleet;
pub(crate) mod forks;
pub(crate) mod fuzz;
mod health;
mod instructions;
pub(crate) mod issuance;
mod leak_check;
pub(crate) mod misconfigurations;
pub(crate) mod model;
pub(crate) mod outcomes;
mod packages;
mod paths;
pub(crate) mod peers;
mod pytest;
mod receivers;
pub(crate) mod rotation;
mod sanitizers;
mod services;
pub(crate) mod spire;
pub(crate) mod steady;
pub(crate) mod structure;
pub(crate) mod vectors;

use std::time::{Duration, Instant};

use crate::command::{Failure, Output, Result, shown_duration};
use crate::generate::header;
use crate::languages::Languages;
use crate::languages::c_programs;
use crate::languages::rust;
use crate::profile::Profile;
use crate::site;
use crate::table::Table;
use crate::terminal::{self, fitted};
use crate::toolchain::Toolchain;

/// A suite: its name, its description, and its function, which returns the closing line.
struct Suite {
    name: &'static str,
    about: &'static str,
    run: fn(&Languages) -> Result<String>,
}

/// Quick suites come first, so that a small error shows before a build. Those of `NEED_BUILDS_FOR_USERS` come
/// last, because these builds run beside the others.
const SUITES: [Suite; 26] = [
    Suite { name: "fmt", about: "Rust formatting", run: |_| rust::format() },
    Suite { name: "clippy", about: "Rust lints, as errors", run: |_| rust::lint() },
    Suite { name: "deny", about: "licenses, banned crates, sources", run: |_| deny::run() },
    Suite {
        name: "structure",
        about: "rooms of the core: no import runs upward",
        run: |_| structure::test(),
    },
    Suite { name: "rust", about: "cargo test", run: |_| rust::test() },
    Suite {
        name: "paths",
        about: "certificate paths: x509-limbo, PKITS, generated chains",
        run: |languages| paths::test(&languages.toolchain),
    },
    Suite {
        name: "fuzz",
        about: "mutated input of every parser, and chains for every verifier",
        run: |languages| fuzz::test(&languages.toolchain),
    },
    Suite {
        name: "header",
        about: "headers and reference pages are current",
        run: |_| header::check(),
    },
    Suite {
        name: "docs",
        about: "the documentation site builds, and each link leads somewhere",
        run: |languages| site::test(&languages.toolchain),
    },
    Suite {
        name: "c",
        about: "C11 to C23 and C++20, two compilers, valgrind",
        run: |languages| c_programs::test(&languages.toolchain, languages.c()?),
    },
    Suite {
        name: "sanitizers",
        about: "C programs and library: addresses, leaks, undefined behavior, threads",
        run: sanitizers::test,
    },
    Suite {
        name: "python",
        about: "ruff, mypy, pytest on the installed wheel",
        run: |languages| languages.python()?.test(),
    },
    Suite {
        name: "node",
        about: "tsc, node --test on the installed tarball",
        run: |languages| languages.node()?.test(),
    },
    Suite { name: "vectors", about: "the shared cases in four languages", run: vectors::test },
    Suite {
        name: "examples",
        about: "every program of examples/, as the pages show it",
        run: examples::test,
    },
    Suite { name: "egress", about: "misleading name servers", run: egress::test },
    Suite {
        name: "misconfigurations",
        about: "faults of users and consumers: what errors say",
        run: misconfigurations::test,
    },
    Suite {
        name: "command",
        about: "the command beside openssl, curl, Node, Python and Chromium",
        run: command::test,
    },
    Suite {
        name: "outcomes",
        about: "hostile receivers: reports compared with the facts",
        run: outcomes::test,
    },
    Suite { name: "peers", about: "nine real servers, from nginx to Node", run: peers::test },
    Suite {
        name: "receivers",
        about: "applications behind six real proxies: nothing forged passes",
        run: receivers::test,
    },
    Suite {
        name: "issuance",
        about: "a real step-ca renews both sides while four languages deliver",
        run: issuance::test,
    },
    Suite {
        name: "health",
        about: "Prometheus beside Celery and a cluster, alert rules, 1000 consumers",
        run: health::test,
    },
    Suite {
        name: "fleet",
        about: "Celery, Dramatiq, BullMQ: workers, broker and consumers die, nothing is lost",
        run: fleet::test,
    },
    Suite {
        name: "packages",
        about: "every package, installed in an empty folder without Rust",
        run: packages::test,
    },
    Suite {
        name: "instructions",
        about: "instructions of the hot paths, by callgrind",
        run: instructions::test,
    },
];

const NEED_BUILDS_FOR_USERS: [&str; 2] = ["packages", "instructions"];

/// Suites that run only if they are named.
const NAMED: [Suite; 1] = [Suite {
    name: "spire",
    about: "a real SPIRE issues to both sides while four languages deliver (only if named)",
    run: spire::test,
}];

/// Returns the suites that can be named.
fn all() -> impl Iterator<Item = &'static Suite> {
    SUITES.iter().chain(&NAMED)
}

/// Runs the named suites, or all of `SUITES`. The last printed line counts them.
pub(crate) fn run(names: &[&str]) -> Result {
    if names == ["--list"] {
        for suite in all() {
            println!("  {:<17} {}", suite.name, suite.about);
        }
        return Ok(());
    }
    let chosen = choose(names)?;
    let languages = Languages::new(Toolchain::find()?, Profile::Dev);
    languages.toolchain.show();
    // A run that begins with such a suite would only wait for them.
    if chosen.iter().skip(1).any(|suite| NEED_BUILDS_FOR_USERS.contains(&suite.name)) {
        languages.begin_for_users();
    }
    let mut results = Vec::new();
    for suite in chosen {
        terminal::headline(&format!("{}: {}", suite.name, suite.about));
        let started = Instant::now();
        let outcome = (suite.run)(&languages);
        match &outcome {
            Ok(closing) => println!("  {} {closing}", terminal::green(suite.name)),
            Err(failure) => failure.show(),
        }
        results.push(Finished { name: suite.name, outcome, took: started.elapsed() });
    }
    close(&results, std::env::var_os("CI").is_some())
}

struct Finished {
    name: &'static str,
    outcome: Result<String>,
    took: Duration,
}

const PASSED: &str = "passed";
const FAILED: &str = "FAILED";
const SKIPPED: &str = "SKIPPED";

impl Finished {
    fn word(&self) -> &'static str {
        match &self.outcome {
            Ok(_) => PASSED,
            Err(failure) if failure.is_skipped() => SKIPPED,
            Err(_) => FAILED,
        }
    }
}

/// Returns the closing line `NAME: N passed, …` of a suite's program. Fails if it passed fewer cases.
pub(crate) fn passed_at_least(name: &str, least: u32, output: Output) -> Result<String> {
    let prefix = format!("{name}: ");
    let Some(closing) = output.last_line().strip_prefix(&prefix).map(str::to_owned) else {
        return Err(Failure::with_output(format!("{name} has no closing line"), output.all));
    };
    let passed = closing.split(' ').next().and_then(|count| count.parse::<u32>().ok());
    if passed.is_none_or(|passed| passed < least) {
        return Err(Failure::new(format!("{closing}, expected at least {least} passed")));
    }
    Ok(closing)
}

fn choose(names: &[&str]) -> Result<Vec<&'static Suite>> {
    if names.is_empty() {
        return Ok(SUITES.iter().collect());
    }
    names
        .iter()
        .map(|name| {
            all().find(|suite| suite.name == *name).ok_or_else(|| {
                let known: Vec<&str> = all().map(|suite| suite.name).collect();
                Failure::new(format!("no suite {name}; known: {}", known.join(", ")))
            })
        })
        .collect()
}

/// Prints the table and, as the last line, the counts. Under CI a skipped suite fails the run.
fn close(results: &[Finished], is_ci: bool) -> Result {
    let count = |word: &str| results.iter().filter(|result| result.word() == word).count();
    let (passed, failed, skipped) = (count(PASSED), count(FAILED), count(SKIPPED));
    terminal::headline("Suites");
    print!("\n{}", summary(results).render());
    let skips = if skipped == 0 { String::new() } else { format!(", {skipped} skipped") };
    println!("\n{passed} passed, {failed} failed{skips}");
    let is_fatal = failed > 0 || (is_ci && skipped > 0);
    if is_fatal { Err(Failure::already_shown()) } else { Ok(()) }
}

fn summary(results: &[Finished]) -> Table {
    let mut table = Table::new(&["suite", "result", "time", "closing line"]);
    for result in results {
        let closing = match &result.outcome {
            Ok(closing) => closing.as_str(),
            Err(failure) => failure.what().lines().next().unwrap_or_default(),
        };
        let time = shown_duration(result.took);
        table.row([result.name, result.word(), &time, &fitted(closing, 62)]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::{Finished, SUITES, choose, close, passed_at_least, summary};
    use crate::command::{Failure, Output};
    use std::time::Duration;

    fn passed(name: &'static str) -> Finished {
        let outcome = Ok("12 passed, 0 failed".to_owned());
        Finished { name, outcome, took: Duration::from_secs(3) }
    }

    fn failed(name: &'static str) -> Finished {
        let outcome = Err(Failure::new("it broke\nand more"));
        Finished { name, outcome, took: Duration::from_secs(3) }
    }

    #[test]
    fn one_failed_suite_fails_the_run() {
        assert!(close(&[passed("fmt"), passed("rust")], false).is_ok());
        assert!(close(&[passed("fmt"), failed("rust"), passed("c")], false).is_err());
    }

    #[test]
    fn a_suite_that_skipped_is_counted_apart_and_fails_under_ci() {
        let skipped =
            || Finished { outcome: Err(Failure::skipped("no namespace")), ..passed("egress") };
        assert_eq!(skipped().word(), "SKIPPED");
        assert!(close(&[passed("fmt"), skipped()], false).is_ok());
        assert!(close(&[passed("fmt"), skipped()], true).is_err());
    }

    #[test]
    fn the_closing_line_is_the_last_of_standard_output() {
        let stdout = "a table\nsite: 4 passed, 0 failed\n".to_owned();
        let all = format!("{stdout}Ran 4 tests in 20.966s\n\nOK\n");
        let closing = passed_at_least("site", 4, Output { stdout, all }).unwrap();
        assert_eq!(closing, "4 passed, 0 failed");
    }

    #[test]
    fn the_summary_has_a_line_for_each_suite_and_fits() {
        let long = Finished { outcome: Ok("x".repeat(200)), ..passed("vectors") };
        let text = summary(&[passed("fmt"), failed("rust"), long]).render();
        assert_eq!(text.lines().count(), 5, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        assert!(text.contains("FAILED   3.0 s   it broke\n"), "{text}");
    }

    #[test]
    fn a_suite_is_chosen_by_name_and_an_unknown_one_refused() {
        assert_eq!(choose(&[]).unwrap().len(), SUITES.len());
        assert_eq!(choose(&["peers"]).unwrap()[0].name, "peers");
        assert!(choose(&["pears"]).err().unwrap().what().contains("peers"));
    }
}
