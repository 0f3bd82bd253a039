//! `cargo xtask package`: makes the packages of this platform in `target/packages/`, and the suite
//! `packages`, which installs and tests them.
//!
//! Each language is a file here with two functions, listed in `LANGUAGES`:
//!
//! * `make` fills the empty directory `Order::place` (`target/packages/<language>/`) with the
//!   artifacts that a user downloads, and nothing else. Intermediate files belong elsewhere below
//!   the target directory. It takes the binaries from `Order::languages`, which builds each once
//!   per run in the profile `shipped`, with remapped paths (`Profile::apply`). A build that cannot
//!   come from there calls `Profile::Shipped.apply(step)`, or `profile::rust_flags` with more flags.
//! * `prove` reads only `Order::place`, installs the packages in a `Room`, an empty folder whose
//!   `PATH` has only the programs that it names, and returns the number of passed checks. It runs
//!   in `cargo xtask test`: minutes, not tens of minutes.
//!
//! A language also has slow `parts`, which run only with `--all` and in the soak: other targets, and
//! gates that compile for minutes. Each returns a line, which `docs/packages.md` records with the
//! date. The part `twice` is common to all languages: it makes the packages a second time.
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
pub(crate) mod command;
mod crates;
mod debian_package;
pub(crate) mod interface;
pub(crate) mod musl;
mod node;
pub(crate) mod python;
mod reproduce;
mod room;
mod rust;
mod slow;

use std::path::{Path, PathBuf};

use crate::command::{Failure, Result, Step};
use crate::languages::Languages;
use crate::paths;
use crate::profile::Profile;
use crate::site;
use crate::terminal;
use crate::toolchain::Toolchain;

pub(crate) use archive::{archive, no_private_paths, strip};
pub(crate) use crates::{Crates, HOST};
pub(crate) use room::Room;
pub(crate) use slow::{Part, Results};

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
    parts: &'static [Part],
    /// Whether the suite proves an unoptimized package, because an optimized one takes another minute and a
    /// half, and packages of other languages have the same code.
    is_quick: bool,
}

impl Language {
    const fn new(
        name: &'static str,
        make: fn(&Order) -> Result,
        prove: fn(&Order) -> Result<u32>,
        parts: &'static [Part],
    ) -> Language {
        Language { name, make, prove, parts, is_quick: false }
    }
}

pub(crate) const LANGUAGES: [Language; 5] = [
    Language::new("c", c::make, c::prove, &c::PARTS),
    Language { is_quick: true, ..Language::new("command", command::make, command::prove, &[]) },
    Language::new("node", node::make, node::prove, &node::PARTS),
    Language::new("python", python::make, python::prove, &python::PARTS),
    Language::new("rust", rust::make, rust::prove, &rust::PARTS),
];

/// The slow part that makes the packages of all chosen languages a second time.
const TWICE: &str = "twice";

/// `cargo xtask package [language ...] [--prove] [--all [part ...]] [--dev]`.
pub(crate) fn run(words: &[&str]) -> Result {
    let order = Chosen::read(words)?;
    let profile = if order.is_dev { Profile::Dev } else { Profile::Shipped };
    order.carry_out(&Languages::new(Toolchain::find()?, profile))
}

/// Makes the packages of all languages, and runs all slow parts.
pub(crate) fn prove_slowly(languages: &Languages) -> Result {
    Chosen::read(&["--all"])?.carry_out(languages)
}

/// What the words of the command choose.
struct Chosen {
    languages: Vec<&'static Language>,
    /// The names of the slow parts.
    parts: Vec<&'static str>,
    /// Whether the words named parts. Only `twice` among them needs the packages of this platform.
    has_named_parts: bool,
    is_proved: bool,
    is_dev: bool,
}

impl Chosen {
    fn read(words: &[&str]) -> Result<Chosen> {
        let (options, names): (Vec<&str>, Vec<&str>) =
            words.iter().partition(|word| word.starts_with("--"));
        let is_all = options.contains(&"--all");
        let known: Vec<&'static str> =
            LANGUAGES.iter().flat_map(Language::parts).chain([TWICE]).collect();
        let parts: Vec<&'static str> =
            known.iter().filter(|part| is_all && names.contains(part)).copied().collect();
        let is_known = |word: &&str| {
            ["--prove", "--all", "--dev"].contains(word)
                || LANGUAGES.iter().any(|language| language.name == *word)
                || parts.contains(word)
        };
        if let Some(unknown) = words.iter().find(|word| !is_known(word)) {
            let languages = LANGUAGES.each_ref().map(|language| language.name).join(", ");
            return Err(Failure::new(format!(
                "package takes {languages}, --prove, --dev, and --all with any of {}, not {unknown}",
                known.join(", ")
            )));
        }
        let are_languages_named = LANGUAGES.iter().any(|l| names.contains(&l.name));
        let is_chosen = |language: &&Language| {
            if are_languages_named {
                return names.contains(&language.name);
            }
            let has_named = language.parts().any(|part| parts.contains(&part));
            parts.is_empty() || parts.contains(&TWICE) || has_named
        };
        Ok(Chosen {
            languages: LANGUAGES.iter().filter(is_chosen).collect(),
            has_named_parts: !parts.is_empty(),
            parts: match (is_all, parts.is_empty()) {
                (false, _) => Vec::new(),
                (true, true) => known,
                (true, false) => parts,
            },
            is_proved: options.contains(&"--prove"),
            is_dev: options.contains(&"--dev"),
        })
    }

    /// Whether the packages are needed.
    fn makes(&self) -> bool {
        !self.has_named_parts || self.parts.contains(&TWICE)
    }

    fn carry_out(&self, languages: &Languages) -> Result {
        let mut results = Results::default();
        for language in &self.languages {
            terminal::headline(&format!("Packages: {}", language.name));
            let order = language.order(languages)?;
            if self.makes() {
                paths::make_empty(&order.place)?;
                (language.make)(&order)?;
            }
            if self.is_proved {
                let passed = (language.prove)(&order)?;
                println!("  {} {passed} passed", terminal::green(language.name));
            }
            for part in language.parts.iter().filter(|part| self.parts.contains(&part.name)) {
                results.add(part.name, (part.run)(&order))?;
            }
        }
        write_checksums()?;
        if self.parts.contains(&TWICE) {
            let names: Vec<&str> = self.languages.iter().map(|language| language.name).collect();
            results.add(TWICE, reproduce::prove(&names, &directory()))?;
        }
        print!("\n{}", paths::read(&directory().join(CHECKSUMS))?);
        results.end()
    }
}

/// Makes and proves the packages of one language for the suite; returns the number of passed checks.
pub(crate) fn prove(language: &Language, languages: &Languages) -> Result<u32> {
    let languages = if language.is_quick { languages } else { languages.shipped() };
    let order = language.order(languages)?;
    paths::make_empty(&order.place)?;
    (language.make)(&order)?;
    let passed = (language.prove)(&order)?;
    if language.is_quick {
        // Users get no unoptimized package.
        paths::make_empty(&order.place)?;
    }
    Ok(passed)
}

impl Language {
    fn order<'a>(&self, languages: &'a Languages) -> Result<Order<'a>> {
        let place = directory().join(self.name);
        paths::make_directory(&place)?;
        Ok(Order { languages, version: version()?, place })
    }

    /// The names of its slow parts.
    fn parts(&self) -> impl Iterator<Item = &'static str> {
        self.parts.iter().map(|part| part.name)
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

/// Writes the pages to which `error.help` leads, and further pages of `docs/`, into a folder that stands for
/// `docs/`. Links to other pages lead to the repository.
pub(crate) fn write_pages(more: &[&str], to: &Path) -> Result {
    let mut pages: Vec<String> = more.iter().map(|page| (*page).to_owned()).collect();
    pages.push("docs/errors.md".to_owned());
    for page in paths::files_with_extension(&paths::root().join("docs/errors"), "md")? {
        pages.push(paths::shown(&page));
    }
    for page in &pages {
        let text = paths::read(&paths::root().join(page))?;
        let has = |path: &str| pages.iter().any(|page| page == path);
        let below = page.strip_prefix("docs/").unwrap_or(page);
        paths::write(&to.join(below), &site::packed(page, &text, has))?;
    }
    Ok(())
}

const CHECKSUMS: &str = "SHA256SUMS";

fn directory() -> PathBuf {
    paths::target().join("packages")
}

/// Returns the directory of the packages that are not for the usual install commands: those of other
/// platforms, and those for Debian.
pub(crate) fn others() -> Result<PathBuf> {
    let place = directory().join(OTHERS);
    paths::make_directory(&place)?;
    Ok(place)
}

const OTHERS: &str = "others";

/// Writes the checksums of all artifacts, in the format of `sha256sum --check`.
pub(crate) fn write_checksums() -> Result {
    let mut names = Vec::new();
    for name in LANGUAGES.iter().map(|language| language.name).chain([OTHERS]) {
        let place = directory().join(name);
        for file in if place.exists() { paths::entries(&place)? } else { Vec::new() } {
            let file = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            names.push(format!("{name}/{file}"));
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
    use super::{Chosen, LANGUAGES, Language, TWICE, version};
    use std::collections::BTreeSet;

    fn names(words: &[&str]) -> Vec<&'static str> {
        Chosen::read(words).unwrap().languages.iter().map(|language| language.name).collect()
    }

    #[test]
    fn languages_are_chosen_by_name_and_unknown_words_refused() {
        assert_eq!(names(&[]).len(), 5);
        assert_eq!(names(&["--all", "c"]), ["c"]);
        for unknown in ["cobol", "--al", "musl"] {
            assert!(Chosen::read(&[unknown]).err().unwrap().what().contains(unknown));
        }
    }

    #[test]
    fn a_named_part_runs_alone_and_only_twice_makes_the_packages() {
        let musl = Chosen::read(&["--all", "musl"]).unwrap();
        assert_eq!((names(&["--all", "musl"]), &musl.parts[..]), (vec!["c"], &["musl"][..]));
        assert!(!musl.makes());
        let wheel = Chosen::read(&["--all", "wheel-musl"]).unwrap();
        assert!(!wheel.makes() && wheel.languages[0].name == "python");
        let twice = Chosen::read(&["rust", "--all", TWICE]).unwrap();
        assert!(twice.languages.len() == 1 && twice.makes());
        assert_eq!(names(&["--all", TWICE]).len(), 5);
        assert!(Chosen::read(&["--all"]).unwrap().parts.contains(&"semver"));
    }

    #[test]
    fn each_part_has_a_name_of_its_own() {
        let all: Vec<&str> = LANGUAGES.iter().flat_map(Language::parts).chain([TWICE]).collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    }

    #[test]
    fn the_version_is_that_of_this_crate() {
        assert_eq!(version().unwrap(), env!("CARGO_PKG_VERSION"));
    }
}
