//! Differential tests against hyper: both read the same generated responses, valid and invalid by
//! RFC 9112. hyper has been used with far more servers.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::Builder;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::response::read_answer;
use crate::http::MAX_HEAD;

/// Reads a response with hyper. Returns the same form as [`read_answer`].
fn by_hyper(text: &[u8]) -> Option<(u16, Vec<u8>, bool)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let text = text.to_vec();
    runtime.block_on(async move {
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        let mut client = Builder::new();
        client.max_buf_size(MAX_HEAD);
        let (mut sender, connection) = client.handshake(TokioIo::new(ours)).await.unwrap();
        let driver = tokio::spawn(connection);
        let server = tokio::spawn(async move {
            let mut request = [0; 1024];
            assert!(theirs.read(&mut request).await.unwrap() > 0);
            let _ = theirs.write_all(&text).await;
            let _ = theirs.shutdown().await;
        });
        let request = http::Request::post("/").header("host", "a").body(Empty::<Bytes>::new());
        let answered = sender.send_request(request.unwrap());
        let answer = tokio::time::timeout(Duration::from_secs(5), answered).await.unwrap();
        let read = match answer {
            Err(_) => None,
            Ok(answer) => {
                let (head, mut body) = answer.into_parts();
                let (mut bytes, mut complete) = (Vec::new(), true);
                while let Some(frame) = body.frame().await {
                    let Ok(frame) = frame else {
                        complete = false;
                        break;
                    };
                    bytes.extend(frame.into_data().unwrap_or_default());
                }
                Some((head.status.as_u16(), bytes, complete))
            }
        };
        server.await.unwrap();
        driver.abort();
        read
    })
}

fn text(parts: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(parts).prop_map(str::to_owned)
}

fn line() -> impl Strategy<Value = String> {
    let known = text(&[
        "content-length: 3",
        "Content-Length:11",
        "content-length: 3, 3",
        "content-length: 0",
        "transfer-encoding: chunked",
        "Transfer-Encoding: gzip, Chunked",
        "connection: close",
        "x: y",
        "x:",
    ]);
    let odd = text(&[
        "content-length: 3,4",
        "content-length: -3",
        "transfer-encoding: chunked, gzip",
        "transfer-encoding: identity",
        "x : y",
        " folded",
        "no colon",
        "\u{e9}: y",
        "x: \u{e9}",
        "x: \u{7f}",
    ]);
    prop_oneof![6 => known, 1 => odd]
}

fn body() -> impl Strategy<Value = String> {
    let piece = text(&[
        "3\r\nabc\r\n",
        "abc",
        "\r\n",
        "0\r\n",
        "0\r\n\r\n",
        "B;x=y\r\n",
        "A\r\n",
        "0123456789",
        "x: y\r\n",
        "ffffffffffffffffff\r\n",
        "1 \r\na\r\n",
        "1\na\n",
        ";\r\n",
        "\n",
    ]);
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

prop_compose! {
    fn head()(
        start in prop_oneof![
            3 => text(&["HTTP/1.1 200 OK", "HTTP/1.1 500", "HTTP/1.0 200 OK"]),
            1 => text(&[
                "HTTP/1.1 204 No", "HTTP/1.1 304 x", "HTTP/1.1 100 Continue", "HTTP/1.1 103 Hints",
                "HTTP/1.1 101 Switch", "HTTP/1.1 099 x", "HTTP/1.1 2000 x", "HTTP/1.2 200 OK",
                "HTTP/2 200", "http/1.1 200 OK", "HTTP/1.1  200 OK", "HTTP/1.1 200 \u{e9}", "",
            ]),
        ],
        lines in prop::collection::vec(line(), 0..4),
        end in text(&["\r\n", "\r\n", "\r\n", "\n"]),
    ) -> String {
        let mut head = start + &end;
        for line in lines {
            head += &(line + &end);
        }
        head + &end
    }
}

/// Whether this text contains a construct that hyper accepts and we refuse: a bare line feed as line
/// break of a trailer, or a chunk size with more than 16 digits.
fn is_refused_by_us_alone(text: &str) -> bool {
    let mut words = text.split(|letter: char| !letter.is_ascii_hexdigit());
    text.replace("\r\n", "").contains('\n') || words.any(|word| word.len() > 16)
}

/// Returns a head for hyper, which refuses folded headers: on one line. A fold of the first line is
/// refused by both.
fn unfolded(head: &str) -> String {
    if head.lines().nth(1).is_some_and(|line| line.starts_with(' ')) {
        return head.to_owned();
    }
    head.replace("\r\n ", "   ").replace("\n ", "  ")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_response_is_read_as_hyper_reads_it(
        heads in prop::collection::vec(head(), 1..3),
        body in body(),
        piece in 1_usize..40,
    ) {
        let text = heads.concat() + &body;
        let whole = read_answer(text.as_bytes(), usize::MAX);
        prop_assert_eq!(&whole, &read_answer(text.as_bytes(), piece), "in pieces of {}", piece);
        let is_interim =
            |head: &&String| ["HTTP/1.1 100", "HTTP/1.1 103"].iter().any(|it| head.starts_with(it));
        // What follows the final head is a body.
        let last = heads.iter().take_while(is_interim).count();
        let read = |(at, head): (usize, &String)| if at <= last { unfolded(head) } else { head.clone() };
        let unfolded: String = heads.iter().enumerate().map(read).collect();
        let by_hyper = by_hyper((unfolded + &body).as_bytes());
        if let (Some(ours), Some(theirs)) = (&whole, &by_hyper)
            && is_refused_by_us_alone(&text)
            && !ours.2
        {
            prop_assert_eq!(ours.0, theirs.0, "{:?}", text);
            prop_assert!(theirs.1.starts_with(&ours.1), "{:?}", text);
        } else {
            prop_assert_eq!(whole, by_hyper, "{:?}", text);
        }
    }
}
