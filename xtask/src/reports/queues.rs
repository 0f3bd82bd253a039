//! `cargo xtask queues`: measures the CPU of a delivery through Celery and BullMQ beside the clients that
//! users know, and how long healthy consumers wait among slow and dead ones. Writes the result to
//! `docs/queues/measured.md`.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::command::{Failure, Result, Step};
use crate::debian;
use crate::languages::Languages;
use crate::languages::bench_programs;
use crate::languages::bench_receiver::{Receiver, report};
use crate::paths;
use crate::profile::Profile;
use crate::reports::bench::page::Machine;
use crate::terminal::{COLUMNS, wrapped};
use crate::toolchain::Toolchain;

/// The longest measurement: a setting that makes all consumers wait.
const LIMIT: Duration = Duration::from_secs(40 * 60);

/// A program that measures all tasks of one queue, and how many it runs of each in a round.
struct Queue {
    title: &'static str,
    program: &'static str,
    tasks: u32,
    /// What the tasks cost that only send with another client.
    other: &'static str,
}

const QUEUES: [Queue; 2] = [
    Queue {
        title: "Celery",
        program: "queue_celery.py",
        tasks: 500,
        other: "requests, a session for each process",
    },
    Queue {
        title: "BullMQ",
        program: "queue_bullmq.mjs",
        tasks: 2000,
        other: "undici, a pool for each process",
    },
];

/// The settings of `tests/fleet/fairness.py`, and how the page names them.
const SETTINGS: [(&str, &str); 3] = [
    ("0.1 s", "Celery, `task_wait` of 0.1 s"),
    ("until the end", "Celery, `task_wait` of `None`"),
    ("bullmq", "BullMQ, 64 jobs at once"),
];

/// Measures, and writes the page.
pub(crate) fn run() -> Result {
    debian::ensure(debian::BENCH)?;
    debian::ensure(debian::FLEET)?;
    let languages = Languages::new(Toolchain::find()?, Profile::Shipped);
    languages.toolchain.show();
    let receiver = Receiver::start(&languages.toolchain)?;
    let cost = |queue| Ok((queue, Queue::measure(queue, &languages, &receiver)?));
    let costs = QUEUES.iter().map(cost).collect::<Result<Vec<_>>>()?;
    drop(receiver);
    let fairness = fairness(&languages)?;
    let page = page(&costs, &fairness, &Machine::ask()?)?;
    println!("\n{page}");
    paths::write(&paths::root().join("docs").join("queues").join("measured.md"), &page)
}

impl Queue {
    /// Returns the microseconds of each kind of task.
    fn measure(&self, languages: &Languages, receiver: &Receiver) -> Result<Value> {
        let program = paths::root().join("benches").join(self.program);
        let step = if paths::has_extension(&program, "py") {
            Step::new(self.title, languages.python()?.interpreter())
                .arg(program)
                .env("PYTHONPATH", bench_programs::peers_in_python(&languages.toolchain)?)
        } else {
            let node = languages.node()?;
            node.add_package(&bench_programs::peers_in_node()?.join("undici"))?;
            let words = node.command(&format!("benches/{}", self.program));
            Step::new(self.title, &words[0]).args(&words[1..])
        };
        let output = step
            .arg(self.tasks.to_string())
            .args([receiver.setting("keeps"), receiver.setting("material")])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .limit(LIMIT)
            .run()?;
        let costs = report(&output)["costs"].clone();
        if costs["empty"].is_null() || costs[self.other].is_null() {
            let what = format!("{} did not report its costs", self.program);
            return Err(Failure::with_output(what, output.all));
        }
        Ok(costs)
    }
}

/// Returns what each setting reports. It needs a mount namespace, and so root.
fn fairness(languages: &Languages) -> Result<Vec<Value>> {
    let program = languages.node()?.command("tests/fleet/fairness_bullmq.mjs");
    let output = Step::new("slow and dead consumers", languages.python()?.interpreter())
        .arg(paths::root().join("tests").join("fleet").join("fairness.py"))
        .env("FAIRNESS_BULLMQ", json!(program).to_string())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .limit(LIMIT)
        .run()?;
    let rows = output.stdout.lines().filter_map(|line| serde_json::from_str(line).ok());
    Ok(rows.collect())
}

fn page(costs: &[(&Queue, Value)], fairness: &[Value], machine: &Machine) -> Result<String> {
    let about = format!(
        "Measured with `cargo xtask queues` on {}: {}. Consumers are an nginx that requires a client \
         certificate. Payloads have 1 KiB. Redis is on a Unix socket, and does not write to disk.",
        machine.date, machine.class
    );
    let mut text = format!("# Queues, measured\n\n{}\n", wrapped(&about, COLUMNS).join("\n"));
    text.push_str("\n## CPU of a delivery\n\n");
    let about = "The first figure is the CPU time that a worker spends on one task. The second is the same \
                 without the time of a task that does nothing. The worker of Celery has one prefork child, \
                 and that of BullMQ runs 16 jobs at once. Connections stay open, except those of \
                 `requests.post`. \"less\" means that a delivery in a fan-out costs less than an empty \
                 task. Values are medians of five rounds.";
    text.push_str(&wrapped(about, COLUMNS).join("\n"));
    text.push('\n');
    for (queue, costs) in costs {
        let _ = write!(
            text,
            "\n| {} | CPU, µs | beyond an empty task, µs | of {} |\n| --- | --- | --- | --- |\n",
            queue.title, queue.other
        );
        let cost = |kind: &str| costs[kind].as_f64().unwrap_or_default();
        let other = cost(queue.other) - cost("empty");
        let mut rows: Vec<(&String, f64)> =
            costs.as_object().into_iter().flatten().map(|(kind, _)| (kind, cost(kind))).collect();
        rows.sort_by(|one, two| one.1.total_cmp(&two.1));
        for (kind, cpu) in rows {
            let net = cpu - cost("empty");
            // A message with a hundred deliveries costs less for each than an empty one.
            let _ = if net < 0.0 {
                writeln!(text, "| {kind} | {cpu:.0} | less | |")
            } else {
                writeln!(text, "| {kind} | {cpu:.0} | {net:.0} | {:.2} |", net / other)
            };
        }
    }
    text.push_str("\n## Slow and dead consumers\n\n");
    let about = "10 000 consumers, of which 300 answer after three seconds, and 50 refuse the connection, never \
                 answer the handshake, or have a silent name server. 40 events a second for random consumers \
                 go through one worker. That of Celery has four children. The times are from the call that \
                 enqueues to the one that confirms, of the healthy consumers only.";
    text.push_str(&wrapped(about, COLUMNS).join("\n"));
    text.push_str("\n\n| worker | events | median, ms | 99 of 100 within, ms |\n");
    text.push_str("| --- | --- | --- | --- |\n");
    for (setting, title) in SETTINGS {
        let row = fairness.iter().find(|row| row["setting"] == setting);
        let row = row.ok_or_else(|| Failure::new(format!("{setting} was not measured")))?;
        for (key, events) in [("without", "of the healthy ones alone"), ("with", "of all")] {
            let figure = |name: &str| row[key][name].as_f64().unwrap_or_default();
            let (median, most) = (figure("p50"), figure("p99"));
            let _ = writeln!(text, "| {title} | {events} | {median:.0} | {most:.0} |");
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::{QUEUES, SETTINGS, page};
    use crate::reports::bench::page::Machine;
    use serde_json::json;

    #[test]
    fn the_page_has_the_cost_beyond_an_empty_task_and_each_setting() {
        let costs = json!({ "empty": 100, "ours": 150, QUEUES[1].other: 300 });
        let rows = SETTINGS.map(|(setting, _)| {
            json!({ "setting": setting, "with": { "p50": 2, "p99": 9 }, "without": { "p50": 1 } })
        });
        let machine = Machine { date: "2026-11-30".into(), class: "2 cores".into() };
        let page = page(&[(&QUEUES[1], costs)], &rows, &machine).unwrap();
        assert!(
            page.contains("| empty | 100 | 0 | 0.00 |\n| ours | 150 | 50 | 0.25 |\n"),
            "{page}"
        );
        assert!(page.contains("| BullMQ, 64 jobs at once | of all | 2 | 9 |\n"), "{page}");
    }

    #[test]
    fn a_setting_that_is_missing_is_a_failure() {
        let machine = Machine { date: "2026-11-30".into(), class: "2 cores".into() };
        assert!(page(&[], &[], &machine).is_err());
    }
}
