//! Checks that memory and descriptors of a long-running program stay constant.

use serde_json::Value;

use crate::command::{Failure, Output, Result};

/// The allowed growth after the first fifth of the work: of ten thousand rounds, less than a
/// kilobyte for each later one. The allocator may keep this much.
const GROWTH_KIB: u64 = 6 * 1024;

/// The number of idle connections varies.
const MORE_DESCRIPTORS: u64 = 8;

/// Returns the last JSON line of a program: `early` and `late`, each with `rss_kib` and
/// `descriptors`.
pub(crate) fn report(program: &str, output: &Output) -> Result<Value> {
    serde_json::from_str(output.last_line()).map_err(|error| {
        Failure::with_output(format!("{program} did not print JSON: {error}"), output.all.clone())
    })
}

/// Returns the growth as a short text. Fails if the growth exceeds a limit.
pub(crate) fn check_growth(program: &str, held: &Value) -> Result<String> {
    let number = |when: &str, what: &str| {
        held[when][what]
            .as_u64()
            .ok_or_else(|| Failure::new(format!("{program} did not report its {what}: {held}")))
    };
    let memory = (number("early", "rss_kib")?, number("late", "rss_kib")?);
    let descriptors = (number("early", "descriptors")?, number("late", "descriptors")?);
    let report = format!(
        "{program}: {} to {} KiB, {} to {} descriptors",
        memory.0, memory.1, descriptors.0, descriptors.1
    );
    if memory.1 > memory.0 + GROWTH_KIB || descriptors.1 > descriptors.0 + MORE_DESCRIPTORS {
        return Err(Failure::new(format!("{report}: the growth exceeds the limit")));
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn growth_beyond_a_limit_fails() {
        let held = |rss: u64, descriptors: u64| {
            json!({
                "early": { "rss_kib": 10_000, "descriptors": 20 },
                "late": { "rss_kib": rss, "descriptors": descriptors },
            })
        };
        assert!(check_growth("c", &held(11_000, 21)).is_ok());
        assert!(check_growth("c", &held(10_001 + GROWTH_KIB, 20)).is_err());
        assert!(check_growth("c", &held(10_000, 21 + MORE_DESCRIPTORS)).is_err());
        assert!(check_growth("c", &json!({})).is_err());
    }
}
