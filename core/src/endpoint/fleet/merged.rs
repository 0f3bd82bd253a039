//! The merged status, read back. It decides whether an identity may be retired, and it comes through a
//! store, so it is believed only if its parts agree and each process has said its part lately.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value};

use super::{CIRCUITS, Field, STATES, check_id, circuits, document, expiry, json_of, states};
use crate::clock::{self, utc_text};
use crate::endpoint::CircuitState;
use crate::error::{Error, cause, key};
use crate::options::fault;

/// The greatest age of a status. A process that publishes every minute may miss four times.
const MAX_AGE: Duration = Duration::from_secs(300);

/// How far a status may be ahead of our clock: the clocks of two machines differ.
const MAX_AHEAD: Duration = Duration::from_secs(60);

/// The processes that say something, by what they say.
pub type By = BTreeMap<String, BTreeSet<String>>;

/// The statuses of several processes as one, read from the JSON text of [`merge`](super::merge).
#[derive(Clone, Debug)]
pub struct FleetStatus {
    /// When each process said what it knows, in Unix milliseconds, by its name.
    pub processes: BTreeMap<String, i64>,
    /// What the processes know of a consumer, by its id.
    pub consumers: BTreeMap<String, FleetConsumer>,
    /// Who needs each of our identities, by its pin.
    pub identities: BTreeMap<String, FleetIdentity>,
}

/// What the processes know of a consumer.
#[derive(Clone, Debug)]
pub struct FleetConsumer {
    /// `current`, `previous` or `unknown`.
    pub state: &'static str,
    /// The processes that present an identity, by its pin.
    pub wanted_by: By,
    /// The processes that saw an identity accepted last, by its pin.
    pub accepted_by: By,
    /// The worst circuit.
    pub circuit: CircuitState,
    /// The processes that have a circuit, by its state.
    pub circuit_by: By,
    /// The latest end of a pause, in Unix milliseconds.
    pub circuit_open_until_ms: Option<i64>,
}

/// Who needs one of our identities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FleetIdentity {
    /// The processes that present it.
    pub wanted_by: BTreeSet<String>,
    /// The consumers that accepted it last.
    pub accepted_by: BTreeSet<String>,
}

/// The processes and consumers that need an identity.
#[derive(Default)]
pub(crate) struct Needs {
    pub(crate) processes: BTreeSet<String>,
    pub(crate) consumers: BTreeSet<String>,
}

impl FleetStatus {
    /// Reads a merged status.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` if the text is no merged status, or if its parts contradict each other.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        read(text).map_err(|why| {
            fault("fleet", format_args!("is no merged status: it has {why}")).advising(
                "Give the merged status of all processes, which docs/fleet.schema.json describes.",
            )
        })
    }

    /// Returns the processes whose status is too old, with its date in Unix milliseconds, the oldest first.
    pub fn outdated(&self, now_ms: i64) -> Vec<(&str, i64)> {
        let earliest = now_ms.saturating_sub(millis(MAX_AGE));
        self.dated(|at_ms| at_ms < earliest)
    }

    /// Returns the processes whose status is ahead of our clock, with its date in Unix milliseconds, the
    /// earliest first.
    pub fn premature(&self, now_ms: i64) -> Vec<(&str, i64)> {
        let latest = now_ms.saturating_add(millis(MAX_AHEAD));
        self.dated(|at_ms| at_ms > latest)
    }

    /// Fails with `option_invalid` if the status of a process is too old or ahead of our clock, and with
    /// `clock_implausible`.
    pub(crate) fn check_dates(&self) -> Result<(), Error> {
        clock::now()?;
        let now_ms = clock::now_millis();
        for (untimely, cause, limit) in [
            (self.outdated(now_ms), &cause::STATUS_OUTDATED, MAX_AGE),
            (self.premature(now_ms), &cause::STATUS_PREMATURE, MAX_AHEAD),
        ] {
            if let Some((process, at_ms)) = untimely.first() {
                let (said, now) = (date(*at_ms), date(now_ms));
                let why = format_args!(
                    "has a status of process {process} from {said}; now is {now}, and a difference of {} s \
                     is allowed",
                    limit.as_secs()
                );
                let names: Vec<String> =
                    untimely.iter().map(|(process, _)| (*process).to_owned()).collect();
                return Err(fault("fleet", why).caused(cause, &[]).noting(key::PROCESSES, names));
            }
        }
        Ok(())
    }

    /// Returns the processes that present an identity, and the consumers to which they do.
    pub(crate) fn wanted(&self, pin: &str) -> Needs {
        self.said(pin, |consumer| &consumer.wanted_by)
    }

    /// Returns the consumers that accepted an identity last, and the processes that saw it.
    pub(crate) fn accepted(&self, pin: &str) -> Needs {
        self.said(pin, |consumer| &consumer.accepted_by)
    }

    fn said(&self, pin: &str, by: fn(&FleetConsumer) -> &By) -> Needs {
        let mut needs = Needs::default();
        for (name, consumer) in &self.consumers {
            if let Some(processes) = by(consumer).get(pin) {
                needs.consumers.insert(name.clone());
                needs.processes.extend(processes.iter().cloned());
            }
        }
        needs
    }

    fn dated(&self, is_meant: impl Fn(i64) -> bool) -> Vec<(&str, i64)> {
        let all = self.processes.iter().map(|(name, at_ms)| (name.as_str(), *at_ms));
        let mut meant: Vec<(&str, i64)> = all.filter(|(_, at_ms)| is_meant(*at_ms)).collect();
        meant.sort_by_key(|(_, at_ms)| *at_ms);
        meant
    }

    /// Returns who needs each identity, as the consumers say.
    fn needed(&self) -> BTreeMap<String, FleetIdentity> {
        let mut identities: BTreeMap<String, FleetIdentity> = BTreeMap::new();
        for (name, consumer) in &self.consumers {
            for (pin, processes) in &consumer.wanted_by {
                let needs = identities.entry(pin.clone()).or_default();
                needs.wanted_by.extend(processes.iter().cloned());
            }
            for pin in consumer.accepted_by.keys() {
                let needs = identities.entry(pin.clone()).or_default();
                needs.accepted_by.insert(name.clone());
            }
        }
        identities
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn date(at_ms: i64) -> String {
    utc_text(at_ms.div_euclid(1000))
}

/// Reads a merged status. The error names the faulty field, and has no text of the document.
fn read(text: &str) -> Result<FleetStatus, String> {
    let json = json_of(text)?;
    let root = document(&json)?;
    let mut processes = BTreeMap::new();
    for value in root.field("processes")?.list()? {
        let process = Field { path: "processes.*", value };
        let at_ms = process.field("processes.*.at_ms")?.integer()?;
        if processes.insert(process.field("processes.*.process")?.id()?, at_ms).is_some() {
            return Err("one process twice".to_owned());
        }
    }
    if processes.is_empty() {
        return Err("no process".to_owned());
    }
    let mut consumers = BTreeMap::new();
    for (name, value) in root.field("consumers")?.object()? {
        check_id("consumer", name).map_err(|_| "a consumer whose name is no id".to_owned())?;
        let known = consumer(&Field { path: "consumers.*", value }, &processes)?;
        consumers.insert(name.clone(), known);
    }
    let mut identities = BTreeMap::new();
    for (pin, value) in root.field("identities")?.object()? {
        let needs = Field { path: "identities.*", value };
        let wanted_by = needs.field("identities.*.wanted_by")?;
        let accepted_by = needs.field("identities.*.accepted_by")?;
        let needs = FleetIdentity {
            wanted_by: wanted_by.names(|name| processes.contains_key(name))?,
            accepted_by: accepted_by.names(|name| consumers.contains_key(name))?,
        };
        // A later version may list an identity that is not needed.
        if needs != FleetIdentity::default() {
            identities.insert(pin.clone(), needs);
        }
    }
    for value in root.field("expiries")?.list()? {
        let item = Field { path: "expiries.*", value };
        expiry(&item)?;
        item.field("expiries.*.by")?.names(|name| processes.contains_key(name))?;
    }
    let status = FleetStatus { processes, consumers, identities };
    if status.needed() != status.identities {
        return Err("identities that contradict consumers".to_owned());
    }
    Ok(status)
}

fn consumer(of: &Field<'_>, processes: &BTreeMap<String, i64>) -> Result<FleetConsumer, String> {
    let is_process = |name: &str| processes.contains_key(name);
    let by = |path, is_known: &dyn Fn(&str) -> bool| -> Result<By, String> {
        let field = of.field(path)?;
        let said =
            |(said, value): (&String, &Value)| -> Result<(String, BTreeSet<String>), String> {
                let names = Field { value, ..field }.names(is_process)?;
                if names.is_empty() || !is_known(said) {
                    return Err(field.expected("an object of known words and lists of processes"));
                }
                Ok((said.clone(), names))
            };
        let fields: &Map<String, Value> = field.object()?;
        fields.iter().map(said).collect()
    };
    let any = |_: &str| true;
    let is_state = |word: &str| STATES.contains(&word);
    let is_circuit = |word: &str| CIRCUITS.iter().any(|circuit| circuit.name() == word);
    let wanted_by = by("consumers.*.wanted_by", &any)?;
    let unknown_to = of.field("consumers.*.unknown_to")?.names(is_process)?;
    // A process that says nothing of a consumer may present any identity to it.
    let heard = wanted_by.values().flatten().chain(&unknown_to).collect::<BTreeSet<_>>();
    if heard.len() < processes.len() {
        return Err("a consumer of which a process says nothing".to_owned());
    }
    by("consumers.*.state_by", &is_state)?;
    by("consumers.*.pin_seen_by", &any)?;
    of.field("consumers.*.pins_never_seen")?.names(any)?;
    of.field("consumers.*.accepted_at_ms")?.or_null(Field::integer)?;
    of.field("consumers.*.peer_not_after_ms")?.or_null(Field::integer)?;
    Ok(FleetConsumer {
        state: of.field("consumers.*.state")?.word(states())?,
        wanted_by,
        accepted_by: by("consumers.*.accepted_by", &any)?,
        circuit: of.field("consumers.*.circuit")?.word(circuits())?,
        circuit_by: by("consumers.*.circuit_by", &is_circuit)?,
        circuit_open_until_ms: of
            .field("consumers.*.circuit_open_until_ms")?
            .or_null(Field::integer)?,
    })
}
