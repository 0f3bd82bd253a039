//! Feeds `targets::webhook`.
#![cfg_attr(fuzzing, no_main)]

webhook_mtls_fuzz::program!(webhook);
