//! Writes the outer structure of a PKCS#12 file (RFC 7292), so that a target can get past its MAC.

use aws_lc_rs::{digest, hmac};

use crate::der::tlv;

const DATA: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
const SHA256: &[u8] = &[0x30, 13, 0x06, 9, 0x60, 0x86, 0x48, 1, 101, 3, 4, 2, 1, 0x05, 0];
const SALT: &[u8] = b"saltsalt";

/// Returns a file with this content, under a MAC for the passphrase (ASCII) with one round.
pub(crate) fn sealed(content: &[u8], passphrase: &[u8]) -> Vec<u8> {
    let safe = tlv(0x30, &[DATA, &tlv(0xa0, &[&tlv(0x04, &[content])])]);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &mac_key(passphrase));
    let mac = hmac::sign(&key, content);
    let info = tlv(0x30, &[SHA256, &tlv(0x04, &[mac.as_ref()])]);
    let mac_data = tlv(0x30, &[&info, &tlv(0x04, &[SALT])]);
    tlv(0x30, &[&[0x02, 1, 3], &safe, &mac_data])
}

/// RFC 7292 appendix B.2, for one block of SHA-256 and one round, the default of the file format.
fn mac_key(passphrase: &[u8]) -> Vec<u8> {
    let password: Vec<u8> = passphrase.iter().chain(&[0]).flat_map(|byte| [0, *byte]).collect();
    let filled = |text: &[u8]| {
        let length = text.len().next_multiple_of(64);
        text.iter().copied().cycle().take(length).collect::<Vec<u8>>()
    };
    let input = [vec![3; 64], filled(SALT), filled(&password)].concat();
    digest::digest(&digest::SHA256, &input).as_ref().to_vec()
}
