//! `cargo xtask`: the build script, and the only one to know.
//!
//! It does not link the project's code but runs commands. It therefore compiles in seconds on a
//! fresh machine, and reports missing tools before a long build starts. All results are below the
//! target directory; the source tree stays unchanged.

mod build;
mod cargo_tool;
mod command;
mod debian;
mod demo;
mod generate;
mod go_tool;
mod languages;
mod packages;
mod paths;
mod profile;
mod reports;
mod site;
mod suites;
mod table;
mod terminal;
mod toolchain;

use std::process::ExitCode;

use command::Failure;
use generate::{header, public_roots, readme};
use reports::{bench, mutants, queues, scale, sizing, soak};
use suites::vectors;

const USAGE: &str = "\
cargo xtask <verb>

  demo                one delivery from C, Python, Node and Rust, then four refused ones
  test [suite ...]    run all suites, or the named ones; `test --list` lists them
  test c|python|node --dev [name]
                      rebuild a binding and run its quick tests in seconds, or all tests whose
                      name contains this one
  build [language ...]
                      build optimized packages for c, python, node, or all of them
  package [c|command|node|python|rust ...] [--prove] [--all [part ...]] [--dev]
                      make the packages of this platform in target/packages/; --prove also installs
                      and tests each, as the suite `packages` does; --all adds other targets and the
                      slow proofs, or the named ones; --dev takes unoptimized builds, to try a change
                      of the packaging
  vectors             run the shared cases in all four languages
  generate [--check]  write include/*.h, the reference pages and the copies of the core's tables in
                      the bindings, or fail if they differ (`header` is the same verb)
  structure           print the rooms of the core and what each imports
  readme              copy the programs of examples/ into README.md and docs/
  public-roots        write the list of refused web roots
  docs                build the documentation site in target/docs/site and follow its links
  install             install the Debian packages for the tests
  install c [--prefix P] [--libdir L] [--destdir D] [--small]
                      install the C library, by default below /usr/local; --small for little storage
  install command [--prefix P] [--destdir D]
                      install the program webhook-mtls with its man pages and completions
  abi                 record the C interface in ffi/abi/, which later versions must keep
  misconfigurations   make every misconfiguration; what errors say goes to
                      docs/misconfigurations.md
  bench [rounds]      measure a delivery in each language, beside a floor and other clients;
                      results go to docs/bench.md and docs/bench.svg
  scale               measure how cost grows with endpoints, consumers, connections and
                      deliveries in flight; results go to docs/scale.md
  queues              measure deliveries through Celery and BullMQ, and healthy consumers among slow
                      ones (as root); results go to docs/queues/measured.md
  sizing              simulate fleets with those costs; results go to docs/sizing.md
  soak [minutes]      run the long tests in rounds; results go to docs/soak.md
  soak minutes fleet  deliver through each queue, and compare the memory of all processes
  fleet events consumers [celery|dramatiq|bullmq ...]
                      deliver each event to each consumer through each queue while processes are
                      killed; results go to docs/soak.md
  fuzz [minutes] [target]
                      run each fuzz target, or one, under libFuzzer (nightly), by default for ten
                      minutes; keeps new inputs in fuzz/corpus, results go to docs/soak.md
  mutants [count] [seed]
                      change the core in this many random places, one at a time, and check that a
                      test fails each time; results go to docs/soak.md";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["demo"] => demo::run(),
        ["test", languages @ .., "--dev"] => suites::dev::run(languages, None),
        ["test", languages @ .., "--dev", name] => suites::dev::run(languages, Some(name)),
        ["test", suites @ ..] => suites::run(suites),
        ["build", languages @ ..] => build::run(languages),
        ["package", words @ ..] => packages::run(words),
        ["vectors"] => vectors::run().map(|closing| println!("\n{closing}")),
        ["generate" | "header"] => header::write(),
        ["generate" | "header", "--check"] => header::check().map(|closing| println!("{closing}")),
        ["structure"] => suites::structure::show(),
        ["readme"] => readme::write(),
        ["docs"] => site::write(),
        ["public-roots"] => public_roots::write(),
        ["install"] => debian::run(),
        ["install", "c", words @ ..] => packages::c_install::run(words),
        ["install", "command", words @ ..] => packages::command::run(words),
        ["abi"] => packages::interface::write(),
        ["misconfigurations"] => suites::misconfigurations::write(),
        ["bench"] => bench::run(None),
        ["bench", rounds] => bench::run(Some(rounds)),
        ["scale"] => scale::run(),
        ["queues"] => queues::run(),
        ["sizing"] => sizing::run(),
        ["soak"] => soak::run(None),
        ["soak", minutes] => soak::run(Some(minutes)),
        ["soak", minutes, "fleet"] => soak::fleet(minutes),
        ["fleet", events, consumers, queues @ ..] => soak::killed_fleet(events, consumers, queues),
        ["fuzz"] => soak::fuzz(None, None),
        ["fuzz", minutes] => soak::fuzz(Some(minutes), None),
        ["fuzz", minutes, target] => soak::fuzz(Some(minutes), Some(target)),
        ["mutants", numbers @ ..] => mutants::run(numbers),
        [] | ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        other => Err(Failure::new(format!("unknown verb: {}\n\n{USAGE}", other.join(" ")))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.show();
            ExitCode::FAILURE
        }
    }
}
