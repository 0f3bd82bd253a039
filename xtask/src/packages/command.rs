//! The program `webhook-mtls` with its man pages and completions: the archive, and
//! `cargo xtask install command`. The proof of the command that any package installs is here, too.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::command::{Failure, Result, Step};
use crate::debian;
use crate::languages::rust;
use crate::packages::{Crates, HOST, Order, Room, archive, no_private_paths, strip, version};
use crate::paths;
use crate::profile::Profile;
use crate::suites::dev::number_before;

const PACKAGE: &str = "webhook-mtls-command";

/// The completions as they are generated, and where shells look for them below the prefix.
const COMPLETIONS: [(&str, &str); 3] = [
    ("webhook-mtls.bash", "share/bash-completion/completions/webhook-mtls"),
    ("_webhook-mtls", "share/zsh/site-functions/_webhook-mtls"),
    ("webhook-mtls.fish", "share/fish/vendor_completions.d/webhook-mtls.fish"),
];

/// The programs that the tests of the command call.
const TOOLS: [&str; 4] = ["bash", "curl", "head", "openssl"];

/// The tests take ten seconds.
const LIMIT: Duration = Duration::from_secs(3 * 60);

/// The minimum number of tests that pass. It catches a suite that loses tests.
const AT_LEAST: u32 = 21;

/// Builds the program and installs it: `--prefix` (by default `/usr/local`) and `--destdir`, the directory
/// of a staged installation, each followed by a directory.
pub(crate) fn run(words: &[&str]) -> Result {
    let (mut prefix, mut destdir) = (PathBuf::from("/usr/local"), None);
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        match (*word, rest.next()) {
            ("--prefix", Some(path)) => prefix = PathBuf::from(path),
            ("--destdir", Some(path)) => destdir = Some(PathBuf::from(path)),
            _ => return Err(Failure::new("install command takes --prefix P and --destdir D")),
        }
    }
    if !prefix.is_absolute() {
        return Err(Failure::new("--prefix must be an absolute path"));
    }
    let place = match destdir {
        Some(destdir) => destdir.join(prefix.strip_prefix("/").unwrap_or(&prefix)),
        None => prefix,
    };
    install(Profile::Shipped, &place)?;
    println!("\ninstalled in {}", place.display());
    Ok(())
}

/// Installs the program, its pages, its completions and the license texts below a prefix.
fn install(profile: Profile, place: &Path) -> Result {
    let program = place.join("bin").join("webhook-mtls");
    paths::copy(&rust::command(profile)?, &program)?;
    strip(&program)?;
    if profile.is_for_users() {
        no_private_paths(&program)?;
    }
    let made = paths::target().join("command-pages");
    pages(&made)?;
    for page in paths::files_with_extension(&made, "1")? {
        let name = page.file_name().unwrap_or_default();
        paths::copy(&page, &place.join("share").join("man").join("man1").join(name))?;
    }
    for (made_as, belongs) in COMPLETIONS {
        paths::copy(&made.join(made_as), &place.join(belongs))?;
    }
    let purl = format!("pkg:generic/{PACKAGE}@{}", version()?);
    Crates::of(PACKAGE, HOST)?.write_all(&purl, &place.join("share").join("doc").join(PACKAGE))
}

/// Writes the man pages and the completions into an empty directory.
pub(crate) fn pages(directory: &Path) -> Result {
    paths::make_empty(directory)?;
    let arguments = ["run", "--locked", "--package", PACKAGE, "--example", "pages", "--"];
    Step::cargo("pages of the command", &arguments).arg(directory).run().map(drop)
}

/// The name of the archive, and of the directory in it.
fn name(order: &Order) -> String {
    format!("{PACKAGE}-{}-{HOST}", order.version)
}

pub(crate) fn make(order: &Order) -> Result {
    let name = name(order);
    let stage = paths::target().join("command-package");
    paths::make_empty(&stage)?;
    install(order.languages.profile(), &stage.join(&name))?;
    archive(&stage.join(&name), &order.place.join(format!("{name}.tar.gz")))
}

/// Unpacks the archive, and runs the tests of the command with it.
pub(crate) fn prove(order: &Order) -> Result<u32> {
    let node = order.languages.toolchain.node.display().to_string();
    let room = room("command", &[&node])?;
    let name = name(order);
    let packed = order.place.join(format!("{name}.tar.gz"));
    room.step("unpack", "tar").args(["-xzf"]).arg(packed).run()?;
    let prefix = room.path().join(name);
    let document = prefix.join("share").join("doc").join(PACKAGE).join("THIRD-PARTY-NOTICES.txt");
    if !paths::read(&document)?.contains("aws-lc-sys") {
        return Err(Failure::new("the notices of the command lack aws-lc-sys"));
    }
    for (_, completion) in COMPLETIONS {
        paths::read(&prefix.join(completion))?;
    }
    paths::read(&prefix.join("share").join("man").join("man1").join("webhook-mtls.1"))?;
    prove_installed(order, &room, &prefix.join("bin").join("webhook-mtls")).map(|passed| passed + 2)
}

/// Returns a room in which the tests of the command find their tools.
pub(crate) fn room(name: &str, programs: &[&str]) -> Result<Room> {
    debian::ensure(debian::COMMAND)?;
    Room::new(name, &[&TOOLS, programs].concat())
}

/// Runs those tests of `tests/command` that a package could break, with an installed command; returns the
/// number of passed ones.
///
/// * `room`: a room of [`room`].
/// * `program`: the installed command.
pub(crate) fn prove_installed(order: &Order, room: &Room, program: &Path) -> Result<u32> {
    let work = room.path().join("command-tests");
    paths::make_empty(&work)?;
    // The interpreter itself: a version manager's script does not work in a room.
    let python = Step::new("interpreter", &order.languages.toolchain.python)
        .args(["-c", "import sys; print(sys.executable)"])
        .ask()?;
    let output = room
        .step("the installed command", python.stdout.trim())
        .arg(paths::root().join("tests").join("command").join("run.py"))
        .arg("--command")
        .arg(program)
        .arg("--node")
        .arg(&order.languages.toolchain.node)
        .arg("--work")
        .arg(&work)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .limit(LIMIT)
        .run()?;
    let passed = number_before(output.last_line(), " passed");
    if passed < AT_LEAST {
        return Err(Failure::with_output(format!("only {passed} tests passed"), output.all));
    }
    println!("  {}: {}", program.display(), output.last_line());
    Ok(passed)
}
