//! `proxy-config` prints what the library writes, and the guide shows a run of it.

use webhook_mtls::forwarded::ProxyServer;
use webhook_mtls_command::{Console, run};

const GIVEN: [&str; 3] = [
    "--server-name=hooks.example",
    "--application=10.0.0.5:8000",
    "--trust=/etc/webhook-mtls/clients-ca.pem",
];

/// Runs the command, and returns the exit code, the output and the errors.
fn ran(arguments: &[&str], secret: Option<&str>) -> (u8, String, String) {
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let variable =
        |name: &str| secret.filter(|_| name == "WEBHOOK_MTLS_HOP_SECRET").map(Into::into);
    let mut console = Console::new(std::io::empty(), &mut output, &mut errors, variable);
    let arguments = ["webhook-mtls", "proxy-config"].iter().chain(arguments).map(Into::into);
    let code = run(arguments, &mut console);
    drop(console);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (code, text(output), text(errors))
}

#[test]
fn the_guide_shows_a_run_and_its_output() {
    let guide = include_str!("../../docs/receive/README.md");
    let after = guide.split_once("```sh\nwebhook-mtls proxy-config ").expect("a run").1;
    let (line, after) = after.split_once("```\n").expect("an end");
    let shown = after.split_once("```nginx\n").expect("the output").1;
    let shown = shown.split_once("```\n").expect("an end").0;
    let line = line.replace("\\\n", " ");
    let (code, output, errors) = ran(&line.split_whitespace().collect::<Vec<_>>(), None);
    assert_eq!((code, output.as_str(), errors.as_str()), (0, shown, ""));
}

#[test]
fn every_proxy_of_the_library_is_known_and_has_the_secret() {
    let secret = "Zk2rVw8nYb4tQx7sLc9d";
    for server in ProxyServer::ALL {
        let arguments = [&[server.name(), "--secret-header", "X-Hop-Secret"][..], &GIVEN].concat();
        let (code, output, errors) = ran(&arguments, Some(secret));
        assert_eq!((code, errors.as_str()), (0, ""), "{output}");
        assert!(output.contains(server.dialect().name()), "{output}");
        assert!(output.contains(GIVEN[2].split_once('=').expect("a value").1), "{output}");
        assert!(output.contains("x-hop-secret") && output.contains(secret), "{output}");
        let (code, _, errors) = ran(&arguments, None);
        assert_eq!(code, 2);
        assert!(errors.contains("--secret-file"), "{errors}");
    }
}

#[test]
fn a_secret_that_cannot_be_used_is_not_shown() {
    let arguments = [&["nginx", "--secret-header", "X-Hop-Secret"][..], &GIVEN].concat();
    let (code, output, errors) = ran(&arguments, Some("ends;the;line;of;nginx"));
    assert_eq!((code, output.as_str()), (2, ""));
    assert!(errors.contains("--secret-file") && !errors.contains("ends;the"), "{errors}");
}

#[test]
fn a_value_with_a_meaning_for_a_proxy_names_its_option() {
    for (option, value) in [
        ("--server-name", "a b"),
        ("--application", "8000"),
        ("--trust", "a;b"),
        ("--crl", "a\nb"),
        ("--listen", "443"),
        ("--key", "$key"),
    ] {
        let bad = format!("{option}={value}");
        let kept = GIVEN.iter().copied().filter(|given| !given.starts_with(option));
        let mut arguments: Vec<&str> =
            ["nginx", "--cert=server.crt"].into_iter().chain(kept).collect();
        arguments.push(&bad);
        if option != "--key" {
            arguments.push("--key=server.key");
        }
        let (code, output, errors) = ran(&arguments, None);
        assert_eq!((code, output.as_str()), (2, ""), "{option}");
        assert!(errors.contains(option), "{option}: {errors}");
    }
}
