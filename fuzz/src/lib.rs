//! Feeds arbitrary bytes to the parsers of untrusted input. Each target is a function that panics
//! if a promise is broken: no input causes a panic or a hang, and parsed values are consistent.

mod chain;
mod changes;
mod der;
mod differential;
pub mod mutation;
mod pfx;
pub mod targets;

/// Defines the program of a target. It runs libFuzzer under `cargo fuzz`, and otherwise mutates the
/// kept corpus.
#[macro_export]
macro_rules! program {
    ($target:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|input: &[u8]| $crate::targets::$target(input));

        #[cfg(not(fuzzing))]
        fn main() -> std::process::ExitCode {
            $crate::mutation::run(stringify!($target), $crate::targets::$target)
        }
    };
}
