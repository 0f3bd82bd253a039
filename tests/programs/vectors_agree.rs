//! Runs the program `vectors` as a test.

use std::process::Command;

#[test]
fn rust_agrees_with_every_vector() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors");
    let status = Command::new(env!("CARGO_BIN_EXE_vectors")).arg(directory).status();
    assert!(status.expect("the program starts").success());
}
