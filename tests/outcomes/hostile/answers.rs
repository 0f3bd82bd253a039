//! Responses to a request that the receiver has read, or has not read.

use std::io;

use serde_json::{Value, json};

use crate::case::{Case, error, lost, noting, receipt, status};
use crate::receiver::Conn;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = successes();
    cases.extend(statuses());
    cases.extend(interim());
    cases.extend(limits());
    cases.extend(invalid());
    cases.extend(early());
    cases
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

fn says(name: &str, code: u16, text: &str) -> Case {
    Case::answering(name, code, text.as_bytes())
}

/// Answers, then closes the connection in order.
fn last(name: &str, code: u16, text: impl Into<Vec<u8>>) -> Case {
    let text = text.into();
    Case::asked(name, move |mut conn| {
        conn.say(Some(code), &text)?;
        conn.bye()
    })
}

fn truncated(truncated: bool) -> Value {
    json!({ "receipt": { "status": 200, "attempts": 1, "response": { "truncated": truncated } } })
}

const REPEATED: &str = "Set-Cookie: a=1\r\ncontent-length: 0\r\nset-cookie: b=2\r\n";

/// The response with these headers, in the form of receipts and errors.
fn repeated(status: u16) -> Value {
    json!({
        "status": status,
        "headers": { "set-cookie": "[redacted], [redacted]", "content-length": "0" },
        "header_lines": [["set-cookie", "[redacted]"], ["content-length", "0"], ["set-cookie", "[redacted]"]],
        "excerpt_base64": "",
        "truncated": false,
    })
}

fn successes() -> Vec<Case> {
    let short = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nnot a hundred";
    vec![
        says("status_201", 201, "HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n")
            .ends([receipt(201)]),
        says("status_204", 204, "HTTP/1.1 204 No Content\r\n\r\n").ends([receipt(204)]),
        says("status_299", 299, "HTTP/1.1 299 \r\ncontent-length: 0\r\n\r\n").ends([receipt(299)]),
        says(
            "chunked",
            200,
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx: y\r\n\r\n",
        )
        .ends([truncated(false)]),
        says("repeated_headers", 200, &format!("HTTP/1.1 200 OK\r\n{REPEATED}\r\n"))
            .ends([json!({ "receipt": { "response": repeated(200) } })]),
        says("repeated_headers_of_a_refusal", 503, &format!("HTTP/1.1 503 \r\n{REPEATED}\r\n"))
            .ends([json!({ "error": { "kind": "http_status", "response": repeated(503) } })]),
        last("until_it_closes", 200, "HTTP/1.1 200 OK\r\n\r\nok").ends([truncated(false)]),
        last("body_cut", 200, short).ends([truncated(true)]),
        Case::asked("body_cut_without_goodbye", move |mut conn| {
            conn.say(Some(200), short.as_bytes())?;
            conn.hang_up()
        })
        .ends([truncated(true)]),
        Case::asked("body_reset", move |mut conn| {
            conn.say(Some(200), short.as_bytes())?;
            conn.wire.reset();
            Ok(())
        })
        // A reset may overtake the response.
        .ends([truncated(true), error("connection_lost", "all")]),
        Case::asked("body_never_ends", move |mut conn| {
            conn.say(Some(200), short.as_bytes())?;
            conn.wire.drain();
            Ok(())
        })
        .total(3000)
        .ends([truncated(true)]),
        Case::asked("head_byte_by_byte", |mut conn| {
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n";
            conn.say(Some(200), &head[..1])?;
            for byte in &head[1..] {
                conn.say(None, &[*byte])?;
            }
            conn.say(None, b"ok")?;
            conn.behave()
        })
        .ends([truncated(false)]),
        Case::asked("head_never_ends", |mut conn| {
            conn.say(Some(200), b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n")?;
            conn.wire.drain();
            Ok(())
        })
        .within("response_timeout", 500)
        .ends([noting("deadline_exceeded", "all", json!({ "deadline": "response" }))]),
        Case::asked("head_cut", |mut conn| {
            conn.say(Some(200), b"HTTP/1.1 200 OK\r\ncontent-len")?;
            conn.bye()
        })
        .ends([error("connection_lost", "all"), error("http_invalid", "all")]),
        // "ok", compressed. The excerpt must show the received bytes.
        Case::asked("compressed", |mut conn| {
            let gzip: &[u8] = &[
                0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xcb, 0xcf, 6, 0, 0x47, 0xdd, 0xdc, 0x79, 2, 0,
                0, 0,
            ];
            let headers = format!("content-encoding: gzip\r\ncontent-length: {}\r\n", gzip.len());
            conn.answer(200, &headers, gzip)?;
            conn.behave()
        })
        .ends([json!({ "receipt": { "status": 200, "response": {
            "excerpt_base64": "H4sIAAAAAAAAA8vPBgBH3dx5AgAAAA=="
        } } })]),
    ]
}

fn statuses() -> Vec<Case> {
    let mut cases = Vec::new();
    for code in [300, 301, 302, 303, 307, 308] {
        cases.push(
            Case::asked(format!("status_{code}_to_a_trap"), move |mut conn| {
                let headers = format!("location: {}\r\ncontent-length: 0\r\n", conn.trap());
                conn.answer(code, &headers, b"")?;
                conn.behave()
            })
            .ends([status(code, "after_repair")]),
        );
    }
    for (code, retry) in [
        (400, "later"),
        (401, "later"),
        (404, "later"),
        (409, "later"),
        (410, "never"),
        (413, "never"),
        (414, "never"),
        (429, "later"),
        (431, "never"),
        (500, "later"),
        (502, "later"),
        (504, "later"),
        (599, "later"),
        (999, "later"),
    ] {
        let text = format!("HTTP/1.1 {code} X\r\ncontent-length: 0\r\n\r\n");
        cases.push(says(&format!("status_{code}"), code, &text).ends([status(code, retry)]));
    }
    for (name, value, millis) in [
        ("seconds", "7", json!(7000)),
        ("for_ever", "99999999999999999999", json!(86_400_000)),
        ("a_past_date", "Sun, 06 Nov 1994 08:49:37 GMT", json!(0)),
        ("a_far_date", "Fri, 31 Dec 9999 23:59:59 GMT", json!(86_400_000)),
        ("garbage", "soon", Value::Null),
        ("a_negative_number", "-5", Value::Null),
    ] {
        let text =
            format!("HTTP/1.1 503 Busy\r\nretry-after: {value}\r\ncontent-length: 0\r\n\r\n");
        cases.push(says(&format!("retry_after_{name}"), 503, &text).ends([json!({
            "error": { "kind": "http_status", "retry": "later", "retry_after_ms": millis }
        })]));
    }
    cases
}

fn interim() -> Vec<Case> {
    let after = |name: &str, words: String| {
        let text = words + "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        Case::answering(name, 200, text)
    };
    let refused = || error("http_invalid", "all");
    let hint = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
    vec![
        after("interim_once", "HTTP/1.1 100 Continue\r\n\r\n".into()).ends([receipt(200)]),
        after("interim_sixteen_times", hint.repeat(16)).ends([receipt(200)]),
        after("interim_seventeen_times", hint.repeat(17)).ends([refused()]),
        Case::asked("interim_for_ever", move |mut conn| {
            while conn.say(None, hint.as_bytes()).is_ok() {}
            Ok(())
        })
        .ends([refused()]),
        Case::asked("interim_then_silence", move |mut conn| {
            conn.say(None, hint.as_bytes())?;
            conn.wire.drain();
            Ok(())
        })
        .within("response_timeout", 500)
        .ends([error("deadline_exceeded", "all")]),
        says("switches_protocols", 101, "HTTP/1.1 101 X\r\nupgrade: y\r\n\r\n").ends([refused()]),
    ]
}

fn limits() -> Vec<Case> {
    let too_large = || error("response_too_large", "all");
    let many = |count: usize| {
        let headers = "x: y\r\n".repeat(count);
        format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{headers}\r\n")
    };
    let padded = |length: usize| {
        let rest = length - "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx: \r\n\r\n".len();
        format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx: {}\r\n\r\n", "y".repeat(rest))
    };
    vec![
        says("headers_ninety_nine_more", 200, &many(99)).ends([receipt(200)]),
        last("headers_a_hundred_more", 200, many(100)).ends([too_large()]),
        says("head_of_16384_bytes", 200, &padded(16 * 1024)).ends([receipt(200)]),
        last("head_of_16385_bytes", 200, padded(16 * 1024 + 1)).ends([too_large()]),
        last("head_too_long", 200, format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(20_000)))
            .ends([too_large()]),
        Case::asked("head_for_ever", |mut conn| {
            conn.say(Some(200), b"HTTP/1.1 200 OK\r\nx: ")?;
            while conn.say(None, &[b'y'; 4096]).is_ok() {}
            Ok(())
        })
        .ends([too_large()]),
        Case::asked("body_of_ten_megabytes", |mut conn| {
            let body = vec![b'x'; 10 << 20];
            conn.answer(200, &format!("content-length: {}\r\n", body.len()), &body)?;
            conn.behave()
        })
        .ends([truncated(true)]),
        Case::asked("body_for_ever", |mut conn| {
            conn.say(Some(200), b"HTTP/1.1 200 OK\r\n\r\n")?;
            while conn.say(None, &[b'x'; 4096]).is_ok() {}
            Ok(())
        })
        .ends([truncated(true)]),
    ]
}

fn invalid() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        ("no_http", &b"hello\r\n\r\n"[..]),
        ("http_0_9", b"<html>ok</html>"),
        ("http_2_0", b"HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n"),
        ("http_2_settings", b"\0\0\0\x04\0\0\0\0\0"),
        ("status_of_two_digits", b"HTTP/1.1 20 OK\r\ncontent-length: 0\r\n\r\n"),
        ("status_of_letters", b"HTTP/1.1 2OO OK\r\ncontent-length: 0\r\n\r\n"),
        ("nul_in_a_header", b"HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n"),
        ("space_before_the_colon", b"HTTP/1.1 200 OK\r\ncontent-length : 0\r\n\r\n"),
        ("length_negative", b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"),
        ("length_of_letters", b"HTTP/1.1 200 OK\r\ncontent-length: two\r\n\r\nok"),
        (
            "length_twice_and_different",
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        ),
        ("chunked_in_http_1_0", b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    ]
    .into_iter()
    .map(|(name, text)| last(name, 200, text).ends([error("http_invalid", "all")]))
    .collect();
    // RFC 9112 section 5.2.
    cases.push(
        last(
            "folded_header",
            200,
            &b"HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 0\r\n\r\n"[..],
        )
        .ends([receipt(200)]),
    );
    cases.push(
        last("bare_line_feeds", 200, &b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok"[..])
            .ends([receipt(200), error("http_invalid", "all")]),
    );
    cases
}

fn early() -> Vec<Case> {
    // The response comes before the body was written, so it cannot be a normal one.
    let unread = |name: &str, code: u16, stays: bool| {
        Case::secure(name, move |mut conn| {
            conn.head()?;
            conn.answer(code, "content-length: 0\r\n", b"")?;
            if stays { conn.wire.stall() } else { conn.bye() }
        })
        .body(20 << 20)
    };
    let refused = |code: u16, retry: &str| {
        json!({ "error": {
            "kind": "http_status", "sent": "maybe", "retry": retry, "response": { "status": code }
        } })
    };
    let before: fn(Conn) -> io::Result<()> = |mut conn| {
        conn.ok()?;
        conn.request()?;
        conn.bye()
    };
    vec![
        // Reads and discards the bytes after its response. The client may then have sent the whole
        // request before it sees the response, or before it reads the end of it.
        unread("success_before_the_body_was_read", 200, false).ends([
            error("http_invalid", "maybe"),
            error("http_invalid", "all"),
            receipt(200),
        ]),
        unread("success_before_the_body_and_silence", 204, true)
            .within("write_timeout", 2000)
            .ends([error("http_invalid", "maybe")]),
        unread("too_large_before_the_body_was_read", 413, false)
            .ends([refused(413, "never"), status(413, "never")]),
        unread("unauthorized_before_the_body_was_read", 401, true).ends([refused(401, "later")]),
        Case::secure("refusal_and_reset_before_the_body_was_read", |mut conn| {
            conn.head()?;
            conn.answer(403, "content-length: 0\r\n", b"")?;
            conn.wire.reset();
            Ok(())
        })
        .body(20 << 20)
        .ends([refused(403, "later"), error("connection_lost", "maybe")]),
        // No request had arrived.
        Case::new("success_with_the_handshake", |raw| raw.speak_early(OK)).ends([noting(
            "http_invalid",
            "nothing",
            json!({ "status": 200 }),
        )]),
        Case::new("success_with_the_handshake_and_a_large_body", |raw| raw.speak_early(OK))
            .body(20 << 20)
            .ends([noting("http_invalid", "nothing", json!({ "status": 200 }))]),
        // The client cannot tell whether the response was sent before or after the request arrived.
        Case::secure("success_before_the_request", before).ends(
            [receipt(200)]
                .into_iter()
                .chain(lost())
                .chain([error("connection_lost", "nothing")])
                .chain(["nothing", "maybe", "all"].map(|sent| error("http_invalid", sent))),
        ),
    ]
}
