//! The statuses of several processes as one. They arrive as JSON texts, through a store that the processes
//! share, so each is checked before it is used.
//!
//! Where two processes disagree, the merged status takes the side on which less harm is done: the identity that
//! is still needed, the earlier date, the worse circuit.

mod field;
mod merged;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use field::Field;
pub(crate) use merged::Needs;
pub use merged::{By, FleetConsumer, FleetIdentity, FleetStatus};

use super::options::check_id;
use super::{CircuitState, EndpointStatus, RotationStatus};
use crate::error::Error;
use crate::material::expiry::Expiry;
use crate::options::fault;

/// Counts the changes of the documents that break a reader.
const SCHEMA: u64 = 1;

/// The states of a rotation, the one that needs most care first.
const STATES: [&str; 3] = ["previous", "current", "unknown"];

/// The states of a circuit, the worst first.
const CIRCUITS: [CircuitState; 3] =
    [CircuitState::Open, CircuitState::HalfOpen, CircuitState::Closed];

/// Returns the status of one process as JSON.
///
/// * `process`: the name of the process, which no other one has.
///
/// Fails with `option_invalid` if the name is no id.
pub(crate) fn process_status(
    process: &str,
    at_ms: i64,
    rotation: &RotationStatus,
    endpoints: &BTreeMap<String, EndpointStatus>,
    expiries: &[Expiry],
) -> Result<Value, Error> {
    check_id("process", process)?;
    let rotation = rotation.to_json();
    let consumers: Map<String, Value> = endpoints
        .iter()
        .map(|(consumer, status)| {
            let rotation = &rotation["consumers"][consumer];
            (consumer.clone(), json!({ "rotation": rotation, "endpoint": status.to_json() }))
        })
        .filter(|(_, status)| !status["rotation"].is_null())
        .collect();
    Ok(json!({
        "schema": SCHEMA,
        "process": process,
        "at_ms": at_ms,
        "consumers": consumers,
        "expiries": expiries.iter().map(Expiry::to_json).collect::<Vec<_>>(),
    }))
}

/// Merges the statuses of several processes, and says which process knows what.
///
/// A rotation is `current` at a consumer only if all processes want the same identity, one of them has seen
/// the consumer accept it, and none has seen another one accepted last. The earliest date and the worst
/// circuit are taken. `identities` has, for each of our identities, the processes that want it and the
/// consumers that accepted it last: [`Dispatcher::retire_in_fleet`](crate::Dispatcher::retire_in_fleet)
/// refuses to retire one of a list that is not empty. `docs/fleet.schema.json` describes both documents.
///
/// * `statuses`: one JSON text of [`Dispatcher::process_status`](crate::Dispatcher::process_status) for each
///   process.
///
/// # Errors
///
/// Fails with `option_invalid` if there is no status, if one is not such a document, or if two are of one
/// process.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let lab = webhook_mtls::testing::Lab::start()?;
/// # let dispatcher = lab.dispatcher();
/// let statuses = [dispatcher.process_status("web-1")?, dispatcher.process_status("web-2")?];
/// let fleet = webhook_mtls::endpoint::merge(statuses.map(|status| status.to_string()))?;
/// assert_eq!(fleet["processes"].as_array().map(Vec::len), Some(2));
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
pub fn merge<S: AsRef<str>>(statuses: impl IntoIterator<Item = S>) -> Result<Value, Error> {
    let mut processes: BTreeMap<String, ProcessStatus> = BTreeMap::new();
    for (at, text) in statuses.into_iter().enumerate() {
        let refused = |why: &str| fault("statuses", format_args!("has in entry {}: {why}", at + 1));
        let (name, status) = parse(text.as_ref()).map_err(|why| refused(&why))?;
        if processes.insert(name, status).is_some() {
            return Err(refused("a second status of one process")
                .advising("Give each process a name of its own."));
        }
    }
    if processes.is_empty() {
        return Err(fault("statuses", "is empty: no process says anything"));
    }
    Ok(merged(&processes))
}

/// What one process knows.
struct ProcessStatus {
    at_ms: i64,
    consumers: BTreeMap<String, Consumer>,
    expiries: Vec<(ExpiryKey, i64, f64)>,
}

/// What expires, and its name.
type ExpiryKey = (String, String);

/// What one process knows of a consumer.
struct Consumer {
    wanted: String,
    accepted: Option<String>,
    accepted_at_ms: Option<i64>,
    state: &'static str,
    pin_seen: Option<String>,
    pins_never_seen: Vec<String>,
    peer_not_after_ms: Option<i64>,
    circuit: CircuitState,
    circuit_open_until_ms: Option<i64>,
}

/// The names of the processes that say something.
type Names<'a> = BTreeMap<&'a str, Vec<&'a str>>;

fn merged(processes: &BTreeMap<String, ProcessStatus>) -> Value {
    let names: BTreeSet<&str> =
        processes.values().flat_map(|status| status.consumers.keys().map(String::as_str)).collect();
    let mut identities: BTreeMap<&str, [BTreeSet<&str>; 2]> = BTreeMap::new();
    for (process, status) in processes {
        for (consumer, known) in &status.consumers {
            identities.entry(&known.wanted).or_default()[0].insert(process);
            if let Some(accepted) = &known.accepted {
                identities.entry(accepted).or_default()[1].insert(consumer);
            }
        }
    }
    let identities: Map<String, Value> = identities
        .into_iter()
        .map(|(pin, [wanted_by, accepted_by])| {
            (pin.to_owned(), json!({ "wanted_by": wanted_by, "accepted_by": accepted_by }))
        })
        .collect();
    let consumers: Map<String, Value> =
        names.into_iter().map(|name| (name.to_owned(), merged_consumer(name, processes))).collect();
    let shown = |(name, status): (&String, &ProcessStatus)| json!({ "process": name, "at_ms": status.at_ms });
    json!({
        "schema": SCHEMA,
        "processes": processes.iter().map(shown).collect::<Vec<_>>(),
        "consumers": consumers,
        "identities": identities,
        "expiries": merged_expiries(processes),
    })
}

fn merged_consumer(name: &str, processes: &BTreeMap<String, ProcessStatus>) -> Value {
    let known: Vec<(&str, &Consumer)> = processes
        .iter()
        .filter_map(|(process, status)| Some((process.as_str(), status.consumers.get(name)?)))
        .collect();
    let unknown_to: Vec<&str> = processes
        .iter()
        .filter(|(_, status)| !status.consumers.contains_key(name))
        .map(|(process, _)| process.as_str())
        .collect();
    let by = |said: fn(&Consumer) -> Option<&str>| {
        let mut by = Names::new();
        for (process, consumer) in &known {
            if let Some(said) = said(consumer) {
                by.entry(said).or_default().push(process);
            }
        }
        by
    };
    let wanted = by(|consumer| Some(&consumer.wanted));
    let states = by(|consumer| Some(consumer.state));
    let circuits = by(|consumer| Some(consumer.circuit.name()));
    let state = match STATES.iter().find(|state| states.contains_key(**state)) {
        // A process that wants another identity needs the consumer to accept that one.
        Some(_) if wanted.len() > 1 => "previous",
        Some(state) => state,
        None => "unknown",
    };
    let circuit = CIRCUITS.iter().find(|state| circuits.contains_key(state.name()));
    let never: BTreeSet<&String> =
        known.iter().flat_map(|(_, consumer)| &consumer.pins_never_seen).collect();
    let all = || known.iter().map(|(_, consumer)| *consumer);
    json!({
        "state": state,
        "state_by": states,
        "wanted_by": wanted,
        "accepted_by": by(|consumer| consumer.accepted.as_deref()),
        "accepted_at_ms": all().filter_map(|consumer| consumer.accepted_at_ms).max(),
        "pin_seen_by": by(|consumer| consumer.pin_seen.as_deref()),
        "pins_never_seen": never,
        "peer_not_after_ms": all().filter_map(|consumer| consumer.peer_not_after_ms).min(),
        "circuit": circuit.map(|state| state.name()),
        "circuit_by": circuits,
        "circuit_open_until_ms": all().filter_map(|consumer| consumer.circuit_open_until_ms).max(),
        "unknown_to": unknown_to,
    })
}

/// The earliest date of each item, the smallest share of a lifetime first.
fn merged_expiries(processes: &BTreeMap<String, ProcessStatus>) -> Vec<Value> {
    let mut earliest: BTreeMap<&ExpiryKey, (i64, f64, Vec<&str>)> = BTreeMap::new();
    for (process, status) in processes {
        for (key, not_after, left) in &status.expiries {
            let known = earliest.entry(key).or_insert((*not_after, *left, Vec::new()));
            if *not_after < known.0 {
                (known.0, known.2) = (*not_after, Vec::new());
            }
            known.1 = known.1.min(*left);
            if *not_after == known.0 && known.2.last() != Some(&process.as_str()) {
                known.2.push(process);
            }
        }
    }
    let mut all: Vec<_> = earliest.into_iter().collect();
    all.sort_by(|(one, (date, left, _)), (other, (other_date, other_left, _))| {
        left.total_cmp(other_left).then_with(|| (date, one).cmp(&(other_date, other)))
    });
    let shown = |((what, name), (date, left, by)): (&ExpiryKey, (i64, f64, Vec<&str>))| json!({ "what": what, "name": name, "not_after_ms": date, "fraction_left": left, "by": by });
    all.into_iter().map(shown).collect()
}

/// Parses the status of one process. The error names the faulty field, and has no text of the document.
fn parse(text: &str) -> Result<(String, ProcessStatus), String> {
    let json = json_of(text)?;
    let root = document(&json)?;
    let process = root.field("process")?.id()?;
    let mut consumers = BTreeMap::new();
    for (name, value) in root.field("consumers")?.object()? {
        let known = consumer(&Field { path: "consumers.*", value })?;
        consumers.insert(name.clone(), known);
    }
    let mut expiries = Vec::new();
    for value in root.field("expiries")?.list()? {
        expiries.push(expiry(&Field { path: "expiries.*", value })?);
    }
    let at_ms = root.field("at_ms")?.integer()?;
    Ok((process, ProcessStatus { at_ms, consumers, expiries }))
}

fn json_of(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|_| "a text that is not JSON".to_owned())
}

/// Returns the fields of a document, if it has our schema.
fn document(json: &Value) -> Result<Field<'_>, String> {
    let root = Field { path: "the document", value: json };
    let schema = root.field("schema")?;
    if schema.value.as_u64() != Some(SCHEMA) {
        return Err(format!("another schema than {SCHEMA}"));
    }
    Ok(root)
}

fn expiry(of: &Field<'_>) -> Result<(ExpiryKey, i64, f64), String> {
    let what = of.field("expiries.*.what")?.text()?;
    let name = of.field("expiries.*.name")?.text()?;
    let date = of.field("expiries.*.not_after_ms")?.integer()?;
    let left = of.field("expiries.*.fraction_left")?.fraction()?;
    Ok(((what, name), date, left))
}

fn consumer(of: &Field<'_>) -> Result<Consumer, String> {
    let rotation = of.field("consumers.*.rotation")?;
    let endpoint = of.field("consumers.*.endpoint")?;
    let state = rotation.field("consumers.*.rotation.state")?;
    let circuit = endpoint.field("consumers.*.endpoint.circuit")?;
    let until = endpoint.field("consumers.*.endpoint.circuit_open_until_ms")?;
    let never = endpoint.field("consumers.*.endpoint.pins_never_seen")?;
    let pin = |value| Field { path: "consumers.*.endpoint.pins_never_seen.*", value }.text();
    Ok(Consumer {
        wanted: rotation.field("consumers.*.rotation.wanted")?.text()?,
        accepted: rotation.field("consumers.*.rotation.accepted")?.or_null(Field::text)?,
        accepted_at_ms: rotation
            .field("consumers.*.rotation.accepted_at_ms")?
            .or_null(Field::integer)?,
        state: state.word(states())?,
        pin_seen: endpoint.field("consumers.*.endpoint.pin_seen")?.or_null(Field::text)?,
        pins_never_seen: never.list()?.iter().map(pin).collect::<Result<_, _>>()?,
        peer_not_after_ms: endpoint
            .field("consumers.*.endpoint.peer_not_after_ms")?
            .or_null(Field::integer)?,
        circuit: circuit.word(circuits())?,
        circuit_open_until_ms: until.or_null(Field::integer)?,
    })
}

/// The words of a rotation.
fn states() -> impl Iterator<Item = (&'static str, &'static str)> {
    STATES.into_iter().map(|state| (state, state))
}

/// The words of a circuit.
fn circuits() -> impl Iterator<Item = (&'static str, CircuitState)> {
    CIRCUITS.into_iter().map(|state| (state.name(), state))
}
