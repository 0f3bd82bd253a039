//! The wheels and the source distributions of the package and of its testing kit.
//!
//! Each wheel is built from the unpacked source distribution, so that a user who builds from it gets
//! the same. zig links against an old glibc, so that a wheel runs on old systems.

mod foreign;
mod proof;
mod source;

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::command::{Failure, Result, Step};
use crate::languages::python::{environment, executable};
use crate::packages::{Order, version};
use crate::paths;
use crate::profile::Profile;
use crate::toolchain::Toolchain;

pub(crate) use proof::{PARTS, prove};

/// A distribution on PyPI.
struct Project {
    /// Its name in file names.
    name: &'static str,
    /// Its crate.
    package: &'static str,
    /// Its folder in the workspace.
    folder: &'static str,
    /// The folders of the crates of the workspace that its crate uses.
    uses: &'static [&'static str],
    /// Whether its module contains the pages about errors.
    has_pages: bool,
}

const PROJECTS: [Project; 2] = [
    Project {
        name: "webhook_mtls",
        package: "webhook-mtls-python",
        folder: "bindings-python",
        uses: &["core", "command"],
        has_pages: true,
    },
    Project {
        name: "webhook_mtls_testing",
        package: "webhook-mtls-python-testing",
        folder: "bindings-python/testing",
        uses: &["core", "command", "bindings-python"],
        has_pages: false,
    },
];

/// A platform of the wheels.
struct Platform {
    target: &'static str,
    /// The tag that the platform's package managers know.
    tag: &'static str,
}

impl Platform {
    /// The tag with the processor.
    fn full_tag(&self) -> String {
        format!("{}_{}", self.tag, self.target.split('-').next().unwrap_or_default())
    }
}

/// This machine's platform, on which every wheel is tested.
const HERE: Platform = Platform { target: "x86_64-unknown-linux-gnu", tag: "manylinux_2_17" };

/// Platforms whose wheels are built only where the standard library of Rust exists for them.
const OTHERS: [Platform; 3] = [
    Platform { target: "x86_64-unknown-linux-musl", tag: "musllinux_1_2" },
    Platform { target: "aarch64-unknown-linux-gnu", tag: "manylinux_2_17" },
    Platform { target: "aarch64-unknown-linux-musl", tag: "musllinux_1_2" },
];

/// The time limit of an optimized build on two busy cores.
const LIMIT: Duration = Duration::from_secs(60 * 60);

/// Copies the source distributions and the wheels of this machine's platform.
pub(crate) fn make(order: &Order) -> Result {
    for file in paths::entries(order.languages.shipped().python()?.packages())? {
        paths::copy(&file, &order.place.join(file.file_name().unwrap_or_default()))?;
    }
    Ok(())
}

/// Builds the source distributions, and the wheels of this machine's platform from them, into an empty
/// directory. Returns the wheels of the package and of its kit.
pub(crate) fn build(toolchain: &Toolchain, to: &Path) -> Result<[PathBuf; 2]> {
    let (tools, version) = (tools(toolchain)?, version()?);
    for project in &PROJECTS {
        project.pack(&version, to, &tools)?;
    }
    let wheel = |project: &Project| project.wheel(&project.unpacked(&version), &HERE, &tools, to);
    Ok([wheel(&PROJECTS[0])?, wheel(&PROJECTS[1])?])
}

/// Installs the pinned tools that build and check wheels.
fn tools(toolchain: &Toolchain) -> Result<PathBuf> {
    let requirements = paths::root().join("bindings-python").join("requirements-packages.txt");
    environment(&toolchain.python, &home().join("packaging"), &requirements)
}

fn home() -> PathBuf {
    paths::target().join("python")
}

/// Returns `PATH` with the tools first: maturin and the linker wrapper search zig there.
fn path_with(tools: &Path) -> Result<OsString> {
    let others = env::var_os("PATH").unwrap_or_default();
    let all = [tools.join("bin")].into_iter().chain(env::split_paths(&others));
    env::join_paths(all).map_err(|error| Failure::new(format!("PATH: {error}")))
}

impl Project {
    /// Builds the wheel of a platform from an unpacked source distribution; returns its path. Wheels have a
    /// target directory of their own: cargo locks one, and other builds, without zig, share nothing with these.
    fn wheel(&self, source: &Path, on: &Platform, tools: &Path, to: &Path) -> Result<PathBuf> {
        let wheels = home().join("wheel").join(on.target).join(self.name);
        paths::make_empty(&wheels)?;
        let title = format!("wheel of {} for {}", self.name, on.target);
        let step = Step::new(title, executable(tools, "maturin"))
            .args(["build", "--locked", "--zig", "--auditwheel", "check"])
            .args(["--profile", Profile::Shipped.name(), "--target", on.target])
            .args(["--compatibility", on.tag])
            .arg("--target-dir")
            .arg(home().join("build"))
            .arg("--out")
            .arg(&wheels)
            .env("PATH", path_with(tools)?)
            .env("ZIG_GLOBAL_CACHE_DIR", home().join("zig"))
            .in_directory(source)
            .limit(LIMIT);
        Profile::Shipped.apply(step).run()?;
        let built = only(&wheels, "whl")?;
        let wheel = to.join(built.file_name().unwrap_or_default());
        paths::copy(&built, &wheel)?;
        Ok(wheel)
    }
}

/// Returns the only file of a directory with this extension.
fn only(directory: &Path, extension: &str) -> Result<PathBuf> {
    let mut found = paths::files_with_extension(directory, extension)?;
    match (found.pop(), found.is_empty()) {
        (Some(file), true) => Ok(file),
        _ => Err(Failure::new(format!("expected one .{extension} in {}", paths::shown(directory)))),
    }
}
