//! A receiver of the lab: what it got, and what it is to do next.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::Duration;

use webhook_mtls::Error;
use webhook_mtls::testing::{Answer, Consumer, Misbehaviour};
use webhook_mtls_c::error::{wmtls_error, wmtls_status};
use webhook_mtls_c::handle::{Handle, give, required};
use webhook_mtls_c::panic;
use webhook_mtls_c::text::{self, Lent};

use crate::authority::{wmtls_lab_authority, wmtls_lab_issued};
use crate::request::wmtls_lab_request;

/// A consumer of webhooks on 127.0.0.1 that demands a client certificate of its lab's CA.
pub struct wmtls_lab_consumer {
    consumer: Consumer,
    lent: Lent,
}

impl Handle for wmtls_lab_consumer {}

impl wmtls_lab_consumer {
    pub(crate) fn new(consumer: Consumer) -> Self {
        Self { consumer, lent: Lent::new() }
    }
}

/// Where it listens: "https://127.0.0.1:<port>/webhooks/<name>".
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_consumer_url(consumer: Option<&wmtls_lab_consumer>) -> *const c_char {
    lend(consumer, Consumer::url)
}

/// The pin of the certificate that the next connection will be shown.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_consumer_pin(consumer: Option<&wmtls_lab_consumer>) -> *const c_char {
    lend(consumer, Consumer::pin)
}

/// Misbehaves the next `times` times; 0: until told otherwise.
///
/// `how`: "never_ask", "reject_certificate", "expired", "wrong_name", "reset_after_body", "stall"
/// or "other_ca". The first four and the last happen in handshakes, and close idle connections.
///
/// Fails with WMTLS_OPTION_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_lab_consumer_misbehave(
    consumer: Option<&wmtls_lab_consumer>,
    how: *const c_char,
    times: u32,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::run(err, || {
        // SAFETY: the header's conventions.
        let how = Misbehaviour::from_name(unsafe { text::required(how, "how") }?)
            .ok_or_else(|| Error::wrong_type("how", "a misbehaviour", "another text"))?;
        required(consumer, "consumer")?.consumer.misbehave(how, times);
        Ok(())
    })
}

/// Answers the next `times` requests with a status; 0: until told otherwise.
///
/// `retry_after_seconds`: sent as retry-after; -1 for none.
///
/// Fails with WMTLS_OPTION_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_consumer_respond(
    consumer: Option<&wmtls_lab_consumer>,
    status: u16,
    retry_after_seconds: i64,
    times: u32,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::run(err, || {
        let retry_after = match retry_after_seconds {
            -1 => None,
            seconds => Some(u32::try_from(seconds).map_err(|_| {
                Error::wrong_type("retry_after_seconds", "-1 or seconds", "another number")
            })?),
        };
        let answer = Answer { retry_after, ..Answer::status(status) };
        required(consumer, "consumer")?.consumer.respond(answer, times);
        Ok(())
    })
}

/// Shows a renewed certificate from the next connection on, with a new key (and so a new pin) or
/// the same one.
///
/// Fails with WMTLS_INTERNAL when no certificate could be made.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_consumer_renew(
    consumer: Option<&wmtls_lab_consumer>,
    new_key: bool,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::run(err, || required(consumer, "consumer")?.consumer.renew(new_key))
}

/// The certificate that the next connection will be shown: to revoke it, say. NULL for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_consumer_issued(
    consumer: Option<&wmtls_lab_consumer>,
) -> Option<Box<wmtls_lab_issued>> {
    panic::value(None, || give(wmtls_lab_issued::new(consumer?.consumer.issued())))
}

/// Shows this certificate from the next connection on, and closes idle connections.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_consumer_show(
    consumer: Option<&wmtls_lab_consumer>,
    issued: Option<&wmtls_lab_issued>,
) {
    panic::value((), || {
        if let (Some(handle), Some(issued)) = (consumer, issued) {
            handle.consumer.show(issued.issued.clone());
        }
    });
}

/// Shows a certificate of a CA from the next connection on, with the key it had, and closes idle
/// connections.
///
/// Fails with WMTLS_INTERNAL when no certificate could be made.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_consumer_certify(
    consumer: Option<&wmtls_lab_consumer>,
    authority: Option<&wmtls_lab_authority>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::run(err, || {
        let authority = required(authority, "authority")?;
        required(consumer, "consumer")?.consumer.certify(&authority.authority)
    })
}

/// Accepts client certificates of a CA as well, from the next connection on.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_consumer_accept(
    consumer: Option<&wmtls_lab_consumer>,
    authority: Option<&wmtls_lab_authority>,
) {
    panic::value((), || {
        if let (Some(handle), Some(authority)) = (consumer, authority) {
            handle.consumer.accept(&authority.authority);
        }
    });
}

/// Accepts client certificates of a CA and of no other, from the next connection on, and closes idle
/// connections.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_consumer_accept_only(
    consumer: Option<&wmtls_lab_consumer>,
    authority: Option<&wmtls_lab_authority>,
) {
    panic::value((), || {
        if let (Some(handle), Some(authority)) = (consumer, authority) {
            handle.consumer.accept_only(&authority.authority);
        }
    });
}

/// How many requests it has received, whole.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_consumer_received(consumer: Option<&wmtls_lab_consumer>) -> usize {
    panic::value(0, || consumer.map_or(0, |handle| handle.consumer.received().len()))
}

/// Waits until it has received that many requests. False if the time passes before.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_consumer_wait(
    consumer: Option<&wmtls_lab_consumer>,
    count: usize,
    within_ms: u64,
) -> bool {
    panic::value(false, || {
        consumer.is_some_and(|handle| handle.consumer.wait(count, Duration::from_millis(within_ms)))
    })
}

/// How many TCP connections it has accepted.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_consumer_connections(consumer: Option<&wmtls_lab_consumer>) -> u64 {
    panic::value(0, || consumer.map_or(0, |handle| handle.consumer.connections()))
}

/// A request that it received, from 0; NULL if there are not so many.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_consumer_request(
    consumer: Option<&wmtls_lab_consumer>,
    index: usize,
) -> Option<Box<wmtls_lab_request>> {
    panic::value(None, || {
        let received = consumer?.consumer.received().into_iter().nth(index)?;
        give(wmtls_lab_request::new(received))
    })
}

/// Frees a handle of a consumer. The consumer itself serves until its lab is freed.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_consumer_free(consumer: Option<Box<wmtls_lab_consumer>>) {
    panic::value((), || drop(consumer));
}

fn lend(
    consumer: Option<&wmtls_lab_consumer>,
    get: impl FnOnce(&Consumer) -> String,
) -> *const c_char {
    panic::value(ptr::null(), || {
        consumer.map_or(ptr::null(), |handle| handle.lent.lend(&get(&handle.consumer)))
    })
}
