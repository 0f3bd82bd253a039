//! `cargo xtask sizing`: simulates fleets of sending processes, from one process to ten million deliveries
//! an hour. The costs are those that `cargo xtask scale` has measured. Writes `docs/sizing.md`.
//!
//! What decides the cost is whether a process still has a connection to the consumer. So the simulation
//! follows the connections, and nothing else: a process keeps at most so many, closes each after 50 idle
//! seconds, and closes the one that was idle longest to open another.

use std::collections::VecDeque;
use std::fmt::Write as _;

use crate::command::{Failure, Result};
use crate::paths;
use crate::terminal::{COLUMNS, wrapped};

/// After so many seconds a process closes an idle connection (`MAX_IDLE` of the core).
const MAX_IDLE: u64 = 50;

/// The first seconds fill the connections and do not count.
const WARM_UP: u64 = 100;
const COUNTED: u64 = 200;

/// How the deliveries of a consumer reach a process.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Routing {
    /// The process that is free takes the delivery.
    Any,
    /// Each consumer belongs to one process.
    Consumer,
}

/// How deliveries spread over the consumers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Spread {
    /// Each consumer gets as many as each other one.
    Even,
    /// The second consumer gets half as many as the first, the third a third, and so on (Zipf).
    Skewed,
}

/// A fleet, and what it has to do.
#[derive(Clone, Copy, Debug)]
struct Fleet {
    per_hour: u64,
    consumers: usize,
    spread: Spread,
    processes: usize,
    routing: Routing,
    /// `max_connections` of each process.
    connections: usize,
}

const MILLION: u64 = 1_000_000;

const FLEETS: [Fleet; 10] = [
    fleet(100_000, 100, 1, Routing::Any, 256),
    fleet(100_000, 1000, 1, Routing::Any, 256),
    fleet(100_000, 1000, 1, Routing::Any, 1024),
    fleet(MILLION, 10_000, 4, Routing::Any, 256),
    fleet(MILLION, 10_000, 4, Routing::Consumer, 256),
    fleet(MILLION, 10_000, 4, Routing::Consumer, 4096),
    fleet(10 * MILLION, 100_000, 16, Routing::Any, 8192),
    fleet(10 * MILLION, 100_000, 16, Routing::Consumer, 256),
    fleet(10 * MILLION, 100_000, 16, Routing::Consumer, 8192),
    Fleet { spread: Spread::Skewed, ..fleet(10 * MILLION, 100_000, 16, Routing::Consumer, 8192) },
];

const fn fleet(
    per_hour: u64,
    consumers: usize,
    processes: usize,
    routing: Routing,
    connections: usize,
) -> Fleet {
    Fleet { per_hour, consumers, spread: Spread::Even, processes, routing, connections }
}

/// Simulates the fleets, and writes the page.
pub(crate) fn run() -> Result {
    let page = page(&Costs::measured()?);
    println!("{page}");
    paths::write(&page_file(), &page)
}

fn page_file() -> std::path::PathBuf {
    paths::root().join("docs").join("sizing.md")
}

/// What `docs/scale.md` says about one delivery, endpoint and connection.
struct Costs {
    /// CPU of a delivery over an open connection, in microseconds.
    warm: f64,
    /// CPU of a delivery with a handshake, in microseconds.
    cold: f64,
    /// Memory of an endpoint and of an idle connection, in bytes.
    endpoint: f64,
    connection: f64,
}

impl Costs {
    /// Reads the largest sizes of the page.
    fn measured() -> Result<Self> {
        let page = paths::read(&paths::root().join("docs").join("scale.md"))?;
        let of = |title: &str, column| {
            last_row(&page, title).and_then(|cells| cells.get(column).copied()).ok_or_else(|| {
                Failure::new(format!("docs/scale.md has no column {column} below {title}"))
            })
        };
        Ok(Self {
            warm: of("## Idle connections", 3)?,
            cold: of("## Consumers", 1)?,
            endpoint: of("## Endpoints", 1)?,
            connection: of("## Idle connections", 1)?,
        })
    }
}

/// Returns the numbers in the last row of the table below a title.
fn last_row(page: &str, title: &str) -> Option<Vec<f64>> {
    let below = page.split_once(&format!("{title}\n"))?.1;
    let section = below.split("\n## ").next()?;
    let row = section.lines().rfind(|line| line.starts_with("| "))?;
    row.trim_matches('|').split('|').map(|cell| cell.trim().parse().ok()).collect()
}

/// What a simulation counts.
#[derive(Debug, PartialEq)]
struct Seen {
    deliveries: u64,
    /// Deliveries over a connection that was open.
    warm: u64,
    /// The most connections that one process had at once.
    connections: usize,
}

/// One process of a fleet.
struct Process {
    /// For each consumer, when its connection was last used; `None` without a connection.
    used: Vec<Option<u64>>,
    open: usize,
    /// Uses in their order. One that is not the consumer's last is out of date.
    uses: VecDeque<(u64, usize)>,
}

impl Process {
    fn new(consumers: usize) -> Self {
        Self { used: vec![None; consumers], open: 0, uses: VecDeque::new() }
    }

    /// Delivers; returns whether a connection was open.
    ///
    /// * `now`, `max_idle`: in deliveries of the fleet, which are evenly spaced in time.
    fn deliver(&mut self, consumer: usize, now: u64, max_idle: u64, most: usize) -> bool {
        self.close(|at, _| at + max_idle < now);
        let was_open = self.used[consumer].is_some();
        if !was_open {
            self.close(|_, open| open >= most);
            self.open += 1;
        }
        self.used[consumer] = Some(now);
        self.uses.push_back((now, consumer));
        was_open
    }

    /// Closes the connections that were idle longest, as long as the rule says so.
    fn close(&mut self, rule: impl Fn(u64, usize) -> bool) {
        while let Some(&(at, consumer)) = self.uses.front() {
            let is_last = self.used[consumer] == Some(at);
            if is_last && !rule(at, self.open) {
                return;
            }
            self.uses.pop_front();
            if is_last {
                self.used[consumer] = None;
                self.open -= 1;
            }
        }
    }
}

impl Fleet {
    fn simulate(&self) -> Seen {
        let Fleet { consumers, spread, processes, routing, connections, .. } = *self;
        let per = |seconds: u64| self.per_hour * seconds / 3600;
        let (first, last) = (per(WARM_UP), per(WARM_UP + COUNTED));
        let mut fleet: Vec<Process> = (0..processes).map(|_| Process::new(consumers)).collect();
        let mut seen = Seen { deliveries: last - first, warm: 0, connections: 0 };
        let (mut chance, shares) = (Chance(1), shares(consumers, spread));
        for now in 0..last {
            let consumer = chance.consumer(&shares);
            let process = match routing {
                Routing::Any => chance.below(processes),
                Routing::Consumer => consumer % processes,
            };
            let process = &mut fleet[process];
            let warm = process.deliver(consumer, now, per(MAX_IDLE), connections);
            if now >= first {
                seen.warm += u64::from(warm);
                seen.connections = seen.connections.max(process.open);
            }
        }
        seen
    }

    /// How many endpoints one process has seen after a while.
    fn endpoints(&self) -> usize {
        match self.routing {
            Routing::Any => self.consumers,
            Routing::Consumer => self.consumers.div_ceil(self.processes),
        }
    }
}

/// Returns the part of all deliveries that goes to each consumer or one before it.
fn shares(consumers: usize, spread: Spread) -> Vec<f64> {
    let mut sum = 0.0;
    let mut sums = Vec::with_capacity(consumers);
    for rank in 1..=consumers {
        sum += match spread {
            Spread::Even => 1.0,
            Spread::Skewed => 1.0 / number(rank),
        };
        sums.push(sum);
    }
    sums.into_iter().map(|each| each / sum).collect()
}

#[allow(clippy::cast_precision_loss)]
fn number(count: usize) -> f64 {
    count as f64
}

/// Random numbers that are the same in each run (SplitMix64, by Steele, Lea and Flood).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("below a usize")
    }

    fn consumer(&mut self, shares: &[f64]) -> usize {
        let at =
            f64::from(u32::try_from(self.next() >> 32).expect("32 bits")) / f64::from(u32::MAX);
        shares.partition_point(|share| *share < at).min(shares.len() - 1)
    }
}

const INTRODUCTION: &str = "How many processes a fleet needs, and which setting decides it. \
    `cargo xtask sizing` simulates each row from the costs that [Scale](scale.md) has measured, and writes this \
    page. The simulation follows the connections, because a delivery with a handshake costs ten times as much \
    as one without.";

const COLUMNS_OF_PAGE: &str = "| deliveries an hour | consumers | processes | a delivery goes to | \
    `max_connections` | without a handshake | connections of a process | busy cores | \
    CPU minutes for a million | MiB of a process |";

const AFTER: &str = "\
## What the rows say

- **Send each consumer's deliveries to one process**, by its id. If any process takes them, each process needs a \
  connection of its own to each consumer, and most deliveries make a handshake. With Celery and BullMQ, use a queue \
  for each shard, such as the remainder of a hash of the id.
- **Set `max_connections` to the number of consumers of a process** that get a delivery within 50 seconds. With \
  fewer, connections close before they are used again. The default, 256, fits a process with as many busy \
  consumers.
- **Rare deliveries make handshakes anyhow.** A process closes a connection after 50 idle seconds, because servers \
  close it soon after. A consumer that gets a delivery every ten minutes costs a handshake each time.

## What each layer holds

- **The queue** holds an event until it is settled: the message, and its entry in the [due index](queues/README.md). \
  Hours of retries are there, not in a process.
- **A process** holds its endpoints, its connections and the deliveries in flight. The last column is the memory of \
  the first two.
- **A consumer** pays for handshakes too: its server signs for each one.

## What breaks first

1. **`max_connections`**: the share without a handshake falls, and CPU grows up to tenfold. `metrics()` shows it as \
   `webhook_mtls_handshakes_total` beside deliveries.
2. **Descriptors**: each connection needs one. Many systems allow 1024 to a process; raise the limit (`ulimit -n`) \
   together with `max_connections`.
3. **CPU**: a process delivers on at most four cores. A worker of Celery's prefork pool is a process with one \
  task at a time, and has connections of its own. Tasks in threads, and `deliver_many` in one task, share them.
4. **The broker**: it stores each event several times while a delivery is tried. It is not in these figures.

## Limits of the model

Deliveries arrive evenly spaced, to consumers chosen at random. A delivery ends at once, so two deliveries never \
need two connections to one consumer. The CPU is that of the library for 1 KiB over TLS 1.3, without the task \
around it, on the machine of [Scale](scale.md).
";

fn page(costs: &Costs) -> String {
    let mut text = format!("# Size a fleet\n\n{}\n\n", wrapped(INTRODUCTION, COLUMNS).join("\n"));
    let columns = COLUMNS_OF_PAGE.matches('|').count() - 1;
    let _ = writeln!(text, "{COLUMNS_OF_PAGE}\n|{}", " --- |".repeat(columns));
    for fleet in &FLEETS {
        let seen = fleet.simulate();
        let warm = share(&seen);
        let cost = warm * costs.warm + (1.0 - warm) * costs.cold;
        let cores = cost * f64::from(u32::try_from(fleet.per_hour).expect("32 bits")) / 3.6e9;
        let memory = number(fleet.endpoints()) * costs.endpoint
            + number(seen.connections) * costs.connection;
        let consumers = match fleet.spread {
            Spread::Even => fleet.consumers.to_string(),
            Spread::Skewed => format!("{}, a few get most", fleet.consumers),
        };
        let routing = match (fleet.processes, fleet.routing) {
            (1, _) => "the process",
            (_, Routing::Any) => "any process",
            (_, Routing::Consumer) => "the consumer's process",
        };
        let _ = writeln!(
            text,
            "| {} | {consumers} | {} | {routing} | {} | {:.0} % | {} | {cores:.3} | {:.1} | {:.0} |",
            fleet.per_hour,
            fleet.processes,
            fleet.connections,
            warm * 100.0,
            seen.connections,
            cost / 60.0,
            memory / 1_048_576.0,
        );
    }
    text.push('\n');
    for line in AFTER.lines() {
        let indent = if line.starts_with("- ") {
            "  "
        } else if line.starts_with(|first: char| first.is_ascii_digit()) {
            "   "
        } else {
            ""
        };
        let lines = wrapped(line, COLUMNS - indent.len());
        text.push_str(&lines.join(&format!("\n{indent}")));
        text.push('\n');
    }
    text
}

fn share(seen: &Seen) -> f64 {
    let count = |number| f64::from(u32::try_from(number).expect("32 bits"));
    count(seen.warm) / count(seen.deliveries)
}

#[cfg(test)]
mod tests {
    use super::{Costs, Process, Routing, fleet, last_row, page, page_file, share};
    use crate::paths;

    /// Each consumer in turn, twice, as `cargo xtask scale` measures it. Returns how many deliveries of the
    /// second round found a connection.
    fn second_round(consumers: usize, most: usize) -> usize {
        let mut process = Process::new(consumers);
        let all = (0..consumers).chain(0..consumers).zip(0..);
        let warm: Vec<bool> =
            all.map(|(consumer, now)| process.deliver(consumer, now, u64::MAX / 2, most)).collect();
        warm[consumers..].iter().filter(|warm| **warm).count()
    }

    #[test]
    fn the_simulation_agrees_with_what_was_measured() {
        // The measured second delivery costs a handshake unless all connections fit.
        let page = paths::read(&paths::root().join("docs/scale.md")).unwrap();
        let costs = Costs::measured().unwrap();
        let section = page.split("## Consumers").nth(1).unwrap().split("\n## ").next().unwrap();
        for consumers in [100, 1000, 3000, 10_000] {
            let row = section.lines().find(|line| line.starts_with(&format!("| {consumers} |")));
            let again: f64 = row.unwrap().split('|').nth(3).unwrap().trim().parse().unwrap();
            let is_warm = again < f64::midpoint(costs.warm, costs.cold);
            let expected = if is_warm { consumers } else { 0 };
            assert_eq!(second_round(consumers, 256), expected, "{consumers}");
        }
    }

    #[test]
    fn an_idle_connection_closes_and_the_longest_idle_one_makes_room() {
        let mut process = Process::new(3);
        let mut deliver = |consumer, now| process.deliver(consumer, now, 50, 2);
        assert!(!deliver(0, 0));
        assert!(deliver(0, 50), "idle for 50");
        assert!(!deliver(0, 101), "idle for 51");
        assert!(!deliver(1, 102));
        assert!(deliver(0, 103));
        assert!(!deliver(2, 104), "closes that of 1");
        assert!(deliver(0, 105));
        assert!(!deliver(1, 106), "closes that of 2");
        assert_eq!(process.open, 2);
    }

    #[test]
    fn a_process_for_each_consumer_saves_handshakes() {
        let seen = |routing| share(&fleet(1_000_000, 2000, 8, routing, 1024).simulate());
        let (any, own) = (seen(Routing::Any), seen(Routing::Consumer));
        assert!(own > 0.99, "{own}");
        // A consumer of one process in eight gets a delivery every 58 seconds.
        assert!((0.5..0.65).contains(&any), "{any}");
    }

    #[test]
    fn the_page_is_what_the_simulation_says() {
        let costs = Costs::measured().unwrap();
        assert_eq!(paths::read(&page_file()).unwrap(), page(&costs), "run cargo xtask sizing");
    }

    #[test]
    fn the_last_row_of_a_table_is_read() {
        let text =
            "## A\n\n| x | y |\n| --- | --- |\n| 1 | 2 |\n| 3 | 4.5 |\n\n## B\n\n| 9 | 9 |\n";
        assert_eq!(last_row(text, "## A"), Some(vec![3.0, 4.5]));
        assert_eq!(last_row(text, "## C"), None);
    }
}
