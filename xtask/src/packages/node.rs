//! The npm packages: the root package with the JavaScript, the testing kit, and for each of both a
//! package with the addon for every platform that this machine can build.
//!
//! No package has an install script. The root package depends on its packages for each platform as
//! optional dependencies of exactly its version, and npm installs the one that `os`, `cpu` and
//! `libc` allow. Only packages that were built are named there, so that npm never asks for one that
//! does not exist.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::command::{Failure, Result, Step};
use crate::debian;
use crate::languages::node::{self, Addon};
use crate::packages::{
    Crates, HOST, Order, Part, Room, command, no_private_paths, strip, write_pages,
};
use crate::paths;
use crate::profile::Profile;

/// A platform of which Node has binaries.
struct Platform {
    /// The end of the name of its package, as the loader makes it.
    name: &'static str,
    cpu: &'static str,
    libc: &'static str,
    /// The target of rustc.
    target: &'static str,
}

const PLATFORMS: [Platform; 4] = [
    Platform { name: "linux-x64-gnu", cpu: "x64", libc: "glibc", target: HOST },
    Platform {
        name: "linux-x64-musl",
        cpu: "x64",
        libc: "musl",
        target: "x86_64-unknown-linux-musl",
    },
    Platform {
        name: "linux-arm64-gnu",
        cpu: "arm64",
        libc: "glibc",
        target: "aarch64-unknown-linux-gnu",
    },
    Platform {
        name: "linux-arm64-musl",
        cpu: "arm64",
        libc: "musl",
        target: "aarch64-unknown-linux-musl",
    },
];

/// The largest size of a package for one platform, in bytes.
const LARGEST: u64 = 9_000_000;

/// Installations and bundles in four Nodes, Bun and Deno. Two minutes are normal on two busy cores.
const LIMIT: Duration = Duration::from_secs(10 * 60);

/// The minimum number of checks that pass. It catches a test file that loses tests.
const AT_LEAST: u32 = 43;

pub(crate) const PARTS: [Part; 0] = [];

pub(crate) fn make(order: &Order) -> Result {
    let node = order.languages.node()?;
    let home = paths::target().join("node").join("packages");
    paths::make_empty(&home)?;
    let built: Vec<&Platform> = PLATFORMS.iter().filter(|p| p.target == HOST).collect();
    for which in [Addon::Production, Addon::Kit] {
        let crates = Crates::with_features("webhook-mtls-node", HOST, which.features())?;
        for platform in &built {
            let addon = node.addon(&order.languages.toolchain, which)?;
            let tree = home.join(format!("{}-{}", which.name(), platform.name));
            platform_package(order, which, platform, &crates, &addon, &tree)?;
            pack(&tree, &order.place)?;
        }
    }
    let root = home.join(Addon::Production.name());
    root_package(order, node.built(), &built, &root)?;
    pack(&root, &order.place)?;
    let kit = home.join(Addon::Kit.name());
    kit_package(order, &built, &kit)?;
    pack(&kit, &order.place)
}

/// Fills the directory of a package that has the addon of one platform.
fn platform_package(
    order: &Order,
    which: Addon,
    platform: &Platform,
    crates: &Crates,
    addon: &Path,
    tree: &Path,
) -> Result {
    let file = format!("{}.node", which.name());
    let to = tree.join(&file);
    paths::copy(addon, &to)?;
    strip(&to)?;
    let is_shipped = order.languages.profile() == Profile::Shipped;
    if is_shipped {
        no_private_paths(&to)?;
    }
    let name = format!("{}-{}", which.name(), platform.name);
    crates.write_all(&format!("pkg:npm/{name}@{}", order.version), tree)?;
    let manifest = json!({
        "name": name,
        "version": order.version,
        "description": format!("The addon of {} for {}", which.name(), platform.name),
        "license": "Apache-2.0 OR MIT",
        "engines": { "node": ">=20" },
        "os": ["linux"],
        "cpu": [platform.cpu],
        "libc": [platform.libc],
        "main": file,
        "publishConfig": { "access": "public" },
    });
    write_json(&tree.join("package.json"), &manifest)?;
    let readme = format!(
        "# {name}\n\nThe native addon of `{}` for {}. That package installs and loads this one; do \
         not install or import it yourself.\n",
        which.name(),
        platform.name
    );
    paths::write(&tree.join("README.md"), &readme)?;
    let size = size_of(tree)?;
    if is_shipped && size > LARGEST {
        return Err(Failure::new(format!("{name} has {size} bytes, more than {LARGEST}")));
    }
    Ok(())
}

/// Fills the directory of `webhook-mtls`: the JavaScript, its types, and the documents.
fn root_package(order: &Order, built: &Path, platforms: &[&Platform], tree: &Path) -> Result {
    paths::copy_tree(&built.join("dist"), &tree.join("dist"), &[])?;
    for name in ["README.md", "package.json"] {
        paths::copy(&built.join(name), &tree.join(name))?;
    }
    for name in ["CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"] {
        paths::copy(&paths::root().join(name), &tree.join(name))?;
    }
    write_pages(&["docs/options.md"], &tree.join("docs"))?;
    // npm keeps the order of the conditions in `exports`, which has a meaning.
    edit_manifest(tree, "delete", &["private", "scripts", "devDependencies"])?;
    let set: Vec<String> = platforms
        .iter()
        .map(|p| format!("optionalDependencies.webhook-mtls-{}={}", p.name, order.version))
        .chain([format!("peerDependencies.webhook-mtls-testing={}", order.version)])
        .collect();
    edit_manifest(tree, "set", &set)
}

/// Fills the directory of `webhook-mtls-testing`, which finds the addon of the kit. The JavaScript
/// of the kit is a part of `webhook-mtls`.
fn kit_package(order: &Order, platforms: &[&Platform], tree: &Path) -> Result {
    paths::copy_tree(&paths::root().join("bindings-node").join("testing"), tree, &[])?;
    for name in ["LICENSE-APACHE", "LICENSE-MIT"] {
        paths::copy(&paths::root().join(name), &tree.join(name))?;
    }
    let set: Vec<String> = platforms
        .iter()
        .map(|p| format!("optionalDependencies.webhook-mtls-testing-{}={}", p.name, order.version))
        .chain([format!("version={}", order.version)])
        .collect();
    edit_manifest(tree, "set", &set)?;
    edit_manifest(tree, "delete", &["private"])
}

fn edit_manifest<A: AsRef<str>>(tree: &Path, verb: &str, arguments: &[A]) -> Result {
    let step = Step::new("npm pkg", "npm").args(["pkg", verb]).in_directory(tree);
    step.args(arguments.iter().map(AsRef::as_ref)).ask().map(drop)
}

/// Packs a directory. npm gives all files one date, so the bytes depend only on the content.
fn pack(tree: &Path, place: &Path) -> Result {
    let place = place.display().to_string();
    node::npm("npm pack", &["pack", "--ignore-scripts", "--pack-destination", &place], tree)
}

pub(crate) fn prove(order: &Order) -> Result<u32> {
    let sources = paths::root().join("tests").join("packages").join("node");
    let tools = paths::target().join("node").join("package-tools");
    node::install_locked(&sources, &tools)?;
    debian::ensure(debian::PYTHON)?;
    let node = order.languages.toolchain.node.display().to_string();
    let room = command::room("node", &[&node, "npm", "redis-server"])?;
    let mut tests = paths::files_with_extension(&sources, "mjs")?;
    tests.retain(|file| file.display().to_string().ends_with(".test.mjs"));
    let is_shipped = order.languages.profile() == Profile::Shipped;
    let largest = if is_shipped { LARGEST } else { u64::MAX };
    let output = room
        .step("npm packages", &node)
        .args(["--test", "--test-reporter=tap"])
        .args(&tests)
        .env("PACKAGES", &order.place)
        .env("TOOLS", tools.join("node_modules"))
        .env("LARGEST", largest.to_string())
        .limit(LIMIT)
        .run()?;
    let passed = node::count(&output.all, "pass");
    if passed < AT_LEAST {
        return Err(Failure::with_output(format!("only {passed} checks passed"), output.all));
    }
    Ok(passed + prove_command(order, &room)?)
}

/// Installs the packages without the kit, and runs the tests of the command that npm has linked.
fn prove_command(order: &Order, room: &Room) -> Result<u32> {
    let home = room.path().join("command");
    paths::write(&home.join("package.json"), "{ \"private\": true }\n")?;
    let tarballs =
        [Addon::Production.name().to_owned(), format!("webhook-mtls-{}", PLATFORMS[0].name)]
            .map(|name| order.place.join(format!("{name}-{}.tgz", order.version)));
    room.step("npm install, for the command", "npm")
        .args(["install", "--offline", "--no-audit", "--no-fund"])
        .args(&tarballs)
        .in_directory(&home)
        .run()?;
    let program = home.join("node_modules").join(".bin").join("webhook-mtls");
    command::prove_installed(order, room, &program)
}

fn write_json(to: &Path, value: &serde_json::Value) -> Result {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::new(format!("{}: {error}", paths::shown(to))))?;
    paths::write(to, &(text + "\n"))
}

/// Returns the sum of the sizes of all files of a directory.
fn size_of(tree: &Path) -> Result<u64> {
    let mut sum = 0;
    for file in paths::entries(tree)? {
        let about = file.metadata().map_err(|error| Failure::at("cannot read", &file, &error))?;
        sum += about.len();
    }
    Ok(sum)
}
