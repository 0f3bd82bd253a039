//! A consumer of the lab: its requests, and its next responses.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::Duration;

use webhook_mtls::Error;
use webhook_mtls::testing::{Answer, Consumer, Misbehavior};
use webhook_mtls_c::error::{wmtls_error, wmtls_status};
use webhook_mtls_c::handle::{Handle, give, required};
use webhook_mtls_c::panic;
use webhook_mtls_c::text::{self, StringPool};

use crate::authority::{wmtls_lab_authority, wmtls_lab_issued};
use crate::request::wmtls_lab_request;

/// A consumer of webhooks on 127.0.0.1 that requires a client certificate of its lab's CA.
pub struct wmtls_lab_consumer {
    consumer: Consumer,
    strings: StringPool,
}

impl Handle for wmtls_lab_consumer {}

impl wmtls_lab_consumer {
    pub(crate) fn new(consumer: Consumer) -> Self {
        Self { consumer, strings: StringPool::new() }
    }
}

/// Returns the consumer's URL: "https://127.0.0.1:<port>/webhooks/<name>".
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_consumer_url(consumer: Option<&wmtls_lab_consumer>) -> *const c_char {
    string(consumer, Consumer::url)
}

/// Returns the pin of the certificate that the consumer presents on the next connection.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_consumer_pin(consumer: Option<&wmtls_lab_consumer>) -> *const c_char {
    string(consumer, Consumer::pin)
}

/// Makes the consumer misbehave the next `times` times. The misbehaviors of earlier calls come
/// first.
///
/// `how`: "never_ask", "reject_certificate", "expired", "wrong_name", "reset_after_body", "stall",
/// "other_ca", "close_after_handshake", "reject_by_close" or "tls_1_2". "reset_after_body" and "stall"
/// affect requests; the others affect handshakes, and close idle connections.
/// `times`: the number of connections or requests; 0 lasts until the next call for the same one
/// of the two, or until wmtls_lab_consumer_behave.
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
        // SAFETY: the caller follows the header's conventions.
        let how = Misbehavior::of_argument(unsafe { text::required(how, "how") }?)?;
        required(consumer, "consumer")?.consumer.misbehave(how, times);
        Ok(())
    })
}

/// Removes all pending answers and misbehaviors.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_consumer_behave(consumer: Option<&wmtls_lab_consumer>) {
    panic::value((), || {
        if let Some(consumer) = consumer {
            consumer.consumer.behave();
        }
    });
}

/// Answers the next `times` requests with a status. The answers of earlier calls come first.
///
/// `status`: the HTTP status.
/// `retry_after_seconds`: the value of the header retry-after, in seconds; -1 sends none.
/// `times`: the number of requests; 0 lasts until the next call.
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

/// Presents a renewed certificate from the next connection on.
///
/// `new_key`: true makes a new key, and so a new pin; false keeps the key.
///
/// Fails with WMTLS_INTERNAL if no certificate can be made.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_consumer_renew(
    consumer: Option<&wmtls_lab_consumer>,
    new_key: bool,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::run(err, || required(consumer, "consumer")?.consumer.renew(new_key))
}

/// Returns the certificate that the consumer presents on the next connection, for instance to
/// revoke it; NULL for NULL. Free it with wmtls_lab_issued_free.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_consumer_issued(
    consumer: Option<&wmtls_lab_consumer>,
) -> Option<Box<wmtls_lab_issued>> {
    panic::value(None, || give(wmtls_lab_issued::new(consumer?.consumer.issued())))
}

/// Presents a given certificate from the next connection on, and closes idle connections.
///
/// `issued`: remains the caller's.
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

/// Presents a certificate of another CA for the same key from the next connection on, and closes
/// idle connections.
///
/// Fails with WMTLS_INTERNAL if no certificate can be made.
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

/// Accepts client certificates of one more CA from the next connection on.
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

/// Accepts only client certificates of one CA from the next connection on, and closes idle
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

/// Returns how many complete requests the consumer has received.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_consumer_received(consumer: Option<&wmtls_lab_consumer>) -> usize {
    panic::value(0, || consumer.map_or(0, |handle| handle.consumer.received().len()))
}

/// Waits until the consumer has received a number of requests. Returns false if the time limit
/// passes first.
///
/// `count`: the number of requests.
/// `within_ms`: the time limit in milliseconds; 0 does not wait.
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

/// Returns how many TCP connections the consumer has accepted.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_consumer_connections(consumer: Option<&wmtls_lab_consumer>) -> u64 {
    panic::value(0, || consumer.map_or(0, |handle| handle.consumer.connections()))
}

/// Returns a received request; NULL after the last. Free it with wmtls_lab_request_free.
///
/// `index`: the position in the order of arrival, from 0.
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

/// Frees a handle of a consumer. The consumer itself runs until its lab is freed.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_consumer_free(consumer: Option<Box<wmtls_lab_consumer>>) {
    panic::value((), || drop(consumer));
}

fn string(
    consumer: Option<&wmtls_lab_consumer>,
    get: impl FnOnce(&Consumer) -> String,
) -> *const c_char {
    panic::value(ptr::null(), || {
        consumer.map_or(ptr::null(), |handle| handle.strings.add(&get(&handle.consumer)))
    })
}

#[cfg(test)]
mod tests {
    use super::Misbehavior;

    #[test]
    fn the_header_names_every_misbehavior() {
        let header = include_str!("../../../include/webhook_mtls_testing.h");
        for how in Misbehavior::ALL {
            assert!(header.contains(&format!("\"{}\"", how.name())), "{}", how.name());
        }
    }
}
