//! Receivers that fail or stall before the TLS handshake and during the transfer.

use std::io::Write as _;

use serde_json::json;

use crate::case::{Case, Port, error, noting};
use crate::wire::{Cut, How};

pub(crate) fn cases() -> Vec<Case> {
    let broken = || error("connection_lost", "nothing");
    let late = |part: &str| noting("deadline_exceeded", "nothing", json!({ "deadline": part }));
    let port = |name: &str, port: Port| {
        let mut case = Case::new(name, |_| Ok(()));
        case.port = port;
        case
    };
    let says = |name: &str, words: &'static [u8]| {
        Case::new(name, move |mut raw| {
            raw.hello()?;
            raw.wire.write_all(words)?;
            raw.wire.tcp.shutdown(std::net::Shutdown::Write)?;
            raw.wire.drain();
            Ok(())
        })
        .ends([error("tls_failed", "nothing")])
    };
    vec![
        port("nobody_listens", Port::Closed).ends([error("connect_failed", "nothing")]),
        port("queue_is_full", Port::Full).within("connect_timeout", 500).ends([noting(
            "connect_failed",
            "nothing",
            json!({ "deadline": "connect" }),
        )]),
        port("queue_is_full_total", Port::Full).total(500).ends([late("total")]),
        Case::new("accepts_and_closes", |raw| {
            raw.wire.tcp.shutdown(std::net::Shutdown::Write)?;
            let mut wire = raw.wire;
            wire.drain();
            Ok(())
        })
        .ends([broken()]),
        // The reset may come before the client sees the connection open.
        Case::new("accepts_and_resets", |raw| {
            raw.wire.reset();
            Ok(())
        })
        .ends([broken(), error("connect_failed", "nothing")]),
        Case::new("resets_after_the_hello", |mut raw| {
            raw.hello()?;
            raw.wire.reset();
            Ok(())
        })
        .ends([broken()]),
        Case::new("accepts_and_is_silent", |mut raw| {
            raw.wire.drain();
            Ok(())
        })
        .within("handshake_timeout", 500)
        .ends([late("handshake")]),
        Case::new("accepts_and_is_silent_total", |mut raw| {
            raw.wire.drain();
            Ok(())
        })
        .total(500)
        .ends([late("total")]),
        says("speaks_plain_http", b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"),
        says("speaks_plain_success", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        says("speaks_ssh", b"SSH-2.0-OpenSSH_9.2p1\r\n"),
        says("speaks_zeros", &[0; 256]),
        says("alert_handshake_failure", &[21, 3, 3, 0, 2, 2, 40]),
        says("alert_internal_error", &[21, 3, 3, 0, 2, 2, 80]),
        says("alert_unknown_number", &[21, 3, 3, 0, 2, 2, 199]),
        // An alert about a certificate, but the receiver has not requested ours yet.
        says("alert_bad_certificate_too_early", &[21, 3, 3, 0, 2, 2, 42]),
        says("record_too_long", &[22, 3, 3, 0xff, 0xff, 1, 2, 3]),
        Case::new("echoes_the_hello", |mut raw| {
            let hello = raw.hello()?;
            raw.wire.write_all(&hello)?;
            raw.wire.drain();
            Ok(())
        })
        .ends([error("tls_failed", "nothing")]),
        Case::new("handshake_without_end", |mut raw| {
            raw.hello()?;
            // A message of 16 MiB, in records that never complete it.
            let mut record = vec![22, 3, 3, 0x40, 0, 11, 0xff, 0xff, 0xff];
            record.resize(5 + 0x4000, 0);
            while raw.wire.write_all(&record).is_ok() {
                record[5..9].fill(0);
            }
            Ok(())
        })
        .within("handshake_timeout", 2000)
        .ends([error("tls_failed", "nothing"), late("handshake")]),
        Case::new("flight_comes_byte_by_byte", |mut raw| {
            raw.wire.tcp.set_nodelay(true)?;
            raw.drip();
            raw.secure()?.behave()
        })
        .ends([crate::case::receipt(200)]),
        Case::new("flight_is_spoilt", |mut raw| {
            raw.wire.flip = Some(900);
            drop(raw.secure());
            Ok(())
        })
        .ends([error("tls_failed", "nothing")]),
        Case::new("request_goes_nowhere", |raw| {
            let conn = raw.secure()?;
            conn.wire.stall()
        })
        .body(20 << 20)
        .within("write_timeout", 700)
        .ends([noting("deadline_exceeded", "maybe", json!({ "deadline": "write" }))]),
        Case::secure("request_is_cut_by_the_total", |conn| conn.wire.stall())
            .body(20 << 20)
            .total(3000)
            .ends([noting("deadline_exceeded", "maybe", json!({ "deadline": "total" }))]),
        Case::secure("resets_within_the_body", |mut conn| {
            conn.head()?;
            conn.part(100_000)?;
            conn.wire.reset();
            Ok(())
        })
        .body(20 << 20)
        .ends([error("connection_lost", "maybe")]),
        Case::secure("closes_within_the_body", |mut conn| {
            conn.head()?;
            conn.part(100_000)?;
            let _ = conn.wire.tcp.shutdown(std::net::Shutdown::Both);
            Ok(())
        })
        .body(20 << 20)
        .ends([error("connection_lost", "maybe")]),
        Case::new("reads_a_byte_at_a_time", |mut raw| {
            raw.wire.sips = true;
            raw.secure()?.behave()
        })
        .body(2000)
        .ends([crate::case::receipt(200)]),
        Case::new("closes_after_the_handshake", |raw| {
            let conn = raw.secure()?;
            let _ = conn.wire.tcp.shutdown(std::net::Shutdown::Both);
            Ok(())
        })
        .ends(any_sent("connection_lost")),
        Case::secure("resets_after_the_handshake", |conn| {
            conn.wire.reset();
            Ok(())
        })
        .ends(any_sent("connection_lost")),
        Case::secure("says_goodbye_after_the_handshake", super::receiver::Conn::bye)
            .ends(any_sent("connection_lost")),
        Case::asked("closes_instead_of_an_answer", super::receiver::Conn::hang_up)
            .ends([error("connection_lost", "all")]),
        Case::asked("says_goodbye_instead_of_an_answer", super::receiver::Conn::bye)
            .ends([error("connection_lost", "all")]),
        Case::asked("resets_instead_of_an_answer", |conn| {
            conn.wire.reset();
            Ok(())
        })
        .ends([error("connection_lost", "all")]),
        Case::asked("never_answers", |mut conn| {
            conn.wire.drain();
            Ok(())
        })
        .within("response_timeout", 500)
        .ends([noting("deadline_exceeded", "all", json!({ "deadline": "response" }))]),
        Case::asked("never_answers_total", |mut conn| {
            conn.wire.drain();
            Ok(())
        })
        .total(3000)
        .ends([noting("deadline_exceeded", "all", json!({ "deadline": "total" }))]),
        Case::new("spoils_what_it_reads", |raw| {
            let mut conn = raw.secure()?;
            // A record under no session key; TLS answers with the alert bad_record_mac.
            let mut garbage = &[
                23_u8, 3, 3, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            ][..];
            conn.tls.read_tls(&mut garbage)?;
            let refused = conn.tls.process_new_packets().is_err();
            assert!(refused, "the record is refused");
            conn.tls.write_tls(&mut conn.wire)?;
            conn.hang_up()
        })
        .ends(
            ["nothing", "maybe", "all"]
                .map(|sent| noting("connection_lost", sent, json!({ "alert": "bad_record_mac" }))),
        ),
        cut("server_flight_closes", 700, How::Close).ends([broken()]),
        cut("server_flight_resets", 700, How::Reset).ends([broken()]),
        cut("server_flight_stalls", 700, How::Stall)
            .within("handshake_timeout", 500)
            .ends([late("handshake")]),
    ]
}

fn cut(name: &str, after: u64, how: How) -> Case {
    Case::new(name, move |mut raw| {
        raw.wire.cut = Some(Cut { after, ours: true, how });
        drop(raw.secure());
        Ok(())
    })
}

/// A race between the request and the end of the connection: each `sent` can be true.
fn any_sent(kind: &str) -> Vec<serde_json::Value> {
    ["nothing", "maybe", "all"].map(|sent| error(kind, sent)).into()
}
