//! The comparison of verdicts with a corpus and with the list of its exceptions.

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde_json::Value;
use webhook_mtls::Error;

/// The results of one corpus.
pub(crate) struct Report {
    corpus: &'static str,
    exceptions: BTreeMap<String, Value>,
    agree: usize,
    known: usize,
    surprises: Vec<String>,
}

impl Report {
    /// * `exceptions`: the JSON text with the reason of each known disagreement.
    pub(crate) fn new(corpus: &'static str, exceptions: &str) -> Self {
        let exceptions = serde_json::from_str(exceptions).expect("the exceptions are JSON");
        Self { corpus, exceptions, agree: 0, known: 0, surprises: Vec::new() }
    }

    /// Compares one verdict with the expected one.
    pub(crate) fn add(&mut self, id: &str, is_valid: bool, verdict: Result<(), Error>) {
        let said = if verdict.is_ok() { "accepted" } else { "refused" };
        let agrees = verdict.is_ok() == is_valid;
        let detail = verdict.err().map_or_else(String::new, |error| format!(": {error}"));
        if std::env::var_os("PATHS_VERBOSE").is_some() {
            println!("{id}: {said}{}{detail}", if agrees { "" } else { " (disagrees)" });
        }
        match (agrees, self.exceptions.get(id)) {
            (true, None) => self.agree += 1,
            (true, Some(_)) => self.surprises.push(format!("{id}: stale exception, {said}")),
            (false, Some(exception)) if is_reasoned(exception, said) => self.known += 1,
            (false, _) => self.surprises.push(format!("{id}: {said}{detail}")),
        }
    }

    /// Prints the surprises and the closing line.
    pub(crate) fn close(self) -> ExitCode {
        let unmatched = self.exceptions.len().saturating_sub(self.known);
        for surprise in &self.surprises {
            println!("{surprise}");
        }
        let failed = self.surprises.len();
        println!(
            "{}: {} passed, {failed} failed, {} known exceptions",
            self.corpus, self.agree, self.known
        );
        if failed == 0 && unmatched > 0 {
            println!("{unmatched} exceptions are for no case of the corpus");
            return ExitCode::FAILURE;
        }
        if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Returns whether an exception is for this verdict and has a reason.
fn is_reasoned(exception: &Value, said: &str) -> bool {
    let reason = exception["reason"].as_str().unwrap_or_default();
    exception["said"] == said && reason.len() > 20
}
