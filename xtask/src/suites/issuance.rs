//! Certificates that a real CA renews while four languages deliver: `tests/issuance`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use crate::command::{Failure, Result, Step};
use crate::debian;
use crate::languages::Languages;
use crate::languages::c_programs::{self, Linkage};
use crate::languages::node::{self, Node};
use crate::languages::rust;
use crate::paths;
use crate::profile::Profile;
use crate::suites::passed_at_least;
use crate::toolchain::Toolchain;

/// The CA and its client. The Go proxy serves no later version of the client.
const TOOLS: [(&str, &str, &str); 2] = [
    ("step", "github.com/smallstep/cli/cmd/step", "v0.21.0"),
    ("step-ca", "github.com/smallstep/certificates/cmd/step-ca", "v0.30.2"),
];

/// The oldest Go that builds them.
const GO: u32 = 25;

/// The minimum number of cases that pass. It catches a suite that loses cases.
const AT_LEAST: u32 = 13;

/// A minute is normal, beside the first build of the tools.
const LIMIT: Duration = Duration::from_secs(5 * 60);

/// Runs the cases; returns their closing line.
pub(crate) fn test(languages: &Languages) -> Result<String> {
    run(languages, &[])
}

/// Runs the cases with a renewal every five seconds for a minute.
pub(crate) fn keep(languages: &Languages) -> Result<String> {
    run(languages, &["--renewals", "12"])
}

fn run(languages: &Languages, more: &[&str]) -> Result<String> {
    debian::ensure(debian::ISSUANCE)?;
    let tools = TOOLS.iter().map(tool).collect::<Result<Vec<PathBuf>>>()?;
    let command = rust::command(Profile::Dev)?;
    let work = paths::target().join("issuance");
    paths::make_empty(&work)?;
    let mut step = Step::new("issuance", &languages.toolchain.python)
        .arg(paths::root().join("tests").join("issuance").join("run.py"))
        .arg("--clients")
        .arg(clients(languages)?)
        .arg("--token-clients")
        .arg(token_clients(languages)?)
        .arg("--work")
        .arg(&work)
        .args(more)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .limit(LIMIT);
    for program in tools.iter().chain([&command]) {
        step = step.arg("--bin").arg(program.parent().unwrap_or(Path::new("/")));
    }
    passed_at_least("issuance", AT_LEAST, step.run()?)
}

/// Returns the commands of the clients as JSON.
fn clients(languages: &Languages) -> Result<String> {
    let sources = paths::root().join("tests").join("clients");
    let source = sources.join("issued.c");
    let c = c_programs::compile(&languages.toolchain, languages.c()?, &source, Linkage::Static)?;
    Ok(json!({
        "c": [c],
        "rust": [rust::test_program("issued")?],
        "python": [languages.python()?.interpreter(), sources.join("issued.py")],
        "node": languages.node()?.command("tests/clients/issued.mjs"),
    })
    .to_string())
}

/// Returns the commands of the clients whose key is in a token, as JSON.
fn token_clients(languages: &Languages) -> Result<String> {
    let sources = paths::root().join("tests").join("clients");
    let source = sources.join("in_token.c");
    let c = c_programs::compile(&languages.toolchain, languages.c()?, &source, Linkage::Static)?;
    let node = languages.node()?;
    pkcs11js(&languages.toolchain, node)?;
    Ok(json!({
        "c": [c],
        "rust": [rust::example("webhook-mtls-example-pkcs11", "in_token")?],
        "python": [languages.python()?.interpreter(), sources.join("in_token.py")],
        "node": node.command("tests/clients/in_token.mjs"),
    })
    .to_string())
}

/// Compiles the package pkcs11js, with the headers that are installed with Node if they are: otherwise
/// npm downloads them.
fn pkcs11js(toolchain: &Toolchain, node: &Node) -> Result {
    let home = paths::target().join("pkcs11js");
    node::install_locked(&paths::root().join("tests").join("issuance"), &home)?;
    let package = home.join("node_modules").join("pkcs11js");
    if !package.join("build").join("Release").join("pkcs11.node").exists() {
        let ask = Step::new("prefix of Node", &toolchain.node)
            .args(["-p", "require('path').resolve(process.execPath, '../..')"]);
        let prefix = PathBuf::from(ask.ask()?.stdout.trim());
        let mut step = Step::new("npm rebuild pkcs11js", "npm").arg("rebuild").in_directory(&home);
        if prefix.join("include").join("node").join("node_api.h").exists() {
            step = step.env("npm_config_nodedir", &prefix);
        }
        step.env("npm_config_update_notifier", "false").run()?;
    }
    node.add_package(&package)
}

/// Builds a tool once, and returns its path. Go keeps what it has compiled in the cache of the user.
fn tool((name, package, version): &(&str, &str, &str)) -> Result<PathBuf> {
    let place = paths::target().join("tools").join(format!("{name}-{version}"));
    let program = place.join(name);
    if program.exists() {
        return Ok(program);
    }
    let go = go()?;
    Step::new(format!("go install {package}@{version}"), go)
        .args(["install", &format!("{package}@{version}")])
        .env("GOBIN", &place)
        .env("CGO_ENABLED", "0")
        .limit(Duration::from_secs(15 * 60))
        .run()?;
    Ok(program)
}

/// Finds Go. Debian 12 has one that is too old, so nothing is installed.
fn go() -> Result<PathBuf> {
    let why = || Failure::skipped(format!("step-ca needs Go 1.{GO} or later on PATH"));
    let go = paths::program("go").ok_or_else(why)?;
    let version = Step::new("go version", &go).args(["env", "GOVERSION"]).ask()?;
    match minor(version.stdout.trim()) {
        Some(minor) if minor >= GO => Ok(go),
        _ => Err(why()),
    }
}

/// Reads `go1.26.8`.
fn minor(version: &str) -> Option<u32> {
    version.strip_prefix("go1.")?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::minor;

    #[test]
    fn the_version_of_go_is_read() {
        assert_eq!(minor("go1.26.8"), Some(26));
        assert_eq!(minor("go1.25"), Some(25));
        assert_eq!(minor("devel go1.27-abc"), None);
    }
}
