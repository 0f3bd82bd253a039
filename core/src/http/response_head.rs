//! Response heads: the interim ones, and the final one (RFC 9112).

use std::mem::MaybeUninit;

use httparse::{Error, ParserConfig, Response, Status};

use super::body::BodyFraming;
use super::invalid_line;
use super::limits::{MAX_HEAD, MAX_HEADERS, MAX_INTERIM};

/// Why the bytes are not a valid response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ResponseFault {
    /// They are not HTTP/1.1. With a description of the invalid line.
    Malformed(String),
    /// A head exceeds [`MAX_HEAD`].
    HeadTooLong,
    /// A head has more than [`MAX_HEADERS`] headers.
    TooManyHeaders,
    /// More than [`MAX_INTERIM`] interim responses precede the final one.
    TooManyInterim,
}

/// The head of a response.
#[derive(Debug)]
pub(crate) struct ResponseHead {
    pub(crate) status: u16,
    pub(crate) framing: BodyFraming,
    pub(crate) text: HeadText,
}

/// The text of a head that has been parsed successfully.
#[derive(Debug)]
pub(crate) struct HeadText(Box<[u8]>);

impl HeadText {
    /// The headers, with names as the consumer wrote them.
    pub(crate) fn headers(&self) -> Vec<(&str, &[u8])> {
        let mut slots = header_slots();
        parsed(&self.0, &mut slots).map_or_else(
            |_| Vec::new(),
            |(response, _)| {
                response.headers.iter().map(|header| (header.name, header.value)).collect()
            },
        )
    }

    /// The value of the first header with this name.
    pub(crate) fn value(&self, name: &str) -> Option<&[u8]> {
        let named = |(other, _): &(&str, &[u8])| other.eq_ignore_ascii_case(name);
        self.headers().into_iter().find(named).map(|(_, value)| value)
    }

    /// Builds the text of a head with these headers.
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

type HeaderSlots<'a> = [MaybeUninit<httparse::Header<'a>>; MAX_HEADERS];

fn header_slots<'a>() -> HeaderSlots<'a> {
    [const { MaybeUninit::uninit() }; MAX_HEADERS]
}

/// Parses a head that may be incomplete.
fn parsed<'slots, 'text>(
    bytes: &'text [u8],
    slots: &'slots mut HeaderSlots<'text>,
) -> Result<(Response<'slots, 'text>, Status<usize>), Error> {
    let mut response = Response::new(&mut []);
    let status =
        ParserConfig::default().parse_response_with_uninit_headers(&mut response, bytes, slots)?;
    Ok((response, status))
}

/// Reads the heads of interim responses and of the final one.
#[derive(Default)]
pub(crate) struct HeadReader {
    /// The bytes of an incomplete head.
    partial: Vec<u8>,
    /// Whether a byte of the current head arrived before the request had left.
    early: bool,
    interim: u32,
    continued: bool,
}

impl HeadReader {
    /// Takes bytes that have arrived. Returns how many it took, and the final head once it is complete.
    pub(crate) fn take(
        &mut self,
        bytes: &[u8],
    ) -> Result<(usize, Option<ResponseHead>), ResponseFault> {
        let before = self.partial.len();
        let read = if before == 0 {
            // A head mostly arrives in one piece.
            read(bytes)?
        } else {
            self.partial.extend_from_slice(bytes);
            // A consumer that sends single bytes must not cause a parse of the whole head for each.
            let end = has_empty_line(&self.partial[before.saturating_sub(3)..]);
            if end || self.partial.len() >= MAX_HEAD { read(&self.partial)? } else { None }
        };
        let Some((head, length)) = read else {
            if before == 0 {
                self.partial.extend_from_slice(bytes);
            }
            return Ok((bytes.len(), None));
        };
        self.partial.clear();
        let taken = length.saturating_sub(before);
        // Switching protocols is final (RFC 9110 section 15.2.2).
        if !matches!(head.status, 100 | 102..=199) {
            return Ok((taken, Some(head)));
        }
        self.early = false;
        self.interim += 1;
        self.continued |= head.status == 100;
        if self.interim > MAX_INTERIM {
            Err(ResponseFault::TooManyInterim)
        } else {
            Ok((taken, None))
        }
    }

    /// Records that the bytes taken last arrived before the request had left.
    ///
    /// * `is_final`: they completed the final head.
    pub(crate) fn note_early(&mut self, is_final: bool) {
        self.early |= is_final || !self.partial.is_empty();
    }

    /// Whether a byte of the final head arrived before the request had left.
    pub(crate) fn is_early(&self) -> bool {
        self.early
    }

    /// Whether 100 (Continue) has arrived.
    pub(crate) fn is_continued(&self) -> bool {
        self.continued
    }
}

/// Parses a head. Returns it with its length, or `None` if it is incomplete.
fn read(bytes: &[u8]) -> Result<Option<(ResponseHead, usize)>, ResponseFault> {
    let read = read_lines(bytes);
    // The parser takes the first line of a fold for a header without a name.
    if matches!(read, Err(ResponseFault::Malformed(_)))
        && let Some(unfolded) = unfolded(bytes)
    {
        return read_lines(&unfolded);
    }
    read
}

/// Replaces each line break of a folded header by spaces (obs-fold, RFC 9112 section 5.2). Returns
/// `None` if no header is folded.
#[cold]
fn unfolded(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut text = bytes.to_vec();
    let (mut found, mut lines) = (false, 0);
    for at in memchr::memchr_iter(b'\n', bytes) {
        lines += 1;
        let ends = |text: &[u8]| matches!(text, [b'\n', ..] | [b'\r', b'\n', ..]);
        match bytes.get(at + 1) {
            _ if ends(&bytes[at + 1..]) => break,
            // The first line is no header.
            Some(b' ' | b'\t') if lines > 1 => {
                found = true;
                text[at..at + 2].fill(b' ');
                if bytes[at - 1] == b'\r' {
                    text[at - 1] = b' ';
                }
            }
            _ => {}
        }
    }
    found.then_some(text)
}

/// Parses a head without folded headers.
fn read_lines(bytes: &[u8]) -> Result<Option<(ResponseHead, usize)>, ResponseFault> {
    let malformed = || {
        let line = invalid_line::describe(bytes, |part| parsed(part, &mut header_slots()).is_ok());
        ResponseFault::Malformed(format!("{line} is not valid"))
    };
    let mut slots = header_slots();
    match parsed(bytes, &mut slots) {
        Ok((response, Status::Complete(length))) if length <= MAX_HEAD => {
            let status = response
                .code
                .filter(|code| *code >= 100)
                .ok_or_else(|| ResponseFault::Malformed("its status is below 100".to_owned()))?;
            let framing = BodyFraming::of(status, response.version == Some(1), response.headers)
                .ok_or_else(|| {
                    let why = "its content-length or transfer-encoding contradicts itself";
                    ResponseFault::Malformed(why.to_owned())
                })?;
            let text = HeadText(bytes[..length].into());
            Ok(Some((ResponseHead { status, framing, text }, length)))
        }
        Ok((_, Status::Partial)) if bytes.len() < MAX_HEAD => Ok(None),
        Ok(_) => Err(ResponseFault::HeadTooLong),
        Err(Error::TooManyHeaders) => Err(ResponseFault::TooManyHeaders),
        Err(_) => Err(malformed()),
    }
}

fn has_empty_line(bytes: &[u8]) -> bool {
    let ends = |at: usize| matches!(bytes[at + 1..], [b'\n', ..] | [b'\r', b'\n', ..]);
    memchr::memchr_iter(b'\n', bytes).any(ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The status of the final head, if the text is fed in pieces, and the bytes behind it.
    fn heads(text: &str, piece: usize) -> Result<Option<(u16, String)>, ResponseFault> {
        let mut heads = HeadReader::default();
        let (mut left, mut end) = (text.as_bytes(), 0);
        while !left.is_empty() {
            // The piece may reach beyond the head. The reader must leave those bytes.
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
    fn parsing_a_head_does_not_depend_on_the_pieces() {
        let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n\
                    HTTP/1.1 201 Created\r\na: b\r\nc: d\r\n\r\nbody\r\n\r\n";
        for piece in 1..=text.len() {
            let read = heads(text, piece);
            assert_eq!(read, Ok(Some((201, "body\r\n\r\n".to_owned()))), "by {piece}");
        }
    }

    #[test]
    fn a_head_with_bare_line_feeds_is_read() {
        for piece in [1, 2, 100] {
            let read = heads("HTTP/1.0 200\na: b\n\nbody", piece);
            assert_eq!(read, Ok(Some((200, "body".to_owned()))), "by {piece}");
        }
    }

    #[test]
    fn an_invalid_head_is_refused() {
        for text in [
            "SSH-2.0-x\r\n",
            "HTTP/2 200\r\n\r\n",
            "HTTP/1.1 099 x\r\n\r\n",
            "HTTP/1.1 20 x\r\n\r\n",
            "HTTP/1.1 200 OK\r\na : b\r\n\r\n",
            "HTTP/1.1 200 OK\r\n a: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: \u{0}\r\n\r\n",
        ] {
            for piece in [1, text.len()] {
                let read = heads(text, piece);
                assert!(
                    matches!(read, Err(ResponseFault::Malformed(_))),
                    "{text:?} by {piece}: {read:?}"
                );
            }
        }
    }

    #[test]
    fn a_folded_header_is_read_as_one_line() {
        let text =
            "HTTP/1.1 200 OK\r\na: 1\r\n\tfolded\r\n  twice\r\ncontent-length:\n 0\r\n\r\n body";
        for piece in [1, 2, 7, text.len()] {
            let read = heads(text, piece);
            assert_eq!(read, Ok(Some((200, " body".to_owned()))), "by {piece}");
        }
        let (_, head) = HeadReader::default().take(text.as_bytes()).unwrap();
        let head = head.unwrap().text;
        let value = String::from_utf8(head.value("a").unwrap().to_vec()).unwrap();
        assert_eq!(value.split_whitespace().collect::<Vec<_>>(), ["1", "folded", "twice"]);
        assert!(!value.contains(['\r', '\n']));
        assert_eq!(head.value("content-length"), Some(&b"0"[..]));
    }

    #[test]
    fn an_invalid_line_is_named_without_its_value() {
        for (text, line) in [
            (
                "HTTP/1.1 200 OK\r\na: 1\r\nx-b : s3cret\r\n\r\n",
                "line 3 of the response head, \"x-b :\"",
            ),
            ("SSH-2.0-OpenSSH_9.6\r\n", "line 1 of the response head, \"SSH-2.0-OpenSSH_9.6\""),
            ("POST /s3cret HTTP/1.1\r\n\r\n", "line 1 of the response head, \"POST \""),
            ("HTTP/1.1 2x0 OK\r\n\r\n", "line 1 of the response head, \"HTTP/1.1 2x0 OK\""),
            (
                "HTTP/1.1 200 OK\r\nHTTP/1 x: s3cret\r\n\r\n",
                "line 2 of the response head, \"HTTP/1 x:\"",
            ),
            (
                "HTTP/1.1 200 OK\r\ns3cret\r\n\r\n",
                "line 2 of the response head, 6 bytes without a colon",
            ),
        ] {
            let Err(ResponseFault::Malformed(seen)) = heads(text, text.len()) else {
                panic!("{text:?} is valid");
            };
            assert_eq!(seen, format!("{line} is not valid"));
            assert!(!seen.contains("s3cret"));
        }
    }

    #[test]
    fn the_size_of_a_head_is_limited() {
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
            assert_eq!(heads(&many, piece), Err(ResponseFault::TooManyHeaders), "by {piece}");
            for text in [padded(MAX_HEAD + 1), endless.clone()] {
                assert_eq!(heads(&text, piece), Err(ResponseFault::HeadTooLong), "by {piece}");
            }
        }
    }

    #[test]
    fn the_number_of_interim_responses_is_limited() {
        let after = |interim| {
            format!("{}HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 102 x\r\n\r\n".repeat(interim))
        };
        let most = MAX_INTERIM as usize;
        assert_eq!(heads(&after(most), 10), Ok(Some((200, String::new()))));
        assert_eq!(heads(&after(most + 1), 10), Err(ResponseFault::TooManyInterim));
        let switching = "HTTP/1.1 101 Switching Protocols\r\n\r\nhello";
        assert_eq!(heads(switching, 10), Ok(Some((101, "hello".to_owned()))));
    }
}
