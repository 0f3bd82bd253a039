//! Sets the soname of the shared library, and keeps it loaded.

use std::env;

fn main() {
    // A program starts only with the library of the interface that it was linked with: while the
    // version is 0.x, each minor version may change the interface (docs/abi.md).
    let part = |name: &str| env::var(name).expect("cargo sets the parts of the version");
    let abi = match part("CARGO_PKG_VERSION_MAJOR").as_str() {
        "0" => format!("0.{}", part("CARGO_PKG_VERSION_MINOR")),
        major => major.to_owned(),
    };
    // Not rustc-cdylib-link-arg: cargo would pass it to the libraries that contain this one as well.
    println!("cargo:rustc-link-arg=-Wl,-soname,libwebhook_mtls_testing.so.{abi}");
    // Threads of the library, and fork handlers, outlive the handles: `dlclose` must not unmap them.
    println!("cargo:rustc-link-arg=-Wl,-z,nodelete");
    println!("cargo:rerun-if-changed=build.rs");
}
