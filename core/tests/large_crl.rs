//! CRLs of the largest size: the memory that reading one takes. In a process of its own, because the
//! test measures the peak of the process.

use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use webhook_mtls::{Kind, Trust};

const MIB: usize = 1024 * 1024;

fn anchors() -> String {
    let vectors = include_str!("../../tests/vectors/config.json");
    let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
    vectors["fixtures"]["trust"]["anchors"].as_str().unwrap().to_owned()
}

/// A DER element.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut element = vec![tag, 0x84];
    match content.len() {
        short @ 0..0x80 => element = vec![tag, u8::try_from(short).unwrap()],
        long => element.extend(u32::try_from(long).unwrap().to_be_bytes()),
    }
    if element.len() > 2 {
        // DER wants the shortest length.
        let zeros = element[2..].iter().take_while(|byte| **byte == 0).count();
        element.drain(2..2 + zeros);
        element[1] -= u8::try_from(zeros).unwrap();
    }
    element.extend_from_slice(content);
    element
}

/// A CRL of version 1 with this many entries, whose signature is not valid.
fn crl(entries: u32) -> Vec<u8> {
    let algorithm = element(0x30, &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]);
    let time = element(0x17, b"260101000000Z");
    let mut list = Vec::with_capacity(entries as usize * 24);
    for number in 0..entries {
        // An odd factor spreads the serial numbers.
        let serial = (number.wrapping_mul(0x9e37_79b1) >> 2 | 0x4000_0000).to_be_bytes();
        list.extend(element(0x30, &[&element(2, &serial)[..], &time].concat()));
    }
    let name = element(0x30, b"");
    let until = element(0x17, b"490101000000Z");
    let list = element(0x30, &list);
    let body = element(0x30, &[&algorithm[..], &name, &time, &until, &list].concat());
    drop(list);
    element(0x30, &[&body[..], &algorithm, &element(3, &[0, 0])].concat())
}

fn pem(der: &[u8]) -> String {
    let mut text = String::with_capacity(der.len() / 48 * 65 + 100);
    text.push_str("-----BEGIN X509 CRL-----\n");
    for line in BASE64_STANDARD.encode(der).as_bytes().chunks(64) {
        text.push_str(std::str::from_utf8(line).unwrap());
        text.push('\n');
    }
    text.push_str("-----END X509 CRL-----\n");
    text
}

/// Removes a file at the end.
struct File(PathBuf);

impl File {
    fn new(name: &str, content: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("large-crl-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

/// The resident memory of this process, now and at most since the last reset, in bytes.
fn resident() -> (usize, usize) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
    };
    (field("VmRSS:"), field("VmHWM:"))
}

#[test]
fn a_crl_file_of_64_mib_is_read_with_bounded_memory() {
    let ca = File::new("ca.pem", anchors().as_bytes());
    let text = pem(&crl(2_060_000));
    assert!((60 * MIB..=64 * MIB).contains(&text.len()), "{} bytes", text.len());
    let file = File::new("crl.pem", text.as_bytes());
    drop(text);
    let (before, _) = resident();
    // Resets the peak.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let trust = Trust::from_files(&ca.0, None, Some(&file.0)).unwrap();
    let (after, peak) = resident();
    assert_eq!(trust.notes().len(), 1, "{:?}", trust.notes());
    let (kept, peak) = (after.saturating_sub(before) / MIB, peak.saturating_sub(before) / MIB);
    // The file, its base64 without line breaks and its DER, and the table of its entries.
    assert!(peak < 300, "{peak} MiB at most");
    assert!(kept < 120, "{kept} MiB afterwards");
    println!("{peak} MiB at most, {kept} MiB afterwards");
    drop(trust);

    let beyond = File::new("beyond.pem", &vec![b'\n'; 64 * MIB + 1]);
    let error = Trust::from_files(&ca.0, None, Some(&beyond.0)).unwrap_err();
    assert_eq!(error.kind(), Kind::PemInvalid);
    assert!(error.message().contains("67108864"), "{error}");
}
