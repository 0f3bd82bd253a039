//! Receivers that misuse a connection before its reuse.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;

use serde_json::json;

use crate::case::{Case, error, lost, noting, over, receipt};
use crate::forge::DATA;
use crate::receiver::Conn;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

pub(crate) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        ("length_and_chunked",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        ("length_twice_and_equal",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok"),
        ("length_listed_twice", "HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nok"),
        ("chunked_twice",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("chunk_of_letters", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n"),
        ("chunk_too_long", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nok\r\n0\r\n\r\n"),
        ("says_close_and_stays", "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"),
        ("http_1_0", "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        ("http_1_0_keep_alive",
            "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok"),
        ("body_beyond_its_length", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok, and more"),
        ("body_of_a_204", "HTTP/1.1 204 No Content\r\n\r\nbut there is one"),
        ("two_answers_in_one",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 202 OK\r\ncontent-length: 0\r\n\r\n"),
    ]
    .into_iter()
    .map(|(name, text)| {
        let code = if name == "body_of_a_204" { 204 } else { 200 };
        Case::answering(format!("{name}_is_not_used_again"), code, text)
            .gated(2)
            .ends([receipt(code)])
            .ends([over(code, false)])
    })
    .collect();
    cases.extend(idle());
    cases.extend(used_twice());
    cases
}

/// Answers the first request of the first connection, then runs `act` while the connection is idle.
fn then(
    name: &str,
    act: impl Fn(&mut Conn) -> std::io::Result<()> + Send + Sync + 'static,
) -> Case {
    Case::secure(name, move |mut conn| {
        if conn.number > 1 {
            return conn.behave();
        }
        conn.request()?;
        conn.ok()?;
        conn.until_the_client_waits();
        // The client may close before the action is complete.
        let acted = act(&mut conn);
        conn.finished();
        acted?;
        // A further request on this connection gets no response.
        conn.behave_silently()
    })
    .gated(2)
    .ends([receipt(200)])
}

/// Sends all of a record with a success but its last bytes on an idle connection, and those once
/// the next request has come.
fn idle_gets_most_of_a_success(tail: usize) -> Case {
    Case::secure(format!("idle_gets_a_success_but_for_{tail}_bytes"), move |mut conn| {
        if conn.number > 1 {
            return conn.behave();
        }
        conn.request()?;
        conn.ok()?;
        conn.until_the_client_waits();
        let gate = conn.gate();
        let (mut wire, mut forge) = conn.forge()?;
        let record = forge.seal(DATA, OK);
        let (begin, end) = record.split_at(record.len() - tail);
        wire.write_all(begin)?;
        gate.finished();
        if wire.read(&mut [0; 1024])? > 0 {
            wire.write_all(end)?;
        }
        wire.drain();
        Ok(())
    })
    .gated(2)
    .ends([receipt(200)])
    .ends([over(200, false)])
}

fn idle() -> Vec<Case> {
    let fresh = || vec![over(200, false)];
    vec![
        idle_gets_most_of_a_success(1),
        idle_gets_most_of_a_success(5),
        idle_gets_most_of_a_success(OK.len()),
        then("idle_gets_a_success_unasked", |conn| conn.say(None, OK)).ends(fresh()),
        then("idle_gets_a_408_and_a_goodbye", |conn| {
            conn.say(None, b"HTTP/1.1 408 Timeout\r\ncontent-length: 0\r\n\r\n")?;
            conn.tls.send_close_notify();
            conn.tls.write_tls(&mut conn.wire)?;
            conn.wire.tcp.shutdown(Shutdown::Write)
        })
        .ends(fresh()),
        then("idle_gets_garbage", |conn| conn.say(None, b"garbage")).ends(fresh()),
        then("idle_gets_half_an_answer", |conn| conn.say(None, &OK[..20])).ends(fresh()),
        then("idle_gets_bytes_outside_of_tls", |conn| {
            std::io::Write::write_all(&mut conn.wire, b"garbage")
        })
        .ends(fresh()),
        then("idle_gets_a_goodbye", |conn| {
            conn.tls.send_close_notify();
            conn.tls.write_tls(&mut conn.wire)?;
            conn.wire.tcp.shutdown(Shutdown::Write)
        })
        .ends(fresh()),
        then("idle_gets_half_a_goodbye", |conn| {
            conn.tls.send_close_notify();
            conn.tls.write_tls(&mut conn.wire).map(drop)
        })
        .ends(fresh()),
        then("idle_is_closed", |conn| conn.wire.tcp.shutdown(Shutdown::Write)).ends(fresh()),
        then("idle_is_closed_both_ways", |conn| conn.wire.tcp.shutdown(Shutdown::Both))
            .ends(fresh()),
        then("idle_is_reset", |conn| {
            conn.wire.reset();
            conn.wire.close()
        })
        .ends(fresh()),
    ]
}

fn used_twice() -> Vec<Case> {
    let second = |name: &str, act: fn(Conn) -> std::io::Result<()>| {
        Case::secure(name, move |mut conn| {
            if conn.number > 1 {
                return conn.behave();
            }
            conn.request()?;
            conn.ok()?;
            conn.finished();
            conn.head()?;
            act(conn)
        })
        .gated(2)
        .ends([receipt(200)])
    };
    // The receiver saw the request, so the client must not repeat it.
    vec![
        second("closes_on_the_second_request", |mut conn| {
            conn.body(64)?;
            conn.hang_up()
        })
        .ends(lost()),
        second("resets_on_the_second_request", |mut conn| {
            conn.body(64)?;
            conn.wire.reset();
            Ok(())
        })
        .ends(lost()),
        second("says_goodbye_on_the_second_request", |mut conn| {
            conn.body(64)?;
            conn.bye()
        })
        .ends(lost()),
        second("stalls_on_the_second_request", |mut conn| {
            conn.body(64)?;
            conn.wire.drain();
            Ok(())
        })
        .within("response_timeout", 700)
        .ends([noting("deadline_exceeded", "all", json!({ "deadline": "response" }))]),
        second("closes_on_the_second_head", |conn| {
            let _ = conn.wire.tcp.shutdown(Shutdown::Both);
            Ok(())
        })
        .ends(lost()),
        second("garbles_the_second_answer", |mut conn| {
            conn.body(64)?;
            conn.say(None, b"HTTP/1.1 two hundred\r\n\r\n")?;
            conn.bye()
        })
        .ends([error("http_invalid", "all")]),
        Case::secure("a_new_connection_each_time", |mut conn| {
            conn.request()?;
            conn.answer(200, "connection: close\r\ncontent-length: 2\r\n", b"ok")?;
            conn.finished();
            conn.bye()
        })
        .gated(3)
        .ends([over(200, false)]),
    ]
}
