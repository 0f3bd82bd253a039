//! Cargo profiles, and the variables of a build for users.

use std::env;
use std::path::{Path, PathBuf};

use crate::command::Step;
use crate::paths;

/// The profile of one run. A run uses one profile, so that cargo compiles each dependency once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Profile {
    /// Compiles fast: the demo and the tests.
    Dev,
    /// Optimized: the fuzz targets.
    Release,
    /// The profile of users: instruction counts, benchmarks and packages.
    Shipped,
    /// The C library for small devices: less code, and more instructions.
    Small,
}

impl Profile {
    /// The profile's name in cargo and maturin.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Profile::Dev => "dev",
            Profile::Release => "release",
            Profile::Shipped => "shipped",
            Profile::Small => "small",
        }
    }

    /// The profile's directory below the target directory.
    pub(crate) fn directory(self) -> &'static str {
        match self {
            Profile::Dev => "debug",
            other => other.name(),
        }
    }

    /// Whether users get its results.
    pub(crate) fn is_for_users(self) -> bool {
        matches!(self, Profile::Shipped | Profile::Small)
    }

    /// Sets the variables of a build in this profile. Every build for users has the same, so that
    /// cargo compiles each dependency once, and so that no path of this machine gets into a binary.
    pub(crate) fn apply(self, step: Step) -> Step {
        if !self.is_for_users() {
            return step;
        }
        step.env("CARGO_ENCODED_RUSTFLAGS", rust_flags(&[]))
            .without_env("RUSTFLAGS")
            .env("CFLAGS", self.c_flags())
            .env("SOURCE_DATE_EPOCH", source_date())
    }

    /// Returns the flags of the C code: ours, then those of this shell.
    fn c_flags(self) -> String {
        let less = if self == Profile::Small { C_FLAGS_OF_SMALL } else { "" };
        let given = env::var("CFLAGS").unwrap_or_default();
        let all = [C_FLAGS, less, &given];
        all.into_iter().filter(|flags| !flags.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

/// Returns the value of `CARGO_ENCODED_RUSTFLAGS` for a build for users: the flags of this shell,
/// those that remap the paths of this machine, and `additional` ones. The C compiler needs none:
/// aws-lc-sys remaps its own paths.
pub(crate) fn rust_flags(additional: &[String]) -> String {
    let separated = |name: &str, separator: char| {
        let text = env::var(name).unwrap_or_default();
        text.split(separator).filter(|flag| !flag.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut flags = separated("CARGO_ENCODED_RUSTFLAGS", '\x1f');
    if flags.is_empty() {
        flags = separated("RUSTFLAGS", ' ');
    }
    // A later rule wins, so the target directory follows the workspace that contains it.
    let rules = [
        (cargo_home().join("registry").join("src"), "/crates"),
        (paths::root(), "/webhook-mtls"),
        (paths::target(), "/webhook-mtls/target"),
    ];
    flags.extend(rules.map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display())));
    flags.extend_from_slice(additional);
    flags.join("\x1f")
}

/// The C code, which is aws-lc, protects the stack and checks the sizes of copies. It leaves out what
/// it has for AVX-512: 0.7 MB that only make the encryption of megabytes faster.
const C_FLAGS: &str =
    "-fstack-protector-strong -D_FORTIFY_SOURCE=2 -DMY_ASSEMBLER_IS_TOO_OLD_FOR_512AVX";

/// Fewer copies of loops, and no unwinding tables: no debugger sees the callers of a function of the C code.
/// aws-lc-sys makes a debug build at a cargo level below 3, so the profile keeps 3 and the compiler gets -O2.
const C_FLAGS_OF_SMALL: &str = "-O2 -fno-asynchronous-unwind-tables -fno-unwind-tables";

/// Returns the paths that no shipped file may contain.
pub(crate) fn private_paths() -> [PathBuf; 2] {
    [cargo_home(), paths::root()]
}

/// Returns the time of the last commit in Unix seconds, or the caller's `SOURCE_DATE_EPOCH`. A tree
/// without a history has the time 0.
pub(crate) fn source_date() -> String {
    if let Ok(given) = env::var("SOURCE_DATE_EPOCH") {
        return given;
    }
    let commit = Step::new("commit", "git").args(["log", "-1", "--format=%ct"]).ask();
    let time = commit.map(|output| output.stdout.trim().to_owned()).unwrap_or_default();
    if time.is_empty() { "0".to_owned() } else { time }
}

fn cargo_home() -> PathBuf {
    let home = || Path::new(&env::var_os("HOME").unwrap_or_default()).join(".cargo");
    env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::rust_flags;

    #[test]
    fn the_paths_of_this_machine_are_remapped_and_the_target_directory_last() {
        let flags = rust_flags(&["-Cextra".to_owned()]);
        let flags: Vec<&str> = flags.split('\x1f').collect();
        let at = |end: &str| flags.iter().position(|flag| flag.ends_with(end)).expect(end);
        assert!(at("=/crates") < at("=/webhook-mtls"), "{flags:?}");
        assert!(at("=/webhook-mtls") < at("=/webhook-mtls/target"), "{flags:?}");
        assert_eq!(flags.last(), Some(&"-Cextra"));
    }
}
