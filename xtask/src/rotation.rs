//! Files that rotate under deliveries, in every way and for long, and reloads at flat memory and
//! descriptors.

use serde_json::Value;

use crate::rust;
use crate::steps::{Failure, Result, Step};

/// For how long each way is gone.
const SECONDS: u32 = 60;

const RELOADS: u32 = 10_000;

/// What an allocator may keep beyond what it had after a fifth of the reloads.
const GROWTH_KIB: u64 = 6 * 1024;

/// Idle connections come and go.
const MORE_DESCRIPTORS: u64 = 8;

/// Runs the program; returns the closing line.
pub(crate) fn test() -> Result<String> {
    let output = Step::new(
        format!("rotation, {SECONDS} s a way, and {RELOADS} reloads"),
        rust::example("rotate")?,
    )
    .args([SECONDS.to_string(), RELOADS.to_string()])
    .run()?;
    let told: Value = serde_json::from_str(output.last_line()).map_err(|error| {
        Failure::with_output(format!("rotate told no JSON: {error}"), output.all.clone())
    })?;
    judge(&told["reloads"])
}

/// What grew, in a few words, unless it grew too much.
fn judge(held: &Value) -> Result<String> {
    let number = |when: &str, what: &str| {
        held[when][what]
            .as_u64()
            .ok_or_else(|| Failure::new(format!("rotate did not tell its {what}: {held}")))
    };
    let memory = (number("early", "rss_kib")?, number("late", "rss_kib")?);
    let descriptors = (number("early", "descriptors")?, number("late", "descriptors")?);
    let told = format!(
        "{RELOADS} reloads: {} to {} KiB, {} to {} descriptors",
        memory.0, memory.1, descriptors.0, descriptors.1
    );
    if memory.1 > memory.0 + GROWTH_KIB || descriptors.1 > descriptors.0 + MORE_DESCRIPTORS {
        return Err(Failure::new(format!("{told}: that is not flat")));
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_grows_fails() {
        let held = |rss: u64, descriptors: u64| {
            json!({
                "early": { "rss_kib": 10_000, "descriptors": 20 },
                "late": { "rss_kib": rss, "descriptors": descriptors },
            })
        };
        assert!(judge(&held(11_000, 21)).is_ok());
        assert!(judge(&held(10_001 + GROWTH_KIB, 20)).is_err());
        assert!(judge(&held(10_000, 21 + MORE_DESCRIPTORS)).is_err());
        assert!(judge(&json!({})).is_err());
    }
}
