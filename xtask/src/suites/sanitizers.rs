//! The C programs under sanitizers: AddressSanitizer with LeakSanitizer and
//! UndefinedBehaviorSanitizer, and ThreadSanitizer.
//!
//! * As a user runs them: gcc instruments the program, not the shared library.
//! * AddressSanitizer also with an instrumented library: rustc instruments the library, its
//!   dependencies, and the generic code of the standard library that they use. The rest of the
//!   standard library, and aws-lc, stay as they are. The runtime is that of rustc, which knows the
//!   code of rustc's LLVM.
//!
//! ThreadSanitizer does not run with an instrumented library. It would need an instrumented standard
//! library: a lock that waits acquires in code that it does not see, and the last reference of an
//! `Arc` orders its end by a fence, which it does not know.
//! A run by hand found no race in six programs. In it, `-Wl,--wrap` gave `lock_contended`,
//! `read_contended`, `write_contended`, `Condvar::wait` and `Once::call` calls of `__tsan_acquire` and
//! `__tsan_release`, and two suppressions named `Arc::drop_slow` and tokio's `ScheduledIo`, which the
//! kernel hands from `epoll_ctl` to `epoll_wait`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::command::{Failure, Result, Step, shown_duration};
use crate::debian;
use crate::languages::Languages;
use crate::languages::c_dialects;
use crate::languages::c_library::{Flavour, SYSTEM};
use crate::languages::c_programs::{Linkage, WARNINGS, link, programs};
use crate::paths;
use crate::suites::dev;
use crate::terminal::green;

/// The sanitizers know only this target. With a target, cargo builds the programs of the build,
/// such as build scripts, without a sanitizer.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The time limit of one program.
const LIMIT: Duration = Duration::from_secs(5 * 60);

struct Sanitizer {
    /// The name for rustc.
    name: &'static str,
    /// The name of rustc's runtime, if the library is instrumented too.
    runtime: Option<&'static str>,
    /// The flags of the C compilers.
    flags: &'static [&'static str],
    /// The variable with the options of the runtime, and the options.
    options: (&'static str, &'static str),
    /// The file with the suppressions for users.
    suppressions: Option<&'static str>,
}

const SANITIZERS: [Sanitizer; 2] = [
    Sanitizer {
        name: "address",
        runtime: Some("asan"),
        flags: &["-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
        options: ("ASAN_OPTIONS", "detect_leaks=1:detect_stack_use_after_return=1"),
        suppressions: None,
    },
    Sanitizer {
        name: "thread",
        runtime: None,
        flags: &["-fsanitize=thread"],
        options: ("TSAN_OPTIONS", "halt_on_error=1:second_deadlock_stack=1:die_after_fork=0"),
        suppressions: Some("ffi/tsan.supp"),
    },
];

/// Runs the programs under each sanitizer; returns the closing line.
pub(crate) fn test(languages: &Languages) -> Result<String> {
    if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        return Err(Failure::skipped("the sanitizers run on x86-64 Linux"));
    }
    debian::ensure(debian::C)?;
    let mut passed = 0;
    for sanitizer in &SANITIZERS {
        passed += sanitizer.as_users(languages)?;
        if let Some(runtime) = sanitizer.runtime {
            passed += sanitizer.with_the_library(runtime)?;
        }
    }
    Ok(format!("{passed} passed, 0 failed"))
}

impl Sanitizer {
    /// Instruments the programs only.
    fn as_users(&self, languages: &Languages) -> Result<u32> {
        let library = languages.c()?;
        let dialect = ["-std=c2x", "-DSANITIZED", "-fno-omit-frame-pointer"];
        let dialect: Vec<&str> = dialect.into_iter().chain(self.flags.iter().copied()).collect();
        let gcc = c_dialects::compiler("gcc");
        self.each(&sanitized()?, "as users do", |program| {
            link(&gcc, &dialect, library, program, Linkage::Shared)
        })
    }

    /// Instruments the programs and the library.
    fn with_the_library(&self, runtime: &str) -> Result<u32> {
        let (runtime, library) = (self.runtime(runtime)?, self.library()?);
        self.each(&sanitized()?, "with the library", |program| {
            self.compile(program, &library, &runtime)
        })
    }

    /// Compiles and runs the programs, several at once.
    fn each(
        &self,
        programs: &[PathBuf],
        how: &str,
        compile: impl Fn(&Path) -> Result<PathBuf> + Sync,
    ) -> Result<u32> {
        let started = Instant::now();
        let passed = dev::in_parallel(programs, |program| {
            let executable = compile(program)?;
            let title = format!("{} ({} sanitizer, {how})", paths::shown(program), self.name);
            let passed = self.run(title, &executable)?;
            // With the library, each has a hundred megabytes.
            let removed = std::fs::remove_file(&executable);
            removed.map_err(|error| Failure::at("cannot remove", &executable, &error))?;
            Ok(passed)
        })?;
        self.must_fail(&compile, how)?;
        let took = shown_duration(started.elapsed());
        println!("  {}   {passed} programs ({} sanitizer, {how})  {took}", green("ok"), self.name);
        Ok(passed)
    }

    /// Checks that the sanitizer stops a program with a fault.
    fn must_fail(&self, compile: &impl Fn(&Path) -> Result<PathBuf>, how: &str) -> Result {
        let fault = paths::root().join("tests/c/faults").join(format!("{}.c", self.name));
        let title = format!("the fault of {}", paths::shown(&fault));
        match self.run(title, &compile(&fault)?) {
            Err(failure) if failure.output().contains("Sanitizer: ") => Ok(()),
            _ => Err(Failure::new(format!("{} is not noticed, {how}", paths::shown(&fault)))),
        }
    }

    fn run(&self, title: String, executable: &Path) -> Result<u32> {
        let (variable, options) = self.options;
        let mut options = options.to_owned();
        if let Some(file) = self.suppressions {
            options = format!("{options}:suppressions={}", paths::root().join(file).display());
        }
        Step::new(title, executable)
            .env(variable, options)
            .env("UBSAN_OPTIONS", "print_stacktrace=1")
            .limit(LIMIT)
            .ask()?;
        Ok(1)
    }

    /// Returns the instrumented static library with the testing kit.
    fn library(&self) -> Result<PathBuf> {
        let arguments = ["rustc", "--locked", "--lib", "--crate-type", "staticlib"];
        Step::cargo(format!("C library ({} sanitizer)", self.name), &arguments)
            .args(["--package", Flavour::Testing.package(), "--target", TARGET])
            .arg("--target-dir")
            .arg(self.home())
            // The option is unstable, and each stable rustc has it and its runtimes.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_ENCODED_RUSTFLAGS", format!("-Zsanitizer={}", self.name))
            .run()?;
        let name = format!("{}.a", Flavour::Testing.built_as());
        Ok(self.home().join(TARGET).join("debug").join(name))
    }

    fn home(&self) -> PathBuf {
        paths::target().join("sanitizers").join(self.name)
    }

    fn runtime(&self, name: &str) -> Result<PathBuf> {
        let ask = Step::new("target-libdir", "rustc").args(["--print", "target-libdir"]);
        let directory = PathBuf::from(ask.ask()?.stdout.trim());
        let end = format!("_rt.{name}.a");
        let found = paths::files_with_extension(&directory, "a")?
            .into_iter()
            .find(|file| file.to_string_lossy().ends_with(&end));
        found.ok_or_else(|| Failure::skipped(format!("rustc has no {} sanitizer", self.name)))
    }

    /// Compiles a program as C23, and links it with the instrumented library.
    fn compile(&self, source: &Path, library: &Path, runtime: &Path) -> Result<PathBuf> {
        let name = stem(source);
        let executable = self.home().join(name);
        let object = executable.with_extension("o");
        let clang = c_dialects::compiler("clang");
        Step::new(format!("compile {name} ({} sanitizer)", self.name), &clang)
            .args(["-std=c2x", "-O1", "-g", "-fno-omit-frame-pointer", "-c"])
            .args(WARNINGS)
            .args(self.flags)
            .args(["-DSANITIZED", "-I"])
            .arg(paths::root().join("include"))
            .arg(source)
            .arg("-o")
            .arg(&object)
            .ask()?;
        Step::new(format!("link {name} ({} sanitizer)", self.name), &clang)
            .arg(&object)
            .arg(library)
            .arg("-Wl,--whole-archive")
            .arg(runtime)
            .arg("-Wl,--no-whole-archive")
            .args(SYSTEM)
            .arg("-lgcc_s")
            .arg("-o")
            .arg(&executable)
            .ask()?;
        Ok(executable)
    }
}

/// Returns the programs without those that are about forked children.
fn sanitized() -> Result<Vec<PathBuf>> {
    let mut programs = programs("")?;
    programs.retain(|program| !["fork", "dlclose"].contains(&stem(program)));
    Ok(programs)
}

fn stem(program: &Path) -> &str {
    program.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default()
}
