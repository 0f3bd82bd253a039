//! `cargo xtask bench`: what a delivery costs in each language, beside a floor and beside the client
//! that one would pick otherwise, as ratios within interleaved rounds.

pub(crate) mod page;
pub(crate) mod programs;
pub(crate) mod receiver;

use std::collections::BTreeMap;

use crate::clients::Languages;
use crate::steps::{Failure, Result};
use crate::table::Table;
use crate::toolchain::Toolchain;
use crate::{debian, paths, terminal};
use page::{Machine, page, picture};
use receiver::{Errand, Receiver, told};

const ROUNDS: usize = 5;

const FLOOR: &str = "floor";

/// A way to deliver: its word, how a person says it, how many, and to which port.
struct Mode {
    word: &'static str,
    title: &'static str,
    n: u32,
    port: &'static str,
    /// The mode of the floor that it is a ratio to.
    floor: &'static str,
    clients: &'static [&'static str],
}

const MODES: [Mode; 5] = [
    Mode {
        word: "warm",
        title: "one connection, one after the other",
        n: 3200,
        port: "keeps",
        floor: "warm",
        clients: &["floor", "rust", "c", "python", "node", "libcurl", "pycurl", "undici"],
    },
    Mode {
        word: "flight",
        title: "32 in flight",
        n: 6400,
        port: "keeps",
        floor: "flight",
        clients: &["floor", "rust", "c", "python", "node", "libcurl", "pycurl", "undici"],
    },
    Mode {
        word: "many",
        title: "deliver_many, 32 in flight",
        n: 6400,
        port: "keeps",
        floor: "flight",
        clients: &["python", "node"],
    },
    Mode {
        word: "cold",
        title: "a handshake each, its chain seen before",
        n: 200,
        port: "ends",
        floor: "cold",
        clients: &["floor", "rust", "c", "python", "node", "libcurl", "pycurl", "undici"],
    },
    Mode {
        word: "cold_unremembered",
        title: "a handshake each, no signature remembered",
        n: 200,
        port: "ends",
        floor: "cold",
        clients: &["rust", "c", "python", "node"],
    },
];

/// Whose the clients are, as a person says it.
fn shown(client: &str) -> &'static str {
    match client {
        "rust" => "ours, Rust",
        "c" => "ours, C",
        "python" => "ours, Python",
        "node" => "ours, Node",
        "libcurl" => "libcurl, C",
        "pycurl" => "pycurl, Python",
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
    let languages = Languages::new(Toolchain::find()?);
    languages.toolchain.show();
    let mut commands = BTreeMap::new();
    for client in MODES.iter().flat_map(|mode| mode.clients) {
        if !commands.contains_key(client) {
            commands.insert(*client, programs::command(&languages, client)?);
        }
    }
    let receiver = Receiver::start(&languages.toolchain)?;
    let mut seen = Samples::default();
    for round in 1..=rounds {
        terminal::headline(&format!("Round {round} of {rounds}"));
        for mode in &MODES {
            for client in mode.clients {
                let cost = measure(&receiver, &commands[client], client, mode)?;
                seen.add(round, client, mode, cost);
            }
        }
    }
    let results = seen.results();
    terminal::headline("CPU of the client for a delivery of 1 KiB, as a ratio to the floor");
    print!("\n{}", table(&results).render());
    let machine = Machine::ask()?;
    let docs = paths::root().join("docs");
    paths::write(&docs.join("bench.md"), &page(&results, &machine, rounds))?;
    paths::write(&docs.join("bench.svg"), &picture(&results, &machine))?;
    println!("\nwritten: docs/bench.md, docs/bench.svg");
    Ok(())
}

/// CPU of a client for a delivery, in microseconds.
fn measure(receiver: &Receiver, command: &[String], client: &str, mode: &Mode) -> Result<f64> {
    let errand = Errand { mode: mode.word, n: mode.n, port: mode.port };
    let output = receiver.run(format!("{}: {}", mode.title, shown(client)), command, &errand)?;
    let told = told(&output);
    match (told["user_s"].as_f64(), told["sys_s"].as_f64()) {
        (Some(user), Some(system)) => Ok((user + system) * 1e6 / f64::from(mode.n)),
        _ => Err(Failure::with_output(format!("{client} did not tell its CPU"), output.all)),
    }
}

/// CPU of a delivery by round, client and mode, in microseconds.
#[derive(Default)]
struct Samples(BTreeMap<(&'static str, &'static str), BTreeMap<usize, f64>>);

impl Samples {
    fn add(&mut self, round: usize, client: &'static str, mode: &Mode, micros: f64) {
        self.0.entry((client, mode.word)).or_default().insert(round, micros);
    }

    /// The medians, in the order of the modes and of their clients.
    fn results(&self) -> Vec<Cost> {
        let each = |mode: &'static Mode| mode.clients.iter().map(move |client| (mode, *client));
        MODES
            .iter()
            .flat_map(each)
            .map(|(mode, client)| {
                let mine = &self.0[&(client, mode.word)];
                let floor = &self.0[&(FLOOR, mode.floor)];
                Cost {
                    mode,
                    client,
                    micros: median(mine.values().copied().collect()),
                    ratio: median(mine.iter().map(|(round, cost)| cost / floor[round]).collect()),
                }
            })
            .collect()
    }
}

/// What a delivery costs a client in a mode.
struct Cost {
    mode: &'static Mode,
    client: &'static str,
    micros: f64,
    ratio: f64,
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { values[middle - 1].midpoint(values[middle]) }
}

fn table(results: &[Cost]) -> Table {
    let mut table = Table::new(&["mode", "client", "CPU", "ratio"]);
    for cost in results {
        let cpu = format!("{:>7.1} µs", cost.micros);
        table.row([cost.mode.title, shown(cost.client), &cpu, &format!("{:>5.2}", cost.ratio)]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::{MODES, Samples, median};

    #[test]
    fn the_middle_of_an_even_number_is_between_two() {
        assert!((median(vec![9.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(vec![4.0, 1.0, 2.0, 9.0]) - 3.0).abs() < 1e-9);
    }

    #[test]
    fn a_ratio_is_to_the_floor_of_its_own_round() {
        let mut seen = Samples::default();
        for (round, floor) in [(1, 10.0), (2, 100.0)] {
            for mode in &MODES {
                for client in mode.clients {
                    let factor = if *client == "floor" { 1.0 } else { 2.0 };
                    seen.add(round, client, mode, floor * factor);
                }
            }
        }
        for cost in seen.results() {
            let expected = if cost.client == "floor" { 1.0 } else { 2.0 };
            assert!((cost.ratio - expected).abs() < 1e-9, "{}", cost.client);
        }
    }
}
