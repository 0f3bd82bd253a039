//! The Debian packages: built by `dpkg-buildpackage` without network, from the committed files and
//! vendored crates, with the compiler that `debian/control` names.
//!
//! Only `--all` builds them: the compiler is installed, and everything is compiled once more.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::command::{Failure, Result, Step};
use crate::debian;
use crate::languages::c_library::abi;
use crate::packages::{self, Order, interface};
use crate::paths;

/// The time limit of the build: an optimized library on two slow cores.
const LIMIT: Duration = Duration::from_secs(60 * 60);

/// Builds both packages, and checks what they contain.
pub(crate) fn prove(order: &Order) -> Result<String> {
    debian::ensure(debian::DEBIAN_PACKAGE)?;
    let work = paths::target().join("debian");
    let source = source(&work, &order.version)?;
    let step = match paths::program("unshare") {
        // A network namespace without any interface.
        Some(unshare) => Step::new("dpkg-buildpackage, without network", unshare).args([
            "--map-root-user",
            "--net",
            "dpkg-buildpackage",
        ]),
        None => return Err(Failure::skipped("unshare keeps the build from the network")),
    };
    step.args(["--build=binary", "--unsigned-source", "--unsigned-changes", "--no-pre-clean"])
        .in_directory(&source)
        .without_env("CARGO_TARGET_DIR")
        .limit(LIMIT)
        .run()?;
    let version = format!("{}-1_amd64.deb", order.version);
    let library = format!("libwebhook-mtls{}_{version}", abi(&order.version));
    let shared = format!("lib/x86_64-linux-gnu/libwebhook_mtls.so.{}", order.version);
    contains(&work.join(&library), &[&shared, "THIRD-PARTY-NOTICES.txt"])?;
    let development = format!("libwebhook-mtls-dev_{version}");
    contains(
        &work.join(&development),
        &["include/webhook_mtls.h", "libwebhook_mtls.a", "webhook_mtls.pc", "WebhookMtlsConfig"],
    )?;
    for name in [&library, &development] {
        paths::copy(&work.join(name), &packages::others()?.join(name))?;
    }
    Ok(format!("{library} and {development} built offline"))
}

/// Makes the source tree: the committed files, the vendored crates, and `debian/`.
fn source(work: &Path, version: &str) -> Result<PathBuf> {
    paths::make_empty(work)?;
    let tree = work.join(format!("webhook-mtls-{version}"));
    let archive = work.join("sources.tar");
    Step::new("git archive", "git")
        .args(["archive", "--format=tar", "--output"])
        .arg(&archive)
        .arg("HEAD")
        .ask()?;
    paths::make_directory(&tree)?;
    Step::new("unpack", "tar").arg("-xf").arg(&archive).in_directory(&tree).ask()?;
    Step::cargo("cargo vendor", &["vendor", "--locked", "--versioned-dirs"])
        .arg(tree.join("vendor"))
        .run()?;
    paths::copy_tree(
        &tree.join("ffi").join("packaging").join("debian"),
        &tree.join("debian"),
        &[],
    )?;
    let symbols = interface::debian_symbols(version)?;
    let name = format!("libwebhook-mtls{}.symbols", abi(version));
    paths::write(&tree.join("debian").join(name), &symbols)?;
    Ok(tree)
}

/// Fails unless the package has a file for each of these parts of a path.
fn contains(package: &Path, parts: &[&str]) -> Result {
    let list = Step::new("dpkg-deb", "dpkg-deb").arg("--contents").arg(package).ask()?.stdout;
    let missing: Vec<&&str> = parts.iter().filter(|part| !list.contains(**part)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::with_output(format!("{} lacks {missing:?}", paths::shown(package)), list))
}
