//! Receivers that send endless bytes: TLS messages without data, or single bytes of data.

use std::io::{self, Write as _};

use serde_json::json;

use crate::case::{Case, error, noting, over, receipt};
use crate::forge::{ALERT, DATA, Forge, HANDSHAKE, ticket, tickets};
use crate::receiver::Conn;
use crate::world::Manner;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// The content of a flood.
#[derive(Clone, Copy)]
enum Flood {
    Tickets,
    LargeTickets,
    KeyUpdates,
    EmptyRecords,
    /// One byte of data for every record of tickets.
    Diluted,
    /// One byte of data in each record.
    Drips,
    /// Messages that TLS 1.2 ignores.
    Warnings,
}

use Flood::{Diluted, Drips, EmptyRecords, KeyUpdates, LargeTickets, Tickets, Warnings};

const OF_TLS_1_3: [Flood; 6] = [Tickets, LargeTickets, KeyUpdates, EmptyRecords, Diluted, Drips];

impl Flood {
    fn name(self) -> &'static str {
        match self {
            Tickets => "tickets",
            LargeTickets => "large_tickets",
            KeyUpdates => "key_updates",
            EmptyRecords => "empty_records",
            Diluted => "diluted_tickets",
            Drips => "drips",
            Warnings => "warnings",
        }
    }

    /// Returns a part of it.
    fn piece(self, forge: &mut Forge) -> Vec<u8> {
        match self {
            Tickets => forge.seal(HANDSHAKE, &tickets(3)),
            LargeTickets => forge.seal(HANDSHAKE, &ticket(16_000)),
            KeyUpdates => (0..64).flat_map(|_| forge.key_update()).collect(),
            EmptyRecords => (0..64).flat_map(|_| forge.seal(DATA, b"")).collect(),
            Diluted => [forge.seal(HANDSHAKE, &tickets(3)), forge.seal(DATA, b"x")].concat(),
            Drips => (0..64).flat_map(|_| forge.seal(DATA, b"x")).collect(),
            Warnings => (0..64).flat_map(|_| forge.seal(ALERT, &[1, 100])).collect(),
        }
    }

    fn pour(self, conn: Conn) -> io::Result<()> {
        conn.flood(move |forge| self.piece(forge))
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = handshakes();
    cases.extend(OF_TLS_1_3.into_iter().flat_map(everywhere));
    for flood in [Warnings, EmptyRecords] {
        let case = Case::asked(format!("tls12_answers_with_{}", flood.name()), move |conn| {
            flood.pour(conn)
        });
        cases.push(case.manner(Manner::SpeaksOnly12).tls12().ends([flooded("all")]));
    }
    cases.extend(slow());
    cases
}

/// An honest receiver, and some that never end their response: the baseline of `beside_floods`.
pub(crate) fn calm() -> Vec<Case> {
    let honest = Case::secure("honest", Conn::behave).deliveries(150);
    let mut cases = vec![honest.ends([over(200, false)]).ends([over(200, true)])];
    cases.extend(slow());
    cases
}

/// The same receivers beside flooding ones.
pub(crate) fn beside_floods() -> Vec<Case> {
    let floods = [Tickets, LargeTickets, KeyUpdates, Diluted].into_iter().zip([1, 0, 1, 3]);
    let mut cases = calm();
    cases.extend(floods.map(|(flood, phase)| {
        let case = everywhere(flood).swap_remove(phase).deliveries(20);
        if case.body > 1 << 20 { case.body(8 << 20) } else { case }
    }));
    cases
}

fn flooded(sent: &str) -> serde_json::Value {
    json!({ "error": {
        "kind": "connection_lost", "sent": sent, "blame": "theirs", "context": { "how": "flooded" }
    } })
}

fn handshakes() -> Vec<Case> {
    let endless =
        || json!({ "error": { "kind": "tls_failed", "sent": "nothing", "blame": "theirs" } });
    let sends = |name: &str, first: &'static [u8], then: &'static [u8]| {
        Case::new(name, move |mut raw| {
            raw.hello()?;
            raw.wire.write_all(first)?;
            let pieces = then.repeat(500);
            raw.flood(move || pieces.clone())
        })
        .ends([endless()])
    };
    vec![
        sends(
            "handshake_of_endless_fragments",
            &[22, 3, 3, 0, 4, 2, 0, 0xff, 0xf0],
            &[22, 3, 3, 0, 1, 0],
        ),
        sends("handshake_of_endless_cipher_changes", &[], &[20, 3, 3, 0, 1, 1]),
        sends("handshake_of_endless_empty_records", &[], &[22, 3, 3, 0, 0]),
        sends("handshake_of_endless_warnings", &[], &[21, 3, 3, 0, 2, 1, 100]),
    ]
}

/// A flood in each phase after the handshake.
fn everywhere(flood: Flood) -> Vec<Case> {
    let name = flood.name();
    let data = matches!(flood, Diluted | Drips);
    let writing = Case::secure(format!("unread_request_and_{name}"), move |mut conn| {
        conn.head()?;
        flood.pour(conn)
    })
    .body(12 << 20);
    let answering = Case::asked(format!("answers_with_{name}"), move |mut conn| {
        if data {
            conn.say(None, b"HTTP/1.1 200 OK\r\nx: ")?;
        }
        flood.pour(conn)
    });
    // Bytes that are not a response fail with one of the two kinds, whichever the client detects
    // first.
    let (writing, answering) = match flood {
        Drips => (
            writing.ends([error("http_invalid", "maybe")]),
            answering.ends([error("response_too_large", "all")]),
        ),
        Diluted => (
            writing.ends([flooded("maybe"), error("http_invalid", "maybe")]),
            answering.ends([flooded("all")]),
        ),
        _ => (writing.ends([flooded("maybe")]), answering.ends([flooded("all")])),
    };
    let body = Case::asked(format!("body_of_{name}"), move |mut conn| {
        conn.say(Some(200), b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\nok")?;
        flood.pour(conn)
    })
    .ends([json!({ "receipt": { "status": 200, "response": { "truncated": true } } })]);
    let idle = Case::secure(format!("idle_gets_{name}"), move |mut conn| {
        if conn.number > 1 {
            return conn.behave();
        }
        conn.request()?;
        conn.say(Some(200), OK)?;
        conn.until_the_client_waits();
        let gate = conn.gate();
        let ended = flood.pour(conn);
        gate.finished();
        ended
    })
    .gated(2)
    .ends([receipt(200)])
    .ends([over(200, false)]);
    let mut cases = vec![writing, answering, idle];
    // A body of single bytes is read to its limit. That is slow, but not a flood.
    if !matches!(flood, Drips) {
        cases.push(body);
    }
    // Much longer than the client takes to end a flood.
    cases.into_iter().map(|case| case.total(30_000)).collect()
}

/// So slow that no limit is reached; a deadline ends them.
fn slow() -> Vec<Case> {
    let slowly = |name: &str, piece: fn(&mut Forge) -> Vec<u8>| {
        Case::asked(name, move |mut conn| {
            conn.say(None, b"HTTP/1.1 200 OK\r\nx: ")?;
            conn.trickle(piece)
        })
    };
    let drips: fn(&mut Forge) -> Vec<u8> = |forge| forge.seal(DATA, b"x");
    let response = || noting("deadline_exceeded", "all", json!({ "deadline": "response" }));
    let total = || noting("deadline_exceeded", "all", json!({ "deadline": "total" }));
    // Normal behavior of servers, neither slow nor a flood.
    let padded = Case::asked("padded_records_and_tickets", |conn| {
        conn.answers(200);
        let (mut wire, mut forge) = conn.forge()?;
        for _ in 0..4 {
            wire.write_all(&forge.seal(HANDSHAKE, &ticket(9000)))?;
        }
        for text in ["HTTP/1.1 200 OK\r\ncontent-", "length: 2\r\n", "\r\n", "ok"] {
            wire.write_all(&forge.seal_padded(DATA, text.as_bytes()))?;
        }
        wire.drain();
        Ok(())
    });
    vec![
        padded.ends([receipt(200)]),
        slowly("slow_drips", drips).within("response_timeout", 500).ends([response()]),
        slowly("slow_drips_to_the_end", drips)
            .within("response_timeout", 9000)
            .total(2000)
            .ends([total()]),
        slowly("slow_empty_records", |forge| {
            [forge.seal(DATA, b""), forge.seal(DATA, b""), forge.seal(DATA, b"x")].concat()
        })
        .within("response_timeout", 500)
        .ends([response()]),
    ]
}
