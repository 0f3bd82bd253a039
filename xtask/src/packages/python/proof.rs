//! The checks of the finished wheels and source distributions.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};

use crate::command::{Failure, Result, Step};
use crate::languages::python::executable;
use crate::packages::python::foreign::Foreign;
use crate::packages::python::{HERE, LIMIT, OTHERS, PROJECTS, Platform, home, tools};
use crate::packages::{self, Order, Part, command};
use crate::paths;
use crate::profile::Profile;
use crate::suites::dev::number_before;

/// The names under which a CPython may be installed.
const INTERPRETERS: [&str; 6] =
    ["python3", "python3.11", "python3.12", "python3.13", "python3.14", "python3.15"];

/// Checks the artifacts with the tools of the Python packagers, and installs and uses the wheels on
/// every CPython of this machine, without a compiler.
pub(crate) fn prove(order: &Order) -> Result<u32> {
    let tools = tools(&order.languages.toolchain)?;
    let mut passed = check_files(order, &tools)?;
    passed += check_types(order, &tools)?;
    let interpreters = interpreters(order)?;
    for (version, interpreter) in &interpreters {
        let is_newest = interpreters.keys().next_back() == Some(version);
        passed += use_wheels(order, version, interpreter, is_newest)?;
    }
    let versions: Vec<&str> = interpreters.keys().map(String::as_str).collect();
    println!("  wheels used on CPython {}", versions.join(", "));
    Ok(passed)
}

pub(crate) const PARTS: [Part; 4] = [
    Part { name: "wheel-musl", run: |order| build_for(&OTHERS[0], order) },
    Part { name: "wheel-arm64", run: |order| build_for(&OTHERS[1], order) },
    Part { name: "wheel-arm64-musl", run: |order| build_for(&OTHERS[2], order) },
    Part { name: "sdist", run: install_from_source },
];

/// Runs the checks that need no installation.
fn check_files(order: &Order, tools: &Path) -> Result<u32> {
    let wheels = paths::files_with_extension(&order.place, "whl")?;
    let sources = paths::files_with_extension(&order.place, "gz")?;
    let all: Vec<&PathBuf> = wheels.iter().chain(&sources).collect();
    let contents = Step::new("contents", executable(tools, "python"))
        .arg(programs().join("contents.py"))
        .arg(&order.version)
        .args(&all)
        .run()?;
    let mut passed = number_before(contents.last_line(), " passed");
    let tool = |name: &str| Step::new(name, executable(tools, name));
    tool("twine").args(["check", "--strict"]).args(&all).run()?;
    tool("check-wheel-contents").args(&wheels).run()?;
    tool("abi3audit").args(["--strict", "--verbose"]).args(&wheels).run()?;
    passed += 3;
    for wheel in &wheels {
        require_tag(wheel, &HERE, tools)?;
        passed += 1;
    }
    Ok(passed)
}

/// Fails unless the libraries and symbols that a wheel needs exist on every system of its tag.
fn require_tag(wheel: &Path, platform: &Platform, tools: &Path) -> Result {
    if platform.target.ends_with("musl") {
        return require_musl_alone(wheel, tools);
    }
    let show = Step::new("auditwheel show", executable(tools, "auditwheel")).arg("show").arg(wheel);
    let shown = show.run()?;
    // The output is wrapped at the width of a terminal.
    let text = shown.all.split_whitespace().collect::<Vec<_>>().join(" ");
    let sentence = "consistent with the following platform tag: ";
    if text.contains(&format!("{sentence}\"{}\"", platform.full_tag())) {
        return Ok(());
    }
    Err(Failure::with_output(format!("a wheel needs more than {}", platform.tag), shown.all))
}

/// Fails unless the native module of a wheel needs musl's C library and no other.
///
/// On a machine with glibc, `auditwheel` takes glibc's linker script `libc.so` for musl's library. musl
/// versions no symbols, so the libraries are all that a wheel can tell.
fn require_musl_alone(wheel: &Path, tools: &Path) -> Result {
    let unpacked = home().join("audited");
    paths::make_empty(&unpacked)?;
    Step::new("unpack", executable(tools, "python"))
        .args(["-m", "zipfile", "-e"])
        .args([wheel, &unpacked])
        .ask()?;
    let modules = paths::files_below(&unpacked, &|_| false)?;
    let mut modules = modules.iter().filter(|file| paths::has_extension(file, "so"));
    let (Some(module), None) = (modules.next(), modules.next()) else {
        return Err(Failure::new(format!("{}: expected one module", paths::shown(wheel))));
    };
    let shown = Step::new("readelf", "readelf").args(["--wide", "--dynamic"]).arg(module).ask()?;
    let needed: Vec<&str> = shown.stdout.lines().filter(|line| line.contains("(NEEDED)")).collect();
    match &needed[..] {
        [one] if one.ends_with("[libc.so]") => Ok(()),
        _ => Err(Failure::with_output(
            format!("{} needs more than musl", paths::shown(wheel)),
            shown.stdout,
        )),
    }
}

/// Installs the wheels beside the tools, and checks that every public name has a known type.
fn check_types(order: &Order, tools: &Path) -> Result<u32> {
    let wheels = paths::files_with_extension(&order.place, "whl")?;
    Step::new("install beside pyright", executable(tools, "python"))
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(["--no-index", "--no-deps", "--force-reinstall"])
        .args(&wheels)
        .run()?;
    let path = super::path_with(tools)?;
    for project in &PROJECTS {
        Step::new(format!("pyright --verifytypes {}", project.name), executable(tools, "pyright"))
            .args(["--verifytypes", project.name, "--ignoreexternal"])
            .env("PATH", &path)
            .env("PYRIGHT_PYTHON_IGNORE_WARNINGS", "1")
            .in_directory(&home())
            .run()?;
    }
    Step::new("pyright, a program", executable(tools, "pyright"))
        .arg(programs().join("use.py"))
        .env("PATH", &path)
        .env("PYRIGHT_PYTHON_IGNORE_WARNINGS", "1")
        .in_directory(&home())
        .run()?;
    Ok(3)
}

/// Returns the CPythons of this machine by version, one for each minor version.
fn interpreters(order: &Order) -> Result<BTreeMap<String, PathBuf>> {
    let on_path = INTERPRETERS.iter().filter_map(|name| paths::program(name));
    let pyenv = env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|user| Path::new(&user).join(".pyenv")));
    let versions = pyenv.unwrap_or_default().join("versions");
    let managed = if versions.exists() { paths::entries(&versions)? } else { Vec::new() };
    let managed = managed.into_iter().rev().map(|version| executable(&version, "python3"));
    let known = [order.languages.toolchain.python.clone()];
    let mut found = BTreeMap::new();
    for candidate in known.into_iter().chain(on_path).chain(managed) {
        let ask = "import sys, venv, ensurepip; print(sys.implementation.name, \
                   '%d.%02d' % sys.version_info[:2], sys.executable)";
        let Ok(told) = Step::new("version", &candidate).args(["-c", ask]).ask() else { continue };
        let mut words = told.stdout.split_whitespace();
        if let (Some("cpython"), Some(version), Some(path)) =
            (words.next(), words.next(), words.next())
            && version >= "3.11"
        {
            found.entry(version.to_owned()).or_insert_with(|| PathBuf::from(path));
        }
    }
    Ok(found)
}

/// Installs the package and then its kit into an empty environment, and uses both.
///
/// * `tests_command`: whether the command runs all its tests. It is the same in every version.
fn use_wheels(
    order: &Order,
    version: &str,
    interpreter: &Path,
    tests_command: bool,
) -> Result<u32> {
    let node = order.languages.toolchain.node.display().to_string();
    let room = command::room(&format!("python-{version}"), &[&node])?;
    let environment = room.path().join("environment");
    room.step(format!("CPython {version}"), interpreter)
        .args(["-m", "venv"])
        .arg(&environment)
        .run()?;
    let python = executable(&environment, "python");
    let mut passed = 0;
    for (extra, part) in [("", "production"), ("[testing]", "kit")] {
        room.step(format!("install webhook-mtls{extra}"), &python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(["--no-index", "--find-links"])
            .arg(&order.place)
            .arg(format!("webhook-mtls{extra}=={}", order.version))
            .run()?;
        let used = room
            .step(format!("use {part}"), &python)
            .arg("-I")
            .arg(programs().join("use.py"))
            .arg(part)
            .run()?;
        passed += number_before(used.last_line(), " passed");
    }
    let program = executable(&environment, "webhook-mtls");
    room.step(format!("the command on CPython {version}"), &program).arg("--version").run()?;
    if tests_command {
        passed += command::prove_installed(order, &room, &program)?;
    }
    Ok(passed + 1)
}

/// Builds the wheels of another platform, if the standard library of Rust exists for it.
fn build_for(platform: &Platform, order: &Order) -> Result<String> {
    let tools = &tools(&order.languages.toolchain)?;
    let target = platform.target;
    let place = Step::new("rustc", "rustc").args(["--print", "target-libdir", "--target", target]);
    let library = PathBuf::from(place.ask()?.stdout.trim());
    if !library.exists() {
        return Ok(format!("{target}: not built, this machine has no standard library for it"));
    }
    let foreign = Foreign::of(target)?;
    let mut wheels = Vec::new();
    for project in &PROJECTS {
        project.pack(&order.version, &order.place, tools)?;
        let source = project.unpacked(&order.version);
        let wheel = project.wheel(&source, platform, tools, &packages::others()?)?;
        require_tag(&wheel, platform, tools)?;
        wheels.push(wheel);
    }
    let built = format!("{target}: built as {}", platform.tag);
    match foreign {
        Some(foreign) => Ok(format!("{built}; {}", foreign.uses(platform, tools, &wheels)?)),
        None => Ok(format!("{built}, not run")),
    }
}

/// Builds and installs both source distributions with pip, as a user with Rust does.
fn install_from_source(order: &Order) -> Result<String> {
    let tools = tools(&order.languages.toolchain)?;
    for project in &PROJECTS {
        project.pack(&order.version, &order.place, &tools)?;
    }
    let environment = home().join("from-source");
    Step::new("environment", &order.languages.toolchain.python)
        .args(["-m", "venv", "--clear"])
        .arg(&environment)
        .run()?;
    let python = executable(&environment, "python");
    let sources = paths::files_with_extension(&order.place, "gz")?;
    // The crates come from the builds of this run; the rest is that of a user.
    let install = Step::new("pip install, from source", &python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"])
        .args(&sources)
        .env("CARGO_TARGET_DIR", paths::target())
        .limit(LIMIT);
    Profile::Shipped.apply(install).run()?;
    Step::new("use kit", &python)
        .arg("-I")
        .arg(programs().join("use.py"))
        .arg("kit")
        .in_directory(&home())
        .run()?;
    Ok("both built with --locked by pip, installed and used".to_owned())
}

pub(super) fn programs() -> PathBuf {
    paths::root().join("bindings-python").join("tests").join("packages")
}
