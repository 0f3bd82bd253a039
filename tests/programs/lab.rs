//! The embedded receiver of the demo: a temporary CA and consumers on loopback, until standard
//! input closes.
//!
//! `lab <directory>` writes `tls.crt`, `tls.key` and `ca.pem` there, prints one JSON line per
//! consumer (`name`, `url`, `pin`), then `{"ready":true}`. A delivery to one of the four
//! misbehaving consumers fails with the kind that is the consumer's name.

use std::error::Error;
use std::io::{Read, Write, stdin, stdout};

use serde_json::{Value, json};
use webhook_mtls::testing::{Consumer, Lab, Misbehavior};

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
    lab.write_files(directory)?;
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
    say(&json!({ "ready": true }))?;
    stdin().read_to_end(&mut Vec::new())?;
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
