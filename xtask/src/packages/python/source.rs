//! The source distributions. They contain the crates of the workspace that they need, the license
//! texts, and a lock file of exactly these crates, so that `cargo build --locked` accepts it.

use std::path::{Path, PathBuf};

use crate::command::{Failure, Result, Step};
use crate::languages::python::executable;
use crate::packages::python::{Project, home, only};
use crate::packages::{Crates, HOST, write_pages};
use crate::paths;
use crate::profile::Profile;

const NOTICES: &str = "THIRD-PARTY-NOTICES.txt";
const BILL: &str = "sbom.cdx.json";

/// Lines of `pyproject.toml`, and what the staged copy has instead: the notices and the bill of
/// materials, which the source tree does not contain. The bill that maturin writes has paths of this
/// machine.
const ADDITIONS: [(&str, &str); 2] = [
    (
        "license-files = [\"LICENSE-*\"]\n",
        "license-files = [\"LICENSE-*\", \"THIRD-PARTY-NOTICES.txt\"]\n",
    ),
    (
        "[tool.maturin]\n",
        "[tool.maturin.sbom]\nrust = false\ninclude = [\"sbom.cdx.json\"]\n\n[tool.maturin]\n\
         include = [{ path = \"sbom.cdx.json\", format = \"sdist\" }]\n",
    ),
];

impl Project {
    /// Packs the source distribution into a directory, and unpacks it elsewhere.
    pub(super) fn pack(&self, version: &str, to: &Path, tools: &Path) -> Result {
        let staged = self.stage(version)?;
        let packed = home().join("packed").join(self.name);
        paths::make_empty(&packed)?;
        let pack = Step::new(format!("source of {}", self.name), executable(tools, "maturin"))
            .args(["sdist", "--out"])
            .arg(&packed)
            .in_directory(&staged.join(self.folder));
        Profile::Shipped.apply(pack).run()?;
        let built = only(&packed, "gz")?;
        let archive = to.join(built.file_name().unwrap_or_default());
        paths::copy(&built, &archive)?;
        let source = self.unpacked(version);
        paths::make_empty(&source)?;
        Step::new("unpack", "tar")
            .arg("-xf")
            .arg(&archive)
            .arg("--directory")
            .arg(home().join("unpacked"))
            .ask()
            .map(drop)
    }

    /// Returns the folder of the unpacked source distribution.
    pub(super) fn unpacked(&self, version: &str) -> PathBuf {
        home().join("unpacked").join(format!("{}-{version}", self.name))
    }

    /// Copies the crates into a workspace of their own, below the target directory.
    fn stage(&self, version: &str) -> Result<PathBuf> {
        let root = paths::root();
        let staged = home().join("staged").join(self.name);
        paths::make_empty(&staged)?;
        for folder in self.uses {
            let files = ["Cargo.toml", "README.md", "LICENSE-APACHE", "LICENSE-MIT", "src"];
            copy(&root.join(folder), &staged.join(folder), &files)?;
        }
        let project = staged.join(self.folder);
        let files = ["Cargo.toml", "pyproject.toml", "README.md", "src", "python"];
        copy(&root.join(self.folder), &project, &files)?;
        if self.has_pages {
            write_pages(&[], &project.join("python").join(self.name).join("docs"))?;
        }
        let crates = Crates::of(self.package, HOST)?;
        for license in ["LICENSE-APACHE", "LICENSE-MIT"] {
            paths::copy(&root.join(license), &project.join(license))?;
        }
        let purl = format!("pkg:pypi/{}@{version}", self.name.replace('_', "-"));
        paths::write(&project.join(NOTICES), &crates.notices()?)?;
        paths::write(&project.join(BILL), &crates.sbom(&purl)?)?;
        add(&project.join("pyproject.toml"))?;
        self.write_workspace(&staged)?;
        Ok(staged)
    }

    /// Writes the manifest of the workspace with these members alone, and lets cargo remove all
    /// other crates from the lock file. The versions stay.
    fn write_workspace(&self, staged: &Path) -> Result {
        let root = paths::root();
        let members = self.uses.iter().chain([&self.folder]);
        let members: Vec<String> = members.map(|folder| format!("\"{folder}\"")).collect();
        let manifest = paths::read(&root.join("Cargo.toml"))?;
        let trimmed = with_members(&manifest, &members.join(", "))
            .ok_or_else(|| Failure::new("Cargo.toml has no list of members"))?;
        paths::write(&staged.join("Cargo.toml"), &trimmed)?;
        paths::copy(&root.join("Cargo.lock"), &staged.join("Cargo.lock"))?;
        let metadata = |lock: &[&str]| {
            Step::cargo("cargo metadata", &["metadata", "--format-version", "1"])
                .args(lock)
                .in_directory(staged)
                .ask()
        };
        metadata(&[])?;
        metadata(&["--locked"]).map(drop)
    }
}

/// Copies the entries of a crate that exist. Its benches stay here, and so does their part of the
/// manifest.
fn copy(from: &Path, to: &Path, entries: &[&str]) -> Result {
    for name in entries {
        let entry = from.join(name);
        if entry.is_dir() {
            paths::copy_tree(&entry, &to.join(name), &["__pycache__"])?;
        } else if entry.exists() {
            paths::copy(&entry, &to.join(name))?;
        }
    }
    let manifest = to.join("Cargo.toml");
    paths::write(&manifest, &without_benches(&paths::read(&manifest)?))
}

/// Removes the tables `[[bench]]` from a manifest.
fn without_benches(manifest: &str) -> String {
    let tables = manifest.split("\n[");
    let kept: Vec<&str> = tables.filter(|table| !table.starts_with("[bench]]")).collect();
    kept.join("\n[")
}

/// Writes the additions into a staged `pyproject.toml`.
fn add(file: &Path) -> Result {
    let mut text = paths::read(file)?;
    for (line, instead) in ADDITIONS {
        if !text.contains(line) {
            return Err(Failure::new(format!("{} has no {}", paths::shown(file), line.trim())));
        }
        text = text.replacen(line, instead, 1);
    }
    paths::write(file, &text)
}

/// Replaces the list of members in the manifest of a workspace.
fn with_members(manifest: &str, members: &str) -> Option<String> {
    let (before, rest) = manifest.split_once("\nmembers = [")?;
    let (_, after) = rest.split_once("]\n")?;
    Some(format!("{before}\nmembers = [{members}]\n{after}"))
}

#[cfg(test)]
mod tests {
    use super::{with_members, without_benches};

    #[test]
    fn a_manifest_loses_its_benches_alone() {
        let manifest = "[package]\nx = 1\n\n[[bench]]\nname = \"b\"\n\n[lints]\ny = 2\n";
        let wanted = "[package]\nx = 1\n\n[lints]\ny = 2\n";
        assert_eq!(without_benches(manifest), wanted);
    }

    #[test]
    fn only_the_members_change() {
        let manifest = "[workspace]\nmembers = [\n    \"a\",\n    \"b\",\n]\nx = [\"c\"]\n";
        let wanted = "[workspace]\nmembers = [\"b\"]\nx = [\"c\"]\n";
        assert_eq!(with_members(manifest, "\"b\"").unwrap(), wanted);
        assert!(with_members("[workspace]\n", "").is_none());
    }
}
