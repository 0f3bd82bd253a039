//! The fuzz targets of `fuzz/`. The tests mutate their corpora, on any toolchain and reproducibly.
//! The soak runs libFuzzer if a nightly toolchain is installed.

use std::process::Command;
use std::time::Duration;

use crate::command::{Result, Step};
use crate::paths;
use crate::profile::Profile;

/// Each target with a number of mutations that takes some seconds. PKCS#12 is slow by design.
const TARGETS: [(&str, u32); 7] = [
    ("pem", 60_000),
    ("certificate", 200_000),
    ("pin", 400_000),
    ("crl", 200_000),
    ("pkcs12", 10_000),
    ("server_hello", 400_000),
    ("answer", 200_000),
];

const PACKAGE: [&str; 2] = ["--package", "webhook-mtls-fuzz"];

/// The flags of cargo-fuzz: coverage for libFuzzer, and an allocator that detects misuse.
const INSTRUMENTED: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Ccodegen-units=1 -Zsanitizer=address";

/// Mutates every corpus for some seconds; returns the closing line.
pub(crate) fn test() -> Result<String> {
    let arguments = ["build", "--locked", "--release", PACKAGE[0], PACKAGE[1]];
    Step::cargo("fuzz targets (release)", &arguments).run()?;
    for (target, count) in TARGETS {
        mutate(target, count, 1)?;
    }
    Ok(format!("{} targets, no input broke one", TARGETS.len()))
}

/// Fuzzes every target for this long, with coverage if possible. New inputs stay below the target
/// directory.
pub(crate) fn soak(seconds: u64) -> Result<String> {
    let Some(host) = nightly_host() else {
        test()?;
        for (target, count) in TARGETS {
            let rounds = u32::try_from(seconds / 10).unwrap_or(60).max(1);
            for seed in 2..2 + rounds {
                mutate(target, count, seed)?;
            }
        }
        return Ok("no nightly toolchain: mutated without coverage".to_owned());
    };
    let folder = paths::target().join("fuzz");
    Step::new("fuzz targets (nightly, instrumented)", "rustup")
        .args(["run", "nightly", "cargo", "build", "--locked", "--release"])
        .args(PACKAGE)
        .args(["--target", &host, "--target-dir"])
        .arg(&folder)
        .env("RUSTFLAGS", INSTRUMENTED)
        .in_directory(&paths::root())
        .run()?;
    let programs = folder.join(&host).join("release");
    for (target, _) in TARGETS {
        let found = folder.join("corpus").join(target);
        paths::make_directory(&found)?;
        Step::new(format!("libFuzzer: {target}, {seconds} s"), programs.join(target))
            .arg(&found)
            .arg(paths::root().join("fuzz").join("corpus").join(target))
            .arg(format!("-max_total_time={seconds}"))
            .args(["-timeout=10", "-rss_limit_mb=2048", "-max_len=8192"])
            .arg(format!("-artifact_prefix={}/{target}-", folder.display()))
            .in_directory(&folder)
            .limit(Duration::from_secs(seconds + 300))
            .run()?;
    }
    Ok(format!("{} targets for {seconds} s each under libFuzzer", TARGETS.len()))
}

fn mutate(target: &str, count: u32, seed: u32) -> Result {
    Step::new(
        format!("{target}: {count} mutations, seed {seed}"),
        paths::built(Profile::Release, target),
    )
    .args([count.to_string(), seed.to_string()])
    .run()
    .map(drop)
}

/// Returns the platform of the nightly toolchain, if one is installed.
fn nightly_host() -> Option<String> {
    let version = Command::new("rustup").args(["run", "nightly", "rustc", "-vV"]).output().ok()?;
    if !version.status.success() {
        return None;
    }
    let version = String::from_utf8(version.stdout).ok()?;
    version.lines().find_map(|line| line.strip_prefix("host: ").map(str::to_owned))
}
