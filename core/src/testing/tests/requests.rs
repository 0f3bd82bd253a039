//! Requests and answers.

use std::io;

use tokio::io::AsyncWriteExt as _;
use tokio::task::spawn_blocking;

use super::client::Client;
use super::{LONG, OK, lab, run};
use crate::testing::{Answer, Misbehavior};

#[test]
fn a_request_is_answered_and_recorded_completely() {
    let (lab, acme) = lab();
    run(async {
        let mut client = Client::connect(&lab, &acme).await.unwrap();
        let answer = client.post("webhook-id: evt_1\r\nX-Twice: a\r\nX-Twice: b\r\n", b"{}").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.contains("content-type: application/json\r\n"));
        assert!(answer.ends_with(OK));
    });
    let [received] = &acme.received()[..] else { panic!("{:?}", acme.received()) };
    assert_eq!(received.id.as_deref(), Some("evt_1"));
    assert_eq!((&*received.method, &*received.path), ("POST", "/webhooks/acme"));
    assert_eq!(received.body, b"{}");
    assert_eq!(received.tenant.as_deref(), Some("dispatcher"));
    let twice = received.headers.iter().filter(|header| header.0 == "x-twice");
    assert_eq!(twice.map(|header| &*header.1).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((acme.connections(), acme.handshakes()), (1, 1));
}

#[test]
fn a_connection_is_kept_for_the_next_request() {
    let (lab, acme) = lab();
    run(async {
        let mut client = Client::connect(&lab, &acme).await.unwrap();
        for _ in 0..3 {
            assert!(client.post("", b"{}").await.ends_with(OK));
        }
    });
    assert_eq!((acme.received().len(), acme.connections()), (3, 1));
}

#[test]
fn a_large_body_is_recorded_completely() {
    let (lab, acme) = lab();
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    run(async {
        let mut client = Client::connect(&lab, &acme).await.unwrap();
        assert!(client.post("", &body).await.ends_with(OK));
    });
    assert!(acme.received()[0].body == body);
}

#[test]
fn a_chunked_body_is_reassembled() {
    let (lab, acme) = lab();
    run(async {
        let mut client = Client::connect(&lab, &acme).await.unwrap();
        // Send single bytes, so that every state of the parser meets the end of its input.
        let text = "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n\
                    3;name=value\r\nabc\r\nA\r\n0123456789\r\n0\r\ntrailer: 1\r\n\r\n";
        for byte in text.as_bytes() {
            client.stream.write_all(&[*byte]).await.unwrap();
            client.stream.flush().await.unwrap();
        }
        assert!(client.answer().await.ends_with(OK));
        assert!(client.post("", b"after").await.ends_with(OK));
    });
    let bodies: Vec<_> = acme.received().into_iter().map(|received| received.body).collect();
    assert_eq!(bodies, [&b"abc0123456789"[..], b"after"]);
}

#[test]
fn a_client_that_expects_100_continue_gets_it() {
    let (lab, acme) = lab();
    run(async {
        let mut client = Client::connect(&lab, &acme).await.unwrap();
        client.write("POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n").await;
        assert_eq!(client.answer().await, "HTTP/1.1 100 Continue\r\n\r\n");
        client.write("{}").await;
        assert!(client.answer().await.ends_with(OK));
    });
    assert_eq!(acme.received()[0].body, b"{}");
}

#[test]
fn an_invalid_request_is_refused_and_not_recorded() {
    let (lab, acme) = lab();
    let head = "POST / HTTP/1.1\r\n";
    let many = "a: b\r\n".repeat(129);
    for (request, status) in [
        ("garbage\r\n\r\n".to_owned(), 400),
        (format!("{head}content-length: 1\r\ncontent-length: 1\r\n\r\n"), 400),
        (format!("{head}content-length: +1\r\n\r\n"), 400),
        (format!("{head}content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n"), 400),
        (format!("{head}transfer-encoding: gzip, chunked\r\n\r\n"), 400),
        (format!("{head}transfer-encoding: chunked\r\n\r\nxyz\r\n"), 400),
        (format!("{head}transfer-encoding: chunked\r\n\r\n1\r\nab\r\n"), 400),
        (format!("{head}transfer-encoding: chunked\r\n\r\nfffffffffffffff\r\n"), 413),
        (format!("{head}content-length: 67108865\r\n\r\n"), 413),
        (format!("{head}content-length: 99999999999999999999999\r\n\r\n"), 413),
        (format!("{head}{many}\r\n"), 431),
        (format!("{head}a: {}", "b".repeat(70_000)), 431),
    ] {
        run(async {
            let mut client = Client::connect(&lab, &acme).await.unwrap();
            client.write(&request).await;
            let answer = client.answer().await;
            let shown = &request[..request.len().min(100)];
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{shown}: {answer}");
            assert!(answer.contains("connection: close\r\n"));
            assert_eq!(client.rest().await.unwrap(), b"");
        });
    }
    assert_eq!(acme.received(), []);
}

#[test]
fn answers_are_sent_in_order_and_as_often_as_set() {
    let (lab, acme) = lab();
    let made = Answer {
        status: 418,
        retry_after: None,
        headers: vec![("x-pot".into(), "tea".into())],
        body: b"short".to_vec(),
    };
    acme.respond(Answer { retry_after: Some(7), ..Answer::status(503) }, 2);
    acme.respond(made, 0);
    run(async {
        let mut client = Client::connect(&lab, &acme).await.unwrap();
        for _ in 0..2 {
            let answer = client.post("", b"{}").await;
            assert_eq!(answer, "HTTP/1.1 503 \r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n");
        }
        for _ in 0..3 {
            let answer = client.post("", b"{}").await;
            assert_eq!(answer, "HTTP/1.1 418 \r\nx-pot: tea\r\ncontent-length: 5\r\n\r\nshort");
        }
        acme.respond(Answer::status(204), 1);
        assert_eq!(client.post("", b"{}").await, "HTTP/1.1 204 \r\n\r\n");
        assert!(client.post("", b"{}").await.ends_with(OK));
        acme.respond(Answer::status(500), 0);
        acme.behave();
        assert!(client.post("", b"{}").await.ends_with(OK));
    });
}

#[test]
fn connection_close_in_an_answer_closes_the_connection() {
    let (lab, acme) = lab();
    let headers = vec![("Connection".into(), "close".into())];
    acme.respond(Answer { headers, ..Answer::default() }, 1);
    run(async {
        let mut client = Client::connect(&lab, &acme).await.unwrap();
        assert!(client.post("", b"{}").await.ends_with(OK));
        assert_eq!(client.rest().await.unwrap(), b"");
    });
}

#[test]
fn reset_after_body_records_and_resets() {
    let (lab, acme) = lab();
    acme.misbehave(Misbehavior::ResetAfterBody, 1);
    run(async {
        let mut client = Client::connect(&lab, &acme).await.unwrap();
        client.send("", b"{}").await;
        assert_eq!(client.rest().await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        let mut client = Client::connect(&lab, &acme).await.unwrap();
        assert!(client.post("", b"{}").await.ends_with(OK));
    });
    assert_eq!(acme.received().len(), 2);
}

#[test]
fn stall_records_and_never_answers() {
    let (lab, acme) = lab();
    acme.misbehave(Misbehavior::Stall, 1);
    run(async {
        let mut client = Client::connect(&lab, &acme).await.unwrap();
        client.send("", b"{}").await;
        let stalled = acme.clone();
        assert!(spawn_blocking(move || stalled.wait(1, LONG)).await.unwrap());
        // A second request would be answered if the first were only slow.
        client.send("", b"{}").await;
        client.stream.shutdown().await.unwrap();
        assert_eq!(client.raw_rest().await, b"");
    });
    assert_eq!(acme.received().len(), 1);
}
