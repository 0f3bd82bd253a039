//! Sets the soname of the shared library.

fn main() {
    // Not rustc-cdylib-link-arg: cargo would pass it to the libraries that contain this one as well.
    println!("cargo:rustc-link-arg=-Wl,-soname,libwebhook_mtls_testing.so");
    println!("cargo:rerun-if-changed=build.rs");
}
