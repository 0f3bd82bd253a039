//! A client that has changed its certificate, and a receiver that refuses the new one or seems to.
//! The second connection is the first with the new certificate.

use serde_json::{Value, json};

use crate::case::{Case, error, noting, receipt};
use crate::receiver::Conn;

const PAGE: &[u8] = b"<html><center>The SSL certificate error</center></html>";

pub(crate) fn cases() -> Vec<Case> {
    let again = || json!({ "receipt": { "status": 200, "attempts": 2 } });
    let by_page = |sent| noting("client_certificate_rejected", sent, json!({ "via": "http" }));
    vec![
        rotated("page_before_the_payload", |mut conn| {
            conn.head()?;
            page(conn)
        })
        .ends([again()]),
        // The page after 100 Continue is about the payload.
        rotated("an_applications_own_page", |mut conn| {
            let length = conn.head()?;
            conn.say(None, b"HTTP/1.1 100 Continue\r\n\r\n")?;
            conn.body(length)?;
            page(conn)
        })
        .ends([noting("http_status", "all", json!({ "payload_sent": true }))]),
        // The receiver does not support `Expect`; the next delivery starts with the former
        // certificate.
        rotated("page_after_the_payload", |mut conn| {
            conn.request()?;
            page(conn)
        })
        .ends([payload_sent(by_page("all"))])
        .ends([receipt(200)]),
        // A close while the payload is held may be a refusal.
        rotated("leaves_with_the_head", |mut conn| {
            conn.head()?;
            conn.bye()
        })
        .ends([again()]),
        rotated("leaves_after_the_handshake", Conn::bye).ends([again()]),
        // Whether the payload was read is not known.
        rotated("leaves_with_the_payload", |mut conn| {
            conn.request()?;
            conn.bye()
        })
        .ends([payload_sent(error("connection_lost", "all"))]),
        rotated("takes_no_expectation", |mut conn| {
            conn.head()?;
            conn.answer(417, "content-length: 0\r\nconnection: close\r\n", b"")?;
            conn.bye()
        })
        .ends([again()]),
        rotated("answers_the_head_alone", |mut conn| {
            conn.head()?;
            conn.answer(503, "content-length: 0\r\nconnection: close\r\n", b"")?;
            conn.bye()
        })
        .ends([noting(
            "http_status",
            "maybe",
            json!({ "payload_sent": false, "status": 503 }),
        )]),
    ]
}

/// Behaves normally on every connection except the second.
fn rotated(name: &str, act: impl Fn(Conn) -> std::io::Result<()> + Send + Sync + 'static) -> Case {
    let act = move |conn: Conn| if conn.number == 2 { act(conn) } else { conn.behave() };
    let count = if name == "page_after_the_payload" { 3 } else { 2 };
    Case::secure(format!("rotated_{name}"), act).rotated(count).ends([receipt(200)])
}

fn page(mut conn: Conn) -> std::io::Result<()> {
    let length = format!("content-length: {}\r\nconnection: close\r\n", PAGE.len());
    conn.answer(400, &length, PAGE)?;
    conn.bye()
}

fn payload_sent(mut error: Value) -> Value {
    error["error"]["context"]["payload_sent"] = json!(true);
    error
}
