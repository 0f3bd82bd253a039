//! Certificates that a real CA renews while four languages deliver: `tests/issuance`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::command::{Result, Step};
use crate::debian;
use crate::go_tool::{self, GoTool, How};
use crate::languages::Languages;
use crate::languages::c_programs::{self, Linkage};
use crate::languages::node::{self, Node};
use crate::languages::rust;
use crate::paths;
use crate::profile::Profile;
use crate::suites::passed_at_least;
use crate::toolchain::Toolchain;

/// The CA and its client. The Go proxy serves no later version of the client.
const TOOLS: [GoTool; 2] = [
    GoTool {
        name: "step",
        package: "github.com/smallstep/cli/cmd/step",
        version: "v0.21.0",
        how: How::Listed,
    },
    GoTool {
        name: "step-ca",
        package: "github.com/smallstep/certificates/cmd/step-ca",
        version: "v0.30.2",
        how: How::Listed,
    },
];

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
    let mut programs = TOOLS.iter().map(go_tool::installed).collect::<Result<Vec<PathBuf>>>()?;
    programs.push(rust::command(Profile::Dev)?);
    let workloads = json!({ "python": follower(languages)? });
    let step = cases("issuance", languages, &programs, &workloads)?
        .arg("--token-clients")
        .arg(token_clients(languages)?)
        .args(more)
        .limit(LIMIT);
    passed_at_least("issuance", AT_LEAST, step.run()?)
}

/// Returns the step that runs the cases of a suite of `tests/issuance`.
///
/// * `programs`: what the cases find on their `PATH`.
/// * `workloads`: the commands of the clients that follow a SPIFFE Workload API.
pub(super) fn cases(
    suite: &str,
    languages: &Languages,
    programs: &[PathBuf],
    workloads: &Value,
) -> Result<Step> {
    let work = paths::target().join(suite);
    paths::make_empty(&work)?;
    let mut step = Step::new(suite, &languages.toolchain.python)
        .arg(paths::root().join("tests").join("issuance").join("run.py"))
        .args([suite, "--clients"])
        .arg(clients(languages)?)
        .arg("--workloads")
        .arg(workloads.to_string())
        .arg("--work")
        .arg(&work)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    for program in programs {
        step = step.arg("--bin").arg(program.parent().unwrap_or(Path::new("/")));
    }
    Ok(step)
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

/// Returns the command of the client in Python that follows a SPIFFE Workload API.
pub(super) fn follower(languages: &Languages) -> Result<[PathBuf; 2]> {
    let program = paths::root().join("tests").join("clients").join("workload.py");
    Ok([languages.python()?.interpreter(), program])
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
