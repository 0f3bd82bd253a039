//! The target `x86_64-unknown-linux-musl`, whose standard library a machine without rustup's channel
//! does not have: cargo builds it from the sources of Debian's newer compiler package, with that
//! compiler, which must have the same version. Nothing is installed: the packages are unpacked below
//! the target directory. zig compiles C code for musl, and links.
//!
//! Only `--all` uses it, because a build of the standard library takes minutes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::command::{Failure, Result, Step};
use crate::languages::python;
use crate::paths;
use crate::toolchain::Toolchain;

pub(crate) const TARGET: &str = "x86_64-unknown-linux-musl";

/// The Debian packages of the compiler and of its sources. The others are dependencies whose names
/// have a version.
const PACKAGES: [&str; 3] = ["rustc-web", "libstd-rust-web-dev", "rust-web-src"];
const DEPENDENCIES: [&str; 2] = ["libstd-rust-web-", "libllvm"];

/// A compiler with the sources of its standard library, and a C compiler for musl.
pub(crate) struct Musl {
    /// The unpacked Debian packages.
    debian: PathBuf,
    /// A virtual environment with zig and `cargo-zigbuild`.
    tools: PathBuf,
}

impl Musl {
    /// Downloads the missing packages. The result is SKIPPED on a machine without `apt-get`.
    pub(crate) fn ready(toolchain: &Toolchain) -> Result<Musl> {
        if paths::program("apt-get").is_none() {
            return Err(Failure::skipped("the standard library for musl comes from Debian"));
        }
        let home = paths::target().join("tools").join("musl");
        let debian = home.join("debian");
        if !debian.join("usr").join("bin").join("rustc").exists() {
            unpack(&home.join("archives"), &debian)?;
        }
        let requirements =
            paths::root().join("ffi").join("packaging").join("requirements-musl.txt");
        let tools = python::environment(&toolchain.python, &home.join("venv"), &requirements)?;
        Ok(Musl { debian, tools })
    }

    /// Lets a cargo command use the compiler, and zig for C code. The command must build its own
    /// standard library: see `build`.
    pub(crate) fn apply(&self, step: Step) -> Step {
        let libraries = self.debian.join("usr").join("lib").join("x86_64-linux-gnu");
        step.env("PATH", self.path())
            .env("RUSTC", self.debian.join("usr").join("bin").join("rustc"))
            // Building the standard library is not stable.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("LD_LIBRARY_PATH", libraries)
            .env("ZIG_GLOBAL_CACHE_DIR", paths::target().join("tools").join("musl").join("zig"))
    }

    /// Returns a cargo command for the target: `verb` is `build` or `rustc`.
    pub(crate) fn build(&self, title: impl Into<String>, verb: &str) -> Step {
        let step = Step::new(title, python::executable(&self.tools, "cargo-zigbuild"))
            .arg(if verb == "build" { "zigbuild" } else { verb })
            .args(["--locked", "-Zbuild-std=std,panic_unwind", "--target", TARGET])
            .env("CARGO_TERM_COLOR", "never");
        self.apply(step)
    }

    /// Returns a command that compiles C for musl.
    pub(crate) fn cc(&self, title: impl Into<String>) -> Step {
        let step = Step::new(title, python::executable(&self.tools, "python"));
        self.apply(step.args(["-m", "ziglang", "cc", "-target", "x86_64-linux-musl"]))
    }

    fn path(&self) -> OsString {
        let mut path = OsString::from(self.tools.join("bin"));
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        path
    }
}

/// Downloads the Debian packages and unpacks them.
fn unpack(archives: &Path, to: &Path) -> Result {
    paths::make_empty(archives)?;
    let mut names: Vec<String> = PACKAGES.map(str::to_owned).to_vec();
    let mut at = 0;
    while let Some(name) = names.get(at).cloned() {
        let depends = Step::new("apt-cache depends", "apt-cache").args(["depends", &name]).ask()?;
        let lines = depends.stdout.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
        for found in lines.filter(|name| DEPENDENCIES.iter().any(|start| name.starts_with(start))) {
            if !names.iter().any(|known| known == found) {
                names.push(found.to_owned());
            }
        }
        at += 1;
    }
    // As root, apt-get would download as another user, who may not write here.
    Step::new("apt-get download rustc-web", "apt-get")
        .args(["-o", "APT::Sandbox::User=root", "download"])
        .args(&names)
        .in_directory(archives)
        .run()?;
    for package in paths::files_with_extension(archives, "deb")? {
        Step::new(format!("unpack {}", paths::shown(&package)), "dpkg-deb")
            .arg("--extract")
            .args([&package, to])
            .ask()?;
    }
    Ok(())
}
