//! The Node build: the addon, the packed tarball, and a directory with the installed tarball.
//!
//! Node resolves a package from the directory of the importing file. The directory therefore
//! mirrors the workspace (`bindings-node/tests`, `tests/…`, `examples`): a test finds the installed
//! package by its name, and the shared vectors by the same relative path as in the source tree.

use std::path::{Path, PathBuf};

use crate::command::{Failure, Result, Step};
use crate::debian;
use crate::paths;
use crate::profile::Profile;
use crate::suites::dev;
use crate::toolchain::Toolchain;

/// The directory with the installed package.
pub(crate) struct Node {
    program: PathBuf,
    profile: Profile,
    build: PathBuf,
    tarball: PathBuf,
    run: PathBuf,
}

/// What an addon contains. In the profile of users the testing kit is an addon of its own.
#[derive(Clone, Copy)]
pub(crate) enum Addon {
    Production,
    Kit,
    /// Both, for development.
    Whole,
}

impl Node {
    /// Builds the addon and the TypeScript layer, packs both, and installs the tarball.
    ///
    /// Other profiles than that of users need one addon with everything, not two.
    pub(crate) fn build(toolchain: &Toolchain, profile: Profile) -> Result<Node> {
        let home = paths::target().join("node").join(profile.name());
        let build = home.join("build");
        if profile == Profile::Shipped {
            prepare(toolchain, &build, &addon(Addon::Production, profile)?)?;
            let kit = local(toolchain, Addon::Kit)?;
            paths::copy(&addon(Addon::Kit, profile)?, &build.join("native").join(kit))?;
        } else {
            prepare(toolchain, &build, &addon(Addon::Whole, profile)?)?;
        }
        typescript(&build)?;
        let tarball = pack(&build)?;
        let run = home.join("run");
        install(&tarball, &run)?;
        let node = Node { program: toolchain.node.clone(), profile, build, tarball, run };
        node.require_the_tarball()?;
        Ok(node)
    }

    pub(crate) fn tarball(&self) -> &Path {
        &self.tarball
    }

    /// The directory with the compiled TypeScript.
    pub(crate) fn built(&self) -> &Path {
        &self.build
    }

    /// Returns the addon for packages. Only the profile of users has built both.
    pub(crate) fn addon(&self, toolchain: &Toolchain, which: Addon) -> Result<PathBuf> {
        if self.profile == Profile::Shipped {
            return Ok(self.build.join("native").join(local(toolchain, which)?));
        }
        addon(which, self.profile)
    }

    /// Returns a command that runs a file of the workspace with the installed package.
    pub(crate) fn command(&self, file: &str) -> Vec<String> {
        let file = self.run.join(file);
        vec![self.program.display().to_string(), file.display().to_string()]
    }

    /// Makes a package visible to the programs.
    pub(crate) fn add_package(&self, package: &Path) -> Result {
        let name = package.file_name().expect("a package has a name");
        let target = package.display().to_string();
        paths::link(&target, &self.run.join("node_modules").join(name))
    }

    /// The command that npm has linked.
    pub(crate) fn installed_command(&self) -> PathBuf {
        self.run.join("node_modules").join(".bin").join("webhook-mtls")
    }

    /// Checks the types of the tests and runs them; returns node's counts.
    pub(crate) fn test(&self) -> Result<String> {
        let tests = self.run.join("bindings-node").join("tests");
        if tests.join("tsconfig.json").exists() {
            let compiler = self.run.join("node_modules/typescript/bin/tsc");
            Step::new("tsc --strict, the tests", compiler)
                .args(["--strict", "--noEmit", "--project"])
                .arg(&tests)
                .in_directory(&self.run)
                .run()?;
        }
        debian::ensure(debian::NODE)?;
        debian::ensure(debian::KIT)?;
        let files = test_files(&self.run)?;
        let step = node_test(&self.program, &self.run, None, &files);
        let output = with_runtimes(step)?.run()?;
        Ok(format!("{} passed, {} failed", count(&output.all, "pass"), count(&output.all, "fail")))
    }

    fn require_the_tarball(&self) -> Result {
        let ask = Step::new("where is webhook-mtls", &self.program)
            .args(["-p", "require.resolve('webhook-mtls')"])
            .in_directory(&self.run);
        let place = PathBuf::from(ask.ask()?.stdout.trim());
        if place.starts_with(self.run.join("node_modules")) {
            return Ok(());
        }
        Err(Failure::new(format!("webhook-mtls was found in {}", place.display())))
    }
}

/// Rebuilds the addon, compiles the TypeScript layer, and runs the tests in that build
/// folder. With `name`, runs only the tests with that text in their name.
pub(crate) fn test_quickly(toolchain: &Toolchain, name: Option<&str>) -> Result<u32> {
    let addon = dev::library("webhook-mtls-node", "libwebhook_mtls_node")?;
    let home = paths::target().join("node").join("editable");
    let (build, run) = (home.join("build"), home.join("run"));
    prepare(toolchain, &build, &addon)?;
    // A change of the core leaves the TypeScript as it is, and its compiler is slow.
    let (compiled, stamp) = (home.join("dist"), home.join("dist-made-from.txt"));
    let mut sources = paths::entries(&build.join("ts"))?;
    sources.extend([build.join("tsconfig.json"), build.join("package-lock.json")]);
    let sources = sources.iter().map(|file| paths::read(file)).collect::<Result<String>>()?;
    if !paths::read(&stamp).is_ok_and(|made_from| made_from == sources) {
        typescript(&build)?;
        paths::make_empty(&compiled)?;
        paths::copy_tree(&build.join("dist"), &compiled, &[])?;
        paths::write(&stamp, &sources)?;
    }
    paths::make_empty(&run)?;
    let package = run.join("node_modules").join("webhook-mtls");
    paths::copy_tree(&compiled, &package.join("dist"), &[])?;
    paths::copy_tree(&build.join("native"), &package.join("native"), &[])?;
    paths::copy(&build.join("package.json"), &package.join("package.json"))?;
    mirror(&build.join("node_modules"), &run)?;
    let mut files = test_files(&run)?;
    dev::keep_quick(&mut files, name)?;
    let pattern = name.map(|name| format!("--test-name-pattern={name}"));
    let step = node_test(&toolchain.node, &run, pattern.as_deref(), &files);
    // A named test may be one of those that need them.
    let output = if name.is_some() { with_runtimes(step)? } else { step }.run()?;
    Ok(count(&output.all, "pass"))
}

/// Returns the test files of a mirror.
fn test_files(run: &Path) -> Result<Vec<PathBuf>> {
    let tests = run.join("bindings-node").join("tests");
    let mut files = paths::files_with_extension(&tests, "mjs")?;
    files.extend(paths::files_with_extension(&tests, "cjs")?);
    files.retain(|file| is_test(file));
    if files.is_empty() {
        return Err(Failure::new("bindings-node/tests has no *.test.mjs"));
    }
    Ok(files)
}

/// Returns the command that runs tests of a mirror.
fn node_test(program: &Path, run: &Path, pattern: Option<&str>, files: &[PathBuf]) -> Step {
    let step = Step::new("node --test", program).args(["--test", "--test-reporter=tap"]);
    step.args(pattern).args(files).in_directory(run)
}

/// Installs the other runtimes and the test runners of `tests/runtimes`, which npm has for Linux on
/// x86-64, and tells the tests where they are.
fn with_runtimes(step: Step) -> Result<Step> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Ok(step);
    }
    let sources = paths::root().join("tests").join("runtimes");
    let home = paths::target().join("runtimes");
    let lock = paths::read(&sources.join("package-lock.json"))?;
    let stamp = home.join("made-from.json");
    if !paths::read(&stamp).is_ok_and(|made_from| made_from == lock) {
        for name in ["package.json", "package-lock.json"] {
            paths::copy(&sources.join(name), &home.join(name))?;
        }
        let arguments = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
        npm("npm ci: other runtimes", &arguments, &home)?;
        paths::write(&stamp, &lock)?;
    }
    Ok(step.env("WMTLS_RUNTIMES", home.display().to_string()))
}

/// Makes a copy of the sources with the addon and the pinned tools, so that the source tree stays
/// unchanged.
fn prepare(toolchain: &Toolchain, build: &Path, addon: &Path) -> Result {
    let source = paths::root().join("bindings-node");
    let packages = build.join("node_modules");
    let lock = paths::read(&source.join("package-lock.json"))?;
    let stamp = build.with_file_name("build-made-from.json");
    let is_current = paths::read(&stamp).is_ok_and(|made_from| made_from == lock);
    for entry in if build.exists() { paths::entries(build)? } else { Vec::new() } {
        if entry != packages || !is_current {
            remove(&entry)?;
        }
    }
    paths::copy_tree(&source, build, &["node_modules", "target", "Cargo.toml", "src", "native"])?;
    let name = local(toolchain, Addon::Production)?;
    paths::copy(addon, &build.join("native").join(name))?;
    if !is_current {
        npm("npm ci", &["ci", "--no-audit", "--no-fund", "--ignore-scripts"], build)?;
        paths::write(&stamp, &lock)?;
    }
    Ok(())
}

/// Builds an addon and returns its path, which the next build overwrites.
fn addon(which: Addon, profile: Profile) -> Result<PathBuf> {
    let mut arguments =
        vec!["build", "--locked", "--profile", profile.name(), "--package", "webhook-mtls-node"];
    arguments.extend(which.features());
    let title = format!("{} ({})", which.name(), profile.name());
    profile.apply(Step::cargo(title, &arguments)).run()?;
    Ok(paths::built(profile, library()))
}

/// Returns the name of an addon that was built on this machine, as the loader spells it.
fn local(toolchain: &Toolchain, which: Addon) -> Result<String> {
    let platform = Step::new("platform", &toolchain.node)
        .args(["-p", "process.platform + '-' + process.arch"])
        .ask()?;
    Ok(format!("{}.{}.node", which.name(), platform.stdout.trim()))
}

impl Addon {
    /// The name of the package, whose packages for each platform have it as a prefix.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Addon::Production | Addon::Whole => "webhook-mtls",
            Addon::Kit => "webhook-mtls-testing",
        }
    }

    /// The arguments of cargo for its features.
    pub(crate) fn features(self) -> &'static [&'static str] {
        match self {
            Addon::Production => &["--no-default-features", "--features", "command"],
            Addon::Kit => &["--no-default-features", "--features", "testing"],
            Addon::Whole => &[],
        }
    }
}

fn typescript(build: &Path) -> Result {
    npm("npm run build", &["run", "build"], build)
}

/// Packs a compiled copy of the sources.
fn pack(build: &Path) -> Result<PathBuf> {
    npm("npm pack", &["pack", "--ignore-scripts"], build)?;
    let mut tarballs = paths::files_with_extension(build, "tgz")?;
    match (tarballs.pop(), tarballs.is_empty()) {
        (Some(tarball), true) => Ok(tarball),
        _ => Err(Failure::new(format!("expected one tarball in {}", paths::shown(build)))),
    }
}

/// Installs the tarball and the build's type checker into a mirror of the tree.
fn install(tarball: &Path, run: &Path) -> Result {
    paths::make_empty(run)?;
    paths::write(&run.join("package.json"), "{ \"private\": true }\n")?;
    npm(
        "npm install the tarball",
        &[
            "install",
            "--no-save",
            "--no-audit",
            "--no-fund",
            "--offline",
            &tarball.display().to_string(),
        ],
        run,
    )?;
    mirror(&tarball.with_file_name("node_modules"), run)
}

/// Adds what the tests and their type check need to a directory that has the package.
fn mirror(packages: &Path, run: &Path) -> Result {
    let links = ["typescript", "@types", "undici-types", "standardwebhooks", "jose"];
    let telemetry = ["@opentelemetry", "prom-client", "tdigest", "bintrees"];
    let frameworks = ["express", "fastify", "koa", "bullmq", "ioredis"];
    let links = links.into_iter().chain(["@stablelib", "fast-sha256"]);
    for name in links.chain(telemetry).chain(frameworks) {
        let from = packages.join(name);
        if from.exists() {
            Step::new("link", "ln")
                .arg("-s")
                .arg(&from)
                .arg(run.join("node_modules").join(name))
                .ask()?;
        }
    }
    let root = paths::root();
    for part in [
        "bindings-node/tests",
        "tests/vectors",
        "tests/diagnosis",
        "tests/clients",
        "tests/receivers",
        "tests/health",
        "tests/fleet",
        "docs/queues",
        "docs/receive",
        "examples",
        "benches",
    ] {
        if root.join(part).exists() {
            paths::copy_tree(&root.join(part), &run.join(part), &[])?;
        }
    }
    Ok(())
}

/// Installs the packages of a lock file in a directory below the target directory, unless they are
/// there.
///
/// * `source`: the directory with `package.json` and `package-lock.json`.
pub(crate) fn install_locked(source: &Path, home: &Path) -> Result {
    let lock = paths::read(&source.join("package-lock.json"))?;
    let stamp = home.join("made-from.json");
    if paths::read(&stamp).is_ok_and(|made_from| made_from == lock) {
        return Ok(());
    }
    for name in ["package.json", "package-lock.json"] {
        paths::copy(&source.join(name), &home.join(name))?;
    }
    let title = format!("npm ci of {}", paths::shown(source));
    npm(&title, &["ci", "--no-audit", "--no-fund", "--ignore-scripts"], home)?;
    paths::write(&stamp, &lock)
}

pub(crate) fn npm(title: &str, arguments: &[&str], directory: &Path) -> Result {
    let step = Step::new(title, "npm").args(arguments).in_directory(directory);
    step.env("npm_config_update_notifier", "false").run().map(drop)
}

fn library() -> &'static str {
    if cfg!(target_os = "macos") { "libwebhook_mtls_node.dylib" } else { "libwebhook_mtls_node.so" }
}

fn remove(path: &Path) -> Result {
    let removed =
        if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    removed.map_err(|error| Failure::at("cannot remove", path, &error))
}

fn is_test(file: &Path) -> bool {
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    Path::new(stem).extension().is_some_and(|extension| extension == "test")
}

/// Reads a count from the summary of node's TAP reporter.
pub(crate) fn count(output: &str, word: &str) -> u32 {
    let prefix = format!("# {word} ");
    output
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix(&prefix))
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{count, is_test};
    use std::path::Path;

    #[test]
    fn counts_come_from_the_summary() {
        let output = "ok 1 - a\n# pass 1\n1..2\n# tests 12\n# pass 11\n# fail 1\n";
        assert_eq!((count(output, "pass"), count(output, "fail")), (11, 1));
    }

    #[test]
    fn only_files_with_the_test_suffix_are_tests() {
        assert!(is_test(Path::new("tests/deliver.test.mjs")));
        assert!(!is_test(Path::new("tests/vectors.mjs")));
    }
}
