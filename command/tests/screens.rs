//! What people see: screens that are kept in `tests/command/screens`, and read before they are committed.
//! `WMTLS_WRITE_SCREENS=1 cargo test -p webhook-mtls-command --test screens` writes them again.

mod shown;

use shown::{has_form, ran, tests};

/// A screen: its name, the columns, whether it is colored, the exit code, and the arguments.
type Screen = (&'static str, usize, bool, u8, &'static [&'static str]);

/// What every proxy needs.
const PROXY: [&str; 3] = [
    "--server-name=hooks.example",
    "--application=10.0.0.5:8000",
    "--trust=/etc/webhook-mtls/clients-ca.pem",
];

const SCREENS: &[Screen] = &[
    ("help", 80, false, 0, &["--help"]),
    ("help-deliver", 80, false, 0, &["deliver", "--help"]),
    ("help-inspect", 80, false, 0, &["inspect", "--help"]),
    ("help-listen", 80, false, 0, &["listen", "--help"]),
    ("listen-without-key", 80, false, 3, &["listen", "--cert", "server.pem", "--ca", "ca.pem"]),
    (
        "deliver-bare-name",
        80,
        false,
        3,
        &["deliver", "--cert", "nope", "--ca", "ca.pem", "--data", "x", "https://127.0.0.1:9/"],
    ),
    ("help-diagnose", 80, false, 0, &["diagnose", "--help"]),
    ("help-check", 80, false, 0, &["check", "--help"]),
    ("check-without-file", 80, false, 3, &["check", "--config", "missing.toml"]),
    ("help-csr", 80, false, 0, &["csr", "--help"]),
    ("help-lab", 80, false, 0, &["lab", "--help"]),
    ("help-lab-issue", 80, false, 0, &["lab", "issue", "--help"]),
    ("help-proxy-config", 80, false, 0, &["proxy-config", "--help"]),
    (
        "proxy-config-hostile",
        80,
        false,
        2,
        &["proxy-config", "nginx", PROXY[0], PROXY[1], "--trust=ca.pem; include /etc/shadow"],
    ),
    (
        "proxy-config-unknown",
        80,
        false,
        2,
        &["proxy-config", "squid", PROXY[0], PROXY[1], PROXY[2]],
    ),
    ("no-verb", 80, false, 2, &[]),
    ("wrong-option", 80, false, 2, &["inspect", "--jsn", "ca.pem"]),
    ("identity", 80, false, 0, &["inspect", "chain.pem", "client.key"]),
    ("identity-color", 80, true, 0, &["inspect", "chain.pem", "client.key"]),
    ("identity-120", 120, false, 0, &["inspect", "chain.pem", "client.key"]),
    ("identity-120-color", 120, true, 0, &["inspect", "chain.pem", "client.key"]),
    ("wrong-key", 80, false, 3, &["inspect", "chain.pem", "other.key"]),
    ("pkcs12", 80, false, 0, &["inspect", "--passphrase-file", "passphrase.txt", "client.p12"]),
    ("locked", 80, false, 3, &["inspect", "client.p12", "client-encrypted.key"]),
    ("mixed", 80, false, 0, &["inspect", "mixed.pem"]),
    ("anchor", 80, false, 0, &["inspect", "ca.pem"]),
    ("leaf-as-anchor", 80, false, 3, &["inspect", "--as", "anchor", "server.pem"]),
    ("below-ca", 80, false, 0, &["inspect", "--ca", "ca.pem", "server.pem"]),
    ("no-intermediate", 80, false, 3, &["inspect", "--ca", "ca.pem", "no-intermediate.pem"]),
    ("crls", 80, false, 4, &["inspect", "--strict", "crl.pem", "crl-outdated.pem"]),
    ("expired", 80, false, 4, &["inspect", "--strict", "expired.pem"]),
    ("expired-as-identity", 80, false, 3, &["inspect", "--as", "identity", "expired.pem"]),
    ("weak", 80, true, 3, &["inspect", "--as", "server", "weak.pem"]),
    ("hostile", 80, true, 0, &["inspect", "hostile.pem"]),
    ("many-names", 80, false, 0, &["inspect", "wide.pem"]),
    ("cut", 80, false, 3, &["inspect", "cut.pem", "empty.pem", "missing.pem"]),
    (
        "bundle-as-anchor",
        80,
        false,
        0,
        &["inspect", "--as", "anchor", "ca.pem", "intermediate.pem"],
    ),
    ("der", 80, false, 0, &["inspect", "server.der", "modern.pem"]),
    ("cut-120-color", 120, true, 3, &["inspect", "cut.pem", "empty.pem"]),
];

/// Replaces the time of the run. The certificates begin and end at midnight of a first of January.
fn timeless(seen: &str) -> String {
    let parts = seen.split_inclusive([' ', '\n', '(']).map(|part| {
        let word = part.trim_end_matches([' ', '\n', '(']);
        if has_form(word, "0000-00-00") && !word.ends_with("-01-01") {
            part.replace(word, "YYYY-MM-DD")
        } else if has_form(word, "00:00:00") && word != "00:00:00" {
            part.replace(word, "hh:mm:ss")
        } else {
            part.to_owned()
        }
    });
    parts.collect()
}

#[test]
fn every_screen_is_the_one_that_was_read() {
    std::env::set_current_dir(tests().join("files")).expect("the files are there");
    let mut differing = Vec::new();
    for (name, width, color, expected, arguments) in SCREENS {
        let (code, seen) = ran(arguments, *width, *color);
        let seen = timeless(&seen);
        assert_eq!(code, *expected, "{name}: {seen}");
        let shown = format!("$ webhook-mtls {}\n{seen}", arguments.join(" "));
        differing.extend(shown::differing(name, &shown));
        shown::check_form(name, &seen, *width, *color);
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}
