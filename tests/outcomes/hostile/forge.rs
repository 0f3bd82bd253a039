//! Records that rustls never sends: a hostile peer holds the keys of a connection.

use std::sync::{Mutex, PoisonError};

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use aws_lc_rs::hkdf::{HKDF_SHA256, HKDF_SHA384, KeyType, Prk};
use rustls::{CipherSuite, ConnectionTrafficSecrets, ExtractedSecrets, KeyLog};

pub(crate) const ALERT: u8 = 21;
pub(crate) const HANDSHAKE: u8 = 22;
pub(crate) const DATA: u8 = 23;

/// Keeps the secret of the records that a server sends after its handshake.
#[derive(Debug, Default)]
pub(crate) struct Secret(Mutex<Vec<u8>>);

impl Secret {
    fn get(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl KeyLog for Secret {
    fn log(&self, label: &str, _client_random: &[u8], secret: &[u8]) {
        if label == "SERVER_TRAFFIC_SECRET_0" {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = secret.to_vec();
        }
    }
}

/// Seals records of any type with any content.
pub(crate) struct Forge {
    algorithm: &'static Algorithm,
    key: LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
    /// For TLS 1.3; TLS 1.2 has none.
    secret: Option<Vec<u8>>,
}

impl Forge {
    /// Continues after a server's last record, on either version.
    pub(crate) fn after(secrets: ExtractedSecrets, secret: &Secret) -> Self {
        let (sequence, keys) = secrets.tx;
        let (algorithm, key, iv) = match &keys {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
            _ => unreachable!("rustls has no other ciphers"),
        };
        let iv = iv.as_ref().try_into().expect("an IV of 12 bytes");
        let secret = Some(secret.get()).filter(|secret| !secret.is_empty());
        Self { algorithm, key: opened(algorithm, key.as_ref()), iv, sequence, secret }
    }

    /// Seals the first records after a server's Finished on TLS 1.3, before the end of the
    /// handshake; `None` before Finished.
    ///
    pub(crate) fn early(suite: CipherSuite, secret: &Secret) -> Option<Self> {
        let algorithm = match suite {
            CipherSuite::TLS13_AES_128_GCM_SHA256 => &AES_128_GCM,
            CipherSuite::TLS13_AES_256_GCM_SHA384 => &AES_256_GCM,
            _ => &CHACHA20_POLY1305,
        };
        let secret = Some(secret.get()).filter(|secret| !secret.is_empty())?;
        let (key, iv) = derived(algorithm, &secret);
        Some(Self { algorithm, key, iv, sequence: 0, secret: Some(secret) })
    }

    /// Returns one record.
    pub(crate) fn seal(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        if self.secret.is_some() {
            self.sealed(kind, [content, &[kind]].concat())
        } else {
            self.sealed(kind, content.to_vec())
        }
    }

    /// Returns one record of TLS 1.3, padded to the maximum length.
    pub(crate) fn seal_padded(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        let padding = vec![0; 16 * 1024 - content.len()];
        self.sealed(kind, [content, &[kind], &padding].concat())
    }

    fn sealed(&mut self, kind: u8, mut content: Vec<u8>) -> Vec<u8> {
        let mut nonce = self.iv;
        for (byte, of) in nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= of;
        }
        let (header, additional) = if self.secret.is_some() {
            let header = header(DATA, content.len() + 16);
            (header.clone(), header)
        } else {
            let of = [&self.sequence.to_be_bytes()[..], &header(kind, content.len())].concat();
            let explicit = if self.algorithm == &CHACHA20_POLY1305 { &[][..] } else { &nonce[4..] };
            let header = header(kind, explicit.len() + content.len() + 16);
            ([&header[..], explicit].concat(), of)
        };
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key
            .seal_in_place_append_tag(nonce, Aad::from(additional), &mut content)
            .expect("a record is sealed");
        self.sequence += 1;
        [header, content].concat()
    }

    /// Returns a KeyUpdate record, after which the new keys are used (RFC 8446 section 4.6.3).
    pub(crate) fn key_update(&mut self) -> Vec<u8> {
        let record = self.seal(HANDSHAKE, &[24, 0, 0, 1, 1]);
        let secret = self.secret.as_mut().expect("TLS 1.3");
        *secret = expanded(secret, b"traffic upd", secret.len());
        (self.key, self.iv) = derived(self.algorithm, secret);
        self.sequence = 0;
        record
    }
}

/// Returns as many session tickets of this size as fit in a record.
pub(crate) fn tickets(length: u16) -> Vec<u8> {
    let ticket = ticket(length);
    ticket.repeat((16 * 1024 / ticket.len()).max(1))
}

/// Returns a session ticket of this size (RFC 8446 section 4.6.1).
pub(crate) fn ticket(length: u16) -> Vec<u8> {
    let body = [
        &7200_u32.to_be_bytes()[..],
        &1_u32.to_be_bytes(),
        &[1, 0],
        &length.to_be_bytes(),
        &vec![b't'; usize::from(length)],
        &[0, 0],
    ]
    .concat();
    let size = u32::try_from(body.len()).expect("a short ticket").to_be_bytes();
    [&[4][..], &size[1..], &body].concat()
}

fn header(kind: u8, length: usize) -> Vec<u8> {
    let length = u16::try_from(length).expect("a record is short").to_be_bytes();
    [&[kind, 3, 3][..], &length].concat()
}

fn opened(algorithm: &'static Algorithm, key: &[u8]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(algorithm, key).expect("a key of that length"))
}

/// Key and IV of a traffic secret (RFC 8446 section 7.3).
fn derived(algorithm: &'static Algorithm, secret: &[u8]) -> (LessSafeKey, [u8; 12]) {
    let key = opened(algorithm, &expanded(secret, b"key", algorithm.key_len()));
    (key, expanded(secret, b"iv", 12).try_into().expect("12 bytes"))
}

/// HKDF-Expand-Label (RFC 8446 section 7.1).
fn expanded(secret: &[u8], label: &[u8], length: usize) -> Vec<u8> {
    struct Length(usize);
    impl KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let hash = if secret.len() == 48 { HKDF_SHA384 } else { HKDF_SHA256 };
    let short = |length: usize| u8::try_from(length).expect("a label is short");
    let info: &[&[u8]] = &[&[0, short(length), short(6 + label.len())], b"tls13 ", label, &[0]];
    let mut expanded = vec![0; length];
    Prk::new_less_safe(hash, secret)
        .expand(info, Length(length))
        .and_then(|okm| okm.fill(&mut expanded))
        .expect("a secret is expanded");
    expanded
}
