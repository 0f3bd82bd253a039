//! The signer of an identity whose key stays elsewhere: a function of JavaScript.
//!
//! A handshake waits on a thread of the core, never on the loop. The function runs on the loop of the
//! environment that made the identity, and answers with [`signer_answer`], at once or later.

#![expect(clippy::disallowed_types, reason = "no fork of Node reaches a waiting call")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use napi::Status;
use napi::bindgen_prelude::{Buffer, FnArgs};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;
use webhook_mtls::bindings::process::Lock;
use webhook_mtls::bindings::signer::DEFAULT_CONCURRENCY;
use webhook_mtls::material::{SignatureRequest, SignatureScheme, Signer, SignerError};
use webhook_mtls::{Error, Identity};

use crate::convert::{BorrowedBytes, CallResult, Handle, guarded};

/// The number of the call, the scheme, the message, its digest, and the deadline in milliseconds.
type Arguments = FnArgs<(u32, String, Buffer, Option<Buffer>, f64)>;

/// A function that `ts/` makes of the application's one. It does not keep the loop alive: a delivery
/// does.
pub(crate) type Sign = ThreadsafeFunction<Arguments, (), Arguments, Status, false, true, 0>;

/// A signature, or the name of the error.
type Answer = Result<Vec<u8>, String>;

/// The calls that wait for an answer.
static WAITING: Lock<BTreeMap<u32, Sender<Answer>>> = Lock::new(BTreeMap::new());

/// How often a waiting call checks that its environment still exists, such as that of a worker.
const CHECK: Duration = Duration::from_millis(250);

/// What JavaScript threw in the call with this number. `ts/` keeps the value.
#[derive(Debug)]
pub(crate) struct Thrown(pub(crate) u32);

impl std::fmt::Display for Thrown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a function of JavaScript failed")
    }
}

impl std::error::Error for Thrown {}

struct FunctionSigner {
    sign: Sign,
    concurrency: usize,
    schemes: Vec<SignatureScheme>,
}

impl FunctionSigner {
    fn new(sign: Sign, concurrency: Option<u32>, schemes: &[String]) -> Result<Self, Error> {
        let concurrency = concurrency.map_or(DEFAULT_CONCURRENCY, |count| count as usize);
        Ok(Self { sign, concurrency, schemes: SignatureScheme::of_arguments(schemes)? })
    }

    /// Waits until the function has answered, or its environment is gone.
    fn wait(&self, answer: &Receiver<Answer>) -> Option<Answer> {
        loop {
            match answer.recv_timeout(CHECK) {
                Ok(answer) => return Some(answer),
                Err(RecvTimeoutError::Timeout) if !self.sign.aborted() => {}
                Err(_) => return None,
            }
        }
    }
}

impl Signer for FunctionSigner {
    fn sign(&self, request: &SignatureRequest<'_>) -> Result<Vec<u8>, SignerError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (call, (sender, answer)) = (NEXT.fetch_add(1, Relaxed), channel());
        WAITING.lock().insert(call, sender);
        let arguments = (
            call,
            request.scheme.name().to_owned(),
            request.message.to_vec().into(),
            request.digest.map(|digest| digest.to_vec().into()),
            request.deadline.as_secs_f64() * 1000.0,
        );
        let mode = ThreadsafeFunctionCallMode::NonBlocking;
        let answer = match self.sign.call(arguments.into(), mode) {
            Status::Ok => self.wait(&answer),
            _ => None,
        };
        WAITING.lock().remove(&call);
        match answer {
            Some(Ok(signature)) => Ok(signature),
            Some(Err(name)) => Err(SignerError::new(name).caused_by(Thrown(call))),
            None => Err(SignerError::new("environment_gone")),
        }
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

#[napi]
pub fn identity_from_signer(
    cert: &[u8],
    sign: Sign,
    concurrency: Option<u32>,
    schemes: Vec<String>,
) -> CallResult<Handle<Identity>> {
    guarded(|| {
        let signer = FunctionSigner::new(sign, concurrency, &schemes)?;
        Identity::from_signer(cert, signer).map(Handle)
    })
}

#[napi]
pub fn identity_from_signer_file(
    cert: String,
    sign: Sign,
    concurrency: Option<u32>,
    schemes: Vec<String>,
) -> CallResult<Handle<Identity>> {
    guarded(|| {
        let signer = FunctionSigner::new(sign, concurrency, &schemes)?;
        Identity::from_signer_file(cert, signer).map(Handle)
    })
}

/// Answers a call of a signer.
///
/// * `call`: its number.
/// * `signature`: `None` if it failed.
/// * `error`: the name of the error.
#[napi]
pub fn signer_answer(call: u32, signature: Option<BorrowedBytes>, error: String) {
    let answer = signature.map(|signature| signature.bytes().to_vec()).ok_or(error);
    if let Some(waiting) = WAITING.lock().remove(&call) {
        // The call has ended if its environment is going.
        let _ = waiting.send(answer);
    }
}
