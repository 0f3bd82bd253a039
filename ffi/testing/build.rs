//! Names the shared library as a linker will look for it.

fn main() {
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libwebhook_mtls_testing.so");
    println!("cargo:rerun-if-changed=build.rs");
}
