//! Feeds `targets::answer`: by libFuzzer under `cargo fuzz`, else by mutating the kept corpus.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| webhook_mtls_fuzz::targets::answer(input));

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    webhook_mtls_fuzz::mutation::run("answer", webhook_mtls_fuzz::targets::answer)
}
