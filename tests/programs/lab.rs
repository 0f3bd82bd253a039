//! The embedded receiver of the demo: a temporary CA and consumers on loopback, until standard
//! input closes.
//!
//! `lab <directory>` writes `tls.crt`, `tls.key` and `ca.pem` there, prints one JSON line per
//! consumer (`name`, `url`, `pin`), then `{"ready":true}`. A delivery to one of the four
//! misbehaving consumers fails with the kind that is the consumer's name.
//!
//! The programs of the pages need more: a renewed certificate in `tls.crt.new` and `tls.key.new`; the
//! consumers `busy-…`, one per language, that answer twice with 503; and the consumer `moved`, whose
//! certificate is of another CA, with its root in `new-ca.pem`.

use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write, stdin, stdout};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::{Value, json};
use webhook_mtls::testing::{Answer, Authority, Consumer, Lab, Leaf, Misbehavior};

/// Well-behaved, one per language.
const BEHAVED: [&str; 4] = ["acme-c", "acme-python", "acme-node", "acme-rust"];

const MISBEHAVED: [(&str, Misbehavior); 3] = [
    ("client_auth_not_requested", Misbehavior::NeverAsk),
    ("certificate_expired", Misbehavior::Expired),
    ("client_certificate_rejected", Misbehavior::RejectCertificate),
];

/// A number of times that means until further notice.
const ALWAYS: u32 = 0;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args_os().nth(1).ok_or("usage: lab <directory>")?;
    let lab = Lab::start()?;
    lab.write_files(&directory)?;
    for name in BEHAVED {
        let consumer = lab.consumer(name)?;
        say(&introduction(name, &consumer, &consumer.pin()))?;
    }
    for (name, how) in MISBEHAVED {
        let consumer = lab.consumer(name)?;
        consumer.misbehave(how, ALWAYS);
        say(&introduction(name, &consumer, &consumer.pin()))?;
    }
    // A well-behaved consumer that is announced with another consumer's pin.
    let stranger = lab.consumer(BEHAVED[0])?.pin();
    say(&introduction("pin_mismatch", &lab.consumer("pin_mismatch")?, &stranger))?;
    for_the_pages(&lab, Path::new(&directory))?;
    say(&json!({ "ready": true }))?;
    stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Makes what the programs of the pages need in addition.
fn for_the_pages(lab: &Lab, directory: &Path) -> Result<(), Box<dyn Error>> {
    let renewed = lab.authority().issue(Leaf::client("dispatcher"))?;
    fs::write(directory.join("tls.crt.new"), renewed.chain_pem)?;
    let mut key = OpenOptions::new();
    key.write(true).create(true).truncate(true).mode(0o600);
    key.open(directory.join("tls.key.new"))?.write_all(renewed.key_pem.as_bytes())?;
    for language in ["c", "python", "node", "rust"] {
        let name = format!("busy-{language}");
        let busy = lab.consumer(&name)?;
        busy.respond(Answer::status(503), 2);
        say(&introduction(&name, &busy, &busy.pin()))?;
    }
    let authority = Authority::new("moved")?;
    fs::write(directory.join("new-ca.pem"), authority.root_pem())?;
    let moved = lab.consumer("moved")?;
    moved.certify(&authority)?;
    say(&introduction("moved", &moved, &moved.pin()))?;
    Ok(())
}

fn introduction(name: &str, consumer: &Consumer, pin: &str) -> Value {
    json!({ "name": name, "url": consumer.url(), "pin": pin })
}

fn say(line: &Value) -> std::io::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
