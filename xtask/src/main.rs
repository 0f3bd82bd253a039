//! `cargo xtask`: the only build script a person has to know.
//!
//! It knows no code of the project, only its commands, so that it compiles in seconds on a fresh
//! machine and says what is missing before anything long starts. All that it makes lies below the
//! target directory; the source tree stays as it was cloned.

mod build;
mod command;
mod debian;
mod demo;
mod generate;
mod languages;
mod paths;
mod profile;
mod reports;
mod suites;
mod table;
mod terminal;
mod toolchain;

use std::process::ExitCode;

use command::Failure;
use generate::{header, public_roots, readme};
use reports::{bench, scale, soak};
use suites::vectors;

const USAGE: &str = "\
cargo xtask <verb>

  demo                one delivery from C, Python, Node and Rust, then four refusals
  test [suite ...]    every suite, or those named; `test --list` names them
  build [language ...]
                      c, python, node or all of them, optimized, as users install them
  vectors             the shared cases in all four languages
  header [--check]    write include/*.h, docs/errors.md and docs/options.md from the crates, or
                      fail if they differ
  readme              put the programs of examples/ into README.md
  public-roots        write the list of web roots that no trust bundle may hold
  install             what the tests need from Debian
  bench [rounds]      what a delivery costs beside a floor and beside peers, in each language;
                      results go to docs/bench.md and docs/bench.svg
  scale               how cost grows with endpoints, consumers, connections and deliveries under
                      way; results go to docs/scale.md
  soak [minutes]      the long proofs, round after round; results go to docs/soak.md";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["demo"] => demo::run(),
        ["test", suites @ ..] => suites::run(suites),
        ["build", languages @ ..] => build::run(languages),
        ["vectors"] => vectors::run().map(|closing| println!("\n{closing}")),
        ["header"] => header::write(),
        ["header", "--check"] => header::check().map(|closing| println!("{closing}")),
        ["readme"] => readme::write(),
        ["public-roots"] => public_roots::write(),
        ["install"] => debian::run(),
        ["bench"] => bench::run(None),
        ["bench", rounds] => bench::run(Some(rounds)),
        ["scale"] => scale::run(),
        ["soak"] => soak::run(None),
        ["soak", minutes] => soak::run(Some(minutes)),
        [] | ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        other => Err(Failure::new(format!("no such verb: {}\n\n{USAGE}", other.join(" ")))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.show();
            ExitCode::FAILURE
        }
    }
}
