//! Where an answer ends (RFC 9112 section 6.3), and whether it says so in one way only.
//!
//! Where two readers could disagree about the end of an answer, what follows on the connection
//! could be anybody's words. Such an answer counts, and its connection is not used again.

use std::ops::Range;

use httparse::{EMPTY_HEADER, Header, Status, parse_chunk_size, parse_headers};

use super::limits::{MAX_HEAD, MAX_HEADERS};

/// The longest line with the size of a chunk. Nobody has use for its extensions.
const MAX_LINE: usize = 4 * 1024;

/// How much the chunks of a body may take beside its data: six bytes for each byte of the longest body
/// that is read, and as much again. No answer costs more than this to read.
const MAX_OVERHEAD: usize = 12 * 64 * 1024;

/// How a body ends, and how much of it has come.
#[derive(Debug)]
pub(crate) struct BodyFraming {
    end: End,
    plain: bool,
}

#[derive(Debug)]
enum End {
    /// After so many bytes more.
    Length(u64),
    Chunked(Chunks),
    /// With the connection.
    Close,
}

impl BodyFraming {
    /// How the body after this head ends; `None` if that cannot be said.
    ///
    /// * `current`: the head is of HTTP/1.1.
    pub(crate) fn of(status: u16, current: bool, headers: &[Header<'_>]) -> Option<Self> {
        let (mut lengths, mut length, mut agree) = (0, None, true);
        let (mut encodings, mut chunked, mut only_chunked) = (0, false, false);
        let mut closes = !current;
        for Header { name, value } in headers {
            if name.eq_ignore_ascii_case("content-length") {
                for said in elements(value).map(number) {
                    lengths += 1;
                    length = length.or(said);
                    agree &= said.is_some() && said == length;
                }
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
                encodings += 1;
                chunked = elements(value).last().is_some_and(is_chunked);
                only_chunked = is_chunked(value);
            } else if name.eq_ignore_ascii_case("connection") {
                closes |= elements(value).any(|word| word.eq_ignore_ascii_case(b"close"));
            }
        }
        let end = match (encodings, lengths) {
            _ if matches!(status, 100..=199 | 204 | 304) => End::Length(0),
            (0, 0) => End::Close,
            (0, _) => End::Length(length.filter(|_| agree)?),
            // HTTP/1.0 knows of no codings for the transfer.
            _ if !current => return None,
            _ if chunked => End::Chunked(Chunks::default()),
            _ => End::Close,
        };
        let in_one_way = match (encodings, lengths) {
            (0, 0) => true,
            (0, 1) => agree,
            (1, 0) => only_chunked,
            _ => false,
        };
        Some(Self { end, plain: in_one_way && !closes })
    }

    /// Whether another request may follow, once the body was read.
    pub(crate) fn is_plain(&self) -> bool {
        self.plain
    }

    pub(crate) fn is_complete(&self) -> bool {
        match &self.end {
            End::Length(left) => *left == 0,
            End::Chunked(chunks) => matches!(chunks.part, Part::End),
            End::Close => false,
        }
    }

    /// Takes from what has come: how many bytes, and which of them belong to the body. `None` if it is
    /// malformed.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Option<(usize, Range<usize>)> {
        match &mut self.end {
            End::Length(left) => Some(within(left, bytes)),
            End::Chunked(chunks) => chunks.take(bytes),
            End::Close => Some((bytes.len(), 0..bytes.len())),
        }
    }

    pub(crate) fn is_until_close(&self) -> bool {
        matches!(self.end, End::Close)
    }
}

/// The elements of a list in a header's value (RFC 9110 section 5.6.1).
fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// Digits and nothing else; `str::parse` would take a sign.
fn number(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

/// Those of these bytes that are among the next `left`.
fn within(left: &mut u64, bytes: &[u8]) -> (usize, Range<usize>) {
    let taken = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
    *left -= taken as u64;
    (taken, 0..taken)
}

/// The chunked coding (RFC 9112 section 7.1).
#[derive(Debug, Default)]
struct Chunks {
    part: Part,
    /// The line under way.
    line: Vec<u8>,
    trailers: Vec<u8>,
    /// How much of the coding has come that is no data.
    overhead: usize,
}

#[derive(Debug, Default)]
enum Part {
    #[default]
    Size,
    Data(u64),
    /// The line break after the data.
    Break,
    Trailer,
    End,
}

impl Chunks {
    fn take(&mut self, bytes: &[u8]) -> Option<(usize, Range<usize>)> {
        if let Part::Data(left) = &mut self.part {
            let taken = within(left, bytes);
            if *left == 0 {
                self.part = Part::Break;
            }
            return Some(taken);
        }
        let end = memchr::memchr(b'\n', bytes);
        let taken = end.map_or(bytes.len(), |at| at + 1);
        self.line.extend_from_slice(&bytes[..taken]);
        self.overhead += taken;
        if self.line.len() > MAX_LINE || self.overhead > MAX_OVERHEAD {
            return None;
        }
        if end.is_some() {
            self.part = self.next()?;
            self.line.clear();
        }
        Some((taken, 0..0))
    }

    /// What comes after the line that has ended.
    fn next(&mut self) -> Option<Part> {
        let line = &*self.line;
        if !line.ends_with(b"\r\n") {
            return None;
        }
        let empty = line.len() == 2;
        match self.part {
            Part::Size if line[0].is_ascii_hexdigit() => match parse_chunk_size(line) {
                Ok(Status::Complete((_, 0))) => Some(Part::Trailer),
                Ok(Status::Complete((_, size))) => Some(Part::Data(size)),
                _ => None,
            },
            Part::Break if empty => Some(Part::Size),
            Part::Trailer => {
                self.trailers.extend_from_slice(line);
                match self.trailers.len() {
                    ..=MAX_HEAD if !empty => Some(Part::Trailer),
                    ..=MAX_HEAD if are_headers(&self.trailers) => Some(Part::End),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

fn are_headers(text: &[u8]) -> bool {
    matches!(parse_headers(text, &mut [EMPTY_HEADER; MAX_HEADERS]), Ok(Status::Complete(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(current: bool, headers: &[(&str, &str)]) -> Option<BodyFraming> {
        let headers = headers.iter().map(|(name, value)| Header { name, value: value.as_bytes() });
        let headers: Vec<_> = headers.collect();
        BodyFraming::of(200, current, &headers)
    }

    #[test]
    fn only_one_way_to_end_is_plain() {
        let plain = |headers| framing(true, headers).unwrap().is_plain();
        assert!(plain(&[]));
        assert!(plain(&[("Content-Length", "2")]));
        assert!(plain(&[("transfer-encoding", "Chunked")]));
        for contradictory in [
            &[("content-length", "2"), ("transfer-encoding", "chunked")][..],
            &[("content-length", "2"), ("content-length", "2")],
            &[("content-length", "2, 2")],
            &[("transfer-encoding", "gzip, chunked")],
            &[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
            &[("transfer-encoding", "identity")],
            &[("connection", "close")],
            &[("connection", "x, Close")],
        ] {
            assert!(!plain(contradictory), "{contradictory:?}");
        }
    }

    #[test]
    fn what_does_not_say_where_it_ends_is_no_answer() {
        for headers in [
            &[("content-length", "+2")][..],
            &[("content-length", "")],
            &[("content-length", "2"), ("content-length", "3")],
            &[("content-length", "2, x")],
            &[("content-length", "99999999999999999999")],
        ] {
            assert!(framing(true, headers).is_none(), "{headers:?}");
        }
        assert!(framing(false, &[("transfer-encoding", "chunked")]).is_none());
    }

    #[test]
    fn http_1_0_is_not_used_again() {
        assert!(!framing(false, &[("connection", "keep-alive")]).unwrap().is_plain());
    }

    #[test]
    fn an_answer_without_content_has_no_body_whatever_it_says() {
        for status in [204, 304] {
            let header = Header { name: "content-length", value: b"5" };
            assert!(BodyFraming::of(status, true, &[header]).unwrap().is_complete(), "{status}");
        }
    }

    /// The body of a chunked text, fed in pieces; `None` if it is malformed or does not end with the
    /// text.
    fn unchunked(text: &[u8], piece: usize) -> Option<Vec<u8>> {
        let mut framing = framing(true, &[("transfer-encoding", "chunked")])?;
        let mut body = Vec::new();
        for mut piece in text.chunks(piece) {
            while !piece.is_empty() {
                let (taken, data) = framing.take(piece)?;
                body.extend_from_slice(&piece[data]);
                (taken > 0).then_some(())?;
                piece = &piece[taken..];
            }
        }
        framing.is_complete().then_some(body)
    }

    #[test]
    fn chunks_are_the_same_in_any_pieces() {
        let text = b"3;a=b\r\nabc\r\n00C \r\nd\r\n\r\n0\r\n\r\nef\r\n000\r\nx: y\r\nz: 0\r\n\r\n";
        for piece in 1..=text.len() {
            let body = unchunked(text, piece);
            assert_eq!(body.as_deref(), Some(&b"abcd\r\n\r\n0\r\n\r\nef"[..]), "{piece}");
        }
    }

    #[test]
    fn what_is_not_chunked_is_not_read() {
        let long_line = format!("1;{}\r\n", "x".repeat(MAX_LINE));
        let trailers = format!("0\r\n{}\r\n", "x: y\r\n".repeat(MAX_HEAD / 6 + 1));
        let padded = format!("1;{}\r\na\r\n", "x".repeat(MAX_LINE - 4));
        let padded = padded.repeat(MAX_OVERHEAD / MAX_LINE + 1) + "0\r\n\r\n";
        for text in [
            "\r\n0\r\n\r\n",
            "x\r\n",
            "-1\r\n",
            "+1\r\na\r\n0\r\n\r\n",
            "0x1\r\na\r\n0\r\n\r\n",
            " 1\r\na\r\n0\r\n\r\n",
            "1\na\n0\n\n",
            "1\r\nab\r\n0\r\n\r\n",
            "1\r\na0\r\n\r\n",
            "11111111111111111\r\na",
            "0\r\nx: y\n\r\n",
            "0\r\nno colon\r\n\r\n",
            &long_line,
            &trailers,
            &padded,
        ] {
            for piece in [1, 7, text.len()] {
                assert_eq!(unchunked(text.as_bytes(), piece), None, "{text:?} by {piece}");
            }
        }
    }
}
