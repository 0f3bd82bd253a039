//! Prints the tables of the core as JSON: kinds, words and options. The C header is generated from
//! them, and every language's copy is compared with them.

fn main() {
    println!("{:#}", webhook_mtls::bindings::tables::all());
}
