//! Makes the packages a second time, in a clone with another path, and compares the bytes.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::command::{Failure, Result, Step};
use crate::packages::CHECKSUMS;
use crate::packages::slow::PAGE;
use crate::paths;

/// The time limit of a build of everything on two slow cores.
const LIMIT: Duration = Duration::from_secs(2 * 60 * 60);

/// Makes the packages of these languages from the last commit. Fails if the tree has other changes,
/// or if a package differs from the one in `directory`.
pub(super) fn prove(languages: &[&str], directory: &Path) -> Result<String> {
    // The page of the results is in no package, and the parts before this one wrote to it.
    let changes = Step::new("git status", "git")
        .args(["status", "--porcelain", "--", ".", &format!(":(exclude){PAGE}")])
        .ask()?
        .stdout;
    if !changes.trim().is_empty() {
        let what = "the tree has changes, and a second build would be of the last commit";
        return Err(Failure::with_output(what, changes));
    }
    let clone = paths::target().join("again").join("clone");
    if clone.exists() {
        std::fs::remove_dir_all(&clone)
            .map_err(|error| Failure::at("cannot remove", &clone, &error))?;
    }
    Step::new("git clone", "git")
        .args(["clone", "--quiet", "--shared"])
        .args([&paths::root(), &clone])
        .ask()?;
    Step::cargo("a second build", &["xtask", "package"])
        .args(languages)
        .in_directory(&clone)
        .env("CARGO_TARGET_DIR", clone.join("target"))
        .limit(LIMIT)
        .run()?;
    let again = clone.join("target").join("packages");
    let (first, second) = (sums(directory, languages)?, sums(&again, languages)?);
    let differ: Vec<&String> =
        second.iter().filter(|(name, sum)| first.get(*name) != Some(sum)).map(|(n, _)| n).collect();
    if differ.is_empty() && !second.is_empty() {
        let names = languages.join(", ");
        return Ok(format!("{names}: built in another path, equal files: {}", second.len()));
    }
    Err(Failure::new(format!("these files of a second build differ: {differ:?}")))
}

/// Reads the checksums of the languages.
fn sums(directory: &Path, languages: &[&str]) -> Result<BTreeMap<String, String>> {
    let text = paths::read(&directory.join(CHECKSUMS))?;
    let lines = text.lines().filter_map(|line| line.split_once("  "));
    let lines = lines.filter(|(_, name)| {
        name.split_once('/').is_some_and(|(language, _)| languages.contains(&language))
    });
    Ok(lines.map(|(sum, name)| (name.to_owned(), sum.to_owned())).collect())
}
