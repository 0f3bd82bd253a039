//! `cargo xtask scale`: measures how memory, CPU and descriptors grow with endpoints, consumers,
//! connections and deliveries in flight or waiting, each at four sizes. Writes the result to `docs/scale.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::command::{Failure, Result};
use crate::debian;
use crate::languages::bench_receiver::{ClientRun, Receiver, report};
use crate::languages::rust;
use crate::paths;
use crate::reports::bench::median;
use crate::reports::bench::page::Machine;
use crate::terminal::{self, COLUMNS, wrapped};
use crate::toolchain::Toolchain;

const ROUNDS: usize = 3;

/// The number of listening consumers, each on its own port.
const CONSUMERS: u32 = 10_000;

/// A measurement of `benches/scale.rs`: the growing quantity, its sizes, and the reported values.
struct Growth {
    word: &'static str,
    title: &'static str,
    about: &'static str,
    size: &'static str,
    sizes: [u32; 4],
    columns: &'static [(&'static str, &'static str)],
}

const GROWTHS: [Growth; 6] = [
    Growth {
        word: "endpoints",
        title: "Endpoints",
        about: "Each endpoint has its own URL and its own pins, and received no delivery. A lookup \
                is a call of `endpoint()` with unchanged values, including the time to parse URL \
                and pins.",
        size: "endpoints",
        sizes: [1000, 3000, 10_000, 30_000],
        columns: &[("bytes", "bytes of memory for each"), ("look_up_ns", "lookup, ns")],
    },
    Growth {
        word: "consumers",
        title: "Consumers",
        about: "One delivery to each consumer with 64 in flight, then a second one. At most 256 \
                connections may be open (`max_connections`), so with more consumers each delivery \
                makes a handshake. The descriptors are the highest number open at once, without \
                those open before.",
        size: "consumers",
        sizes: [100, 1000, 3000, CONSUMERS],
        columns: &[
            ("cpu_us", "CPU of a delivery, µs"),
            ("cpu_again_us", "second delivery, µs"),
            ("descriptors", "descriptors"),
        ],
    },
    Growth {
        word: "connections",
        title: "Idle connections",
        about: "One connection per consumer. The memory is that of the connection only. The CPU \
                time is for one more delivery over each connection in turn.",
        size: "connections",
        sizes: [250, 500, 1000, 2000],
        columns: &[
            ("bytes", "bytes of memory for each"),
            ("descriptors", "descriptors"),
            ("cpu_us", "CPU of a delivery, µs"),
        ],
    },
    Growth {
        word: "flight",
        title: "Deliveries in flight",
        about: "To one consumer, over the same number of open connections.",
        size: "in flight",
        sizes: [8, 32, 128, 512],
        columns: &[("cpu_us", "CPU of a delivery, µs"), ("more_descriptors", "more descriptors")],
    },
    Growth {
        word: "waiting",
        title: "Deliveries that wait",
        about: "Deliveries to one consumer with a `rate`, submitted at once, that wait for their turn. \
                They share their payload, which is not counted.",
        size: "waiting",
        sizes: [1000, 3000, 10_000, 30_000],
        columns: &[("bytes", "bytes of memory for each")],
    },
    Growth {
        word: "diagnoses",
        title: "A fleet diagnosed",
        about: "One run of `webhook-mtls diagnose --config fleet.toml --request options --json`, which \
                makes two connections to each consumer: one with our certificate and one without. The \
                memory is the peak of the run above that of the process before, with the whole report.",
        size: "endpoints",
        sizes: [50, 100, 250, 500],
        columns: &[
            ("elapsed_ms", "time of the run, ms"),
            ("cpu_us", "CPU of an endpoint, µs"),
            ("peak_kib", "peak memory, KiB"),
        ],
    },
];

/// Measures, and writes the page.
pub(crate) fn run() -> Result {
    debian::ensure(debian::BENCH)?;
    let toolchain = Toolchain::find()?;
    toolchain.show();
    let program = [rust::bench_program("bench_scale")?.display().to_string()];
    // The additional consumer receives the first delivery, which includes one-time costs.
    let receiver = Receiver::start_with(&toolchain, CONSUMERS + 1)?;
    let mut seen = Samples::new();
    for round in 1..=ROUNDS {
        terminal::headline(&format!("Round {round} of {ROUNDS}"));
        for growth in &GROWTHS {
            for size in growth.sizes {
                measure(&receiver, &program, growth, size, &mut seen)?;
            }
        }
    }
    let page = page(&seen, &Machine::ask()?);
    println!("\n{page}");
    paths::write(&paths::root().join("docs").join("scale.md"), &page)
}

/// The reported values, by measurement, size and column.
type Samples = BTreeMap<(&'static str, u32, &'static str), Vec<f64>>;

fn measure(
    receiver: &Receiver,
    program: &[String],
    growth: &Growth,
    size: u32,
    seen: &mut Samples,
) -> Result {
    let run = ClientRun { mode: growth.word, n: size, port: "consumers" };
    let output = receiver.run(format!("{size} {}", growth.size), program, &run)?;
    for (key, title) in growth.columns {
        let Some(value) = report(&output)[key].as_f64() else {
            return Err(Failure::with_output(
                format!("the program did not report {title}"),
                output.all,
            ));
        };
        seen.entry((growth.word, size, key)).or_default().push(value);
    }
    Ok(())
}

fn page(seen: &Samples, machine: &Machine) -> String {
    let seen_on = format!(
        "This page shows how cost grows, measured with `cargo xtask scale` on {}: {}. Each figure \
         is the median of {ROUNDS} processes. The consumers are ports of one nginx that requires a \
         client certificate. CPU is the client's time for 1 KiB over TLS 1.3. No delivery failed. \
         [Comparison with other clients](performance.md). [Slow and dead consumers among ten \
         thousand](queues/measured.md).",
        machine.date, machine.class
    );
    let mut text = format!("# Scale\n\n{}\n", wrapped(&seen_on, COLUMNS).join("\n"));
    for growth in &GROWTHS {
        let about = wrapped(growth.about, COLUMNS).join("\n");
        let _ = write!(text, "\n## {}\n\n{about}\n\n| {} |", growth.title, growth.size);
        growth.columns.iter().for_each(|(_, title)| _ = write!(text, " {title} |"));
        text.push_str("\n|");
        text.push_str(&" --- |".repeat(growth.columns.len() + 1));
        text.push('\n');
        for size in growth.sizes {
            let _ = write!(text, "| {size} |");
            for (key, _) in growth.columns {
                let _ = write!(text, " {:.0} |", median(seen[&(growth.word, size, *key)].clone()));
            }
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{GROWTHS, Samples, page};
    use crate::reports::bench::page::Machine;

    #[test]
    fn the_page_has_a_row_for_each_size() {
        let mut seen = Samples::new();
        for growth in &GROWTHS {
            for size in growth.sizes {
                for (key, _) in growth.columns {
                    seen.insert((growth.word, size, key), vec![9.0, f64::from(size), 9e9]);
                }
            }
        }
        let machine = Machine { date: "2026-11-25".into(), class: "2 cores".into() };
        let page = page(&seen, &machine);
        assert!(page.contains("| 30000 | 30000 | 30000 |\n"), "{page}");
        let rows: usize = GROWTHS.iter().map(|growth| 2 + growth.sizes.len()).sum();
        assert_eq!(page.lines().filter(|line| line.starts_with("| ")).count(), rows);
    }
}
