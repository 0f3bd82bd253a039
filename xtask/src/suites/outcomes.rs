//! Hostile receivers: compares each language's report of a delivery with the receiver's record.
//! `tests/outcomes` describes the receivers and the rules; this file checks the rules.

mod beside_floods;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::command::{Failure, Result, Step};
use crate::debian;
use crate::languages::Languages;
use crate::languages::c_programs::{self, Linkage};
use crate::languages::rust;
use crate::paths;

/// The minimum number of rows per language. It catches a suite that loses cases.
const AT_LEAST: usize = 260;

/// The time limit of a client for all cases; a client takes seconds.
const LIMIT: Duration = Duration::from_secs(4 * 60);

/// The time by which a delivery may exceed a deadline while all receivers run at once on few cores.
const GRACE_MS: u64 = 3000;

/// The time in which the client must end a flood, far less than the deadline. It takes milliseconds on
/// an idle machine.
const FLOOD_MS: u64 = 10_000;

/// Part of every body and of a header of every delivery. No error may contain it.
const SECRET: &str = "hunter2";

/// Runs every case in every language; returns the closing line.
pub(crate) fn test(languages: &Languages) -> Result<String> {
    let receivers = rust::test_program("hostile")?;
    let mut rows = Vec::new();
    for (language, command) in clients(languages)? {
        let directory = paths::target().join("outcomes").join(language);
        rows.extend(run(language, &command, &receivers, &directory, None)?.rows);
        println!("{}", beside_floods::measure(language, &command, &receivers)?);
    }
    let told = rows.iter().map(Row::to_json).collect::<Vec<_>>();
    let text = format!("{:#}\n", Value::Array(told));
    paths::write(&paths::target().join("outcomes.json"), &text)?;
    closing(&rows)
}

/// Runs every cut of a handshake and of a response, part by part, with the languages in turn;
/// returns the closing line.
pub(crate) fn cuts(languages: &Languages) -> Result<String> {
    let receivers = rust::test_program("hostile")?;
    let clients = clients(languages)?;
    let directory = paths::target().join("outcomes").join("cuts");
    let mut count = 0;
    for part in 0.. {
        let (language, command) = &clients[part % clients.len()];
        let what = part.to_string();
        let rows = run(language, command, &receivers, &directory, Some(&what))?.rows;
        if rows.is_empty() {
            break;
        }
        count += rows.len();
        let broken: Vec<&str> =
            rows.iter().flat_map(|row| &row.broken).map(String::as_str).collect();
        if !broken.is_empty() {
            let what = format!("cuts broke {} rules", broken.len());
            return Err(Failure::with_output(what, broken.join("\n")));
        }
    }
    Ok(format!("{count} cuts, no rule broken"))
}

/// Returns the program of each language that delivers to all cases.
fn clients(languages: &Languages) -> Result<[(&'static str, Vec<String>); 4]> {
    debian::ensure(&[debian::CJSON])?;
    let sources = paths::root().join("tests").join("clients");
    let source = sources.join("deliver_all.c");
    let c = c_programs::compile(&languages.toolchain, languages.c()?, &source, Linkage::Static)?;
    let shown = |path: &Path| path.display().to_string();
    let python = [languages.python()?.interpreter(), sources.join("deliver_all.py")];
    Ok([
        ("rust", vec![shown(&rust::test_program("deliver_all")?)]),
        ("c", vec![shown(&c)]),
        ("python", python.iter().map(|path| shown(path)).collect()),
        ("node", languages.node()?.command("tests/clients/deliver_all.mjs")),
    ])
}

/// What one client reported for all cases.
struct Run {
    rows: Vec<Row>,
    /// The most processor time of one turn of its event loop, if it has one.
    loop_busy_ms: Option<f64>,
}

/// Starts the receivers, runs one client against all of them, and compares.
fn run(
    language: &str,
    command: &[String],
    receivers: &Path,
    directory: &Path,
    what: Option<&str>,
) -> Result<Run> {
    paths::make_empty(directory)?;
    let hostile = Hostile::start(receivers, directory, what)?;
    let output = Step::new(format!("deliver to all from {language}"), &command[0])
        .args(&command[1..])
        .arg(directory.join("cases.json"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .limit(LIMIT)
        .run()?;
    let saw = hostile.stop()?;
    let cases = read(&directory.join("cases.json"))?;
    let mut said: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    let lines: Vec<Value> =
        output.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let loop_busy_ms = lines.iter().find_map(|line| line["loop_busy_ms"].as_f64());
    for line in &lines {
        said.entry(line["case"].as_str().unwrap_or_default()).or_default().push(line.clone());
    }
    let mut rows: Vec<Row> = list(&cases["cases"])
        .map(|case| {
            let name = case["case"].as_str().unwrap_or_default();
            let said = said.remove(name).unwrap_or_default();
            Row::new(language, case, said, saw["saw"][name].clone())
        })
        .collect();
    if let (Some(rule), Some(row)) = (broken_by_redirect(&saw), rows.first_mut()) {
        row.broken.push(format!("{language}: {rule}"));
    }
    Ok(Run { rows, loop_busy_ms })
}

/// The running receivers.
struct Hostile {
    process: Child,
    program: PathBuf,
    directory: PathBuf,
}

impl Hostile {
    fn start(program: &Path, directory: &Path, what: Option<&str>) -> Result<Self> {
        let failed = |error: &dyn std::fmt::Display| Failure::at("cannot start", program, error);
        let mut process = Command::new(program)
            .arg(directory)
            .args(what)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A client's misbehavior makes a receiver thread print messages, which are not needed.
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| failed(&error))?;
        let mut said = String::new();
        BufReader::new(process.stdout.take().expect("piped"))
            .read_line(&mut said)
            .map_err(|error| failed(&error))?;
        let hostile =
            Self { process, program: program.to_owned(), directory: directory.to_owned() };
        if said.trim() == "ready" { Ok(hostile) } else { Err(failed(&"it did not become ready")) }
    }

    /// Stops the receivers; returns their records.
    fn stop(mut self) -> Result<Value> {
        // The process ends when its standard input closes; `wait` closes it first.
        let status = self.process.wait();
        if !status.is_ok_and(|status| status.success()) {
            return Err(Failure::at("it failed:", &self.program, &"the receivers"));
        }
        read(&self.directory.join("saw.json"))
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        let _ = self.process.wait();
    }
}

/// One case in one language: the report, the record, and the rules that they break.
struct Row {
    case: String,
    language: String,
    said: Vec<Value>,
    saw: Value,
    broken: Vec<String>,
}

impl Row {
    fn new(language: &str, case: &Value, said: Vec<Value>, saw: Value) -> Self {
        let name = case["case"].as_str().unwrap_or_default().to_owned();
        let broken = broken_rules(case, &said, &saw)
            .into_iter()
            .map(|rule| format!("{name} from {language}: {rule}"))
            .collect();
        Self { case: name, language: language.to_owned(), said, saw, broken }
    }

    fn to_json(&self) -> Value {
        let said: Vec<Value> = self.said.iter().map(shortened).collect();
        json!({
            "case": self.case,
            "language": self.language,
            "said": said,
            "saw": self.saw,
            "broken": self.broken,
        })
    }
}

/// Returns a report without the parts that only repeat the receiver's bytes.
fn shortened(said: &Value) -> Value {
    let mut short = Map::new();
    for key in ["delivery", "elapsed_ms"] {
        short.insert(key.to_owned(), said[key].clone());
    }
    let keys: &[&str] = if said["receipt"].is_object() {
        &["status", "attempts", "connection"]
    } else {
        &[
            "kind",
            "stage",
            "blame",
            "scope",
            "sent",
            "retry",
            "retry_after_ms",
            "message",
            "context",
        ]
    };
    let (word, told) = match &said["receipt"] {
        Value::Object(_) => ("receipt", &said["receipt"]),
        _ => ("error", &said["error"]),
    };
    let told: Map<String, Value> =
        keys.iter().map(|key| ((*key).to_owned(), told[*key].clone())).collect();
    short.insert(word.to_owned(), Value::Object(told));
    Value::Object(short)
}

/// Returns the broken rules, each as a sentence.
fn broken_rules(case: &Value, said: &[Value], saw: &Value) -> Vec<String> {
    let mut broken = Vec::new();
    let wanted = case["deliveries"].as_u64().unwrap_or(0);
    if said.len() as u64 != wanted {
        broken.push(format!("{} of {wanted} deliveries were reported", said.len()));
    }
    let successes = said.iter().filter(|said| said["receipt"].is_object()).count();
    let answered = list(&saw["answers"])
        .filter(|status| status.as_u64().is_some_and(|status| (200..300).contains(&status)))
        .count();
    if successes > answered {
        broken.push(format!("{successes} receipts for {answered} responses of 2xx"));
    }
    let flooded = saw["flooded_ms"].as_u64().unwrap_or(0);
    if flooded > FLOOD_MS {
        broken.push(format!("a flood went on for {flooded} ms"));
    }
    if !said.is_empty() && said.iter().all(says_nothing) && saw["bytes"] != json!(0) {
        broken.push(format!("nothing was sent, but {} bytes were received", saw["bytes"]));
    }
    for (told, said) in said.iter().enumerate() {
        broken.extend(broken_by_delivery(case, told, said, saw));
    }
    broken
}

/// Returns the rules that the report of one delivery breaks. `told` is its place among the reports.
fn broken_by_delivery(case: &Value, told: usize, said: &Value, saw: &Value) -> Vec<String> {
    let mut broken = Vec::new();
    let number = said["delivery"].as_u64().unwrap_or(0);
    let id = format!("{}-{number}", case["case"].as_str().unwrap_or_default());
    let of_it: Vec<&Value> =
        list(&saw["requests"]).filter(|seen| seen["id"] == id.as_str()).collect();
    if says_nothing(said) && !of_it.is_empty() {
        broken.push(format!("{id}: nothing was sent, but the receiver holds the request"));
    }
    let whole = of_it.iter().filter(|seen| seen["whole"] == true).count() as u64;
    let attempts = said["receipt"]["attempts"]
        .as_u64()
        .or(said["error"]["context"]["attempts"].as_u64())
        .unwrap_or(1);
    if whole > 1 {
        broken.push(format!("{id}: the payload arrived {whole} times"));
    }
    let arrived = of_it.iter().any(|seen| seen["body"] != json!(0));
    if arrived && said["error"]["context"]["payload_sent"] == false {
        broken.push(format!("{id}: the payload was not sent, but some of it arrived"));
    }
    if whole > attempts {
        broken.push(format!("{id}: arrived {whole} times in {attempts} attempts"));
    }
    let mut shown = said["error"].clone();
    if let Some(error) = shown.as_object_mut() {
        // The consumer's response, which may repeat our request.
        error.remove("response");
    }
    if shown.to_string().contains(SECRET) || said["text"].to_string().contains(SECRET) {
        broken.push(format!("{id}: an error shows the body or a header"));
    }
    let took = said["elapsed_ms"].as_u64().unwrap_or(u64::MAX);
    let total = case["timeout"].as_u64().unwrap_or(0);
    let allowed = said["error"]["context"]["allowed_ms"].as_u64().unwrap_or(total);
    if took > allowed + GRACE_MS {
        broken.push(format!("{id}: took {took} ms, the deadline is {allowed} ms"));
    }
    let expected = list(&case["expect"]).nth(told).or(list(&case["expect"]).last());
    if !expected.is_some_and(|allowed| list(allowed).any(|allowed| subset(allowed, said))) {
        let expected = expected.unwrap_or(&Value::Null);
        broken.push(format!("{id}: {} is not among {expected}", shortened(said)));
    }
    broken
}

fn says_nothing(said: &Value) -> bool {
    said["error"]["sent"] == "nothing"
}

/// The rule for all cases together: the target of the redirects counts its connections.
fn broken_by_redirect(saw: &Value) -> Option<&'static str> {
    (saw["trapped"] != json!(0)).then_some("a redirect was followed")
}

/// Checks that each language has enough rows and the same ones, and that no rule is broken.
fn closing(rows: &[Row]) -> Result<String> {
    let mut of_language: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in rows {
        of_language.entry(&row.language).or_default().push(&row.case);
    }
    let broken: Vec<&str> = rows.iter().flat_map(|row| &row.broken).map(String::as_str).collect();
    if !broken.is_empty() {
        let what = format!("{} broken rules, see target/outcomes.json", broken.len());
        return Err(Failure::with_output(what, broken.join("\n")));
    }
    let Some(first) = of_language.values().next() else {
        return Err(Failure::new("no language ran"));
    };
    if of_language.len() < 4 || first.len() < AT_LEAST {
        return Err(Failure::new(format!(
            "{} cases in {} languages, expected at least {AT_LEAST} in 4",
            first.len(),
            of_language.len()
        )));
    }
    if of_language.values().any(|cases| cases != first) {
        return Err(Failure::new("the languages ran different cases"));
    }
    Ok(format!("{} cases in {} languages, no rule broken", first.len(), of_language.len()))
}

fn subset(wanted: &Value, seen: &Value) -> bool {
    match (wanted, seen) {
        (Value::Object(wanted), Value::Object(seen)) => {
            wanted.iter().all(|(key, value)| seen.get(key).is_some_and(|seen| subset(value, seen)))
        }
        (Value::Number(wanted), Value::Number(seen)) => wanted.as_f64() == seen.as_f64(),
        _ => wanted == seen,
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn read(path: &Path) -> Result<Value> {
    serde_json::from_str(&paths::read(path)?)
        .map_err(|error| Failure::at("cannot read", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case() -> Value {
        json!({
            "case": "a", "deliveries": 1, "timeout": 1000,
            "expect": [[{ "receipt": {} }, { "error": {} }]],
        })
    }

    fn receipt() -> Value {
        json!({ "delivery": 1, "elapsed_ms": 5, "receipt": { "attempts": 1 } })
    }

    fn error(sent: &str) -> Value {
        let error = json!({ "kind": "connection_lost", "sent": sent, "context": {} });
        json!({ "delivery": 1, "elapsed_ms": 5, "error": error, "text": "connection_lost" })
    }

    fn saw(answers: &[u16], bytes: u64, times: usize) -> Value {
        let request = json!({ "id": "a-1", "body": 2, "whole": true });
        json!({ "answers": answers, "bytes": bytes, "requests": vec![request; times] })
    }

    /// Returns the broken rules in one line.
    fn broken(said: Value, saw: &Value) -> String {
        broken_rules(&case(), &[said], saw).join("; ")
    }

    #[test]
    fn a_true_report_breaks_no_rule() {
        assert_eq!(broken(receipt(), &saw(&[200], 90, 1)), "");
        assert_eq!(broken(error("all"), &saw(&[], 90, 1)), "");
        assert_eq!(broken(error("nothing"), &saw(&[], 0, 0)), "");
    }

    #[test]
    fn each_false_report_is_found() {
        let found = |said: Value, saw: &Value, what: &str| {
            let broken = broken(said, saw);
            assert!(broken.contains(what), "{broken} should contain {what}");
        };
        found(receipt(), &saw(&[503], 90, 1), "1 receipts for 0 responses");
        found(error("nothing"), &saw(&[], 90, 1), "the receiver holds the request");
        found(error("nothing"), &saw(&[], 9, 0), "9 bytes were received");
        found(receipt(), &saw(&[200], 90, 2), "arrived 2 times in 1 attempts");
        let mut twice = receipt();
        twice["receipt"]["attempts"] = json!(2);
        found(twice, &saw(&[200], 90, 2), "the payload arrived 2 times");
        let mut kept = error("maybe");
        kept["error"]["context"]["payload_sent"] = json!(false);
        found(kept, &saw(&[], 90, 1), "some of it arrived");
        let mut late = error("all");
        late["elapsed_ms"] = json!(1000 + GRACE_MS + 1);
        found(late, &saw(&[], 90, 1), "the deadline is");
        let mut late = error("all");
        late["elapsed_ms"] = json!(300 + GRACE_MS + 1);
        late["error"]["context"]["allowed_ms"] = json!(300);
        found(late, &saw(&[], 90, 1), "the deadline is 300");
        let mut flood = saw(&[], 90, 1);
        flood["flooded_ms"] = json!(FLOOD_MS + 1);
        found(error("all"), &flood, "a flood went on");
        let mut leak = error("all");
        leak["text"] = json!("the body was hunter2");
        found(leak, &saw(&[], 90, 1), "shows the body");
        let mut leak = error("all");
        leak["error"]["context"]["header"] = json!("hunter2");
        found(leak, &saw(&[], 90, 1), "shows the body");
        let none = broken_rules(&case(), &[], &saw(&[], 0, 0)).join("; ");
        assert!(none.contains("0 of 1 deliveries"), "{none}");
    }

    #[test]
    fn a_followed_redirect_is_found() {
        assert_eq!(broken_by_redirect(&json!({ "trapped": 0 })), None);
        assert!(broken_by_redirect(&json!({ "trapped": 1 })).is_some());
        assert!(broken_by_redirect(&json!({})).is_some(), "the trap did not report");
    }

    #[test]
    fn an_unexpected_outcome_is_found() {
        let mut case = case();
        case["expect"] = json!([[{ "error": { "kind": "connection_lost" } }]]);
        let found = broken_rules(&case, &[receipt()], &saw(&[200], 90, 1)).join("; ");
        assert!(found.contains("is not among"), "{found}");
    }

    fn rows(language: &str, count: usize) -> Vec<Row> {
        let named = |number: usize| {
            let mut case = case();
            case["case"] = json!(format!("case-{number}"));
            Row::new(language, &case, vec![receipt()], saw(&[200], 90, 0))
        };
        (0..count).map(named).collect()
    }

    #[test]
    fn too_few_cases_or_unequal_languages_fail() {
        let all = |counts: [usize; 4]| {
            let names = ["rust", "c", "python", "node"];
            let rows: Vec<Row> =
                names.iter().zip(counts).flat_map(|(name, count)| rows(name, count)).collect();
            closing(&rows).is_ok()
        };
        assert!(all([AT_LEAST; 4]));
        assert!(!all([AT_LEAST - 1; 4]));
        assert!(!all([AT_LEAST, AT_LEAST, AT_LEAST, AT_LEAST + 1]));
        assert!(!all([AT_LEAST, AT_LEAST, AT_LEAST, 0]));
    }
}
