//! Links against the Node process instead of a library.

fn main() {
    napi_build::setup();
}
