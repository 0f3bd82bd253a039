//! The statuses of several processes as one. Run with `--features testing`.
//!
//! The shared vectors have the rules. Here the statuses are those of dispatchers.
#![cfg(feature = "testing")]

mod schema;

use std::time::Duration;

use schema::check_schema;
use serde_json::{Value, json};
use webhook_mtls::bindings::fleet::{FleetStatus, now_millis};
use webhook_mtls::bindings::runtime;
use webhook_mtls::endpoint::{CircuitState, merge};
use webhook_mtls::testing::{Consumer, Lab, Leaf};
use webhook_mtls::{
    DeliverOptions, Dispatcher, Endpoint, EndpointOptions, Error, Identity, Kind, Receipt,
};

fn dispatcher(lab: &Lab, identity: Identity) -> Dispatcher {
    Dispatcher::new(lab.dispatcher_options().identity(identity)).unwrap()
}

fn endpoint(dispatcher: &Dispatcher, consumer: &Consumer) -> Endpoint {
    let unpinned = EndpointOptions::new(None);
    dispatcher.endpoint(consumer.name(), &consumer.url(), unpinned).unwrap()
}

fn deliver(dispatcher: &Dispatcher, endpoint: &Endpoint) -> Result<Receipt, Error> {
    runtime::drive(dispatcher.deliver(endpoint, "{}", DeliverOptions::new()), || false).unwrap()
}

fn another_identity(lab: &Lab) -> Identity {
    let issued = lab.authority().issue(Leaf::client("second")).unwrap();
    Identity::from_pem(issued.chain_pem.as_bytes(), issued.key_pem.as_bytes(), None).unwrap()
}

fn merged(statuses: &[&Value]) -> Value {
    merge(statuses.iter().map(ToString::to_string)).unwrap()
}

#[test]
fn the_merged_status_names_who_needs_an_identity_and_whose_circuit_is_open() {
    let lab = Lab::start().unwrap();
    let (acme, other) = (lab.consumer("acme").unwrap(), lab.consumer("other").unwrap());
    // One process has the new certificate, one not yet, and one has not delivered.
    let (new, late) = (dispatcher(&lab, another_identity(&lab)), dispatcher(&lab, lab.identity()));
    let idle = dispatcher(&lab, lab.identity());
    let to_acme = [&new, &late, &idle].map(|dispatcher| endpoint(dispatcher, &acme));
    assert!(deliver(&new, &to_acme[0]).is_ok() && deliver(&late, &to_acme[1]).is_ok());
    endpoint(&idle, &other).open_circuit(Duration::from_secs(600)).unwrap();

    let statuses = [("new", &new), ("late", &late), ("idle", &idle)]
        .map(|(name, dispatcher)| dispatcher.process_status(name).unwrap());
    let fleet = merged(&statuses.each_ref());
    let known = &fleet["consumers"]["acme"];
    assert_eq!(known["state"], "previous", "{known}");
    assert_eq!(known["state_by"], json!({ "current": ["late", "new"], "unknown": ["idle"] }));
    let [ours, theirs] = [0, 1].map(|at| {
        statuses[at]["consumers"]["acme"]["rotation"]["wanted"].as_str().unwrap().to_owned()
    });
    assert_eq!(fleet["identities"][&theirs]["wanted_by"], json!(["idle", "late"]));
    assert_eq!(fleet["identities"][&theirs]["accepted_by"], json!(["acme"]));
    assert_eq!(fleet["identities"][&ours]["wanted_by"], json!(["new"]));
    let unwell = &fleet["consumers"]["other"];
    assert_eq!(
        (&unwell["circuit"], &unwell["unknown_to"]),
        (&json!("open"), &json!(["late", "new"]))
    );
    assert!(unwell["circuit_open_until_ms"].is_i64());

    // The order of the statuses does not matter.
    assert_eq!(merged(&[&statuses[2], &statuses[0], &statuses[1]]), fleet);

    let schema: Value = serde_json::from_str(include_str!("../../docs/fleet.schema.json")).unwrap();
    for status in &statuses {
        check_schema(&schema["$defs"]["process_status"], &schema, status, "status");
    }
    check_schema(&schema["$defs"]["fleet_status"], &schema, &fleet, "fleet");
}

#[test]
fn a_rotation_is_current_once_every_process_has_the_new_identity() {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let [one, two] = [(); 2].map(|()| dispatcher(&lab, lab.identity()));
    let to_acme = endpoint(&one, &acme);
    endpoint(&two, &acme);
    let state = || {
        let statuses =
            [("one", &one), ("two", &two)].map(|(name, it)| it.process_status(name).unwrap());
        merged(&statuses.each_ref())["consumers"]["acme"]["state"].clone()
    };
    assert_eq!(state(), "unknown");
    assert!(deliver(&one, &to_acme).is_ok());
    assert_eq!(state(), "current");
}

#[test]
fn an_identity_is_retired_once_no_process_of_the_fleet_needs_it() {
    let lab = Lab::start().unwrap();
    let (acme, other) = (lab.consumer("acme").unwrap(), lab.consumer("other").unwrap());
    let (former, next) = (lab.identity(), another_identity(&lab));
    let [one, two] = [(); 2].map(|()| dispatcher(&lab, former.clone()));
    for dispatcher in [&one, &two] {
        assert!(deliver(dispatcher, &endpoint(dispatcher, &acme)).is_ok());
    }
    assert!(deliver(&two, &endpoint(&two, &other)).is_ok());
    let renew = |dispatcher: &Dispatcher, consumer: &Consumer| {
        let renewed = EndpointOptions::new(None).identity(next.clone());
        dispatcher.endpoint(consumer.name(), &consumer.url(), renewed).unwrap()
    };
    let fleet = || {
        let statuses =
            [("one", &one), ("two", &two)].map(|(name, it)| it.process_status(name).unwrap());
        merged(&statuses.each_ref()).to_string()
    };
    let refused = |force, fleet: &str| {
        let error = one.retire_in_fleet(&former, fleet, force).unwrap_err();
        assert_eq!(error.kind(), Kind::IdentityInUse);
        (error.context()["consumers"].clone(), error.context().get("processes").cloned())
    };
    // This process presents it, whatever the fleet says.
    let before = fleet();
    assert_eq!(refused(true, &before), (json!(["acme"]), None));

    // Alone, this process would retire it now. The other one still presents it.
    assert!(deliver(&one, &renew(&one, &acme)).is_ok());
    for force in [false, true] {
        assert_eq!(refused(force, &fleet()), (json!(["acme", "other"]), Some(json!(["two"]))));
    }

    // The other process has the new one, and no answer to it yet.
    let renewed = [renew(&two, &acme), renew(&two, &other)];
    assert_eq!(refused(false, &fleet()), (json!(["acme", "other"]), Some(json!(["two"]))));
    assert!(deliver(&two, &renewed[0]).is_ok());
    assert_eq!(refused(false, &fleet()), (json!(["other"]), Some(json!(["two"]))));
    assert_eq!(one.retire_in_fleet(&former, &fleet(), true).unwrap(), ["other"]);

    assert!(deliver(&two, &renewed[1]).is_ok());
    let settled = fleet();
    for dispatcher in [&one, &two] {
        assert_eq!(dispatcher.retire_in_fleet(&former, &settled, false).unwrap(), [""; 0]);
    }
}

#[test]
fn a_consumer_that_only_this_process_knows_counts_in_the_fleet() {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let (one, two) = (dispatcher(&lab, lab.identity()), dispatcher(&lab, another_identity(&lab)));
    assert!(deliver(&one, &endpoint(&one, &acme)).is_ok());
    let renewed = EndpointOptions::new(None).identity(another_identity(&lab));
    one.endpoint("acme", &acme.url(), renewed).unwrap();
    // This process has not published.
    let fleet = merged(&[&two.process_status("two").unwrap()]).to_string();
    let error = one.retire_in_fleet(&lab.identity(), &fleet, false).unwrap_err();
    assert_eq!(error.kind(), Kind::IdentityInUse);
    assert_eq!(error.context()["consumers"], json!(["acme"]));
    assert_eq!(error.context()["processes"], json!([]));
    assert_eq!(one.retire_in_fleet(&lab.identity(), &fleet, true).unwrap(), ["acme"]);
}

#[test]
fn every_merged_status_can_be_read_back() {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let [one, two] = [(); 2].map(|()| dispatcher(&lab, lab.identity()));
    assert!(deliver(&one, &endpoint(&one, &acme)).is_ok());
    endpoint(&two, &acme).open_circuit(Duration::from_secs(600)).unwrap();
    let statuses =
        [("one", &one), ("two", &two)].map(|(name, it)| it.process_status(name).unwrap());
    let status = FleetStatus::from_json(&merged(&statuses.each_ref()).to_string()).unwrap();
    let known = &status.consumers["acme"];
    assert_eq!((known.state, known.circuit), ("current", CircuitState::Open));
    assert_eq!(known.circuit_by["open"].iter().collect::<Vec<_>>(), ["two"]);
    assert!(known.circuit_open_until_ms.is_some());
    assert_eq!(status.processes.keys().collect::<Vec<_>>(), ["one", "two"]);
    assert!(status.outdated(now_millis()).is_empty() && status.premature(now_millis()).is_empty());
    let later = now_millis() + 3_600_000;
    let outdated: Vec<&str> = status.outdated(later).iter().map(|(process, _)| *process).collect();
    assert_eq!(outdated, ["one", "two"]);
}

#[test]
fn a_name_of_a_process_is_an_id() {
    let lab = Lab::start().unwrap();
    let dispatcher = lab.dispatcher();
    for wrong in ["", "a\nb", &"x".repeat(257)] {
        let refused = dispatcher.process_status(wrong).unwrap_err();
        assert_eq!(refused.kind(), Kind::OptionInvalid);
        assert_eq!(refused.context()["option"], "process");
    }
}

#[test]
fn a_status_of_many_megabytes_is_merged() {
    let lab = Lab::start().unwrap();
    let status = lab.dispatcher().process_status("a").unwrap().to_string();
    assert!(merge([status + &" ".repeat(8 << 20)]).is_ok());
}

/// The vectors merge documents that a process has not made.
#[test]
fn a_merged_vector_can_be_read_back() {
    let vectors: Value =
        serde_json::from_str(include_str!("../../tests/vectors/config.json")).unwrap();
    let mut read = 0;
    for case in vectors["cases"].as_array().unwrap() {
        let is_merged = case["do"] == "merge" && case["expect"].get("ok").is_some();
        for statuses in case["with"]["statuses"].as_array().into_iter().filter(|_| is_merged) {
            let texts = statuses.iter().map(|it| it.as_str().map_or(it.to_string(), str::to_owned));
            let fleet = merge(texts).unwrap().to_string();
            assert!(FleetStatus::from_json(&fleet).is_ok(), "{}: {fleet}", case["name"]);
            read += 1;
        }
    }
    assert!(read > 8, "{read}");
}
