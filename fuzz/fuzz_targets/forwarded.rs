//! Feeds `targets::forwarded`.
#![cfg_attr(fuzzing, no_main)]

webhook_mtls_fuzz::program!(forwarded);
