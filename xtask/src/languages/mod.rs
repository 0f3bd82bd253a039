//! Builds the core, its bindings, and the programs that run in each language.
//!
//! A client is a small program, one per language, that makes one delivery and prints its outcome.
//! The demo and the peers suite run the same four clients.

pub(crate) mod bench_programs;
pub(crate) mod bench_receiver;
pub(crate) mod c_dialects;
pub(crate) mod c_library;
pub(crate) mod c_programs;
pub(crate) mod interpreters;
pub(crate) mod lab;
pub(crate) mod node;
pub(crate) mod python;
pub(crate) mod rust;

use std::cell::{OnceCell, RefCell};
use std::path::Path;
use std::thread::{self, JoinHandle};

use serde_json::Value;

use crate::command::{self, Failure, Result, Step};
use crate::paths;
use crate::profile::Profile;
use crate::toolchain::Toolchain;
use c_library::{CLibrary, Flavour};
use c_programs::Linkage;
use node::Node;
use python::Python;

/// A language, and the command of its client.
pub(crate) struct Client {
    /// The language's name in tables.
    pub(crate) title: &'static str,
    /// The language's name in file names and messages.
    pub(crate) name: &'static str,
    /// The program and its arguments.
    pub(crate) command: Vec<String>,
}

/// The arguments of one delivery.
pub(crate) struct DeliveryTarget<'a> {
    pub(crate) url: &'a str,
    pub(crate) pin: &'a str,
    /// The directory with `tls.crt`, `tls.key` and `ca.pem`.
    pub(crate) material: &'a Path,
}

/// The build results of each language, each built on first use.
pub(crate) struct Languages {
    pub(crate) toolchain: Toolchain,
    profile: Profile,
    c: Once<CLibrary>,
    python: Once<Python>,
    node: Once<Node>,
    shipped: OnceCell<Box<Languages>>,
    builds_for_users: RefCell<Option<JoinHandle<Languages>>>,
}

impl Languages {
    pub(crate) fn new(toolchain: Toolchain, profile: Profile) -> Languages {
        Languages {
            toolchain,
            profile,
            c: Once::new(),
            python: Once::new(),
            node: Once::new(),
            shipped: OnceCell::new(),
            builds_for_users: RefCell::new(None),
        }
    }

    pub(crate) fn profile(&self) -> Profile {
        self.profile
    }

    /// Returns the build results for users, whatever the profile of this run.
    pub(crate) fn shipped(&self) -> &Languages {
        if self.profile == Profile::Shipped {
            return self;
        }
        let begun = || self.builds_for_users.take().map(|builds| builds.join().expect("no panic"));
        let new = || Languages::new(self.toolchain.clone(), Profile::Shipped);
        self.shipped.get_or_init(|| Box::new(begun().unwrap_or_else(new)))
    }

    /// Begins to build for users with the time that the suites leave: linking keeps one core busy for
    /// minutes, and most suites wait for peers. `shipped` waits for the end. A failed build is shown when it
    /// fails, and who asks for its result fails too.
    pub(crate) fn begin_for_users(&self) {
        let toolchain = self.toolchain.clone();
        let builds = thread::spawn(|| {
            command::run_steps_beside();
            let languages = Languages::new(toolchain, Profile::Shipped);
            languages.build_for_users();
            languages
        });
        self.builds_for_users.replace(Some(builds));
    }

    /// Builds all languages and the programs that measure them. The wheels have a target directory of
    /// their own, and are built beside the rest. Shows what fails.
    fn build_for_users(&self) {
        let (toolchain, profile) = (&self.toolchain, self.profile);
        thread::scope(|scope| {
            let wheels = scope.spawn(move || {
                command::run_steps_beside();
                Python::build(toolchain, profile)
            });
            let rest = self
                .c()
                .and_then(|library| library.add(profile, Flavour::Testing))
                .and_then(|()| rust::bench_program("bench_ours"))
                .and_then(|_| self.node());
            let wheels = wheels.join().expect("no panic");
            let wheels = self.python.get("the wheel", || wheels);
            [rest.err(), wheels.err()].iter().flatten().for_each(Failure::show);
        });
    }

    /// Builds all languages, and fails if one fails.
    pub(crate) fn build(&self) -> Result {
        self.c()?;
        self.python()?;
        self.node()?;
        Ok(())
    }

    pub(crate) fn c(&self) -> Result<&CLibrary> {
        self.c.get("the C library", || CLibrary::build(self.profile))
    }

    pub(crate) fn python(&self) -> Result<&Python> {
        self.python.get("the wheel", || Python::build(&self.toolchain, self.profile))
    }

    pub(crate) fn node(&self) -> Result<&Node> {
        self.node.get("the addon", || Node::build(&self.toolchain, self.profile))
    }

    /// Returns the client of each language, in a fixed order.
    pub(crate) fn clients(&self) -> Result<[Client; 4]> {
        let sources = paths::root().join("tests").join("clients");
        let source = sources.join("deliver.c");
        let c = c_programs::compile(&self.toolchain, self.c()?, &source, Linkage::Static)?;
        let rust = rust::test_program("deliver")?;
        let python = [self.python()?.interpreter(), sources.join("deliver.py")];
        let shown = |path: &Path| path.display().to_string();
        Ok([
            Client { title: "C", name: "c", command: vec![shown(&c)] },
            Client {
                title: "Python",
                name: "python",
                command: python.iter().map(|path| shown(path)).collect(),
            },
            Client {
                title: "Node",
                name: "node",
                command: self.node()?.command("tests/clients/deliver.mjs"),
            },
            Client { title: "Rust", name: "rust", command: vec![shown(&rust)] },
        ])
    }
}

/// A value that is built once. After a failure, further calls fail without building again.
struct Once<T>(OnceCell<Option<T>>);

impl<T> Once<T> {
    fn new() -> Self {
        Once(OnceCell::new())
    }

    fn get(&self, what: &str, build: impl FnOnce() -> Result<T>) -> Result<&T> {
        let mut failure = None;
        let slot = self.0.get_or_init(|| match build() {
            Ok(value) => Some(value),
            Err(why) => {
                failure = Some(why);
                None
            }
        });
        slot.as_ref().ok_or_else(|| {
            failure.unwrap_or_else(|| Failure::new(format!("{what} could not be built; see above")))
        })
    }
}

impl Client {
    /// Delivers once; the result is `{"receipt": …}` or `{"error": …}`.
    pub(crate) fn deliver(&self, target: &DeliveryTarget) -> Result<Value> {
        let material = |name: &str| target.material.join(name);
        let output = Step::new(format!("deliver from {}", self.title), &self.command[0])
            .args(&self.command[1..])
            .env("WMTLS_URL", target.url)
            .env("WMTLS_PIN", target.pin)
            .env("WMTLS_CERT", material("tls.crt"))
            .env("WMTLS_KEY", material("tls.key"))
            .env("WMTLS_CA", material("ca.pem"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .ask()?;
        serde_json::from_str(output.stdout.trim()).map_err(|error| {
            Failure::with_output(
                format!("the {} client did not print JSON: {error}", self.title),
                output.all,
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Once;
    use crate::command::Failure;

    #[test]
    fn a_failed_build_is_not_repeated() {
        let once: Once<u8> = Once::new();
        let first = once.get("it", || Err(Failure::new("why"))).err().unwrap();
        assert_eq!(first.what(), "why");
        let again = once.get("it", || unreachable!()).err().unwrap();
        assert!(again.what().contains("see above"));
    }
}
