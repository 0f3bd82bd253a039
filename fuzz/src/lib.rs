//! What webhook-mtls reads from others, fed with anything. Each target is a plain function that
//! panics where a promise is broken: that no input panics or hangs, and that what was read keeps its
//! word.

pub mod mutation;
mod pfx;
pub mod targets;

/// The program of a target: by libFuzzer under `cargo fuzz`, else by mutating the kept corpus.
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
