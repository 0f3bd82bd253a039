//! The progress of an identity rotation, and its end.

use napi_derive::napi;
use webhook_mtls::{Dispatcher, Identity};

use crate::convert::{CallResult, Handle, guarded};

#[napi]
pub fn dispatcher_rotation_status(dispatcher: Handle<Dispatcher>) -> CallResult<String> {
    guarded(|| Ok(dispatcher.0.rotation_status().to_json().to_string()))
}

#[napi]
pub fn dispatcher_process_status(
    dispatcher: Handle<Dispatcher>,
    process: String,
) -> CallResult<String> {
    guarded(|| Ok(dispatcher.0.process_status(&process)?.to_string()))
}

#[napi]
pub fn merge(statuses: Vec<String>) -> CallResult<String> {
    guarded(|| Ok(webhook_mtls::endpoint::merge(statuses)?.to_string()))
}

#[napi]
pub fn dispatcher_retire(
    dispatcher: Handle<Dispatcher>,
    identity: Handle<Identity>,
    force: bool,
    fleet: Option<String>,
) -> CallResult<Vec<String>> {
    guarded(|| match fleet {
        None => dispatcher.0.retire(&identity.0, force),
        Some(fleet) => dispatcher.0.retire_in_fleet(&identity.0, &fleet, force),
    })
}
