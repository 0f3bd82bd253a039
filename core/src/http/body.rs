//! Where a response ends (RFC 9112 section 6.3), and whether its framing is unambiguous.
//!
//! If two readers could disagree about the end of a response, an attacker could place a forged response
//! behind it (response smuggling). Such a response is valid, but its connection is not reused.

use std::ops::Range;

use httparse::{EMPTY_HEADER, Header, Status, parse_chunk_size, parse_headers};

use super::limits::{MAX_HEAD, MAX_HEADERS};

/// The longest line with the size of a chunk. Chunk extensions have no use here.
const MAX_CHUNK_LINE: usize = 4 * 1024;

/// The most bytes of chunked coding that are not data: twice what one-byte chunks need (six bytes each)
/// for the longest body that is read. This limits the cost of reading any response.
const MAX_OVERHEAD: usize = 12 * 64 * 1024;

/// How a body ends, and how much of it has arrived.
#[derive(Debug)]
pub(crate) struct BodyFraming {
    end: BodyEnd,
    is_reusable: bool,
}

#[derive(Debug)]
enum BodyEnd {
    /// After this many more bytes.
    Length(u64),
    Chunked(ChunkedDecoder),
    /// When the connection closes.
    Close,
}

impl BodyFraming {
    /// The framing of the body behind a head. Returns `None` if the head is contradictory.
    ///
    /// * `is_http_1_1`: the version in the head is HTTP/1.1, not 1.0.
    pub(crate) fn of(status: u16, is_http_1_1: bool, headers: &[Header<'_>]) -> Option<Self> {
        let (mut lengths, mut length, mut agree) = (0, None, true);
        let (mut encodings, mut chunked, mut only_chunked) = (0, false, false);
        let mut closes = !is_http_1_1;
        for Header { name, value } in headers {
            if name.eq_ignore_ascii_case("content-length") {
                for value in elements(value).map(number) {
                    lengths += 1;
                    length = length.or(value);
                    agree &= value.is_some() && value == length;
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
            _ if matches!(status, 100..=199 | 204 | 304) => BodyEnd::Length(0),
            (0, 0) => BodyEnd::Close,
            (0, _) => BodyEnd::Length(length.filter(|_| agree)?),
            // HTTP/1.0 has no transfer codings.
            _ if !is_http_1_1 => return None,
            _ if chunked => BodyEnd::Chunked(ChunkedDecoder::default()),
            _ => BodyEnd::Close,
        };
        let unambiguous = match (encodings, lengths) {
            (0, 0) => true,
            (0, 1) => agree,
            (1, 0) => only_chunked,
            _ => false,
        };
        Some(Self { end, is_reusable: unambiguous && !closes })
    }

    /// Whether another request may follow once the body has been read.
    pub(crate) fn is_reusable(&self) -> bool {
        self.is_reusable
    }

    pub(crate) fn is_complete(&self) -> bool {
        match &self.end {
            BodyEnd::Length(left) => *left == 0,
            BodyEnd::Chunked(chunks) => matches!(chunks.part, ChunkPart::End),
            BodyEnd::Close => false,
        }
    }

    /// Takes bytes that have arrived. Returns how many it took, and which of them belong to the body.
    /// Returns `None` if they are malformed.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Option<(usize, Range<usize>)> {
        match &mut self.end {
            BodyEnd::Length(left) => Some(take_up_to(left, bytes)),
            BodyEnd::Chunked(chunks) => chunks.take(bytes),
            BodyEnd::Close => Some((bytes.len(), 0..bytes.len())),
        }
    }

    pub(crate) fn is_until_close(&self) -> bool {
        matches!(self.end, BodyEnd::Close)
    }
}

/// The elements of a list in a header value (RFC 9110 section 5.6.1).
fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// Parses digits only; `str::parse` would accept a sign.
fn number(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

/// Takes at most `left` of these bytes, and reduces `left` by as many.
fn take_up_to(left: &mut u64, bytes: &[u8]) -> (usize, Range<usize>) {
    let taken = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
    *left -= taken as u64;
    (taken, 0..taken)
}

/// The chunked coding (RFC 9112 section 7.1).
#[derive(Debug, Default)]
struct ChunkedDecoder {
    part: ChunkPart,
    /// The incomplete line.
    line: Vec<u8>,
    trailers: Vec<u8>,
    /// How many bytes of the coding that are not data have arrived.
    overhead: usize,
}

#[derive(Debug, Default)]
enum ChunkPart {
    #[default]
    Size,
    Data(u64),
    /// The line break after the data.
    Break,
    Trailer,
    End,
}

impl ChunkedDecoder {
    fn take(&mut self, bytes: &[u8]) -> Option<(usize, Range<usize>)> {
        if let ChunkPart::Data(left) = &mut self.part {
            let taken = take_up_to(left, bytes);
            if *left == 0 {
                self.part = ChunkPart::Break;
            }
            return Some(taken);
        }
        let end = memchr::memchr(b'\n', bytes);
        let taken = end.map_or(bytes.len(), |at| at + 1);
        self.line.extend_from_slice(&bytes[..taken]);
        self.overhead += taken;
        if self.line.len() > MAX_CHUNK_LINE || self.overhead > MAX_OVERHEAD {
            return None;
        }
        if end.is_some() {
            self.part = self.next()?;
            self.line.clear();
        }
        Some((taken, 0..0))
    }

    /// The part that follows the completed line.
    fn next(&mut self) -> Option<ChunkPart> {
        let line = &*self.line;
        if !line.ends_with(b"\r\n") {
            return None;
        }
        let empty = line.len() == 2;
        match self.part {
            ChunkPart::Size if line[0].is_ascii_hexdigit() => match parse_chunk_size(line) {
                Ok(Status::Complete((_, 0))) => Some(ChunkPart::Trailer),
                Ok(Status::Complete((_, size))) => Some(ChunkPart::Data(size)),
                _ => None,
            },
            ChunkPart::Break if empty => Some(ChunkPart::Size),
            ChunkPart::Trailer => {
                self.trailers.extend_from_slice(line);
                match self.trailers.len() {
                    ..=MAX_HEAD if !empty => Some(ChunkPart::Trailer),
                    ..=MAX_HEAD if are_headers(&self.trailers) => Some(ChunkPart::End),
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

    fn framing(is_http_1_1: bool, headers: &[(&str, &str)]) -> Option<BodyFraming> {
        let headers = headers.iter().map(|(name, value)| Header { name, value: value.as_bytes() });
        let headers: Vec<_> = headers.collect();
        BodyFraming::of(200, is_http_1_1, &headers)
    }

    #[test]
    fn only_unambiguous_framing_permits_reuse() {
        let is_reusable = |headers| framing(true, headers).unwrap().is_reusable();
        assert!(is_reusable(&[]));
        assert!(is_reusable(&[("Content-Length", "2")]));
        assert!(is_reusable(&[("transfer-encoding", "Chunked")]));
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
            assert!(!is_reusable(contradictory), "{contradictory:?}");
        }
    }

    #[test]
    fn contradictory_framing_is_refused() {
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
    fn an_http_1_0_connection_is_not_reused() {
        assert!(!framing(false, &[("connection", "keep-alive")]).unwrap().is_reusable());
    }

    #[test]
    fn a_204_or_304_has_no_body_whatever_its_headers() {
        for status in [204, 304] {
            let header = Header { name: "content-length", value: b"5" };
            assert!(BodyFraming::of(status, true, &[header]).unwrap().is_complete(), "{status}");
        }
    }

    /// Decodes a chunked text that is fed in pieces. Returns `None` if it is malformed or does not end
    /// with the text.
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
    fn chunked_decoding_does_not_depend_on_the_pieces() {
        let text = b"3;a=b\r\nabc\r\n00C \r\nd\r\n\r\n0\r\n\r\nef\r\n000\r\nx: y\r\nz: 0\r\n\r\n";
        for piece in 1..=text.len() {
            let body = unchunked(text, piece);
            assert_eq!(body.as_deref(), Some(&b"abcd\r\n\r\n0\r\n\r\nef"[..]), "{piece}");
        }
    }

    #[test]
    fn malformed_chunked_coding_is_refused() {
        let long_line = format!("1;{}\r\n", "x".repeat(MAX_CHUNK_LINE));
        let trailers = format!("0\r\n{}\r\n", "x: y\r\n".repeat(MAX_HEAD / 6 + 1));
        let padded = format!("1;{}\r\na\r\n", "x".repeat(MAX_CHUNK_LINE - 4));
        let padded = padded.repeat(MAX_OVERHEAD / MAX_CHUNK_LINE + 1) + "0\r\n\r\n";
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
