//! CPythons of other platforms, on which the wheels for these platforms are used on this machine.
//!
//! * arm64: qemu runs the CPython that Debian has for arm64.
//! * musl: Debian's sources of CPython, compiled by `musl-gcc`. No registry has a CPython for musl.
//!
//! Both lie below the target directory. apt gets lists of packages of its own for them, so the packages
//! of this machine stay as they are, except for the emulator and the compiler.

use std::path::{Path, PathBuf};

use crate::command::{Failure, Result, Step};
use crate::debian;
use crate::languages::python::executable;
use crate::packages::Room;
use crate::packages::python::{LIMIT, Platform, proof};
use crate::paths;
use crate::suites::dev::number_before;

const EMULATOR: &str = "qemu-aarch64-static";

/// The package of CPython whose sources are compiled for musl.
const SOURCES: &str = "python3.11";

/// Debian's list of its own servers.
const SERVERS: &str = "/etc/apt/sources.list.d/debian.sources";

/// A compiler whose own answer to configure names glibc.
const COMPILER: &str = "#!/bin/sh\n\
    [ \"$1\" = --print-multiarch ] && echo x86_64-linux-musl && exit\n\
    exec musl-gcc \"$@\"\n";

/// A CPython of another platform.
pub(super) struct Foreign {
    program: PathBuf,
    /// The root of the file system that the emulator shows to it.
    emulated: Option<PathBuf>,
}

impl Foreign {
    /// Returns the CPython for a target; none if there is none here.
    pub(super) fn of(target: &str) -> Result<Option<Foreign>> {
        match target {
            "aarch64-unknown-linux-gnu" => Foreign::arm64().map(Some),
            "x86_64-unknown-linux-musl" => Foreign::musl().map(Some),
            _ => Ok(None),
        }
    }

    fn arm64() -> Result<Foreign> {
        debian::ensure(debian::EMULATION)?;
        let home = paths::target().join("tools").join("arm64");
        let system = home.join("system");
        let program = system.join("usr").join("bin").join("python3");
        if !program.exists() {
            let apt = Apt::new(
                home,
                "APT::Architecture \"arm64\";\nAPT::Architectures { \"arm64\"; };\n",
            )?;
            apt.update()?;
            let plan = apt
                .get("apt-get install --simulate")
                .args(["install", "--simulate", "--no-install-recommends", "python3"])
                .ask()?
                .stdout;
            let lines = plan.lines().filter_map(|line| line.strip_prefix("Inst "));
            let names = lines.filter_map(|line| line.split(' ').next());
            apt.get("apt-get download python3 for arm64").arg("download").args(names).run()?;
            for package in paths::files_with_extension(&apt.archives(), "deb")? {
                Step::new(format!("unpack {}", paths::shown(&package)), "dpkg-deb")
                    .arg("--extract")
                    .args([&package, &system])
                    .ask()?;
            }
        }
        Ok(Foreign { program, emulated: Some(system) })
    }

    fn musl() -> Result<Foreign> {
        debian::ensure(debian::MUSL)?;
        let home = paths::target().join("tools").join("musl-python");
        let system = home.join("system");
        let program = system.join("python");
        if !program.exists() {
            let servers = paths::read(Path::new(SERVERS))
                .map_err(|_| Failure::skipped(format!("no sources of CPython: no {SERVERS}")))?;
            let parts = home.join("parts");
            let place = parts.display();
            let apt = Apt::new(
                home.clone(),
                &format!(
                    "Dir::Etc::sourcelist \"/dev/null\";\nDir::Etc::sourceparts \"{place}\";\n"
                ),
            )?;
            let servers = servers.replace("Types: deb\n", "Types: deb-src\n");
            paths::write(&parts.join("sources.sources"), &servers)?;
            apt.update()?;
            apt.get(format!("apt-get source {SOURCES}"))
                .args(["source", "--download-only", "--tar-only", SOURCES])
                .run()?;
            let [packed] = &paths::entries(&apt.archives())?[..] else {
                return Err(Failure::new(format!("expected one archive of {SOURCES}")));
            };
            paths::make_directory(&system)?;
            Step::new("unpack", "tar")
                .args(["--strip-components=1", "-xf"])
                .arg(packed)
                .in_directory(&system)
                .ask()?;
            compile(&home, &system)?;
        }
        Ok(Foreign { program, emulated: None })
    }

    /// Installs the wheels of a platform into an empty folder, first without the kit and then with it,
    /// and uses both; returns the closing line of the last program.
    ///
    /// * `wheels`: the wheel of the package, then that of its kit.
    pub(super) fn uses(&self, on: &Platform, tools: &Path, wheels: &[PathBuf]) -> Result<String> {
        let programs: &[&str] = if self.emulated.is_some() { &[EMULATOR] } else { &[] };
        let room = Room::new(&format!("python-{}", on.target), programs)?;
        let packages = room.path().join("packages");
        let mut last = String::new();
        for (wheel, part) in wheels.iter().zip(["production", "kit"]) {
            // pip refuses a wheel whose tag the platform does not have.
            Step::new(format!("install {}", paths::shown(wheel)), executable(tools, "python"))
                .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
                .args(["--no-index", "--no-deps", "--only-binary", ":all:", "--platform"])
                .arg(on.full_tag())
                .args(["--python-version", "3.11", "--implementation", "cp", "--abi", "abi3"])
                .arg("--target")
                .arg(&packages)
                .arg(wheel)
                .run()?;
            let title = format!("use {part} on {}", on.target);
            let step = match &self.emulated {
                Some(system) => room.step(title, EMULATOR).arg("-L").arg(system).arg(&self.program),
                None => room.step(title, &self.program),
            };
            let used = step
                .args(["-s", "-B"])
                .arg(proof::programs().join("use.py"))
                .arg(part)
                .env("PYTHONPATH", &packages)
                .run()?;
            let closing = used.last_line();
            if number_before(closing, " passed") == 0 {
                let what = format!("the wheels of {} were not used", on.target);
                return Err(Failure::with_output(what, used.all));
            }
            closing.clone_into(&mut last);
        }
        Ok(last)
    }
}

/// apt with lists of packages of its own.
struct Apt {
    home: PathBuf,
}

impl Apt {
    /// Empties the directory, and writes the configuration.
    fn new(home: PathBuf, more: &str) -> Result<Apt> {
        paths::make_empty(&home)?;
        for directory in ["lists/partial", "cache/archives/partial", "archives"] {
            paths::make_directory(&home.join(directory))?;
        }
        let place = home.display();
        let text = format!(
            "APT::Sandbox::User \"root\";\nDir::State::lists \"{place}/lists\";\n\
             Dir::State::status \"{place}/status\";\nDir::Cache \"{place}/cache\";\n{more}"
        );
        paths::write(&home.join("apt.conf"), &text)?;
        paths::write(&home.join("status"), "")?;
        Ok(Apt { home })
    }

    /// Reads the lists of the servers.
    fn update(&self) -> Result {
        self.get("apt-get update, with other lists").args(["update", "--quiet"]).run().map(drop)
    }

    /// Returns an `apt-get` that downloads into `archives`.
    fn get(&self, title: impl Into<String>) -> Step {
        Step::new(title, "apt-get")
            .env("APT_CONFIG", self.home.join("apt.conf"))
            .in_directory(&self.archives())
    }

    fn archives(&self) -> PathBuf {
        self.home.join("archives")
    }
}

/// Compiles the unpacked sources of CPython for musl. Modules that need other libraries are left out, and the
/// others are linked into the program: the script that builds them apart searches glibc's headers.
fn compile(home: &Path, sources: &Path) -> Result {
    let compiler = home.join("musl-cc");
    paths::write(&compiler, COMPILER)?;
    Step::new("chmod", "chmod").arg("755").arg(&compiler).ask()?;
    Step::new("CPython for musl: configure", sources.join("configure"))
        .arg("-q")
        .arg(format!("CC={}", compiler.display()))
        .args(["--without-ensurepip", "--disable-test-modules", "--with-pkg-config=no"])
        .env("CFLAGS", "-O1")
        .env("MODULE_BUILDTYPE", "static")
        .in_directory(sources)
        .limit(LIMIT)
        .run()?;
    let modules = sources.join("Modules");
    // configure finds glibc's libcrypt.
    let all = paths::read(&modules.join("Setup.stdlib"))?.replace("\n_crypt ", "\n#_crypt ");
    paths::write(&modules.join("Setup.local"), &all)?;
    Step::new("CPython for musl: make", "make")
        .args(["-s", "-j2", "python"])
        .in_directory(sources)
        .limit(LIMIT)
        .run()
        .map(drop)
}
