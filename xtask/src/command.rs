//! Runs commands with progress: one line while a command succeeds, its whole output if it fails.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write, stdout};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::paths;
use crate::terminal::{COLUMNS, dim, fitted, green, is_interactive, red};

/// The default time limit of a command: enough for a build on two slow cores.
const LIMIT: Duration = Duration::from_secs(20 * 60);

/// The time limit of a command that runs beside others, with the time that these leave.
const LIMIT_BESIDE: Duration = Duration::from_secs(2 * 60 * 60);

thread_local! {
    static IS_BESIDE: Cell<bool> = const { Cell::new(false) };
}

/// Lets all commands that this thread starts from now on run beside those of other threads: they get the
/// processor only while nothing else wants it, so that no test is slower, and show no progress.
pub(crate) fn run_steps_beside() {
    IS_BESIDE.set(true);
}

/// How often a log without a terminal gets a progress line for a running command.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// The result of a verb.
pub(crate) type Result<T = ()> = std::result::Result<T, Failure>;

/// The reason why a verb or a suite failed, with the whole output of the command if there was one.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    output: Option<String>,
    skipped: bool,
}

impl Failure {
    /// A check that this machine cannot run.
    pub(crate) fn skipped(why: impl Into<String>) -> Self {
        Failure { skipped: true, ..Failure::new(why) }
    }

    pub(crate) fn is_skipped(&self) -> bool {
        self.skipped
    }

    /// A failure whose output has already been printed.
    pub(crate) fn already_shown() -> Self {
        Failure::new("")
    }

    /// A failure with a sentence that explains it.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Failure { what: what.into(), output: None, skipped: false }
    }

    /// A failure with the output of a command.
    pub(crate) fn with_output(what: impl Into<String>, output: impl Into<String>) -> Self {
        Failure { what: what.into(), output: Some(output.into()), skipped: false }
    }

    /// A file system failure at a path.
    pub(crate) fn at(what: &str, path: &Path, error: &dyn fmt::Display) -> Self {
        Failure::new(format!("{what} {}: {error}", paths::shown(path)))
    }

    /// Prints the failure and its output.
    pub(crate) fn show(&self) {
        if let Some(output) = &self.output {
            println!("{}", dim(&"─".repeat(COLUMNS)));
            println!("{}", output.trim_end());
            println!("{}", dim(&"─".repeat(COLUMNS)));
        }
        if !self.what.is_empty() {
            let word = if self.skipped { "SKIPPED:" } else { "failed:" };
            println!("{} {}", red(word), self.what);
        }
    }

    /// Returns the output of the command, if there was one.
    pub(crate) fn output(&self) -> &str {
        self.output.as_deref().unwrap_or_default()
    }

    /// Returns the sentence without the output.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }
}

/// The output of a command.
pub(crate) struct Output {
    /// Standard output only.
    pub(crate) stdout: String,
    /// Both streams, in the order in which the lines arrived.
    pub(crate) all: String,
}

impl Output {
    /// Returns the last line of standard output that is not blank. Lines of standard error may come later,
    /// although they were written before.
    pub(crate) fn last_line(&self) -> &str {
        last_line(&self.stdout)
    }
}

/// Returns the last line that is not blank.
pub(crate) fn last_line(text: &str) -> &str {
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim()
}

/// One command with a title that says what it does.
pub(crate) struct Step {
    title: String,
    program: OsString,
    arguments: Vec<OsString>,
    variables: Vec<(OsString, Option<OsString>)>,
    directory: PathBuf,
    limit: Duration,
    inherits: bool,
}

impl Step {
    /// Creates a command that runs in the root of the workspace.
    pub(crate) fn new(title: impl Into<String>, program: impl AsRef<OsStr>) -> Self {
        Step {
            title: title.into(),
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            variables: Vec::new(),
            directory: paths::root(),
            limit: LIMIT,
            inherits: true,
        }
    }

    /// Creates a `cargo` command with these arguments.
    pub(crate) fn cargo(title: impl Into<String>, arguments: &[&str]) -> Self {
        Step::new(title, "cargo").args(arguments).env("CARGO_TERM_COLOR", "never")
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.variables.push((name.into(), Some(value.as_ref().to_owned())));
        self
    }

    /// Removes one of our variables from the command's environment.
    pub(crate) fn without_env(mut self, name: &str) -> Self {
        self.variables.push((name.into(), None));
        self
    }

    /// Starts the command with only the variables that are set with `env`.
    pub(crate) fn without_our_environment(mut self) -> Self {
        self.inherits = false;
        self
    }

    pub(crate) fn in_directory(mut self, directory: &Path) -> Self {
        directory.clone_into(&mut self.directory);
        self
    }

    pub(crate) fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs the command to its end. Shows its output in full if it fails.
    pub(crate) fn run(self) -> Result<Output> {
        let mut progress = Progress::start(&self.title);
        let outcome = self.watch(&mut progress);
        progress.end(outcome.is_ok());
        outcome
    }

    /// Runs a short command without a progress line.
    pub(crate) fn ask(self) -> Result<Output> {
        self.watch(&mut Progress::silent())
    }

    fn watch(&self, progress: &mut Progress) -> Result<Output> {
        let mut child = self.spawn()?;
        let (sender, lines) = channel();
        let readers = [
            forward(child.stdout.take().expect("piped"), true, sender.clone()),
            forward(child.stderr.take().expect("piped"), false, sender),
        ];
        let limit = if IS_BESIDE.get() { LIMIT_BESIDE } else { self.limit };
        let deadline = Instant::now() + limit;
        let mut output = Output { stdout: String::new(), all: String::new() };
        let mut late = false;
        loop {
            match lines.recv_timeout(Duration::from_millis(250)) {
                Ok((is_stdout, line)) => {
                    progress.saw(&line);
                    if is_stdout {
                        output.stdout.push_str(&line);
                    }
                    output.all.push_str(&line);
                }
                Err(RecvTimeoutError::Timeout) => progress.tick(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if Instant::now() >= deadline && !late {
                late = true;
                kill_tree(child.id());
            }
        }
        for reader in readers {
            reader.join().map_err(|_| Failure::new("a reader of output panicked"))?;
        }
        let status = child.wait().map_err(|error| self.failure(&error.to_string(), ""))?;
        if late {
            let why = format!("it was stopped after {} s", limit.as_secs());
            return Err(self.failure(&why, &output.all));
        }
        if !status.success() {
            return Err(self.failure(&status.to_string(), &output.all));
        }
        Ok(output)
    }

    fn spawn(&self) -> Result<Child> {
        let mut command = self.command();
        command.args(&self.arguments).current_dir(&self.directory);
        if !self.inherits {
            command.env_clear();
        }
        for (name, value) in &self.variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| self.failure(&error.to_string(), ""))
    }

    /// Returns the command without its arguments. `chrt` gives it the scheduling policy SCHED_IDLE of Linux,
    /// and all that it starts inherits this.
    fn command(&self) -> Command {
        if !IS_BESIDE.get() || paths::program("chrt").is_none() {
            return Command::new(&self.program);
        }
        let mut command = Command::new("chrt");
        command.args(["--idle", "0"]).arg(&self.program);
        command
    }

    fn failure(&self, why: &str, output: &str) -> Failure {
        let mut words = vec![self.program.to_string_lossy().into_owned()];
        words.extend(self.arguments.iter().map(|a| a.to_string_lossy().into_owned()));
        let what = format!("{}: {why}\n  {}", self.title, words.join(" "));
        if output.is_empty() { Failure::new(what) } else { Failure::with_output(what, output) }
    }
}

/// Formats a duration for a person.
pub(crate) fn shown_duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{} min {:02} s", duration.as_secs() / 60, duration.as_secs() % 60)
    }
}

/// The progress line of a step.
struct Progress {
    title: Option<String>,
    /// Whether the command runs beside others. Then only its end is shown.
    is_beside: bool,
    started: Instant,
    spoke: Instant,
    last: String,
}

impl Progress {
    fn start(title: &str) -> Self {
        let is_beside = IS_BESIDE.get();
        let end = if is_beside { ", beside the suites" } else { "" };
        let title = Some(format!("{title}{end}"));
        let progress = Progress { title, is_beside, ..Progress::silent() };
        progress.draw();
        progress
    }

    fn silent() -> Self {
        let now = Instant::now();
        Progress { title: None, is_beside: false, started: now, spoke: now, last: String::new() }
    }

    /// Returns the title, if it is shown before the end.
    fn shown_title(&self) -> Option<&str> {
        self.title.as_deref().filter(|_| !self.is_beside)
    }

    fn saw(&mut self, line: &str) {
        let line = line.trim();
        if !line.is_empty() {
            line.clone_into(&mut self.last);
            self.draw();
        }
        self.tick();
    }

    fn tick(&mut self) {
        self.draw();
        let Some(title) = self.shown_title() else { return };
        if !is_interactive() && self.spoke.elapsed() >= HEARTBEAT {
            let line = format!("  ..   {title}: {} s, {}", self.elapsed_seconds(), self.last);
            println!("{}", fitted(&line, COLUMNS));
            self.spoke = Instant::now();
        }
    }

    fn draw(&self) {
        let Some(title) = self.shown_title() else { return };
        if is_interactive() {
            let line = format!("  ..   {title}  {} s  {}", self.elapsed_seconds(), self.last);
            print!("\r\x1b[2K{}", fitted(&line, COLUMNS - 1));
            flush();
        }
    }

    fn end(&self, well: bool) {
        let Some(title) = &self.title else { return };
        if is_interactive() {
            print!("\r\x1b[2K");
        }
        let mark = if well { green("ok") } else { red("FAIL") };
        let gap = if well { "   " } else { " " };
        println!("  {mark}{gap}{title}  {}", dim(&shown_duration(self.started.elapsed())));
        flush();
    }

    fn elapsed_seconds(&self) -> u64 {
        self.started.elapsed().as_secs()
    }
}

fn flush() {
    // Ignore the error of a closed output.
    let _ = stdout().flush();
}

fn forward(
    from: impl Read + Send + 'static,
    is_stdout: bool,
    to: Sender<(bool, String)>,
) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            if to.send((is_stdout, String::from_utf8_lossy(&line).into_owned())).is_err() {
                break;
            }
            line.clear();
        }
    })
}

/// Stops a command and all its descendants. A server that outlives its test holds the output open.
fn kill_tree(root: u32) {
    let Ok(listing) = Command::new("ps").args(["-A", "-o", "pid=,ppid="]).output() else {
        return;
    };
    let listing = String::from_utf8_lossy(&listing.stdout).into_owned();
    let family = descendants(&listing, root);
    let ids = family.iter().map(ToString::to_string);
    let _ = Command::new("kill").arg("-KILL").args(ids).output();
}

/// Returns a process and all its descendants, from lines of `pid ppid`.
fn descendants(listing: &str, root: u32) -> BTreeSet<u32> {
    let pairs: Vec<(u32, u32)> = listing
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
        })
        .collect();
    let mut family = BTreeSet::from([root]);
    loop {
        let before = family.len();
        family.extend(
            pairs
                .iter()
                .filter(|(_, up)| family.contains(up))
                .map(|(id, _)| *id)
                .collect::<Vec<_>>(),
        );
        if family.len() == before {
            return family;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Step, descendants, run_steps_beside, shown_duration};
    use std::time::{Duration, Instant};

    #[test]
    fn standard_output_is_kept_alone_and_with_standard_error() {
        let output = Step::new("t", "sh").args(["-c", "echo out; echo err >&2"]).ask().unwrap();
        assert_eq!(output.stdout, "out\n");
        assert!(output.all.contains("err\n") && output.all.contains("out\n"));
    }

    #[test]
    fn a_command_beside_others_is_idle_and_so_is_what_it_starts() {
        let policy = |step: Step| step.ask().unwrap().stdout.trim().to_owned();
        let ask = || Step::new("policy", "sh").args(["-c", "sh -c 'ps -o cls= -p $$; true'"]);
        assert_eq!(policy(ask()), "TS");
        let beside = std::thread::spawn(move || {
            run_steps_beside();
            policy(ask())
        });
        assert_eq!(beside.join().unwrap(), "IDL");
    }

    #[test]
    fn a_failure_carries_the_output_and_the_command() {
        let failure =
            Step::new("breaks", "sh").args(["-c", "echo why; exit 3"]).ask().err().unwrap();
        assert!(failure.what().contains("breaks") && failure.what().contains("exit 3"));
        assert_eq!(failure.output.as_deref(), Some("why\n"));
    }

    #[test]
    fn a_command_that_hangs_is_stopped_with_its_children() {
        let started = Instant::now();
        let hangs = Step::new("hangs", "sh").args(["-c", "sleep 60 & sleep 60"]);
        let failure = hangs.limit(Duration::from_millis(300)).ask().err().unwrap();
        assert!(failure.what().contains("stopped after"), "{}", failure.what());
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn descendants_are_found_in_any_order_of_the_listing() {
        let family = descendants("4 3\n3 2\n2 1\n9 1\n", 2);
        assert_eq!(family.into_iter().collect::<Vec<_>>(), [2, 3, 4]);
    }

    #[test]
    fn durations_change_unit_after_a_minute() {
        assert_eq!(shown_duration(Duration::from_millis(1250)), "1.2 s");
        assert_eq!(shown_duration(Duration::from_secs(61)), "1 min 01 s");
    }
}
