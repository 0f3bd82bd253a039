//! The crate: what `cargo publish` would send.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cargo_tool;
use crate::command::{Failure, Result, Step};
use crate::languages::lab::Lab;
use crate::packages::{Order, Part, Room};
use crate::paths;

const PACKAGE: &str = "webhook-mtls";

/// The version of `cargo semver-checks`. Newer ones need a newer compiler.
const SEMVER_CHECKS: &str = "0.51.0";

/// The programs of a Rust developer beside cargo and rustc: aws-lc needs a C compiler.
const TOOLS: [&str; 5] = ["cc", "as", "ld", "ar", "ranlib"];

/// Files that the crate must have, and folders of the workspace that it must not have.
const INSIDE: [&str; 5] =
    ["Cargo.lock", "LICENSE-APACHE", "LICENSE-MIT", "README.md", "src/material/public_roots.txt"];
const OUTSIDE: [&str; 3] = ["tests", "benches", "examples"];

/// The project of a user. Its second program needs the testing kit.
const PROJECT: &str = "\
[package]
name = \"consumer\"
version = \"0.0.0\"
edition = \"2024\"

[workspace]

[features]
testing = [\"webhook-mtls/testing\"]

[dependencies]
tokio = { version = \"1\", features = [\"macros\", \"rt-multi-thread\"] }
webhook-mtls = { path = \"../webhook-mtls\" }

[[bin]]
name = \"first_delivery\"
path = \"first_delivery.rs\"

[[bin]]
name = \"kit\"
path = \"kit.rs\"
required-features = [\"testing\"]
";

pub(crate) const PARTS: [Part; 1] = [Part { name: "semver", run: semver }];

pub(crate) fn make(order: &Order) -> Result {
    // The proof builds the packed crate; cargo's own check would build it once more.
    Step::cargo("cargo package", &["package", "--locked", "--offline", "--no-verify"])
        .args(["--allow-dirty", "--package", PACKAGE])
        .run()?;
    let name = format!("{PACKAGE}-{}.crate", order.version);
    paths::copy(&paths::target().join("package").join(&name), &order.place.join(&name))
}

pub(crate) fn prove(order: &Order) -> Result<u32> {
    let sysroot = Step::new("sysroot", "rustc").args(["--print", "sysroot"]).ask()?.stdout;
    let compiler = Path::new(sysroot.trim()).join("bin");
    let compiler = ["cargo", "rustc"].map(|name| compiler.join(name).display().to_string());
    let mut tools: Vec<&str> = TOOLS.to_vec();
    tools.extend(compiler.iter().map(String::as_str));
    let room = Room::new("rust", &tools)?;
    let krate = unpack(order, &room)?;
    let mut passed = contents(&krate)? + minimal_version()?;
    let consumer = room.path().join("consumer");
    paths::write(&consumer.join("Cargo.toml"), PROJECT)?;
    // The versions of the workspace, which are on this machine; cargo drops the others.
    paths::copy(&paths::root().join("Cargo.lock"), &consumer.join("Cargo.lock"))?;
    for source in ["examples/first_delivery.rs", "tests/packages/kit.rs"] {
        let name = Path::new(source).file_name().unwrap_or_default();
        paths::copy(&paths::root().join(source), &consumer.join(name))?;
    }
    let built = build(&room, &consumer, "first_delivery", &[])?;
    let lab = Lab::start()?;
    let acme = lab.consumer("acme-rust")?;
    room.step("deliver: first_delivery.rs", built)
        .in_directory(lab.material())
        .env("WMTLS_URL", &acme.url)
        .env("WMTLS_PIN", &acme.pin)
        .run()?;
    let built = build(&room, &consumer, "kit", &["--features", "testing"])?;
    room.step("testing kit: kit.rs", built).run()?;
    passed += 2;
    Ok(passed)
}

fn unpack(order: &Order, room: &Room) -> Result<PathBuf> {
    let name = format!("{PACKAGE}-{}", order.version);
    let packed = order.place.join(format!("{name}.crate"));
    room.step("unpack", "tar").arg("-xf").arg(packed).run()?;
    let (from, to) = (room.path().join(name), room.path().join(PACKAGE));
    std::fs::rename(&from, &to).map_err(|error| Failure::at("cannot move", &from, &error))?;
    Ok(to)
}

/// Checks the files of the unpacked crate.
fn contents(krate: &Path) -> Result<u32> {
    let missing: Vec<&str> =
        INSIDE.iter().filter(|name| !krate.join(name).is_file()).copied().collect();
    let foreign: Vec<&str> =
        OUTSIDE.iter().filter(|name| krate.join(name).exists()).copied().collect();
    if missing.is_empty() && foreign.is_empty() {
        return Ok(1);
    }
    Err(Failure::new(format!("the crate lacks {missing:?}, and has {foreign:?}")))
}

/// Builds one program of the project without network, with the crates that cargo has downloaded.
fn build(room: &Room, consumer: &Path, name: &str, options: &[&str]) -> Result<PathBuf> {
    let target = paths::target().join("crate");
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let cargo_home = std::env::var_os("CARGO_HOME").map_or(home.join(".cargo"), PathBuf::from);
    room.step(format!("build {name} from the crate"), "cargo")
        .args(["build", "--offline", "--bin", name])
        .args(options)
        .in_directory(consumer)
        .env("CARGO_HOME", cargo_home)
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_PROFILE_DEV_DEBUG", "false")
        .env("AWS_LC_SYS_NO_JITTER_ENTROPY", "1")
        .run()?;
    Ok(target.join("debug").join(name))
}

/// Checks that no crate of the lock file that the library uses needs a newer compiler than it does.
/// `clippy::incompatible_msrv` checks the library's own code.
fn minimal_version() -> Result<u32> {
    let arguments = ["metadata", "--locked", "--offline", "--format-version", "1"];
    let metadata = Step::cargo("cargo metadata", &arguments).ask()?.stdout;
    let metadata: Value = serde_json::from_str(&metadata)
        .map_err(|error| Failure::new(format!("cargo metadata: {error}")))?;
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    let needed = |name: &str| {
        let package = packages.iter().find(|package| package["name"] == name);
        package.and_then(|package| numbers(package["rust_version"].as_str()?))
    };
    let ours = needed(PACKAGE).ok_or_else(|| Failure::new("the crate has no rust-version"))?;
    let tree = Step::cargo("cargo tree", &["tree", "--locked", "--offline", "--package", PACKAGE])
        .args(["--all-features", "--edges", "normal,build", "--prefix", "none"])
        .args(["--format", "{p}", "--target", "all"])
        .ask()?
        .stdout;
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    let mut newer: Vec<&str> = names.filter(|name| needed(name) > Some(ours)).collect();
    newer.dedup();
    if newer.is_empty() {
        return Ok(1);
    }
    Err(Failure::new(format!("crates that need a newer compiler than {ours:?}: {newer:?}")))
}

/// Reads `1.88` or `1.88.0`.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}

/// Compares the public interface with that of the commit in `core/semver-baseline.txt`, the last
/// release. A change that needs a new version fails, unless the version is new.
fn semver(_order: &Order) -> Result<String> {
    let tool = cargo_tool::installed("cargo-semver-checks", SEMVER_CHECKS)?;
    let baseline = paths::read(&paths::root().join("core").join("semver-baseline.txt"))?;
    let baseline = baseline.trim();
    let output = Step::new("cargo semver-checks", tool)
        .args(["semver-checks", "--package", PACKAGE, "--baseline-rev", baseline])
        .env("CARGO_TERM_COLOR", "never")
        .run()?;
    let summary = output.all.lines().rev().find(|line| line.contains("Summary"));
    let summary = summary.map(str::trim);
    let summary = summary.ok_or_else(|| Failure::with_output("no summary", output.all.clone()))?;
    Ok(format!(
        "cargo semver-checks {SEMVER_CHECKS} with {}: {summary}",
        baseline.get(..9).unwrap_or(baseline)
    ))
}

#[cfg(test)]
mod tests {
    use super::{minimal_version, numbers};

    #[test]
    fn versions_compare_as_numbers() {
        assert!(numbers("1.100") > numbers("1.88.0"));
        assert_eq!(numbers("1.88"), Some((1, 88)));
    }

    #[test]
    fn the_lock_file_holds_the_minimal_version() {
        assert_eq!(minimal_version().unwrap(), 1);
    }
}
