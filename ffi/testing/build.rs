//! Names the shared library as a linker will look for it.

fn main() {
    // Not rustc-cdylib-link-arg, which cargo hands on to the libraries that contain this one.
    println!("cargo:rustc-link-arg=-Wl,-soname,libwebhook_mtls_testing.so");
    println!("cargo:rerun-if-changed=build.rs");
}
