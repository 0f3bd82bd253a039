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
const ALLOWED: Delays = Delays { slowest: 100, late: 100, loop_busy: 50.0 };
const SLOWER: u64 = 10;

/// The number of runs, of which the best one counts: a loaded machine may delay one of them.
const RUNS: usize = 5;

/// Delivers from one language to an honest receiver, alone and beside receivers that flood; returns a
/// line with the measured times.
pub(super) fn measure(language: &str, command: &[String], receivers: &Path) -> Result<String> {
    let directory = paths::target().join("outcomes").join("beside_floods");
    let deliver = |part| {
        let run = run(language, command, receivers, &directory, Some(part))?;
        let broken: Vec<&str> =
            run.rows.iter().flat_map(|row| &row.broken).map(String::as_str).collect();
        if broken.is_empty() {
            return Ok(Delays::of(&run));
        }
        let what = format!("{} rules were broken beside floods", broken.len());
        Err(Failure::with_output(what, broken.join("\n")))
    };
    let mut said = Vec::new();
    for _ in 0..RUNS {
        let (calm, flooded) = (deliver("calm")?, deliver("beside_floods")?);
        said.push(format!("{flooded} (without floods {calm})"));
        if flooded.is_allowed(&calm) {
            return Ok(format!("  beside floods from {language}: {}", said.join("; ")));
        }
    }
    Err(Failure::new(format!("beside floods from {language}: {}", said.join("; "))))
}

/// The delays of one run, in milliseconds.
struct Delays {
    /// The slowest delivery to the honest receiver.
    slowest: u64,
    /// The time by which a deadline was exceeded at most.
    late: u64,
    /// The most processor time of one turn of the event loop, if there is one.
    loop_busy: f64,
}

impl Delays {
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

    fn is_allowed(&self, calm: &Self) -> bool {
        self.slowest <= ALLOWED.slowest.max(SLOWER.saturating_mul(calm.slowest))
            && self.late <= ALLOWED.late.max(SLOWER.saturating_mul(calm.late))
            && self.loop_busy <= ALLOWED.loop_busy + calm.loop_busy
    }
}

impl fmt::Display for Delays {
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
        let calm = Delays::of(&run(5, 5, Some(10.0)));
        let allowed = |run| Delays::of(&run).is_allowed(&calm);
        assert!(allowed(run(100, 100, Some(60.0))));
        assert!(allowed(run(1, 0, None)));
        assert!(!allowed(run(101, 0, None)));
        assert!(!allowed(run(1, 101, None)));
        assert!(!allowed(run(1, 0, Some(61.0))));
        let slow = Delays::of(&run(50, 20, None));
        assert!(Delays::of(&run(500, 200, None)).is_allowed(&slow));
        assert!(!Delays::of(&run(501, 200, None)).is_allowed(&slow));
        assert!(!Delays::of(&run(500, 201, None)).is_allowed(&slow));
        assert!(!allowed(Run { rows: Vec::new(), loop_busy_ms: None }), "a run without rows");
    }
}
