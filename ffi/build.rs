//! Sets the soname of the shared library, and keeps it loaded.

fn main() {
    // Not rustc-cdylib-link-arg: cargo would pass it to the libraries that contain this one as well.
    println!("cargo:rustc-link-arg=-Wl,-soname,libwebhook_mtls.so");
    // Threads of the library, and fork handlers, outlive the handles: `dlclose` must not unmap them.
    println!("cargo:rustc-link-arg=-Wl,-z,nodelete");
    println!("cargo:rerun-if-changed=build.rs");
}
