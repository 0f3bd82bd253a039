//! What a bench writes: a page with every figure, and a picture of the ratios.

use std::fmt::Write as _;
use std::path::Path;

use super::{Cost, FLOOR, MODES, is_ours, shown};
use crate::paths;
use crate::plot::{Bar, Group, plot};
use crate::steps::{Result, Step};
use crate::terminal::{COLUMNS, wrapped};

/// When and on what it was measured.
pub(crate) struct Machine {
    pub(crate) date: String,
    pub(crate) class: String,
}

impl Machine {
    pub(crate) fn ask() -> Result<Machine> {
        let ask = |program: &str, arguments: &[&str]| {
            let output = Step::new(program, program).args(arguments).ask()?;
            Ok(output.stdout.trim().to_owned())
        };
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let system = ask("uname", &["-sm"])?;
        // Others at work show in the load beyond the client and the receiver.
        let load = paths::read(Path::new("/proc/loadavg")).unwrap_or_default();
        let load = load.split(' ').nth(1).unwrap_or("unknown").to_owned();
        Ok(Machine {
            date: ask("date", &["-u", "+%Y-%m-%d"])?,
            class: format!("{cores} cores, {system}, load {load}"),
        })
    }
}

/// `docs/bench.md`.
pub(super) fn page(results: &[Cost], machine: &Machine, rounds: usize) -> String {
    let seen = format!(
        "What `cargo xtask bench` saw on {}: {}. CPU of the client for a delivery of 1 KiB over TLS \
         1.3 to nginx that demands a certificate; medians of {rounds} interleaved rounds, the ratio \
         is to the floor of the same round. [What it means](performance.md).",
        machine.date, machine.class
    );
    let mut text = format!(
        "# Bench\n\n{}\n\n![ratios to the floor](bench.svg)\n\n\
         | mode | client | CPU | ratio |\n| --- | --- | --- | --- |\n",
        wrapped(&seen, COLUMNS).join("\n")
    );
    for cost in results {
        let (title, client) = (cost.mode.title, shown(cost.client));
        let _ =
            writeln!(text, "| {title} | {client} | {:.1} µs | {:.2} |", cost.micros, cost.ratio);
    }
    text
}

/// `docs/bench.svg`.
pub(super) fn picture(results: &[Cost], machine: &Machine) -> String {
    let bar = |cost: &Cost| Bar {
        label: shown(cost.client).to_owned(),
        value: cost.ratio,
        is_ours: is_ours(cost.client),
    };
    let groups: Vec<Group> = MODES
        .iter()
        .map(|mode| Group {
            title: mode.title.to_owned(),
            bars: results
                .iter()
                .filter(|cost| cost.mode.word == mode.word && cost.client != FLOOR)
                .map(bar)
                .collect(),
        })
        .collect();
    let caption = format!("{}: {}", machine.date, machine.class);
    plot("CPU for each delivery, as a ratio to the floor", &caption, &groups)
}
