//! The native side of the testing kit, `webhook-mtls/testing`.
//!
//! In production the kit is an addon of its own. Identities and trust therefore leave it as PEM, and
//! never as handles, which are valid in one addon only.

#![expect(clippy::disallowed_types, reason = "the kit belongs to the process that started it")]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use napi::bindgen_prelude::{Buffer, Env, Object};
use napi_derive::napi;
use webhook_mtls::testing::{
    Answer, Authority, Consumer, Issued, KeyType, Lab, Leaf, Misbehavior, Nginx,
};
use webhook_mtls::{Error, Kind, testing};

use crate::convert::{CallResult, Handle, guarded, promise_on_thread};
use crate::test_hooks::instant;

/// A lab; `None` once it is closed.
type SharedLab = Arc<Mutex<Option<Lab>>>;

fn with_lab<T>(lab: &SharedLab, work: impl FnOnce(&Lab) -> Result<T, Error>) -> Result<T, Error> {
    match &*lab.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(lab) => work(lab),
        None => Err(Error::wrong_type("lab", "open", "closed")),
    }
}

#[napi]
pub fn lab_start(env: &Env) -> napi::Result<Object<'_>> {
    promise_on_thread(env, || Ok(Handle(Arc::new(Mutex::new(Some(Lab::start()?))))))
}

#[napi]
pub fn lab_close(env: &Env, lab: Handle<SharedLab>) -> napi::Result<Object<'_>> {
    promise_on_thread(env, move || {
        drop(lab.0.lock().unwrap_or_else(PoisonError::into_inner).take());
        Ok(())
    })
}

/// Returns the certificate chain, the key and the root as PEM.
#[napi]
pub fn lab_pem(lab: Handle<SharedLab>) -> CallResult<Vec<String>> {
    guarded(|| {
        with_lab(&lab.0, |lab| {
            let (chain, key) = lab.identity_pem();
            Ok(vec![chain, key, lab.trust_pem()])
        })
    })
}

#[napi]
pub fn lab_write_files(lab: Handle<SharedLab>, directory: String) -> CallResult<()> {
    guarded(|| with_lab(&lab.0, |lab| lab.write_files(directory)))
}

/// Returns the networks of the receivers, which a dispatcher for them must allow.
#[napi]
pub fn lab_networks() -> Vec<&'static str> {
    testing::LOOPBACK.to_vec()
}

#[napi]
pub fn lab_consumer(env: &Env, lab: Handle<SharedLab>, name: String) -> napi::Result<Object<'_>> {
    promise_on_thread(env, move || with_lab(&lab.0, |lab| lab.consumer(&name).map(Handle)))
}

#[napi]
pub fn consumer_url(consumer: Handle<Consumer>) -> String {
    consumer.0.url()
}

#[napi]
pub fn consumer_pin(consumer: Handle<Consumer>) -> String {
    consumer.0.pin()
}

#[napi]
pub fn consumer_connections(consumer: Handle<Consumer>) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a test opens fewer than 2^53 connections")]
    let connections = consumer.0.connections() as f64;
    connections
}

/// A request as the receiver recorded it.
#[napi(object, object_from_js = false)]
pub struct ReceivedRequest {
    pub id: Option<String>,
    pub method: String,
    pub path: String,
    pub headers: Vec<Vec<String>>,
    pub body: Buffer,
    pub tenant: Option<String>,
    pub server_name: Option<String>,
}

#[napi]
pub fn consumer_received(consumer: Handle<Consumer>) -> Vec<ReceivedRequest> {
    let converted = |request: testing::Received| ReceivedRequest {
        id: request.id,
        method: request.method,
        path: request.path,
        headers: request.headers.into_iter().map(|(name, value)| vec![name, value]).collect(),
        body: request.body.into(),
        tenant: request.tenant,
        server_name: request.server_name,
    };
    consumer.0.received().into_iter().map(converted).collect()
}

/// Returns a promise of whether `count` requests are recorded within `within_ms` milliseconds.
#[napi]
pub fn consumer_wait(
    env: &Env,
    consumer: Handle<Consumer>,
    count: u32,
    within_ms: f64,
) -> napi::Result<Object<'_>> {
    promise_on_thread(env, move || {
        let within = Duration::try_from_secs_f64(within_ms / 1000.0)
            .map_err(|_| Error::wrong_type("within", "a duration", "another number"))?;
        Ok(consumer.0.wait(count as usize, within))
    })
}

#[napi]
pub fn consumer_respond(
    consumer: Handle<Consumer>,
    status: u16,
    retry_after: Option<u32>,
    times: u32,
) {
    consumer.0.respond(Answer { retry_after, ..Answer::status(status) }, times);
}

#[napi]
pub fn consumer_misbehave(consumer: Handle<Consumer>, how: String, times: u32) -> CallResult<()> {
    guarded(|| {
        consumer.0.misbehave(Misbehavior::of_argument(&how)?, times);
        Ok(())
    })
}

#[napi]
pub fn consumer_behave(consumer: Handle<Consumer>) {
    consumer.0.behave();
}

#[napi]
pub fn consumer_renew(consumer: Handle<Consumer>, new_key: bool) -> CallResult<()> {
    guarded(|| consumer.0.renew(new_key))
}

#[napi]
pub fn consumer_issued(consumer: Handle<Consumer>) -> Handle<Issued> {
    Handle(consumer.0.issued())
}

#[napi]
pub fn consumer_show(consumer: Handle<Consumer>, issued: Handle<Issued>) {
    consumer.0.show(issued.0);
}

#[napi]
pub fn consumer_certify(
    consumer: Handle<Consumer>,
    authority: Handle<Authority>,
) -> CallResult<()> {
    guarded(|| consumer.0.certify(&authority.0))
}

#[napi]
pub fn consumer_accept(consumer: Handle<Consumer>, authority: Handle<Authority>) {
    consumer.0.accept(&authority.0);
}

#[napi]
pub fn consumer_accept_only(consumer: Handle<Consumer>, authority: Handle<Authority>) {
    consumer.0.accept_only(&authority.0);
}

#[napi]
pub fn lab_authority(lab: Handle<SharedLab>) -> CallResult<Handle<Authority>> {
    guarded(|| with_lab(&lab.0, |lab| Ok(Handle(lab.authority().clone()))))
}

#[napi]
pub fn authority(name: String, key_type: Option<String>) -> CallResult<Handle<Authority>> {
    guarded(|| {
        let key_type = match key_type {
            None => KeyType::default(),
            Some(word) => KeyType::from_name(&word)
                .ok_or_else(|| Error::wrong_type("key_type", "a type of key", "another text"))?,
        };
        Authority::with_key_type(&name, key_type).map(Handle)
    })
}

/// Returns the root and the intermediate as PEM.
#[napi]
pub fn authority_pem(authority: Handle<Authority>) -> Vec<String> {
    vec![authority.0.root_pem().to_owned(), authority.0.intermediate_pem()]
}

#[napi]
pub fn authority_issue(
    authority: Handle<Authority>,
    tenant: String,
    server: bool,
    not_before_ms: Option<f64>,
    not_after_ms: Option<f64>,
) -> CallResult<Handle<Issued>> {
    guarded(|| {
        let from = not_before_ms.map(|millis| instant("not_before", millis)).transpose()?;
        let until = not_after_ms.map(|millis| instant("not_after", millis)).transpose()?;
        let leaf = if server { Leaf::server(&tenant) } else { Leaf::client(&tenant) };
        authority.0.issue(leaf.between(from, until)).map(Handle)
    })
}

#[napi]
pub fn authority_crl(
    authority: Handle<Authority>,
    revoked: Vec<Handle<Issued>>,
) -> CallResult<String> {
    guarded(|| {
        let revoked: Vec<&Issued> = revoked.iter().map(|issued| &issued.0).collect();
        authority.0.crl(&revoked)
    })
}

/// Returns the chain and the key as PEM, and the pin.
#[napi]
pub fn issued_pem(issued: Handle<Issued>) -> Vec<String> {
    let Issued { chain_pem, key_pem, pin, .. } = issued.0;
    vec![chain_pem, key_pem, pin]
}

/// Returns header lines as `rawHeaders` of `node:http` has them.
#[napi]
pub fn issued_forwarded(
    issued: Handle<Issued>,
    dialect: String,
    forgery: Option<String>,
) -> CallResult<Vec<String>> {
    guarded(|| {
        let lines = issued.0.forwarded_by_name(&dialect, forgery.as_deref())?;
        Ok(lines.into_iter().flat_map(|(name, value)| [name, value]).collect())
    })
}

#[napi]
pub fn lab_nginx(
    env: &Env,
    lab: Handle<SharedLab>,
    application: String,
) -> napi::Result<Object<'_>> {
    promise_on_thread(env, move || with_lab(&lab.0, |lab| lab.nginx(&application).map(Handle)))
}

/// Returns the URL and the pin.
#[napi]
pub fn nginx_facts(nginx: Handle<Nginx>) -> Vec<String> {
    vec![nginx.0.url().to_owned(), nginx.0.pin().to_owned()]
}

#[napi]
pub fn nginx_close(env: &Env, nginx: Handle<Nginx>) -> napi::Result<Object<'_>> {
    promise_on_thread(env, move || {
        nginx.0.close();
        Ok(())
    })
}

/// Returns the JSON of a well-formed error of a kind.
#[napi]
pub fn testing_error(kind: String) -> CallResult<String> {
    guarded(|| {
        let kind = Kind::from_name(&kind)
            .ok_or_else(|| Error::wrong_type("kind", "the name of a kind", "another text"))?;
        Ok(testing::error(kind).to_json().to_string())
    })
}

/// Panics, for the test that a panic becomes an error.
#[napi]
pub fn testing_panic() -> CallResult<()> {
    guarded(|| panic!("asked for by a test"))
}
