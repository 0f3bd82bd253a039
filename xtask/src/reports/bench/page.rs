//! The output of a bench: a page with every figure, and a plot of the ratios.

use std::fmt::Write as _;
use std::path::Path;

use super::{Cost, FLOOR, is_ours, shown};
use crate::command::{Result, Step};
use crate::paths;
use crate::reports::plot::{Bar, Group, plot};
use crate::terminal::{COLUMNS, wrapped};

/// The date and the machine of a measurement.
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
        // A load beyond the client and the receiver shows that other programs ran.
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
        "Measured with `cargo xtask bench` on {}: {}. The cost is the client's CPU time, or \
         resident memory where stated, for a delivery of 1 KiB over TLS 1.3 to an nginx that \
         requires a client certificate. Values are medians of {rounds} interleaved rounds. The \
         ratio is to the floor of the same round. The cost of a fresh process, and of a start of the \
         command, excludes that of a runtime that does nothing. [Analysis](performance.md).",
        machine.date, machine.class
    );
    let mut text = format!(
        "# Bench\n\n{}\n\n![ratios to the floor](bench.svg)\n\n\
         | mode | client | cost | ratio |\n| --- | --- | --- | --- |\n",
        wrapped(&seen, COLUMNS).join("\n")
    );
    for cost in results {
        let (value, ratio) = cost.shown();
        let _ =
            writeln!(text, "| {} | {} | {value} | {ratio} |", cost.mode.title, shown(cost.client));
    }
    text
}

/// `docs/bench.svg`.
pub(super) fn picture(results: &[Cost], machine: &Machine) -> String {
    // The floor is drawn as the line at ratio 1.
    let is_line = |cost: &Cost| cost.client == FLOOR && cost.mode.floor == Some(cost.mode.word);
    let mut groups: Vec<Group> = Vec::new();
    for cost in results.iter().filter(|cost| !is_line(cost)) {
        let Some(value) = cost.ratio else { continue };
        let title = cost.mode.title;
        if groups.last().is_none_or(|group| group.title != title) {
            groups.push(Group { title: title.to_owned(), bars: Vec::new() });
        }
        let label = shown(cost.client).to_owned();
        let bar = Bar { label, value, is_ours: is_ours(cost.client) };
        groups.last_mut().expect("pushed").bars.push(bar);
    }
    let caption = format!("{}: {}", machine.date, machine.class);
    plot("What a delivery costs, as a ratio to the floor", &caption, &groups)
}
