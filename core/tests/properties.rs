//! Properties that hold for every input.

use proptest::prelude::*;
use serde_json::Value;
use webhook_mtls::material::{Pin, pin_of};
use webhook_mtls::{Identity, Pins, TenantRule, Trust};

const CONFIG: &str = include_str!("../../tests/vectors/config.json");

/// Returns the chain and the key of the vectors' identity.
fn identity() -> (String, String) {
    let vectors: Value = serde_json::from_str(CONFIG).expect("JSON");
    let identity = &vectors["fixtures"]["identity"];
    let text = |name: &str| identity[name].as_str().expect("a text").to_owned();
    (text("cert"), text("key"))
}

/// Text that people and tools put between PEM blocks. A line of dashes is not a block.
fn chatter() -> impl Strategy<Value = String> {
    prop::collection::vec("(# [a-z ]{0,30}|subject=CN = [a-z]{1,9}|Bag Attributes|-----|)", 0..4)
        .prop_map(|lines| lines.into_iter().map(|line| line + "\n").collect())
}

/// The line ends of editors on three systems.
fn line_ends() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["\n", "\r\n"])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_break_a_reader(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        passphrase in prop::collection::vec(any::<u8>(), 0..12),
    ) {
        let _ = pin_of(&bytes);
        let _ = Identity::from_pem(&bytes, &bytes, Some(&passphrase));
        let _ = Identity::from_pkcs12(&bytes, &passphrase);
        let _ = Trust::from_pem(&bytes, Some(&bytes), &[&bytes]);
        let _ = Pin::parse(&String::from_utf8_lossy(&bytes));
    }

    /// A certificate is never dropped silently, no matter what surrounds it.
    #[test]
    fn text_around_blocks_changes_nothing(
        before in chatter(),
        between in chatter(),
        after in chatter(),
        bom in any::<bool>(),
        ends in line_ends(),
    ) {
        let (cert, key) = identity();
        let plain = Identity::from_pem(cert.as_bytes(), key.as_bytes(), None).expect("sound");
        let decorated = |pem: &str| {
            const END: &str = "-----END CERTIFICATE-----\n";
            let spread = pem.replace(END, &format!("{END}{between}"));
            let bom = if bom { "\u{feff}" } else { "" };
            format!("{bom}{before}{spread}{after}").replace('\n', ends)
        };
        let (cert, key) = (decorated(&cert), decorated(&key));
        let read = Identity::from_pem(cert.as_bytes(), key.as_bytes(), None).expect("the same");
        prop_assert_eq!(read.chain(), plain.chain());
    }

    #[test]
    fn a_formatted_pin_parses_to_the_same_pin(digest in any::<[u8; 32]>(), whole in any::<bool>()) {
        let pin = if whole { Pin::Certificate(digest) } else { Pin::Spki(digest) };
        prop_assert_eq!(Pin::parse(&pin.to_string()).expect("a pin"), pin);
        if let Pin::Spki(_) = pin {
            let curl = pin.to_string().replacen('/', "//", 1);
            prop_assert_eq!(Pin::parse(&curl).expect("curl's spelling"), pin);
            let bare = pin.to_string().replacen("sha256/", "", 1);
            prop_assert_eq!(Pin::parse(&bare).expect("bare"), pin);
        }
    }

    /// Every pin of both sets is kept once; a pin in both sets is current.
    #[test]
    fn a_set_of_pins_keeps_each_once(
        current in prop::collection::vec(any::<[u8; 32]>(), 1..6),
        next in prop::collection::vec(any::<[u8; 32]>(), 0..6),
    ) {
        let texts = |digests: &[[u8; 32]]| -> Vec<String> {
            digests.iter().map(|digest| Pin::Spki(*digest).to_string()).collect()
        };
        let both = [texts(&next), texts(&current)].concat();
        let pins = Pins::with_next(texts(&current), &both).expect("sound");
        let mut kept: Vec<Pin> = pins.iter().map(|(pin, _)| pin).collect();
        kept.sort_unstable();
        let mut given: Vec<Pin> = both.iter().map(|text| Pin::parse(text).expect("a pin")).collect();
        given.sort_unstable();
        given.dedup();
        prop_assert_eq!(kept, given);
    }

    #[test]
    fn a_tenant_rule_accepts_a_whole_segment(
        before in "[a-z]{1,8}://[a-z0-9]{1,12}(/[a-z0-9]{1,6}){0,3}/",
        after in "(/[a-z0-9]{1,6}){0,3}",
    ) {
        let template = format!("{before}{{tenant}}{after}");
        TenantRule::san_uri(&template).expect("a whole segment");
    }

    #[test]
    fn a_tenant_rule_refuses_a_part_of_a_segment(
        before in "[a-z]{1,8}://[a-z0-9]{1,12}(/[a-z0-9]{1,6}){0,3}/",
        left in "[a-z0-9.-]{0,3}",
        right in "[a-z0-9.-]{0,3}",
        after in "(/[a-z0-9]{1,6}){0,3}",
    ) {
        prop_assume!(!left.is_empty() || !right.is_empty());
        let template = format!("{before}{left}{{tenant}}{right}{after}");
        prop_assert!(TenantRule::san_uri(&template).is_err(), "{}", template);
    }
}

/// Replaces characters of a PEM text at every third place by characters that matter to a reader.
fn damaged(pem: &str) -> impl Iterator<Item = String> + '_ {
    let letters = ["-", "\n", "A", "=", "!", " "];
    (0..pem.len()).step_by(3).flat_map(move |at| {
        letters.map(|letter| {
            let mut text = pem.to_owned();
            text.replace_range(at..=at, letter);
            text
        })
    })
}

/// A damaged character in a certificate's block is reported, and the block is not skipped.
#[test]
fn a_damaged_block_is_not_skipped() {
    let (cert, key) = identity();
    let whole = Identity::from_pem(cert.as_bytes(), key.as_bytes(), None).expect("sound");
    let (mut refused, mut read) = (0, 0);
    for text in damaged(&cert) {
        match Identity::from_pem(text.as_bytes(), key.as_bytes(), None) {
            Ok(identity) => {
                // An issuer that is not ours any more is left out, and a note says so.
                let is_whole = identity.chain().len() == whole.chain().len();
                assert!(is_whole || !identity.notes().is_empty(), "{text}");
                read += 1;
            }
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 1000 && read > 5, "{refused} refused, {read} read");
}

/// The damaged line may be part of the key.
#[test]
fn an_error_about_a_key_does_not_quote_it() {
    let (cert, key) = identity();
    let mut refused = 0;
    for whole in [key.clone(), key.replace('\n', "")] {
        for text in damaged(&whole) {
            let Err(error) = Identity::from_pem(cert.as_bytes(), text.as_bytes(), None) else {
                continue;
            };
            refused += 1;
            let said = error.to_json().to_string();
            let secret = text.replace("-----BEGIN PRIVATE KEY-----", "");
            for piece in secret.as_bytes().windows(12) {
                let is_telling = piece.iter().all(u8::is_ascii_alphanumeric);
                let piece = std::str::from_utf8(piece).expect("ASCII");
                assert!(!(is_telling && said.contains(piece)), "{said}");
            }
        }
    }
    assert!(refused > 500, "{refused}");
}
