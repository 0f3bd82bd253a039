//! An empty folder outside the workspace, and commands that see nothing else of this machine than
//! the programs that the folder names: how a package is installed by a user who has no Rust.

use std::env;
use std::path::{Path, PathBuf};

use crate::command::{Failure, Result, Step};
use crate::paths;

/// Programs that every room has. None of them compiles.
const BASE: [&str; 12] =
    ["sh", "env", "cat", "cp", "ls", "mkdir", "mv", "rm", "sed", "tar", "gzip", "uname"];

/// Variables by which package managers find their registry and its certificates.
const KEPT: [&str; 14] = [
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "PIP_INDEX_URL",
    "PIP_DEFAULT_TIMEOUT",
    "npm_config_registry",
];

/// The configuration of package managers in the home directory, and the variable that names it.
const CONFIGURATION: [(&str, &str); 2] =
    [("npm_config_userconfig", ".npmrc"), ("PIP_CONFIG_FILE", ".config/pip/pip.conf")];

/// The folder. Dropping the value removes it.
pub(crate) struct Room {
    home: PathBuf,
    work: PathBuf,
}

impl Room {
    /// Makes the folder. Its commands find the named programs, given by name or by path, and those
    /// of `BASE`; no compiler and no cargo unless they are named.
    pub(crate) fn new(name: &str, programs: &[&str]) -> Result<Room> {
        let home = env::temp_dir().join(format!("webhook-mtls-{name}-{}", std::process::id()));
        paths::make_empty(&home)?;
        let room = Room { work: home.join("work"), home };
        paths::make_directory(&room.home.join("home"))?;
        paths::make_directory(&room.home.join("bin"))?;
        paths::make_directory(room.path())?;
        for program in BASE.iter().chain(programs) {
            let found = if program.contains('/') {
                Some(PathBuf::from(program))
            } else {
                paths::program(program)
            };
            let found = found.ok_or_else(|| Failure::new(format!("{program} was not found")))?;
            let link = room.home.join("bin").join(found.file_name().unwrap_or_default());
            paths::link(&found.display().to_string(), &link)?;
        }
        Ok(room)
    }

    /// The folder in which commands run. It is empty at first.
    pub(crate) fn path(&self) -> &Path {
        &self.work
    }

    /// Returns a command in the folder, with a bare environment.
    pub(crate) fn step(&self, title: impl Into<String>, program: impl AsRef<Path>) -> Step {
        let program = program.as_ref();
        let linked = self.home.join("bin").join(program);
        let program = if linked.exists() { &linked } else { program };
        let mut step = Step::new(title, program)
            .without_our_environment()
            .in_directory(self.path())
            .env("PATH", self.home.join("bin"))
            .env("HOME", self.home.join("home"))
            .env("TMPDIR", self.home.join("home"))
            .env("LANG", "C.UTF-8");
        for name in KEPT {
            if let Some(value) = env::var_os(name) {
                step = step.env(name, value);
            }
        }
        let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        for (name, file) in CONFIGURATION {
            if home.join(file).exists() {
                step = step.env(name, home.join(file));
            }
        }
        step
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // A folder that stays behind harms nothing: the next one has another name.
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

#[cfg(test)]
mod tests {
    use super::Room;

    #[test]
    fn a_room_has_its_programs_and_neither_cargo_nor_a_compiler() {
        let room = Room::new("self-test", &["tail"]).unwrap();
        let which = |name: &str| {
            let ask = room.step("which", "sh").args(["-c", &format!("command -v {name}")]);
            ask.ask().is_ok()
        };
        assert!(which("tail") && which("sed"));
        for absent in ["cargo", "rustc", "cc", "gcc", "clang", "ld"] {
            assert!(!which(absent), "{absent}");
        }
        let home = room.path().to_path_buf();
        assert_eq!(std::fs::read_dir(&home).unwrap().count(), 0);
        drop(room);
        assert!(!home.exists());
    }
}
