//! Runs the shared cases in all four languages: each language runs all of them, and none disagrees.

use crate::command::{Failure, Result, Step};
use crate::debian;
use crate::languages::Languages;
use crate::languages::c_programs::{self, Linkage};
use crate::languages::rust;
use crate::paths;
use crate::profile::Profile;
use crate::table::Table;
use crate::toolchain::Toolchain;

/// The minimum number of cases per group. It catches a suite that loses cases. Raise it when cases
/// are added.
const AT_LEAST: [u32; GROUPS.len()] = [720, 700, 110, 37, 440, 125];

const GROUPS: [&str; 6] = ["config", "verify", "deliver", "circuit", "forwarded", "webhook"];

/// `cargo xtask vectors`.
pub(crate) fn run() -> Result<String> {
    let languages = Languages::new(Toolchain::find()?, Profile::Dev);
    languages.toolchain.show();
    test(&languages)
}

/// Runs the four runners; returns the closing line.
pub(crate) fn test(languages: &Languages) -> Result<String> {
    let runners = runners(languages)?;
    let mut tallies = Vec::new();
    for (name, command) in &runners {
        let step = Step::new(format!("vectors in {name}"), &command[0]).args(&command[1..]);
        let output = step.env("PYTHONDONTWRITEBYTECODE", "1").run()?;
        let tally = Tally::find(name, &output.stdout).ok_or_else(|| {
            Failure::with_output(format!("the {name} runner has no closing line"), output.all)
        })?;
        tallies.push((*name, tally));
    }
    println!("\n{}", shown(&tallies).render());
    agreed(&tallies)
}

/// Returns the command of each language's runner.
pub(crate) fn runners(languages: &Languages) -> Result<[(&'static str, Vec<String>); 4]> {
    let root = paths::root();
    let source = root.join("tests").join("c").join("vectors.c");
    debian::ensure(&[debian::CJSON])?;
    let c = c_programs::compile(&languages.toolchain, languages.c()?, &source, Linkage::Static)?;
    let rust = rust::test_program("vectors")?;
    let python = root.join("bindings-python").join("tests").join("vectors.py");
    Ok([
        ("rust", vec![rust.display().to_string()]),
        ("c", vec![c.display().to_string()]),
        (
            "python",
            vec![
                languages.python()?.interpreter().display().to_string(),
                python.display().to_string(),
            ],
        ),
        ("node", languages.node()?.command("bindings-node/tests/vectors.mjs")),
    ])
}

/// The case counts that one language reports.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Tally {
    ran: [u32; GROUPS.len()],
    disagreed: u32,
}

impl Tally {
    /// Reads `vectors <name>: config N, verify N, …, disagreed N`, with a number for each group.
    fn find(name: &str, output: &str) -> Option<Tally> {
        let prefix = format!("vectors {name}: ");
        let line = output.lines().rev().find_map(|line| line.trim().strip_prefix(&prefix))?;
        let mut numbers = line
            .split(", ")
            .zip(GROUPS.iter().chain(["disagreed"].iter()))
            .map(|(part, group)| part.strip_prefix(group)?.trim().parse::<u32>().ok());
        let mut next = || numbers.next().flatten();
        let mut ran = [0; GROUPS.len()];
        for count in &mut ran {
            *count = next()?;
        }
        Some(Tally { ran, disagreed: next()? })
    }
}

fn shown(tallies: &[(&str, Tally)]) -> Table {
    let mut columns = ["language"; GROUPS.len() + 2];
    columns[1..=GROUPS.len()].copy_from_slice(&GROUPS);
    columns[GROUPS.len() + 1] = "disagreed";
    let mut table = Table::new(&columns);
    for (name, tally) in tallies {
        let counts = tally.ran.iter().chain([&tally.disagreed]).map(u32::to_string);
        let counts: Vec<String> = counts.collect();
        let mut cells = [*name; GROUPS.len() + 2];
        for (cell, count) in cells[1..].iter_mut().zip(&counts) {
            *cell = count;
        }
        table.row(cells);
    }
    table
}

/// Checks that the languages ran equal numbers and enough cases, and that none disagrees.
fn agreed(tallies: &[(&str, Tally)]) -> Result<String> {
    let (_, first) = tallies.first().ok_or_else(|| Failure::new("no language ran"))?;
    for (name, tally) in tallies {
        if tally.disagreed > 0 {
            return Err(Failure::new(format!("{name} disagrees on {} vectors", tally.disagreed)));
        }
        if tally.ran != first.ran {
            return Err(Failure::new(format!(
                "{name} ran {:?}, the others {:?} of {GROUPS:?}",
                tally.ran, first.ran
            )));
        }
    }
    for ((ran, least), group) in first.ran.iter().zip(AT_LEAST).zip(GROUPS) {
        if *ran < least {
            return Err(Failure::new(format!("{ran} {group} vectors, expected at least {least}")));
        }
    }
    let ran: Vec<String> =
        GROUPS.iter().zip(first.ran).map(|(group, count)| format!("{group} {count}")).collect();
    Ok(format!("{} in {} languages, all agree", ran.join(", "), tallies.len()))
}

#[cfg(test)]
mod tests {
    use super::{AT_LEAST, GROUPS, Tally, agreed};

    const WHOLE: Tally = Tally { ran: AT_LEAST, disagreed: 0 };

    #[test]
    fn the_closing_line_of_a_runner_is_read() {
        let output = "config x: disagreed\nvectors c: config 60, verify 61, deliver 30, circuit 9, \
                      forwarded 8, webhook 5, disagreed 2\n";
        let ran = [60, 61, 30, 9, 8, 5];
        assert_eq!(Tally::find("c", output), Some(Tally { ran, disagreed: 2 }));
        assert_eq!(Tally::find("node", output), None);
        assert_eq!(Tally::find("c", "vectors c: config 60, deliver 30"), None);
    }

    #[test]
    fn equal_numbers_without_disagreement_pass() {
        assert!(agreed(&[("c", WHOLE), ("node", WHOLE)]).is_ok());
    }

    #[test]
    fn a_language_with_fewer_cases_fails() {
        let mut less = WHOLE;
        less.ran[1] += 1;
        assert!(agreed(&[("c", WHOLE), ("node", less)]).is_err());
    }

    #[test]
    fn a_disagreement_or_too_few_cases_fail() {
        assert!(agreed(&[("c", Tally { disagreed: 1, ..WHOLE })]).is_err());
        for group in 0..GROUPS.len() {
            let mut few = WHOLE;
            few.ran[group] -= 1;
            assert!(agreed(&[("c", few)]).is_err());
        }
        assert!(agreed(&[]).is_err());
    }
}
