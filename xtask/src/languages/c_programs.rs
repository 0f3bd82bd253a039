//! Compiles and links C programs, and runs the suite of the C tests.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::command::{Failure, Result, Step, shown_duration};
use crate::debian;
use crate::languages::c_dialects::{self, CPLUSPLUS};
use crate::languages::c_library::{CLibrary, Flavour, static_arguments};
use crate::paths;
use crate::suites::dev;
use crate::terminal::green;
use crate::toolchain::Toolchain;

/// Headers and tests must compile with these warnings as errors.
pub(crate) const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Werror", "-pedantic"];

/// The time limit of one test program, also under the memory checker.
const LIMIT: Duration = Duration::from_secs(5 * 60);

/// How many programs run at once. The memory checker runs one thread of a program at a time.
const AT_ONCE: usize = 2;

/// How a program links the library.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Linkage {
    Static,
    Shared,
}

/// Compiles one C11 program against the installed library and returns the executable.
///
/// A program that includes the testing header links the testing library. Any other program links
/// the production library, as a device image would.
pub(crate) fn compile(
    toolchain: &Toolchain,
    library: &CLibrary,
    source: &Path,
    linkage: Linkage,
) -> Result<PathBuf> {
    link(&toolchain.cc, &["-std=c11"], library, source, linkage)
}

/// Runs the C suite; returns its closing line.
pub(crate) fn test(toolchain: &Toolchain, library: &CLibrary) -> Result<String> {
    debian::ensure(debian::C)?;
    debian::ensure(debian::KIT)?;
    let programs = programs("")?;
    let mut passed = headers(toolchain, library)?;
    passed += c_dialects::check(library, &programs)?;
    passed += dev::with_workers(AT_ONCE, &programs, |program| {
        let started = Instant::now();
        let passed = in_each_way(toolchain, library, program)?;
        let (name, took) = (paths::shown(program), shown_duration(started.elapsed()));
        println!("  {}   {name}, in {passed} ways  {took}", green("ok"));
        Ok(passed)
    })?;
    Ok(format!("{passed} passed, 0 failed"))
}

/// Runs a program as C with the static library, as C++ with the shared one, and under the memory checker.
/// Returns the number of runs.
fn in_each_way(toolchain: &Toolchain, library: &CLibrary, program: &Path) -> Result<u32> {
    let name = paths::shown(program);
    let in_c = compile(toolchain, library, program, Linkage::Static)?;
    let cplusplus = c_dialects::compiler("clang++");
    let in_cplusplus = link(&cplusplus, &CPLUSPLUS, library, program, Linkage::Shared)?;
    let mut passed = 0;
    for (executable, how) in [(&in_c, "static, C11"), (&in_cplusplus, "shared, C++20")] {
        Step::new(format!("{name} ({how})"), executable).limit(LIMIT).ask()?;
        passed += 1;
        if name.ends_with("submit.c") {
            nothing_is_left_over(&format!("{name} ({how}, suppressions)"), executable)?;
            passed += 1;
        }
    }
    memory_checked(&format!("{name} (valgrind)"), &in_c)?;
    Ok(passed + 1)
}

/// Rebuilds the shared library with the testing kit, and runs the programs whose name contains
/// `name`, or all.
pub(crate) fn test_quickly(toolchain: &Toolchain, name: Option<&str>) -> Result<u32> {
    let library = CLibrary::editable()?;
    let mut programs = programs(name.unwrap_or_default())?;
    dev::keep_quick(&mut programs, name)?;
    dev::in_parallel(&programs, |program| {
        let executable = compile(toolchain, &library, program, Linkage::Shared)?;
        Step::new(paths::shown(program), executable).limit(LIMIT).ask()?;
        Ok(1)
    })
}

/// Returns the test programs whose name contains `part`.
pub(crate) fn programs(part: &str) -> Result<Vec<PathBuf>> {
    let directory = paths::root().join("tests").join("c");
    let mut programs = paths::files_with_extension(&directory, "c")?;
    // The vector runner is a separate suite.
    programs.retain(|program| {
        let stem = program.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        stem != "vectors" && stem.contains(part)
    });
    if programs.is_empty() {
        return Err(Failure::new(format!("tests/c has no program {part}")));
    }
    Ok(programs)
}

/// Runs a program under memcheck with the suppressions for users. Fails on an error and on any block
/// that is left at the end, reachable or not.
fn nothing_is_left_over(title: &str, executable: &Path) -> Result {
    let suppressions = paths::root().join("ffi").join("valgrind.supp");
    Step::new(title, paths::program("valgrind").unwrap_or_else(|| "valgrind".into()))
        .args(["--quiet", "--error-exitcode=99", "--leak-check=full"])
        .args(["--errors-for-leak-kinds=all", "--show-leak-kinds=all"])
        .arg(format!("--suppressions={}", suppressions.display()))
        .arg(executable)
        .limit(LIMIT)
        .ask()
        .map(drop)
}

/// Runs a program under memcheck. Fails on an error or a definite leak. Its threads, of which one runs at a
/// time, take turns: otherwise a busy one may keep the others waiting for minutes.
pub(crate) fn memory_checked(title: &str, executable: &Path) -> Result {
    Step::new(title, paths::program("valgrind").unwrap_or_else(|| "valgrind".into()))
        .args(["--quiet", "--error-exitcode=99", "--leak-check=full", "--fair-sched=yes"])
        .args(["--errors-for-leak-kinds=definite,indirect", "--show-leak-kinds=definite,indirect"])
        .arg(executable)
        .limit(LIMIT)
        .ask()
        .map(drop)
}

/// Compiles every header alone, as C11 and as C++17, in a program that links and runs.
fn headers(toolchain: &Toolchain, library: &CLibrary) -> Result<u32> {
    let cplusplus = paths::program("c++").unwrap_or_else(|| "c++".into());
    let mut passed = 0;
    for header in paths::files_with_extension(&library.include(), "h")? {
        let name = header.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // Included twice, to test the include guard.
        let text =
            format!("#include \"{name}\"\n#include \"{name}\"\n\nint main(void) {{ return 0; }}\n");
        let stem = paths::target().join("c").join(name.replace('.', "_"));
        for (compiler, standard, extension) in
            [(&toolchain.cc, "-std=c11", "c"), (&cplusplus, "-std=c++17", "cpp")]
        {
            let source = stem.with_extension(extension);
            paths::write(&source, &text)?;
            let program = link(compiler, &[standard], library, &source, Linkage::Static)?;
            Step::new(format!("{name} as {}", &standard[5..]), program).limit(LIMIT).run()?;
            passed += 1;
        }
    }
    Ok(passed)
}

pub(crate) fn link(
    compiler: &Path,
    dialect: &[&str],
    library: &CLibrary,
    source: &Path,
    linkage: Linkage,
) -> Result<PathBuf> {
    let text = paths::read(source)?;
    let flavour = if text.contains("webhook_mtls_testing.h") {
        Flavour::Testing
    } else {
        Flavour::Production
    };
    let how = if linkage == Linkage::Static { "static" } else { "shared" };
    let name = source.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    // Two folders may have programs of one name.
    let folder = source.parent().and_then(Path::file_name).unwrap_or_default();
    let executable = paths::target().join("c").join(how).join(folder).join(name.replace('.', "_"));
    paths::make_directory(executable.parent().expect("it has a directory"))?;
    let shown = |path: &Path| path.display().to_string();
    let (include, lib) = (shown(&library.include()), shown(&library.lib()));
    let (source, program) = (shown(source), shown(&executable));
    let mut step = Step::new(format!("compile {name} ({how})"), compiler)
        .args(dialect)
        .args(WARNINGS)
        .args(["-O1", "-g"])
        .arg(format!("-DSHARED_LIBRARY=\"{}\"", library.shared(flavour).display()));
    step = match linkage {
        Linkage::Static => step.args(static_arguments(&include, &source, &program, &lib, flavour)),
        Linkage::Shared => step
            .args(["-I", &include, &source, "-o", &program])
            .args([format!("-L{lib}"), format!("-l{}", flavour.name())])
            .args([format!("-Wl,-rpath,{lib}"), "-lpthread".to_owned()]),
    };
    if text.contains("cjson/cJSON.h") {
        step = step.arg("-lcjson");
    }
    if text.contains("pkcs11") {
        step = step.arg("-I/usr/include/p11-kit-1");
    }
    step.ask()?;
    Ok(executable)
}
