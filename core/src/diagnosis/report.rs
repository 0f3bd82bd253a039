//! The report of a diagnosis: every check, the faults among them, and one verdict.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::checks::{Addressee, Check, CheckStatus, Group};
use super::text::{self, Layout};
use super::{message, verdict};
use crate::error::{Blame, Error, Kind, composed, fraction};

/// The version of the JSON form. A field is never removed or changed in one version.
pub(crate) const SCHEMA: u32 = 1;

/// The result of a diagnosis. Cheap to clone.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use webhook_mtls::diagnosis::DiagnosisOptions;
/// # use webhook_mtls::testing::Lab;
/// # use webhook_mtls::{EndpointOptions, Pins};
/// # let lab = Lab::start()?;
/// # let acme = lab.consumer("acme")?;
/// # let dispatcher = lab.dispatcher();
/// # let endpoint = dispatcher.endpoint("acme", &acme.url(), EndpointOptions::new(None))?;
///
/// # webhook_mtls::bindings::runtime::drive(async {
/// let report = dispatcher.diagnose(&endpoint, DiagnosisOptions::new()).await?;
/// assert!(report.ok(), "{report}");
/// assert!(acme.received().is_empty(), "a diagnosis sends no payload");
/// # Ok::<(), webhook_mtls::Error>(())
/// # }, || false).expect("nothing interrupts it")?;
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct Report {
    parts: Arc<Parts>,
}

struct Parts {
    consumer: String,
    /// Scheme, host and port. A path may contain a secret.
    origin: String,
    checks: Vec<CheckResult>,
    verdict: Verdict,
    message_to_consumer: Option<String>,
    elapsed: Duration,
}

/// The result of one check.
#[derive(Clone, Debug)]
pub struct CheckResult {
    pub(super) check: Check,
    pub(super) status: CheckStatus,
    pub(super) summary: String,
    pub(super) remedy: Option<String>,
    pub(super) errors: Vec<Error>,
}

/// One fault that a diagnosis found.
#[derive(Clone, Copy, Debug)]
pub struct Finding<'a> {
    /// The check that found it.
    pub check: Check,
    /// The error with which a delivery would fail if this were the only fault.
    pub error: &'a Error,
}

/// What a diagnosis comes to.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub(super) check: Option<Check>,
    pub(super) error: Option<Error>,
    pub(super) message: String,
    pub(super) remedy: String,
    pub(super) tell: Addressee,
}

impl Report {
    pub(super) fn new(
        consumer: &str,
        origin: String,
        checks: Vec<CheckResult>,
        ours: Option<&crate::material::identity::Identity>,
        elapsed: Duration,
    ) -> Self {
        let verdict = verdict::of(&checks);
        let message_to_consumer = message::to_consumer(&origin, &checks, ours);
        let consumer = consumer.to_owned();
        let parts = Parts { consumer, origin, checks, verdict, message_to_consumer, elapsed };
        Self { parts: Arc::new(parts) }
    }

    /// Returns whether no check failed.
    pub fn ok(&self) -> bool {
        self.parts.verdict.error.is_none()
    }

    /// Returns the consumer id of the endpoint.
    pub fn consumer(&self) -> &str {
        &self.parts.consumer
    }

    /// Returns scheme, host and port of the endpoint's URL.
    pub fn origin(&self) -> &str {
        &self.parts.origin
    }

    /// Returns the result of every check, in the order of the table.
    pub fn checks(&self) -> &[CheckResult] {
        &self.parts.checks
    }

    /// Returns the result of one check.
    pub fn check(&self, check: Check) -> Option<&CheckResult> {
        self.parts.checks.iter().find(|result| result.check == check)
    }

    /// Returns every fault, in the order of the checks.
    pub fn findings(&self) -> Vec<Finding<'_>> {
        let of = |result: &'_ CheckResult| result.check;
        let each = self.parts.checks.iter().filter(|result| result.status == CheckStatus::Failed);
        each.flat_map(|result| {
            result.errors.iter().map(move |error| Finding { check: of(result), error })
        })
        .collect()
    }

    /// Returns the checks that warn.
    pub fn warnings(&self) -> impl Iterator<Item = &CheckResult> {
        self.parts.checks.iter().filter(|result| result.status == CheckStatus::Warning)
    }

    /// Returns the verdict.
    pub fn verdict(&self) -> &Verdict {
        &self.parts.verdict
    }

    /// Returns a text for the operator of the consumer, or `None` if it need not act. It has no address,
    /// path, host or rule of ours: only what the consumer sees in a handshake.
    pub fn message_to_consumer(&self) -> Option<&str> {
        self.parts.message_to_consumer.as_deref()
    }

    /// Returns the duration of the diagnosis.
    pub fn elapsed(&self) -> Duration {
        self.parts.elapsed
    }

    /// Returns the report as text for a person. [`Display`](fmt::Display) has 80 columns and no color.
    pub fn to_text(&self, layout: Layout) -> String {
        text::render(self, layout)
    }

    /// Returns the whole report as the JSON that all languages share. Durations are in milliseconds.
    /// `docs/diagnosis.schema.json` describes it.
    pub fn to_json(&self) -> Value {
        let parts = &*self.parts;
        let checks: Vec<Value> = parts.checks.iter().map(CheckResult::to_json).collect();
        let findings: Vec<Value> = self.findings().into_iter().map(Finding::to_json).collect();
        json!({
            "schema": SCHEMA,
            "consumer": parts.consumer,
            "origin": parts.origin,
            "ok": self.ok(),
            "checks": checks,
            "findings": findings,
            "verdict": parts.verdict.to_json(),
            "message_to_consumer": parts.message_to_consumer,
            "elapsed_ms": fraction(parts.elapsed),
        })
    }
}

impl CheckResult {
    /// Returns which check it is.
    pub fn check(&self) -> Check {
        self.check
    }

    /// Returns how it ended.
    pub fn status(&self) -> CheckStatus {
        self.status
    }

    /// Returns what was seen, in one sentence.
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// Returns what to do, if it failed or warns.
    pub fn remedy(&self) -> Option<&str> {
        self.remedy.as_deref()
    }

    /// Returns the faults that it found.
    pub fn errors(&self) -> &[Error] {
        &self.errors
    }

    fn to_json(&self) -> Value {
        let kinds: Vec<&str> = self.errors.iter().map(|error| error.kind().name()).collect();
        json!({
            "id": self.check.name(),
            "number": self.check as i32,
            "group": self.check.group().name(),
            "title": self.check.title(),
            "status": self.status.name(),
            "summary": self.summary,
            "remedy": self.remedy,
            "kinds": kinds,
            "help": self.check.help(),
        })
    }
}

impl Finding<'_> {
    fn to_json(self) -> Value {
        let error = self.error;
        json!({
            "check": self.check.name(),
            "kind": error.kind().name(),
            "stage": error.stage().name(),
            "blame": error.blame().name(),
            "scope": error.scope().name(),
            "retry": error.retry().name(),
            "message": error.message(),
            "remedy": error.remedy(),
            "context": error.context(),
            "help": error.help(),
        })
    }
}

impl Verdict {
    /// Returns the kind of the first fault, with which a delivery fails. `None` if there is none.
    pub fn kind(&self) -> Option<Kind> {
        self.error.as_ref().map(Error::kind)
    }

    /// Returns whose fault it is. `None` if there is none.
    pub fn blame(&self) -> Option<Blame> {
        self.error.as_ref().map(Error::blame)
    }

    /// Returns the check that decided.
    pub fn check(&self) -> Option<Check> {
        self.check
    }

    /// Returns what is wrong, in one sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns what to do.
    pub fn remedy(&self) -> &str {
        &self.remedy
    }

    /// Returns who must act.
    pub fn tell(&self) -> Addressee {
        self.tell
    }

    fn to_json(&self) -> Value {
        json!({
            "check": self.check.map(Check::name),
            "kind": self.kind().map(Kind::name),
            "blame": self.blame().map(Blame::name),
            "message": self.message,
            "remedy": self.remedy,
            "tell": self.tell.name(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text(Layout::default()))
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report")
            .field("consumer", &self.consumer())
            .field("ok", &self.ok())
            .field("verdict", &self.parts.verdict)
            .finish_non_exhaustive()
    }
}

/// The results of a diagnosis that runs.
pub(super) struct Results(Vec<CheckResult>);

impl Results {
    pub(super) fn new() -> Self {
        let each = Check::ALL.iter().map(|check| CheckResult {
            check: *check,
            status: CheckStatus::NotReached,
            summary: String::new(),
            remedy: None,
            errors: Vec::new(),
        });
        Self(each.collect())
    }

    pub(super) fn pass(&mut self, check: Check, summary: impl Into<String>) {
        self.set(check, CheckStatus::Passed, summary.into());
    }

    pub(super) fn skip(&mut self, check: Check, summary: impl Into<String>) {
        self.set(check, CheckStatus::Skipped, summary.into());
    }

    /// Leaves a check without a result, and says why.
    pub(super) fn miss(&mut self, check: Check, why: impl Into<String>) {
        self.set(check, CheckStatus::NotReached, why.into());
    }

    pub(super) fn warn(
        &mut self,
        check: Check,
        summary: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.set(check, CheckStatus::Warning, summary.into());
        let result = self.of(check);
        if result.status == CheckStatus::Warning {
            result.remedy = Some(remedy.into());
        }
    }

    /// Adds a fault. The first one of a check is its summary.
    pub(super) fn fail(&mut self, check: Check, error: Error) {
        let result = self.of(check);
        if result.errors.iter().any(|known| known.message() == error.message()) {
            return;
        }
        if result.errors.is_empty() {
            result.status = CheckStatus::Failed;
            error.message().clone_into(&mut result.summary);
            result.remedy = Some(error.remedy().to_owned());
        }
        result.errors.push(error);
    }

    /// Whether a check has a result.
    pub(super) fn is_decided(&self, check: Check) -> bool {
        let decided = |result: &&CheckResult| result.status != CheckStatus::NotReached;
        self.0.iter().filter(decided).any(|result| result.check == check)
    }

    pub(super) fn has_failed_in(&self, group: Group) -> bool {
        let mut failed = self.0.iter().filter(|result| result.status == CheckStatus::Failed);
        failed.any(|result| result.check.group() == group)
    }

    pub(super) fn into_checks(self) -> Vec<CheckResult> {
        self.0
    }

    /// A summary may have names that the consumer has chosen, so it is escaped and bounded.
    fn set(&mut self, check: Check, status: CheckStatus, summary: String) {
        let summary = composed(summary);
        let result = self.of(check);
        if result.status != CheckStatus::Failed {
            (result.status, result.summary) = (status, summary);
        }
    }

    fn of(&mut self, check: Check) -> &mut CheckResult {
        let at = Check::ALL.iter().position(|known| *known == check).unwrap_or_default();
        &mut self.0[at]
    }
}
