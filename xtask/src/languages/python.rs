//! The Python build: a virtual environment with pinned tools, the wheels of the package and of its
//! testing kit, and a second environment that holds only the wheels, in which all programs run as
//! for a user.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::command::{Failure, Output, Result, Step};
use crate::debian;
use crate::languages::interpreters::{self, Interpreter};
use crate::packages;
use crate::paths;
use crate::profile::Profile;
use crate::suites::dev;
use crate::toolchain::Toolchain;

/// An environment like that of a user: the wheels, and pytest to test them.
pub(crate) struct Python {
    toolchain: Toolchain,
    tools: PathBuf,
    wheel: PathBuf,
    kit: PathBuf,
    installed: PathBuf,
    profile: Profile,
}

impl Python {
    /// Builds the wheel and installs it.
    pub(crate) fn build(toolchain: &Toolchain, profile: Profile) -> Result<Python> {
        let home = paths::target().join("python");
        let requirements = source().join("requirements-dev.txt");
        let tools = environment(&toolchain.python, &home.join("venv"), &requirements)?;
        let wheels = paths::target().join("wheels").join(profile.name());
        paths::make_empty(&wheels)?;
        let [wheel, kit] = if profile == Profile::Shipped {
            packages::python::build(toolchain, &wheels)?
        } else {
            let wheel = |project, to| wheel(&tools, profile, project, &wheels.join(to));
            [wheel(&source(), "package")?, wheel(&kit(), "kit")?]
        };
        let installed = home.join(profile.name());
        let installed = environment(&toolchain.python, &installed, &requirements)?;
        install(&installed, [&wheel, &kit])?;
        let toolchain = toolchain.clone();
        Ok(Python { toolchain, tools, wheel, kit, installed, profile })
    }

    pub(crate) fn wheel(&self) -> &Path {
        &self.wheel
    }

    /// The directory with the wheels for users and their source distributions.
    pub(crate) fn packages(&self) -> &Path {
        self.wheel.parent().expect("a file")
    }

    /// The interpreter that sees the installed wheel.
    pub(crate) fn interpreter(&self) -> PathBuf {
        executable(&self.installed, "python")
    }

    /// Runs the linters, the type checker and the tests; returns pytest's closing line.
    pub(crate) fn test(&self) -> Result<String> {
        let ruff = executable(&self.tools, "ruff");
        let config = source().join("pyproject.toml");
        let beside =
            ["tests", "examples", "benches", "xtask"].map(|place| paths::root().join(place));
        let places: Vec<PathBuf> = [source()].into_iter().chain(beside).collect();
        let no_cache = ["--no-cache", "--config"];
        let check = Step::new("ruff check", &ruff).arg("check").args(no_cache).arg(&config);
        check.args(&places).run()?;
        let format = Step::new("ruff format --check", &ruff).args(["format", "--check"]);
        format.args(no_cache).arg(&config).args(&places).run()?;
        self.types("mypy --strict, the package", &source().join("python").join("webhook_mtls"))?;
        self.types("mypy --strict, the kit", &kit().join("python").join("webhook_mtls_testing"))?;
        self.types("mypy --strict, its tests", &source().join("tests"))?;
        self.pyright()?;
        debian::ensure(debian::PYTHON)?;
        debian::ensure(debian::KIT)?;
        let found = interpreters::all();
        let own = Step::new("version", self.interpreter())
            .args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"])
            .ask()?;
        let is_other =
            |other: &&Interpreter| !interpreters::is_of(&other.version, own.stdout.trim());
        let mut others = Vec::new();
        for other in found.iter().filter(is_other) {
            others.push((other, self.environment_of(other)?));
        }
        // Most tests wait, so the tests in the other interpreters run beside these.
        let (first, rest) = thread::scope(|scope| {
            let rest = scope.spawn(|| {
                let test = |(other, python): &(&Interpreter, PathBuf)| {
                    let select = ["-m", "not slow or runtime", "tests"];
                    let output = pytest(python).args(select).ask()?;
                    Ok(format!("; {}: {}", other.version, counted(&output)))
                };
                others.iter().map(test).collect::<Result<String>>()
            });
            let first = pytest(&self.interpreter()).arg("tests").run();
            (first, rest.join().expect("the thread does not panic"))
        });
        let mut closing = counted(&first?) + &rest?;
        let absent = interpreters::absent(&found).join(", ");
        if !absent.is_empty() {
            write!(closing, "; not on this machine: {absent}").expect("a String");
        }
        Ok(closing)
    }

    /// Installs the wheels for another interpreter; returns that of the environment.
    fn environment_of(&self, other: &Interpreter) -> Result<PathBuf> {
        let home = paths::target().join("python");
        let home = home.join(format!("{}-{}", self.profile.name(), other.version));
        let requirements = source().join("requirements-runtimes.txt");
        let installed = environment(&other.path, &home, &requirements)?;
        install(&installed, [&self.wheel, &self.kit])?;
        Ok(executable(&installed, "python"))
    }

    /// Checks the package, and the completeness of its types, with pyright. Its wheel contains the
    /// checker, which runs in the Node of the machine.
    fn pyright(&self) -> Result {
        let node = self.toolchain.node.parent().map(Path::to_path_buf).unwrap_or_default();
        let directories = [self.installed.join("bin"), node];
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path =
            std::env::join_paths(directories.into_iter().chain(std::env::split_paths(&path)))
                .map_err(|fault| Failure::new(format!("PATH: {fault}")))?;
        let pyright = |title: &str| {
            Step::new(title, executable(&self.tools, "pyright"))
                .env("PATH", &path)
                .env("VIRTUAL_ENV", &self.installed)
                .env("PYRIGHT_PYTHON_IGNORE_WARNINGS", "1")
                .in_directory(&source())
                .without_env("PYTHONPATH")
        };
        pyright("pyright, the package").arg("python/webhook_mtls").run()?;
        pyright("pyright, a user's program").arg("tests/typed_program.py").run()?;
        pyright("pyright, complete types")
            .args(["--ignoreexternal", "--verifytypes", "webhook_mtls"])
            .run()
            .map(drop)
    }

    fn types(&self, title: &str, what: &Path) -> Result {
        Step::new(title, executable(&self.tools, "mypy"))
            .arg("--strict")
            .arg("--config-file")
            .arg(source().join("pyproject.toml"))
            .arg("--cache-dir")
            .arg(paths::target().join("python").join("mypy"))
            .arg("--python-executable")
            .arg(self.interpreter())
            .arg(what)
            .in_directory(&source())
            .run()
            .map(drop)
    }
}

/// Installs the wheels. Fails if Python then imports the source folder instead.
fn install(environment: &Path, wheels: [&PathBuf; 2]) -> Result {
    let interpreter = executable(environment, "python");
    Step::new("install the wheels", &interpreter)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(["--no-deps", "--force-reinstall"])
        .args(wheels)
        .run()?;
    let ask = Step::new("where is webhook_mtls", &interpreter)
        .args(["-c", "import webhook_mtls; print(webhook_mtls.__file__)"])
        .in_directory(&paths::target())
        .without_env("PYTHONPATH");
    let place = PathBuf::from(ask.ask()?.stdout.trim());
    if place.starts_with(environment) {
        return Ok(());
    }
    Err(Failure::new(format!("webhook_mtls was imported from {}", place.display())))
}

/// Returns the numbers of pytest's closing line.
pub(crate) fn counted(output: &Output) -> String {
    output.last_line().trim_matches(['=', ' ']).to_owned()
}

/// Rebuilds the extension module, places it beside copies of the Python files, and runs the tests
/// without the mark `slow`. With `name`, runs only the tests with that text in their name.
pub(crate) fn test_quickly(toolchain: &Toolchain, name: Option<&str>) -> Result<u32> {
    let library = dev::library("webhook-mtls-python", "libwebhook_mtls_python")?;
    let kit_library =
        dev::library("webhook-mtls-python-testing", "libwebhook_mtls_python_testing")?;
    let home = paths::target().join("python");
    let requirements = source().join("requirements-dev.txt");
    let interpreter = executable(
        &environment(&toolchain.python, &home.join("editable"), &requirements)?,
        "python",
    );
    let package = home.join("package");
    paths::make_empty(&package)?;
    let sources = source().join("python").join("webhook_mtls");
    paths::copy_tree(&sources, &package.join("webhook_mtls"), &["__pycache__"])?;
    paths::copy(&library, &package.join("webhook_mtls").join("_native.abi3.so"))?;
    paths::copy_tree(&kit().join("python"), &package, &["__pycache__"])?;
    paths::copy(&kit_library, &package.join("webhook_mtls_testing").join("_kit.abi3.so"))?;
    let ask = Step::new("site-packages", &interpreter)
        .args(["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]);
    let site = PathBuf::from(ask.ask()?.stdout.trim());
    paths::write(&site.join("webhook_mtls.pth"), &format!("{}\n", package.display()))?;
    let mut files = paths::files_with_extension(&source().join("tests"), "py")?;
    files.retain(|file| paths::shown(file).contains("test_"));
    // Each process takes some of the files, because most tests wait. A name selects few tests.
    let workers = if name.is_some() { 1 } else { dev::workers() };
    let groups: Vec<Vec<PathBuf>> =
        (0..workers).map(|at| files.iter().skip(at).step_by(workers).cloned().collect()).collect();
    dev::in_parallel(&groups, |group| {
        let select = name.map_or(["-m", "not slow"], |name| ["-k", name]);
        let output = pytest(&interpreter).args(select).args(group).ask()?;
        Ok(dev::number_before(output.last_line(), " passed"))
    })
}

/// Returns the command that runs tests of the source tree.
fn pytest(interpreter: &Path) -> Step {
    Step::new("pytest", interpreter)
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib"])
        .args(["-W", "error"])
        .in_directory(&source())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .without_env("PYTHONPATH")
}

fn source() -> PathBuf {
    paths::root().join("bindings-python")
}

fn kit() -> PathBuf {
    source().join("testing")
}

pub(crate) fn executable(environment: &Path, name: &str) -> PathBuf {
    environment.join("bin").join(name)
}

/// Makes a virtual environment with the pinned tools. Reuses it until the pins or the interpreter
/// change. One thread at a time makes environments, so that no two make the same.
pub(crate) fn environment(python: &Path, home: &Path, requirements: &Path) -> Result<PathBuf> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let version = Step::new("version", python).arg("--version").ask()?.stdout;
    let wanted = format!("{version}{}", pins(requirements)?);
    let stamp = home.join("made-from.txt");
    if paths::read(&stamp).is_ok_and(|made_from| made_from == wanted) {
        return Ok(home.to_path_buf());
    }
    let name = paths::shown(home);
    Step::new(format!("virtual environment {name}"), python)
        .args(["-m", "venv", "--clear"])
        .arg(home)
        .run()?;
    let title = format!("pinned tools into {name}");
    let installed = Step::new(&title, installer(python)?)
        .args(["pip", "install", "--quiet", "--compile-bytecode", "--python"])
        .arg(executable(home, "python"))
        .arg("-r")
        .arg(requirements)
        .run();
    if installed.is_err() {
        // pip takes several times as long. Of an index that only its configuration names, uv knows nothing.
        Step::new(title, executable(home, "python"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(requirements)
            .run()?;
    }
    paths::write(&stamp, &wanted)?;
    Ok(home.to_path_buf())
}

/// Returns uv, which pip installs once.
fn installer(python: &Path) -> Result<PathBuf> {
    let requirements = source().join("requirements-installer.txt");
    let pins = paths::read(&requirements)?;
    let home = paths::target().join("tools").join("uv");
    let stamp = home.join("made-from.txt");
    if !paths::read(&stamp).is_ok_and(|made_from| made_from == pins) {
        Step::new("uv", python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"])
            .arg("--target")
            .arg(&home)
            .arg("-r")
            .arg(&requirements)
            .run()?;
        paths::write(&stamp, &pins)?;
    }
    Ok(executable(&home, "uv"))
}

/// Returns a file of requirements, and those that it includes.
fn pins(requirements: &Path) -> Result<String> {
    let mut text = paths::read(requirements)?;
    for included in text.clone().lines().filter_map(|line| line.strip_prefix("-r ")) {
        text += &pins(&requirements.with_file_name(included))?;
    }
    Ok(text)
}

/// Builds the wheel of a project into a directory without other wheels.
fn wheel(tools: &Path, profile: Profile, project: &Path, wheels: &Path) -> Result<PathBuf> {
    profile
        .apply(Step::new("maturin build", executable(tools, "maturin")))
        .args(["build", "--locked", "--profile", profile.name(), "--interpreter"])
        .arg(executable(tools, "python"))
        .arg("--manifest-path")
        .arg(project.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(paths::target())
        .arg("--out")
        .arg(wheels)
        .run()?;
    let mut found = paths::files_with_extension(wheels, "whl")?;
    match (found.pop(), found.is_empty()) {
        (Some(wheel), true) => Ok(wheel),
        _ => Err(Failure::new(format!("expected one wheel in {}", paths::shown(wheels)))),
    }
}
