//! Runs public corpora of certificate paths through the public API: x509-limbo and PKITS.
//!
//! Every disagreement must be listed with its reason. An unlisted one fails, and so does a listed
//! case that agrees. `cargo xtask test paths` runs both; see README.md for their forms.

mod judge;
mod limbo;
mod pkits;
mod report;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let report = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["limbo", file] => limbo::run(Path::new(file)),
        ["pkits", folder] => pkits::run(Path::new(folder)),
        ["judge"] => {
            judge::run();
            return ExitCode::SUCCESS;
        }
        _ => panic!("usage: paths limbo FILE | paths pkits FOLDER | paths judge"),
    };
    report.close()
}
