//! The statuses of several processes as one. Run with `--features testing`.
//!
//! The shared vectors have the rules. Here the statuses are those of dispatchers.
#![cfg(feature = "testing")]

mod schema;

use std::time::Duration;

use schema::check_schema;
use serde_json::{Value, json};
use webhook_mtls::bindings::runtime;
use webhook_mtls::endpoint::merge;
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
