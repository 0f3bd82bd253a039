//! The C library: an archive with a prefix (`include`, `lib`, `share`), as `cargo xtask install c`
//! fills it, and the testing kit beside it.

use std::path::{Path, PathBuf};

use crate::command::{Failure, Result, Step};
use crate::debian;
use crate::languages::c_library::{CLibrary, Flavour, abi};
use crate::languages::lab::Lab;
use crate::packages::c_install::{Places, install};
use crate::packages::debian_package;
use crate::packages::musl::{self, Musl};
use crate::packages::{
    self, Crates, HOST, Order, Part, Room, archive, interface, no_private_paths, readme_lines,
};
use crate::paths;
use crate::profile::Profile;

/// The limit of a program that makes one delivery, linked with the archive, without unused sections
/// and symbols; and the limit with the library that `install c --small` makes.
const LARGEST_PROGRAM: u64 = 5_500_000;
const LARGEST_SMALL_PROGRAM: u64 = 4_500_000;

/// How to link the smallest program: without unused sections, and with short relocations.
const SMALLEST: &str = "$(pkg-config --cflags --libs webhook_mtls_static) \
     -Wl,--gc-sections -Wl,-z,pack-relative-relocs -s";

/// The only libraries that the shared library may need.
const NEEDED: [&str; 5] =
    ["libc.so.6", "libgcc_s.so.1", "libm.so.6", "libpthread.so.0", "ld-linux-x86-64.so.2"];

/// The programs of a C developer; nothing of Rust.
const TOOLS: [&str; 11] = [
    "cc",
    "as",
    "ld",
    "make",
    "cmake",
    "pkg-config",
    "readelf",
    "nm",
    "strip",
    "head",
    "sha256sum",
];

pub(crate) const PARTS: [Part; 4] = [
    Part { name: "abi", run: |_| interface::is_recorded() },
    Part { name: "small", run: small },
    Part { name: "musl", run: musl },
    Part { name: "debian", run: debian_package::prove },
];

pub(crate) fn make(order: &Order) -> Result {
    let library = order.languages.c()?;
    if order.languages.profile() == Profile::Shipped {
        library.add(Profile::Shipped, Flavour::Testing)?;
    }
    let name = format!("webhook-mtls-{}-{HOST}", order.version);
    let stage = paths::target().join("c").join("package");
    paths::make_empty(&stage)?;
    let prefix = Path::new("/").join(&name);
    let places = Places { destdir: stage.clone(), libdir: prefix.join("lib"), prefix };
    install(library, order.languages.profile(), &places, &[Flavour::Production, Flavour::Testing])?;
    archive(&stage.join(&name), &order.place.join(format!("{name}.tar.gz")))
}

pub(crate) fn prove(order: &Order) -> Result<u32> {
    debian::ensure(debian::C_PACKAGE)?;
    let room = Room::new("c", &TOOLS)?;
    let lab = Lab::start()?;
    let is_shipped = order.languages.profile() == Profile::Shipped;
    let proof = Proof { room, lab, version: order.version.clone(), is_shipped };
    let packed = paths::files_with_extension(&order.place, "gz")?;
    let packed = packed.first().ok_or_else(|| Failure::new("the C package was not made"))?;
    proof.take(packed)?;
    proof.take(&paths::root().join("examples").join("first_delivery.c"))?;
    let mut passed = proof.readme()?;
    passed += proof.moved(packed)?;
    passed += proof.hardened()?;
    passed += proof.complete()?;
    passed += interface::check(&order.languages.toolchain.cc, &proof.library("so"))?;
    Ok(passed)
}

/// Builds the archive for musl, and delivers with a static program that is linked with it.
fn musl(order: &Order) -> Result<String> {
    let musl = Musl::ready(&order.languages.toolchain)?;
    let archive = CLibrary::build_for_musl(&musl)?;
    let lab = Lab::start()?;
    let room = Room::new("c-musl", &[])?;
    let program = room.path().join("first_delivery");
    let source = paths::root().join("examples").join("first_delivery.c");
    musl.cc("compile with musl")
        .args(["-static", "-Wl,--gc-sections", "-s", "-I"])
        .arg(paths::root().join("include"))
        .args([&source, &archive])
        .args(["-lunwind", "-o"])
        .arg(&program)
        .run()?;
    let proof = Proof { room, lab, version: order.version.clone(), is_shipped: true };
    proof.delivers("first_delivery")?;
    let name = format!("webhook-mtls-{}-{}", order.version, musl::TARGET);
    let tree = paths::target().join("c").join("package").join(&name);
    let (lib, include) = (tree.join("lib"), tree.join("include"));
    paths::copy(&archive, &lib.join("libwebhook_mtls.a"))?;
    no_private_paths(&archive)?;
    let header = "webhook_mtls.h";
    paths::copy(&paths::root().join("include").join(header), &include.join(header))?;
    let purl = format!("pkg:generic/webhook-mtls@{}", order.version);
    Crates::of(Flavour::Production.package(), musl::TARGET)?.write_all(&purl, &tree)?;
    packages::archive(&tree, &packages::others()?.join(format!("{name}.tar.gz")))?;
    let size = proof.size("first_delivery")?;
    Ok(format!("the archive delivers in an entirely static program of {size} bytes"))
}

/// Installs the library for little storage, and delivers with a program that is linked with it.
fn small(order: &Order) -> Result<String> {
    let room = Room::new("c-small", &TOOLS)?;
    let library = CLibrary::build(Profile::Small)?;
    let prefix = PathBuf::from("/prefix");
    let destdir = room.path().join("moved");
    let places = Places { destdir, libdir: prefix.join("lib"), prefix };
    install(&library, Profile::Small, &places, &[Flavour::Production])?;
    let lab = Lab::start()?;
    let proof = Proof { room, lab, version: order.version.clone(), is_shipped: true };
    proof.take(&paths::root().join("examples").join("first_delivery.c"))?;
    proof.compile("smallest", "first_delivery.c", SMALLEST)?;
    proof.delivers("smallest")?;
    let size = proof.size("smallest")?;
    at_most(LARGEST_SMALL_PROGRAM, size)?;
    Ok(format!("a static program of `install c --small`, stripped: {size} bytes"))
}

fn at_most(limit: u64, size: u64) -> Result {
    if size <= limit {
        return Ok(());
    }
    Err(Failure::new(format!("a static program has {size} bytes, limit {limit}")))
}

struct Proof {
    room: Room,
    lab: Lab,
    version: String,
    is_shipped: bool,
}

impl Proof {
    fn take(&self, file: &Path) -> Result {
        paths::copy(file, &self.room.path().join(file.file_name().unwrap_or_default()))
    }

    /// The prefix, after it has moved.
    fn prefix(&self) -> PathBuf {
        self.room.path().join("moved").join("prefix")
    }

    fn library(&self, extension: &str) -> PathBuf {
        self.prefix().join("lib").join(format!("libwebhook_mtls.{extension}"))
    }

    /// Runs the lines of the README.
    fn readme(&self) -> Result<u32> {
        let lines = readme_lines("C package")?;
        self.room.step("the README's lines", "sh").args(["-euc", &lines]).run()?;
        self.delivers("first_delivery")
    }

    /// Moves the installed tree, and builds programs with it in each way that it offers.
    fn moved(&self, packed: &Path) -> Result<u32> {
        let parent = self.room.path().join("moved");
        paths::make_directory(&parent)?;
        self.room.step("unpack", "tar").arg("-xf").arg(packed).in_directory(&parent).run()?;
        let unpacked = parent.join(format!("webhook-mtls-{}-{HOST}", self.version));
        std::fs::rename(&unpacked, self.prefix())
            .map_err(|error| Failure::at("cannot move", &unpacked, &error))?;
        let mut passed = 0;
        for (name, options) in [
            ("shared", "$(pkg-config --cflags --libs webhook_mtls)"),
            ("static", "$(pkg-config --cflags --libs webhook_mtls_static)"),
            ("entirely_static", "-static $(pkg-config --static --cflags --libs webhook_mtls)"),
            ("smallest", SMALLEST),
        ] {
            self.compile(name, "first_delivery.c", options)?;
            passed += self.delivers(name)?;
        }
        let size = self.size("smallest")?;
        println!("  a static program that delivers, stripped: {size} bytes");
        if self.is_shipped {
            at_most(LARGEST_PROGRAM, size)?;
        }
        passed += self.cmake()?;
        passed += self.kit()?;
        Ok(passed + 1)
    }

    /// Compiles a program in the folder with a shell, as a user would.
    fn compile(&self, name: &str, source: &str, options: &str) -> Result {
        let flags = "-std=c11 -Wall -Wextra -Werror";
        let line = format!("cc {flags} {source} -o {name} {options}");
        self.room
            .step(format!("compile {name}"), "sh")
            .args(["-euc", &line])
            .env("PKG_CONFIG_PATH", self.prefix().join("lib").join("pkgconfig"))
            .run()
            .map(drop)
    }

    /// Runs a program that makes one delivery.
    fn delivers(&self, program: &str) -> Result<u32> {
        let consumer = self.lab.consumer("acme-rust")?;
        let output = self
            .room
            .step(format!("deliver: {program}"), self.room.path().join(program))
            .in_directory(self.lab.material())
            .env("WMTLS_URL", &consumer.url)
            .env("WMTLS_PIN", &consumer.pin)
            .env("LD_LIBRARY_PATH", self.prefix().join("lib"))
            .run()?;
        if output.stdout.starts_with("200 from ") {
            return Ok(1);
        }
        Err(Failure::with_output(format!("{program} printed no receipt"), output.all))
    }

    fn size(&self, program: &str) -> Result<u64> {
        let file = self.room.path().join(program);
        Ok(file.metadata().map_err(|error| Failure::at("no", &file, &error))?.len())
    }

    /// Finds the package with CMake, in its version and in no other.
    fn cmake(&self) -> Result<u32> {
        let project = "cmake_minimum_required(VERSION 3.13)\n\
            project(consumer C)\n\
            foreach(other 0.0 0.2 1.0)\n  \
              find_package(WebhookMtls ${other} QUIET)\n  \
              if(WebhookMtls_FOUND)\n    message(FATAL_ERROR \"found as ${other}\")\n  endif()\n\
            endforeach()\n\
            find_package(WebhookMtls 0.1 REQUIRED)\n\
            foreach(kind shared static)\n  \
              add_executable(cmake_${kind} first_delivery.c)\n  \
              target_link_libraries(cmake_${kind} PRIVATE WebhookMtls::${kind})\n\
            endforeach()\n";
        paths::write(&self.room.path().join("CMakeLists.txt"), project)?;
        let prefix = format!("-DCMAKE_PREFIX_PATH={}", self.prefix().display());
        self.room.step("cmake", "cmake").args(["-S", ".", "-B", "build", &prefix]).run()?;
        self.room.step("cmake --build", "cmake").args(["--build", "build"]).run()?;
        Ok(self.delivers("build/cmake_shared")? + self.delivers("build/cmake_static")?)
    }

    /// Runs two tests of the repository with the testing kit of the package.
    fn kit(&self) -> Result<u32> {
        let tests = paths::root().join("tests").join("c");
        for name in ["check.h", "patient.h", "deliver.c", "verify.c"] {
            self.take(&tests.join(name))?;
        }
        for name in ["deliver", "verify"] {
            let options = "$(pkg-config --cflags --libs webhook_mtls_testing)";
            self.compile(&format!("kit_{name}"), &format!("{name}.c"), options)?;
            self.room
                .step(format!("testing kit: {name}"), self.room.path().join(format!("kit_{name}")))
                .env("LD_LIBRARY_PATH", self.prefix().join("lib"))
                .run()?;
        }
        Ok(2)
    }

    /// Checks the shared library's name, its dependencies and its protections.
    fn hardened(&self) -> Result<u32> {
        let library = self.library("so");
        let read = |what: &str| -> Result<String> {
            Ok(Step::new("readelf", "readelf").args(["--wide", what]).arg(&library).ask()?.stdout)
        };
        let (dynamic, segments) = (read("--dynamic")?, read("--program-headers")?);
        let soname = format!("Library soname: [libwebhook_mtls.so.{}]", abi(&self.version));
        let undefined = Step::new("nm", "nm").args(["-D", "--undefined-only"]).arg(&library);
        let undefined = undefined.ask()?.stdout;
        let stack = segments.lines().find(|line| line.contains("GNU_STACK")).unwrap_or_default();
        let checks = [
            ("its soname", dynamic.contains(&soname)),
            ("only the system's libraries", needed(&dynamic).is_empty()),
            ("no search path", !dynamic.contains("RPATH") && !dynamic.contains("RUNPATH")),
            ("no relocation of code", !dynamic.contains("TEXTREL")),
            ("all symbols bound at the start", dynamic.contains("NOW")),
            ("relocations that become read-only", segments.contains("GNU_RELRO")),
            ("a stack without code", stack.contains("RW ") && !stack.contains("RWE")),
            ("stack protection", undefined.contains("__stack_chk_fail")),
            ("fortified functions", undefined.contains("_chk@")),
        ];
        let missing: Vec<&str> =
            checks.iter().filter(|(_, holds)| !holds).map(|(what, _)| *what).collect();
        if missing.is_empty() || !self.is_shipped {
            return Ok(1);
        }
        let what = format!("the shared library lacks: {}", missing.join(", "));
        Err(Failure::with_output(what, dynamic + &segments + &undefined))
    }

    /// Checks that the license texts and the documents are there.
    fn complete(&self) -> Result<u32> {
        let documents = self.prefix().join("share").join("doc").join("webhook-mtls");
        for (name, words) in [
            ("LICENSE-APACHE", "Apache License"),
            ("LICENSE-MIT", "Permission is hereby granted"),
            ("THIRD-PARTY-NOTICES.txt", "aws-lc-sys"),
            ("sbom.cdx.json", "pkg:cargo/rustls@"),
            ("abi.md", "soname"),
            ("errors/pin_mismatch.md", "# pin_mismatch"),
        ] {
            if !paths::read(&documents.join(name))?.contains(words) {
                return Err(Failure::new(format!("{name} does not contain: {words}")));
            }
        }
        Ok(1)
    }
}

/// Returns the needed libraries that are not the system's.
fn needed(dynamic: &str) -> Vec<&str> {
    let names = dynamic.lines().filter_map(|line| line.split("Shared library: [").nth(1));
    let names = names.map(|name| name.trim_end_matches(']').trim());
    names.map(|name| name.trim_end_matches(']')).filter(|name| !NEEDED.contains(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::needed;

    #[test]
    fn a_library_that_is_not_the_system_s_is_seen() {
        let dynamic = " 0x1 (NEEDED)   Shared library: [libc.so.6]\n\
                       0x1 (NEEDED)   Shared library: [libcurl.so.4]\n";
        assert_eq!(needed(dynamic), ["libcurl.so.4"]);
    }
}
