//! The crates that one artifact contains: their license texts, and a bill of materials.
//!
//! cargo resolves the features of this one package, as for the build of the artifact. The list
//! therefore has neither crates of other languages nor of tests, nor those that only run while the
//! artifact is built.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::command::{Failure, Result, Step};
use crate::paths;
use crate::profile;

/// The target of this machine's packages.
pub(crate) const HOST: &str = "x86_64-unknown-linux-gnu";

/// The start of the names of license files.
const LICENSE_NAMES: [&str; 6] =
    ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];

/// Returns the license texts of this project.
fn license_files() -> [PathBuf; 2] {
    ["LICENSE-APACHE", "LICENSE-MIT"].map(|name| paths::root().join(name))
}

/// The crates of one artifact. The first is the artifact's own.
pub(crate) struct Crates {
    members: Vec<Crate>,
    /// The indexes of the crates that each crate uses.
    uses: Vec<Vec<usize>>,
    compiler: String,
}

struct Crate {
    name: String,
    version: String,
    license: String,
    authors: String,
    repository: String,
    /// The digest of the crate in the registry; none for a crate of the workspace.
    checksum: Option<String>,
    folder: PathBuf,
}

impl Crates {
    /// Reads the crates that a package links for a target, in the order of cargo's tree.
    pub(crate) fn of(package: &str, target: &str) -> Result<Crates> {
        Crates::with_features(package, target, &[])
    }

    /// Reads the crates as [`of`](Crates::of), for a build with these arguments of cargo.
    pub(crate) fn with_features(package: &str, target: &str, features: &[&str]) -> Result<Crates> {
        let tree = Step::cargo("cargo tree", &["tree", "--locked", "--package", package])
            .args(features)
            .args(["--edges", "normal,no-proc-macro", "--target", target])
            .args(["--prefix", "depth", "--charset", "ascii"])
            .ask()?;
        let metadata =
            Step::cargo("cargo metadata", &["metadata", "--locked", "--format-version", "1"]);
        let metadata: Value = serde_json::from_str(&metadata.ask()?.stdout)
            .map_err(|error| Failure::new(format!("cargo metadata: {error}")))?;
        let lock = checksums(&paths::read(&paths::root().join("Cargo.lock"))?);
        let (names, uses) = graph(&tree.stdout)?;
        let described = |(name, version): (String, String)| {
            let found = metadata["packages"].as_array().and_then(|packages| {
                packages.iter().find(|p| p["name"] == *name && p["version"] == *version)
            });
            let about = found
                .ok_or_else(|| Failure::new(format!("cargo metadata has no {name} {version}")))?;
            let text = |key: &str| about[key].as_str().unwrap_or_default().to_owned();
            let authors = about["authors"].as_array().into_iter().flatten();
            let authors: Vec<&str> = authors.filter_map(Value::as_str).collect();
            let folder = Path::new(&text("manifest_path")).parent().map(Path::to_path_buf);
            Ok(Crate {
                license: text("license").replace('/', " OR "),
                authors: authors.join(", "),
                repository: text("repository"),
                checksum: lock.get(&(name.clone(), version.clone())).cloned(),
                folder: folder.unwrap_or_default(),
                name,
                version,
            })
        };
        let crates = names.into_iter().map(described).collect::<Result<Vec<Crate>>>()?;
        let compiler = Step::new("rustc", "rustc").arg("--version").ask()?.stdout;
        let compiler = compiler.split(' ').nth(1).unwrap_or_default().to_owned();
        Ok(Crates { members: crates, uses, compiler })
    }

    /// Returns the licenses of all crates that are not ours, each text once. Texts that differ only in
    /// white space are one.
    pub(crate) fn notices(&self) -> Result<String> {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut users: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut texts = Vec::new();
        let mut list = Vec::new();
        let mut add = |text: String, user: String| {
            let users = users.entry(words(&text)).or_default();
            if users.is_empty() {
                texts.push(text);
            }
            if users.last() != Some(&user) {
                users.push(user);
            }
        };
        for each in self.members.iter().filter(|each| each.checksum.is_some()) {
            let title = format!("{} {}", each.name, each.version);
            list.push(format!("{title}: {}", each.license));
            for text in each.license_texts()? {
                for part in parts_of(text) {
                    add(part, title.clone());
                }
            }
        }
        let apache = paths::read(&paths::root().join("LICENSE-APACHE"))?;
        let library = format!("the Rust standard library {}", self.compiler);
        list.push(format!("{library}: MIT OR Apache-2.0"));
        add(apache.trim().to_owned(), library);
        let rule = "=".repeat(80);
        let mut parts = vec![format!(
            "The following libraries are linked into this one.\n\n{}\n",
            list.join("\n")
        )];
        for text in texts {
            let users = users[&words(&text)].join("\n");
            parts.push(format!("\n{rule}\n{users}\n{rule}\n\n{text}\n"));
        }
        Ok(parts.concat())
    }

    /// Returns the bill of materials in CycloneDX 1.5, as JSON.
    ///
    /// * `purl`: the package URL of the artifact, such as `pkg:npm/webhook-mtls@0.1.0`.
    pub(crate) fn sbom(&self, purl: &str) -> Result<String> {
        let time = Step::new("date", "date")
            .args(["-u", "+%Y-%m-%dT%H:%M:%SZ", "-d"])
            .arg(format!("@{}", profile::source_date()))
            .ask()?;
        let library = format!("pkg:generic/rust-std@{}", self.compiler);
        let mut components: Vec<Value> = self.members.iter().map(Crate::component).collect();
        components.push(json!({
            "type": "library", "bom-ref": library, "name": "rust-std",
            "version": self.compiler, "purl": library,
            "licenses": [{"expression": "MIT OR Apache-2.0"}],
        }));
        let mut dependencies = vec![json!({
            "ref": purl, "dependsOn": [self.members[0].purl(), library],
        })];
        for (each, uses) in self.members.iter().zip(&self.uses) {
            let mut uses: Vec<String> = uses.iter().map(|at| self.members[*at].purl()).collect();
            uses.sort();
            dependencies.push(json!({"ref": each.purl(), "dependsOn": uses}));
        }
        let (name, version) = purl
            .rsplit('/')
            .next()
            .and_then(|last| last.split_once('@'))
            .ok_or_else(|| Failure::new(format!("{purl} is no package URL")))?;
        let bom = json!({
            "bomFormat": "CycloneDX",
            "specVersion": "1.5",
            "version": 1,
            "metadata": {
                "timestamp": time.stdout.trim(),
                "component": {
                    "type": "library", "bom-ref": purl, "name": name, "version": version,
                    "purl": purl, "licenses": [{"expression": self.members[0].license}],
                },
            },
            "components": components,
            "dependencies": dependencies,
        });
        // Without white space, which is a third of it: it is a part of every package.
        Ok(format!("{bom}\n"))
    }

    /// Writes both license texts of the project, the notices and the bill of materials.
    pub(crate) fn write_all(&self, purl: &str, to: &Path) -> Result {
        for license in license_files() {
            paths::copy(&license, &to.join(license.file_name().unwrap_or_default()))?;
        }
        paths::write(&to.join("THIRD-PARTY-NOTICES.txt"), &self.notices()?)?;
        paths::write(&to.join("sbom.cdx.json"), &self.sbom(purl)?)
    }
}

impl Crate {
    fn purl(&self) -> String {
        format!("pkg:cargo/{}@{}", self.name, self.version)
    }

    fn component(&self) -> Value {
        let mut component = json!({
            "type": "library", "bom-ref": self.purl(), "name": self.name,
            "version": self.version, "purl": self.purl(),
            "licenses": [{"expression": self.license}],
        });
        if let Some(checksum) = &self.checksum {
            component["hashes"] = json!([{"alg": "SHA-256", "content": checksum}]);
        }
        if !self.repository.is_empty() && self.checksum.is_some() {
            component["externalReferences"] = json!([{"type": "vcs", "url": self.repository}]);
        }
        component
    }

    /// Returns the texts of all license files, also of vendored code below it. A crate without one
    /// must at least name a license whose text we have.
    fn license_texts(&self) -> Result<Vec<String>> {
        let mut files = paths::files_below(&self.folder, &|_| false)?;
        files.retain(|file| is_license(file));
        let mut texts = Vec::new();
        for file in files {
            let bytes =
                std::fs::read(&file).map_err(|error| Failure::at("cannot read", &file, &error))?;
            let text = String::from_utf8_lossy(&bytes).trim().replace("\r\n", "\n");
            if !text.is_empty() && !texts.contains(&text) {
                texts.push(text);
            }
        }
        if texts.is_empty() {
            texts.push(self.standard_text()?);
        }
        Ok(texts)
    }

    fn standard_text(&self) -> Result<String> {
        if self.license.contains("Apache-2.0") {
            let text = paths::read(&paths::root().join("LICENSE-APACHE"))?;
            return Ok(text.trim().to_owned());
        }
        if self.license != "MIT" {
            let what = format!("{} {} has no license file", self.name, self.version);
            return Err(Failure::new(format!("{what}; its license is {}", self.license)));
        }
        let ours = paths::read(&paths::root().join("LICENSE-MIT"))?;
        let terms = ours.find("Permission is hereby granted").map(|at| ours[at..].trim());
        let terms = terms.ok_or_else(|| Failure::new("LICENSE-MIT has no permission"))?;
        let holder = if self.authors.is_empty() { &self.repository } else { &self.authors };
        Ok(format!("{} {}, by {holder}\n\n{terms}", self.name, self.version))
    }
}

/// Returns whether a file has the text of a license, by its name.
fn is_license(file: &Path) -> bool {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_uppercase();
    let is_source = ["rs", "c", "h", "html"].iter().any(|kind| paths::has_extension(file, kind));
    !is_source && LICENSE_NAMES.iter().any(|start| name.starts_with(start))
}

/// The crates of a tree by name and version, and the indexes of those that each uses.
type Graph = (Vec<(String, String)>, Vec<Vec<usize>>);

/// Reads the lines `<depth><name> v<version> …` of `cargo tree --prefix depth`.
fn graph(tree: &str) -> Result<Graph> {
    let mut names: Vec<(String, String)> = Vec::new();
    let mut uses: Vec<Vec<usize>> = Vec::new();
    let mut path: Vec<usize> = Vec::new();
    for line in tree.lines().filter(|line| !line.trim().is_empty()) {
        let digits = line.len() - line.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let mut words = line[digits..].split(' ');
        let read = (line[..digits].parse::<usize>(), words.next(), words.next());
        let (Ok(depth), Some(name), Some(version)) = read else {
            return Err(Failure::new(format!("cargo tree printed: {line}")));
        };
        let key = (name.to_owned(), version.trim_start_matches('v').to_owned());
        let at = names.iter().position(|known| *known == key).unwrap_or_else(|| {
            names.push(key);
            uses.push(Vec::new());
            names.len() - 1
        });
        path.truncate(depth);
        if let Some(&parent) = path.last()
            && !uses[parent].contains(&at)
        {
            uses[parent].push(at);
        }
        path.push(at);
    }
    if names.is_empty() {
        Err(Failure::new("cargo tree printed nothing"))
    } else {
        Ok((names, uses))
    }
}

/// Returns the digests in a lock file, by name and version.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let mut found = BTreeMap::new();
    for package in lock.split("[[package]]") {
        let field = |key: &str| {
            let prefix = format!("{key} = \"");
            let line = package.lines().find_map(|line| line.strip_prefix(&prefix))?;
            Some(line.trim_end_matches('"').to_owned())
        };
        if let (Some(name), Some(version), Some(checksum)) =
            (field("name"), field("version"), field("checksum"))
        {
            found.insert((name, version), checksum);
        }
    }
    found
}

/// Splits a license text: many crates have the terms of the Apache license with an appendix of their own, and
/// the terms then stand in the notices once.
fn parts_of(text: String) -> Vec<String> {
    const END: &str = "END OF TERMS AND CONDITIONS";
    match text.split_once(END) {
        Some((terms, appendix)) if !appendix.trim().is_empty() => {
            vec![format!("{terms}{END}"), appendix.trim().to_owned()]
        }
        _ => vec![text],
    }
}

#[cfg(test)]
mod tests {
    use super::{Crates, HOST, checksums, graph};

    #[test]
    fn a_tree_becomes_a_graph_with_each_crate_once() {
        let tree = "0ours v0.1.0 (/somewhere)\n1a v1.0.0\n2b v2.0.0\n1c v3.0.0\n2b v2.0.0 (*)\n";
        let (names, uses) = graph(tree).unwrap();
        assert_eq!(names.len(), 4);
        assert_eq!(uses, [vec![1, 3], vec![2], vec![], vec![2]]);
        assert!(graph("").is_err());
        assert!(graph("error").is_err());
    }

    #[test]
    fn only_crates_of_a_registry_have_a_checksum() {
        let lock = "[[package]]\nname = \"a\"\nversion = \"1\"\nchecksum = \"cafe\"\n\
                    [[package]]\nname = \"ours\"\nversion = \"2\"\n";
        let found = checksums(lock);
        assert_eq!(found[&("a".to_owned(), "1".to_owned())], "cafe");
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn the_c_library_has_its_own_crates_alone_and_a_license_for_each() {
        let crates = Crates::of("webhook-mtls-ffi", HOST).unwrap();
        let names: Vec<&str> = crates.members.iter().map(|each| each.name.as_str()).collect();
        assert!(names.contains(&"aws-lc-sys") && names.contains(&"webhook-mtls"), "{names:?}");
        for foreign in ["pyo3", "napi", "rcgen", "cbindgen", "proptest", "napi-derive"] {
            assert!(!names.contains(&foreign), "{foreign}");
        }
        let notices = crates.notices().unwrap();
        assert!(notices.contains("aws-lc-sys") && notices.contains("OpenSSL"));
        let bom = crates.sbom("pkg:generic/webhook-mtls@0.1.0").unwrap();
        let bom: serde_json::Value = serde_json::from_str(&bom).unwrap();
        assert_eq!(bom["components"].as_array().unwrap().len(), crates.members.len() + 1);
    }
}
