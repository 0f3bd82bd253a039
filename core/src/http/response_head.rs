//! Heads of answers: interim ones, and the final one (RFC 9112).

use std::mem::MaybeUninit;

use httparse::{Error, ParserConfig, Response, Status};

use super::body::BodyFraming;
use super::limits::{MAX_HEAD, MAX_HEADERS, MOST_INTERIM};

/// Why an answer is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not HTTP/1.1.
    Malformed,
    /// Its head is longer than is taken.
    TooLong,
    /// Its head has more headers than are taken.
    TooManyHeaders,
    /// It is never the final one.
    Flood,
    /// The connection ended before.
    Lost,
    /// The request was not begun: what it was made for is in use no more.
    Withdrawn,
}

/// The head of an answer.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) framing: BodyFraming,
    pub(crate) text: HeadText,
}

/// A head that was parsed once without a fault.
#[derive(Debug)]
pub(crate) struct HeadText(Box<[u8]>);

impl HeadText {
    /// Names as the consumer wrote them, and values.
    pub(crate) fn headers(&self) -> Vec<(&str, &[u8])> {
        let mut room = room();
        parsed(&self.0, &mut room).map_or_else(
            |_| Vec::new(),
            |(response, _)| {
                response.headers.iter().map(|header| (header.name, header.value)).collect()
            },
        )
    }

    /// The first value of a header.
    pub(crate) fn value(&self, name: &str) -> Option<&[u8]> {
        let named = |(other, _): &(&str, &[u8])| other.eq_ignore_ascii_case(name);
        self.headers().into_iter().find(named).map(|(_, value)| value)
    }

    /// A head with these headers.
    pub(crate) fn of<'a>(headers: impl Iterator<Item = (&'a str, Vec<u8>)>) -> Self {
        let mut text = b"HTTP/1.1 200\r\n".to_vec();
        for (name, value) in headers {
            text.extend([name.as_bytes(), b": ", &value, b"\r\n"].concat());
        }
        text.extend_from_slice(b"\r\n");
        Self(text.into())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

type Room<'a> = [MaybeUninit<httparse::Header<'a>>; MAX_HEADERS];

fn room<'a>() -> Room<'a> {
    [const { MaybeUninit::uninit() }; MAX_HEADERS]
}

/// Parses a head, as far as it has come.
fn parsed<'room, 'text>(
    bytes: &'text [u8],
    room: &'room mut Room<'text>,
) -> Result<(Response<'room, 'text>, Status<usize>), Error> {
    let mut response = Response::new(&mut []);
    let status =
        ParserConfig::default().parse_response_with_uninit_headers(&mut response, bytes, room)?;
    Ok((response, status))
}

/// Reads heads, up to that of the final answer.
#[derive(Default)]
pub(crate) struct Heads {
    /// A head whose end has not come.
    begun: Vec<u8>,
    /// Whether any of the head under way came before the request had left.
    early: bool,
    interim: u32,
    continued: bool,
}

impl Heads {
    /// Takes from what has come: how many bytes, and the final head if that was its end.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(usize, Option<Head>), Fault> {
        let before = self.begun.len();
        let read = if before == 0 {
            // Mostly it comes as a whole.
            read(bytes)?
        } else {
            self.begun.extend_from_slice(bytes);
            // Whoever sends it bit by bit does not have all of it parsed for each.
            let end = has_empty_line(&self.begun[before.saturating_sub(3)..]);
            if end || self.begun.len() >= MAX_HEAD { read(&self.begun)? } else { None }
        };
        let Some((head, length)) = read else {
            if before == 0 {
                self.begun.extend_from_slice(bytes);
            }
            return Ok((bytes.len(), None));
        };
        self.begun.clear();
        let taken = length.saturating_sub(before);
        // Switching protocols is final (RFC 9110 section 15.2.2).
        if !matches!(head.status, 100 | 102..=199) {
            return Ok((taken, Some(head)));
        }
        self.early = false;
        self.interim += 1;
        self.continued |= head.status == 100;
        if self.interim > MOST_INTERIM { Err(Fault::Flood) } else { Ok((taken, None)) }
    }

    /// What was taken last came before the request had left.
    pub(crate) fn note_early(&mut self, is_final: bool) {
        self.early |= is_final || !self.begun.is_empty();
    }

    /// Whether any of the final head came before the request had left.
    pub(crate) fn is_early(&self) -> bool {
        self.early
    }

    /// Whether 100 (Continue) came.
    pub(crate) fn is_continued(&self) -> bool {
        self.continued
    }
}

/// A head and its length; `None` if its end is not there.
fn read(bytes: &[u8]) -> Result<Option<(Head, usize)>, Fault> {
    let mut room = room();
    match parsed(bytes, &mut room) {
        Ok((response, Status::Complete(length))) if length <= MAX_HEAD => {
            let status = response.code.filter(|code| *code >= 100).ok_or(Fault::Malformed)?;
            let framing = BodyFraming::of(status, response.version == Some(1), response.headers)
                .ok_or(Fault::Malformed)?;
            let text = HeadText(bytes[..length].into());
            Ok(Some((Head { status, framing, text }, length)))
        }
        Ok((_, Status::Partial)) if bytes.len() < MAX_HEAD => Ok(None),
        Ok(_) => Err(Fault::TooLong),
        Err(Error::TooManyHeaders) => Err(Fault::TooManyHeaders),
        Err(_) => Err(Fault::Malformed),
    }
}

fn has_empty_line(bytes: &[u8]) -> bool {
    let ends = |at: usize| matches!(bytes[at + 1..], [b'\n', ..] | [b'\r', b'\n', ..]);
    memchr::memchr_iter(b'\n', bytes).any(ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The final head of this text, fed in pieces, and what lies after it.
    fn heads(text: &str, piece: usize) -> Result<Option<(u16, String)>, Fault> {
        let mut heads = Heads::default();
        let (mut left, mut end) = (text.as_bytes(), 0);
        while !left.is_empty() {
            // What has come beyond the head is offered, and must be left.
            end = end.max(piece).min(left.len());
            let (taken, head) = heads.take(&left[..end])?;
            left = &left[taken..];
            end -= taken;
            if let Some(head) = head {
                return Ok(Some((head.status, String::from_utf8(left.to_vec()).unwrap())));
            }
        }
        Ok(None)
    }

    #[test]
    fn a_head_is_the_same_in_any_pieces() {
        let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n\
                    HTTP/1.1 201 Created\r\na: b\r\nc: d\r\n\r\nbody\r\n\r\n";
        for piece in 1..=text.len() {
            let read = heads(text, piece);
            assert_eq!(read, Ok(Some((201, "body\r\n\r\n".to_owned()))), "by {piece}");
        }
    }

    #[test]
    fn a_head_that_ends_in_line_feeds_alone_is_read() {
        for piece in [1, 2, 100] {
            let read = heads("HTTP/1.0 200\na: b\n\nbody", piece);
            assert_eq!(read, Ok(Some((200, "body".to_owned()))), "by {piece}");
        }
    }

    #[test]
    fn what_is_no_head_is_refused() {
        for text in [
            "SSH-2.0-x\r\n",
            "HTTP/2 200\r\n\r\n",
            "HTTP/1.1 099 x\r\n\r\n",
            "HTTP/1.1 20 x\r\n\r\n",
            "HTTP/1.1 200 OK\r\na : b\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: \u{0}\r\n\r\n",
        ] {
            for piece in [1, text.len()] {
                assert_eq!(heads(text, piece), Err(Fault::Malformed), "{text:?} by {piece}");
            }
        }
    }

    #[test]
    fn a_head_has_limits() {
        let headers = |count| format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(count));
        let padded = |length: usize| {
            let rest = length - "HTTP/1.1 200 OK\r\na: \r\n\r\n".len();
            format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "b".repeat(rest))
        };
        let start = "HTTP/1.1 200 OK\r\na: ";
        let endless = format!("{start}{}", "b".repeat(MAX_HEAD - start.len()));
        for piece in [1, 1000, 2 * MAX_HEAD] {
            let whole = Ok(Some((200, String::new())));
            assert_eq!(heads(&headers(MAX_HEADERS), piece), whole, "by {piece}");
            assert_eq!(heads(&padded(MAX_HEAD), piece), whole, "by {piece}");
            let many = headers(MAX_HEADERS + 1);
            assert_eq!(heads(&many, piece), Err(Fault::TooManyHeaders), "by {piece}");
            for text in [padded(MAX_HEAD + 1), endless.clone()] {
                assert_eq!(heads(&text, piece), Err(Fault::TooLong), "by {piece}");
            }
        }
    }

    #[test]
    fn interim_answers_come_to_an_end() {
        let after = |interim| {
            format!("{}HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 102 x\r\n\r\n".repeat(interim))
        };
        let most = MOST_INTERIM as usize;
        assert_eq!(heads(&after(most), 10), Ok(Some((200, String::new()))));
        assert_eq!(heads(&after(most + 1), 10), Err(Fault::Flood));
        let switching = "HTTP/1.1 101 Switching Protocols\r\n\r\nhello";
        assert_eq!(heads(switching, 10), Ok(Some((101, "hello".to_owned()))));
    }
}
