//! `cargo xtask mutants [count] [seed]`: changes the core in random places, one at a time, and checks
//! that a test fails each time. A seed decides which of the possible mutants are tried, so that a run
//! can be repeated. A run that was interrupted goes on where it ended.
//!
//! cargo-mutants lists the mutants. This verb applies them itself, most of them in one program
//! (`switched`), because each is tested in stages, cheapest first, and cargo-mutants has no stages: the
//! unit tests of the core, the shared vectors, the integration tests of the core.

mod switched;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::soak::{record, today};
use crate::cargo_tool;
use crate::command::{Failure, Output, Result, Step, shown_duration};
use crate::paths;
use crate::suites::dev;
use crate::terminal;

const VERSION: &str = "27.1.0";

/// The code that decides whether something is accepted, sent, or reached.
const CRITICAL: [&str; 11] = [
    "core/src/admission/**",
    "core/src/dispatcher/**",
    "core/src/http/**",
    "core/src/material/pin.rs",
    "core/src/material/public_roots.rs",
    "core/src/material/trust*",
    "core/src/material/watch/**",
    "core/src/net/**",
    "core/src/retry/**",
    "core/src/verify/**",
    "core/src/x509/crl*",
];

/// Tests, and text for people: a mutant there accepts, sends and reaches nothing.
const EXCLUDED: [&str; 2] = ["core/src/**/*_tests.rs", "core/src/**/tests/**"];

const COUNT: usize = 60;

/// The percentage of mutants that the tests must catch.
const LEAST: usize = 95;

/// The tests of a mutant, cheapest first: arguments of `cargo test`.
const STAGES: [&[&str]; 3] = [
    &["--package", "webhook-mtls", "--features", "testing", "--lib"],
    &["--package", "webhook-mtls-test-programs", "--test", "vectors_agree"],
    &["--package", "webhook-mtls", "--features", "testing", "--tests"],
];

/// Some of the test programs measure how long they take, so not more run at once.
const PROGRAMS_AT_ONCE: usize = 2;

/// How long a test program may run. It takes a minute at most on a busy machine. A mutant that hangs is
/// caught.
const PROGRAM_LIMIT: Duration = Duration::from_secs(240);

pub(crate) fn run(numbers: &[&str]) -> Result {
    let mut numbers = numbers.iter().map(|text| {
        let fault = || Failure::new(format!("mutants takes a count and a seed, not {text}"));
        text.parse::<u64>().map_err(|_| fault())
    });
    let count = numbers.next().transpose()?.map_or(Ok(COUNT), usize::try_from);
    let count = count.map_err(|_| Failure::new("the count of mutants is too large"))?;
    let seed = numbers.next().transpose()?.unwrap_or(1);

    let started = Instant::now();
    let tree = Tree::of_the_last_commit()?;
    let mutants = tree.mutants()?;
    let possible = mutants.len();
    let chosen = sample(mutants, count, seed);
    terminal::headline(&format!("{} of {possible} mutants, seed {seed}", chosen.len()));
    let mut known = KnownEnds::of(&tree.commit()?)?;
    let numbered = || chosen.iter().enumerate();
    let open: Vec<(usize, &Mutant)> =
        numbered().filter(|(_, mutant)| known.end_of(mutant).is_none()).collect();
    let switched = tree.switch(&open)?;
    let stages = tree.stages()?;
    terminal::headline("The tests without a mutant");
    stages.test(None)?;
    let show = |at: usize, end: End, mutant: &Mutant| {
        println!("  {}/{}  {:8}  {}", at + 1, chosen.len(), end.name(), mutant.name);
    };
    for &(at, mutant) in open.iter().filter(|(at, _)| switched.contains(at)) {
        show(at, known.add(mutant, stages.end(Some(at)))?, mutant);
    }
    tree.restore()?;
    let mut tally = Tally::default();
    for (at, mutant) in numbered() {
        let end = if let Some(end) = known.end_of(mutant) {
            end
        } else {
            let end = known.add(mutant, tree.end_of(mutant)?)?;
            show(at, end, mutant);
            end
        };
        tally.add(end, &mutant.name);
    }
    let alive = tally.alive.iter().map(|name| format!("  - alive: `{name}`\n"));
    let alive = alive.collect::<Vec<_>>().concat();
    record(&format!(
        "- {}: mutants, seed {seed}, in {}: {}\n{alive}",
        today()?,
        shown_duration(started.elapsed()),
        tally.shown()
    ))?;
    if tally.percentage() < LEAST {
        return Err(Failure::new(format!("the tests catch less than {LEAST} % of the mutants")));
    }
    Ok(())
}

/// A change of the core.
#[derive(Clone, Debug, PartialEq)]
struct Mutant {
    /// Its place and its meaning.
    name: String,
    /// The change, as `git apply` takes it.
    patch: String,
    file: String,
    /// The function that it changes, from its start to its end; none for a constant.
    function: Option<(Place, Place)>,
    /// The text that it replaces.
    span: (Place, Place),
    replacement: String,
}

/// A line and a column, both of which count from one.
type Place = (usize, usize);

impl Mutant {
    /// Reads an entry of the list. Its diff has the mutant's name in place of the second path.
    fn read(entry: &Value) -> Option<Mutant> {
        let text = |key: &str| entry[key].as_str();
        let hunks = text("diff")?.splitn(3, '\n').nth(2)?;
        let file = text("file")?;
        Some(Mutant {
            name: text("name")?.to_owned(),
            patch: format!("--- a/{file}\n+++ b/{file}\n{hunks}"),
            file: file.to_owned(),
            function: span(&entry["function"]["span"]),
            span: span(&entry["span"])?,
            replacement: text("replacement")?.to_owned(),
        })
    }
}

fn span(entry: &Value) -> Option<(Place, Place)> {
    let number = |end: &str, name: &str| usize::try_from(entry[end][name].as_u64()?).ok();
    let place = |end: &str| Some((number(end, "line")?, number(end, "column")?));
    Some((place("start")?, place("end")?))
}

/// What became of a mutant.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Caught,
    Alive,
    /// It does not compile, and counts nowhere.
    Unviable,
}

impl End {
    fn name(self) -> &'static str {
        match self {
            End::Caught => "caught",
            End::Alive => "ALIVE",
            End::Unviable => "unviable",
        }
    }
}

/// The ends of earlier runs on the same commit, so that an interrupted run goes on.
struct KnownEnds {
    file: PathBuf,
    /// A line per mutant: the name of its end, a tab, and its own name.
    lines: String,
}

impl KnownEnds {
    fn of(commit: &str) -> Result<KnownEnds> {
        let file = paths::target().join("mutants").join(format!("ends-{commit}"));
        let lines = if file.exists() { paths::read(&file)? } else { String::new() };
        Ok(KnownEnds { file, lines })
    }

    fn end_of(&self, mutant: &Mutant) -> Option<End> {
        let (end, _) = self
            .lines
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .find(|(_, name)| *name == mutant.name)?;
        [End::Caught, End::Alive, End::Unviable].into_iter().find(|known| known.name() == end)
    }

    fn add(&mut self, mutant: &Mutant, end: End) -> Result<End> {
        for part in [end.name(), "\t", mutant.name.as_str(), "\n"] {
            self.lines.push_str(part);
        }
        paths::write(&self.file, &self.lines)?;
        Ok(end)
    }
}

/// A clone of the last commit, where files are changed in place.
struct Tree {
    folder: PathBuf,
    build: PathBuf,
}

impl Tree {
    fn of_the_last_commit() -> Result<Tree> {
        let home = paths::target().join("mutants");
        let (folder, build) = (home.join("tree"), home.join("build"));
        paths::make_empty(&folder)?;
        Step::new("clone of the last commit", "git")
            .args(["clone", "--quiet", "--shared", "."])
            .arg(&folder)
            .run()?;
        Ok(Tree { folder, build })
    }

    fn commit(&self) -> Result<String> {
        let step = Step::new("the last commit", "git").args(["rev-parse", "HEAD"]);
        Ok(step.in_directory(&self.folder).ask()?.stdout.trim().to_owned())
    }

    /// Returns all mutants of the critical code.
    fn mutants(&self) -> Result<Vec<Mutant>> {
        let tool = cargo_tool::installed("cargo-mutants", VERSION)?;
        let mut step = Step::new("list of mutants", tool)
            .args(["mutants", "--no-config", "--list", "--json", "--package", "webhook-mtls"])
            .in_directory(&self.folder);
        for pattern in CRITICAL {
            step = step.args(["--file", pattern]);
        }
        for pattern in EXCLUDED {
            step = step.args(["--exclude", pattern]);
        }
        let output = step.ask()?;
        let listed: Vec<Value> = serde_json::from_str(&output.stdout)
            .map_err(|error| Failure::new(format!("the list of mutants is not JSON: {error}")))?;
        Ok(listed.iter().filter_map(Mutant::read).collect())
    }

    /// Applies a mutant, runs the stages until one fails, and takes the mutant back.
    fn end_of(&self, mutant: &Mutant) -> Result<End> {
        let patch = self.build.join("mutant.patch");
        paths::write(&patch, &mutant.patch)?;
        let git = |words: &[&str]| Step::new("git", "git").args(words).in_directory(&self.folder);
        git(&["apply", "--whitespace=nowarn"]).arg(&patch).ask()?;
        let end = self.tested();
        self.restore()?;
        Ok(end)
    }

    fn tested(&self) -> End {
        if self.build("build", STAGES[0]).ask().is_err() {
            return End::Unviable;
        }
        self.stages().map_or(End::Caught, |stages| stages.end(None))
    }

    /// Takes all changes back.
    fn restore(&self) -> Result {
        let step = Step::new("git", "git").args(["checkout", "--quiet", "--", "."]);
        step.in_directory(&self.folder).ask().map(drop)
    }

    /// Puts as many of the mutants as possible into one program. Returns their numbers.
    fn switch(&self, mutants: &[(usize, &Mutant)]) -> Result<BTreeSet<usize>> {
        let mut left = mutants.to_vec();
        loop {
            self.restore()?;
            let files = switched::write(&self.folder, &left)?;
            let build = self.build(&format!("{} mutants in one program", left.len()), STAGES[2]);
            let Err(failure) = build.arg("--message-format=short").run() else {
                return Ok(files.values().flat_map(switched::Written::numbers).collect());
            };
            let blamed = switched::blamed(&files, failure.output())?;
            left.retain(|(number, _)| !blamed.contains(number));
        }
    }

    /// Builds the test programs of all stages.
    fn stages(&self) -> Result<Stages> {
        let programs = STAGES.iter().map(|stage| {
            let output = self.build("build", stage).arg("--message-format=json").ask()?;
            Ok(output.stdout.lines().filter_map(Program::read).collect())
        });
        Ok(Stages(programs.collect::<Result<_>>()?))
    }

    fn build(&self, title: &str, stage: &[&str]) -> Step {
        Step::cargo(title, &["test", "--quiet", "--locked", "--no-run"])
            .args(stage)
            .env("CARGO_TARGET_DIR", &self.build)
            .env("CARGO_INCREMENTAL", "0")
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .in_directory(&self.folder)
    }
}

/// The test programs of each stage.
struct Stages(Vec<Vec<Program>>);

impl Stages {
    /// Runs the stages until one fails, with one of the switched mutants or none.
    fn end(&self, mutant: Option<usize>) -> End {
        if self.test(mutant).is_ok() { End::Alive } else { End::Caught }
    }

    fn test(&self, mutant: Option<usize>) -> Result {
        for programs in &self.0 {
            let has_failed = AtomicBool::new(false);
            dev::with_workers(PROGRAMS_AT_ONCE, programs, |program| {
                if has_failed.load(Ordering::Relaxed) {
                    return Ok(0);
                }
                let ended = program.run(mutant);
                has_failed.fetch_or(ended.is_err(), Ordering::Relaxed);
                ended.map(|_| 1)
            })?;
        }
        Ok(())
    }
}

struct Program {
    path: PathBuf,
    /// The directory of its package, where cargo runs tests.
    directory: PathBuf,
}

impl Program {
    /// Reads a message of cargo.
    fn read(message: &str) -> Option<Program> {
        let message: Value = serde_json::from_str(message).ok()?;
        let path = message["executable"].as_str().filter(|_| message["profile"]["test"] == true)?;
        let directory = Path::new(message["manifest_path"].as_str()?).parent()?.to_path_buf();
        Some(Program { path: path.into(), directory })
    }

    fn run(&self, mutant: Option<usize>) -> Result<Output> {
        let mut step = Step::new(paths::shown(&self.path), &self.path)
            .arg("--quiet")
            .env("CARGO_MANIFEST_DIR", &self.directory)
            .in_directory(&self.directory)
            .limit(PROGRAM_LIMIT);
        if let Some(number) = mutant {
            step = step.env(switched::VARIABLE, number.to_string());
        }
        step.ask()
    }
}

/// Returns `count` of the mutants, chosen by the seed (the partial shuffle of Fisher and Yates).
fn sample(mut mutants: Vec<Mutant>, count: usize, seed: u64) -> Vec<Mutant> {
    let mut random = SplitMix(seed);
    let count = count.min(mutants.len());
    for at in 0..count {
        let rest = (mutants.len() - at) as u64;
        let chosen = usize::try_from(random.next() % rest).expect("smaller than a length");
        mutants.swap(at, at + chosen);
    }
    mutants.truncate(count);
    mutants
}

/// SplitMix64 (Steele, Lea and Flood 2014): enough for a sample, and equal on every machine.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// The mutants that compile, by their end.
#[derive(Default)]
struct Tally {
    caught: usize,
    alive: Vec<String>,
}

impl Tally {
    fn add(&mut self, end: End, name: &str) {
        match end {
            End::Caught => self.caught += 1,
            End::Alive => self.alive.push(name.to_owned()),
            End::Unviable => {}
        }
    }

    fn percentage(&self) -> usize {
        (self.caught * 100).checked_div(self.caught + self.alive.len()).unwrap_or(100)
    }

    fn shown(&self) -> String {
        let all = self.caught + self.alive.len();
        format!("{} of {all} caught ({} %)", self.caught, self.percentage())
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::json;

    use super::{End, KnownEnds, Mutant, Tally, sample};

    fn mutants() -> Vec<Mutant> {
        (0..100).map(|n| mutant(&format!("file.rs:{n}"))).collect()
    }

    fn mutant(name: &str) -> Mutant {
        let place = ((1, 1), (1, 2));
        Mutant {
            name: name.to_owned(),
            patch: String::new(),
            file: String::new(),
            function: Some(place),
            span: place,
            replacement: String::new(),
        }
    }

    #[test]
    fn a_seed_chooses_the_same_sample_each_time() {
        assert_eq!(sample(mutants(), 10, 7), sample(mutants(), 10, 7));
        assert_ne!(sample(mutants(), 10, 7), sample(mutants(), 10, 8));
    }

    #[test]
    fn a_sample_has_no_mutant_twice_and_at_most_all() {
        let mut names: Vec<String> =
            sample(mutants(), 1000, 7).into_iter().map(|mutant| mutant.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 100);
    }

    #[test]
    fn the_patch_has_the_path_of_the_file_twice() {
        let diff = "--- core/a.rs\n+++ replace > with == in f\n@@ -1 +1 @@\n-a > b\n+a == b\n";
        let place =
            json!({ "start": { "line": 1, "column": 3 }, "end": { "line": 1, "column": 4 } });
        let entry = json!({
            "diff": diff,
            "file": "core/a.rs",
            "function": { "span": place },
            "name": "a.rs:1",
            "replacement": "==",
            "span": place,
        });
        let patch = "--- a/core/a.rs\n+++ b/core/a.rs\n@@ -1 +1 @@\n-a > b\n+a == b\n";
        assert_eq!(Mutant::read(&entry).unwrap().patch, patch);
    }

    #[test]
    fn a_known_end_is_not_tried_again() {
        let lines = "caught\tfile.rs:1: replace > with <\nALIVE\tfile.rs:2\n".to_owned();
        let known = KnownEnds { file: PathBuf::new(), lines };
        assert_eq!(known.end_of(&mutant("file.rs:1: replace > with <")), Some(End::Caught));
        assert_eq!(known.end_of(&mutant("file.rs:2")), Some(End::Alive));
        assert_eq!(known.end_of(&mutant("file.rs:3")), None);
    }

    #[test]
    fn mutants_that_do_not_compile_count_nowhere() {
        let mut tally = Tally::default();
        assert_eq!(tally.percentage(), 100);
        (0..19).for_each(|_| tally.add(End::Caught, "caught"));
        tally.add(End::Alive, "alive");
        tally.add(End::Unviable, "unviable");
        assert_eq!(tally.shown(), "19 of 20 caught (95 %)");
    }
}
