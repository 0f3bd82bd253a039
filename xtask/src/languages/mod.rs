//! Builds the core and its faces, and the programs that run in each language.
//!
//! A client is one small program per language that makes one delivery and prints its outcome; the
//! demo and the real-peer tests run the same four.

pub(crate) mod bench_programs;
pub(crate) mod bench_receiver;
mod c_library;
pub(crate) mod c_programs;
pub(crate) mod lab;
mod node;
pub(crate) mod python;
pub(crate) mod rust;

use std::cell::OnceCell;
use std::path::Path;

use serde_json::Value;

use crate::command::{Failure, Result, Step};
use crate::paths;
use crate::profile::Profile;
use crate::toolchain::Toolchain;
use c_library::CLibrary;
use c_programs::Linkage;
use node::Node;
use python::Python;

/// A language, and the command that delivers once in it.
pub(crate) struct Client {
    /// How a person writes the language.
    pub(crate) title: &'static str,
    /// The word for it in names and messages.
    pub(crate) name: &'static str,
    /// The program and its arguments.
    pub(crate) command: Vec<String>,
}

/// What one delivery needs.
pub(crate) struct Errand<'a> {
    pub(crate) url: &'a str,
    pub(crate) pin: &'a str,
    /// Holds `tls.crt`, `tls.key` and `ca.pem`.
    pub(crate) material: &'a Path,
}

/// What the languages need, each built when it is first asked for.
pub(crate) struct Languages {
    pub(crate) toolchain: Toolchain,
    profile: Profile,
    c: Once<CLibrary>,
    python: Once<Python>,
    node: Once<Node>,
}

impl Languages {
    pub(crate) fn new(toolchain: Toolchain, profile: Profile) -> Languages {
        Languages { toolchain, profile, c: Once::new(), python: Once::new(), node: Once::new() }
    }

    /// Builds them all, for a verb that would rather stop than go on with some.
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

    /// The client of each language, in the order in which they are always shown.
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

/// A thing that is built once; when that failed, whoever asks again hears so and builds nothing.
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
            failure.unwrap_or_else(|| Failure::new(format!("{what} could not be built, see above")))
        })
    }
}

impl Client {
    /// Delivers once; the answer is `{"receipt": …}` or `{"error": …}`.
    pub(crate) fn deliver(&self, errand: &Errand) -> Result<Value> {
        let material = |name: &str| errand.material.join(name);
        let output = Step::new(format!("deliver from {}", self.title), &self.command[0])
            .args(&self.command[1..])
            .env("WMTLS_URL", errand.url)
            .env("WMTLS_PIN", errand.pin)
            .env("WMTLS_CERT", material("tls.crt"))
            .env("WMTLS_KEY", material("tls.key"))
            .env("WMTLS_CA", material("ca.pem"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .ask()?;
        serde_json::from_str(output.stdout.trim()).map_err(|error| {
            Failure::with_output(
                format!("the {} client printed no JSON: {error}", self.title),
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
    fn what_could_not_be_built_is_not_tried_again() {
        let once: Once<u8> = Once::new();
        let first = once.get("it", || Err(Failure::new("why"))).err().unwrap();
        assert_eq!(first.what(), "why");
        let again = once.get("it", || unreachable!()).err().unwrap();
        assert!(again.what().contains("see above"));
    }
}
