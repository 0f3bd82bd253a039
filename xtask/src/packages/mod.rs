//! `cargo xtask package`: makes the packages of this platform in `target/packages/`, and the suite
//! `packages`, which installs and tests them.
//!
//! Each language is a file here with three functions, listed in `LANGUAGES`:
//!
//! * `make` fills the empty directory `Order::place` (`target/packages/<language>/`) with the
//!   artifacts that a user downloads, and nothing else. Intermediate files belong elsewhere below
//!   the target directory. It takes the binaries from `Order::languages`, which builds each once
//!   per run in the profile `shipped`, with remapped paths (`Profile::apply`). A build that cannot
//!   come from there calls `Profile::Shipped.apply(step)`, or `profile::rust_flags` with more flags.
//! * `prove` reads only `Order::place`, installs the packages in a `Room`, an empty folder whose
//!   `PATH` has only the programs that it names, and returns the number of passed checks. It runs
//!   in `cargo xtask test`: minutes, not tens of minutes.
//! * `prove_slowly` runs only with `--all` and in the soak: other targets, a second build for
//!   reproducibility, slow gates. It returns a line for each result, which `docs/packages.md`
//!   records with the date.
//!
//! Shared by all languages:
//!
//! * `Room`: an empty folder and a bare environment.
//! * `crates::Crates::of(package, target)`: the crates that one artifact contains, and no others;
//!   `crates.notices()` is the text of `THIRD-PARTY-NOTICES.txt`, `crates.sbom(name)` its CycloneDX
//!   bill of materials, and `crates.write_all` writes both with our license texts.
//! * `archive`: a tarball whose bytes depend only on its content; `strip`: a binary without local
//!   symbols; `no_private_paths`: the check for it.
//! * `readme_lines`: the install commands of the README, which `prove` runs.
//! * `musl::Musl`: builds for `x86_64-unknown-linux-musl`, for `--all`.
//! * `Order::version`: the version of the workspace. `Cargo.toml` has it once; `cargo xtask generate`
//!   writes the other copies (`generate/versions.rs`), and `--check` compares them.
//! * `target/packages/SHA256SUMS` is written after all languages.

mod archive;
mod c;
pub(crate) mod c_install;
mod crates;
mod debian_package;
pub(crate) mod interface;
pub(crate) mod musl;
mod node;
mod python;
mod reproduce;
mod room;
mod rust;

use std::path::PathBuf;

use crate::command::{Failure, Result, Step};
use crate::languages::Languages;
use crate::paths;
use crate::profile::Profile;
use crate::reports::soak;
use crate::terminal;
use crate::toolchain::Toolchain;

pub(crate) use archive::{archive, no_private_paths, strip};
pub(crate) use crates::{Crates, HOST};
pub(crate) use room::Room;

/// What a language needs to make and to prove its packages.
pub(crate) struct Order<'a> {
    /// The build results in the profile `shipped`; with `--dev` unoptimized ones, to try a change of
    /// the packaging quickly.
    pub(crate) languages: &'a Languages,
    /// The version of the workspace.
    pub(crate) version: String,
    /// The directory of the artifacts.
    pub(crate) place: PathBuf,
}

/// The packages of one language.
pub(crate) struct Language {
    name: &'static str,
    make: fn(&Order) -> Result,
    prove: fn(&Order) -> Result<u32>,
    prove_slowly: fn(&Order) -> Result<Vec<String>>,
}

pub(crate) const LANGUAGES: [Language; 4] = [
    Language { name: "c", make: c::make, prove: c::prove, prove_slowly: c::prove_slowly },
    Language {
        name: "node",
        make: node::make,
        prove: node::prove,
        prove_slowly: node::prove_slowly,
    },
    Language {
        name: "python",
        make: python::make,
        prove: python::prove,
        prove_slowly: python::prove_slowly,
    },
    Language {
        name: "rust",
        make: rust::make,
        prove: rust::prove,
        prove_slowly: rust::prove_slowly,
    },
];

/// `cargo xtask package [language ...] [--prove] [--all] [--dev]`.
pub(crate) fn run(words: &[&str]) -> Result {
    let chosen = choose(words)?;
    let profile = if words.contains(&"--dev") { Profile::Dev } else { Profile::Shipped };
    let languages = Languages::new(Toolchain::find()?, profile);
    let mut results = Vec::new();
    for language in &chosen {
        terminal::headline(&format!("Packages: {}", language.name));
        let order = language.order(&languages)?;
        (language.make)(&order)?;
        if words.contains(&"--prove") {
            let passed = (language.prove)(&order)?;
            println!("  {} {passed} passed", terminal::green(language.name));
        }
        if words.contains(&"--all") {
            let lines = (language.prove_slowly)(&order)?;
            results.extend(lines.iter().map(|line| format!("{}: {line}", language.name)));
        }
    }
    write_checksums()?;
    if words.contains(&"--all") {
        let names: Vec<&str> = chosen.iter().map(|language| language.name).collect();
        results.push(reproduce::prove(&names, &directory())?);
    }
    record(&results)?;
    print!("\n{}", paths::read(&directory().join(CHECKSUMS))?);
    Ok(())
}

/// Adds the results of the slow proofs to their page, with the date.
fn record(results: &[String]) -> Result {
    if results.is_empty() {
        return Ok(());
    }
    let page = paths::root().join("docs").join("packages.md");
    let date = soak::today()?;
    let lines: Vec<String> = results.iter().map(|line| format!("- {date}: {line}\n")).collect();
    println!("\n{}", lines.concat());
    paths::write(&page, &(paths::read(&page)? + &lines.concat()))
}

/// Makes and proves the packages of one language; returns the number of passed checks.
pub(crate) fn prove(language: &Language, languages: &Languages) -> Result<u32> {
    let order = language.order(languages)?;
    (language.make)(&order)?;
    (language.prove)(&order)
}

/// Returns the named languages, or all.
fn choose(words: &[&str]) -> Result<Vec<&'static Language>> {
    let names: Vec<&str> = words.iter().filter(|word| !word.starts_with("--")).copied().collect();
    let known = |name: &str| LANGUAGES.iter().find(|language| language.name == name);
    let unknown = words.iter().find(|word| match word.strip_prefix("--") {
        Some(option) => !["prove", "all", "dev"].contains(&option),
        None => known(word).is_none(),
    });
    if let Some(unknown) = unknown {
        let names = LANGUAGES.each_ref().map(|language| language.name).join(", ");
        return Err(Failure::new(format!(
            "package takes {names}, --prove, --all and --dev, not {unknown}"
        )));
    }
    let chosen = LANGUAGES.iter().filter(|l| names.is_empty() || names.contains(&l.name));
    Ok(chosen.collect())
}

impl Language {
    /// Empties the directory of the artifacts.
    fn order<'a>(&self, languages: &'a Languages) -> Result<Order<'a>> {
        let place = directory().join(self.name);
        paths::make_empty(&place)?;
        Ok(Order { languages, version: version()?, place })
    }
}

/// Returns the version of the workspace, which `Cargo.toml` alone says.
pub(crate) fn version() -> Result<String> {
    let manifest = paths::read(&paths::root().join("Cargo.toml"))?;
    let after = manifest.split_once("[workspace.package]").map(|(_, after)| after);
    let line = after.and_then(|after| after.lines().find(|line| line.starts_with("version = ")));
    line.and_then(|line| line.split('"').nth(1))
        .map(str::to_owned)
        .ok_or_else(|| Failure::new("Cargo.toml has no version below [workspace.package]"))
}

/// Returns the shell commands of the README between `<!-- NAME -->` and `<!-- /NAME -->`. The suite
/// runs them, so that the README shows tested lines.
pub(crate) fn readme_lines(name: &str) -> Result<String> {
    let readme = paths::read(&paths::root().join("README.md"))?;
    let missing = || Failure::new(format!("README.md has no commands between markers for {name}"));
    let (_, rest) = readme.split_once(&format!("<!-- {name} -->\n```sh\n")).ok_or_else(missing)?;
    let (lines, rest) = rest.split_once("```\n").ok_or_else(missing)?;
    if rest.starts_with(&format!("<!-- /{name} -->")) {
        Ok(lines.to_owned())
    } else {
        Err(missing())
    }
}

const CHECKSUMS: &str = "SHA256SUMS";

fn directory() -> PathBuf {
    paths::target().join("packages")
}

/// Writes the checksums of all artifacts, in the format of `sha256sum --check`.
pub(crate) fn write_checksums() -> Result {
    let mut names = Vec::new();
    for language in &LANGUAGES {
        let place = directory().join(language.name);
        for file in if place.exists() { paths::entries(&place)? } else { Vec::new() } {
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            names.push(format!("{}/{name}", language.name));
        }
    }
    if names.is_empty() {
        return paths::write(&directory().join(CHECKSUMS), "");
    }
    let step = Step::new("checksums", "sha256sum").args(&names).in_directory(&directory());
    paths::write(&directory().join(CHECKSUMS), &step.ask()?.stdout)
}

#[cfg(test)]
mod tests {
    use super::{choose, version};

    #[test]
    fn languages_are_chosen_by_name_and_unknown_words_refused() {
        assert_eq!(choose(&[]).unwrap().len(), 4);
        assert_eq!(choose(&["--all", "c"]).unwrap()[0].name, "c");
        assert!(choose(&["cobol"]).err().unwrap().what().contains("cobol"));
        assert!(choose(&["--al"]).err().unwrap().what().contains("--al"));
    }

    #[test]
    fn the_version_is_that_of_this_crate() {
        assert_eq!(version().unwrap(), env!("CARGO_PKG_VERSION"));
    }
}
