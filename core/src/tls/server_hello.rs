//! Reads the plaintext messages in which a server chooses the parameters of a connection: the
//! ServerHello or HelloRetryRequest (RFC 8446 section 4.1.3, RFC 5246 section 7.4.1.3), and in TLS 1.2
//! the group in its ServerKeyExchange (RFC 8422 section 5.4).
//!
//! rustls drops these facts if a handshake fails. This reader decides nothing: rustls reads the same
//! bytes and judges them.

use rustls::{CipherSuite, NamedGroup};

/// The longest ServerHello that is read. The longest key share takes 1.7 KB.
const MAX_HELLO: usize = 4096;

/// Content types of records.
const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;

/// Types of handshake messages, and the length of their headers.
const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;
const SERVER_KEY_EXCHANGE: u8 = 12;
const CERTIFICATE_STATUS: u8 = 22;
const HEADER: usize = 4;

/// Extensions of a ServerHello.
const SUPPORTED_VERSIONS: u16 = 43;
const KEY_SHARE: u16 = 51;

const TLS_1_3: u16 = 0x0304;

/// The curve type and the group of a ServerKeyExchange.
const NAMED_CURVE: u8 = 3;
const NAMED_CURVE_BYTES: usize = 3;

/// The `random` of a HelloRetryRequest: the SHA-256 digest of that word.
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// The choices of a server, as numbers of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServerHello {
    version: u16,
    cipher_suite: u16,
    /// 0 until it is known.
    group: u16,
}

impl ServerHello {
    /// Reads the body of a ServerHello. Returns also whether it is a HelloRetryRequest, or `None` if it
    /// is malformed or of an unknown version.
    fn parse(body: &[u8]) -> Option<(Self, bool)> {
        let (&legacy_version, rest) = body.split_first_chunk::<2>()?;
        let (random, rest) = rest.split_first_chunk::<32>()?;
        let (&session_id, rest) = rest.split_first()?;
        let rest = rest.get(usize::from(session_id)..)?;
        let (&cipher_suite, rest) = rest.split_first_chunk::<2>()?;
        let (_compression, rest) = rest.split_first()?;
        let (mut version, mut group) = (u16::from_be_bytes(legacy_version), 0);
        // TLS 1.2 permits a ServerHello without extensions.
        let mut extensions = if rest.is_empty() { rest } else { split_vector(rest)?.0 };
        while !extensions.is_empty() {
            let (&number, rest) = extensions.split_first_chunk::<2>()?;
            let (content, rest) = split_vector(rest)?;
            extensions = rest;
            // Both begin with the choice. In a ServerHello, a key follows the group.
            match u16::from_be_bytes(number) {
                SUPPORTED_VERSIONS => version = first_number(content)?,
                KEY_SHARE => group = first_number(content)?,
                _ => {}
            }
        }
        let hello = Self { version, cipher_suite: u16::from_be_bytes(cipher_suite), group };
        hello.version_name().map(|_| (hello, *random == RETRY))
    }

    /// Returns the version by the name that a receipt shows, or `None` if it is unknown.
    fn version_name(self) -> Option<&'static str> {
        Some(match self.version {
            TLS_1_3 => "TLSv1.3",
            0x0303 => "TLSv1.2",
            0x0302 => "TLSv1.1",
            0x0301 => "TLSv1.0",
            0x0300 => "SSLv3",
            _ => return None,
        })
    }

    pub(super) fn version(self) -> &'static str {
        self.version_name().unwrap_or_default()
    }

    /// Returns the IANA name, empty if it is unknown.
    pub(super) fn cipher_suite(self) -> &'static str {
        CipherSuite::from(self.cipher_suite).as_str().unwrap_or_default()
    }

    /// Returns the IANA name, empty if the group is unknown.
    pub(super) fn key_exchange(self) -> &'static str {
        NamedGroup::from(self.group).as_str().unwrap_or_default()
    }

    /// Packs the choices into a number above 0.
    pub(super) fn to_bits(self) -> u64 {
        u64::from(self.version) << 32 | u64::from(self.cipher_suite) << 16 | u64::from(self.group)
    }

    /// Unpacks [`to_bits`](Self::to_bits). Returns `None` for 0.
    pub(super) fn from_bits(bits: u64) -> Option<Self> {
        let [_, _, v1, v0, c1, c0, g1, g0] = bits.to_be_bytes();
        let [version, cipher_suite, group] = [[v1, v0], [c1, c0], [g1, g0]].map(u16::from_be_bytes);
        (bits != 0).then_some(Self { version, cipher_suite, group })
    }
}

/// Splits a vector with a length of two bytes from the rest.
fn split_vector(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(length)))
}

fn first_number(bytes: &[u8]) -> Option<u16> {
    bytes.first_chunk::<2>().map(|bytes| u16::from_be_bytes(*bytes))
}

/// Finds the choices of a server in the bodies of its first records. Keeps at most one ServerHello.
#[derive(Debug, Default)]
pub(crate) struct ServerHelloReader {
    awaited: Awaited,
    header: [u8; HEADER],
    /// How many bytes of the header have arrived.
    begun: usize,
    /// How many bytes of the message's body have not arrived.
    left: usize,
    /// The first bytes of the body, and how many of them to keep.
    body: Vec<u8>,
    keep: usize,
    hello: Option<ServerHello>,
}

/// The next message that is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Awaited {
    #[default]
    Hello,
    /// The ServerHello after a HelloRetryRequest.
    SecondHello,
    /// The ServerKeyExchange of TLS 1.2.
    KeyExchange,
    Nothing,
}

impl ServerHelloReader {
    /// Reads a part of a record's body.
    pub(crate) fn read(&mut self, content_type: u8, mut bytes: &[u8]) {
        match content_type {
            HANDSHAKE => {}
            // It may follow a HelloRetryRequest (RFC 8446 appendix D.4).
            CHANGE_CIPHER_SPEC if self.awaited == Awaited::SecondHello => return,
            _ => self.awaited = Awaited::Nothing,
        }
        while !bytes.is_empty() && !self.is_done() {
            bytes =
                if self.begun < HEADER { self.read_header(bytes) } else { self.read_body(bytes) };
        }
    }

    /// Returns whether no further message is read.
    pub(crate) fn is_done(&self) -> bool {
        self.awaited == Awaited::Nothing
    }

    /// Returns the choices so far.
    pub(crate) fn hello(&self) -> Option<ServerHello> {
        self.hello
    }

    /// Returns the bytes after the header.
    fn read_header<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (header, rest) = bytes.split_at(bytes.len().min(HEADER - self.begun));
        self.header[self.begun..self.begun + header.len()].copy_from_slice(header);
        self.begun += header.len();
        if self.begun == HEADER {
            let [kind, length @ ..] = self.header;
            let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            match self.kept_of(kind, length) {
                Some(_) if length == 0 => self.end_message(),
                Some(keep) => (self.left, self.keep) = (length, keep),
                None => self.awaited = Awaited::Nothing,
            }
        }
        rest
    }

    /// Returns the bytes after the body.
    fn read_body<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (body, rest) = bytes.split_at(bytes.len().min(self.left));
        self.left -= body.len();
        self.body.extend(body.iter().take(self.keep - self.body.len()));
        if self.left == 0 {
            self.end_message();
        }
        rest
    }

    /// How many bytes of a message to keep. `None`: read no further.
    fn kept_of(&self, kind: u8, length: usize) -> Option<usize> {
        match (self.awaited, kind) {
            (Awaited::Hello | Awaited::SecondHello, SERVER_HELLO) if length <= MAX_HELLO => {
                Some(length)
            }
            (Awaited::KeyExchange, SERVER_KEY_EXCHANGE) => Some(length.min(NAMED_CURVE_BYTES)),
            (Awaited::KeyExchange, CERTIFICATE | CERTIFICATE_STATUS) => Some(0),
            _ => None,
        }
    }

    fn end_message(&mut self) {
        self.begun = 0;
        let body = std::mem::take(&mut self.body);
        match (self.header[0], &mut self.hello) {
            (SERVER_HELLO, _) => {
                let parsed = ServerHello::parse(&body);
                self.awaited = match parsed {
                    Some((_, true)) if self.awaited == Awaited::Hello => Awaited::SecondHello,
                    Some((hello, false)) if hello.version < TLS_1_3 => Awaited::KeyExchange,
                    _ => Awaited::Nothing,
                };
                self.hello = parsed.map(|(hello, _)| hello).or(self.hello);
            }
            (SERVER_KEY_EXCHANGE, Some(hello)) => {
                self.awaited = Awaited::Nothing;
                if let [NAMED_CURVE, group @ ..] = &body[..] {
                    hello.group = first_number(group).unwrap_or_default();
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&[kind], &length[1..], body].concat()
    }

    fn extension(number: u16, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&number.to_be_bytes()[..], &length, content].concat()
    }

    fn hello(version: u16, random: [u8; 32], suite: u16, extensions: &[Vec<u8>]) -> Vec<u8> {
        let mut body = [&version.to_be_bytes()[..], &random, &[2, 7, 7]].concat();
        body.extend(suite.to_be_bytes());
        body.push(0);
        if !extensions.is_empty() {
            let extensions = extensions.concat();
            body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
            body.extend(extensions);
        }
        message(SERVER_HELLO, &body)
    }

    fn tls13(random: [u8; 32], share: &[u8]) -> Vec<u8> {
        let extensions = [extension(KEY_SHARE, share), extension(SUPPORTED_VERSIONS, &[3, 4])];
        hello(0x0303, random, 0x1301, &extensions)
    }

    fn names(reader: &ServerHelloReader) -> Option<[&'static str; 3]> {
        reader.hello().map(|it| [it.version(), it.cipher_suite(), it.key_exchange()])
    }

    /// Reads the records in pieces of each length, which must not matter.
    fn read(records: &[(u8, Vec<u8>)]) -> (Option<[&'static str; 3]>, bool) {
        let in_pieces = |piece: usize| {
            let mut reader = ServerHelloReader::default();
            for (content_type, body) in records {
                body.chunks(piece).for_each(|bytes| reader.read(*content_type, bytes));
            }
            (names(&reader), reader.is_done())
        };
        let whole = in_pieces(usize::MAX);
        for piece in 1..50 {
            assert_eq!(in_pieces(piece), whole, "in pieces of {piece}");
        }
        whole
    }

    const RANDOM: [u8; 32] = [9; 32];
    const SHARE: [u8; 6] = [0, 0x1d, 0, 2, 7, 7];

    #[test]
    fn tls_1_3_ends_with_its_server_hello() {
        let known = Some(["TLSv1.3", "TLS13_AES_128_GCM_SHA256", "X25519"]);
        assert_eq!(read(&[(HANDSHAKE, tls13(RANDOM, &SHARE))]), (known, true));
        // Encrypted records follow.
        let more = [(HANDSHAKE, tls13(RANDOM, &SHARE)), (23, vec![2; 40])];
        assert_eq!(read(&more), (known, true));
    }

    #[test]
    fn a_hello_retry_request_chooses_and_the_next_hello_decides() {
        let retry = (HANDSHAKE, tls13(RETRY, &[0, 0x18]));
        let asked = Some(["TLSv1.3", "TLS13_AES_128_GCM_SHA256", "secp384r1"]);
        assert_eq!(read(std::slice::from_ref(&retry)), (asked, false));
        let change = (CHANGE_CIPHER_SPEC, vec![1]);
        let second = (HANDSHAKE, tls13(RANDOM, &SHARE));
        let decided = Some(["TLSv1.3", "TLS13_AES_128_GCM_SHA256", "X25519"]);
        assert_eq!(read(&[retry.clone(), change, second]), (decided, true));
        assert_eq!(read(&[retry.clone(), retry.clone()]), (asked, true));
        assert_eq!(read(&[retry, (HANDSHAKE, message(SERVER_HELLO, b"x"))]), (asked, true));
    }

    #[test]
    fn tls_1_2_chooses_the_group_in_its_key_exchange() {
        let hello = hello(0x0303, RANDOM, 0xc02b, &[]);
        let begun = Some(["TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", ""]);
        assert_eq!(read(&[(HANDSHAKE, hello.clone())]), (begun, false));
        let certificate = message(CERTIFICATE, &[5; 300]);
        let status = message(CERTIFICATE_STATUS, &[]);
        let exchange = |curve: &[u8]| message(SERVER_KEY_EXCHANGE, curve);
        let flight = |curve| [&hello[..], &certificate, &status, &exchange(curve)].concat();
        let known = Some(["TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "secp256r1"]);
        assert_eq!(read(&[(HANDSHAKE, flight(&[3, 0, 0x17, 65, 4]))]), (known, true));
        for other in [&[][..], &[3], &[3, 0], &[1, 0, 0x17, 65]] {
            assert_eq!(read(&[(HANDSHAKE, flight(other))]), (begun, true), "{other:?}");
        }
        let done = (HANDSHAKE, [hello, message(14, &[])].concat());
        assert_eq!(read(&[done]), (begun, true));
    }

    #[test]
    fn older_versions_and_unknown_numbers_are_shown_as_far_as_they_have_names() {
        for (version, name) in [(0x0300, "SSLv3"), (0x0301, "TLSv1.0"), (0x0302, "TLSv1.1")] {
            let seen = read(&[(HANDSHAKE, hello(version, RANDOM, 0x5a5a, &[]))]);
            assert_eq!(seen, (Some([name, "", ""]), false));
        }
        for version in [0, 0x0002, 0x0305, 0x7a7a] {
            assert_eq!(read(&[(HANDSHAKE, hello(version, RANDOM, 0x1301, &[]))]), (None, true));
        }
    }

    #[test]
    fn other_bytes_show_nothing_and_end_the_reading() {
        let nothing = (None, true);
        for content_type in [0, CHANGE_CIPHER_SPEC, 21, 23, b'H'] {
            assert_eq!(read(&[(content_type, tls13(RANDOM, &SHARE))]), nothing);
        }
        for kind in [0, 1, 4, CERTIFICATE, SERVER_KEY_EXCHANGE, 255] {
            assert_eq!(read(&[(HANDSHAKE, message(kind, &[0; 80]))]), nothing, "{kind}");
        }
        assert_eq!(read(&[(HANDSHAKE, message(SERVER_HELLO, &[]))]), nothing);
    }

    #[test]
    fn a_truncated_hello_shows_nothing() {
        let whole = tls13(RANDOM, &SHARE);
        let body = &whole[HEADER..];
        for length in 0..body.len() {
            // Without its extensions, it is one of TLS 1.2.
            let known = length == 2 + 32 + 3 + 2 + 1;
            let seen = read(&[(HANDSHAKE, message(SERVER_HELLO, &body[..length]))]);
            assert_eq!(seen.0.is_some(), known, "{length} bytes");
        }
    }

    #[test]
    fn a_huge_hello_is_not_kept() {
        let longest = |length| read(&[(HANDSHAKE, message(SERVER_HELLO, &vec![3; length]))]);
        assert_eq!((longest(MAX_HELLO), longest(MAX_HELLO + 1)), ((None, true), (None, true)));
        let mut reader = ServerHelloReader::default();
        reader.read(HANDSHAKE, &[SERVER_HELLO, 0xff, 0xff, 0xff]);
        assert!(reader.is_done());
        // Of a certificate, nothing is kept.
        let mut reader = ServerHelloReader::default();
        reader.read(HANDSHAKE, &hello(0x0303, RANDOM, 0xc02b, &[]));
        reader.read(HANDSHAKE, &[CERTIFICATE, 0xff, 0xff, 0xff]);
        reader.read(HANDSHAKE, &vec![7; 60_000]);
        assert_eq!((reader.body.capacity(), reader.is_done()), (0, false));
    }

    #[test]
    fn choices_survive_packing() {
        let hello = ServerHello { version: 0x0303, cipher_suite: 0xc02b, group: 0x11ec };
        assert_eq!(ServerHello::from_bits(hello.to_bits()), Some(hello));
        assert_eq!(ServerHello::from_bits(0), None);
    }
}
