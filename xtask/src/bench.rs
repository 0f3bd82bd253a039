//! `cargo xtask bench`: what a delivery costs in each language, beside a floor and beside the client
//! that one would pick otherwise, as ratios within interleaved rounds.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::c_programs::{self, Linkage};
use crate::clients::Languages;
use crate::plot::{Bar, Group, plot};
use crate::steps::{Failure, Result, Step};
use crate::table::Table;
use crate::toolchain::Toolchain;
use crate::{debian, paths, python, rust, terminal};

const ROUNDS: usize = 5;

/// A client does less than ten seconds of work.
const LIMIT: Duration = Duration::from_secs(120);

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
    let commands = commands(&languages)?;
    let receiver = Receiver::start(&languages.toolchain)?;
    let mut seen = Samples::default();
    for round in 1..=rounds {
        terminal::headline(&format!("Round {round} of {rounds}"));
        for mode in &MODES {
            for client in mode.clients {
                let cost = receiver.measure(&commands[client], client, mode)?;
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

/// The program of each client and its arguments before the common ones.
fn commands(languages: &Languages) -> Result<BTreeMap<&'static str, Vec<String>>> {
    let toolchain = &languages.toolchain;
    let sources = paths::root().join("benches");
    let text = |path: PathBuf| path.display().to_string();
    let c =
        c_programs::compile(toolchain, languages.c()?, &sources.join("ours.c"), Linkage::Static)?;
    let home = paths::target().join("bench");
    let pycurl =
        python::environment(toolchain, &home.join("python"), &sources.join("requirements.txt"))?;
    Ok(BTreeMap::from([
        (FLOOR, vec![text(rust::example("bench_floor")?)]),
        ("rust", vec![text(rust::example("bench_ours")?)]),
        ("c", vec![text(c)]),
        ("python", vec![text(languages.python()?.interpreter()), text(sources.join("ours.py"))]),
        ("node", languages.node()?.command("benches/ours.mjs")),
        ("libcurl", vec![text(libcurl(toolchain, &sources, &home)?)]),
        (
            "pycurl",
            vec![
                text(python::executable(&pycurl, "python")),
                text(sources.join("pycurl_client.py")),
            ],
        ),
        ("undici", vec![text(toolchain.node.clone()), text(undici(&sources, &home)?)]),
    ]))
}

fn libcurl(toolchain: &Toolchain, sources: &Path, home: &Path) -> Result<PathBuf> {
    let program = home.join("libcurl");
    paths::make_directory(home)?;
    Step::new("compile libcurl.c", &toolchain.cc)
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-O2"])
        .arg(sources.join("libcurl.c"))
        .arg("-o")
        .arg(&program)
        .arg("-lcurl")
        .run()?;
    Ok(program)
}

/// Installs it beside a copy of its program, because Node looks for packages from there.
fn undici(sources: &Path, home: &Path) -> Result<PathBuf> {
    let home = home.join("node");
    for name in ["undici.mjs", "measure.mjs", "package.json", "package-lock.json"] {
        paths::copy(&sources.join(name), &home.join(name))?;
    }
    if !home.join("node_modules").join("undici").exists() {
        Step::new("npm ci undici", "npm")
            .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
            .in_directory(&home)
            .run()?;
    }
    Ok(home.join("undici.mjs"))
}

/// A client and its receiver do not share a core where there are two.
fn on_core(core: &str) -> Vec<String> {
    let several = std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
    match paths::program("taskset").filter(|_| several) {
        Some(taskset) => vec![taskset.display().to_string(), "-c".to_owned(), core.to_owned()],
        None => vec!["env".to_owned()],
    }
}

/// nginx, by `benches/receiver.py`. Dropping it ends it.
struct Receiver {
    process: Child,
    said: Value,
}

impl Receiver {
    fn start(toolchain: &Toolchain) -> Result<Receiver> {
        let script = paths::root().join("benches").join("receiver.py");
        let work = paths::target().join("bench").join("receiver");
        paths::make_empty(&work)?;
        let failed = |error: &dyn std::fmt::Display| Failure::at("cannot start", &script, error);
        let words = on_core("1");
        let mut process = Command::new(&words[0])
            .args(&words[1..])
            .arg(&toolchain.python)
            .args([&script, &work])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| failed(&error))?;
        let mut line = String::new();
        let output = process.stdout.take().expect("piped");
        let mut receiver = Receiver { process, said: Value::Null };
        BufReader::new(output).read_line(&mut line).map_err(|error| failed(&error))?;
        receiver.said = serde_json::from_str(&line).map_err(|error| failed(&error))?;
        Ok(receiver)
    }

    /// Runs one client; returns its CPU for a delivery, in microseconds.
    fn measure(&self, command: &[String], client: &str, mode: &Mode) -> Result<f64> {
        let words = on_core("0");
        let said = |key: &str| self.said[key].as_str().unwrap_or_default();
        let output = Step::new(format!("{}: {}", mode.title, shown(client)), &words[0])
            .args(&words[1..])
            .args(command)
            .args([mode.word, &mode.n.to_string(), said(mode.port), said("material"), said("pin")])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .limit(LIMIT)
            .run()?;
        let told: Value = serde_json::from_str(output.last_line()).unwrap_or_default();
        let seconds = |key: &str| told[key].as_f64();
        match (seconds("user_s"), seconds("sys_s"), told["errors"].as_u64()) {
            (Some(user), Some(system), Some(0)) => Ok((user + system) * 1e6 / f64::from(mode.n)),
            _ => Err(Failure::with_output(
                format!("{client} in mode {} did not deliver all", mode.word),
                output.all,
            )),
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // Its standard input is its leash: it ends when that closes, which waiting does first.
        let _ = self.process.wait();
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

fn median(mut values: Vec<f64>) -> f64 {
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

/// When and on what it was measured.
struct Machine {
    date: String,
    class: String,
}

impl Machine {
    fn ask() -> Result<Machine> {
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

fn page(results: &[Cost], machine: &Machine, rounds: usize) -> String {
    let mut text = format!(
        "# Bench\n\n\
         What `cargo xtask bench` saw on {}: {}. CPU of the client for a delivery of 1 KiB over\n\
         TLS 1.3 to nginx that demands a certificate; medians of {rounds} interleaved rounds, the\n\
         ratio is to the floor of the same round. [What it means](performance.md).\n\n\
         ![ratios to the floor](bench.svg)\n\n\
         | mode | client | CPU | ratio |\n| --- | --- | --- | --- |\n",
        machine.date, machine.class
    );
    for cost in results {
        let (title, client) = (cost.mode.title, shown(cost.client));
        let _ =
            writeln!(text, "| {title} | {client} | {:.1} µs | {:.2} |", cost.micros, cost.ratio);
    }
    text
}

fn picture(results: &[Cost], machine: &Machine) -> String {
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
