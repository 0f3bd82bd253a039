//! PKCS#12 files of real tools. `pkcs12/make.sh` made them and shows the commands.

use webhook_mtls::{Error, Identity, Kind};

const PASSPHRASE: &[u8] = b"correct horse";

macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!("pkcs12/", $name, ".p12"))
    };
}

fn refused(file: &[u8], passphrase: &[u8]) -> Error {
    Identity::from_pkcs12(file, passphrase).expect_err("refused")
}

#[test]
fn every_tool_s_file_is_the_same_identity() {
    let files: [(&str, &[u8], &[u8]); 12] = [
        ("OpenSSL 3", file!("openssl3"), PASSPHRASE),
        ("OpenSSL 3 -legacy: RC2-40 and 3DES", file!("openssl3_legacy"), PASSPHRASE),
        ("3DES with SHA-1, as Windows exports", file!("windows_tripledes_sha1"), PASSPHRASE),
        ("RC2 of 128 bits", file!("rc2_128"), PASSPHRASE),
        ("3DES of two keys", file!("two_key_tripledes"), PASSPHRASE),
        ("AES-128, MAC with SHA-512", file!("aes128_sha512_mac"), PASSPHRASE),
        ("certificates in clear", file!("certificates_in_clear"), PASSPHRASE),
        ("keytool", file!("keytool"), PASSPHRASE),
        ("keytool, legacy", file!("keytool_legacy"), PASSPHRASE),
        ("NSS: AES, in BER", file!("nss"), PASSPHRASE),
        ("NSS: RC2-40 and 3DES, in BER", file!("nss_legacy"), PASSPHRASE),
        ("no passphrase", file!("empty_passphrase"), b""),
    ];
    for (tool, file, passphrase) in files {
        let identity = Identity::from_pkcs12(file, passphrase)
            .unwrap_or_else(|error| panic!("{tool}: {error}"));
        let subjects: Vec<String> =
            identity.chain().iter().map(webhook_mtls::material::Certificate::subject).collect();
        assert_eq!(subjects, ["CN=acme", "CN=issuing", "CN=root"], "{tool}: leaf first");
    }
}

#[test]
fn a_passphrase_may_contain_any_unicode() {
    let file = file!("unicode_passphrase");
    assert!(Identity::from_pkcs12(file, "grüße € 𝄞".as_bytes()).is_ok());
    assert_eq!(refused(file, "grusse € 𝄞".as_bytes()).kind(), Kind::KeyEncrypted);
}

#[test]
fn a_wrong_passphrase_is_reported_and_not_shown() {
    for file in [&file!("openssl3")[..], file!("openssl3_legacy"), file!("keytool_legacy")] {
        for wrong in [&b"battery staple"[..], b"", b"correct horse\0", &[0xff, 0xfe]] {
            let error = refused(file, wrong);
            assert_eq!(error.kind(), Kind::KeyEncrypted);
            assert!(!error.to_json().to_string().contains("battery"), "{error}");
        }
    }
}

#[test]
fn a_file_without_an_identity_is_refused_with_the_reason() {
    for (file, kind, said) in [
        (&file!("no_certificate")[..], Kind::PemInvalid, "no certificate found"),
        (file!("no_key"), Kind::PemInvalid, "no private key found"),
        (file!("several_keys"), Kind::PemInvalid, "2 private keys"),
        (file!("no_mac"), Kind::PemInvalid, "no MAC"),
        (b"", Kind::PemInvalid, "it is empty"),
        (b"-----BEGIN CERTIFICATE-----", Kind::PemInvalid, "it is PEM text, not a PKCS#12 file"),
    ] {
        let error = refused(file, PASSPHRASE);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(said), "{error} says {said}");
    }
}

#[test]
fn a_certificate_that_is_not_ours_is_not_presented() {
    let identity = Identity::from_pkcs12(file!("stray_certificate"), PASSPHRASE).unwrap();
    assert_eq!(identity.notes().len(), 1, "{:?}", identity.notes());
    assert!(identity.notes()[0].contains("CN=stranger"), "{:?}", identity.notes());
    assert!(identity.chain().iter().all(|certificate| certificate.subject() != "CN=stranger"));
}

/// Returns one DER element of less than 64 KiB.
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("short").to_be_bytes();
    let header = match length {
        [0, short @ 0..0x80] => vec![tag, short],
        [0, byte] => vec![tag, 0x81, byte],
        [high, low] => vec![tag, 0x82, high, low],
    };
    [&header, content].concat()
}

/// Returns a file without content that asks for this many rounds before its MAC can be checked.
fn asking_for(rounds: &[u8]) -> Vec<u8> {
    const DATA: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
    const SHA1: &[u8] = &[0x30, 9, 0x06, 5, 0x2b, 0x0e, 3, 2, 26, 0x05, 0];
    let content = tlv(0xa0, &tlv(0x04, &tlv(0x30, &[])));
    let digest = tlv(0x30, &[SHA1, &tlv(0x04, &[0; 20])].concat());
    let mac = tlv(0x30, &[digest, tlv(0x04, b"saltsalt"), tlv(0x02, rounds)].concat());
    let safe = tlv(0x30, &[DATA, &content].concat());
    tlv(0x30, &[tlv(0x02, &[3]), safe, mac].concat())
}

/// The number of rounds is read before the MAC can show that the file was forged.
#[test]
fn a_file_cannot_ask_for_unlimited_work() {
    let wrong = refused(&asking_for(&[0x10, 0x00]), PASSPHRASE);
    assert!(wrong.to_string().contains("passphrase does not open"), "{wrong}");
    for rounds in [&[0x7f, 0xff, 0xff, 0xff][..], &[0x7f; 8], &[0x40, 0, 0, 0, 0, 0, 0, 0]] {
        let error = refused(&asking_for(rounds), PASSPHRASE);
        assert_eq!(error.kind(), Kind::KeyEncrypted);
        assert!(error.to_string().contains("work limit"), "{error}");
    }
    for (rounds, said) in
        [(&[0x00][..], "no rounds"), (&[0xff], "negative"), (&[0x7f; 9], "out of range")]
    {
        let error = refused(&asking_for(rounds), PASSPHRASE);
        assert!(error.kind() == Kind::PemInvalid && error.to_string().contains(said), "{error}");
    }
}

#[test]
fn every_damage_is_refused() {
    let file = file!("openssl3");
    for length in 0..file.len() {
        refused(&file[..length], PASSPHRASE);
    }
    for at in 0..file.len() {
        let mut damaged = file.to_vec();
        damaged[at] ^= 0x01;
        let error = refused(&damaged, PASSPHRASE);
        assert!(
            matches!(error.kind(), Kind::KeyEncrypted | Kind::PemInvalid),
            "octet {at}: {error}"
        );
    }
}
