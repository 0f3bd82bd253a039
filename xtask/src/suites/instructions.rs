//! Counts the user-space instructions of the hot paths with callgrind, and compares them with
//! limits.
//!
//! Unlike time, the count does not depend on other load. It is the difference of two runs with
//! fewer and more deliveries, so that the one-time work of a process cancels out. It does not
//! include the kernel.

use std::collections::BTreeMap;

use crate::command::{Failure, Result};
use crate::debian;
use crate::languages::Languages;
use crate::languages::bench_programs;
use crate::languages::bench_receiver::{ClientRun, Receiver};
use crate::paths;
use crate::table::Table;

/// Each limit is one to ten percent above the value measured when it was set. Lower a limit when the measured
/// value has fallen. Raise one only with a reason in the commit. Counts differ by a
/// hundred between directories, and that with 32 in flight by a fiftieth with the load of the machine,
/// because threads then park and wake more often.
///
/// The goals are those of the project, reached or not.
const HOT_PATHS: [HotPath; 9] = [
    path("warm, Rust deliver_blocking", "rust", "warm", 22_800, Some(50_000)),
    path("warm, C wmtls_deliver", "c", "warm", 24_700, Some(50_000)),
    path("warm, Python deliver", "python", "warm", 26_900, Some(65_000)),
    path("32 in flight, Rust deliver_many", "rust", "flight", 28_000, None),
    path("cold, Rust, chain seen before", "rust", "cold", 2_458_000, Some(2_400_000)),
    path("cold, Rust, signature cache off", "rust", "cold_unremembered", 4_039_000, None),
    path("verify_chain, Rust, chain seen before", "rust", "verify", 101_300, None),
    path("the same, of a CA without its CRLs", "rust", PLAIN, 79_800, None),
    path("the same, with 200 000 revoked", "rust", REVOKED, 83_800, None),
];

/// The modes of a chain without and with CRLs. The CRLs may make a seen chain a tenth more expensive.
const PLAIN: &str = "verify_plain";
const REVOKED: &str = "verify_revoked";

/// A path through the library: its client in `benches/`, and the client's mode.
struct HotPath {
    title: &'static str,
    client: &'static str,
    mode: &'static str,
    limit: u64,
    aim: Option<u64>,
}

const fn path(
    title: &'static str,
    client: &'static str,
    mode: &'static str,
    limit: u64,
    aim: Option<u64>,
) -> HotPath {
    HotPath { title, client, mode, limit, aim }
}

/// Counts each path. Fails with the paths that exceed their limit.
pub(crate) fn test(languages: &Languages) -> Result<String> {
    if !cfg!(target_arch = "x86_64") {
        return Err(Failure::skipped("the limits are for x86-64"));
    }
    debian::ensure(debian::INSTRUCTIONS)?;
    let shipped = languages.shipped();
    let mut commands = BTreeMap::new();
    for path in &HOT_PATHS {
        if !commands.contains_key(path.client) {
            commands.insert(path.client, under_callgrind(shipped, path.client)?);
        }
    }
    let receiver = Receiver::start(&languages.toolchain)?;
    let mut table = Table::new(&["hot path", "measured", "limit", "goal"]);
    let mut beyond = Vec::new();
    let mut counts = BTreeMap::new();
    for path in &HOT_PATHS {
        let measured = path.measure(&receiver, &commands[path.client])?;
        counts.insert(path.mode, measured);
        let limit = grouped(path.limit);
        let aim = path.aim.map(grouped).unwrap_or_default();
        table.row([path.title, &grouped(measured), &limit, &aim]);
        if measured > path.limit {
            let measured = grouped(measured);
            beyond.push(format!("{}: {measured} instructions, limit {limit}", path.title));
        }
    }
    print!("\n{}\n", table.render());
    if counts[REVOKED] * 10 > counts[PLAIN] * 11 {
        let (with, without) = (counts[REVOKED], counts[PLAIN]);
        beyond.push(format!("CRLs: {with} instructions with them, {without} without"));
    }
    if beyond.is_empty() {
        Ok(format!("{} hot paths within their limits", HOT_PATHS.len()))
    } else {
        Err(Failure::new(beyond.join("; ")))
    }
}

fn under_callgrind(languages: &Languages, client: &str) -> Result<Vec<String>> {
    let valgrind = paths::program("valgrind").expect("ensured").display().to_string();
    let mut command = vec![valgrind, "--tool=callgrind".to_owned()];
    command.push("--callgrind-out-file=/dev/null".to_owned());
    command.extend(bench_programs::command(languages, client)?);
    Ok(command)
}

impl HotPath {
    /// Returns the instructions of one delivery, or of one verification.
    fn measure(&self, receiver: &Receiver, command: &[String]) -> Result<u64> {
        let is_cold = self.mode.starts_with("cold");
        // The one-time work on a large CRL varies by millions of instructions.
        let (less, more) = match self.mode {
            PLAIN | REVOKED => (64, 4064),
            _ if is_cold => (4, 24),
            _ => (64, 384),
        };
        let count = |n| {
            let run =
                ClientRun { mode: self.mode, n, port: if is_cold { "ends" } else { "keeps" } };
            let output = receiver.run(format!("{}: {n}", self.title), command, &run)?;
            collected(&output.all)
                .ok_or_else(|| Failure::with_output("callgrind did not report a count", output.all))
        };
        Ok(count(more)?.saturating_sub(count(less)?) / u64::from(more - less))
    }
}

/// Reads the number in callgrind's line `==7== Collected : 1234`.
fn collected(output: &str) -> Option<u64> {
    let line = output.lines().find(|line| line.contains("Collected :"))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// Formats a number with separated thousands, padded for alignment.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    format!("{text:>9}")
}

#[cfg(test)]
mod tests {
    use super::{collected, grouped};

    #[test]
    fn the_count_is_found_among_other_lines() {
        let output = "{\"errors\":0}\n==7== Events    : Ir\n==7== Collected : 20451\n==7==\n";
        assert_eq!(collected(output), Some(20_451));
        assert_eq!(collected("==7== no such program\n"), None);
    }

    #[test]
    fn thousands_are_separated_and_aligned() {
        assert_eq!(grouped(2_427_318), "2 427 318");
        assert_eq!(grouped(69_005), "   69 005");
        assert_eq!(grouped(7), "        7");
    }
}
