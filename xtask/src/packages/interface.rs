//! The binary interface of the C library, compared with that of the last release (docs/abi.md).
//!
//! `ffi/abi/` has one baseline for each interface version: the functions and constants, and the
//! types as `abidw` describes them. The types come from the header: a library of empty functions with
//! the header's prototypes has all of them in its debug information, which the real library, made of
//! Rust, has not. That the real library exports exactly the header's functions is a check of its own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::command::{Failure, Result, Step};
use crate::debian;
use crate::languages::c_library::{abi, globals};
use crate::packages::version;
use crate::paths;
use crate::toolchain::Toolchain;

/// Compares header and library with the baseline; returns the number of checks.
///
/// * `library`: the shared library.
pub(crate) fn check(compiler: &Path, library: &Path) -> Result<u32> {
    debian::ensure(debian::ABI)?;
    let interface = Interface::of_header()?;
    let exported = globals(&["-D"], library)?;
    if exported != interface.functions {
        let odd: Vec<&String> = exported.symmetric_difference(&interface.functions).collect();
        return Err(Failure::new(format!("only one of header and library has {odd:?}")));
    }
    interface.keeps_baseline()?;
    difference(&interface.described(compiler)?)?;
    Ok(3)
}

/// `cargo xtask abi`: writes the baseline. Refuses a change that breaks programs, unless the
/// interface version is new.
pub(crate) fn write() -> Result {
    debian::ensure(debian::ABI)?;
    let interface = Interface::of_header()?;
    let described = interface.described(&Toolchain::find()?.cc)?;
    if baseline("abi")?.exists() {
        interface.keeps_baseline()?;
        difference(&described)?;
    }
    paths::copy(&described, &baseline("abi")?)?;
    let lines: Vec<String> = interface.lines().into_iter().collect();
    paths::write(&baseline("txt")?, &(lines.join("\n") + "\n"))?;
    println!("  {} functions and constants", lines.len());
    Ok(())
}

/// Fails if the baseline lacks a function or a constant: a release must have a full one.
pub(crate) fn is_recorded() -> Result<String> {
    let known = paths::read(&baseline("txt")?)?;
    let known: BTreeSet<String> = known.lines().map(str::to_owned).collect();
    let lines = Interface::of_header()?.lines();
    let new: Vec<&String> = lines.difference(&known).collect();
    if new.is_empty() {
        return Ok(format!("ffi/abi has all {} functions and constants", known.len()));
    }
    Err(Failure::new(format!("ffi/abi lacks {new:?}: run cargo xtask abi before a release")))
}

/// Returns Debian's symbols file: every function, with the version of the package that had it first.
pub(crate) fn debian_symbols(version: &str) -> Result<String> {
    let abi = abi(version);
    let mut text = format!("libwebhook_mtls.so.{abi} libwebhook-mtls{abi} #MINVER#\n");
    for function in Interface::of_header()?.functions {
        text += " ";
        text += &function;
        text += "@Base ";
        text += version;
        text += "\n";
    }
    Ok(text)
}

/// Fails if a program that was built with the baseline could break. New functions are allowed.
fn difference(described: &Path) -> Result {
    Step::new("abidiff with the baseline", "abidiff")
        .arg("--no-added-syms")
        .arg(baseline("abi")?)
        .arg(described)
        .run()
        .map(drop)
}

fn baseline(extension: &str) -> Result<PathBuf> {
    let name = format!("webhook_mtls-{}.{extension}", abi(&version()?));
    Ok(paths::root().join("ffi").join("abi").join(name))
}

/// What the header declares.
struct Interface {
    functions: BTreeSet<String>,
    /// The lines `NAME value` of the constants, without those of the version.
    constants: BTreeSet<String>,
    prototypes: Vec<String>,
}

impl Interface {
    fn of_header() -> Result<Interface> {
        let header = paths::root().join("include").join("webhook_mtls.h");
        Interface::read(&without_comments(&paths::read(&header)?))
    }

    fn read(header: &str) -> Result<Interface> {
        let constants = header.lines().filter_map(|line| line.strip_prefix("#define WMTLS_"));
        let constants = constants
            .filter(|constant| !constant.starts_with("VERSION") && constant.contains(' '))
            .map(|constant| format!("WMTLS_{constant}"))
            .collect();
        let (_, body) = header
            .split_once("extern \"C\" {")
            .ok_or_else(|| Failure::new("the header has no extern \"C\""))?;
        let body: Vec<&str> = body.lines().filter(|line| !line.starts_with('#')).collect();
        let mut functions = BTreeSet::new();
        let mut prototypes = Vec::new();
        for prototype in body.join(" ").split(';').map(str::trim) {
            let Some(before) = prototype.strip_suffix(')').and_then(|p| p.split('(').next()) else {
                continue;
            };
            let name = before.rsplit([' ', '*']).next().unwrap_or_default();
            functions.insert(name.to_owned());
            prototypes.push(prototype.to_owned());
        }
        if functions.is_empty() {
            return Err(Failure::new("the header declares no function"));
        }
        Ok(Interface { functions, constants, prototypes })
    }

    fn lines(&self) -> BTreeSet<String> {
        self.functions.union(&self.constants).cloned().collect()
    }

    /// Fails if a function of the baseline is missing, or a constant has another number.
    fn keeps_baseline(&self) -> Result {
        let file = baseline("txt")?;
        let known = paths::read(&file)?;
        let lines = self.lines();
        let gone: Vec<&str> = known.lines().filter(|line| !lines.contains(*line)).collect();
        if gone.is_empty() {
            return Ok(());
        }
        let what = format!("{} has lines that the header does not have", paths::shown(&file));
        Err(Failure::with_output(what, gone.join("\n")))
    }

    /// Compiles empty functions with the header's prototypes, and returns the description of their
    /// library by `abidw`.
    fn described(&self, compiler: &Path) -> Result<PathBuf> {
        let work = paths::target().join("c").join("abi");
        paths::make_empty(&work)?;
        let mut source = "#include \"webhook_mtls.h\"\n".to_owned();
        for prototype in &self.prototypes {
            source += prototype;
            source += " { __builtin_trap(); }\n";
        }
        paths::write(&work.join("functions.c"), &source)?;
        let library = work.join("libwebhook_mtls.so");
        Step::new("the header's prototypes", compiler)
            .args(["-std=c11", "-g", "-shared", "-fPIC", "-I"])
            .arg(paths::root().join("include"))
            .args(["functions.c", "-o"])
            .arg(&library)
            .arg(format!("-Wl,-soname,libwebhook_mtls.so.{}", abi(&version()?)))
            .in_directory(&work)
            .ask()?;
        let described = work.join("webhook_mtls.abi");
        Step::new("abidw", "abidw")
            .args(["--no-corpus-path", "--no-comp-dir-path", "--no-show-locs"])
            .args(["--type-id-style", "hash", "--out-file"])
            .args([&described, &library])
            .ask()?;
        Ok(described)
    }
}

/// Returns a C text without its block comments.
fn without_comments(text: &str) -> String {
    let mut parts = text.split("/*");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        kept.push_str(part.split_once("*/").map_or("", |(_, after)| after));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::{Interface, without_comments};

    #[test]
    fn functions_and_constants_are_read_and_the_version_is_no_constant() {
        let header = "/* a; b() */\n#ifndef GUARD\n#define WMTLS_OK 0\n\
                      #define WMTLS_VERSION_MAJOR 0\ntypedef struct wmtls_x wmtls_x;\n\
                      extern \"C\" {\n#endif\nconst char *wmtls_name(int32_t kind,\n  wmtls_x *x);\n\
                      /* text; */\nvoid wmtls_free(wmtls_x *x);\n#ifdef __cplusplus\n}\n";
        let interface = Interface::read(&without_comments(header)).unwrap();
        let lines: Vec<String> = interface.lines().into_iter().collect();
        assert_eq!(lines, ["WMTLS_OK 0", "wmtls_free", "wmtls_name"]);
        assert_eq!(interface.prototypes[1], "void wmtls_free(wmtls_x *x)");
        assert!(Interface::read("extern \"C\" {\n}\n").is_err());
    }
}
