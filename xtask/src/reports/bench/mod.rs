//! `cargo xtask bench`: measures a delivery in each language beside a floor and other clients, as
//! ratios within interleaved rounds.

pub(crate) mod page;

use std::collections::BTreeMap;

use crate::command::{Failure, Result};
use crate::debian;
use crate::languages::Languages;
use crate::languages::bench_programs;
use crate::languages::bench_receiver::{ClientRun, Receiver, report};
use crate::paths;
use crate::profile::Profile;
use crate::table::Table;
use crate::terminal;
use crate::toolchain::Toolchain;
use page::{Machine, page, picture};

const ROUNDS: usize = 5;

/// The number of consumers: 500 that are measured, and those of a client's first deliveries. The
/// clients hold the same number.
const CONSUMERS: u32 = 504;

const FLOOR: &str = "floor";

/// A way to deliver: its name, its title, the number of deliveries, and the receiver's port.
struct Mode {
    word: &'static str,
    title: &'static str,
    n: u32,
    port: &'static str,
    /// The mode of the floor that the ratio refers to, if any.
    floor: Option<&'static str>,
    clients: &'static [&'static str],
    unit: Unit,
}

/// The measured quantity per delivery.
#[derive(Clone, Copy, PartialEq)]
enum Unit {
    /// CPU in microseconds.
    Cpu,
    /// Added resident memory in KiB.
    Memory,
}

const MODES: [Mode; 15] = [
    mode("warm", "one connection, one after the other", 12_800, "keeps", "warm", &ALL),
    mode("flight", "32 in flight", 25_600, "keeps", "flight", &ALL),
    mode("threads", "32 threads that wait", 25_600, "keeps", "flight", &["rust", "python"]),
    mode("many", "deliver_many, 32 in flight", 25_600, "keeps", "flight", &["python", "node"]),
    mode("cold", "a handshake each, its chain seen before", 200, "ends", "cold", &ALL),
    mode("cold_unremembered", "the same, no signature remembered", 200, "ends", "cold", &OURS),
    mode("cold_mlkem", "the same, X25519MLKEM768 offered", 200, "ends", "cold", &[FLOOR]),
    mode("cold_aes128", "the same, AES-128-GCM-SHA256", 200, "ends", "cold", &[FLOOR]),
    mode("fleet", "one to each of 500 consumers", 500, "consumers", "fleet", &FLEET),
    mode("again", "again, on the connections of before", 12_600, "consumers", "again", &FLEET),
    memory("idle", "memory of an idle connection", 500, "consumers", Some("idle"), &FLEET),
    fresh("import", "import in a fresh process", &["fresh"]),
    fresh("first", "a fresh process's first delivery", &["fresh", "fresh_pycurl"]),
    fresh("start", "a start of the command", &["start", "start_python", "start_node"]),
    memory("import", "memory of an import", 10, "ends", None, &["fresh"]),
];

const OURS: [&str; 4] = ["rust", "c", "python", "node"];

const ALL: [&str; 9] =
    [FLOOR, "rust", "c", "python", "node", "hyper", "libcurl", "pycurl", "undici"];

/// undici has one pool per host and no interface to drive many of them.
const FLEET: [&str; 8] = [FLOOR, "rust", "c", "python", "node", "hyper", "libcurl", "pycurl"];

const fn mode(
    word: &'static str,
    title: &'static str,
    n: u32,
    port: &'static str,
    floor: &'static str,
    clients: &'static [&'static str],
) -> Mode {
    Mode { word, title, n, port, floor: Some(floor), clients, unit: Unit::Cpu }
}

const fn memory(
    word: &'static str,
    title: &'static str,
    n: u32,
    port: &'static str,
    floor: Option<&'static str>,
    clients: &'static [&'static str],
) -> Mode {
    Mode { word, title, n, port, floor, clients, unit: Unit::Memory }
}

/// Ten processes, without the cost of as many interpreters that do nothing.
const fn fresh(word: &'static str, title: &'static str, clients: &'static [&'static str]) -> Mode {
    Mode { word, title, n: 10, port: "ends", floor: None, clients, unit: Unit::Cpu }
}

/// Returns the title of a client.
fn shown(client: &str) -> &'static str {
    match client {
        "rust" | "start" => "ours, Rust",
        "c" => "ours, C",
        "python" | "fresh" | "start_python" => "ours, Python",
        "node" | "start_node" => "ours, Node",
        "hyper" => "hyper, Rust",
        "libcurl" => "libcurl, C",
        "pycurl" | "fresh_pycurl" => "pycurl, Python",
        "undici" => "undici, Node",
        _ => "floor, Rust",
    }
}

fn is_ours(client: &str) -> bool {
    shown(client).starts_with("ours")
}

/// Measures, shows a table, and writes `docs/bench.md` and `docs/bench.svg`.
pub(crate) fn run(rounds: Option<&str>) -> Result {
    let rounds =
        match rounds {
            None => ROUNDS,
            Some(text) => text.parse().ok().filter(|rounds| *rounds > 0).ok_or_else(|| {
                Failure::new(format!("bench takes a number of rounds, not {text}"))
            })?,
        };
    debian::ensure(debian::BENCH)?;
    let languages = Languages::new(Toolchain::find()?, Profile::Shipped);
    languages.toolchain.show();
    let mut commands = BTreeMap::new();
    for client in MODES.iter().flat_map(|mode| mode.clients) {
        if !commands.contains_key(client) {
            commands.insert(*client, bench_programs::command(&languages, client)?);
        }
    }
    let receiver = Receiver::start_with(&languages.toolchain, CONSUMERS)?;
    let mut seen = Samples::default();
    for round in 1..=rounds {
        terminal::headline(&format!("Round {round} of {rounds}"));
        for (at, mode) in MODES.iter().enumerate() {
            for client in mode.clients {
                let cost = measure(&receiver, &commands[client], client, mode)?;
                seen.add(round, client, at, cost);
            }
        }
    }
    let results = seen.results();
    terminal::headline("Cost of a delivery of 1 KiB for the client, and the ratio to the floor");
    print!("\n{}", table(&results).render());
    let machine = Machine::ask()?;
    let docs = paths::root().join("docs");
    paths::write(&docs.join("bench.md"), &page(&results, &machine, rounds))?;
    paths::write(&docs.join("bench.svg"), &picture(&results, &machine))?;
    println!("\nwritten: docs/bench.md, docs/bench.svg");
    Ok(())
}

/// Measures the cost of a delivery for a client, in the mode's unit.
fn measure(receiver: &Receiver, command: &[String], client: &str, mode: &Mode) -> Result<f64> {
    let run = ClientRun { mode: mode.word, n: mode.n, port: mode.port };
    let output = receiver.run(format!("{}: {}", mode.title, shown(client)), command, &run)?;
    let report = report(&output);
    let number = |key: &str| report[key].as_f64();
    let whole = match mode.unit {
        Unit::Cpu => number("user_s").zip(number("sys_s")).map(|(user, sys)| (user + sys) * 1e6),
        Unit::Memory => number("rss_kib"),
    };
    whole.map(|whole| whole / f64::from(mode.n)).ok_or_else(|| {
        Failure::with_output(format!("{client} did not report its cost"), output.all)
    })
}

/// Costs by mode index and client, each with its round.
#[derive(Default)]
struct Samples(BTreeMap<(usize, &'static str), BTreeMap<usize, f64>>);

impl Samples {
    fn add(&mut self, round: usize, client: &'static str, mode: usize, cost: f64) {
        self.0.entry((mode, client)).or_default().insert(round, cost);
    }

    /// Returns the medians, in the order of the modes and of their clients.
    fn results(&self) -> Vec<Cost> {
        let each = |(at, mode): (usize, &'static Mode)| {
            mode.clients.iter().map(move |client| (at, mode, *client))
        };
        MODES
            .iter()
            .enumerate()
            .flat_map(each)
            .map(|(at, mode, client)| {
                let mine = &self.0[&(at, client)];
                let ratio = mode.floor.map(|floor| {
                    let at = MODES.iter().position(|mode| mode.word == floor).expect("a mode");
                    let floor = &self.0[&(at, FLOOR)];
                    median(mine.iter().map(|(round, cost)| cost / floor[round]).collect())
                });
                Cost { mode, client, value: median(mine.values().copied().collect()), ratio }
            })
            .collect()
    }
}

/// The cost of a delivery for a client in a mode.
struct Cost {
    mode: &'static Mode,
    client: &'static str,
    value: f64,
    ratio: Option<f64>,
}

impl Cost {
    /// Returns the cost with its unit, and the ratio if there is one.
    fn shown(&self) -> (String, String) {
        let cost = match self.mode.unit {
            Unit::Cpu if self.value >= 10_000.0 => format!("{:.1} ms", self.value / 1e3),
            Unit::Cpu => format!("{:.1} µs", self.value),
            Unit::Memory => format!("{:.1} KiB", self.value),
        };
        (cost, self.ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default())
    }
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { values[middle - 1].midpoint(values[middle]) }
}

fn table(results: &[Cost]) -> Table {
    let mut table = Table::new(&["mode", "client", "cost", "ratio"]);
    for cost in results {
        let (value, ratio) = cost.shown();
        let cells = (format!("{value:>10}"), format!("{ratio:>5}"));
        table.row([cost.mode.title, shown(cost.client), &cells.0, &cells.1]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::{MODES, Samples, median};

    #[test]
    fn the_median_of_an_even_count_is_between_two_values() {
        assert!((median(vec![9.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(vec![4.0, 1.0, 2.0, 9.0]) - 3.0).abs() < 1e-9);
    }

    #[test]
    fn a_ratio_is_to_the_floor_of_its_own_round() {
        let mut seen = Samples::default();
        for (round, floor) in [(1, 10.0), (2, 100.0)] {
            for (at, mode) in MODES.iter().enumerate() {
                for client in mode.clients {
                    let factor = if *client == "floor" { 1.0 } else { 2.0 };
                    seen.add(round, client, at, floor * factor);
                }
            }
        }
        for cost in seen.results() {
            let expected = if cost.client == "floor" { 1.0 } else { 2.0 };
            let ratio = cost.ratio.unwrap_or(expected);
            assert!((ratio - expected).abs() < 1e-9, "{}", cost.client);
        }
    }
}
