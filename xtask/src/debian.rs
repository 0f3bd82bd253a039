//! Programs that the tests need beyond the build: real servers, a memory checker, a C++ compiler.
//! Installs them from Debian if possible, and otherwise names them.

use std::fs;
use std::path::Path;

use crate::command::{Failure, Result, Step};
use crate::paths;
use crate::terminal;

/// A program that a suite runs, and its Debian package.
#[derive(Clone, Copy)]
pub(crate) struct Program {
    name: &'static str,
    package: &'static str,
    purpose: &'static str,
}

/// The servers of the real-peer suite and the PKI they use.
pub(crate) const PEERS: &[Program] = &[
    Program { name: "nginx", package: "nginx-light", purpose: "a real peer" },
    Program { name: "openssl", package: "openssl", purpose: "a real peer, and its certificates" },
    Program { name: "apache2", package: "apache2-bin", purpose: "a real peer" },
    Program { name: "haproxy", package: "haproxy", purpose: "a real peer" },
    Program { name: "stunnel4", package: "stunnel4", purpose: "a real peer" },
    Program { name: "gnutls-serv", package: "gnutls-bin", purpose: "a real peer" },
    Program { name: "faketime", package: "faketime", purpose: "a real peer with a fast clock" },
    Program { name: "tinyproxy", package: "tinyproxy-bin", purpose: "a real proxy" },
];

/// The proxies in front of receivers.
pub(crate) const RECEIVERS: &[Program] = &[
    Program { name: "nginx", package: "nginx-light", purpose: "a proxy in front of a receiver" },
    Program { name: "apache2", package: "apache2-bin", purpose: "a proxy in front of a receiver" },
    Program { name: "haproxy", package: "haproxy", purpose: "a proxy in front of a receiver" },
    Program { name: "caddy", package: "caddy", purpose: "a proxy in front of a receiver" },
    Program { name: "curl", package: "curl", purpose: "a client of the guide" },
];

/// The programs that the command is compared with, and those that call its receiver.
pub(crate) const COMMAND: &[Program] = &[
    CERTIFICATES,
    Program { name: "curl", package: "curl", purpose: "a client of the command's receiver" },
];

/// The browser that looks at the pages of the command's receiver and of the documentation site.
pub(crate) const BROWSER: &[Program] =
    &[Program { name: "chromium", package: "chromium", purpose: "pages that people look at" }];

/// The programs that run and check the C suite, and that compile the header as C++.
pub(crate) const C: &[Program] = &[
    Program { name: "gcc", package: "gcc", purpose: "the C programs" },
    Program { name: "g++", package: "g++", purpose: "the header as C++" },
    Program { name: "c++", package: "g++", purpose: "the header as C++17" },
    Program { name: "clang", package: "clang", purpose: "the C programs with another compiler" },
    Program { name: "valgrind", package: "valgrind", purpose: "memory errors in the C programs" },
    Program { name: "objcopy", package: "binutils", purpose: "the static library" },
    CJSON,
];

/// The programs that build with the installed C library and read it.
pub(crate) const C_PACKAGE: &[Program] = &[
    Program { name: "cmake", package: "cmake", purpose: "the CMake package" },
    Program { name: "make", package: "make", purpose: "the CMake package" },
    Program { name: "pkg-config", package: "pkg-config", purpose: "the pkg-config files" },
    Program { name: "readelf", package: "binutils", purpose: "the protections of the library" },
    ABI[0],
];

/// The build of the Debian packages. The compiler does not replace one of rustup.
pub(crate) const DEBIAN_PACKAGE: &[Program] = &[
    Program { name: "dpkg-buildpackage", package: "dpkg-dev", purpose: "the Debian packages" },
    Program { name: "dh", package: "debhelper", purpose: "the Debian packages" },
    Program { name: "/usr/bin/rustc", package: "rustc-web", purpose: "the Debian packages" },
    Program { name: "/usr/bin/cargo", package: "cargo-web", purpose: "the Debian packages" },
];

/// The machine on which wheels for arm64 run.
pub(crate) const EMULATION: &[Program] = &[Program {
    name: "qemu-aarch64-static",
    package: "qemu-user-static",
    purpose: "the wheels for arm64",
}];

/// The compiler of a CPython on which wheels for musl run.
pub(crate) const MUSL: &[Program] = &[
    Program { name: "musl-gcc", package: "musl-tools", purpose: "the wheels for musl" },
    Program { name: "make", package: "make", purpose: "the wheels for musl" },
];

/// The comparison of binary interfaces.
pub(crate) const ABI: &[Program] = &[Program {
    name: "abidiff",
    package: "abigail-tools",
    purpose: "the interface of the library",
}];

/// What the testing kit starts in front of a user's application.
pub(crate) const KIT: &[Program] =
    &[Program { name: "nginx", package: "nginx-light", purpose: "the proxy of the testing kit" }];

/// The broker of the Python tests about Celery, the token of those about PKCS#11, and a database.
pub(crate) const PYTHON: &[Program] = &[
    Program { name: "redis-server", package: "redis-server", purpose: "the broker of Celery" },
    Program { name: "softhsm2-util", package: "softhsm2", purpose: "a token of PKCS#11" },
    Program { name: "pg_ctlcluster", package: "postgresql", purpose: "an index of deliveries" },
];

/// The broker of the Node tests about BullMQ.
pub(crate) const NODE: &[Program] =
    &[Program { name: "redis-server", package: "redis-server", purpose: "the broker of BullMQ" }];

/// The broker and a consumer of the fleet.
pub(crate) const FLEET: &[Program] = &[
    PYTHON[0],
    Program { name: "nginx", package: "nginx-light", purpose: "a consumer that is killed" },
];

/// The broker of the examples, and the programs that their start scripts call.
pub(crate) const SERVICES: &[Program] = &[
    PYTHON[0],
    Program { name: "curl", package: "curl", purpose: "posting an event to an example" },
    Program { name: "pkg-config", package: "pkg-config", purpose: "linking an example in C" },
    Program { name: "gcc", package: "gcc", purpose: "an example in C" },
];

/// A consumer's CA of the suite about issuance, the token of PKCS#11, and what its clients are built with.
pub(crate) const ISSUANCE: &[Program] = &[
    CERTIFICATES,
    PYTHON[1],
    Program { name: EASY_RSA, package: "easy-rsa", purpose: "another CA of a consumer" },
    Program { name: PKCS11_HEADER, package: "libp11-kit-dev", purpose: "PKCS#11 in C" },
    Program { name: "make", package: "make", purpose: "PKCS#11 in Node" },
    Program { name: "g++", package: "g++", purpose: "PKCS#11 in Node" },
];

const EASY_RSA: &str = "/usr/share/easy-rsa/easyrsa";

/// The standard header of PKCS#11.
const PKCS11_HEADER: &str = "/usr/include/p11-kit-1/p11-kit/pkcs11.h";

/// A real Prometheus with its rule checker, the broker of its Celery worker, and a refusing consumer.
pub(crate) const HEALTH: &[Program] = &[
    Program { name: "prometheus", package: "prometheus", purpose: "scraping metrics" },
    Program { name: "promtool", package: "prometheus", purpose: "checking alert rules" },
    Program { name: "nginx", package: "nginx-light", purpose: "a consumer that refuses us" },
    CERTIFICATES,
    PYTHON[0],
];

/// The receiver of the bench, its PKI, and the C client of libcurl.
pub(crate) const BENCH: &[Program] = &[
    RECEIVER,
    CERTIFICATES,
    Program { name: "curl-config", package: "libcurl4-openssl-dev", purpose: "the peer in C" },
];

/// The instruction counter, and the receiver of the counted programs.
pub(crate) const INSTRUCTIONS: &[Program] = &[
    Program { name: "valgrind", package: "valgrind", purpose: "counting instructions" },
    RECEIVER,
    CERTIFICATES,
];

const RECEIVER: Program =
    Program { name: "nginx", package: "nginx-light", purpose: "the receiver of the bench" };
const CERTIFICATES: Program =
    Program { name: "openssl", package: "openssl", purpose: "its certificates" };

/// The JSON reader of the C vector runner. It is a header file, not a program.
pub(crate) const CJSON: Program = Program {
    name: "/usr/include/cjson/cJSON.h",
    package: "libcjson-dev",
    purpose: "reading the vectors in C",
};

/// `cargo xtask install`.
pub(crate) fn run() -> Result {
    terminal::headline("Programs that the tests need");
    let programs = [PEERS, C, PYTHON, HEALTH].concat();
    ensure(&programs)?;
    for program in programs {
        let path = paths::program(program.name).expect("ensured");
        println!("  {:<12} {}", program.name, path.display());
    }
    Ok(())
}

/// Installs the missing programs, or fails with their names and how to get them.
pub(crate) fn ensure(programs: &[Program]) -> Result {
    let missing = missing(programs);
    if missing.is_empty() {
        return Ok(());
    }
    if paths::program("apt-get").is_none() || !is_root() {
        return Err(absent(&missing));
    }
    install(&missing)?;
    let missing = self::missing(programs);
    if missing.is_empty() { Ok(()) } else { Err(absent(&missing)) }
}

fn missing(programs: &[Program]) -> Vec<Program> {
    programs.iter().filter(|program| paths::program(program.name).is_none()).copied().collect()
}

fn absent(missing: &[Program]) -> Failure {
    let lines: Vec<String> = missing
        .iter()
        .map(|program| format!("  - {} ({})", program.name, program.purpose))
        .collect();
    let packages: Vec<&str> = missing.iter().map(|program| program.package).collect();
    Failure::new(format!(
        "the tests need missing programs:\n{}\non Debian, as root: \
         apt-get install {}; elsewhere put them on PATH",
        lines.join("\n"),
        packages.join(" ")
    ))
}

fn install(missing: &[Program]) -> Result {
    let packages: Vec<&str> = missing.iter().map(|program| program.package).collect();
    let _quiet = NoServices::hold();
    apt("apt-get update", &["update", "-q"])?;
    let mut arguments = vec!["install", "-q", "-y", "--no-install-recommends"];
    arguments.extend(&packages);
    apt(&format!("apt-get install {}", packages.join(" ")), &arguments)
}

fn apt(title: &str, arguments: &[&str]) -> Result {
    let step = Step::new(title, "apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    step.run().map(drop)
}

fn is_root() -> bool {
    Step::new("id", "id").arg("-u").ask().is_ok_and(|output| output.stdout.trim() == "0")
}

/// Prevents installed packages from starting services while it lives. The nginx package would
/// otherwise open port 80 on a machine whose owner only wants to run the tests.
struct NoServices {
    ours: bool,
}

const POLICY: &str = "/usr/sbin/policy-rc.d";

impl NoServices {
    fn hold() -> Self {
        let ours = !Path::new(POLICY).exists()
            && fs::write(POLICY, "#!/bin/sh\nexit 101\n").is_ok()
            && Step::new("chmod", "chmod").args(["755", POLICY]).ask().is_ok();
        NoServices { ours }
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours {
            // If the file stays behind, it only keeps later packages from starting services.
            let _ = fs::remove_file(POLICY);
        }
    }
}
