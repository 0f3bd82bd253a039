//! Ten thousand deliveries, some refused and some given up, at flat memory and descriptors.

use std::path::Path;

use serde_json::Value;

use crate::c_programs::{self, Linkage};
use crate::clients::Languages;
use crate::lab::Lab;
use crate::paths;
use crate::rust;
use crate::steps::{Failure, Result, Step};

const DELIVERIES: u32 = 10_000;

/// What an allocator may keep beyond what it had after a fifth of them: less than a kilobyte for
/// each delivery that followed.
const GROWTH_KIB: u64 = 6 * 1024;

/// Idle connections come and go.
const MORE_DESCRIPTORS: u64 = 8;

/// Runs the four programs; returns the closing line.
pub(crate) fn test(languages: &Languages) -> Result<String> {
    let lab = Lab::start()?;
    let sources = paths::root().join("tests").join("clients");
    let shown = |path: &Path| path.display().to_string();
    let python = languages.python()?.interpreter();
    let c_source = sources.join("steady.c");
    let c = c_programs::compile(&languages.toolchain, languages.c()?, &c_source, Linkage::Static)?;
    let programs = [
        ("c", vec![shown(&c)]),
        ("rust", vec![shown(&rust::example("steady")?)]),
        ("python", vec![shown(&python), shown(&sources.join("steady.py"))]),
        ("node", languages.node()?.command("tests/clients/steady.mjs")),
    ];
    let mut told = Vec::new();
    for (language, command) in programs {
        let material = |name: &str| lab.material().join(name);
        let url = &lab.consumer(&format!("acme-{language}"))?.url;
        let output = Step::new(format!("{DELIVERIES} deliveries from {language}"), &command[0])
            .args(&command[1..])
            .env("WMTLS_URL", url)
            .env("WMTLS_REFUSING_URL", &lab.consumer("client_certificate_rejected")?.url)
            .env("WMTLS_CERT", material("tls.crt"))
            .env("WMTLS_KEY", material("tls.key"))
            .env("WMTLS_CA", material("ca.pem"))
            .env("WMTLS_COUNT", DELIVERIES.to_string())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .run()?;
        let held: Value = serde_json::from_str(output.last_line()).map_err(|error| {
            Failure::with_output(format!("{language} told no JSON: {error}"), output.all.clone())
        })?;
        told.push(judge(language, &held)?);
    }
    Ok(told.join("; "))
}

/// What grew, in a few words, unless it grew too much.
fn judge(language: &str, held: &Value) -> Result<String> {
    let number = |when: &str, what: &str| {
        held[when][what]
            .as_u64()
            .ok_or_else(|| Failure::new(format!("{language} did not tell its {what}: {held}")))
    };
    let memory = (number("early", "rss_kib")?, number("late", "rss_kib")?);
    let descriptors = (number("early", "descriptors")?, number("late", "descriptors")?);
    let told = format!(
        "{language}: {} to {} KiB, {} to {} descriptors",
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
        assert!(judge("c", &held(11_000, 21)).is_ok());
        assert!(judge("c", &held(10_001 + GROWTH_KIB, 20)).is_err());
        assert!(judge("c", &held(10_000, 21 + MORE_DESCRIPTORS)).is_err());
        assert!(judge("c", &json!({})).is_err());
    }
}
