//! The lifetime of one dispatcher: random calls, and the checks at its end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{self, Receiver as Channel, Sender};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use webhook_mtls::bindings::runtime;
use webhook_mtls::{
    CancelToken, DeliverOptions, Delivery, Dispatcher, DispatcherOptions, Egress, EndpointOptions,
    Error, Fanout, Kind, Pins, Probe, ProbeOptions, Receipt, Sent,
};

use super::receiver::{Manner, Request};
use super::{BAD_PIN, CONSUMERS, IDENTITIES, Model, PinsOf, Random, SITES, Settings, Tally, World};

const MAX_CONNECTIONS: usize = 6;
const MAX_UNDER_WAY: u64 = 24;
pub(super) const MAX_AT_ONCE: u64 = 4;
const LONG: Duration = Duration::from_secs(60);
const BODY: &str = r#"{"a":"payload"}"#;

pub(super) type Outcome<T = Receipt> = Result<T, Error>;
type Ends<T> = (Sender<T>, Channel<T>);

pub(super) struct Lifetime<'a> {
    world: &'a World,
    random: &'a mut Random,
    /// The position in the run, for messages.
    pub(super) place: String,
    /// The number of returned calls that changed something.
    epoch: u64,
    dispatcher: Dispatcher,
    pub(super) models: Vec<Model>,
    /// The model of each consumer that has an endpoint.
    present: [Option<usize>; CONSUMERS],
    /// Whether the pin files hold the right pin.
    files: [bool; CONSUMERS],
    retired: BTreeSet<usize>,
    /// The numbers of generations and deliveries.
    numbers: u64,
    under_way: u64,
    tokens: Vec<CancelToken>,
    fanouts: Vec<(Fanout<String>, u64)>,
    ends: Ends<(String, Outcome)>,
    probes: Ends<(Seen, Outcome<Probe>)>,
    probing: u64,
    pub(super) outcomes: BTreeMap<String, Outcome>,
}

/// The model from which a probe was created, and when.
type Seen = (usize, u64);

impl<'a> Lifetime<'a> {
    pub(super) fn begin(world: &'a World, random: &'a mut Random, place: String) -> Self {
        let egress = Egress::public().allow(["127.0.0.0/8"]).expect("an egress");
        // The model does not know the circuit, which would refuse a delivery after failures.
        let options = DispatcherOptions::new().circuit_failures(0).expect("a count");
        let mut options = options.trust(world.trust.clone()).egress(egress);
        options = options.max_connections(MAX_CONNECTIONS).expect("a limit");
        options = options.reload(None).expect("an interval");
        for consumer in 0..CONSUMERS {
            world.write_pins(consumer, true);
        }
        world.receiver.requests().clear();
        *world.receiver.manner() = Manner::default();
        world.receiver.returned(0);
        Self {
            world,
            random,
            place,
            epoch: 0,
            dispatcher: Dispatcher::new(options).expect("a dispatcher"),
            models: Vec::new(),
            present: [None; CONSUMERS],
            files: [true; CONSUMERS],
            retired: BTreeSet::new(),
            numbers: 0,
            under_way: 0,
            tokens: Vec::new(),
            fanouts: Vec::new(),
            ends: mpsc::channel(),
            probes: mpsc::channel(),
            probing: 0,
            outcomes: BTreeMap::new(),
        }
    }

    pub(super) fn step(&mut self) {
        match self.random.below(100) {
            0..50 => self.deliver(),
            50..54 => self.deliver_many(),
            54..60 => self.cancel(),
            60..72 => self.upsert(),
            72..77 => self.throttle(),
            77..81 => self.remove(),
            81..85 => self.retire(),
            85..89 => self.reload(),
            89..92 => self.probe(),
            92..96 => self.behave(),
            96..98 => self.drop_run(),
            _ => thread::sleep(Duration::from_millis(self.random.below(4))),
        }
        self.collect();
        while self.under_way > MAX_UNDER_WAY {
            self.await_one();
        }
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// A call that changed these models has returned.
    fn returned(&mut self, change: impl Fn(&Model, &mut Settings)) {
        self.epoch += 1;
        self.world.receiver.returned(self.epoch);
        for model in &mut self.models {
            let mut settings = model.now().clone();
            change(model, &mut settings);
            if settings != *model.now() {
                model.history.push((self.epoch, settings));
            }
        }
    }

    /// Returns an endpoint, mostly one that was not removed.
    fn some_model(&mut self) -> Option<usize> {
        if !self.models.is_empty() && self.random.below(12) == 0 {
            return Some(self.random.index(self.models.len()));
        }
        self.present[self.random.index(CONSUMERS)]
    }

    fn options(&mut self) -> (String, DeliverOptions) {
        let id = format!("d-{}", self.number());
        let timeout = Duration::from_millis(10 + self.random.below(240));
        let options = DeliverOptions::new().id(&id).timeout(timeout).expect("a time");
        if self.random.below(3) > 0 {
            return (id, options);
        }
        let token = CancelToken::new();
        self.tokens.push(token.clone());
        (id, options.cancel(token))
    }

    fn deliver(&mut self) {
        let Some(at) = self.some_model() else { return self.upsert() };
        let (id, options) = self.options();
        self.start(at, id, options);
    }

    fn start(&mut self, at: usize, id: String, options: DeliverOptions) {
        let delivery = self.dispatcher.deliver(&self.models[at].handle, BODY, options);
        let end = self.ends.0.clone();
        let tell = move |outcome| drop(end.send((id, outcome)));
        runtime::spawn(delivery, tell).expect("a runtime");
        self.under_way += 1;
    }

    fn deliver_many(&mut self) {
        if self.fanouts.is_empty() {
            let run = Fanout::new(&self.dispatcher, Some(4)).expect("a run");
            self.fanouts.push((run, 0));
        }
        for _ in 0..self.random.below(5) {
            let Some(at) = self.some_model() else { return };
            let (id, options) = self.options();
            let delivery = Delivery::new(&self.models[at].handle, BODY, options);
            let (run, under_way) = &mut self.fanouts[0];
            run.submit(delivery, id);
            *under_way += 1;
            self.under_way += 1;
        }
    }

    /// Drops a run: its deliveries are canceled, and their outcomes are not reported.
    fn drop_run(&mut self) {
        self.collect();
        if let Some((run, under_way)) = self.fanouts.pop() {
            drop(run);
            self.under_way -= under_way;
        }
    }

    fn cancel(&mut self) {
        if !self.tokens.is_empty() {
            let at = self.random.index(self.tokens.len());
            self.tokens.swap_remove(at).cancel();
        }
    }

    fn upsert(&mut self) {
        let consumer = self.random.index(CONSUMERS);
        let (site, identity) = (self.random.index(SITES), self.random.index(IDENTITIES));
        let generation = self.number();
        let limit = 1 + self.random.below(MAX_AT_ONCE);
        let (pins, good) = match self.random.below(10) {
            0..5 => (PinsOf::Nowhere, true),
            5..7 => (PinsOf::Value, true),
            7 => (PinsOf::Value, false),
            _ => (PinsOf::File, self.files[consumer]),
        };
        let set = match pins {
            PinsOf::Nowhere => None,
            PinsOf::Value => Some(Pins::new([if good { &self.world.pin } else { BAD_PIN }])),
            PinsOf::File => Some(Pins::from_file(self.world.pins_of(consumer))),
        };
        let options = EndpointOptions::new(set.transpose().expect("pins"))
            .identity(self.world.identities[identity].clone());
        let options = limited(options, limit);
        let at = self.present[consumer];
        let number = match at {
            Some(at) => self.models[at].number,
            None => self.number(),
        };
        let port = self.world.receiver.ports[site];
        let url = format!("https://127.0.0.1:{port}/{number}/{generation}");
        let made = self.dispatcher.endpoint(&format!("c-{consumer}"), &url, options.clone());
        let handle = made.expect("an endpoint");
        let new = Settings {
            generation,
            site,
            identity,
            previous: BTreeSet::new(),
            pins,
            good,
            limit,
            removed: false,
        };
        let Some(at) = at else {
            self.returned(|_, _| {});
            self.present[consumer] = Some(self.models.len());
            let history = vec![(self.epoch, new)];
            self.models.push(Model { number, consumer, handle, url, options, history });
            return;
        };
        (self.models[at].url, self.models[at].options) = (url, options);
        let retired = self.retired.clone();
        self.returned(|model, settings| {
            if model.number == number {
                let mut previous = std::mem::take(&mut settings.previous);
                previous.insert(settings.identity);
                previous.retain(|former| *former != identity && !retired.contains(former));
                *settings = Settings { previous, ..new.clone() };
            }
        });
    }

    /// Changes only the limit of an endpoint.
    fn throttle(&mut self) {
        let Some(at) = self.present[self.random.index(CONSUMERS)] else { return };
        let limit = 1 + self.random.below(MAX_AT_ONCE);
        let Model { number, consumer, url, options, .. } = &self.models[at];
        let (number, options) = (*number, limited(options.clone(), limit));
        self.dispatcher.endpoint(&format!("c-{consumer}"), url, options).expect("an endpoint");
        self.returned(|model, settings| {
            if model.number == number {
                settings.limit = limit;
            }
        });
    }

    fn remove(&mut self) {
        let consumer = self.random.index(CONSUMERS);
        let removed = self.dispatcher.remove(&format!("c-{consumer}"));
        let at = self.present[consumer].take();
        assert_eq!(removed, at.is_some());
        let number = at.map(|at| self.models[at].number);
        self.returned(|model, settings| settings.removed |= Some(model.number) == number);
    }

    fn retire(&mut self) {
        // Mostly one that is not in use.
        let mut identity = self.random.index(IDENTITIES);
        let used =
            |it| self.present.iter().flatten().any(|at| self.models[*at].now().identity == it);
        for _ in 0..IDENTITIES {
            if used(identity) {
                identity = (identity + 1) % IDENTITIES;
            }
        }
        let retired = self.dispatcher.retire(&self.world.identities[identity], true);
        if let Err(error) = retired {
            return assert_eq!(error.kind(), Kind::IdentityInUse);
        }
        self.retired.insert(identity);
        self.returned(|_, settings| settings.previous.retain(|previous| *previous != identity));
    }

    fn reload(&mut self) {
        let consumer = self.random.index(CONSUMERS);
        let good = self.random.below(3) > 0;
        self.world.write_pins(consumer, good);
        self.files[consumer] = good;
        wait(self.dispatcher.reload()).expect("it is open");
        self.returned(|model, settings| {
            if model.consumer == consumer && !settings.removed && settings.pins == PinsOf::File {
                settings.good = good;
            }
        });
    }

    fn probe(&mut self) {
        let Some(at) = self.some_model() else { return };
        let options = ProbeOptions::new().timeout(Duration::from_millis(200)).expect("a time");
        let probe = self.dispatcher.probe(&self.models[at].handle, options);
        let (end, seen) = (self.probes.0.clone(), (at, self.epoch));
        runtime::spawn(probe, move |outcome| drop(end.send((seen, outcome)))).expect("a runtime");
        self.probing += 1;
    }

    /// Changes the behavior of the sites.
    fn behave(&mut self) {
        let slowness = [0, 0, 5, 20][self.random.index(4)];
        // Mostly one that causes a fallback.
        let present = self.present[self.random.index(CONSUMERS)];
        let identity = match present.filter(|_| self.random.below(3) > 0) {
            Some(at) => self.models[at].now().identity,
            None => self.random.index(IDENTITIES),
        };
        let refused = (identity, self.random.below(2) == 0);
        let someone = self.random.below(2) == 0;
        *self.world.receiver.manner() = Manner {
            refused: someone.then_some(refused),
            slowness: Duration::from_millis(slowness),
            gathers: false,
        };
    }

    /// Takes the available outcomes.
    fn collect(&mut self) {
        while let Ok((id, outcome)) = self.ends.1.try_recv() {
            self.ended(id, outcome);
        }
        let mut ended = Vec::new();
        for (run, under_way) in &mut self.fanouts {
            while let Some((id, outcome)) = run.try_next() {
                *under_way -= 1;
                ended.push((id, outcome));
            }
        }
        for (id, outcome) in ended {
            self.ended(id, outcome);
        }
        while let Ok((seen, outcome)) = self.probes.1.try_recv() {
            self.probing -= 1;
            self.check_probe(seen, &outcome);
        }
    }

    fn ended(&mut self, id: String, outcome: Outcome) {
        self.under_way -= 1;
        let former = self.outcomes.insert(id, outcome);
        assert!(former.is_none(), "two outcomes of one delivery, {}", self.place);
    }

    fn await_one(&mut self) {
        let (before, deadline) = (self.under_way, Instant::now() + LONG);
        while self.under_way == before {
            assert!(Instant::now() < deadline, "a delivery does not end, {}", self.place);
            if let Ok((id, outcome)) = self.ends.1.recv_timeout(Duration::from_millis(1)) {
                self.ended(id, outcome);
            }
            self.collect();
        }
    }

    /// Asserts that a probe shows settings that the endpoint had at some time since the call.
    fn check_probe(&self, (at, since): Seen, outcome: &Outcome<Probe>) {
        let model = &self.models[at];
        let probe = match outcome {
            Ok(probe) => probe.to_json(),
            Err(error) => return assert_eq!(error.sent(), Sent::Nothing, "{}", self.place),
        };
        let seen = probe["url"].as_str().and_then(|url| url.rsplit('/').next()?.parse().ok());
        let later = model.history.iter().map(|(_, settings)| settings);
        let known = model.after(since).into_iter().chain(later);
        let known = known.filter(|settings| settings.good && !settings.removed);
        let generations: Vec<u64> = known.map(|settings| settings.generation).collect();
        let told = format!("{seen:?} of {generations:?}, {}", self.place);
        assert!(seen.is_some_and(|seen| generations.contains(&seen)), "a probe saw {told}");
    }
}

fn limited(options: EndpointOptions, limit: u64) -> EndpointOptions {
    options.concurrency(usize::try_from(limit).expect("it is small")).expect("a limit")
}

fn wait<F: Future>(future: F) -> F::Output {
    runtime::drive(future, || false).expect("nothing interrupts")
}

// Checks at the end.
impl Lifetime<'_> {
    /// Waits for all deliveries in flight, closes, and checks all observations.
    pub(super) fn end(mut self, tally: &mut Tally) {
        self.settle();
        for at in self.present.into_iter().flatten() {
            self.gather(at);
        }
        // Some deliveries that the close ends.
        for _ in 0..self.random.below(6) {
            self.deliver();
        }
        wait(self.dispatcher.close(Duration::from_millis(self.random.below(20))));
        self.returned(|_, settings| settings.removed = true);
        self.settle();
        let deadline = Instant::now() + LONG;
        while self.world.receiver.returned(self.epoch) > 0 {
            assert!(Instant::now() < deadline, "connections are left, {}", self.place);
            thread::sleep(Duration::from_millis(1));
        }
        let requests = self.world.receiver.requests().clone();
        self.check_starts(&requests);
        self.check_limits(&requests);
        self.check_outcomes(&requests);
        tally.requests += requests.len() as u64;
        for outcome in self.outcomes.values() {
            let (attempts, kind) = match outcome {
                Ok(receipt) => (u64::from(receipt.attempts()), None),
                Err(error) => (
                    error.context().get("attempts").and_then(Value::as_u64).unwrap_or(1),
                    Some(error.kind()),
                ),
            };
            tally.deliveries += 1;
            tally.receipts += u64::from(kind.is_none());
            tally.closed += u64::from(kind == Some(Kind::HandleClosed));
            tally.again += u64::from(attempts > 1);
        }
    }

    fn settle(&mut self) {
        while !self.fanouts.is_empty() {
            self.drop_run();
        }
        while self.under_way > 0 {
            self.await_one();
        }
        while self.probing > 0 {
            let (seen, outcome) = self.probes.1.recv_timeout(LONG).expect("a probe ends");
            self.probing -= 1;
            self.check_probe(seen, &outcome);
        }
    }

    /// Runs as many concurrent deliveries as an endpoint allows: no turn and no permit is lost.
    fn gather(&mut self, at: usize) {
        let (limit, number) = (self.models[at].now().limit, self.models[at].number);
        if !self.models[at].now().good {
            return;
        }
        *self.world.receiver.manner() = Manner { gathers: true, ..Manner::default() };
        for count in 0..limit {
            let id = format!("g-{number}-{count}");
            let options = DeliverOptions::new().id(&id).timeout(LONG).expect("a time");
            self.start(at, id, options);
        }
        let deadline = Instant::now() + LONG;
        loop {
            let waits = |request: &&Request| {
                request.endpoint == number && request.whole && request.id.starts_with('g')
            };
            let gathered = self.world.receiver.requests().iter().filter(waits).count() as u64;
            if gathered == limit {
                break;
            }
            assert!(Instant::now() < deadline, "{gathered} of {limit} run, {}", self.place);
            thread::sleep(Duration::from_millis(1));
        }
        self.world.receiver.manner().gathers = false;
        self.settle();
        for count in 0..limit {
            let outcome = &self.outcomes[&format!("g-{number}-{count}")];
            assert!(outcome.is_ok(), "{outcome:?}, {}", self.place);
        }
    }
}
