//! Properties that hold for every input.

use proptest::prelude::*;
use serde_json::Value;
use webhook_mtls::{Identity, Pin, Pins, TenantRule, Trust, pin_of};

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

    /// A damaged character in a certificate's block is reported, and the block is not skipped.
    #[test]
    fn a_damaged_block_is_not_skipped(at in 0usize..4000, letter in "[!-~\n]") {
        let (cert, key) = identity();
        let mut damaged = cert.clone();
        let at = at % cert.len();
        damaged.replace_range(at..=at, &letter);
        let whole = Identity::from_pem(cert.as_bytes(), key.as_bytes(), None).expect("sound");
        if let Ok(read) = Identity::from_pem(damaged.as_bytes(), key.as_bytes(), None) {
            prop_assert_eq!(read.chain().len(), whole.chain().len());
        }
    }

    /// The damaged line may be part of the key.
    #[test]
    fn an_error_about_a_key_does_not_quote_it(
        at in 0usize..400,
        letter in "[!-~\n]",
        one_line in any::<bool>(),
    ) {
        let (cert, key) = identity();
        let mut damaged = if one_line { key.replace('\n', "") } else { key };
        let at = at % damaged.len();
        damaged.replace_range(at..=at, &letter);
        if let Err(error) = Identity::from_pem(cert.as_bytes(), damaged.as_bytes(), None) {
            let said = error.to_json().to_string();
            let secret = damaged.replace("-----BEGIN PRIVATE KEY-----", "");
            for start in 0..secret.len().saturating_sub(12) {
                let piece = &secret[start..start + 12];
                let telling = piece.bytes().all(|byte| byte.is_ascii_alphanumeric());
                prop_assert!(!(telling && said.contains(piece)), "{}", said);
            }
        }
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
    fn a_tenant_rule_accepts_only_whole_segments(template in "[ -~]{0,40}") {
        if TenantRule::san_uri(&template).is_ok() {
            let (before, after) = template.split_once("{tenant}").expect("the placeholder");
            prop_assert!(before.ends_with('/') && before.contains("://"));
            prop_assert!(after.is_empty() || after.starts_with('/'));
        }
    }
}
