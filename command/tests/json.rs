//! The JSON of the command has exactly the keys and types of `docs/command.md`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use webhook_mtls_command::{Console, run};

type Keys = BTreeMap<String, String>;

/// Reads the tables of the page: what they describe, and the type of each key.
fn tables() -> BTreeMap<String, Keys> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/command.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let mut tables = BTreeMap::new();
    for part in page.split("<!-- keys: ").skip(1) {
        let (name, rest) = part.split_once(" -->\n").expect("an end of the comment");
        let rows = rest.lines().take_while(|line| line.starts_with('|')).skip(2);
        let row = |row: &str| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            (cells[1].trim_matches('`').to_owned(), cells[2].to_owned())
        };
        tables.insert(name.to_owned(), rows.map(row).collect::<Keys>());
    }
    tables
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Checks the keys of an object, and that each value has a type of the table.
fn check(value: &Value, keys: &Keys) {
    let fields = value.as_object().unwrap_or_else(|| panic!("an object: {value}"));
    assert_eq!(fields.keys().collect::<Vec<_>>(), keys.keys().collect::<Vec<_>>(), "{value}");
    for (key, value) in fields {
        let allowed = keys[key].split(" or ").any(|known| known == type_of(value));
        assert!(allowed, "{key} is {}, and the page says {}", type_of(value), keys[key]);
    }
}

fn json(arguments: &[&str]) -> Value {
    let mut output = Vec::new();
    let mut console = Console::new(std::io::empty(), &mut output, std::io::sink(), |_| None);
    let arguments = ["webhook-mtls"].iter().chain(arguments).map(Into::into);
    let code = run(arguments, &mut console);
    drop(console);
    let text = String::from_utf8(output).expect("UTF-8");
    assert_eq!(text.lines().count(), 1, "{text}");
    let value: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(value["exit"], code);
    assert_eq!(value["ok"], code == 0);
    assert_eq!(value["schema"], 1);
    value
}

fn with_common(tables: &BTreeMap<String, Keys>, name: &str) -> Keys {
    let mut keys = tables["all"].clone();
    keys.extend(tables[name].clone());
    keys
}

#[test]
fn inspect_prints_what_the_page_says() {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/command/files");
    let tables = tables();
    let mut seen = std::collections::BTreeSet::new();
    for name in std::fs::read_dir(&files).expect("the files") {
        let path = name.expect("a file").path().display().to_string();
        let ca = files.join("ca.pem").display().to_string();
        let passphrase = files.join("passphrase.txt").display().to_string();
        let value =
            json(&["inspect", "--json", "--ca", &ca, "--passphrase-file", &passphrase, &path]);
        check(&value, &with_common(&tables, "inspect"));
        for file in value["files"].as_array().expect("files") {
            check(file, &tables["file"]);
            for item in file["items"].as_array().expect("items") {
                let kind = item["type"].as_str().expect("a type");
                check(item, &tables[kind]);
                seen.insert(kind.to_owned());
                let verdicts = item["verdicts"].as_object().into_iter().flatten();
                for (_, verdict) in verdicts {
                    check(verdict, &tables["verdict"]);
                }
            }
        }
        for (part, table) in [("pairs", "pair"), ("chains", "chain")] {
            for one in value[part].as_array().expect("an array") {
                check(one, &tables[table]);
                seen.insert(table.to_owned());
            }
        }
    }
    let all = ["certificate", "chain", "crl", "pair", "private_key"];
    assert!(all.iter().all(|kind| seen.contains(*kind)), "{seen:?}");
}

#[test]
fn deliver_prints_what_the_page_says() {
    let value = json(&[
        "deliver",
        "--json",
        "https://acme.test/",
        "--data",
        "",
        "--cert",
        "x",
        "--ca",
        "x",
    ]);
    let mut keys = tables()["all"].clone();
    keys.insert("error".to_owned(), "object".to_owned());
    check(&value, &keys);

    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/command/files");
    let file = |name: &str| files.join(name).display().to_string();
    let (cert, key, ca) = (file("chain.pem"), file("client.key"), file("ca.pem"));
    // No address is allowed, so nothing is sent.
    let value = json(&[
        "deliver",
        "--json",
        "https://127.0.0.1:9/",
        "--data",
        "",
        "--cert",
        &cert,
        "--key",
        &key,
        "--ca",
        &ca,
    ]);
    check(&value, &with_common(&tables(), "deliver"));
    assert_eq!(value["error"]["kind"], "egress_denied");
}

#[test]
fn diagnose_prints_what_the_page_says() {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/command/files");
    let file = |name: &str| files.join(name).display().to_string();
    let (cert, key, ca) = (file("chain.pem"), file("client.key"), file("ca.pem"));
    let url = "https://127.0.0.1:9/";
    let value = json(&["diagnose", "--json", url, "--cert", &cert, "--key", &key, "--ca", &ca]);
    check(&value, &with_common(&tables(), "diagnose"));
    assert_eq!(value["report"]["ok"], false);
}

#[test]
fn listen_prints_what_the_page_says() {
    use std::io::{BufRead as _, BufReader, Write as _};
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/command/files");
    let mut receiver = std::process::Command::new(env!("CARGO_BIN_EXE_webhook-mtls"))
        .current_dir(files)
        .args(["listen", "--json", "--once", "--cert", "mixed.pem", "--ca", "ca.pem"])
        .args(["--address", "127.0.0.1:0"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("a process");
    let mut lines = BufReader::new(receiver.stdout.take().expect("its output")).lines();
    let mut next = || -> Value {
        let line = lines.next().expect("a line").expect("text");
        serde_json::from_str(&line).expect("JSON")
    };
    let first = next();
    check(&first, &tables()["listening"]);
    let address = first["address"].as_str().expect("an address");
    let mut stream = std::net::TcpStream::connect(address).expect("a connection");
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("written");
    check(&next(), &tables()["client"]);
    assert_eq!(receiver.wait().expect("an end").code(), Some(1));
}

#[test]
fn proxy_config_prints_what_the_page_says() {
    let given = ["--server-name=a.test", "--application=b:1", "--trust=ca.pem"];
    let value = json(&[&["proxy-config", "caddy", "--json"][..], &given].concat());
    check(&value, &with_common(&tables(), "proxy-config"));
    assert_eq!(value["dialect"], "rfc9440");
}

#[test]
fn check_prints_what_the_page_says() {
    let place = std::env::temp_dir().join(format!("wmtls-json-check-{}", std::process::id()));
    std::fs::create_dir_all(&place).expect("a directory");
    let file = place.join("status.json");
    let fleet = r#"{"schema":1,"processes":[{"process":"a","at_ms":0}],"consumers":{},
        "identities":{},"expiries":[]}"#;
    std::fs::write(&file, fleet).expect("a file");
    let value = json(&["check", "--json", "--fleet", &file.display().to_string()]);
    check(&value, &with_common(&tables(), "check"));
    assert_eq!(value["exit"], 3);
    std::fs::remove_dir_all(&place).expect("removed");
}

#[test]
fn csr_and_lab_print_what_the_page_says() {
    let place = std::env::temp_dir().join(format!("wmtls-json-{}", std::process::id()));
    std::fs::create_dir_all(&place).expect("a directory");
    let file = |name: &str| place.join(name).display().to_string();
    let (key, out, lab) = (file("tls.key"), file("tls.csr"), file("pki"));
    let value = json(&["csr", "--json", "x", "--key", &key, "--out", &out]);
    check(&value, &with_common(&tables(), "csr"));
    for verb in [&["init"][..], &["issue", "x"], &["revoke", "x"], &["crl"]] {
        let arguments = [&["lab", verb[0], "--json", &lab], &verb[1..]].concat();
        let value = json(&arguments);
        check(&value, &with_common(&tables(), "lab"));
        assert_eq!(value["verb"], verb[0]);
    }
    std::fs::remove_dir_all(&place).expect("removed");
}
