//! Deliveries beside receivers that flood.

use std::fmt;
use std::path::Path;

use serde_json::Value;

use super::{Run, run};
use crate::command::{Failure, Result};
use crate::paths;

/// The allowed delay beside floods. The slowest honest delivery and the latest deadline may also
/// take ten times as long as without floods, and a turn of the event loop may take this much
/// longer.
const BEARABLE: Siege = Siege { slowest: 100, late: 100, loop_busy: 50.0 };
const SLOWER: u64 = 10;

/// The number of runs, of which the best one counts: a loaded machine may delay one of them.
const SIEGES: usize = 5;

/// Delivers from one language to an honest receiver, alone and beside receivers that flood; returns a
/// line with the measured times.
pub(super) fn stand(language: &str, command: &[String], receivers: &Path) -> Result<String> {
    let directory = paths::target().join("outcomes").join("siege");
    let deliver = |part| {
        let run = run(language, command, receivers, &directory, Some(part))?;
        let broken: Vec<&str> =
            run.rows.iter().flat_map(|row| &row.broken).map(String::as_str).collect();
        if broken.is_empty() {
            return Ok(Siege::of(&run));
        }
        let what = format!("{} rules were broken beside floods", broken.len());
        Err(Failure::with_output(what, broken.join("\n")))
    };
    let mut said = Vec::new();
    for _ in 0..SIEGES {
        let (calm, siege) = (deliver("calm")?, deliver("siege")?);
        said.push(format!("{siege} (without floods {calm})"));
        if siege.is_bearable(&calm) {
            return Ok(format!("  beside floods from {language}: {}", said.join("; ")));
        }
    }
    Err(Failure::new(format!("beside floods from {language}: {}", said.join("; "))))
}

/// The delays of one run, in milliseconds.
struct Siege {
    /// The slowest delivery to the honest receiver.
    slowest: u64,
    /// The time by which a deadline was exceeded at most.
    late: u64,
    /// The most processor time of one turn of the event loop, if there is one.
    loop_busy: f64,
}

impl Siege {
    fn of(run: &Run) -> Self {
        let said = || run.rows.iter().flat_map(|row| row.said.iter().map(move |said| (row, said)));
        let took = |said: &Value| said["elapsed_ms"].as_u64().unwrap_or(u64::MAX);
        let honest = said().filter(|(row, _)| row.case == "honest").map(|(_, said)| took(said));
        let late = said().filter_map(|(_, said)| {
            let allowed = said["error"]["context"]["allowed_ms"].as_u64()?;
            Some(took(said).saturating_sub(allowed))
        });
        Self {
            slowest: honest.max().unwrap_or(u64::MAX),
            late: late.max().unwrap_or(u64::MAX),
            loop_busy: run.loop_busy_ms.unwrap_or(0.0),
        }
    }

    fn is_bearable(&self, calm: &Self) -> bool {
        self.slowest <= BEARABLE.slowest.max(SLOWER.saturating_mul(calm.slowest))
            && self.late <= BEARABLE.late.max(SLOWER.saturating_mul(calm.late))
            && self.loop_busy <= BEARABLE.loop_busy + calm.loop_busy
    }
}

impl fmt::Display for Siege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slowest, late, loop_busy } = self;
        write!(f, "slowest {slowest} ms, latest {late} ms, loop busy {loop_busy:.0} ms")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Row;
    use super::*;

    fn run(honest: u64, late: u64, loop_busy_ms: Option<f64>) -> Run {
        let row = |case: &str, said: Value| Row {
            case: case.to_owned(),
            language: "rust".to_owned(),
            said: vec![said],
            saw: Value::Null,
            broken: Vec::new(),
        };
        let honest = json!({ "elapsed_ms": honest, "receipt": {} });
        let error = json!({ "context": { "allowed_ms": 300 } });
        let overdue = json!({ "elapsed_ms": 300 + late, "error": error });
        Run { rows: vec![row("honest", honest), row("slow_drips", overdue)], loop_busy_ms }
    }

    #[test]
    fn each_of_the_three_is_checked() {
        let calm = Siege::of(&run(5, 5, Some(10.0)));
        let bearable = |run| Siege::of(&run).is_bearable(&calm);
        assert!(bearable(run(100, 100, Some(60.0))));
        assert!(bearable(run(1, 0, None)));
        assert!(!bearable(run(101, 0, None)));
        assert!(!bearable(run(1, 101, None)));
        assert!(!bearable(run(1, 0, Some(61.0))));
        let slow = Siege::of(&run(50, 20, None));
        assert!(Siege::of(&run(500, 200, None)).is_bearable(&slow));
        assert!(!Siege::of(&run(501, 200, None)).is_bearable(&slow));
        assert!(!Siege::of(&run(500, 201, None)).is_bearable(&slow));
        assert!(!bearable(Run { rows: Vec::new(), loop_busy_ms: None }), "a run without rows");
    }
}
