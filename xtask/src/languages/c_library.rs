//! Builds the C libraries and headers in the layout of an installation:
//! `c/<profile>/{include,lib}`.
//!
//! A Rust static library contains the standard library and aws-lc. Two of them in one program
//! define hundreds of symbols twice. The build therefore links ours into one object whose only
//! global symbols are the API, and that object is the archive.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::command::{Failure, Result, Step};
use crate::packages;
use crate::packages::musl::{self, Musl};
use crate::paths;
use crate::profile::Profile;
use crate::suites::dev;

/// The prefix of every exported function.
const PREFIX: &str = "wmtls_";

/// The compiler's unwinding tables find their personality routine by this symbol. It must stay
/// global, and all objects of a program share the one definition.
const PERSONALITY: &str = "DW.ref.rust_eh_personality";

/// The system libraries that a static Rust library needs. The C compiler adds libc and the unwinder
/// by itself, the static one if the whole program is static.
pub(crate) const SYSTEM: [&str; 5] = ["-lutil", "-lrt", "-lpthread", "-lm", "-ldl"];

/// The version of the binary interface in the name of the shared library: the minor version while
/// the major version is 0. `ffi/build.rs` computes the same, and the packages test compares them.
pub(crate) fn abi(version: &str) -> String {
    let parts: Vec<&str> = version.split('.').collect();
    match parts[..] {
        ["0", minor, ..] => format!("0.{minor}"),
        [major, ..] => major.to_owned(),
        [] => String::new(),
    }
}

/// The production library, or its superset with the testing kit, which replaces it in tests.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Flavour {
    Production,
    Testing,
}

impl Flavour {
    /// The name for the linker.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Flavour::Production => "webhook_mtls",
            Flavour::Testing => "webhook_mtls_testing",
        }
    }

    pub(crate) fn package(self) -> &'static str {
        match self {
            Flavour::Production => "webhook-mtls-ffi",
            Flavour::Testing => "webhook-mtls-ffi-testing",
        }
    }

    /// The name that cargo gives the files. Core's own library already has the name of the C
    /// library.
    pub(crate) fn built_as(self) -> &'static str {
        match self {
            Flavour::Production => "libwebhook_mtls_c",
            Flavour::Testing => "libwebhook_mtls_c_testing",
        }
    }
}

/// The arguments of a compiler that links a program with the static library. The README shows them,
/// and the tests use them.
///
/// * `include`, `lib`: the directories of the headers and of the library.
pub(crate) fn static_arguments(
    include: &str,
    source: &str,
    executable: &str,
    lib: &str,
    flavour: Flavour,
) -> Vec<String> {
    // The whole file name: with the short name, a linker prefers the shared library.
    let archive = format!("-l:lib{}.a", flavour.name());
    let ours = ["-I", include, source, "-o", executable, "-L", lib, &archive];
    ours.into_iter().chain(SYSTEM).map(str::to_owned).collect()
}

/// The installed headers and libraries.
pub(crate) struct CLibrary {
    home: PathBuf,
}

impl CLibrary {
    /// Builds both flavors for tests, and only the production library for users.
    pub(crate) fn build(profile: Profile) -> Result<CLibrary> {
        let library = CLibrary { home: paths::target().join("c").join(profile.name()) };
        library.install_headers()?;
        library.add(profile, Flavour::Production)?;
        if !profile.is_for_users() {
            library.add(profile, Flavour::Testing)?;
        }
        Ok(library)
    }

    /// Builds one flavor. Each has its own cargo call: one call would unify the features and put the
    /// testing kit into the production library.
    pub(crate) fn add(&self, profile: Profile, flavour: Flavour) -> Result {
        // The crate types are explicit. As a Rust library, which the testing flavor also needs, it
        // would not be linked as one piece.
        let mut arguments = vec!["rustc", "--locked", "--lib", "--crate-type", "staticlib,cdylib"];
        arguments.extend(["--profile", profile.name(), "--package", flavour.package()]);
        let title = format!("C library {} ({})", flavour.name(), profile.name());
        profile.apply(Step::cargo(title, &arguments)).run()?;
        let built = paths::built(profile, flavour.built_as());
        self.install_shared(&built.with_extension("so"), flavour)?;
        only_our_symbols(&["-D"], &self.shared(flavour))?;
        self.isolate(&built.with_extension("a"), flavour)
    }

    /// Copies a shared library under its full name, with the links by which the loader and the
    /// linker find it.
    fn install_shared(&self, built: &Path, flavour: Flavour) -> Result {
        let version = packages::version()?;
        let file = format!("lib{}.so.{version}", flavour.name());
        paths::copy(built, &self.lib().join(&file))?;
        for link in [self.shared(flavour), self.shared_with(flavour, &abi(&version))] {
            paths::link(&file, &link)?;
        }
        Ok(())
    }

    /// Builds the production archive for musl, for users, and returns its path.
    pub(crate) fn build_for_musl(musl: &Musl) -> Result<PathBuf> {
        let library = CLibrary { home: paths::target().join("c").join("musl") };
        let profile = Profile::Shipped;
        let step = musl
            .build("C library for musl (shipped)", "rustc")
            .args(["--lib", "--crate-type", "staticlib", "--profile", profile.name()])
            .args(["--package", Flavour::Production.package()]);
        profile.apply(step).run()?;
        let built = Path::new(musl::TARGET).join(profile.directory());
        let built = paths::target().join(built).join(Flavour::Production.built_as());
        paths::make_directory(&library.lib())?;
        library.isolate(&built.with_extension("a"), Flavour::Production)?;
        Ok(library.archive(Flavour::Production))
    }

    /// Rebuilds only the shared library with the testing kit, which stands in for the production
    /// library too.
    pub(crate) fn editable() -> Result<CLibrary> {
        let library = CLibrary { home: paths::target().join("c").join("editable") };
        library.install_headers()?;
        let built = dev::library(Flavour::Testing.package(), Flavour::Testing.built_as())?;
        for flavour in [Flavour::Production, Flavour::Testing] {
            library.install_shared(&built, flavour)?;
        }
        Ok(library)
    }

    /// Empties the directory and copies the headers into it.
    fn install_headers(&self) -> Result {
        paths::make_empty(&self.home)?;
        for header in paths::files_with_extension(&paths::root().join("include"), "h")? {
            let name = header.file_name().expect("a listed file has a name");
            paths::copy(&header, &self.include().join(name))?;
        }
        Ok(())
    }

    /// The directory with `include` and `lib`.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    pub(crate) fn include(&self) -> PathBuf {
        self.home.join("include")
    }

    /// The directory of the libraries.
    pub(crate) fn lib(&self) -> PathBuf {
        self.home.join("lib")
    }

    pub(crate) fn archive(&self, flavour: Flavour) -> PathBuf {
        self.lib().join(format!("lib{}.a", flavour.name()))
    }

    pub(crate) fn shared(&self, flavour: Flavour) -> PathBuf {
        self.lib().join(format!("lib{}.so", flavour.name()))
    }

    /// The path of the shared library with a version in its name.
    pub(crate) fn shared_with(&self, flavour: Flavour, version: &str) -> PathBuf {
        self.lib().join(format!("lib{}.so.{version}", flavour.name()))
    }

    /// Links a whole archive into one object, and hides all its symbols except the API.
    fn isolate(&self, archive: &Path, flavour: Flavour) -> Result {
        let to = &self.archive(flavour);
        let work = self.home.join("work");
        paths::make_directory(&work)?;
        let name = to.file_stem().and_then(|stem| stem.to_str()).unwrap_or("library");
        let object = work.join(format!("{name}.o"));
        let title = format!("{name}.a with only our symbols");
        // Sections of the same name stay apart, so that `--gc-sections` can drop each: those of the
        // assembly code of aws-lc are all named `.text`.
        Step::new(format!("{title}: link"), "ld")
            .args(["-r", "--unique=.text", "--unique=.rodata", "--unique=.data"])
            .arg("--whole-archive")
            .arg(archive)
            .arg("-o")
            .arg(&object)
            .run()?;
        // Another linker cannot use the compiler's own bitcode, and with an LLVM linker plugin it
        // makes nm abort. The line tables are four fifths of the remaining size.
        Step::new(format!("{title}: strip"), "objcopy")
            .args(["--remove-section=.llvmbc", "--remove-section=.llvmcmd", "--strip-debug"])
            .arg(&object)
            .run()?;
        let api: Vec<String> = globals(&[], &object)?
            .into_iter()
            .filter(|symbol| symbol.starts_with(PREFIX))
            .collect();
        if api.is_empty() {
            return Err(Failure::new(format!("{} exports no {PREFIX}…", paths::shown(archive))));
        }
        let list = work.join(format!("{name}.symbols"));
        paths::write(&list, &format!("{}\n{PERSONALITY}\n", api.join("\n")))?;
        let mut keep = std::ffi::OsString::from("--keep-global-symbols=");
        keep.push(&list);
        Step::new(format!("{title}: hide"), "objcopy").arg(keep).arg(&object).run()?;
        if to.exists() {
            std::fs::remove_file(to).map_err(|error| Failure::at("cannot remove", to, &error))?;
        }
        Step::new("ar", "ar").arg("rcs").arg(to).arg(&object).ask()?;
        only_our_symbols(&[], to)
    }
}

/// Fails if a library defines a global symbol outside the API.
fn only_our_symbols(options: &[&str], library: &Path) -> Result {
    let foreign: Vec<String> = globals(options, library)?
        .into_iter()
        .filter(|symbol| !symbol.starts_with(PREFIX) && symbol != PERSONALITY)
        .collect();
    if foreign.is_empty() {
        return Ok(());
    }
    Err(Failure::with_output(
        format!("{} defines {} symbols that are not ours", paths::shown(library), foreign.len()),
        foreign.join("\n"),
    ))
}

/// Returns the global symbols that an object defines.
pub(crate) fn globals(options: &[&str], object: &Path) -> Result<BTreeSet<String>> {
    let step = Step::new("nm", "nm").args(["--extern-only", "--defined-only", "--format=posix"]);
    let output = step.args(options).arg(object).ask()?;
    Ok(symbols(&output.stdout))
}

/// Returns the names in a listing of `nm --format=posix`. Lines that name an archive member have
/// none.
fn symbols(listing: &str) -> BTreeSet<String> {
    listing
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let name = words.next()?;
            words.next().is_some_and(|kind| kind.len() == 1).then(|| name.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{abi, symbols};

    #[test]
    fn the_interface_has_the_minor_version_before_1_0_and_then_the_major_version() {
        assert_eq!([abi("0.1.0"), abi("0.12.3"), abi("2.3.4")], ["0.1", "0.12", "2"]);
    }

    #[test]
    fn archive_members_are_not_symbols() {
        let listing = "libwebhook_mtls.a[libwebhook_mtls.o]:\n\
                       DW.ref.rust_eh_personality V 0 8\n\
                       wmtls_deliver T 1f80 1a\n";
        let names: Vec<String> = symbols(listing).into_iter().collect();
        assert_eq!(names, ["DW.ref.rust_eh_personality", "wmtls_deliver"]);
    }
}
