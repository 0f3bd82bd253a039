//! `cargo xtask install c`: the C library in the directories of a system, with pkg-config and CMake
//! files that find the library relative to themselves.

use std::path::{Component, Path, PathBuf};

use crate::command::{Failure, Result};
use crate::languages::c_library::{CLibrary, Flavour, SYSTEM, abi};
use crate::packages::{Crates, HOST, no_private_paths, strip, version, write_pages};
use crate::paths;
use crate::profile::Profile;
use crate::site;

/// Where the parts of the library belong.
pub(crate) struct Places {
    /// The directory of a staged installation; empty if the files go to their final place.
    pub(crate) destdir: PathBuf,
    /// An absolute path.
    pub(crate) prefix: PathBuf,
    /// An absolute path. The pkg-config and CMake files can be moved if it is below the prefix.
    pub(crate) libdir: PathBuf,
}

/// The pkg-config files with the library that each needs.
const PKG_CONFIG: [(&str, Flavour); 3] = [
    ("webhook_mtls.pc", Flavour::Production),
    ("webhook_mtls_static.pc", Flavour::Production),
    ("webhook_mtls_testing.pc", Flavour::Testing),
];

/// Builds the library and installs it: `--prefix` (by default `/usr/local`), `--libdir` (by default
/// `lib` below it) and `--destdir`, each followed by a directory. `--small` prefers less code to fewer
/// instructions.
pub(crate) fn run(words: &[&str]) -> Result {
    let is_small = words.contains(&"--small");
    let words: Vec<&str> = words.iter().filter(|word| **word != "--small").copied().collect();
    let places = Places::read(&words)?;
    let profile = if is_small { Profile::Small } else { Profile::Shipped };
    let library = CLibrary::build(profile)?;
    install(&library, profile, &places, &[Flavour::Production])?;
    println!("\ninstalled in {}", places.at(&places.prefix).display());
    Ok(())
}

impl Places {
    fn read(words: &[&str]) -> Result<Places> {
        let mut given = [None, None, None];
        let names = ["--prefix", "--libdir", "--destdir"];
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (*word, rest.next().copied()),
            };
            let at = names.iter().position(|known| *known == name);
            let (Some(at), Some(value)) = (at, value) else {
                let names = names.join(", ");
                return Err(Failure::new(format!("install c takes {names}, not {word}")));
            };
            given[at] = Some(PathBuf::from(value));
        }
        let [prefix, libdir, destdir] = given;
        let prefix = prefix.unwrap_or_else(|| PathBuf::from("/usr/local"));
        if !prefix.is_absolute() {
            return Err(Failure::new(format!("--prefix {} is not absolute", prefix.display())));
        }
        let libdir = prefix.join(libdir.unwrap_or_else(|| PathBuf::from("lib")));
        let destdir = destdir.unwrap_or_default();
        Ok(Places { destdir, prefix, libdir })
    }

    /// Returns the place of a file during a staged installation.
    fn at(&self, path: &Path) -> PathBuf {
        if self.destdir.as_os_str().is_empty() {
            return path.to_path_buf();
        }
        self.destdir.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Returns the way from a directory below `libdir` up to the prefix, such as `../..`; none if
    /// `libdir` is elsewhere.
    fn to_prefix(&self, below_libdir: &str) -> Option<String> {
        let inside = self.libdir.strip_prefix(&self.prefix).ok()?;
        if inside.components().any(|part| part == Component::ParentDir) {
            return None;
        }
        let depth = inside.components().count() + below_libdir.split('/').count();
        Some(vec![".."; depth].join("/"))
    }
}

/// Installs flavors that the library has, the headers, and the license texts.
pub(crate) fn install(
    library: &CLibrary,
    profile: Profile,
    places: &Places,
    flavours: &[Flavour],
) -> Result {
    let version = version()?;
    let lib = places.at(&places.libdir);
    for &flavour in flavours {
        let header = format!("{}.h", flavour.name());
        paths::copy(
            &library.include().join(&header),
            &places.at(&places.prefix.join("include")).join(&header),
        )?;
        let archive = format!("lib{}.a", flavour.name());
        paths::copy(&library.archive(flavour), &lib.join(&archive))?;
        let file = format!("lib{}.so.{version}", flavour.name());
        paths::copy(&library.shared_with(flavour, &version), &lib.join(&file))?;
        strip(&lib.join(&file))?;
        if profile.is_for_users() {
            no_private_paths(&lib.join(&archive))?;
            no_private_paths(&lib.join(&file))?;
        }
        let soname = format!("lib{}.so.{}", flavour.name(), abi(&version));
        paths::link(&file, &lib.join(&soname))?;
        paths::link(&soname, &lib.join(format!("lib{}.so", flavour.name())))?;
    }
    for (name, _) in PKG_CONFIG.iter().filter(|(_, flavour)| flavours.contains(flavour)) {
        let text = filled(&format!("{name}.in"), places, &version)?;
        paths::write(&lib.join("pkgconfig").join(name), &text)?;
    }
    for name in ["WebhookMtlsConfig.cmake", "WebhookMtlsConfigVersion.cmake"] {
        let text = filled(&format!("{name}.in"), places, &version)?;
        paths::write(&lib.join("cmake").join("WebhookMtls").join(name), &text)?;
    }
    let documents = places.at(&places.prefix.join("share").join("doc").join("webhook-mtls"));
    let purl = format!("pkg:generic/webhook-mtls@{version}");
    Crates::of(Flavour::Production.package(), HOST)?.write_all(&purl, &documents)?;
    write_pages(&PAGES, &documents)?;
    let changes = "CHANGELOG.md";
    let text = site::packed(changes, &paths::read(&paths::root().join(changes))?, |_| false);
    paths::write(&documents.join(changes), &text)?;
    for name in ["valgrind.supp", "tsan.supp"] {
        paths::copy(&paths::root().join("ffi").join(name), &documents.join(name))?;
    }
    Ok(())
}

/// The pages of the package beside those about errors.
const PAGES: [&str; 2] = ["docs/c.md", "docs/abi.md"];

/// Fills a template of `ffi/packaging`.
fn filled(name: &str, places: &Places, version: &str) -> Result<String> {
    let mut text = paths::read(&paths::root().join("ffi").join("packaging").join(name))?;
    let shown = |path: &Path| path.display().to_string();
    let prefix = places.to_prefix("pkgconfig");
    let cmake_prefix = places.to_prefix("cmake/WebhookMtls");
    let libdir = match places.libdir.strip_prefix(&places.prefix) {
        Ok(inside) => format!("${{prefix}}/{}", inside.display()),
        Err(_) => shown(&places.libdir),
    };
    let parts: Vec<&str> = version.split('.').collect();
    let values = [
        ("PREFIX", prefix.map_or(shown(&places.prefix), |up| format!("${{pcfiledir}}/{up}"))),
        (
            "CMAKE_PREFIX",
            cmake_prefix
                .map_or(shown(&places.prefix), |up| format!("${{CMAKE_CURRENT_LIST_DIR}}/{up}")),
        ),
        ("LIBDIR", libdir),
        ("VERSION", version.to_owned()),
        ("MAJOR", parts.first().unwrap_or(&"0").to_string()),
        ("MINOR", parts.get(1).unwrap_or(&"0").to_string()),
        ("ABI", abi(version)),
        ("SYSTEM", SYSTEM.join(" ")),
        ("CMAKE_SYSTEM", SYSTEM.map(|library| library.trim_start_matches("-l")).join(";")),
    ];
    for (key, value) in values {
        text = text.replace(&format!("@{key}@"), &value);
    }
    match text.split('@').nth(1) {
        Some(left) => Err(Failure::new(format!("{name}: nothing fills @{left}@"))),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::{Places, filled};
    use std::path::Path;

    #[test]
    fn options_are_read_in_both_forms_and_unknown_ones_refused() {
        let places = Places::read(&["--prefix", "/usr", "--libdir=lib/x86", "--destdir", "out"]);
        let places = places.unwrap();
        assert_eq!(places.libdir, Path::new("/usr/lib/x86"));
        assert_eq!(places.at(&places.libdir), Path::new("out/usr/lib/x86"));
        assert!(Places::read(&["--prefix", "relative"]).is_err());
        assert!(Places::read(&["--perfix", "/usr"]).is_err());
        assert!(Places::read(&["--prefix"]).is_err());
    }

    #[test]
    fn the_files_find_the_prefix_from_where_they_are() {
        let places = Places::read(&["--prefix=/usr", "--libdir=lib/x86"]).unwrap();
        let pc = filled("webhook_mtls.pc.in", &places, "0.1.0").unwrap();
        assert!(pc.contains("prefix=${pcfiledir}/../../..\nlibdir=${prefix}/lib/x86\n"), "{pc}");
        let cmake = filled("WebhookMtlsConfig.cmake.in", &places, "0.1.0").unwrap();
        assert!(cmake.contains("\"${CMAKE_CURRENT_LIST_DIR}/../../../..\""), "{cmake}");
        let apart = Places::read(&["--prefix=/usr", "--libdir=/lib64"]).unwrap();
        let pc = filled("webhook_mtls.pc.in", &apart, "0.1.0").unwrap();
        assert!(pc.contains("prefix=/usr\nlibdir=/lib64\n"), "{pc}");
    }
}
