//! Reads public roots, one in a line as DER in hex, and writes for each what the core's list has of it:
//! its digests, joined with commas; the SHA-256 of its key; its subject. `cargo xtask public-roots`
//! runs it.

use std::io::{BufRead as _, stdin};

use webhook_mtls::testing::public_root_entry;

fn main() {
    for line in stdin().lock().lines() {
        let line = line.expect("text");
        let der: Vec<u8> = (0..line.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&line[at..at + 2], 16).expect("hex"))
            .collect();
        let (key, digests, subject) = public_root_entry(&der).expect("a certificate");
        println!("{}\t{key}\t{subject}", digests.join(","));
    }
}
