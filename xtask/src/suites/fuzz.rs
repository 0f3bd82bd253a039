//! The fuzz targets of `fuzz/`. The tests mutate their corpora, on any toolchain and reproducibly.
//! The soak runs libFuzzer if a nightly toolchain is installed, and so does `cargo xtask fuzz`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::command::{Failure, Result, Step, last_line};
use crate::paths;
use crate::profile::Profile;
use crate::toolchain::Toolchain;

/// Each target with a number of mutations that takes some seconds. PKCS#12 is slow by design.
const TARGETS: [(&str, u32); 10] = [
    ("pem", 60_000),
    ("certificate", 200_000),
    ("pin", 400_000),
    ("crl", 200_000),
    ("pkcs12", 10_000),
    ("server_hello", 400_000),
    ("answer", 200_000),
    ("forwarded", 100_000),
    ("path", 5_000),
    ("webhook", 20_000),
];

const PACKAGE: [&str; 2] = ["--package", "webhook-mtls-fuzz"];

/// The flags of cargo-fuzz: coverage for libFuzzer, and an allocator that detects misuse.
const INSTRUMENTED: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Ccodegen-units=1 -Zsanitizer=address";

/// Mutates every corpus for some seconds; returns the closing line.
pub(crate) fn test(toolchain: &Toolchain) -> Result<String> {
    let arguments = ["build", "--locked", "--release", PACKAGE[0], PACKAGE[1]];
    Step::cargo("fuzz targets (release)", &arguments).run()?;
    let judges = judges(toolchain)?;
    for (target, count) in TARGETS {
        mutate(target, count, 1, &judges)?;
    }
    Ok(format!("{} targets, no input broke one", TARGETS.len()))
}

/// Fuzzes every target for this long, with coverage if possible. New inputs stay below the target
/// directory.
pub(crate) fn soak(toolchain: &Toolchain, seconds: u64) -> Result<String> {
    let Some(host) = nightly_host() else {
        test(toolchain)?;
        let judges = judges(toolchain)?;
        for (target, count) in TARGETS {
            let rounds = u32::try_from(seconds / 10).unwrap_or(60).max(1);
            for seed in 2..2 + rounds {
                mutate(target, count, seed, &judges)?;
            }
        }
        return Ok("no nightly toolchain: mutated without coverage".to_owned());
    };
    let programs = instrumented(&host)?;
    let judges = judges(toolchain)?;
    for (target, _) in TARGETS {
        cover(&programs, target, seconds, &judges)?;
    }
    Ok(format!("{} targets for {seconds} s each under libFuzzer", TARGETS.len()))
}

/// Runs libFuzzer on one target or on all, and keeps the inputs that reach new code in the corpora of
/// `fuzz/`. Returns a line about the runs for the record, and the first failure.
pub(crate) fn keep(
    toolchain: &Toolchain,
    seconds: u64,
    only: Option<&str>,
) -> Result<(String, Option<Failure>)> {
    let targets: Vec<&str> = TARGETS.iter().map(|(target, _)| *target).collect();
    if let Some(unknown) = only.filter(|name| !targets.contains(name)) {
        let known = targets.join(", ");
        return Err(Failure::new(format!("no fuzz target {unknown}; known: {known}")));
    }
    let host = nightly_host().ok_or_else(|| {
        Failure::new("libFuzzer needs a nightly toolchain: rustup toolchain install nightly")
    })?;
    let programs = instrumented(&host)?;
    let judges = judges(toolchain)?;
    let mut runs = Vec::new();
    for target in targets.into_iter().filter(|target| only.is_none_or(|only| only == *target)) {
        match cover(&programs, target, seconds, &judges) {
            Ok(count) => runs.push(format!("{target} {count}")),
            Err(failure) => {
                runs.push(format!("{target} FAILED"));
                return Ok((runs.join(", "), Some(failure)));
            }
        }
        merge(&programs, target, &judges)?;
    }
    Ok((runs.join(", "), None))
}

/// Builds the targets for libFuzzer; returns the folder of the programs.
fn instrumented(host: &str) -> Result<PathBuf> {
    Step::new("fuzz targets (nightly, instrumented)", "rustup")
        .args(["run", "nightly", "cargo", "build", "--locked", "--release"])
        .args(PACKAGE)
        .args(["--target", host, "--target-dir"])
        .arg(folder())
        .env("RUSTFLAGS", INSTRUMENTED)
        .in_directory(&paths::root())
        .run()?;
    Ok(folder().join(host).join("release"))
}

/// Runs libFuzzer on one target; returns the number of its runs.
fn cover(programs: &Path, target: &str, seconds: u64, judges: &[(&str, String)]) -> Result<u64> {
    let found = found(target)?;
    let output = with(judges, Step::new(title(target, seconds), programs.join(target)))
        .arg(&found)
        .arg(corpus(target))
        .arg(format!("-max_total_time={seconds}"))
        .args(["-timeout=10", "-rss_limit_mb=2048", "-max_len=8192"])
        .arg(format!("-artifact_prefix={}/{target}-", folder().display()))
        .in_directory(&folder())
        .limit(Duration::from_secs(seconds + 300))
        .run()?;
    // libFuzzer writes to standard error.
    let runs = last_line(&output.all).strip_prefix("Done ").and_then(|rest| rest.split(' ').next());
    Ok(runs.and_then(|count| count.parse().ok()).unwrap_or_default())
}

fn title(target: &str, seconds: u64) -> String {
    format!("libFuzzer: {target}, {seconds} s")
}

/// Adds the found inputs to the corpus that reach code which no input of it reaches.
fn merge(programs: &Path, target: &str, judges: &[(&str, String)]) -> Result {
    with(judges, Step::new(format!("new inputs of {target}"), programs.join(target)))
        .args(["-set_cover_merge=1", "-use_counters=0", "-max_len=4096", "-timeout=10"])
        .arg(corpus(target))
        .arg(found(target)?)
        .in_directory(&folder())
        .limit(Duration::from_secs(600))
        .run()
        .map(drop)
}

fn folder() -> PathBuf {
    paths::target().join("fuzz")
}

fn found(target: &str) -> Result<PathBuf> {
    let found = folder().join("corpus").join(target);
    paths::make_directory(&found)?;
    Ok(found)
}

fn corpus(target: &str) -> PathBuf {
    paths::root().join("fuzz").join("corpus").join(target)
}

fn mutate(target: &str, count: u32, seed: u32, judges: &[(&str, String)]) -> Result {
    let title = format!("{target}: {count} mutations, seed {seed}");
    with(judges, Step::new(title, paths::built(Profile::Release, target)))
        .args([count.to_string(), seed.to_string()])
        .run()
        .map(drop)
}

/// Returns the variables with the other verifiers that the target `path` compares with: OpenSSL, and
/// Go if it is installed. A command has one word per line.
fn judges(toolchain: &Toolchain) -> Result<Vec<(&'static str, String)>> {
    let sources = paths::root().join("tests").join("paths");
    let script = sources.join("openssl.py");
    let openssl = format!("{}\n{}", toolchain.python.display(), script.display());
    let mut judges = vec![("FUZZ_OPENSSL", openssl)];
    if let Some(go) = paths::program("go") {
        paths::make_directory(&folder())?;
        let program = folder().join("verify");
        Step::new("Go's verifier", go)
            .args(["build", "-o"])
            .arg(&program)
            .arg(sources.join("verify.go"))
            .run()?;
        judges.push(("FUZZ_GO", program.display().to_string()));
    }
    Ok(judges)
}

fn with(judges: &[(&str, String)], step: Step) -> Step {
    judges.iter().fold(step, |step, (variable, command)| step.env(variable, command))
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
